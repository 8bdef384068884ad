"""A watcher that writes down what it is told."""

from raftkv import errors
from raftkv.mvcc.bounds import Bounds
from raftkv.mvcc.versions import MOD, Version
from raftkv.mvcc.watch import Changes, Watcher, Watches


class Recorder(Watcher):
    """Has room for ``room`` live replies until ``drain`` is called; ``told`` is what it was told in order."""

    def __init__(self, bounds: Bounds, start: int, *, room: int = 1000, **hides: bool) -> None:
        super().__init__(bounds, start, **hides)
        self.room = room
        self.waiting: list[Changes] = []
        self.replies: list[Changes] = []
        self.live_revisions: list[int] = []
        self.is_behind = False
        self.compacted = False

    def take(self, changes: Changes) -> bool:
        assert not self.is_behind, "told while it reads the past"
        if len(self.waiting) >= self.room:
            return False
        self.waiting.append(changes)
        self.live_revisions.append(changes.revision)
        return True

    def fall_behind(self) -> None:
        assert not self.live
        self.is_behind = True

    def drain(self) -> None:
        self.replies += self.waiting
        self.waiting = []

    def catch_up(self, watches: Watches, budget: int = 1000) -> None:
        """Take what waits, then read one slice of the past."""
        self.drain()
        if not self.is_behind or self.compacted:
            return
        try:
            changes = watches.catch_up(self, budget)
        except errors.Compacted:
            self.compacted = True
            return
        if changes is not None:
            self.replies.append(changes)
        if self.live:
            self.is_behind = False

    @property
    def told(self) -> list[Version]:
        return [version for changes in self.replies for version in changes.versions]

    @property
    def revisions(self) -> list[int]:
        return [version[MOD] for version in self.told]


def settle(watches: Watches, *watchers: Recorder, budget: int = 1000) -> None:
    """Deliver everything there is to everybody."""
    while watches.step(budget) or any(w.waiting or (w.is_behind and not w.compacted) for w in watchers):
        for watcher in watchers:
            watcher.catch_up(watches, budget)
    for watcher in watchers:
        watcher.drain()
