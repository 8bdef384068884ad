"""What key and range_end of a request mean, and sets of such ranges.

The API has three forms: an empty range_end is the one key, one zero byte is "from key on", anything
else an exclusive end. An end at or below the key is an empty range and no error.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import TypeAlias

Bounds: TypeAlias = tuple[bytes, bytes | None]
"""[start, end) in bytes order; end None = no upper bound."""

FROM_KEY = b"\x00"
"""The range_end that means: no end."""


def bounds(key: bytes, range_end: bytes) -> Bounds:
    """Return the range of keys a request names."""
    if not range_end:
        return key, key + b"\x00"
    if range_end == FROM_KEY:
        return key, None
    return key, range_end


class BoundsSet:
    """The union of ranges, kept as disjoint ranges in order, so that a look-up is one bisection."""

    def __init__(self) -> None:
        self._starts: list[bytes] = []
        self._ends: list[tuple[bool, bytes]] = []  # (True, b"") = no upper bound

    def add(self, start: bytes, end: bytes | None) -> None:
        """Add [start, end); an empty range adds nothing."""
        if end is not None and end <= start:
            return
        upper = (end is None, end or b"")
        first = bisect_left(self._ends, (False, start))
        last = len(self._starts) if end is None else bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            upper = max(upper, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [upper]

    def update(self, other: "BoundsSet") -> None:
        """Add all ranges of ``other``."""
        for start, end in other.ranges():
            self.add(start, end)

    def ranges(self) -> Iterator[Bounds]:
        """Yield the disjoint ranges, ascending."""
        for start, (unbounded, end) in zip(self._starts, self._ends, strict=True):
            yield start, None if unbounded else end

    def __contains__(self, key: bytes) -> bool:
        number = bisect_right(self._starts, key) - 1
        return number >= 0 and (False, key) < self._ends[number]
