"""One version of one key, and the log of all changes in the order in which they happened.

A version is a plain tuple and not a class: the garbage collector stops looking at tuples that hold
only numbers and bytes, and a store of a million keys must not cost a pause with each collection
(NamedTuples and slotted objects are looked at for ever). The constants name its positions.
"""

from bisect import bisect_left
from operator import itemgetter
from typing import Final, TypeAlias

from raftkv.schema.kv import KeyValue

Version: TypeAlias = tuple[int, int, int, int, int, bytes, bytes]
"""(mod_revision, sub_revision, create_revision, version, lease, key, value).

``sub_revision`` orders the changes of one txn, from 0. A deletion is a version whose ``version`` and
``create_revision`` are 0 and whose value is empty.
"""

MOD: Final = 0
SUB: Final = 1
CREATE: Final = 2
VERSION: Final = 3
LEASE: Final = 4
KEY: Final = 5
VALUE: Final = 6

revision_of = itemgetter(MOD)


def position_of(version: Version) -> tuple[int, int]:
    """Return what orders all changes: (revision, sub-revision)."""
    return version[MOD], version[SUB]


VERSION_OVERHEAD = 64
"""Bytes counted for a version beside its key and value in size estimates: about a page entry's share."""


def deletion(revision: int, sub_revision: int, key: bytes) -> Version:
    """Return the version that says that ``key`` is gone from ``revision`` on."""
    return (revision, sub_revision, 0, 0, 0, key, b"")


def to_key_value(version: Version) -> KeyValue:
    """Return the version as the client API shows it."""
    mod_revision, _, create_revision, number, lease, key, value = version
    return KeyValue(key, create_revision, mod_revision, number, value, lease)


def to_bare_key(version: Version) -> KeyValue:
    """Return the version as the client API shows it without its value."""
    mod_revision, _, create_revision, number, lease, key, _ = version
    return KeyValue(key, create_revision, mod_revision, number, b"", lease)


_BLOCK = 4096


class ChangeLog:
    """Changes ordered by (revision, sub-revision), oldest first, in blocks.

    It holds every change from the last physical compaction on (that revision included, so that who
    reads on from it misses nothing, not even a deletion at that very revision). Blocks make dropping
    the old end cheap.
    """

    def __init__(self) -> None:
        self._blocks: list[list[Version]] = [[]]

    def __len__(self) -> int:
        return sum(map(len, self._blocks))

    def append(self, version: Version) -> None:
        """Add a change; it must be later than all before."""
        block = self._blocks[-1]
        if len(block) >= _BLOCK:
            block = []
            self._blocks.append(block)
        block.append(version)

    def extend(self, versions: list[Version]) -> None:
        """Add changes, in their order and later than all before."""
        start = 0
        while start < len(versions):
            if len(self._blocks[-1]) >= _BLOCK:
                self._blocks.append([])
            end = start + _BLOCK - len(self._blocks[-1])
            self._blocks[-1] += versions[start:end]
            start = end

    def read(self, start: tuple[int, int], last: int, limit: int) -> list[Version]:
        """Return at most ``limit`` changes from ``start`` (revision, sub) to revision ``last`` inclusive."""
        found: list[Version] = []
        number = bisect_left(self._blocks, start, key=_last_position)
        while number < len(self._blocks) and len(found) < limit:
            block = self._blocks[number]
            low = bisect_left(block, start, key=position_of)
            high = bisect_left(block, (last + 1, 0), key=position_of)
            found += block[low : min(high, low + limit - len(found))]
            if high < len(block):
                break
            number += 1
        return found

    def drop_block(self) -> bool:
        """Forget the newest block, for freeing a large log bit by bit; return whether any is left."""
        del self._blocks[-1]
        if self._blocks:
            return True
        self._blocks.append([])
        return False

    def drop_before(self, revision: int, limit: int) -> int:
        """Forget at most ``limit`` of the oldest changes below ``revision``; return how many went."""
        dropped = 0
        while dropped < limit:
            block = self._blocks[0]
            below = bisect_left(block, revision, key=revision_of)
            count = min(below, limit - dropped)
            if count == 0:
                break
            dropped += count
            if count == len(block) and len(self._blocks) > 1:
                del self._blocks[0]
            else:
                del block[:count]
        return dropped


def _last_position(block: list[Version]) -> tuple[int, int]:
    return position_of(block[-1]) if block else (0, 0)
