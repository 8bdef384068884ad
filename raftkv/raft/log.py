"""The log in memory, and how much of it is where.

One list of entries (the file is read at start only), with three frontiers that move over it:
``durable_index`` (on this member's disk), the commit index (the core's) and what was handed to the
disk but is not acknowledged yet. A conflicting suffix that is truncated takes the durable frontier
back with it, also for writes still in flight: those must not count later for entries that are gone.
"""

from collections import deque
from collections.abc import Sequence

from raftkv.raft.types import Entry


class RaftLog:
    """Entries ``first_index..last_index``, all recovered ones durable."""

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        self._entries = list(entries)
        assert all(entry.index == i for i, entry in enumerate(self._entries, 1)), "a gap in the log"
        self.durable_index = len(self._entries)
        self._handed_over = len(self._entries)
        self._truncate_from = 0
        # (number of the Write, last index of the log when it was handed over)
        self._in_flight: deque[tuple[int, int]] = deque()

    def __repr__(self) -> str:
        terms = " ".join(str(entry.term) for entry in self._entries)
        return f"RaftLog([{terms}], durable={self.durable_index})"

    @property
    def first_index(self) -> int:
        """Index of the first entry held (the index after the last, if none is)."""
        return 1

    @property
    def last_index(self) -> int:
        """Index of the last entry, 0 for an empty log."""
        return len(self._entries)

    @property
    def last_term(self) -> int:
        """Term of the last entry, 0 for an empty log."""
        return self._entries[-1].term if self._entries else 0

    def term(self, index: int) -> int | None:
        """Return the term at ``index``; 0 at index 0; None where there is no entry."""
        if 0 < index <= len(self._entries):
            return self._entries[index - 1].term
        return 0 if index == 0 else None

    def slice(self, low: int, high: int, max_bytes: int | None = None) -> list[Entry]:
        """Return entries ``low..high``: the first always, further ones while they fit."""
        if max_bytes is None:
            return self._entries[low - 1 : high]
        taken: list[Entry] = []
        for position in range(low - 1, min(high, len(self._entries))):
            entry = self._entries[position]
            max_bytes -= len(entry.data)
            if taken and max_bytes < 0:
                break
            taken.append(entry)
        return taken

    def last_index_not_above(self, index: int, term: int) -> int:
        """Return the last index at or before ``index`` whose term is at most ``term`` (fast backup)."""
        index = min(index, self.last_index)
        while index > 0 and self._entries[index - 1].term > term:
            index -= 1
        return index

    def append(self, entry: Entry) -> None:
        """Add an entry at the end."""
        assert entry.index == self.last_index + 1, f"entry {entry.index} after {self.last_index}"
        self._entries.append(entry)

    def truncate_from(self, index: int) -> None:
        """Forget every entry from ``index`` on, also as durable or as on its way to the disk."""
        assert 0 < index <= self.last_index, f"no entry {index} to truncate"
        del self._entries[index - 1 :]
        if index <= self._handed_over:
            self._handed_over = index - 1
            self._truncate_from = min(index, self._truncate_from or index)
        self.durable_index = min(self.durable_index, index - 1)
        self._in_flight = deque((number, min(last, index - 1)) for number, last in self._in_flight)

    @property
    def has_unwritten(self) -> bool:
        """Whether something waits to be handed to the disk."""
        return self._truncate_from > 0 or self._handed_over < len(self._entries)

    def hand_over(self, number: int) -> tuple[int, tuple[Entry, ...]]:
        """Return (truncate from, entries) for Write ``number``, and regard them as on their way."""
        entries = tuple(self._entries[self._handed_over :])
        truncate_from, self._truncate_from = self._truncate_from, 0
        self._handed_over = len(self._entries)
        self._in_flight.append((number, self._handed_over))
        return truncate_from, entries

    def persisted(self, number: int) -> None:
        """Take note that every Write up to ``number`` is durable."""
        while self._in_flight and self._in_flight[0][0] <= number:
            self.durable_index = max(self.durable_index, self._in_flight.popleft()[1])
