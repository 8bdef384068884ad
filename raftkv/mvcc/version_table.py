"""All versions of all keys that the store holds, and how to find the one seen at a revision."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from raftkv.mvcc.attachments import Attachments
from raftkv.mvcc.key_index import KeyIndex, after
from raftkv.mvcc.versions import (
    KEY,
    LEASE,
    MOD,
    VALUE,
    VERSION,
    VERSION_OVERHEAD,
    ChangeLog,
    Version,
    position_of,
    revision_of,
)

Entry: TypeAlias = Version | list[Version]
"""The versions of one key: the only one, or a list of several, oldest first.

Most keys of most stores have one version, and a list for each would cost a tenth more memory and keep
a million objects under the garbage collector's eyes.
"""

_READ_AT_ONCE = 1024

LATEST = 2**63
"""Above every revision there can be."""


def newest_of(entry: Entry) -> Version:
    """Return the newest version of a key, which may be a deletion."""
    return entry[-1] if isinstance(entry, list) else entry


def seen_at(entry: Entry, revision: int) -> Version | None:
    """Return the version that reads at ``revision`` see; None if there is none, or it is a deletion."""
    version = newest_of(entry)
    if version[MOD] > revision:
        if not isinstance(entry, list):
            return None
        place = bisect_right(entry, revision, key=revision_of)
        if place == 0:
            return None
        version = entry[place - 1]
    return version if version[VERSION] else None


class OperationCounts:
    """What was done to a table since it was made: operations, not keys; ``put_bytes`` of keys and values."""

    __slots__ = ("compacted", "deletes", "put_bytes", "puts", "ranges", "txns")

    def __init__(self) -> None:
        self.puts = self.deletes = self.ranges = self.txns = 0
        self.put_bytes = 0
        self.compacted = 0

    @property
    def operations(self) -> int:
        """All but txns, which are made of these."""
        return self.puts + self.deletes + self.ranges


class VersionTable:
    """The versions of each key in key order, and all changes in the order in which they happened.

    A key whose newest version is a deletion stays, for readers of older revisions, until a compaction
    prunes it. ``deleted`` holds just these keys, so that the live keys of a range are counted by a
    subtraction and not by a walk. ``attachments`` tells the live keys of each lease.
    """

    def __init__(self) -> None:
        self.entries: KeyIndex[Entry] = KeyIndex()
        self.deleted: KeyIndex[None] = KeyIndex()
        self.changes = ChangeLog()
        self.counts = OperationCounts()
        self.attachments = Attachments()
        self.size_in_use_bytes = 0
        self._peak_bytes = 0

    @property
    def size_bytes(self) -> int:
        """The most that was in use at once since the start or the last ``forget_peak``, in bytes."""
        return max(self._peak_bytes, self.size_in_use_bytes)

    def forget_peak(self) -> None:
        """Take what is in use now for all there is."""
        self._peak_bytes = 0

    def live(self, key: bytes) -> Version | None:
        """Return the newest version of ``key`` unless it does not exist now."""
        entry = self.entries.get(key)
        return None if entry is None else seen_at(entry, LATEST)

    def history(self, key: bytes, start: tuple[int, int], limit: int) -> list[Version]:
        """Return at most ``limit`` versions of ``key`` from ``start`` (revision, sub) on, oldest first.

        They are all there if ``start`` is above the compact revision.
        """
        entry = self.entries.get(key)
        if entry is None:
            return []
        versions = entry if isinstance(entry, list) else [entry]
        place = bisect_left(versions, start, key=position_of)
        return versions[place : place + limit]

    def before(self, version: Version) -> Version | None:
        """Return what ``version`` replaced: the version of its key that was read before it, if any."""
        entry = self.entries.get(version[KEY])
        return None if entry is None else seen_at(entry, version[MOD] - 1)

    def walk(self, start: bytes, end: bytes | None) -> Iterator[Entry]:
        """Yield the entries of [start, end) in key order; the table must not change meanwhile."""
        while entries := self.entries.slice(start, end, _READ_AT_ONCE):
            yield from entries
            start = after(newest_of(entries[-1])[KEY])

    def count_live(self, start: bytes, end: bytes | None) -> int:
        """Return how many keys of [start, end) exist now."""
        return self.entries.count(start, end) - self.deleted.count(start, end)

    @property
    def live_keys(self) -> int:
        """How many keys exist now."""
        return len(self.entries) - len(self.deleted)

    def load(self, keys: Sequence[bytes], entries: Sequence[Entry], deleted: Sequence[bytes] = ()) -> None:
        """Add the entries of new keys above all there are, in key order, and say which keys are deleted.

        For filling an empty table fast; changes, sizes and attachments are the caller's.
        """
        self.entries.extend(keys, entries)
        self.deleted.extend(deleted, [None] * len(deleted))

    def count_bytes(self, versions: int, content: int) -> None:
        """Add to the size that many versions, whose keys and values have ``content`` bytes together."""
        self.size_in_use_bytes += content + versions * VERSION_OVERHEAD

    def discard_step(self) -> bool:
        """Forget some more of a table that is not used any more; return True while anything is left."""
        changes = self.changes.drop_block()
        attached = self.attachments.discard_step()
        return self.entries.drop_block() or self.deleted.drop_block() or changes or attached

    def append(self, entry: Entry | None, version: Version) -> None:
        """Record a change, later than every change before; only a live key is deleted.

        ``entry`` is the key's entry as it is now (None if it has none), which the caller has looked up.
        """
        key = version[KEY]
        self.changes.append(version)
        self.count_bytes(1, len(key) + len(version[VALUE]))
        if entry is None:
            assert version[VERSION], "a key that never was is deleted"
            self.entries.add(key, version)
            if version[LEASE]:
                self.attachments.move(key, 0, version[LEASE])
            return
        previous = newest_of(entry)
        if version[LEASE] != previous[LEASE]:
            self.attachments.move(key, previous[LEASE], version[LEASE])
        if isinstance(entry, list):
            entry.append(version)
        else:
            self.entries.replace(key, [entry, version])
        if not version[VERSION]:
            self.deleted.add(key, None)
        elif not previous[VERSION]:
            self.deleted.remove(key)

    def prune(self, key: bytes, revision: int, most: int) -> int:
        """Drop the versions of ``key`` that no read at ``revision`` or later can see, oldest first.

        Kept is the newest version at or below ``revision`` if it is not a deletion, and all above.
        Return how many went: ``most`` when there may be more.
        """
        entry = self.entries.get(key)
        if entry is None:
            return 0
        versions = entry if isinstance(entry, list) else [entry]
        count = min(superseded(versions, revision), most)
        if count == 0:
            return 0
        self._forget(key, versions[:count])
        self.counts.compacted += count
        if count == len(versions):
            self.entries.remove(key)
            self.deleted.remove(key)
        elif len(versions) - count == 1:
            self.entries.replace(key, versions[-1])
        else:
            del versions[:count]
        return count

    def _forget(self, key: bytes, versions: list[Version]) -> None:
        values = sum(len(version[VALUE]) for version in versions)
        self._peak_bytes = self.size_bytes
        self.size_in_use_bytes -= values + len(versions) * (len(key) + VERSION_OVERHEAD)


def superseded(versions: list[Version], revision: int) -> int:
    """Return how many versions, from the oldest on, nobody who reads at ``revision`` or later sees."""
    below = bisect_right(versions, revision, key=revision_of)
    keeps_last = below > 0 and versions[below - 1][VERSION] > 0
    return below - 1 if keeps_last else below


def visible_from(entry: Entry, revision: int) -> list[Version]:
    """Return the versions that reads at ``revision`` or later can see, oldest first.

    That is what a compaction to ``revision`` keeps, whether or not it has been carried out here.
    """
    versions = entry if isinstance(entry, list) else [entry]
    return versions[superseded(versions, revision) :]
