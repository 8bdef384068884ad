"""Commands that a leader gives by itself, and that count only in the term in which it gave them."""

from collections.abc import Callable
from typing import Any

from raftkv.errors import NoSpace, NotLeader
from raftkv.mvcc.commands import encode_command
from raftkv.node.expiry import OwnCommand
from raftkv.node.waiters import Waiters
from raftkv.raft import NO_NODE, Consensus, Role
from raftkv.storage.wal import Wal


class OwnCommands:
    """Appends to this node's log only: they are never forwarded, and never proposed again."""

    def __init__(self, core: Consensus, wal: Wal, waiters: Waiters, wake: Callable[[], None]) -> None:
        self._core = core
        self._wal = wal
        self._waiters = waiters
        self._wake = wake

    def leads_in(self) -> int:
        """Return the term that this member leads in. Raises NotLeader."""
        status = self._core.status()
        if status.role is not Role.LEADER:
            raise NotLeader(status.leader)
        return status.term

    def propose(self, request: OwnCommand) -> None:
        """Append a command for whose end nobody waits.

        Raises NotLeader, LeaderMoving, TooManyRequests, NoSpace: certainly not appended.
        """
        self._append(encode_command(self._waiters.next_id(), request), request.term)

    async def propose_and_wait(self, request: OwnCommand) -> Any:
        """Do so, and return the state machine's response. Raises RequestTimedOut too: outcome unknown."""
        request_id = self._waiters.next_id()
        waiter = self._waiters.open(request_id, b"")  # never proposed again: another term makes it void
        try:
            self._append(encode_command(request_id, request), request.term)
            waiter.proposed = True
            return await waiter.future
        finally:
            self._waiters.close(waiter)
            # An exception in its future holds this frame: without this it stays until a collection.
            del waiter

    def _append(self, data: bytes, term: int) -> None:
        if self.leads_in() != term:
            raise NotLeader(NO_NODE)
        if not self._wal.has_room:
            raise NoSpace("no room for more log on this member's disk; nothing was written")
        self._core.propose(data)
        self._wake()
