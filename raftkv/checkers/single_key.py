"""One key of a history on its own: every state it may have had, whatever filled the gaps.

A relaxation: that an unanswered operation happens at most once, and on all its keys at once, is left out.
So a key without a possible past proves that the history has no order; and what the states after a gap are
not, no choice for that gap may make of the key. (The idea is etcd's: a model with a set of states that each
answer filters.)
"""

from collections.abc import Hashable, Iterable
from typing import NamedTuple

from raftkv.checkers.fillers import Fillers, State, keys_of, steps_on, take
from raftkv.checkers.history import Operation
from raftkv.checkers.timeline import Timeline

Stamp = tuple[int, int, int] | None
"""What tells states of a key apart at one revision: create_revision, mod_revision, version."""


class _Link(NamedTuple):
    """The states of a key before and after a gap (its revision) or an operation (None), paired."""

    gap: int | None
    pairs: list[tuple[State, State]]


class Contradiction(NamedTuple):
    """No past of the key explains what this operation saw."""

    key: Hashable
    operation: Operation


def stamp(state: State) -> Stamp:
    """Return a state without its value."""
    return None if state is None else (state[1], state[2], state[3])


class Visit(NamedTuple):
    """A revision as one key sees it: whether it is a gap, and the answered operations that name the key."""

    revision: int
    gap: bool
    operations: list[Operation]


def visits_of(timeline: Timeline, keys: Iterable[Hashable]) -> dict[Hashable, list[Visit]]:
    """Return for each of the keys the places where it is named, and all gaps, in order of revision."""
    visits: dict[Hashable, list[Visit]] = {key: [] for key in keys}
    for place in timeline.places:
        named: dict[Hashable, list[Operation]] = {key: [] for key in visits} if place.gap else {}
        for operation in place.answered():
            for key in keys_of(operation):
                named.setdefault(key, []).append(operation)
        for key, operations in named.items():
            if key in visits:
                visits[key].append(Visit(place.revision, place.gap, operations))
    return visits


def follow(key: Hashable, visits: list[Visit], fillers: Fillers) -> dict[int, set[Stamp]] | Contradiction:
    """Follow one key through its visits.

    Returns for each gap the stamps that the key may have behind it, or the operation at which no state is
    left.
    """
    states: list[State] = [None]
    links: list[_Link] = []
    for revision, gap, operations in visits:
        if gap:
            pairs = fillers.outcomes(key, states, revision)
            links.append(_Link(revision, pairs))
            states = _unique(after for _, after in pairs)
        for operation in operations:
            [step] = steps_on(key, operation)
            pairs = [(state, after) for state in states for after in take(step, state, revision)]
            if not pairs:
                return Contradiction(key, operation)
            links.append(_Link(None, pairs))
            states = _unique(after for _, after in pairs)
    return _stamps(links, states)


def _unique(states: Iterable[State]) -> list[State]:
    return list(dict.fromkeys(states))


def _stamps(links: list[_Link], last: list[State]) -> dict[int, set[Stamp]]:
    """Walk back, keeping only the states that lead to one of the last."""
    alive, stamps = set(last), {}
    for gap, pairs in reversed(links):
        kept = [(before, after) for before, after in pairs if after in alive]
        if gap is not None:
            stamps[gap] = {stamp(after) for _, after in kept}
        alive = {before for before, _ in kept}
    return stamps
