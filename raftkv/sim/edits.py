"""Changes of a scenario that make it shorter or easier to read; each returns another scenario."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from raftkv.sim.scenario import Fault, Operation, Scenario
from raftkv.workloads.mixed import MixedWorkload


def with_fault(scenario: Scenario, number: int, fault: Fault) -> Scenario:
    """Put another fault in the place of one."""
    faults = scenario.faults
    return in_order(replace(scenario, faults=(*faults[:number], fault, *faults[number + 1 :])))


def with_operation(scenario: Scenario, number: int, operation: Operation) -> Scenario:
    """Put another operation in the place of one."""
    operations = scenario.operations
    changed = (*operations[:number], operation, *operations[number + 1 :])
    return in_order(replace(scenario, operations=changed))


def in_order(scenario: Scenario) -> Scenario:
    """Order the events by time, as the text does."""
    return replace(
        scenario,
        faults=tuple(sorted(scenario.faults, key=lambda fault: fault.at)),
        operations=tuple(sorted(scenario.operations, key=lambda operation: operation.at)),
    )


def with_nodes(scenario: Scenario, nodes: int) -> Scenario:
    """Let there be fewer members at the beginning.

    Faults of the others go, links to them are not cut, and clients who asked them ask n1.
    """
    gone = [f"n{number}" for number in range(nodes + 1, scenario.nodes + 1)]
    faults = []
    for fault in scenario.faults:
        words = tuple(word for word in fault.words if not any(name in gone for name in word.split(">")))
        if words == fault.words or (words and fault.kind == "cut"):
            faults.append(fault._replace(words=words))
    operations = tuple(one._replace(via="n1") if one.via in gone else one for one in scenario.operations)
    heal = scenario.heal
    if heal is not None:
        heal = heal._replace(core=tuple(name for name in heal.core if name not in gone) or ("n1",))
    return replace(scenario, nodes=nodes, faults=tuple(faults), operations=operations, heal=heal)


def with_names(scenario: Scenario, names: Mapping[str, str]) -> Scenario:
    """Let requests speak of other keys and values."""

    def renamed(one: Operation) -> Operation:
        at = int(scenario.workload == MixedWorkload.name)  # then the part's name comes first
        head, (verb, *rest) = one.words[:at], one.words[at:]
        words = (verb, *(names.get(word, word) for word in rest))
        if words[0] in ("scan", "list"):
            words = tuple(dict.fromkeys(words))
        elif words[0] == "move" and words[1] == words[2]:
            words = ("cas", words[1], words[3])
        return one._replace(words=head + words)

    return replace(scenario, operations=tuple(renamed(one) for one in scenario.operations))


def times_of(scenario: Scenario) -> list[float]:
    """Return when something happens, in order."""
    events: list[Fault | Operation] = [*scenario.faults, *scenario.operations]
    return sorted({event.at for event in events})


def sooner(scenario: Scenario, begin: float, seconds: float) -> Scenario:
    """Let everything from ``begin`` on happen ``seconds`` earlier, the healing too."""

    def moved(at: float) -> float:
        return round(at - seconds, 3) if at >= begin else at

    heal = scenario.heal
    return replace(
        scenario,
        faults=tuple(fault._replace(at=moved(fault.at)) for fault in scenario.faults),
        operations=tuple(one._replace(at=moved(one.at)) for one in scenario.operations),
        heal=heal._replace(at=moved(heal.at)) if heal is not None else None,
    )


def last_seconds(scenario: Scenario, end: float, seconds: float, begin: float) -> Scenario:
    """Keep what happens in the ``seconds`` before ``end``, as if it began at ``begin``.

    A fault that began earlier and is not over begins with the rest. There may be a healing meanwhile.
    """
    start = end - seconds

    def moved(at: float) -> float:
        return round(at - start + begin, 3)

    faults = []
    for fault in scenario.faults:
        if start <= fault.at < end:
            faults.append(fault._replace(at=moved(fault.at)))
        elif fault.at < start < fault.at + fault.seconds:
            left = round(fault.at + fault.seconds - start, 3)
            faults.append(fault._replace(at=begin, seconds=max(left, 0.001)))
    kept = (one for one in scenario.operations if start <= one.at < end)
    operations = tuple(one._replace(at=moved(one.at)) for one in kept)
    heal = scenario.heal
    moved_heal = heal._replace(at=moved(heal.at)) if heal is not None else None
    return in_order(replace(scenario, faults=tuple(faults), operations=operations, heal=moved_heal))


def rounded(scenario: Scenario, digits: int) -> Scenario:
    """Write all times and durations with so many digits behind the point."""
    heal = scenario.heal
    return in_order(
        replace(
            scenario,
            faults=tuple(_rounded_fault(fault, digits) for fault in scenario.faults),
            operations=tuple(one._replace(at=round(one.at, digits)) for one in scenario.operations),
            heal=heal._replace(at=rounded_up(heal.at)) if heal is not None else None,
        )
    )


def rounder_faults(fault: Fault) -> Iterator[Fault]:
    """Yield a fault with fewer digits, the fewest first."""
    for digits in (0, 1, 2):
        yield _rounded_fault(fault, digits)


def _rounded_fault(fault: Fault, digits: int) -> Fault:
    shortest: float = 10.0**-digits
    seconds = max(round(fault.seconds, digits), shortest) if fault.seconds else 0.0
    return fault._replace(at=round(fault.at, digits), seconds=seconds)


def rounded_up(at: float) -> float:
    """Return the next tenth of a second."""
    return int(at * 10 + 0.999) / 10
