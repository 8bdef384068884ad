"""The true list of changes, laid out for checks of watches: by range, and with what was there before."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from raftkv.checkers.changes import Change


class Truly(NamedTuple):
    """What a watch event of a change should say: whether its key was new, and the value before."""

    change: Change
    create: bool
    previous: bytes | None


class Matches(NamedTuple):
    """The changes that a watch is about, by revision, and their revisions."""

    changes: list[Change]
    revisions: list[int]

    def between(self, first: int, last: int) -> list[Change]:
        """Return the changes from revision ``first`` to ``last``, both included."""
        return self.changes[bisect_left(self.revisions, first) : bisect_right(self.revisions, last)]


class Watched:
    """The changes by key and by (revision, key)."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = changes
        self.last_revision = changes[-1].revision if changes else 0
        self.truly: dict[tuple[int, bytes], Truly] = {}
        self._by_key: dict[bytes, list[tuple[int, Change]]] = {}
        self._matches: dict[tuple[bytes, bytes, tuple[str, ...]], Matches] = {}
        values: dict[bytes, bytes | None] = {}
        for position, change in enumerate(changes):
            previous = values.get(change.key)
            create = change.value is not None and _is_new(change, previous)
            self.truly[change.revision, change.key] = Truly(change, create, previous)
            values[change.key] = change.value
            self._by_key.setdefault(change.key, []).append((position, change))
        self._keys = sorted(self._by_key)

    def matches(self, key: bytes, range_end: bytes, kinds: tuple[str, ...]) -> Matches:
        """Return the changes in a range of keys, of the kinds "put" and "delete"."""
        asked = (key, range_end, kinds)
        found = self._matches.get(asked)
        if found is None:
            placed = [pair for one in self._in_range(key, range_end) for pair in self._by_key[one]]
            placed.sort(key=lambda pair: pair[0])
            changes = [change for _, change in placed if kind(change.value) in kinds]
            found = Matches(changes, [change.revision for change in changes])
            self._matches[asked] = found
        return found

    def _in_range(self, key: bytes, range_end: bytes) -> list[bytes]:
        if not range_end:
            return [key] if key in self._by_key else []
        first = bisect_left(self._keys, key)
        end = len(self._keys) if range_end == b"\0" else bisect_left(self._keys, range_end)
        return self._keys[first:end]


def kind(value: bytes | None) -> str:
    """Return what a change to this value is: "put", or "delete" for None."""
    return "delete" if value is None else "put"


def _is_new(change: Change, previous: bytes | None) -> bool:
    """Where the list does not say it, a key is new if it was not there."""
    return change.create_revision == change.revision if change.create_revision else previous is None
