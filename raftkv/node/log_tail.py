"""How long the log has grown since the last snapshot, and how much of it stays after the next.

Entries are counted when they are applied. So as not to keep a number for each, a mark is set every few
entries; a tail begins at a mark.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from raftkv.raft import Entry

ENTRY_BYTES = 128
"""What an entry takes beside its data, about: in memory more, on disk less."""

MARK_ENTRIES = 64
MARK_BYTES = 1 << 20
"""A mark is set after so many entries or bytes."""

MIN_SNAPSHOT_BYTES = 64 << 20
"""A log of this size is not worth a snapshot yet, however few its entries."""

TAIL_ENTRIES = 5_000
TAIL_BYTES = 64 << 20
"""What stays for followers that are a little behind; as etcd's 5,000, with a bound on bytes beside it."""

INSTALLING_TAIL_BYTES = 128 << 20
"""What stays for followers that install an older snapshot, so that they need not install another one."""


class _Mark(NamedTuple):
    """All applied entries up to ``index`` had ``total`` bytes."""

    index: int  # type: ignore[assignment]  # the paper's name wins over tuple.index
    total: int


class LogTail:
    """The applied log of one member, which begins after ``index``.

    ``limit``: entries after which a snapshot is due. ``newest_size``: bytes of the newest snapshot, 0 where
    there is none.
    """

    def __init__(self, limit: int, index: int, newest_size: int) -> None:
        self._limit = limit
        self._last = _Mark(index, 0)
        self._marks = deque([self._last])
        self._snapshot = self._last
        self._newest_size = newest_size

    def applied(self, entries: Sequence[Entry]) -> None:
        """Count entries that were applied."""
        size = sum(len(entry.data) for entry in entries) + ENTRY_BYTES * len(entries)
        self._last = _Mark(entries[-1].index, self._last.total + size)
        mark = self._marks[-1]
        if self._last.index - mark.index >= MARK_ENTRIES or self._last.total - mark.total >= MARK_BYTES:
            self._marks.append(self._last)

    @property
    def due(self) -> bool:
        """Whether the log since the last snapshot is long enough for another one."""
        entries = self._last.index - self._snapshot.index
        most_bytes = max(MIN_SNAPSHOT_BYTES, self._newest_size // 2)
        return entries > self._limit or self._last.total - self._snapshot.total > most_bytes

    def set_mark(self) -> None:
        """Mark the place that is applied now, because a snapshot of it begins."""
        if self._last.index > self._marks[-1].index:
            self._marks.append(self._last)

    def first_index(self, snapshot_index: int, installing: Sequence[int]) -> int:
        """Return where the log is to begin once the snapshot at ``snapshot_index`` is published.

        ``snapshot_index`` was marked. ``installing``: indexes of snapshots that followers fetch.
        """
        end = self._mark_at(snapshot_index)
        assert end is not None, f"no mark at {snapshot_index}"
        entries = min(TAIL_ENTRIES, self._limit)
        near = [
            mark.index + 1
            for mark in self._marks
            if 0 <= end.index - mark.index <= entries and end.total - mark.total <= TAIL_BYTES
        ]
        needed = [
            mark.index + 1
            for index in installing
            if (mark := self._mark_at(index)) and 0 <= end.total - mark.total <= INSTALLING_TAIL_BYTES
        ]
        return min(near + needed)

    def published(self, snapshot_index: int, size: int, first_index: int) -> None:
        """Note that a snapshot of ``size`` bytes was published and the log begins at ``first_index``."""
        self._snapshot = self._mark_at(snapshot_index) or self._last
        self._newest_size = size
        while len(self._marks) > 1 and self._marks[1].index < first_index:
            self._marks.popleft()

    def _mark_at(self, index: int) -> _Mark | None:
        """Return the last mark at or before ``index``, None where the log begins later."""
        return next((mark for mark in reversed(self._marks) if mark.index <= index), None)
