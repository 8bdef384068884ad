"""What clients were told of each lease."""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple

from raftkv.checkers.findings import output_of
from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.revision_times import NEVER, returned


class Refresh(NamedTuple):
    """A grant or keepalive that began a lease anew, or may have: called then, in force at ``latest``."""

    call: float
    latest: float


class Book:
    """One lease: what was done with it, and what was seen of it, each in the order of the calls.

    ``ttl``: the most seconds that were asked for or granted. ``not_before``: it can't have run out before.
    """

    def __init__(self) -> None:
        self.ttl = 0
        self.not_before = -NEVER
        self.refreshed_by: Operation | None = None
        self.refreshes: list[Refresh] = []
        self.alive: list[Operation] = []
        self.gone: list[Operation] = []
        self.revokes: list[Operation] = []
        self._latest: list[float] = []

    def deadline(self, call: float) -> float:
        """Return when it has to be gone, by all that was called before ``call``."""
        if not self._latest:
            self._latest = list(accumulate((one.latest for one in self.refreshes), max))
        before = bisect_left(self.refreshes, call, key=lambda one: one.call)
        return self._latest[before - 1] + self.ttl if before else NEVER

    def end(self) -> Operation | None:
        """Return the operation that returned first of those which found the lease gone for good.

        "No such lease" may also be said of one that is not yet there, so it must have been seen before.
        """
        known = min(map(returned, self.alive), default=NEVER)
        final = [one for one in self.gone if one.call > known or (one.input[0] == "revoke" and found(one))]
        return min(final, key=returned, default=None)


def found(operation: Operation) -> bool:
    """Tell whether an answered operation found its lease there."""
    name, output = operation.input[0], output_of(operation)
    if name in ("grant", "keepalive"):
        return bool(output[1] > 0)
    return bool(output[2] > 0) if name == "timetolive" else bool(output[0] > 0)


def lease_of(operation: Operation) -> int:
    """Return the lease that an operation is about, or that a read showed; 0: none."""
    name, arguments = operation.input[0], operation.input[1:]
    if name == "put":
        return int(arguments[2])
    if name in ("get", "delete"):
        shown = output_of(operation)[1] if name == "get" and operation.outcome is Outcome.OK else None
        return 0 if shown is None else int(shown[2])
    return int(arguments[0])


def books_of(operations: Iterable[Operation], in_flight: float) -> dict[int, Book]:
    """Return all books; a refresh without an answer may take effect until ``in_flight`` after its call."""
    books: dict[int, Book] = {}
    for operation in sorted(operations, key=lambda one: one.call):
        lease = lease_of(operation)
        if lease and operation.outcome is not Outcome.FAIL:
            _enter(books.setdefault(lease, Book()), operation, in_flight)
    return books


def _enter(book: Book, operation: Operation, in_flight: float) -> None:
    name, answered = operation.input[0], operation.outcome is Outcome.OK
    if name == "revoke":
        book.revokes.append(operation)
    if name == "grant":
        book.ttl = max(book.ttl, int(operation.input[2]))
    if answered:
        ends = name == "revoke" or not found(operation)
        (book.gone if ends else book.alive).append(operation)
    if name not in ("grant", "keepalive") or (answered and not found(operation)):
        return
    latest = returned(operation) if answered else operation.call + in_flight
    book.refreshes.append(Refresh(operation.call, latest))
    if answered:
        seconds = int(output_of(operation)[1])
        book.ttl = max(book.ttl, seconds)
        if operation.call + seconds > book.not_before:
            book.not_before, book.refreshed_by = operation.call + seconds, operation
