"""Whether transactions over lists are strictly serializable (Kingsbury & Alvaro 2020: Elle's list-append).

Each element is unique, so what was read tells the order of the appends and who read whose; a history is
serializable if these dependencies have no cycle, and strictly so if they have none with real time either.
Anomalies have Elle's names. The check is exact: where there is none, each order that respects the
dependencies gives the answers that were given. A transaction without an answer whose appends nobody saw may
never have happened.
"""

from collections.abc import Iterable, Sequence

from raftkv.checkers.cycles import Cycle, find_cycles
from raftkv.checkers.dependencies import PROCESS, RW, WR, WW, Edge, build_graph
from raftkv.checkers.history import Operation
from raftkv.checkers.transactions import Transactions, anomaly, collect
from raftkv.checkers.verdict import Anomaly, Verdict, one_of_each
from raftkv.checkers.versions import orders_of

_ORDER_ONLY = ("-process", "-realtime")


def check_list_append(history: Sequence[Operation]) -> Verdict:
    """Hold transactions (shape: ``transactions``) against strict serializability.

    Steps are the edges between transactions. Raises ``HistoryError`` when two append the same element.
    """
    found = collect(history)
    orders, anomalies = orders_of(found)
    graph = build_graph(found, orders)
    cycles = sorted(find_cycles(graph), key=lambda cycle: len(cycle.numbers))
    anomalies = [*found.internal, *anomalies, *(_explained(found, cycle) for cycle in cycles)]
    steps = sum(map(len, graph))
    verdict = one_of_each(anomalies, steps)
    if not anomalies:
        return verdict
    level = "serializable, but not strictly" if is_serializable(anomalies) else "not serializable"
    return verdict._replace(reason=f"{level}: {verdict.reason}")


def is_serializable(anomalies: Iterable[Anomaly]) -> bool:
    """Tell whether transactions with these anomalies only break the order of real time or of a client."""
    return all(one.name.endswith(_ORDER_ONLY) for one in anomalies)


def _explained(found: Transactions, cycle: Cycle) -> Anomaly:
    """Return a cycle as an anomaly with a sentence for each of its edges."""
    count = len(cycle.numbers)
    sentences = [
        _sentence(found, edge, f"T{place + 1}", f"T{(place + 1) % count + 1}", cycle.numbers[place])
        for place, edge in enumerate(cycle.edges)
    ]
    last = "so each must come before the next, and the last one before the first"
    return anomaly(cycle.name, [*sentences, last], [found.operations[one] for one in cycle.numbers])


def _sentence(found: Transactions, edge: Edge, source: str, target: str, number: int) -> str:
    """Say why the transaction called ``source``, of this number, comes before the one called ``target``."""
    key, (before, after) = edge.key, edge.elements
    if edge.kind == WW:
        return f"{target}'s append of {after} to {key} came behind {source}'s append of {before}"
    if edge.kind == WR:
        return f"{target} observed {source}'s append of {before} to {key}"
    if edge.kind == RW:
        return f"{source} did not observe {target}'s append of {after} to {key}"
    if edge.kind == PROCESS:
        return f"process {found.operations[number].process} did {source} before {target}"
    return f"{source} had returned before {target} was called"
