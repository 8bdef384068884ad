"""Whether reads of a counter are among the values that it can have had."""

from collections.abc import Sequence
from typing import Any

from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.verdict import Anomaly, Validity, Verdict, one_of_each


class _Bounds:
    """What a counter can be at a moment, by the additions that were called and acknowledged until then."""

    def __init__(self, initial: int) -> None:
        self.acknowledged = [initial, initial]
        """The sum of what was added for certain: the positive numbers, the negative ones."""
        self.called = [initial, initial]
        """The same of what may have been added."""
        self.floor = initial
        """What the counter was once read as, and was added to since. Holds while it only grows."""
        self.seen: Operation | None = None
        """The read that the floor comes from."""

    def call(self, operation: Operation) -> None:
        self.called[operation.input[1] < 0] += operation.input[1]

    def acknowledge(self, operation: Operation) -> None:
        number = operation.input[1]
        self.acknowledged[number < 0] += number
        if self.seen is not None and self.seen.returned is not None and operation.call > self.seen.returned:
            self.floor += number

    def read(self, operation: Operation) -> None:
        value: Any = operation.output
        if self.seen is None or value > self.floor:
            self.floor, self.seen = value, operation


def check_counter(history: Sequence[Operation], *, initial: int = 0) -> Verdict:
    """Hold each answered read (shape: ``records``) against what was added before and meanwhile.

    It sees all that was acknowledged before its call, and at most what was called before its answer; while
    nothing is taken away, never less than a read that was answered before its call. Steps are calls and
    answers.
    """
    moments: list[tuple[float, bool, int]] = []
    for number, operation in enumerate(history):
        if operation.outcome is not Outcome.FAIL:
            moments.append((operation.call, False, number))
            if operation.outcome is Outcome.OK and operation.returned is not None:
                moments.append((operation.returned, True, number))
    only_grows = all(one.input[0] == "read" or one.input[1] >= 0 for one in history)
    bounds, anomalies = _Bounds(initial), []
    before: dict[int, tuple[int, int, int, Operation | None]] = {}
    for _, returns, number in sorted(moments):
        operation = history[number]
        if operation.input[0] == "add":
            (bounds.acknowledge if returns else bounds.call)(operation)
        elif not returns:
            before[number] = (bounds.acknowledged[0], bounds.acknowledged[1], bounds.floor, bounds.seen)
        else:
            added, taken, floor, seen = before.pop(number)
            low, high = added + bounds.called[1] - initial, bounds.called[0] + taken - initial
            anomalies += _faults(operation, (low, high), floor, seen if only_grows else None)
            bounds.read(operation)
    if not any(one.input[0] == "read" and one.outcome is Outcome.OK for one in history):
        return Verdict(Validity.VALID, len(moments), "no read was answered, so nothing could contradict")
    return one_of_each(anomalies, len(moments))


def _faults(read: Operation, bounds: tuple[int, int], floor: int, seen: Operation | None) -> list[Anomaly]:
    value: Any = read.output
    who = f"process {read.process} read {value} (called at {read.call}, answered at {read.returned})"
    low, high = bounds
    if not low <= value <= high:
        text = f"{who}, but by what was added until then it was between {low} and {high}"
        return [Anomaly("out-of-bounds", text, (read,))]
    if seen is not None and value < floor:
        text = (
            f"{who}, but process {seen.process} had read {seen.output} before (answered at {seen.returned}), "
            f"and with what was added since it was at least {floor}"
        )
        return [Anomaly("non-monotonic", text, (read, seen))]
    return []
