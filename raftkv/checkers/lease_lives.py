"""The keys of leases, by the true list of changes: from when to when each was attached."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

from raftkv.checkers.changes import Change
from raftkv.checkers.revision_times import NEVER


class Life(NamedTuple):
    """A key from the revision at which it got the lease to the one at which it had it no more."""

    key: bytes
    first: int
    until: float = NEVER


class End(NamedTuple):
    """A revision that deleted keys of a lease, and the keys that still had it afterwards."""

    lease: int
    revision: int
    keys: tuple[bytes, ...]
    left: tuple[bytes, ...]


class Lives:
    """``ends`` are in the order of revisions; ``late`` are puts with a lease that had already ended."""

    def __init__(self, changes: Sequence[Change], by_client: Callable[[Change], bool]) -> None:
        """Take ``by_client``: whether a deletion may be one that a client asked for."""
        self.of: dict[int, list[Life]] = {}
        self.ends: list[End] = []
        self.ended: dict[int, int] = {}
        self.late: list[Change] = []
        self._by_client = by_client
        self._lease: dict[bytes, tuple[int, int]] = {}
        self._keys: dict[int, dict[bytes, int]] = {}
        for revision, group in groupby(changes, key=lambda change: change.revision):
            self._revision(revision, list(group))
        for lease, keys in self._keys.items():
            self.of.setdefault(lease, []).extend(Life(key, first) for key, first in keys.items())

    def _revision(self, revision: int, changes: Sequence[Change]) -> None:
        expired: dict[int, list[bytes]] = {}
        for change in changes:
            lease = self._detach(change)
            if change.value is not None and change.lease:
                self._attach(change)
            elif change.value is None and lease and not self._by_client(change):
                expired.setdefault(lease, []).append(change.key)
        for lease, keys in expired.items():
            self.ends.append(End(lease, revision, tuple(keys), tuple(self._keys[lease])))
            self.ended.setdefault(lease, revision)

    def _detach(self, change: Change) -> int:
        lease, first = self._lease.pop(change.key, (0, 0))
        if lease:
            del self._keys[lease][change.key]
            self.of.setdefault(lease, []).append(Life(change.key, first, change.revision))
        return lease

    def _attach(self, change: Change) -> None:
        if change.lease in self.ended:
            self.late.append(change)
        self._lease[change.key] = (change.lease, change.revision)
        self._keys.setdefault(change.lease, {})[change.key] = change.revision
