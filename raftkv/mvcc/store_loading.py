"""Building a store's versions from the blocks of ``store_dump``.

A million keys must load in a few seconds, so whole blocks are checked and moved by column and not one
version at a time. Nothing is searched: keys come in their order and the index is built by appending.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby, islice
from operator import itemgetter, lt
from typing import Any

from raftkv.mvcc.compaction import NEVER
from raftkv.mvcc.parts import nonsense, unpack_block
from raftkv.mvcc.store_dump import CHANGES, HEADER, VERSIONS
from raftkv.mvcc.version_table import Entry, VersionTable
from raftkv.mvcc.versions import KEY, LEASE, MOD, VERSION, Version

_COLUMN_TYPES = [{int}, {int}, {int}, {int}, {int}, {bytes}, {bytes}]

_BUCKET_BITS = 6
"""Changes are sorted by 64 revisions at a time, so that one sort is short."""

_SORTED_AT_ONCE = 4096
"""A step of the end sorts buckets until it has sorted this many changes."""

_NO_KEY = (b"", 0, 0)


class StoreLoader:
    """Fills an empty ``table``. ``revision`` and ``compact_revision`` are there after the first block."""

    def __init__(self, table: VersionTable) -> None:
        self.revision = 0
        self.compact_revision = NEVER
        self._table = table
        self._live_keys = 0
        self._last = _NO_KEY
        self._run: list[Version] = []  # the versions of the last key so far: the next block may go on with it
        self._attached = (b"", 0)  # the last key, and the lease that it has so far
        self._changes: defaultdict[int, list[Version]] = defaultdict(list)
        self._unsorted: list[int] | None = None

    def add(self, data: bytes) -> None:
        """Take in the next block; raises PeerProtocolError."""
        match unpack_block(data):
            case (int(kind), int(revision), int(compact_revision), int(live_keys)) if kind == HEADER:
                self._take_header(revision, compact_revision, live_keys)
            case (int(kind), (*versions,)) if kind == VERSIONS and self.revision:
                self._take_versions(versions)
            case (int(kind), (*changes,)) if kind == CHANGES and self.revision:
                self._take_changes(changes)
            case _:
                raise nonsense("a block of the store")

    def _take_header(self, revision: int, compact_revision: int, live_keys: int) -> None:
        if self.revision or not NEVER <= compact_revision <= revision or revision < 1:
            raise nonsense(f"revision {revision}, compacted to {compact_revision}")
        self.revision, self.compact_revision, self._live_keys = revision, compact_revision, live_keys

    def _take_versions(self, versions: list[Version]) -> None:
        if not versions:
            return
        mods, subs, _, numbers, leases, keys, values = self._columns(versions)
        order = list(zip(keys, mods, subs, strict=True))
        if not self._last < order[0] or not all(map(lt, order, islice(order, 1, None))):
            raise nonsense("the versions are not in order")
        self._last = order[-1]
        self._table.count_bytes(len(versions), sum(map(len, keys)) + sum(map(len, values)))
        if any(leases) or self._attached[1]:
            self._attach(versions)
        self._note_changes(versions, max(mods))
        self._add_entries(versions, keys, numbers)

    def _attach(self, versions: list[Version]) -> None:
        """Attach keys to the leases that their newest versions name, going through all versions in order."""
        last, held = self._attached
        for version in versions:
            key, lease = version[KEY], version[LEASE] if version[VERSION] else 0
            if key != last:
                last, held = key, 0
            if lease != held:
                self._table.attachments.move(key, held, lease)
                held = lease
        self._attached = last, held

    def _take_changes(self, changes: list[Version]) -> None:
        if not changes:
            return
        mods = self._columns(changes)[0]
        if min(mods) < self.compact_revision or max(mods) > self.compact_revision:
            raise nonsense("changes that the compaction removed")
        self._note_changes(changes, self.compact_revision)

    def _columns(self, versions: list[Version]) -> list[tuple[Any, ...]]:
        """Return the seven fields of all versions, by field, their types checked."""
        if set(map(type, versions)) != {tuple} or set(map(len, versions)) != {len(_COLUMN_TYPES)}:
            raise nonsense("not a version")
        columns: list[tuple[Any, ...]] = list(zip(*versions, strict=True))
        if [set(map(type, column)) for column in columns] != _COLUMN_TYPES:
            raise nonsense("not a version")
        if max(columns[MOD]) > self.revision or min(columns[MOD]) < 1:
            raise nonsense("a version of a revision that was not reached")
        return columns

    def _note_changes(self, versions: list[Version], newest: int) -> None:
        """Put what the change log will hold into buckets by revision."""
        oldest = self.compact_revision
        if newest < oldest:
            return
        changes = self._changes
        for version in versions:
            if version[MOD] >= oldest:
                changes[version[MOD] >> _BUCKET_BITS].append(version)

    def _add_entries(self, versions: list[Version], keys: Sequence[bytes], numbers: Sequence[int]) -> None:
        """Add all keys but the last, which stays open: its versions may go on in the next block."""
        start = bisect_right(keys, self._run[0][KEY]) if self._run else 0
        self._run += versions[:start]
        if start == len(keys):
            return
        self._close_run()
        end = bisect_left(keys, keys[-1], start)
        self._run = versions[end:]
        whole, whole_keys = versions[start:end], keys[start:end]
        if 0 in numbers or len(set(whole_keys)) < len(whole_keys):
            for _, run in groupby(whole, key=itemgetter(KEY)):
                self._add_run(list(run))
        else:
            self._table.load(whole_keys, whole)

    def _close_run(self) -> None:
        if self._run:
            self._add_run(self._run)

    def _add_run(self, run: list[Version]) -> None:
        entry: Entry = run if len(run) > 1 else run[0]
        key, deleted = run[0][KEY], not run[-1][VERSION]
        if deleted and len(run) == 1:
            raise nonsense("a key that never was is deleted")
        self._table.load([key], [entry], [key] if deleted else ())

    def finish_step(self) -> bool:
        """Put some more changes into the change log; return True while there are more.

        Raises PeerProtocolError when the keys are not as many as the header says.
        """
        if self._unsorted is None:
            self._close_run()
            if not self.revision or self._table.live_keys != self._live_keys:
                raise nonsense(f"{self._table.live_keys} live keys instead of {self._live_keys}")
            self._unsorted = sorted(self._changes, reverse=True)
        room = _SORTED_AT_ONCE
        while self._unsorted and room > 0:
            changes = self._changes.pop(self._unsorted.pop())
            changes.sort()
            self._table.changes.extend(changes)
            room -= len(changes)
        return bool(self._unsorted)
