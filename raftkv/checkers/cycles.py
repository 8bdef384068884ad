"""Cycles in the graph of a history of transactions, the weakest anomaly first.

Each strongly connected component is searched for cycles of these kinds, in this order, and the first one
found names the anomaly:

- ``G0``: only appends that follow each other
- ``G1c``: also reads of appends
- ``G-single``: exactly one read that lacks an append (read skew, lost update)
- ``G-nonadjacent``: several such reads, never two in a row (not even snapshot isolation)
- ``G2-item``: any (write skew)

First only what transactions read counts, then the order of each client's own (``-process``), then real time
(``-realtime``).
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from raftkv.checkers.dependencies import ON, PROCESS, REALTIME, RW, WR, WW, Edge, Graph

LEVELS = (("", 0), ("-process", PROCESS), ("-realtime", PROCESS | REALTIME))
_PLAIN = ("G0", "G1c", "G-single", "G-nonadjacent", "G2-item")
IMPROVEMENT = 300_000
"""Edges to walk for a shorter cycle, once there is one."""

Part = Mapping[int, Sequence[Edge]]
"""Some nodes of a graph and the edges between them."""

Path = list[tuple[int, Edge]]
"""Edges in a row, each with its source."""


class Cycle(NamedTuple):
    """An anomaly by name, and its cycle of transactions: ``edges`` lead from each to the next."""

    name: str
    numbers: list[int]
    edges: list[Edge]


def find_cycles(graph: Graph) -> list[Cycle]:
    """Return for each component the shortest cycle of its weakest anomaly.

    A component that has cycles without the order of clients and without real time is named for these only;
    one with cycles of clients' order gets another name for real time if that gives a shorter cycle.
    """
    if not _loops(strongly_connected([[edge.target for edge in edges] for edges in graph])):
        return []
    cycles: list[Cycle] = []
    for suffix, order in LEVELS:
        named = [cycle for cycle in cycles if cycle.name in _PLAIN]
        for part in _cyclic_parts(dict(enumerate(graph)), WW | WR | RW | order):
            if any(cycle.numbers[0] in part for cycle in named):
                continue
            found = _weakest(part, suffix, order)
            others = [cycle for cycle in cycles if cycle.numbers[0] in part]
            if all(len(found.numbers) < len(cycle.numbers) for cycle in others):
                cycles.append(found)
    return cycles


def strongly_connected(successors: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return the strongly connected components (Tarjan 1972), each behind all that it leads to."""
    count = len(successors)
    index, low = [-1] * count, [0] * count
    on_stack, stack, components, visited = [False] * count, [], [], 0
    for root in range(count):
        if index[root] >= 0:
            continue
        work = [(root, iter(successors[root]))]
        index[root] = low[root] = visited
        visited += 1
        stack.append(root)
        on_stack[root] = True
        while work:
            node, rest = work[-1]
            for after in rest:
                if index[after] < 0:
                    index[after] = low[after] = visited
                    visited += 1
                    stack.append(after)
                    on_stack[after] = True
                    work.append((after, iter(successors[after])))
                    break
                if on_stack[after] and index[after] < low[node]:
                    low[node] = index[after]
            else:
                work.pop()
                if work and low[node] < low[work[-1][0]]:
                    low[work[-1][0]] = low[node]
                if low[node] == index[node]:
                    components.append(_popped(stack, on_stack, node))
    return components


def _popped(stack: list[int], on_stack: list[bool], node: int) -> list[int]:
    """Take a component, whose first node is ``node``, off the stack."""
    place = len(stack) - 1
    while stack[place] != node:
        place -= 1
    component = stack[place:]
    del stack[place:]
    for one in component:
        on_stack[one] = False
    return component


def _loops(components: Iterable[list[int]]) -> list[list[int]]:
    """Leave out single nodes: none of them leads to itself."""
    return [component for component in components if len(component) > 1]


def _components(part: Part) -> list[list[int]]:
    """Return the strongly connected components of a part, as ``strongly_connected`` does."""
    nodes = list(part)
    places = {node: place for place, node in enumerate(nodes)}
    found = strongly_connected([[places[edge.target] for edge in part[node]] for node in nodes])
    return [[nodes[place] for place in component] for component in found]


def _cyclic_parts(part: Part, kinds: int) -> list[Part]:
    """Return the components with cycles that edges of these kinds make, the one with the first node first."""
    allowed = {node: [edge for edge in edges if edge.kind & (kinds | ON)] for node, edges in part.items()}
    parts: list[Part] = []
    for component in sorted(sorted(nodes) for nodes in _loops(_components(allowed))):
        inside = set(component)
        parts.append({node: [edge for edge in allowed[node] if edge.target in inside] for node in component})
    return parts


def _weakest(part: Part, suffix: str, order: int) -> Cycle:
    """Return the shortest cycle of the weakest anomaly of a component."""
    for name, kinds, first in (("G0", WW, WW), ("G1c", WW | WR, WR)):
        for inner in _cyclic_parts(part, kinds | order):
            return _cycle(name + suffix, _shortest(inner, first, kinds | order))
    path = _shortest(part, RW, WW | WR | order, _ranks(part))
    if path:
        return _cycle(f"G-single{suffix}", path)
    for inner in _cyclic_parts(_apart(part), WW | WR | RW | order):
        path = [
            (source // 2, edge._replace(target=edge.target // 2))
            for source, edge in _shortest(inner, RW, WW | WR | RW | order)
        ]
        return _cycle(f"G-nonadjacent{suffix}", path)
    return _cycle(f"G2-item{suffix}", _shortest(part, RW, WW | WR | RW | order))


def _ranks(part: Part) -> dict[int, int]:
    """Return numbers of the nodes that grow along edges other than RW, which make no cycles any more."""
    rest = {node: [edge for edge in edges if edge.kind != RW] for node, edges in part.items()}
    return {node: -place for place, [node] in enumerate(_components(rest))}


def _apart(part: Part) -> Part:
    """Return the graph in which no two RW edges follow each other.

    Node n becomes 2n, and 2n+1 for those who come to it by such an edge; helper nodes pass on how.
    """
    doubled: dict[int, list[Edge]] = {}
    for node, edges in part.items():
        doubled[2 * node] = [edge._replace(target=2 * edge.target + (edge.kind == RW)) for edge in edges]
        doubled[2 * node + 1] = [
            edge._replace(target=2 * edge.target + (edge.kind == ON)) for edge in edges if edge.kind != RW
        ]
    return doubled


def _shortest(part: Part, first: int, kinds: int, ranks: Mapping[int, int] | None = None) -> Path:
    """Return the shortest cycle of an edge of kind ``first`` and others of ``kinds``; empty: there is none.

    Once there is one, the search for a shorter one is bounded. With ``ranks``, which those others do not
    descend, nodes that can't be on the way are not walked to.
    """
    best: Path = []
    most, steps = len(part) + 1, 0
    for node, edges in part.items():
        for edge in edges:
            if edge.kind != first or (ranks is not None and ranks[edge.target] > ranks[node]):
                continue
            path, walked = _way(part, (edge.target, node), kinds, most, ranks)
            steps += walked
            if path is not None:
                best = [(node, edge), *path]
                most = sum(step.kind != ON for _, step in best) - 1
            if best and (most < 2 or steps > IMPROVEMENT):
                return best
    return best


def _way(
    part: Part, ends: tuple[int, int], kinds: int, most: int, ranks: Mapping[int, int] | None
) -> tuple[Path | None, int]:
    """Return the shortest path between two nodes, if it makes a cycle of at most so many, and the steps.

    Edges from helper nodes have no length of their own, so these come first in the queue.
    """
    start, goal = ends
    limit = None if ranks is None else ranks[goal]
    came: dict[int, tuple[int, Edge]] = {}
    lengths = {start: 1}
    queue, steps = deque([start]), 0
    while queue:
        node = queue.popleft()
        if node == goal:
            return _path_to(came, start, goal), steps
        for edge in part[node]:
            steps += 1
            length = lengths[node] + (edge.kind != ON)
            target = edge.target
            if not edge.kind & (kinds | ON) or length > most or length >= lengths.get(target, most + 1):
                continue
            if limit is None or ranks is None or ranks[target] <= limit:
                lengths[target] = length
                came[target] = (node, edge)
                (queue.appendleft if edge.kind == ON else queue.append)(target)
    return None, steps


def _path_to(came: Mapping[int, tuple[int, Edge]], start: int, goal: int) -> Path:
    path: Path = []
    while goal != start:
        path.append(came[goal])
        goal = came[goal][0]
    return path[::-1]


def _cycle(name: str, path: Path) -> Cycle:
    """Return a path from a transaction back to itself as a cycle, without helper nodes.

    What a client did one after the other it did in that order, so that is one edge as well.
    """
    numbers: list[int] = []
    edges: list[Edge] = []
    for source, edge in path:
        if edge.kind == ON:
            elements = (edges[-1].elements[0], edge.elements[1])
            edges[-1] = edges[-1]._replace(target=edge.target, elements=elements)
        elif edges and edge.kind == edges[-1].kind == PROCESS:
            edges[-1] = edges[-1]._replace(target=edge.target)
        else:
            numbers.append(source)
            edges.append(edge)
    return Cycle(name, numbers, edges)
