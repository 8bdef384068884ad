"""What could have made a gap: unanswered operations, and what each may do to one key."""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from typing import Any, NamedTuple

from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.mvcc_kv import Kv, Request, apply
from raftkv.checkers.timeline import Timeline, done_with_results

State = Kv | None
Evidence = dict[int, dict[Hashable, Kv]]
"""Gap -> the keys that some answer showed with its mod_revision, as they were shown."""


class Step(NamedTuple):
    """What an operation does to one key: conditions on its mod_revision, then requests with their results.

    ``equal`` are mod_revisions that it must have, ``unequal`` one that it must not have. A result of an
    operation without an answer is not compared.
    """

    requests: tuple[tuple[Request, Any], ...]
    answered: bool
    equal: tuple[int, ...] = ()
    unequal: int | None = None


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
    """Return what an operation may do to a key.

    That is one step, or one for each branch that writes the key of a txn without an answer.
    """
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


def _step(key: Hashable, operation: Operation, done: list[tuple[Request, Any]], *, succeeded: bool) -> Step:
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
    """Return the state of the key after a step at a revision; nothing if the step contradicts the state."""
    mod = 0 if state is None else state[2]
    if mod == step.unequal or any(mod != wanted for wanted in step.equal):
        return ()
    for request, wanted in step.requests:
        changes, result = apply({request[1]: state}.get, revision, request)
        if step.answered and result != wanted:
            return ()
        state = changes.get(request[1], state)
    return (state,)


class Filler(NamedTuple):
    """An unanswered operation, by its place in the timeline's list of them.

    Operations of one ``kind`` are as good as each other in every gap: when each of two was called early
    enough to have made a gap, each could have made any later one. ``only_for`` is set where the values
    shown by answers need every such operation: then it can only have made gaps with that evidence.
    """

    number: int
    operation: Operation
    kind: int
    written: tuple[Hashable, ...]
    only_for: tuple[Hashable, Hashable] | None


class Fillers:
    """What could have made the gaps of a timeline."""

    def __init__(self, timeline: Timeline, limits: dict[int, float], evidence: Evidence) -> None:
        self._limits = limits
        self._evidence = evidence
        self.wanted = Counter((key, kv[0]) for shown in evidence.values() for key, kv in shown.items())
        """Pairs of key and value that some answer showed as made in a gap, with the number of these gaps."""
        self._held = Counter(pair for operation in timeline.unanswered for pair in _puts(operation))
        self._kinds: dict[Hashable, int] = {}
        self._all = [self._filler(*numbered) for numbered in enumerate(timeline.unanswered)]
        self._steps: dict[Hashable, list[tuple[Filler, list[Step]]]] = {}
        for filler in self._all:
            for key in dict.fromkeys(filler.written):
                self._steps.setdefault(key, []).append((filler, steps_on(key, filler.operation)))

    def _filler(self, number: int, operation: Operation) -> Filler:
        request, only_for = operation.input, None
        kind: Hashable = request
        if request[0] == "put":
            pair = (request[1], request[2])
            if pair not in self.wanted:  # nobody can tell it from another put to this key
                kind = ("put", request[1])
            elif self.wanted[pair] >= self._held[pair]:
                only_for = pair
        return Filler(
            number, operation, self._kinds.setdefault(kind, len(self._kinds)), _may_write(operation), only_for
        )

    def candidates(self, revision: int) -> Iterator[Filler]:
        """Yield the operations that were called early enough for a gap, and write the keys shown of it."""
        shown, limit = self._evidence[revision], self._limits[revision]
        for filler in self._all:
            if filler.operation.call > limit:
                return
            if self._suits(filler, shown):
                yield filler

    def _suits(self, filler: Filler, shown: dict[Hashable, Kv]) -> bool:
        if filler.only_for is not None:
            key, value = filler.only_for
            if key not in shown or shown[key][0] != value:
                return False
        return all(key in filler.written for key in shown)

    def outcomes(self, key: Hashable, states: list[State], revision: int) -> list[tuple[State, State]]:
        """Pair each state before a gap with those that the key may have behind it."""
        shown, limit, kinds = self._evidence[revision], self._limits[revision], set()
        pairs = [] if key in shown else [(state, state) for state in states]
        for filler, steps in self._steps.get(key, ()):
            if filler.operation.call > limit:
                break
            if filler.kind not in kinds and self._suits(filler, shown):
                kinds.add(filler.kind)
                pairs += [
                    (state, after)
                    for state in states
                    for step in steps
                    for after in take(step, state, revision)
                    if after == shown.get(key, after)
                ]
        return pairs


def _puts(operation: Operation) -> list[tuple[Hashable, Hashable]]:
    """Return the keys that an unanswered operation may put, each with the value."""
    request = operation.input
    requests = [*request[2], *request[3]] if request[0] == "txn" else [request]
    return list(dict.fromkeys((one[1], one[2]) for one in requests if one[0] == "put"))


def _may_write(operation: Operation) -> tuple[Hashable, ...]:
    request = operation.input
    return tuple(writes_of([*request[2], *request[3]] if request[0] == "txn" else [request]))
