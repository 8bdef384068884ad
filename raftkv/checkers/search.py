"""The search for an order in which all operations could have happened one at a time (Wing & Gong, Lowe).

The list holds a call and a return for each operation, in time order; an operation without a known end has a
call only. The search walks it from its head. A call whose operation the state allows is *placed*: the
operation joins the order, its two entries leave the list, and the walk restarts. A return that is reached
belongs to an operation that had to be placed earlier: the last placement is taken back. The end of the list
means success; what is left then are operations that never took effect. A cache of (placed operations,
state) lets no position be tried twice (Lowe 2017, "Testing for linearizability"; the same algorithm is in
Horn & Kroening 2015).

Four rules cut the search without changing its answer:

- An operation that changes nothing, whatever the state, is placed as soon as the state allows it. That choice
  is never revised: any order that has it later has an equal one that has it here.
- An operation without a known end is not placed where it changes nothing: leaving it out leads to the same.
- Of two such operations that do the same, the one called first is placed first.
- Nothing is placed that makes the answer of one of the next observations impossible, when no operation is
  left that could bring it back: the value read was overwritten, the string read begins in another way.

Operations are numbered, states and (operation, answer) pairs interned, so the inner loop works on small
integers, and each step of the model is taken once for a state. A set of placed operations is an integer,
one bit for each operation.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.models import REFUSED, Model

_HEAD = 0
_RETURN = -1
_REFUSED = -1
_LOOK_AHEAD = 2
"""Observations that are looked at before each placement; more cost more than they save."""


class DeadEnd(NamedTuple):
    """The longest order found, and the operations whose answers contradict it."""

    placed: tuple[Operation, ...]
    refused: tuple[Operation, ...]


class _Steps:
    """The model's steps by number: kinds of operations, states, and what is known of them."""

    def __init__(self, model: Model, operations: Sequence[Operation]) -> None:
        self._model = model
        self._examples: list[Operation] = []
        self._states: list[Hashable] = []
        self._numbers: dict[Hashable, int] = {}
        kinds: dict[Hashable, int] = {}
        self.kinds = [self._kind(kinds, operation) for operation in operations]
        self.known: list[dict[int, int]] = [{} for _ in self._examples]
        self.leads: list[dict[int, bool]] = [{} for _ in self._examples]
        self.reached: list[set[int]] = []
        """State -> the sets of operations with which it was reached."""
        self.initial = self._number(model.initial)

    def _kind(self, kinds: dict[Hashable, int], operation: Operation) -> int:
        known = operation.outcome is Outcome.OK
        kind = kinds.setdefault((operation.input, operation.output if known else None, known), len(kinds))
        if kind == len(self._examples):
            self._examples.append(operation)
        return kind

    def _number(self, state: Hashable) -> int:
        number = self._numbers.setdefault(state, len(self._states))
        if number == len(self._states):
            self._states.append(state)
            self.reached.append(set())
        return number

    def take(self, kind: int, state: int) -> int:
        """Return the number of the state after an operation of this kind, or ``_REFUSED``."""
        after = self._model.step(self._states[state], self._examples[kind])
        number = _REFUSED if after is REFUSED else self._number(after)
        self.known[kind][state] = number
        return number

    def find_leads(self, kind: int, state: int) -> bool:
        """Find and keep whether a state leads to the answer of an observation of this kind."""
        leads = self._model.leads_to(self._states[state], self._examples[kind])
        self.leads[kind][state] = leads
        return leads

    def setters(self, kind: int) -> set[int]:
        """Return the kinds of operations that may bring about the answer of an observation of this kind."""
        observation = self._examples[kind]
        return {one for one, example in enumerate(self._examples) if self._model.sets(example, observation)}


class Search:
    """The search over one independent part of a history; it can be run in portions.

    ``operations`` are those that matter: answered ones, and those with an unknown outcome that could change
    a state.
    """

    def __init__(self, operations: Sequence[Operation], model: Model) -> None:
        self._operations = sorted(operations, key=lambda operation: operation.call)
        self._steps = _Steps(model, self._operations)
        self._known = [self._steps.known[kind] for kind in self._steps.kinds]
        self._observes = [model.observes(operation) for operation in self._operations]
        self._observations = sum(1 << number for number, observes in enumerate(self._observes) if observes)
        self._setters_of: dict[int, int] = {}
        self._open = [operation.outcome is Outcome.UNKNOWN for operation in self._operations]
        self._twin = self._earlier_twins()
        self._make_list()
        self._state = self._steps.initial
        self._placed = 0
        self._order: list[tuple[int, int]] = []
        """Placed so far: entry of the call, state before."""
        self._entry = self._next[_HEAD]
        self._longest = -1
        self._dead_end: tuple[list[tuple[int, int]], list[int]] = ([], [])
        self.steps = 0

    def _earlier_twins(self) -> list[int]:
        """For each operation, the bit of the equal open one before it, which must be placed first; else 0."""
        last: dict[int, int] = {}
        twins = []
        for number, kind in enumerate(self._steps.kinds):
            twins.append(last.get(kind, 0) if self._open[number] else 0)
            if self._open[number]:
                last[kind] = 1 << number
        return twins

    def _make_list(self) -> None:
        """Lay out calls and returns; an entry is a position, 0 the head and behind the last one."""
        moments: list[tuple[float, int, int]] = []
        for number, operation in enumerate(self._operations):
            moments.append((operation.call, 0, number))
            if not self._open[number]:
                assert operation.returned is not None, "an answered operation has a time of its answer"
                moments.append((operation.returned, 1, number))
        moments.sort()
        count = len(moments) + 1
        self._next = [*range(1, count), _HEAD]
        self._previous = [count - 1, *range(count - 1)]
        self._number = [_RETURN, *(_RETURN if returns else number for _, returns, number in moments)]
        """Entry -> operation, for calls."""
        self._return = [_HEAD] * count
        """Entry of a call -> entry of its return, 0 if it has none."""
        calls: dict[int, int] = {}
        for entry, (_, returns, number) in enumerate(moments, 1):
            if returns:
                self._return[calls[number]] = entry
            else:
                calls[number] = entry

    def run(self, budget: int) -> bool | None:
        """Go on for at most ``budget`` steps; return whether an order exists, None if that is still open."""
        following, numbers, known = self._next, self._number, self._known
        opened, observes, twin, reached = self._open, self._observes, self._twin, self._steps.reached
        entry, state, placed, order = self._entry, self._state, self._placed, self._order
        left = budget
        while entry != _HEAD and left:
            left -= 1
            number = numbers[entry]
            if number >= 0:
                after = known[number].get(state)
                if after is None:
                    after = self._steps.take(self._steps.kinds[number], state)
                if after == _REFUSED or (opened[number] and (after == state or twin[number] & ~placed)):
                    entry = following[entry]
                    continue
                grown = placed | 1 << number
                if not observes[number] and self._hopeless(entry, after, grown):
                    entry = following[entry]
                    continue
                if grown not in reached[after]:
                    reached[after].add(grown)
                    order.append((entry, state))
                    placed, state = grown, after
                    self._unlink(entry)
                    entry = following[_HEAD]
                    continue
                if not observes[number]:
                    entry = following[entry]
                    continue
            self._placed = placed
            if not self._go_back():
                self.steps += budget - left
                return False
            entry, state, placed = self._entry, self._state, self._placed
        self._entry, self._state, self._placed = entry, state, placed
        self.steps += budget - left
        return True if entry == _HEAD else None

    def _hopeless(self, entry: int, state: int, placed: int) -> bool:
        """Tell whether a placement makes one of the next observations (by their calls) impossible."""
        left = self._observations & ~placed
        for _ in range(_LOOK_AHEAD):
            if not left:
                break
            bit = left & -left
            left ^= bit
            kind = self._steps.kinds[bit.bit_length() - 1]
            leads = self._steps.leads[kind].get(state)
            if leads is None:
                leads = self._steps.find_leads(kind, state)
            if not leads and not self._setters(kind) & ~placed:
                if len(self._order) >= self._longest:
                    self._keep_dead_end([*self._order, (entry, state)], [bit.bit_length() - 1])
                return True
        return False

    def _setters(self, kind: int) -> int:
        """Return the operations, a bit each, that may bring about the answer of an observation."""
        found = self._setters_of.get(kind)
        if found is None:
            sets = self._steps.setters(kind)
            found = sum(1 << number for number, one in enumerate(self._steps.kinds) if one in sets)
            self._setters_of[kind] = found
        return found

    def _go_back(self) -> bool:
        """Take back the last placement that was a choice, and all after it; return False if none was."""
        if len(self._order) > self._longest:
            self._keep_dead_end(self._order.copy(), self._candidates())
        while self._order:
            entry, self._state = self._order.pop()
            self._relink(entry)
            number = self._number[entry]
            self._placed ^= 1 << number
            if not self._observes[number]:
                self._entry = self._next[entry]
                return True
        return False

    def _unlink(self, call: int) -> None:
        """Take a call and its return out of the list; the two remember where they were."""
        following, previous = self._next, self._previous
        following[previous[call]], previous[following[call]] = following[call], previous[call]
        if answer := self._return[call]:
            following[previous[answer]], previous[following[answer]] = following[answer], previous[answer]

    def _relink(self, call: int) -> None:
        """Undo ``_unlink``, in the opposite order."""
        following, previous = self._next, self._previous
        if answer := self._return[call]:
            following[previous[answer]] = previous[following[answer]] = answer
        following[previous[call]] = previous[following[call]] = call

    def _candidates(self) -> list[int]:
        """Return the operations left that were called before the next return."""
        found, entry = [], self._next[_HEAD]
        while self._number[entry] >= 0 and entry != _HEAD:
            found.append(self._number[entry])
            entry = self._next[entry]
        return found

    def _keep_dead_end(self, order: list[tuple[int, int]], refused: list[int]) -> None:
        self._longest = len(order)
        self._dead_end = (order, refused)

    def dead_end(self) -> DeadEnd:
        """Return the longest order and what contradicts it, in the order of the calls."""
        order, refused = self._dead_end
        return DeadEnd(
            tuple(self._operations[self._number[entry]] for entry, _ in order),
            tuple(self._operations[number] for number in refused),
        )
