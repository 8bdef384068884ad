"""Which of many ranges of keys hold a key.

Ranges stand in blocks in the order of their starts, and with each block how far its ranges reach at most.
A look-up passes over the blocks that begin above the key or end below it, so that one among 10,000
ranges that do not overlap costs some microseconds, and no more than 20 where they all do but few hold it.
"""

from bisect import bisect_left, bisect_right
from operator import itemgetter
from typing import Final, Generic, TypeAlias, TypeVar

from raftkv.mvcc.bounds import Bounds

V = TypeVar("V")
Upper: TypeAlias = tuple[bool, bytes]
"""An exclusive upper bound that sorts as it should; (True, b"") = no upper bound."""

_BLOCK = 32
"""A block is split in two when it has grown to twice this many ranges."""

_UPPER: Final = itemgetter(1)
_TOP: Final = (True, b"")


class WatchedRanges(Generic[V]):
    """A map from ranges to values that is asked for all values at a key."""

    def __init__(self) -> None:
        self._values: dict[Bounds, V] = {}
        self._blocks: list[list[tuple[bytes, Upper, V]]] = []
        self._firsts: list[tuple[bytes, Upper]] = []
        self._reaches: list[Upper] = []

    def __len__(self) -> int:
        return len(self._values)

    def get(self, bounds: Bounds) -> V | None:
        """Return the value of exactly this range, None if it is not there."""
        return self._values.get(bounds)

    def values(self) -> list[V]:
        """Return the values of all ranges, in the order in which they were added."""
        return list(self._values.values())

    def add(self, bounds: Bounds, value: V) -> None:
        """Insert a range that is not there and is not empty."""
        assert bounds not in self._values, "a range was added twice"
        self._values[bounds] = value
        start, upper = bounds[0], (bounds[1] is None, bounds[1] or b"")
        number = self._block_of(start, upper)
        if not self._blocks:
            self._blocks.append([])
            self._firsts.append((start, upper))
            self._reaches.append(upper)
        block = self._blocks[number]
        block.insert(bisect_left(block, (start, upper)), (start, upper, value))
        if len(block) >= 2 * _BLOCK:
            self._blocks.insert(number + 1, block[_BLOCK:])
            del block[_BLOCK:]
            self._firsts.insert(number + 1, (b"", _TOP))
            self._reaches.insert(number + 1, (False, b""))
            self._look_at(number + 1)
        self._look_at(number)

    def remove(self, bounds: Bounds) -> None:
        """Take out a range that is there."""
        del self._values[bounds]
        start, upper = bounds[0], (bounds[1] is None, bounds[1] or b"")
        number = self._block_of(start, upper)
        block = self._blocks[number]
        del block[bisect_left(block, (start, upper))]
        if block:
            self._look_at(number)
        else:
            del self._blocks[number], self._firsts[number], self._reaches[number]

    def holding(self, key: bytes) -> list[V]:
        """Return the values of all ranges that hold ``key``."""
        point = (False, key)
        found: list[V] = []
        for number in range(bisect_right(self._firsts, (key, _TOP))):
            if self._reaches[number] > point:
                for start, upper, value in self._blocks[number]:
                    if start > key:
                        break
                    if upper > point:
                        found.append(value)
        return found

    def _block_of(self, start: bytes, upper: Upper) -> int:
        """Return the last block whose first range is at or below this one, or the first block."""
        return max(bisect_right(self._firsts, (start, upper)) - 1, 0)

    def _look_at(self, number: int) -> None:
        """Note again where a block begins and how far it reaches."""
        block = self._blocks[number]
        self._firsts[number] = block[0][:2]
        self._reaches[number] = max(map(_UPPER, block))
