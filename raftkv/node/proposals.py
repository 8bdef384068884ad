"""What this member's clients ask to be replicated: to whichever leader there is, until it is applied."""

from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

from raftkv.errors import LeaderMoving, NoLeader, NoSpace, RequestTimedOut, TooManyRequests
from raftkv.mvcc.commands import encode_command
from raftkv.node.tally import Tally
from raftkv.node.waiters import Waiter, Waiters
from raftkv.raft import Consensus
from raftkv.storage.wal import Wal

MAX_WAITING = 10_000
"""Proposals of this member's clients under way; more are refused. Well below the window of request
ids that the state machine remembers."""

MAX_WAITING_BYTES = 128 * 1024 * 1024
"""The data of these proposals together."""


class Proposals:
    """Gives proposals to the core, and again where they may be lost; the request id lets each apply once.

    ``patience``: seconds after which one that was sent to another member is sent once more.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        core: Consensus,
        wal: Wal,
        waiters: Waiters,
        tally: Tally,
        *,
        patience: float,
        wake: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._core = core
        self._wal = wal
        self._waiters = waiters
        self._tally = tally
        self._patience = patience
        self._wake = wake

    def check_room(self) -> None:
        """Raise TooManyRequests or NoSpace while no more can be taken."""
        if len(self._waiters) >= MAX_WAITING:
            raise TooManyRequests(f"{MAX_WAITING} proposals are waiting")
        if self._waiters.waiting_bytes > MAX_WAITING_BYTES:
            raise TooManyRequests(f"{self._waiters.waiting_bytes} bytes of proposals are waiting")
        if not self._wal.has_room:
            raise NoSpace("no room for more log on this member's disk; nothing was written")

    async def propose(self, request: Any) -> Any:
        """Replicate a request and return the state machine's response; raises what ``Node.propose`` does."""
        request_id = self._waiters.next_id()
        waiter = self._waiters.open(request_id, encode_command(request_id, request))
        try:
            self.give(waiter)
            return await waiter.future
        except RequestTimedOut:
            self._tally.failed_proposals += 1
            raise
        finally:
            self._waiters.close(waiter)
            # An exception in its future holds this frame: without this the data stays until a collection.
            del waiter

    def give(self, waiter: Waiter) -> None:
        """Give a proposal to the core; without a leader it waits for the next one."""
        try:
            waiter.asked_at = self._loop.time()
            self._core.propose(waiter.data)
            waiter.proposed = True
        except (NoLeader, LeaderMoving):
            waiter.proposed = False  # given when there is a leader, by who notices that or by the clock
        self._wake()

    def give_all_again(self) -> None:
        """Give again what a leader that is gone, or a broken link, may have lost."""
        for waiter in self._waiters:
            if waiter.data:
                self._give_again(waiter)

    def give_late_ones_again(self, *, leads: bool) -> None:
        """Give again what no leader took yet, and what was sent to another member long ago without an answer.

        It may be lost on a link that did not break. ``leads``: this member is the leader by itself.
        """
        lost_before = 0.0 if leads else self._loop.time() - self._patience
        for waiter in self._waiters:
            if waiter.data and (not waiter.proposed or waiter.asked_at < lost_before):
                self._give_again(waiter)

    def _give_again(self, waiter: Waiter) -> None:
        try:
            self.give(waiter)
        except TooManyRequests:
            waiter.proposed = False  # tried again by the clock
