"""The log in memory, and how much of it is where.

One list of entries (the file is read at start only), with three frontiers that move over it:
``durable_index`` (on this member's disk), the commit index (the core's) and what was handed to the
disk but is not acknowledged yet. A conflicting suffix that is truncated takes the durable frontier
back with it, also for writes still in flight: those must not count later for entries that are gone.
"""

from collections import deque
from collections.abc import Sequence

from raftkv.raft.types import Entry, Snapshot


class RaftLog:
    """Entries ``first_index..last_index`` after a snapshot; all recovered ones durable."""

    def __init__(self, entries: Sequence[Entry] = (), base_index: int = 0, base_term: int = 0) -> None:
        """``base_index`` and ``base_term`` are those of the entry right before the first."""
        self._entries = list(entries)
        self._base_index = base_index
        self._base_term = base_term
        assert all(e.index == i for i, e in enumerate(entries, base_index + 1)), "a gap in the log"
        self.durable_index = self._handed_over = self.last_index
        self._truncate_from = 0
        # (number of the Write, last index of the log when it was handed over)
        self._in_flight: deque[tuple[int, int]] = deque()

    def __repr__(self) -> str:
        terms = " ".join(str(entry.term) for entry in self._entries)
        base = f"{self._base_index}:{self._base_term} | " if self._base_index else ""
        return f"RaftLog([{base}{terms}], durable={self.durable_index})"

    @property
    def first_index(self) -> int:
        """Index of the first entry held (the index after the last, if none is)."""
        return self._base_index + 1

    @property
    def last_index(self) -> int:
        """Index of the last entry, 0 for an empty log."""
        return self._base_index + len(self._entries)

    @property
    def last_term(self) -> int:
        """Term of the last entry, 0 for an empty log."""
        return self._entries[-1].term if self._entries else self._base_term

    def term(self, index: int) -> int | None:
        """Return the term at ``index``; 0 at index 0; None where nothing is known of an entry."""
        position = index - self._base_index - 1
        if 0 <= position < len(self._entries):
            return self._entries[position].term
        return self._base_term if position == -1 else None

    def slice(self, low: int, high: int, max_bytes: int | None = None) -> list[Entry]:
        """Return entries ``low..high``: the first always, further ones while they fit."""
        begin, end = low - self.first_index, high - self._base_index
        assert begin >= 0, f"entry {low} is before {self.first_index}"
        if max_bytes is None:
            return self._entries[begin:end]
        taken: list[Entry] = []
        for position in range(begin, min(end, len(self._entries))):
            entry = self._entries[position]
            max_bytes -= len(entry.data)
            if taken and max_bytes < 0:
                break
            taken.append(entry)
        return taken

    def last_index_not_above(self, index: int, term: int) -> int:
        """Return the last index at or before ``index`` whose term is at most ``term`` (fast backup).

        It stops before the entry right before the first: of what is further back only a snapshot can tell.
        """
        index = min(index, self.last_index)
        while index >= self._base_index and (self.term(index) or 0) > term:
            index -= 1
        return index

    def append(self, entry: Entry) -> None:
        """Add an entry at the end."""
        assert entry.index == self.last_index + 1, f"entry {entry.index} after {self.last_index}"
        self._entries.append(entry)

    def truncate_from(self, index: int) -> None:
        """Forget every entry from ``index`` on, also as durable or as on its way to the disk."""
        assert self.first_index <= index <= self.last_index, f"no entry {index} to truncate"
        del self._entries[index - self.first_index :]
        if index <= self._handed_over:
            self._handed_over = index - 1
            self._truncate_from = min(index, self._truncate_from or index)
        self._not_durable_from(index)

    def restore(self, snapshot: Snapshot, committed: int) -> None:
        """Forget everything; the log begins after ``snapshot``, once that is durable.

        Of the old log only what is ``committed`` agrees with the snapshot for certain.
        """
        self._entries = []
        self._base_index, self._base_term = snapshot.index, snapshot.term
        self._handed_over = snapshot.index
        self._truncate_from = 0
        self._not_durable_from(committed + 1)

    def compact(self, first_index: int) -> None:
        """Give up the entries before ``first_index``."""
        if first_index > self.first_index:
            term = self.term(first_index - 1)
            assert term is not None, f"no entry {first_index - 1} to end a snapshot"
            del self._entries[: first_index - self.first_index]
            self._base_index, self._base_term = first_index - 1, term

    def _not_durable_from(self, index: int) -> None:
        self.durable_index = min(self.durable_index, index - 1)
        self._in_flight = deque((number, min(last, index - 1)) for number, last in self._in_flight)

    @property
    def has_unwritten(self) -> bool:
        """Whether something waits to be handed to the disk."""
        return self._truncate_from > 0 or self._handed_over < self.last_index

    def hand_over(self, number: int) -> tuple[int, tuple[Entry, ...]]:
        """Return (truncate from, entries) for Write ``number``, and regard them as on their way."""
        entries = tuple(self._entries[self._handed_over - self._base_index :])
        truncate_from, self._truncate_from = self._truncate_from, 0
        self._handed_over = self.last_index
        if not self._in_flight or self._in_flight[-1][1] != self._handed_over:
            self._in_flight.append((number, self._handed_over))  # else it is told by the Write before
        return truncate_from, entries

    def persisted(self, number: int) -> None:
        """Take note that every Write up to ``number`` is durable."""
        while self._in_flight and self._in_flight[0][0] <= number:
            self.durable_index = max(self.durable_index, self._in_flight.popleft()[1])
