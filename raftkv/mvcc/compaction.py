"""Compaction: forbidden at once when applied, carried out in slices when there is time.

The first is the same on every member; how far the second has come is each member's own affair and
shows in no answer.
"""

from collections.abc import Callable

from raftkv.mvcc.version_table import VersionTable
from raftkv.mvcc.versions import KEY, MOD, SUB

NEVER = -1
"""The compact revision of a store that was never compacted (so that compacting to 0 works once)."""

_DROPPED_AT_ONCE = 32_768
"""Most versions that one step takes away, of all keys together: some 3 ms."""


class Compactor:
    """Walks the changes up to the compact revision and prunes the keys they belong to.

    Only keys changed since the last compaction can have something to prune: a version goes when a
    later change at or below the compact revision replaced it, and that change is among those walked.
    """

    def __init__(self, table: VersionTable) -> None:
        self._table = table
        self._pins: dict[int, int] = {}
        self._next = (0, 0)
        self.revision = NEVER
        self.done = NEVER

    def pin(self, revision: int) -> Callable[[], None]:
        """Keep what a read at ``revision`` needs until the function returned is called (once)."""
        self._pins[revision] = self._pins.get(revision, 0) + 1

        def unpin() -> None:
            left = self._pins[revision] - 1
            if left:
                self._pins[revision] = left
            else:
                del self._pins[revision]

        return unpin

    @property
    def pins(self) -> int:
        """How many reads are under way."""
        return sum(self._pins.values())

    @property
    def pinned(self) -> bool:
        """Whether anything is being read."""
        return bool(self._pins)

    def restore(self, revision: int) -> None:
        """Begin with a table from which everything was removed that a compaction to ``revision`` removes."""
        self.revision = self.done = revision
        self._next = (revision + 1, 0)

    def compact(self, revision: int) -> None:
        """Take ``revision`` for the new compact revision; ``step`` does the work."""
        assert revision > self.revision, "a compaction went back"
        self.revision = revision

    def step(self, budget: int) -> bool:
        """Look at up to ``budget`` changes; return True while there is more to do.

        The first change of a key drops all that the key can spare, which may be a long history, so
        what is dropped is bounded beside what is looked at.
        """
        if self.done >= self.revision:
            return False
        target = min(self.revision, *self._pins) if self._pins else self.revision
        if target <= self.done:
            return True
        changes = self._table.changes
        batch = changes.read(self._next, target, budget)
        room = _DROPPED_AT_ONCE
        for version in batch:
            room -= self._table.prune(version[KEY], target, room)
            if room == 0:
                return True
            self._next = (version[MOD], version[SUB] + 1)
        walked = len(batch) < budget
        reached = target if walked else min(self._next[0], target)
        dropped = changes.drop_before(reached, 2 * budget)
        if walked and dropped < 2 * budget:
            self.done = target
        return self.done < self.revision
