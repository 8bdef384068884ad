"""What could have made a gap: unanswered operations, and what each may do to one key."""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from itertools import islice, takewhile
from typing import Any, NamedTuple

from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.mvcc_kv import Get, Kv, Request, apply
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
        self._putters: dict[tuple[Hashable, Hashable], list[Filler]] = {}
        """Key and value that some answer showed -> what may put it, in the order of calls."""
        self._free: dict[int, list[Filler]] = {}
        """By kind, what may have made a gap that nobody saw, unless it is in ``_guarded``."""
        self._guarded: dict[Hashable, dict[int, list[Filler]]] = {}
        """Key -> mod_revision -> the same of what changes nothing if the key has another one."""
        self._steps: dict[Hashable, _KeySteps] = {}
        for number, operation in enumerate(timeline.unanswered):
            self._add(self._filler(number, operation))

    def _add(self, filler: Filler) -> None:
        """Put an operation where the gaps that it may have made are looked for."""
        for pair in _puts(filler.operation):
            if pair in self.wanted:
                self._putters.setdefault(pair, []).append(filler)
        if filler.only_for is not None:
            return
        request = filler.operation.input
        if request[0] == "txn" and request[1] and not writes_of(request[3]):
            key, mod = request[1][0]
            self._guarded.setdefault(key, {}).setdefault(mod, []).append(filler)
        else:
            self._free.setdefault(filler.kind, []).append(filler)
        for key in dict.fromkeys(filler.written):
            self._steps.setdefault(key, _KeySteps()).add(key, filler)

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

    def candidates(self, revision: int, used: int, get: Get) -> list[Filler]:
        """Return what may have made a gap, one operation of each kind, in the order of calls.

        Those were called early enough, are not among the ``used`` (one bit each), and write the keys that
        were shown of the gap; ``get`` reads the state before it.
        """
        shown = self._evidence[revision]
        kinds: dict[int, Filler] = {}
        if shown:
            for filler in self._early(revision, self._shown_putters(shown)):
                if not used >> filler.number & 1 and self._suits(filler, shown):
                    kinds.setdefault(filler.kind, filler)
            return list(kinds.values())
        groups = [*self._free.values()]
        for key, by_mod in self._guarded.items():
            kv = get(key)
            groups += [[filler] for filler in by_mod.get(0 if kv is None else kv[2], ())]
        for group in groups:
            unused = (one for one in self._early(revision, group) if not used >> one.number & 1)
            for filler in islice(unused, 1):
                kinds.setdefault(filler.kind, filler)
        return sorted(kinds.values(), key=lambda filler: filler.number)

    def _shown_putters(self, shown: dict[Hashable, Kv]) -> list[Filler]:
        """Return what may put the first of the values that were shown of a gap."""
        key, kv = next(iter(shown.items()))
        return self._putters.get((key, kv[0]), [])

    def _early(self, revision: int, fillers: Iterable[Filler]) -> Iterator[Filler]:
        """Yield those that were called early enough for a gap."""
        limit = self._limits[revision]
        return takewhile(lambda filler: filler.operation.call <= limit, fillers)

    def _suits(self, filler: Filler, shown: dict[Hashable, Kv]) -> bool:
        if filler.only_for is not None:
            key, value = filler.only_for
            if key not in shown or shown[key][0] != value:
                return False
        return all(key in filler.written for key in shown)

    def outcomes(self, key: Hashable, states: list[State], revision: int) -> list[tuple[State, State]]:
        """Pair each state before a gap with those that the key may have behind it."""
        shown = self._evidence[revision]
        pairs = [] if key in shown else [(state, state) for state in states]
        if not shown:
            steps = self._steps.get(key)
            limit = self._limits[revision]
            return pairs if steps is None else pairs + steps.outcomes(states, revision, limit)
        for filler in self._early(revision, self._shown_putters(shown)):
            if key in filler.written and self._suits(filler, shown):
                pairs += [
                    (state, after)
                    for state in states
                    for step in steps_on(key, filler.operation)
                    for after in take(step, state, revision)
                    if after == shown.get(key, after)
                ]
        return pairs


class _KeySteps:
    """What operations may do to one key in a gap that nobody saw, one operation of each kind."""

    def __init__(self) -> None:
        self._kinds: set[int] = set()
        self._always: list[tuple[float, Step]] = []
        """The time of the call, and the step."""
        self._guarded: dict[int, list[tuple[float, Step]]] = {}
        """The same by the mod_revision that the key must have."""

    def add(self, key: Hashable, filler: Filler) -> None:
        """Add the steps of an operation, which was called behind all that were added before."""
        if filler.kind in self._kinds:
            return
        self._kinds.add(filler.kind)
        for step in steps_on(key, filler.operation):
            steps = self._guarded.setdefault(step.equal[0], []) if step.equal else self._always
            steps.append((filler.operation.call, step))

    def outcomes(self, states: list[State], revision: int, limit: float) -> list[tuple[State, State]]:
        """Pair each state with those behind a step of an operation that was called by then."""
        return [
            (state, after)
            for state in states
            for steps in (self._always, self._guarded.get(0 if state is None else state[2], ()))
            for _, step in takewhile(lambda one: one[0] <= limit, steps)
            for after in take(step, state, revision)
        ]


def _puts(operation: Operation) -> list[tuple[Hashable, Hashable]]:
    """Return the keys that an unanswered operation may put, each with the value."""
    request = operation.input
    requests = [*request[2], *request[3]] if request[0] == "txn" else [request]
    return list(dict.fromkeys((one[1], one[2]) for one in requests if one[0] == "put"))


def _may_write(operation: Operation) -> tuple[Hashable, ...]:
    request = operation.input
    return tuple(writes_of([*request[2], *request[3]] if request[0] == "txn" else [request]))
