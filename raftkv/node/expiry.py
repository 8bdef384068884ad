"""The leader's clock of the leases: who may live on, and whose time is over.

Only the leader counts down, and what it counts is not replicated. A new leader gives each lease all of its
seconds again (or those of its last checkpoint) and an election time-out on top, so a lease never ends
early; how late it ends is bounded by the elections meanwhile. What the clock decides becomes true by an
entry of the log, in the leader's own term only.

A keepalive is answered after a round of heartbeats of this term, shared with the reads: a leader that was
deposed without knowing it must not promise time that another one does not grant (etcd does).
"""

import heapq
from asyncio import AbstractEventLoop, Future, sleep, timeout
from collections.abc import Awaitable, Callable
from math import ceil
from typing import Any, TypeAlias

from raftkv.errors import ClusterCorrupt, NodeStopped, NotLeader, RaftKvError, RequestTimedOut
from raftkv.mvcc.commands import CheckpointLeases, ExpireLease, RaiseLevel
from raftkv.mvcc.leases import Leases
from raftkv.mvcc.machine import Machine
from raftkv.node.config import Config
from raftkv.node.countdown import Countdown
from raftkv.node.steps import Steps
from raftkv.schema.lease import LeaseCheckpoint

LOOK_SECONDS = 0.5
"""How often the leader looks for leases whose time is over, as etcd."""

MOST_EXPIRED = 500
"""Leases revoked at one look, as in etcd."""

EXPIRED_AT_ONCE = 50
"""Revocations proposed in one slice."""

AGAIN_SECONDS = 3.0
"""A lease that is still there this long after its revocation was proposed is revoked again."""

CHECKPOINT_SECONDS = 300.0
"""How often it is kept how long a lease has left, of leases that have more than this left."""

MOST_CHECKPOINTS = 1000
"""Leases in one entry of checkpoints, and at one look."""

AT_ONCE = 500
"""Leases of a new leader that are looked at in one slice; also those sorted at once."""

NO_TERM = 0

OwnCommand: TypeAlias = ExpireLease | CheckpointLeases | RaiseLevel


class Expiry:
    """The clock of one node; it stands while the node does not lead."""

    def __init__(
        self,
        config: Config,
        loop: AbstractEventLoop,
        machine: Machine,
        steps: Steps,
        *,
        leads_in: Callable[[], int],
        confirmed: Callable[[], Awaitable[None]],
        propose: Callable[[OwnCommand], None],
        propose_and_wait: Callable[[OwnCommand], Awaitable[Any]],
    ) -> None:
        """``leads_in()``: the term that this node leads in, or NotLeader; ``confirmed()``: a read barrier.

        The last two append a leader's own command to this node's log (they raise NotLeader, LeaderMoving,
        TooManyRequests, NoSpace), and ``propose_and_wait`` returns what applying it gave.
        """
        self._loop = loop
        self._machine = machine
        self._steps = steps
        self._leads_in = leads_in
        self._confirm = confirmed
        self._propose = propose
        self._propose_and_wait = propose_and_wait
        self._timeout = config.request_timeout
        self._grace = config.election_timeout / 1000
        self._keeps_checkpoints = config.experimental_enable_lease_checkpoint
        self._revocations: dict[int, list[Future[None]]] = {}
        self._applied_term = NO_TERM
        self._retired: list[Countdown] = []
        self._begin(NO_TERM)

    def _begin(self, term: int) -> None:
        self._term = term
        self._since = self._loop.time()
        self._new: list[int] = []  # leases of a new leader that were not looked at yet
        self._countdown = Countdown(self._loop.time())
        self._over: dict[int, None] = {}
        self._checkpoints = Countdown(self._loop.time())
        self._logged: dict[int, int] = {}  # lease: number of its last checkpoint that was proposed
        self._proposed = 0

    @property
    def _leases(self) -> Leases:
        """The leases as they are now: a snapshot that is installed brings others."""
        return self._machine.leases

    # ---------------------------------------------------------------- what the node tells

    def lead(self, term: int) -> None:
        """Begin to count: this node leads in ``term``."""
        self.follow()
        self._begin(term)
        self._new = self._leases.ids()

    def follow(self) -> None:
        """Stop counting: another node leads, or none."""
        self._fail_waiting(NotLeader(0))
        self._retired += [old for old in (self._countdown, self._checkpoints) if len(old)]
        self._begin(NO_TERM)

    def stop(self) -> None:
        """Let nobody wait any longer: the node stops."""
        self._fail_waiting(NodeStopped("the member is stopping"))

    def applied(self, term: int) -> None:
        """Take note of the leases that were granted and revoked by what was applied last, in ``term``."""
        self._applied_term = term
        for lease in self._leases.take_changed():
            self._countdown.drop(lease)
            self._checkpoints.drop(lease)
            self._over.pop(lease, None)
            self._logged.pop(lease, None)
            for future in self._revocations.pop(lease, ()):
                if not future.done():
                    future.set_result(None)
            if self._term != NO_TERM and lease in self._leases:
                self._start(lease, self._leases.remaining(lease))

    def _fail_waiting(self, error: RaftKvError) -> None:
        waiting, self._revocations = self._revocations, {}
        for futures in waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(error)

    def _start(self, lease: int, seconds: float) -> None:
        self._countdown.set(lease, self._loop.time() + seconds)
        if self._keeps_checkpoints:
            self._plan_checkpoint(lease, seconds)

    def _plan_checkpoint(self, lease: int, left: float) -> None:
        if left > CHECKPOINT_SECONDS:
            self._checkpoints.set(lease, self._loop.time() + CHECKPOINT_SECONDS)
        else:
            self._checkpoints.drop(lease)

    # ---------------------------------------------------------------- questions

    async def keep_alive(self, lease: int) -> int:
        """Let a lease begin anew; return its seconds, 0 when there is no such lease.

        One whose time is over is not saved: this returns when it is revoked. Raises NotLeader (nothing was
        done), RequestTimedOut, NodeStopped.
        """
        term = await self._confirmed()
        while (granted := self._leases.granted(lease)) is not None:
            if self._is_over(lease):
                await self._revoked(lease)
            elif self._leases.has_checkpoint(lease) or lease in self._logged:
                await self._clear_checkpoint(lease, term)
            else:
                self._start(lease, granted)
                return granted
            self._check_leads_in(term)
        return 0

    async def time_to_live(self, lease: int) -> tuple[int, int]:
        """Return the whole seconds that a lease has left and those it was granted; (-1, 0): no such lease.

        Some time has always passed, even if a clock of milliseconds does not show it. Raises NotLeader,
        RequestTimedOut, NodeStopped.
        """
        await self._confirmed()
        granted = self._leases.granted(lease)
        if granted is None:
            return -1, 0
        return max(0, ceil(self._deadline(lease) - self._loop.time()) - 1), granted

    async def in_order(self) -> list[int]:
        """Return all leases, on a leader by the time at which they are over; sorted in slices."""
        leases = self._leases.ids()
        if self._term == NO_TERM:
            return leases
        runs = []
        for start in range(0, len(leases), AT_ONCE):
            some = [lease for lease in leases[start : start + AT_ONCE] if lease in self._leases]
            runs.append(sorted((self._deadline(lease), lease) for lease in some))
            await sleep(0)
        ordered: list[int] = []
        for _, lease in heapq.merge(*runs):
            ordered.append(lease)
            if len(ordered) % AT_ONCE == 0:
                await sleep(0)
        return ordered

    async def _confirmed(self) -> int:
        """Return the term in which a majority took this node for its leader after this was called."""
        term = self._leads_in()
        await self._confirm()
        self._check_leads_in(term)
        return term

    def _check_leads_in(self, term: int) -> None:
        """Raise NotLeader unless this node leads in ``term``, and its clock runs."""
        if self._leads_in() != term or self._term != term:
            raise NotLeader(0)

    def _deadline(self, lease: int) -> float:
        """Return when a lease is over, or was; one that is not counted yet has all of its seconds."""
        if lease in self._over:
            return 0.0
        deadline = self._countdown.deadline(lease)
        if deadline is not None:
            return deadline
        return self._since + self._leases.remaining(lease) + self._grace

    def _is_over(self, lease: int) -> bool:
        return self._deadline(lease) <= self._loop.time()

    async def _revoked(self, lease: int) -> None:
        """Return when a lease is revoked. Raises NotLeader, RequestTimedOut, NodeStopped."""
        future: Future[None] = self._loop.create_future()
        self._revocations.setdefault(lease, []).append(future)
        try:
            async with timeout(self._timeout):
                await future
        except TimeoutError:
            raise RequestTimedOut("a lease that is over was not revoked in time") from None
        finally:
            self._forget(lease, future)

    def _forget(self, lease: int, future: "Future[None]") -> None:
        """Forget who waits no more: a lease may be over for ever, under CORRUPT."""
        waiting = self._revocations.get(lease, [])
        if future in waiting:
            waiting.remove(future)
            if not waiting:
                del self._revocations[lease]

    async def _clear_checkpoint(self, lease: int, term: int) -> None:
        """Let the next leader give a lease all of its seconds: it is about to be promised them."""
        number = self._logged.get(lease)
        command = CheckpointLeases(term, [LeaseCheckpoint(lease, 0)], self._machine.applied_index)
        if await self._propose_and_wait(command) is None:
            raise NotLeader(0)
        if self._term == term and self._logged.get(lease) == number:
            self._logged.pop(lease, None)

    # ---------------------------------------------------------------- the clock

    async def run(self) -> None:
        """Look at the clock now and then, for as long as the node runs."""
        while True:
            await sleep(LOOK_SECONDS)
            if self._term != NO_TERM:
                await self._look(self._term)
            await self._free_retired()

    async def _free_retired(self) -> None:
        """Free the countdowns of earlier terms bit by bit: a million leases take 0.1 s at once."""
        while self._retired:
            with self._steps.timed("leases"):
                if not self._retired[0].discard_step():
                    del self._retired[0]
            await sleep(0)

    async def _look(self, term: int) -> None:
        if self._applied_term != term:
            return  # what earlier leaders decided, and promised, is not all applied yet
        await self._take_over(term)
        try:
            self._machine.alarms.check(ExpireLease(term, 0, 0))
        except ClusterCorrupt:
            return  # it would be refused when applied, again and again
        left = MOST_EXPIRED
        while self._term == term and left > 0:
            with self._steps.timed("expiry"):
                due = self._countdown.due(self._loop.time(), min(left, EXPIRED_AT_ONCE))
                went = all([self._expire(lease) for lease in due])
            if not due or not went:
                break
            left -= len(due)
            await sleep(0)
        if self._keeps_checkpoints and self._term == term:
            with self._steps.timed("checkpoints"):
                self._log_checkpoints()

    async def _take_over(self, term: int) -> None:
        """Count the leases that an earlier leader counted before, some at a time."""
        while self._term == term and self._new:
            with self._steps.timed("leases"):
                some = self._new[-AT_ONCE:]
                del self._new[-AT_ONCE:]
                for lease in some:
                    if lease in self._leases and self._countdown.deadline(lease) is None:
                        self._start(lease, self._deadline(lease) - self._loop.time())
            await sleep(0)

    def _expire(self, lease: int) -> bool:
        """Propose to revoke a lease; return whether that was possible. It is tried again where it has to."""
        self._over[lease] = None
        self._countdown.set(lease, self._loop.time() + AGAIN_SECONDS)
        try:
            self._propose(ExpireLease(self._term, lease, self._machine.applied_index))
        except RaftKvError:
            self._countdown.set(lease, self._loop.time())
            return False
        return True

    def _log_checkpoints(self) -> None:
        now = self._loop.time()
        checkpoints = []
        for lease in self._checkpoints.due(now, MOST_CHECKPOINTS):
            left = self._deadline(lease) - now
            if left > 0:
                checkpoints.append(LeaseCheckpoint(lease, ceil(left)))
                self._plan_checkpoint(lease, left)
        if not checkpoints:
            return
        self._proposed += 1
        try:
            self._propose(CheckpointLeases(self._term, checkpoints, self._machine.applied_index))
        except RaftKvError:
            return  # they only make leases last longer where they are missing
        for checkpoint in checkpoints:
            self._logged[checkpoint.ID] = self._proposed
