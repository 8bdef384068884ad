"""When a store had reached a revision, as far as the answers with revisions tell."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple

from raftkv.checkers.history import Operation, Outcome

NEVER = float("inf")


class Answered(NamedTuple):
    """An answered operation and the revision in its answer."""

    operation: Operation
    revision: int


class RevisionTimes:
    """Bounds between times and revisions, from answers of linearizable operations with their revisions."""

    def __init__(self, answers: Iterable[Answered]) -> None:
        by_revision = sorted(
            (answer for answer in answers if answer.revision > 0), key=lambda one: one.revision
        )
        self._revisions = [answer.revision for answer in by_revision]
        earliest = accumulate(reversed(by_revision), _earlier)
        self._earliest = list(earliest)[::-1]
        by_call = sorted(by_revision, key=lambda one: one.operation.call)
        self._calls = [answer.operation.call for answer in by_call]
        self._lowest = list(accumulate(reversed(by_call), _lower))[::-1]

    def reached(self, revision: int) -> Operation | None:
        """Return the operation that returned first with this revision or a later one, None without any."""
        position = bisect_left(self._revisions, revision)
        return self._earliest[position].operation if position < len(self._earliest) else None

    def not_reached(self, time: float) -> Answered | None:
        """Return the answer with the lowest revision of those called after ``time``, None without any.

        At that time the revision was not higher.
        """
        position = bisect_right(self._calls, time)
        return self._lowest[position] if position < len(self._lowest) else None


def returned(operation: Operation) -> float:
    """Return when the operation returned; ``NEVER`` without an answer."""
    if operation.returned is None or operation.outcome is Outcome.UNKNOWN:
        return NEVER
    return operation.returned


def _earlier(one: Answered, other: Answered) -> Answered:
    return one if returned(one.operation) <= returned(other.operation) else other


def _lower(one: Answered, other: Answered) -> Answered:
    return one if one.revision <= other.revision else other
