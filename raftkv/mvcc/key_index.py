"""An ordered map from keys to what is known of them, made for a million of them.

Keys stand in sorted blocks, their values in blocks beside, and the last key of each block in one
list. Two bisections find a place (one among the last keys, one in the block), so looking up, adding,
removing and seeking cost a few microseconds at most and never more: a block is split, but nothing as large as
the whole is ever copied, as a growing dict does (23 ms at 700,000 keys). A range is read as slices of
lists. A reader keeps no position but the last key it saw, so it survives any change between two slices.
The measurement behind the choice: docs/decisions/002-key-index.md.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

V = TypeVar("V")

_BLOCK = 512
"""A block is split in two when it has grown to twice this many keys."""


class KeyIndex(Generic[V]):
    """A sorted map with byte strings for keys."""

    def __init__(self, items: Iterable[tuple[bytes, V]] = ()) -> None:
        """Build from pairs of key and value, whose keys must be ascending and without duplicates."""
        self._keys: list[list[bytes]] = []
        self._values: list[list[V]] = []
        self._last: list[bytes] = []
        self._length = 0
        for key, value in items:
            self._append(key, value)

    def __len__(self) -> int:
        return self._length

    def get(self, key: bytes) -> V | None:
        """Return the value of ``key``, None if it is not there."""
        number = bisect_left(self._last, key)
        if number == len(self._keys):
            return None
        block = self._keys[number]
        offset = bisect_left(block, key)
        return self._values[number][offset] if block[offset] == key else None

    def replace(self, key: bytes, value: V) -> None:
        """Give a key that is there another value."""
        number, offset = self._seek(key)
        assert self._keys[number][offset] == key, "a key that is not in the index got a new value"
        self._values[number][offset] = value

    def add(self, key: bytes, value: V) -> None:
        """Insert a key that is not there."""
        number, offset = self._seek(key)
        if number == len(self._keys):
            self._append(key, value)
            return
        block = self._keys[number]
        assert block[offset] != key, "a key was added twice"
        block.insert(offset, key)
        self._values[number].insert(offset, value)
        self._length += 1
        if len(block) >= 2 * _BLOCK:
            self._split(number)

    def _append(self, key: bytes, value: V) -> None:
        # Ascending keys are a common load: full blocks stay full, where splitting would halve them.
        if self._keys and len(self._keys[-1]) < _BLOCK:
            self._keys[-1].append(key)
            self._values[-1].append(value)
            self._last[-1] = key
        else:
            self._keys.append([key])
            self._values.append([value])
            self._last.append(key)
        self._length += 1

    def extend(self, keys: Sequence[bytes], values: Sequence[V]) -> None:
        """Add many keys at once: ascending, and above all that are there."""
        assert not keys or not self._last or self._last[-1] < keys[0], "keys were not added in order"
        start = 0
        while start < len(keys):
            if not self._keys or len(self._keys[-1]) >= _BLOCK:
                self._keys.append([])
                self._values.append([])
                self._last.append(b"")
            end = start + _BLOCK - len(self._keys[-1])
            self._keys[-1] += keys[start:end]
            self._values[-1] += values[start:end]
            self._last[-1] = self._keys[-1][-1]
            start = end
        self._length += len(keys)

    def _split(self, number: int) -> None:
        keys, values = self._keys[number], self._values[number]
        self._keys.insert(number + 1, keys[_BLOCK:])
        self._values.insert(number + 1, values[_BLOCK:])
        self._last.insert(number, keys[_BLOCK - 1])
        del keys[_BLOCK:], values[_BLOCK:]

    def remove(self, key: bytes) -> None:
        """Take out a key that is there."""
        number, offset = self._seek(key)
        block = self._keys[number]
        assert block[offset] == key, "a key that is not in the index was removed"
        del block[offset], self._values[number][offset]
        self._length -= 1
        if not block:
            del self._keys[number], self._values[number], self._last[number]
        elif offset == len(block):
            self._last[number] = block[-1]

    def repack(self, start: bytes, blocks: int) -> bytes | None:
        """Rewrite ``blocks`` neighbouring blocks (at least 2), from that of ``start`` on, as full ones.

        Return where to go on, None at the end; anything may change between two calls.
        """
        first = bisect_left(self._last, start)
        if first == len(self._keys):
            return None
        window = slice(first, first + blocks)
        keys = [key for block in self._keys[window] for key in block]
        values = [value for block in self._values[window] for value in block]
        starts = range(0, len(keys), _BLOCK)
        self._keys[window] = [keys[start : start + _BLOCK] for start in starts]
        self._values[window] = [values[start : start + _BLOCK] for start in starts]
        self._last[window] = [block[-1] for block in self._keys[first : first + len(starts)]]
        last = first + len(starts) - 1
        # the last of them may be short: the next call begins with it and fills it up
        return self._keys[last][0] if last + 1 < len(self._keys) else None

    def drop_block(self) -> bool:
        """Forget the last block, for freeing a large index bit by bit; return whether there was one."""
        if not self._keys:
            return False
        self._length -= len(self._keys[-1])
        del self._keys[-1], self._values[-1], self._last[-1]
        return True

    def slice(self, start: bytes, end: bytes | None, limit: int) -> list[V]:
        """Return the values of at most ``limit`` keys of [start, end), in key order.

        ``end`` None is no upper bound.
        """
        found: list[V] = []
        number, offset = self._seek(start)
        while number < len(self._keys) and len(found) < limit:
            values = self._values[number]
            stop = len(values)
            if end is not None and self._last[number] >= end:
                stop = bisect_left(self._keys[number], end, offset)
            found += values[offset : min(stop, offset + limit - len(found))]
            if stop < len(values):
                break
            number += 1
            offset = 0
        return found

    def count(self, start: bytes, end: bytes | None) -> int:
        """Return how many keys are in [start, end); the cost grows with the blocks, not with the keys."""
        if end is not None and end <= start:
            return 0
        first, low = self._seek(start)
        last, high = self._seek(end) if end is not None else (len(self._keys), 0)
        return sum(map(len, self._keys[first:last])) - low + high

    def _seek(self, key: bytes) -> tuple[int, int]:
        """Return block and offset of the first key >= ``key``; a block past the end if there is none."""
        number = bisect_left(self._last, key)
        if number == len(self._keys):
            return number, 0
        return number, bisect_left(self._keys[number], key)


def after(key: bytes) -> bytes:
    """Return the smallest key above ``key``."""
    return key + b"\x00"
