"""One member: the pump between the core and the world.

The pump is the one place where the core's wishes become effects. Everything else only feeds it: the
transport puts messages into the inbox, clients put proposals into the core, the clock ticks, the writer
reports what is durable; each then wakes the pump. Nothing here knows HTTP or files.

A handful of tasks live as long as the node (pump, clock, writer, compaction, watch, snapshotter, installer,
publisher); none is made for a message or an entry. When one of them fails, the node stops: an own bug or
a broken disk must not go on answering.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import asdict, dataclass
from typing import Any

from raftkv.errors import (
    BadTransferee,
    MemberRemoved,
    NodeStopped,
    NoLeader,
    NotLeader,
    PeerUnavailable,
    RequestTimedOut,
)
from raftkv.mvcc.commands import is_command
from raftkv.mvcc.membership import MemberChange, MemberInfo, encode_change
from raftkv.mvcc.watch import Watches
from raftkv.node.addresses import AddressBook
from raftkv.node.auto_compaction import compact_automatically, policy_of
from raftkv.node.barrier import ReadBarrier
from raftkv.node.changes import CHANGE_OF, Changes
from raftkv.node.cluster_level import ClusterLevel
from raftkv.node.config import Config
from raftkv.node.expiry import Expiry
from raftkv.node.installer import Arrived, Installer, needs_file
from raftkv.node.leader_calls import LeaderCalls
from raftkv.node.lease_ids import lease_id_of
from raftkv.node.open_streams import OpenStreams
from raftkv.node.own_commands import OwnCommands
from raftkv.node.proposals import Proposals
from raftkv.node.publisher import publish
from raftkv.node.questions import ChangeMembers, KeepAlive, Question, TimeToLive
from raftkv.node.quota import Quota
from raftkv.node.removal import Removal
from raftkv.node.restore import Restored
from raftkv.node.snapshotter import Backup, Snapshotter
from raftkv.node.steps import BUCKETS, Steps
from raftkv.node.tally import Tally
from raftkv.node.transport import SnapshotChunk, Transport
from raftkv.node.waiters import Waiters
from raftkv.node.writer import Writer
from raftkv.raft import (
    NO_NODE,
    Change,
    ChangeKind,
    Configuration,
    Consensus,
    Entry,
    EntryKind,
    Message,
    PeerEvent,
    Ready,
    Role,
    Snapshot,
    Status,
    Write,
    decode_configuration,
)
from raftkv.raft.messages import ForwardProposals, InstallSnapshot
from raftkv.storage.disk import File
from raftkv.storage.snapshot_format import SnapshotRef
from raftkv.storage.wal import Wal
from raftkv.trace import Emit, PeerRefused, SnapshotInstalled

MAX_UNWRITTEN_BYTES = 128 * 1024 * 1024
"""The data of the entries for which a leader's disk has no room, when it takes other members' proposals."""

LOST_AFTER = 2
"""Election time-outs after which a proposal sent to the leader is sent once more."""

SLICE_SECONDS = 0.004
"""The pump lets others run after this long."""

SLOW_APPLY_SECONDS = 0.1
"""A slice of entries that took longer counts as slow, as in etcd."""

MOVE_PAUSE = 30.0
"""Seconds between two attempts of a leader without room to let another member lead."""


@dataclass(slots=True)
class Identity:
    """Who this member is: fixed for one start of it."""

    member_id: int
    cluster_id: int
    boot: int


class Node:
    """One member of a cluster, from its core to its state machine."""

    def __init__(
        self,
        config: Config,
        identity: Identity,
        *,
        core: Consensus,
        wal: Wal,
        restored: Restored,
        transport: Transport,
        emit: Emit,
        stopwatch: Callable[[], float] | None = None,
    ) -> None:
        """``core`` comes from ``restored``, which ``wal`` goes on from; ``stopwatch`` measures finely."""
        loop = asyncio.get_running_loop()
        self.config = config
        self.member_id = identity.member_id
        self.cluster_id = identity.cluster_id
        self.machine = restored.machine
        self.watches = Watches(restored.machine)
        self.streams = OpenStreams(config.election_timeout / 1000)
        self.wal = wal
        self.steps = Steps(loop.time, emit)
        self._emit = emit
        self._loop = loop
        self._core = core
        self._transport = transport
        self.tally = Tally(stopwatch or loop.time)
        self._writer = Writer(wal, transport.send, self._persisted, self.tally)
        self._waiters = Waiters(identity.member_id, identity.boot, loop, config.request_timeout)
        self._proposals = self._make_proposals()
        self._own_commands = OwnCommands(core, wal, self._waiters, self._wake_pump)
        self._barrier = self._make_barrier(identity.boot)
        self._leader_calls = self._make_leader_calls()
        self._changes = self._make_changes()
        self._expiry = self._make_expiry()
        self._level = self._make_level()
        self._addresses = AddressBook(self.machine.membership.members(), restored.entries)
        self._peers: Mapping[int, Sequence[str]] = {}
        self.quota = Quota(config.quota_bytes, identity.member_id, self.machine, self.propose)
        self.slice_seconds = SLICE_SECONDS  # a simulation, where steps take no time, tries the shortest
        self._inbox: list[Message] = []
        self._peer_events: list[tuple[int, PeerEvent]] = []
        self._wake = asyncio.Event()
        self._removal = Removal(self.machine, self.steps)
        self._watching = asyncio.Event()
        self._applied = restored.snapshot or Snapshot(0, 0, Configuration(()))
        self._arrived: Arrived | None = None
        self._stepped: Arrived | None = None
        self._replaced_by = 0  # number of the Write that makes an installed snapshot durable
        self._store = restored.store
        self._snapshotter = self._make_snapshotter()
        self._installer = self._make_installer()
        self._ticked_at = loop.time()
        self._led_by = (NO_NODE, core.status().term)
        self._leadership_changed = asyncio.Event()
        self._full_since: float | None = None
        self._moved_at = float("-inf")
        self._stopping = False
        self._recovered_index = core.status().commit_index
        self._recovered = asyncio.Event()

    def _make_barrier(self, boot: int) -> ReadBarrier:
        timeout = self.config.request_timeout
        return ReadBarrier(self._loop, boot, timeout, self._core.read_index, self._wake_pump)

    def _make_proposals(self) -> Proposals:
        return Proposals(
            self._loop,
            self._core,
            self.wal,
            self._waiters,
            self.tally,
            patience=LOST_AFTER * self.config.election_timeout / 1000,
            wake=self._wake_pump,
        )

    def _make_changes(self) -> Changes:
        return Changes(
            self.machine,
            self._waiters,
            status=self._core.status,
            applied_index=lambda: self.applied_index,
            read_barrier=self.read_barrier,
            max_learners=self.config.max_learners,
        )

    def _make_snapshotter(self) -> Snapshotter:
        return Snapshotter(
            self.cluster_id,
            self.config.snapshot_count,
            core=self._core,
            machine=self.machine,
            store=self._store,
            wal=self.wal,
            writer=self._writer,
            applied=lambda: self._applied,
            wake=self._wake_pump,
            steps=self.steps,
            emit=self._emit,
        )

    def _make_leader_calls(self) -> LeaderCalls:
        return LeaderCalls(
            self.member_id,
            self._transport,
            lambda: self._core.status().leader,
            self._answer,
            timeout=self.config.request_timeout,
            pause=self.config.heartbeat_interval / 1000,
        )

    def _make_expiry(self) -> Expiry:
        return Expiry(
            self.config,
            self._loop,
            self.machine,
            self.steps,
            leads_in=self._own_commands.leads_in,
            confirmed=self.read_barrier,
            propose=self._own_commands.propose,
            propose_and_wait=self._own_commands.propose_and_wait,
        )

    def _make_level(self) -> ClusterLevel:
        return ClusterLevel(
            self.machine,
            self._transport,
            status=self._core.status,
            leads_in=self._own_commands.leads_in,
            propose=self._own_commands.propose,
            pause=self.config.heartbeat_interval / 1000,
        )

    def _make_installer(self) -> Installer:
        return Installer(
            store=self._store,
            transport=self._transport,
            status=self._core.status,
            arrived=self._take_arrived,
            discard=self._removal.discard,
            steps=self.steps,
            emit=self._emit,
        )

    # ---------------------------------------------------------------- for services

    @property
    def applied_index(self) -> int:
        """Index of the last entry applied here."""
        return self._applied.index

    @property
    def term(self) -> int:
        """The term that this member is in."""
        return self._led_by[1]

    def status(self) -> Status:
        """Return the consensus core as seen from outside."""
        return self._core.status()

    @property
    def has_leader(self) -> bool:
        """Whether this member knows a leader."""
        return self._core.status().leader != NO_NODE

    def counters(self) -> dict[str, Any]:
        """Return what this member did since it started: its log, its progress, its longest steps."""
        status = self._core.status()
        return {
            **asdict(self.wal.counters),
            "durable_index": status.durable_index,
            "commit_index": status.commit_index,
            "applied_index": self.applied_index,
            "cluster_level": self.cluster_level,
            "first_index": status.log.first_index,
            "snapshot_index": status.snapshot.index if status.snapshot is not None else 0,
            "log_bytes": self.wal.log_bytes,
            "waiting": self.waiting,
            "steps": dict(zip([*map(str, BUCKETS), "more"], self.steps.histogram, strict=True)),
            "longest_step": {"name": self.steps.longest_name, "seconds": self.steps.longest},
        }

    @property
    def reads_slow_and_failed(self) -> tuple[int, int]:
        """How many rounds for linearizable reads got no answer for long, and how many reads timed out."""
        return self._barrier.slow, self._barrier.failed

    @property
    def waiting(self) -> int:
        """How many proposals of this member's clients are under way."""
        return len(self._waiters)

    async def propose(self, request: Any) -> Any:
        """Replicate a request and return the state machine's response to it.

        Waits for a leader up to the request time-out. Raises RequestError (refused by the state
        machine), RequestTimedOut (outcome unknown), TooManyRequests, NoSpace and NotCapable (certainly not
        appended), NodeStopped (outcome unknown).
        """
        if self._stopping:
            raise NodeStopped("the member is stopping")
        self._proposals.check_room()
        self._level.check(request)
        return await self._proposals.propose(request)

    async def change_members(self, kind: ChangeKind, member: MemberInfo) -> list[MemberInfo]:
        """Change the cluster by one member (thesis §4.1) and return its members once that is applied here.

        Any member may be asked; the leader appends it. A second voter counts as added once the first one has
        that on its disk. Raises ChangeRefused, NoLeader and NotCapable (certainly not appended),
        RequestError (it does not fit the members), RequestTimedOut and NodeStopped (outcome unknown).
        """
        if self._stopping:
            raise NodeStopped("the member is stopping")
        request_id = self._waiters.next_id()
        waiter = self._waiters.open(request_id, b"")
        waiter.future.add_done_callback(_look_at)  # nobody awaits it when the change is refused
        self._changes.waiting += 1
        try:
            context = encode_change(MemberChange(request_id, CHANGE_OF[kind], member))
            with suppress(PeerUnavailable, RequestTimedOut):  # it may have been appended: applying it tells
                await self.ask_leader(ChangeMembers(kind, member.id, context))
            waiter.proposed = True
            members: list[MemberInfo] = await waiter.future
            self.tally.promoted_learners += kind is ChangeKind.PROMOTE
            return members
        finally:
            self._changes.waiting -= 1
            self._waiters.close(waiter)
            del waiter  # see ``propose``

    async def ask_leader(self, question: Question) -> Any:
        """Return the leader's answer to a question, wherever it is; raises what ``LeaderCalls.ask`` does."""
        return await self._leader_calls.ask(question)

    async def ask_leader_again(self, question: Question) -> Any:
        """Return the leader's answer to a question that may be repeated: see ``LeaderCalls.ask_again``.

        When no leader is known at the end, that is what is raised.
        """
        try:
            return await self._leader_calls.ask_again(
                question, LOST_AFTER * self.config.election_timeout / 1000
            )
        except RequestTimedOut:
            if self.has_leader:
                raise
            raise NoLeader("no leader is known") from None

    def new_lease_id(self) -> int:
        """Return an id for a new lease, above 0 and not in use."""
        while True:
            lease = lease_id_of(self._waiters.next_id())
            if lease not in self.machine.leases:
                return lease

    async def leases_in_order(self) -> list[int]:
        """Return the ids of all leases, on the leader by the time at which they are over."""
        return await self._expiry.in_order()

    async def _answer(self, question: Question) -> Any:
        """Answer a question as the leader.

        Raises NotLeader, LeaderMoving, ChangeRefused, RequestError, and what ``read_barrier`` raises.
        """
        match question:
            case ChangeMembers(change, member, context):
                await self._changes.check(change, member, context)
                self._core.propose_change(Change(change, member), context)
                self._wake.set()
            case KeepAlive(lease):
                seconds = await self._expiry.keep_alive(lease)
                self.tally.renewed_leases += seconds > 0
                return seconds
            case TimeToLive(lease):
                return await self._expiry.time_to_live(lease)
        return None

    def members(self) -> list[MemberInfo]:
        """Return the members as this member's log has them: a change counts as soon as it is in force."""
        return self._changes.members()

    @property
    def is_learner(self) -> bool:
        """Whether this member has no vote, as far as it has applied the log."""
        return self.member_id in self._applied.configuration.learners

    @property
    def cluster_level(self) -> int:
        """What all members of the cluster understand, as far as it is applied here: ``raftkv.mvcc.level``."""
        return self.machine.level.number

    def connected_for(self, peer: int) -> float | None:
        """Return for how many seconds a stream to a peer has been up; None while none is."""
        connection = self._transport.connection(peer)
        return None if connection is None else self._loop.time() - connection.since

    async def read_barrier(self) -> None:
        """Return when a linearizable read may be served here. Raises RequestTimedOut, NodeStopped."""
        if self._stopping:
            raise NodeStopped("the member is stopping")
        await self._barrier.passed()

    async def snapshot_now(self) -> None:
        """Take a snapshot and give up the log before it. Raises NoSpace, NodeStopped."""
        await self._snapshotter.snapshot_now()

    def backup(self) -> AbstractAsyncContextManager[Backup]:
        """Make a snapshot file of what is applied now, for one reader; it is removed at the end.

        Raises NoSpace, StorageError.
        """
        return self._snapshotter.backup()

    def snapshots(self) -> Sequence[SnapshotRef]:
        """Return the snapshots that count, oldest first."""
        return self._store.kept

    def open_snapshot(self, ref: SnapshotRef) -> AbstractAsyncContextManager[File]:
        """Open the file of a snapshot that counts, to read. Raises StorageError."""
        return self._store.opened(ref)

    # ---------------------------------------------------------------- for the transport

    def receive(self, message: Message) -> None:
        """Take a message from a peer."""
        self._inbox.append(message)
        self._wake.set()

    def peer_event(self, peer: int, event: PeerEvent) -> None:
        """Take a hint about a peer."""
        self._peer_events.append((peer, event))
        self._wake.set()

    async def serve_snapshot(self, index: int, term: int, offset: int) -> SnapshotChunk | None:
        """Return a piece of a snapshot file of this member, None where it has none."""
        return await self._store.serve(index, term, offset)

    async def answer(self, question: bytes) -> bytes:
        """Answer a question of another node."""
        return await self._leader_calls.serve(question)

    # ---------------------------------------------------------------- life

    async def run(self) -> None:
        """Run until cancelled, or until something fails: then raise what failed."""
        if self._recovered_index <= self._applied.index:
            self._recovered.set()
        self._transport.start(self)
        self._connect_peers()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(), name="pump")
                tasks.create_task(self._writer.run(), name="writer")
                tasks.create_task(self._clock(), name="clock")
                tasks.create_task(self._removal.run(), name="compaction")
                tasks.create_task(self._tell_watchers(), name="watch")
                tasks.create_task(self._snapshotter.run(), name="snapshotter")
                tasks.create_task(self._installer.run(), name="installer")
                tasks.create_task(self._publish(), name="publisher")
                tasks.create_task(self._watch_quota(), name="quota")
                tasks.create_task(self._raise_level(), name="level")
                tasks.create_task(self._expiry.run(), name="expiry")
                tasks.create_task(self._compact_automatically(), name="auto-compaction")
        finally:
            self.stop()
            await self._transport.close()
            await self._store.close()

    def stop(self) -> None:
        """Take no more requests; whoever waits is told so. The tasks end when ``run`` is cancelled."""
        self._stopping = True
        self._waiters.stop()
        self._barrier.stop()
        self._leader_calls.stop()
        self._expiry.stop()
        self._snapshotter.stop()
        self.streams.stop()

    async def hand_over(self, seconds: float) -> None:
        """Before a stop: let the voter that is furthest lead (thesis §3.10), so that writes go on.

        Returns when another member leads, when there is nobody to hand over to, or after ``seconds``.
        """
        if not self._lead_no_more():
            return
        try:
            async with asyncio.timeout(seconds):
                while self._core.status().role is Role.LEADER:
                    self._leadership_changed.clear()
                    await self._leadership_changed.wait()
        except TimeoutError:
            return

    def transfer_leadership(self, target: int) -> None:
        """Ask that ``target`` leads (thesis §3.10). Raises NotLeader, BadTransferee."""
        self._core.transfer_leadership(target)
        self._wake.set()

    def _lead_no_more(self) -> bool:
        """Begin to hand leadership to the voter that is furthest; return whether there is one to take it."""
        status = self._core.status()
        voters = [(p.match_index, m) for m, p in status.peers.items() if m in status.configuration.voters]
        if status.role is not Role.LEADER or not voters:
            return False
        try:
            self._core.transfer_leadership(max(voters)[1])
        except (NotLeader, BadTransferee):
            return False
        self._wake.set()
        return True

    async def recovered(self) -> None:
        """Return when all that was known to be committed at the start is applied again."""
        await self._recovered.wait()

    # ---------------------------------------------------------------- the pump

    async def _pump(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            begin = self._loop.time()
            self._take_in()
            while (ready := self._next_ready()) is not None:
                await self._carry_out(ready)
                if ready.committed:
                    begin = self._loop.time()  # applying is timed, and sliced, on its own
                if self._loop.time() - begin > self.slice_seconds:
                    self.steps.took("pump", self._loop.time() - begin)
                    await asyncio.sleep(0)
                    begin = self._loop.time()
                    self._take_in()
            self._notice_leader()
            self.steps.took("pump", self._loop.time() - begin)

    def _next_ready(self) -> Ready | None:
        """Ask the core; a leader that may read by its clock is told the time first (§6.4.1).

        The reads it may serve were all asked before this look at the clock, so a pause after it can
        not make them stale.
        """
        overdue = (self._loop.time() - self._ticked_at) * 1000 >= self.config.heartbeat_interval
        if self.config.lease_reads and overdue and self._core.status().role is Role.LEADER:
            self._tick()
        return self._core.ready()

    def _take_in(self) -> None:
        inbox, self._inbox = self._inbox, []
        for message in inbox:
            if isinstance(message, ForwardProposals):
                self._core.step(self._only_commands(message))
            elif isinstance(message, InstallSnapshot) and needs_file(self._core.status(), message):
                self._installer.offer(message)
            else:
                self._core.step(message)
        events, self._peer_events = self._peer_events, []
        for peer, event in events:
            self._core.report(peer, event)
            if event is PeerEvent.CONNECTED:
                # It may have restarted, and forgotten the snapshot that it was offered.
                self._core.report(peer, PeerEvent.SNAPSHOT_FAILED)
            if peer == self._led_by[0] and event is not PeerEvent.SNAPSHOT_FAILED:
                # What was on its way to the leader may be lost.
                self._proposals.give_all_again()
        self._barrier.start()
        self._step_arrived()  # last: the next Write tells whether it was taken

    def _only_commands(self, message: ForwardProposals) -> ForwardProposals:
        """Leave out what is no command known here: once in the log it would stop every member."""
        if not self.wal.has_room and self._writer.waiting_bytes > MAX_UNWRITTEN_BYTES:
            # The others commit them without this disk, so nothing else bounds what waits for it in memory.
            return message._replace(commands=())
        commands = tuple(data for data in message.commands if is_command(data))
        dropped = len(message.commands) - len(commands)
        if dropped:
            self._emit(PeerRefused(message.source, f"{dropped} proposals that are no command known here"))
        return message._replace(commands=commands)

    async def _carry_out(self, ready: Ready) -> None:
        if ready.write is not None:
            self._addresses.learn_from(ready.write.entries)
        if ready.configuration is not None:
            self._addresses.learn(self.members())  # also those that a change had which was rolled back
            self._connect_peers()
        self._transport.send(ready.messages)
        if ready.write is not None and ready.write.snapshot is not None:
            self._install(ready.write)
        elif ready.write is not None:
            self._writer.submit(ready.write)
        stepped, self._stepped = self._stepped, None
        self._give_up(stepped)
        if ready.committed:
            await self._apply_all(ready.committed)
        for state in ready.reads:
            self._barrier.take(state, self.applied_index)

    async def _apply_all(self, entries: Sequence[Entry]) -> None:
        """Apply in order, letting others run after each slice of time."""
        begin, began = self._loop.time(), self.tally.now()
        for entry in entries:
            self._apply(entry)
            if self._loop.time() - begin > self.slice_seconds:
                self._applied_to(entry)
                self._count_apply(self.tally.now() - began)
                await asyncio.sleep(0)
                begin, began = self._loop.time(), self.tally.now()
        self._applied_to(entries[-1])
        self.tally.applies.observe(self.tally.now() - began)
        self._snapshotter.applied(entries)

    def _count_apply(self, seconds: float) -> None:
        """Count a slice of entries that took long enough to be interrupted."""
        self.steps.took("apply", seconds)
        self.tally.applies.observe(seconds)
        self.tally.slow_applies += seconds > SLOW_APPLY_SECONDS

    def _apply(self, entry: Entry) -> None:
        match entry.kind:
            case EntryKind.COMMAND:
                self._waiters.resolve(self.machine.apply_command(entry.index, entry.data, entry.term))
            case EntryKind.CONFIGURATION:
                configuration, context = decode_configuration(entry.data)
                answer = self.machine.apply_configuration(entry.index, context)
                self._applied = self._applied._replace(configuration=configuration)
                if answer is not None:
                    self._waiters.resolve(answer)
                self._stop_if_removed()
            case EntryKind.NOOP:
                pass
            case _:
                raise AssertionError(f"entry {entry.index} is of unknown kind {entry.kind}")

    def _stop_if_removed(self) -> None:
        """End this member once its removal is applied: nobody will tell it anything more (§4.2.2)."""
        if self.member_id in self._applied.configuration.removed:
            raise MemberRemoved(f"member {self.member_id:x} was removed from the cluster")

    def _applied_to(self, entry: Entry) -> None:
        self._applied = Snapshot(entry.index, entry.term, self._applied.configuration)
        self._now_at(entry.index)

    def _now_at(self, index: int) -> None:
        """Tell those who wait that all up to ``index`` is applied."""
        self._core.applied(index)
        self._barrier.release(index)
        self._expiry.applied(self._applied.term)
        self._removal.applied()
        if self.watches.behind:
            self._watching.set()
        if index >= self._recovered_index:
            self._recovered.set()

    # ---------------------------------------------------------------- a leader's snapshot

    def _take_arrived(self, arrived: Arrived) -> None:
        """Take a snapshot that is here, for the next turn of the pump."""
        self._give_up(self._arrived)
        self._arrived = arrived
        self._wake.set()

    def _step_arrived(self) -> None:
        """Tell the core of a snapshot that is here."""
        if self._arrived is not None:
            self._give_up(self._stepped)
            self._stepped, self._arrived = self._arrived, None
            self._core.step(self._stepped.message)

    def _give_up(self, arrived: Arrived | None) -> None:
        """Forget a snapshot that the core did not take: the log caught up with it, or the term is over."""
        if arrived is not None:
            self._store.give_up(arrived.ref)
            self._removal.discard(arrived.loader)
            self._snapshotter.clean_up()

    def _install(self, write: Write) -> None:
        """Go on with a leader's snapshot: all of it is committed, so it may be served at once."""
        arrived, self._stepped = self._stepped, None
        assert arrived is not None, f"no file is here for {write.snapshot}"
        snapshot = arrived.message.snapshot
        assert write.snapshot == snapshot == arrived.ref.snapshot, f"{arrived.ref} for {write.snapshot}"
        self.machine.adopt(arrived.loader)
        self._removal.discard(arrived.loader)
        self._applied = snapshot
        self._snapshotter.replaced(arrived.ref)
        self._replaced_by = write.number
        self._writer.submit(write, arrived.ref)
        self._addresses.learn(self.machine.membership.members())
        self._connect_peers()
        self._now_at(snapshot.index)
        self._proposals.give_all_again()  # what the snapshot covers turns out to be a duplicate
        self._emit(SnapshotInstalled(arrived.message.source, snapshot.index, arrived.ref.size))
        self._stop_if_removed()

    # ---------------------------------------------------------------- small things

    def _connect_peers(self) -> None:
        """Reach whom the core wants reached, from the moment on at which an entry names them (§4.1)."""
        peers = self._addresses.peers(self._core.status())
        if peers != self._peers:
            self._peers = peers
            self._transport.set_peers(peers)

    def _persisted(self, number: int) -> None:
        self._core.persisted(number)
        if self._changes.waiting:
            self._changes.settle_second_voter()
        if 0 < self._replaced_by <= number:
            self._replaced_by = 0
            self._snapshotter.confirm()
        self._wake.set()

    def _wake_pump(self) -> None:
        self._wake.set()

    # ---------------------------------------------------------------- leadership

    def _leadership(self) -> tuple[int, int]:
        status = self._core.status()
        return status.leader, status.term

    def _notice_leader(self) -> None:
        """Under a new leader propose again what the one before may have lost."""
        led_by = self._leadership()
        if led_by == self._led_by:
            return
        self.tally.leader_changes += led_by[0] not in (NO_NODE, self._led_by[0])
        self._led_by = led_by
        self._leadership_changed.set()
        self._leader_calls.leader_changed()
        if led_by[0] == self.member_id:
            self._expiry.lead(led_by[1])
        else:
            self._expiry.follow()
        if led_by[0] == NO_NODE:
            return
        self._proposals.give_all_again()
        self._barrier.ask_again()
        self._wake.set()

    # ---------------------------------------------------------------- the other tasks

    async def _clock(self) -> None:
        """Tick once a heartbeat interval; ticks missed in a stall are dropped, not replayed."""
        interval = self.config.heartbeat_interval / 1000
        due = self._loop.time() + interval
        while True:
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            late = self._loop.time() - due
            self.steps.took("loop", late)
            self.tally.late_heartbeats += late > interval and self._led_by[0] == self.member_id
            due = self._loop.time() + interval - min(late, interval)
            self._tick()
            self._connect_peers()  # a removed member is let go when it knows
            self._make_room_for_others()
            self._waiters.expire()
            self._barrier.tick()
            self.streams.tick(self._loop.time(), has_leader=self.has_leader)
            if self._led_by == self._leadership() and self._led_by[0] != NO_NODE:
                self._proposals.give_late_ones_again(leads=self._led_by[0] == self.member_id)
            self._wake.set()

    def _make_room_for_others(self) -> None:
        """Let another member lead when this one has had no room for an election time-out: it may have some.

        Tried again now and then only: where all are full, leadership must not go in circles.
        """
        if self.wal.has_room:
            self._full_since = None
            return
        now = self._loop.time()
        if self._full_since is None:
            self._full_since = now
        full_long_enough = now >= self._full_since + self.config.election_timeout / 1000
        if full_long_enough and now >= self._moved_at + MOVE_PAUSE and self._lead_no_more():
            self._moved_at = now

    def _tick(self) -> None:
        """Tick once, and say how many intervals really passed: a lease must not outlive a stall."""
        interval = self.config.heartbeat_interval / 1000
        passed = int((self._loop.time() - self._ticked_at) / interval)
        self._ticked_at += passed * interval
        self._core.tick(passed)

    async def _tell_watchers(self) -> None:
        """Tell watchers in slices of what was applied: applying never waits for them."""
        while True:
            await self._watching.wait()
            self._watching.clear()
            more = True
            while more:
                with self.steps.timed("watch"):
                    more = self.watches.step()
                await asyncio.sleep(0)

    async def _raise_level(self) -> None:
        await self.recovered()
        await self._level.run()

    async def _publish(self) -> None:
        await self.recovered()
        await publish(self.config, self.member_id, self.machine, self.propose)

    async def _watch_quota(self) -> None:
        await self.recovered()
        with suppress(NodeStopped):
            await self.quota.watch()

    async def _compact_automatically(self) -> None:
        config = self.config
        policy = policy_of(config.auto_compaction_mode, config.auto_compaction_retention)
        if policy is None:
            return
        await self.recovered()
        await compact_automatically(
            policy,
            revision=lambda: self.machine.store.revision,
            leads=lambda: self._core.status().role is Role.LEADER,
            propose=self.propose,
        )


def _look_at(future: "asyncio.Future[Any]") -> None:
    """Take an error out of a future, so that the loop does not take it for one that was overlooked."""
    if not future.cancelled():
        future.exception()
