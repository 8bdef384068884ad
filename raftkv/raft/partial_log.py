"""A log whose beginning may be forgotten, for who watches a member for long.

What is forgotten counts as held: it was committed, durable and applied, and the rules had seen it.
"""

from collections.abc import Iterable, Sequence
from typing import overload

from raftkv.raft.types import Entry


class PartialLog:
    """Entries by position (the entry with index 1 at 0); those before ``start`` are forgotten.

    Positions count from the beginning of the whole log. A slice leaves out what is forgotten; to ask for one
    entry there raises IndexError. Of the last forgotten entry the term is kept, for rules about neighbours.
    """

    __slots__ = ("_kept", "end", "start", "start_term")

    def __init__(self, entries: Iterable[Entry] = (), start: int = 0, start_term: int = 0) -> None:
        self._kept = list(entries)
        self.start = start
        self.start_term = start_term
        self.end = start + len(self._kept)  # the length: asked for so often that it is kept at hand

    def __len__(self) -> int:
        return self.end

    @overload
    def __getitem__(self, key: int) -> Entry: ...
    @overload
    def __getitem__(self, key: slice) -> list[Entry]: ...
    def __getitem__(self, key: int | slice) -> Entry | list[Entry]:
        if isinstance(key, slice):
            low = 0 if key.start is None else key.start
            high = self.end if key.stop is None else key.stop
            if low < 0 or high < 0:
                low, high, _ = key.indices(self.end)
            return self._kept[max(0, low - self.start) : max(0, high - self.start)]
        position = key + self.end if key < 0 else key
        if position < self.start:
            raise IndexError(f"position {key} of {self.end}, forgotten up to {self.start}")
        return self._kept[position - self.start]

    def __eq__(self, other: object) -> bool:
        """Whether both have the same length, and the same entries as far as both know them."""
        if isinstance(other, list):
            other = PartialLog(other)
        if not isinstance(other, PartialLog):
            return NotImplemented
        start = max(self.start, other.start)
        return self.end == other.end and self[start:] == other[start:]

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"PartialLog({self._kept}, {self.start}, {self.start_term})"

    def term_before(self, position: int) -> int:
        """Return the term of the entry before ``position``, 0 for none."""
        if position <= self.start:
            return self.start_term
        return self._kept[position - self.start - 1].term

    def holds(self, entry: Entry) -> bool:
        """Whether ``entry`` is part of this log."""
        position = entry.index - self.start - 1
        return position < 0 or (entry.index <= self.end and self._kept[position] == entry)

    def ends_with(self, entries: Sequence[Entry]) -> bool:
        """Whether the last entry that is known is the last one of ``entries``."""
        return bool(self._kept and entries) and self._kept[-1] == entries[-1]

    def replace(self, position: int, entries: Iterable[Entry]) -> None:
        """Put ``entries`` in place of all from ``position`` on."""
        if position < self.start:
            self.start, self.start_term = position, 0
        self._kept[position - self.start :] = entries
        self.end = self.start + len(self._kept)

    def begin_after(self, position: int, term: int) -> None:
        """Forget the whole log: it stands for ``position`` entries, the last one of ``term``."""
        self._kept, self.start, self.start_term = [], position, term
        self.end = position

    def copy(self) -> "PartialLog":
        """Return a log of its own with the same entries."""
        return PartialLog(self._kept, self.start, self.start_term)

    def forget(self, position: int) -> None:
        """Forget the entries before ``position``, as far as there are any."""
        count = min(position - self.start, len(self._kept))
        if count > 0:
            self.start_term = self._kept[count - 1].term
            self.start += count
            del self._kept[:count]
