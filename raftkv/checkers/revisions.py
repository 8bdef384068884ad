"""Linearizability in one pass, for answers that carry the store's revision.

The revision says where each answered operation belongs: the one that changed the store to revision r is the
r-th change, and one that changed nothing and saw revision r happened behind that change and before the next
one. So there is one order up to the places of operations without an answer, and three things are left to
check:

1. no revision was made twice, and none is missing that no unanswered operation could have made;
2. real time: walking the order, nobody returned before something earlier in the order was called;
3. replay: each answer is what the store at that place gives.

A missing revision is a *gap*: an unanswered operation made it. Which one is searched for, but later answers
mostly tell: whoever sees a key with the gap's mod_revision sees what was put there. When a choice leads
into a contradiction, the next is tried; before that, each key is followed on its own (``single_key``),
which finds most histories that no choice can mend. All but that search takes O(n log n).

This is exact, not a heuristic: "valid" comes with an order, "invalid" means that there is none.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from raftkv.checkers.fillers import Evidence, Fillers, keys_of
from raftkv.checkers.history import Operation
from raftkv.checkers.mvcc_kv import Changes, Kv, MvccKv, apply, result_of
from raftkv.checkers.single_key import Contradiction, Stamp, follow, stamp, visits_of
from raftkv.checkers.timeline import Place, Timeline, evidence_of, invalid, latest_calls, lay_out, out_of_time
from raftkv.checkers.verdict import Validity, Verdict


def check_by_revision(operations: Sequence[Operation], model: MvccKv, max_steps: int) -> Verdict | None:
    """Return the verdict on a history, or None when it has answers without a revision.

    ``operations`` are answered ones and unanswered ones that could change the store. A step is one
    operation held against one state of the store; the verdict is ``UNKNOWN`` when ``max_steps`` are spent.
    """
    timeline = lay_out(operations, model)
    if not isinstance(timeline, Timeline):
        return timeline
    late = out_of_time(timeline)
    if late is not None:
        return late
    if not any(place.gap for place in timeline.places):
        return _Replay(timeline, _Gaps({}, {}, Fillers(timeline, {}, {}))).run(max_steps)
    limits, evidence = latest_calls(timeline), evidence_of(timeline)
    fillers = Fillers(timeline, limits, evidence)
    stamps = _follow_all(timeline, fillers)
    if isinstance(stamps, Verdict):
        return stamps
    return _Replay(timeline, _Gaps(evidence, stamps, fillers)).run(max_steps)


class _Gaps(NamedTuple):
    """What is known of each gap, by revision: what answers showed of it, and keys' stamps behind it."""

    evidence: Evidence
    stamps: dict[Hashable, dict[int, set[Stamp]]]
    fillers: Fillers


def _follow_all(timeline: Timeline, fillers: Fillers) -> dict[Hashable, dict[int, set[Stamp]]] | Verdict:
    """Follow every key that an unanswered operation could have changed, or that was seen changed by one."""
    keys = dict.fromkeys(key for operation in timeline.unanswered for key in keys_of(operation))
    keys |= dict.fromkeys(key for key, _ in fillers.wanted)
    stamps = {}
    for key, visits in visits_of(timeline, keys).items():
        found = follow(key, visits, fillers)
        if isinstance(found, Contradiction):
            reason = f"no operations could have led to what it saw of {key!r}"
            return invalid(reason, timeline.order_before(found.operation), (found.operation,))
        stamps[key] = found
    return stamps


class _Choice(NamedTuple):
    """A gap with more than one filler, as it was before one of them was chosen."""

    place: int
    keys: dict[Hashable, Kv | None]
    used: int
    placed: int
    left: list[int]


class _Replay:
    """Walks the places in order and holds every answer against the store as it is there."""

    def __init__(self, timeline: Timeline, gaps: _Gaps) -> None:
        self._places, self._unanswered = timeline
        self._gaps = gaps
        self._keys: dict[Hashable, Kv | None] = {}
        self._used = 0
        """The unanswered operations that have a place, one bit each."""
        self._order: list[Operation] = []
        self._choices: list[_Choice] = []
        self._steps = 0
        self._best: tuple[tuple[Operation, ...], tuple[Operation, ...]] = ((), ())

    def run(self, max_steps: int) -> Verdict:
        index = 0
        while index < len(self._places):
            if self._steps > max_steps:
                return Verdict(Validity.UNKNOWN, self._steps, "no step was left to try more choices")
            place = self._places[index]
            refused = self._fill(index) if place.gap else self._change(place)
            while refused or (refused := self._look(place)):
                if len(self._order) >= len(self._best[0]):
                    self._best = tuple(self._order), refused
                if not self._choices:
                    reason = f"its answer is not what the store gives at revision {place.revision}"
                    return Verdict(Validity.INVALID, self._steps, reason, *self._best)
                index = self._choose_again()
                place, refused = self._places[index], ()
            index += 1
        return Verdict(Validity.VALID, self._steps)

    def _change(self, place: Place) -> tuple[Operation, ...]:
        """Apply the answered operation that made a revision; return it if its answer is another one."""
        operation = place.change
        if operation is None:
            return ()
        self._steps += 1
        changes, result = apply(self._keys.get, place.revision, operation.input)
        if not changes or result != result_of(operation):
            return (operation,)
        self._keys.update(changes)
        self._order.append(operation)
        return ()

    def _look(self, place: Place) -> tuple[Operation, ...]:
        """Compare what was seen at a revision; return the first operation that saw something else."""
        for operation in place.seen:
            self._steps += 1
            _, result = apply(self._keys.get, place.revision + 1, operation.input)
            if result != result_of(operation):
                return (operation,)
            self._order.append(operation)
        return ()

    def _fill(self, index: int) -> tuple[Operation, ...]:
        """Choose an unanswered operation for a gap; if there is none, return what tells of the gap."""
        left = self._fillers(self._places[index])
        if not left:
            return self._next_answered(index)
        if len(left) > 1:
            kept = _Choice(index, dict(self._keys), self._used, len(self._order), left)
            self._choices.append(kept)
        self._apply_filler(index, left.pop())
        return ()

    def _next_answered(self, index: int) -> tuple[Operation, ...]:
        """Return the answered operations of the first place at or behind a gap that has any."""
        answered = (place.change or place.seen for place in self._places[index:])
        found = next(one for one in answered if one)
        return (found,) if isinstance(found, Operation) else tuple(found)

    def _choose_again(self) -> int:
        """Go back to the last gap with another filler, and take that; return the gap's index."""
        choice = self._choices[-1]
        self._keys, self._used = dict(choice.keys), choice.used
        del self._order[choice.placed :]
        self._apply_filler(choice.place, choice.left.pop())
        if not choice.left:
            self._choices.pop()
        return choice.place

    def _apply_filler(self, index: int, number: int) -> None:
        operation = self._unanswered[number]
        changes, _ = apply(self._keys.get, self._places[index].revision, operation.input)
        self._keys.update(changes)
        self._used |= 1 << number
        self._order.append(operation)

    def _fillers(self, place: Place) -> list[int]:
        """Return one operation of each kind that could have made a gap, the best guess last."""
        revision, found = place.revision, []
        for filler in self._gaps.fillers.candidates(revision, self._used, self._keys.get):
            self._steps += 1
            changes, _ = apply(self._keys.get, revision, filler.operation.input)
            if changes and self._fits(changes, revision):
                found.append(filler.number)
        return found[::-1]

    def _fits(self, changes: Changes, revision: int) -> bool:
        """Tell whether changes are what was shown of a gap, and lead no key to where it can't have been."""
        evidence = self._gaps.evidence[revision]
        if any(changes.get(key) != kv for key, kv in evidence.items()):
            return False
        return all(
            stamp(changes[key] if key in changes else self._keys.get(key)) in stamps[revision]
            for key, stamps in self._gaps.stamps.items()
        )
