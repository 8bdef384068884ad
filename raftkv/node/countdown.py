"""Deadlines of many leases, in buckets by time: every change costs the same, however many leases there are.

A heap would keep the entries of leases that were moved or dropped until their old deadlines; here nothing
stays behind. A lease is due when the bucket of its deadline is over, never before it.
"""

from itertools import islice
from math import ceil, floor

BUCKET_SECONDS = 0.125
"""A power of two, so that dividing by it is exact."""

_FREED_AT_ONCE = 5000


class Countdown:
    """When each lease is due. Times are seconds on one clock that never goes back."""

    def __init__(self, now: float) -> None:
        self._deadlines: dict[int, float] = {}
        self._places: dict[int, int] = {}
        self._buckets: dict[int, dict[int, None]] = {}
        self._next = floor(now / BUCKET_SECONDS)

    def __len__(self) -> int:
        return len(self._deadlines)

    def deadline(self, lease: int) -> float | None:
        """Return when a lease is due, None if it is not counted down."""
        return self._deadlines.get(lease)

    def set(self, lease: int, deadline: float) -> None:
        """Count a lease down to ``deadline``, whether or not it was counted down before."""
        self.drop(lease)
        place = max(self._next, ceil(deadline / BUCKET_SECONDS))
        self._deadlines[lease] = deadline
        self._places[lease] = place
        bucket = self._buckets.get(place)
        if bucket is None:
            bucket = self._buckets[place] = {}
        bucket[lease] = None

    def drop(self, lease: int) -> None:
        """Count a lease down no more; one that is not counted down is let be."""
        if self._deadlines.pop(lease, None) is not None:
            self._leave_bucket(lease)

    def _leave_bucket(self, lease: int) -> None:
        place = self._places.pop(lease)
        bucket = self._buckets[place]
        del bucket[lease]
        if not bucket:
            del self._buckets[place]

    def discard_step(self) -> bool:
        """Forget some more of what is not used any more; return True while anything is left."""
        for _ in range(_FREED_AT_ONCE):
            if not self._deadlines:
                break
            lease, _ = self._deadlines.popitem()
            self._leave_bucket(lease)
        return bool(self._deadlines)

    def due(self, now: float, most: int) -> list[int]:
        """Take out at most ``most`` leases that are due, the longest due first by bucket."""
        found: list[int] = []
        last = floor(now / BUCKET_SECONDS)
        if last - self._next > len(self._buckets):  # after a pause: not bucket by bucket
            self._next = min(last, min(self._buckets, default=last))
        while self._next <= last and len(found) < most:
            bucket = self._buckets.get(self._next, {})
            taken = list(islice(bucket, most - len(found)))
            for lease in taken:
                self.drop(lease)
            found += taken
            if self._next not in self._buckets:
                self._next += 1
        return found
