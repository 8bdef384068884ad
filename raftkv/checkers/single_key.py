"""One key of a history on its own: every state it may have had, with gaps filled by whatever could have filled them.

A relaxation: that an unanswered operation happens at most once, and on all its keys at once, is left out. So a key without
a possible past proves that the history has no order; and what the states after a gap are not, no choice
for that gap may make of the key. (The idea is etcd's: a model with a set of states that each answer filters.)
"""

from collections.abc import Hashable, Iterable, Iterator
from typing import Any, NamedTuple

from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.mvcc_kv import Kv, Request, apply
from raftkv.checkers.timeline import Place, Timeline, done_with_results

State = Kv | None
Stamp = tuple[int, int, int] | None
"""What tells states of a key apart at one revision: create_revision, mod_revision, version."""
Evidence = dict[int, dict[Hashable, Kv]]


class Step(NamedTuple):
    """What an operation does to one key: conditions on its mod_revision, then requests with their results.

    ``equal`` are mod_revisions that it must have, ``unequal`` one that it must not have. A result of an operation without
    an answer is not compared.
    """

    requests: tuple[tuple[Request, Any], ...]
    answered: bool
    equal: tuple[int, ...] = ()
    unequal: int | None = None


class _Link(NamedTuple):
    """The states of a key before and after a gap (its revision) or an operation (None), paired."""

    gap: int | None
    pairs: list[tuple[State, State]]


class Contradiction(NamedTuple):
    """No past of the key explains what this operation saw."""

    key: Hashable
    index: int
    operation: Operation


def stamp(state: State) -> Stamp:
    """Return a state without its value."""
    return None if state is None else (state[1], state[2], state[3])


def keys_of(operation: Operation) -> list[Hashable]:
    """Return the keys that an operation names, each once."""
    request = operation.input
    if request[0] != "txn":
        return [request[1]]
    named = [key for key, _ in request[1]] + [one[1] for branch in request[2:4] for one in branch]
    return list(dict.fromkeys(named))


def writes_of(requests: Iterable[Request]) -> list[Hashable]:
    """Return the keys that some of the requests put or delete."""
    return [request[1] for request in requests if request[0] != "get"]


def steps_on(key: Hashable, operation: Operation) -> list[Step]:
    """Return what an operation may do to a key: one step, or one for each branch of an unanswered txn that writes it."""
    if operation.outcome is Outcome.OK:
        done = [pair for pair in done_with_results(operation) if pair[0][1] == key]
        succeeded = operation.input[0] != "txn" or operation.output[1][0]  # type: ignore[index]
        return [_step(key, operation, done, succeeded=succeeded)]
    if operation.input[0] != "txn":
        return [Step(((operation.input, None),), answered=False)]
    branches = ((True, operation.input[2]), (False, operation.input[3]))
    return [
        _step(key, operation, [(request, None) for request in branch if request[1] == key], succeeded=taken)
        for taken, branch in branches
        if key in writes_of(branch)
    ]


def _step(
    key: Hashable, operation: Operation, done: list[tuple[Request, Any]], *, succeeded: bool
) -> Step:
    answered = operation.outcome is Outcome.OK
    if operation.input[0] != "txn":
        return Step(tuple(done), answered)
    compares = operation.input[1]
    mods = tuple(mod for compared, mod in compares if compared == key)
    if succeeded:
        return Step(tuple(done), answered, mods)
    # Of several compares, nobody knows which one failed.
    return Step(tuple(done), answered, (), mods[0] if len(compares) == len(mods) == 1 else None)


def take(step: Step, state: State, revision: int) -> tuple[State, ...]:
    """Return the state of the key after a step at a revision, or nothing if the step contradicts the state."""
    mod = 0 if state is None else state[2]
    if mod == step.unequal or any(mod != wanted for wanted in step.equal):
        return ()
    for request, wanted in step.requests:
        before = state
        changes, result = apply(lambda _key, held=before: held, revision, request)
        if step.answered and result != wanted:
            return ()
        state = changes.get(request[1], state)
    return (state,)


class Fillers:
    """What could have made each gap, seen from one key."""

    def __init__(self, timeline: Timeline, limits: dict[int, float], evidence: Evidence) -> None:
        self._unanswered = timeline.unanswered
        self._limits = limits
        self._evidence = evidence
        self.wanted = {
            (key, kv[0]) for shown in evidence.values() for key, kv in shown.items()
        }
        """Pairs of key and value that some answer showed as made in a gap."""

    def kind(self, operation: Operation) -> Hashable:
        """Return what unanswered operations share that are as good as each other in every gap.

        Values that no answer showed don't matter. When each of two could have made a gap by the time of its call,
        each could make any later one.
        """
        request = operation.input
        if request[0] == "put" and (request[1], request[2]) not in self.wanted:
            return ("put", request[1])
        return request

    def steps(self, key: Hashable, revision: int) -> Iterator[Step]:
        """Yield the different steps on a key that could have made a gap."""
        shown, kinds = self._evidence[revision], set()
        for operation in self._unanswered:
            if operation.call > self._limits[revision]:
                return
            kind = self.kind(operation)
            if kind not in kinds and key in keys_of(operation):
                kinds.add(kind)
                written = _may_write(operation)
                if all(other in written for other in shown):
                    yield from steps_on(key, operation)

    def outcomes(self, key: Hashable, state: State, revision: int, steps: list[Step]) -> list[State]:
        """Return the states that a key in ``state`` may have after a gap."""
        found = [after for step in steps for after in take(step, state, revision) if after != state]
        shown = self._evidence[revision].get(key)
        if shown is not None:
            return [after for after in found if after == shown]
        return [state, *found]


def _may_write(operation: Operation) -> list[Hashable]:
    request = operation.input
    return writes_of([*request[2], *request[3]] if request[0] == "txn" else [request])


def follow(
    key: Hashable, visits: list[tuple[int, Place]], fillers: Fillers
) -> dict[int, set[Stamp]] | Contradiction:
    """Follow one key through its visits: the places that name it, and all gaps.

    Returns for each gap the stamps that the key may have behind it, or the operation at which no state is left.
    """
    states: list[State] = [None]
    links: list[_Link] = []
    for index, place in visits:
        if place.gap:
            steps = list(fillers.steps(key, place.revision))
            pairs = [
                (state, after)
                for state in states
                for after in fillers.outcomes(key, state, place.revision, steps)
            ]
            links.append(_Link(place.revision, pairs))
            states = _unique(after for _, after in pairs)
        for operation in (*([place.change] if place.change else []), *place.seen):
            for step in steps_on(key, operation) if key in keys_of(operation) else ():
                pairs = [(state, after) for state in states for after in take(step, state, place.revision)]
                if not pairs:
                    return Contradiction(key, index, operation)
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
