"""The leases: which there are, and for how many seconds each was granted.

When a lease is over only the leader knows, by its own clock (``raftkv.node.expiry``); here nothing counts
down. Which keys are attached to a lease follows from the keys (``raftkv.mvcc.attachments``).
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any, ClassVar

from raftkv import errors
from raftkv.mvcc.parts import nonsense, pack_block, unpack_block
from raftkv.schema.lease import LeaseCheckpoint

LEASE_BYTES = 64
"""What a lease counts for in the size of the data, as in etcd."""

_AT_ONCE = 5000
"""Leases in one block of a dump."""


class Leases:
    """Leases by id, in the order in which they were granted.

    ``grant``, ``revoke`` and ``checkpoint`` are called by ``Machine`` when an entry is applied, and by
    nobody else.
    """

    name: ClassVar[str] = "leases"
    version: ClassVar[int] = 1

    def __init__(self) -> None:
        self._granted: dict[int, int] = {}
        self._granted_at: dict[int, int] = {}  # index of the entry; tells one grant of an id from another
        self._remaining: dict[int, int] = {}  # of those with a checkpoint
        self._changed: dict[int, None] = {}
        self.grants = self.revocations = self.expiries = 0  # since the start, or since a snapshot was loaded

    def __contains__(self, lease: object) -> bool:
        return lease in self._granted

    def __len__(self) -> int:
        return len(self._granted)

    @property
    def size_bytes(self) -> int:
        """Estimate of the room that the leases take, in bytes."""
        return LEASE_BYTES * len(self._granted)

    def ids(self) -> list[int]:
        """Return the ids of all leases, in the order in which they were granted."""
        return list(self._granted)

    def granted(self, lease: int) -> int | None:
        """Return the seconds that a lease was granted for, None if there is no such lease."""
        return self._granted.get(lease)

    def remaining(self, lease: int) -> int:
        """Return the seconds that a new leader gives a lease: what its checkpoint says, or all of them."""
        return self._remaining.get(lease) or self._granted[lease]

    def has_checkpoint(self, lease: int) -> bool:
        """Whether less than the granted seconds is kept for a new leader."""
        return lease in self._remaining

    def is_newer(self, lease: int, index: int) -> bool:
        """Whether there is a lease of this id that was granted after ``index``."""
        return self._granted_at.get(lease, index) > index

    def grant(self, lease: int, seconds: int, index: int) -> None:
        """Make a lease, at ``index``; raises LeaseExists, and LeaseNotFound for id 0 (which means none)."""
        if lease == 0:
            raise errors.LeaseNotFound
        if lease in self._granted:
            raise errors.LeaseExists
        self._granted[lease] = seconds
        self._granted_at[lease] = index
        self._changed[lease] = None
        self.grants += 1

    def revoke(self, lease: int) -> None:
        """Forget a lease; raises LeaseNotFound."""
        if lease not in self._granted:
            raise errors.LeaseNotFound
        del self._granted[lease], self._granted_at[lease]
        self._remaining.pop(lease, None)
        self._changed[lease] = None
        self.revocations += 1

    def checkpoint(self, checkpoint: LeaseCheckpoint, seen: int) -> None:
        """Keep for a new leader how many seconds a lease has left; 0 = all of them.

        Nothing happens where there is no such lease, or one that was granted after the index ``seen``.
        """
        lease, seconds = checkpoint.ID, checkpoint.remaining_TTL
        if lease not in self._granted or self.is_newer(lease, seen):
            return
        if 0 < seconds < self._granted[lease]:
            self._remaining[lease] = seconds
        else:
            self._remaining.pop(lease, None)

    def take_changed(self) -> list[int]:
        """Return which leases were granted or revoked here since this was called last."""
        if not self._changed:
            return []
        changed, self._changed = list(self._changed), {}
        return changed

    def content(self) -> Iterator[Any]:
        """See ``Part``: (id, granted seconds, seconds of the checkpoint or 0, index of the grant), by id."""
        for lease in sorted(self._granted):
            yield lease, self._granted[lease], self._remaining.get(lease, 0), self._granted_at[lease]

    def begin_at(self, index: int) -> None:
        """Take all leases for granted at ``index``: only when a backup is restored, whose log begins anew."""
        self._granted_at = dict.fromkeys(self._granted, index)

    def dump(self) -> "LeasesDump":
        """See ``Part``: copies tables of numbers, some 6 ms for a hundred thousand leases."""
        return LeasesDump(self._granted.copy(), self._granted_at.copy(), self._remaining.copy())

    def load(self, data: bytes) -> None:
        """See ``Part``."""
        for lease in unpack_block(data):
            match lease:
                case (int(number), int(seconds), int(remaining), int(index)) if (
                    number and number not in self._granted and 0 <= remaining < max(1, seconds) and index > 0
                ):
                    self._granted[number] = seconds
                    self._granted_at[number] = index
                    if remaining:
                        self._remaining[number] = remaining
                case _:
                    raise nonsense("a lease")

    def finish_load(self) -> bool:
        """See ``Part``: nothing is left to do."""
        return False


class LeasesDump:
    """A dump of copied tables: blocks of [id, granted seconds, seconds of the checkpoint or 0, index]."""

    def __init__(
        self, granted: dict[int, int], granted_at: dict[int, int], remaining: dict[int, int]
    ) -> None:
        self._granted = granted
        self._granted_at = granted_at
        self._remaining = remaining

    def blocks(self) -> Iterator[bytes]:
        """See ``Dump``: at least one block, which may be empty."""
        leases = iter(self._granted.items())
        yield self._block(leases)
        while (block := self._block(leases)) != _EMPTY:
            yield block

    def _block(self, leases: Iterator[tuple[int, int]]) -> bytes:
        remaining, granted_at = self._remaining, self._granted_at
        return pack_block(
            *[
                (lease, seconds, remaining.get(lease, 0), granted_at[lease])
                for lease, seconds in islice(leases, _AT_ONCE)
            ]
        )

    def close(self) -> None:
        """See ``Dump``: nothing is kept."""


_EMPTY = pack_block()
