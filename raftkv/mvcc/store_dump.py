"""The store at one revision, written out in key order while it goes on changing.

The first block is ``[HEADER, revision, compact revision, live keys]``. Blocks ``[VERSIONS, [version ...]]``
follow, with all versions that reads from the compact revision to that revision can see, by key and then
from the oldest to the newest; then blocks ``[CHANGES, [version ...]]``, with what was changed at the compact
revision itself and no read can see (deletions, mostly): who watches from there on must be told of it.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Final

from raftkv.mvcc.key_index import after
from raftkv.mvcc.parts import pack_block
from raftkv.mvcc.version_table import Entry, VersionTable, newest_of, seen_at, superseded
from raftkv.mvcc.versions import KEY, MOD, SUB, VALUE, Version, position_of, revision_of

HEADER: Final = 0
VERSIONS: Final = 1
CHANGES: Final = 2

_AT_ONCE = 500
"""Most keys that are looked at, and versions written, in one step."""

_BLOCK_BYTES = 256 << 10
"""A block ends with the first version that takes it beyond this."""

_START = (0, 0)


def _nothing() -> None:
    """Unpin what is not pinned any more."""


class StoreDump:
    """A dump of ``table`` at ``revision``.

    It keeps no position but the last key and version it wrote, so whatever happens between two blocks
    can't disturb it; ``unpin`` ends the rule that nothing it may need is removed.
    """

    def __init__(
        self, table: VersionTable, revision: int, compact_revision: int, unpin: Callable[[], None]
    ) -> None:
        self._table = table
        self._revision = revision
        self._compact_revision = compact_revision
        self._live_keys = table.live_keys
        self._unpin = unpin
        self._key = b""
        self._written = _START
        self._next_change = (compact_revision, 0)

    def blocks(self) -> Iterator[bytes]:
        """Yield the blocks."""
        yield pack_block(HEADER, self._revision, self._compact_revision, self._live_keys)
        for versions in self.versions():
            yield pack_block(VERSIONS, versions)
        while (changes := self._read_changes()) is not None:
            yield pack_block(CHANGES, changes)

    def versions(self) -> Iterator[list[Version]]:
        """Yield the versions that can be read, some at a time, by key and then from the oldest on."""
        while (versions := self._read_versions()) is not None:
            yield versions

    def close(self) -> None:
        """Let compaction go on; no block may be asked for after."""
        unpin, self._unpin = self._unpin, _nothing
        unpin()

    def _read_versions(self) -> list[Version] | None:
        """Return the next versions, perhaps none of them, and None at the end."""
        assert self._unpin is not _nothing, "a dump was closed while it was read"
        entries = self._table.entries.slice(self._key, None, _AT_ONCE)
        if not entries:
            return None
        found: list[Version] = []
        room = _BLOCK_BYTES
        for entry in entries:
            for version in self._left_of(entry):
                found.append(version)
                room -= len(version[KEY]) + len(version[VALUE])
                if room <= 0 or len(found) == _AT_ONCE:
                    self._key, self._written = version[KEY], position_of(version)
                    return found
        self._key, self._written = after(newest_of(entries[-1])[KEY]), _START
        return found

    def _left_of(self, entry: Entry) -> list[Version]:
        """Return the next versions of a key that belong into the dump and were not written yet."""
        versions = entry if isinstance(entry, list) else [entry]
        first = superseded(versions, self._compact_revision)
        if versions[0][KEY] == self._key:
            first = max(first, bisect_right(versions, self._written, key=position_of))
        end = bisect_right(versions, self._revision, key=revision_of)
        return versions[first : min(end, first + _AT_ONCE)]

    def _read_changes(self) -> list[Version] | None:
        """Return the next changes at the compact revision that no read can see, None at the end."""
        assert self._unpin is not _nothing, "a dump was closed while it was read"
        changes = self._table.changes.read(self._next_change, self._compact_revision, _AT_ONCE)
        if not changes:
            return None
        self._next_change = (changes[-1][MOD], changes[-1][SUB] + 1)
        return [version for version in changes if not self._is_seen(version)]

    def _is_seen(self, version: Version) -> bool:
        entry = self._table.entries.get(version[KEY])
        seen = None if entry is None else seen_at(entry, self._compact_revision)
        return seen is not None and position_of(seen) == position_of(version)
