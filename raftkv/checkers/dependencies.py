"""The graph of a history of transactions: which one must come before which other (Adya 1999, Elle 2020).

Nodes are the numbers of transactions, and helper nodes behind them. An edge says that its transaction comes
before the target, and why:

- ``WW``: the target's append follows its own in a list
- ``WR``: the target read a list that ends in its append
- ``RW``: it read a list that lacks the target's append
- ``PROCESS``: one client did the target right after it
- ``REALTIME``: it had returned before the target was called
- ``ON``: no reason of its own: it leads on from a helper node

Helper nodes stand for many edges: "all transactions called after this moment", "all whose append to a key
nobody read". Without them there would be as many edges as pairs.
"""

from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from raftkv.checkers.history import Outcome
from raftkv.checkers.transactions import Transactions
from raftkv.checkers.versions import Order

WW: Final = 1
WR: Final = 2
RW: Final = 4
PROCESS: Final = 8
REALTIME: Final = 16
ON: Final = 32


class Edge(NamedTuple):
    """A reason for one transaction to come before another; kinds can be joined by ``|``.

    ``elements`` are the one appended by the source (WW, WR) and the one by the target (WW, RW), as far as
    the edge knows them: one that leads over a helper node has the second from there.
    """

    target: int
    kind: int
    key: Hashable = None
    elements: tuple[Hashable, Hashable] = (None, None)


Graph = list[list[Edge]]
"""By node: its edges."""


def build_graph(found: Transactions, orders: Sequence[Order]) -> Graph:
    """Return the graph of the transactions that took effect, as far as anybody can know.

    Those without an answer belong to it if somebody saw one of their appends: only then they certainly took
    effect. Elements that nobody saw come behind all that somebody saw, in any order.
    """
    graph: Graph = [[] for _ in found.operations]
    took_part = _participants(found, orders)
    for order in orders:
        if order.sound:
            _add_data(graph, found, order, took_part)
    _add_process(graph, found, took_part)
    _add_realtime(graph, found, took_part)
    return graph


def _participants(found: Transactions, orders: Sequence[Order]) -> list[bool]:
    took_part = [operation.outcome is Outcome.OK for operation in found.operations]
    for order in orders:
        for element, writer in found.writers.get(order.key, {}).items():
            if element in order.seen and found.operations[writer].outcome is Outcome.UNKNOWN:
                took_part[writer] = True
    return took_part


def _add_data(graph: Graph, found: Transactions, order: Order, took_part: Sequence[bool]) -> None:
    """Add what the reads of one key tell."""
    key, elements, writers = order.key, order.elements, found.writers.get(order.key, {})
    chain: list[int | None] = []
    for element in elements:
        writer = writers.get(element)
        chain.append(writer if writer is not None and took_part[writer] else None)
    tail = _Tail(graph, order, _unseen(found, order, took_part))
    for place, (writer, after) in enumerate(pairwise(chain)):
        if writer is not None and after is not None and writer != after:
            graph[writer].append(Edge(after, WW, key, (elements[place], elements[place + 1])))
    if chain and chain[-1] is not None and all(read.own for read in order.reads if read.elements == elements):
        # Only who appended the last one saw it; else a read of it tells the same, and says who looked.
        tail.lead(chain[-1], WW, elements[-1])
    for read in order.reads:
        reader, count = read.reader, len(read.elements)
        if read.own:
            continue  # what it tells, the order of the elements tells
        writer = chain[count - 1] if count else None
        if writer is not None and writer != reader:
            graph[writer].append(Edge(reader, WR, key, (elements[count - 1], None)))
        if count == len(elements):
            tail.lead(reader, RW, None)
        else:
            after = chain[count]
            if after is not None and after != reader:
                graph[reader].append(Edge(after, RW, key, (None, elements[count])))


def _unseen(found: Transactions, order: Order, took_part: Sequence[bool]) -> dict[int, Hashable]:
    """Return who appended elements to a key that nobody saw, each with the first of them."""
    unseen: dict[int, Hashable] = {}
    for element, writer in found.writers.get(order.key, {}).items():
        if element not in order.seen and took_part[writer]:
            unseen.setdefault(writer, element)
    return unseen


class _Tail:
    """The appends to a key that nobody saw, as two chains of helper nodes.

    The node for a place in the one chain leads to the appends from there on, in the other to those up to
    there, so that one of the transactions can lead to all others, but not to itself.
    """

    def __init__(self, graph: Graph, order: Order, unseen: dict[int, Hashable]) -> None:
        self._graph, self._key = graph, order.key
        self._places = {writer: place for place, writer in enumerate(unseen)}
        self._onward, self._back = len(graph), len(graph) + len(unseen)
        last = len(unseen) - 1
        appends = [Edge(writer, ON, order.key, (None, element)) for writer, element in unseen.items()]
        for place, edge in enumerate(appends):
            graph.append([edge, Edge(self._onward + place + 1, ON)] if place < last else [edge])
        for place, edge in enumerate(appends):
            graph.append([edge, Edge(self._back + place - 1, ON)] if place else [edge])

    def lead(self, source: int, kind: int, element: Hashable) -> None:
        """Add edges from a transaction to all appends that nobody saw but its own."""
        place = self._places.get(source, -1)
        if place + 1 < len(self._places):
            self._graph[source].append(Edge(self._onward + place + 1, kind, self._key, (element, None)))
        if place > 0:
            self._graph[source].append(Edge(self._back + place - 1, kind, self._key, (element, None)))


def _add_process(graph: Graph, found: Transactions, took_part: Sequence[bool]) -> None:
    last: dict[int, int] = {}
    for number, operation in enumerate(found.operations):
        if took_part[number]:
            before = last.get(operation.process)
            if before is not None and found.operations[before].outcome is Outcome.OK:
                graph[before].append(Edge(number, PROCESS))
            last[operation.process] = number


def _add_realtime(graph: Graph, found: Transactions, took_part: Sequence[bool]) -> None:
    """Add a helper node for each moment between a return and a later call, in a chain."""
    moments: list[tuple[float, bool, int]] = []
    for number, operation in enumerate(found.operations):
        if took_part[number]:
            moments.append((operation.call, False, number))
            if operation.outcome is Outcome.OK and operation.returned is not None:
                moments.append((operation.returned, True, number))
    moments.sort()
    node, called = -1, True
    for _, returned, number in moments:
        if not returned:
            called = True
            if node >= 0:
                graph[node].append(Edge(number, ON))
            continue
        if called:
            if node >= 0:
                graph[node].append(Edge(len(graph), ON))
            node, called = len(graph), False
            graph.append([])
        graph[number].append(Edge(node, REALTIME))
