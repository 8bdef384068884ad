"""A node without a cluster: the real state machine, and consensus that agrees at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from raftkv.errors import BadTransferee, NotLeader, RaftKvError, StorageError
from raftkv.mvcc.commands import PublishMember, RequestId, encode_command
from raftkv.mvcc.machine import Machine
from raftkv.mvcc.membership import MemberChange, MemberInfo, check_change, encode_bootstrap, encode_change
from raftkv.mvcc.watch import Watches
from raftkv.node.changes import CHANGE_OF
from raftkv.node.config import Config
from raftkv.node.expiry import Expiry
from raftkv.node.open_streams import OpenStreams
from raftkv.node.questions import KeepAlive, Question, TimeToLive
from raftkv.node.quota import Quota
from raftkv.node.snapshotter import Backup
from raftkv.node.steps import Steps
from raftkv.node.tally import Tally
from raftkv.raft import NO_NODE, ChangeKind, Configuration, Role, Status
from raftkv.storage.wal import WalCounters
from raftkv.trace import discard

MEMBER = 0x8E9E05C52164694D
CLUSTER = 0xCDF818194E3A8C32


class FakeFile:
    """A file of a backup in memory, which can turn out to be unreadable."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.fails_at: int | None = None
        self.reads = 0

    async def read(self, offset: int, size: int) -> bytes:
        self.reads += 1
        if self.fails_at is not None and offset >= self.fails_at:
            raise StorageError("backup: read failed: Input/output error")
        return self.data[offset : offset + size]


class FakeNode:
    """Stands in for ``raftkv.node.node.Node`` towards services and API."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config()
        self.member_id = MEMBER
        self.cluster_id = CLUSTER
        self.machine = Machine()
        self.watches = Watches(self.machine)
        self.streams = OpenStreams(self.config.election_timeout / 1000)
        self.quota = Quota(self.config.quota_bytes, MEMBER, self.machine, self.propose)
        self.leader = MEMBER
        self.term = 2
        self.learners: tuple[int, ...] = ()
        self.other_voters: tuple[int, ...] = ()
        self.transferee = NO_NODE
        self.connected: dict[int, float] = {}
        self.refusals: list[RaftKvError] = []
        self.proposed: list[Any] = []
        self.barriers = 0
        self.compacts = True
        self.fail_propose: RaftKvError | None = None
        self.fail_barrier: RaftKvError | None = None
        self.hold = asyncio.Event()
        self.hold.set()
        self.cancelled = asyncio.Event()
        self.started = asyncio.Event()
        self.tally = Tally(asyncio.get_running_loop().time)
        self.wal = SimpleNamespace(counters=WalCounters())
        self.waiting = 0
        self.reads_slow_and_failed = (0, 0)
        self.steps = Steps(asyncio.get_running_loop().time, discard)
        self.expiry = self._make_expiry()
        self.fail_question: RaftKvError | None = None
        self.backup_file = FakeFile(b"")
        self.backups = 0
        self.fail_backup: RaftKvError | None = None
        self.snapshots = 0
        members = [MemberInfo(MEMBER, "", ("http://127.0.0.1:2380",), (), is_learner=False)]
        self.machine.apply_configuration(1, encode_bootstrap(members))

    def _make_expiry(self) -> Expiry:
        expiry = Expiry(
            self.config,
            asyncio.get_running_loop(),
            self.machine,
            self.steps,
            leads_in=lambda: self.term,
            confirmed=self.read_barrier,
            propose=self.proposed.append,
            propose_and_wait=self.propose,
        )
        expiry.lead(self.term)
        return expiry

    async def ask_leader_again(self, question: Question) -> Any:
        if self.fail_question is not None:
            raise self.fail_question
        match question:
            case KeepAlive(lease):
                return await self.expiry.keep_alive(lease)
            case TimeToLive(lease):
                return await self.expiry.time_to_live(lease)
        raise AssertionError(f"nobody asks {question}")

    def new_lease_id(self) -> int:
        return 1000 + len(self.machine.leases)

    async def leases_in_order(self) -> list[int]:
        return await self.expiry.in_order()

    @property
    def applied_index(self) -> int:
        return self.machine.applied_index

    @property
    def has_leader(self) -> bool:
        return self.leader != NO_NODE

    def status(self) -> Status:
        return Status(
            node_id=self.member_id,
            role=Role.LEADER if self.leader == self.member_id else Role.FOLLOWER,
            term=self.term,
            vote=self.leader,
            leader=self.leader,
            durable_term=self.term,
            durable_vote=self.leader,
            durable_index=self.applied_index,
            commit_index=self.applied_index,
            applied_index=self.applied_index,
            log=None,  # type: ignore[arg-type]
            snapshot=None,
            configuration_index=1,
            transferee=self.transferee,
            configuration=Configuration((self.member_id, *self.other_voters), self.learners),
            peers={},
        )

    async def propose(self, request: Any) -> Any:
        self.started.set()
        if self.fail_propose is not None:
            raise self.fail_propose
        try:
            await self.hold.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        self.proposed.append(request)
        index = self.applied_index + 1
        applied = self.machine.apply_command(
            index, encode_command(RequestId(self.member_id, 1, index), request)
        )
        self.expiry.applied(self.term)
        if applied.error is not None:
            raise applied.error
        while self.watches.step():
            pass
        while self.compacts and self.machine.store.compact_step(1000):
            pass
        return applied.response

    @property
    def is_learner(self) -> bool:
        return self.member_id in self.learners

    def members(self) -> list[MemberInfo]:
        return self.machine.membership.members()

    def connected_for(self, peer: int) -> float | None:
        return self.connected.get(peer)

    async def change_members(self, kind: ChangeKind, member: MemberInfo) -> list[MemberInfo]:
        if self.refusals:
            raise self.refusals.pop(0)
        check_change(self.members(), CHANGE_OF[kind], member, self.config.max_learners)
        index = self.applied_index + 1
        change = MemberChange(RequestId(self.member_id, 1, index), CHANGE_OF[kind], member)
        applied = self.machine.apply_configuration(index, encode_change(change))
        assert applied is not None
        assert isinstance(applied.response, list)
        return applied.response

    def add(self, member: MemberInfo, connected: float | None = None) -> None:
        """Let a member be there, and connected for some seconds."""
        members = [*self.machine.membership.members(), member]
        self.machine.apply_configuration(self.applied_index + 1, encode_bootstrap(members))
        if connected is not None:
            self.connected[member.id] = connected

    async def read_barrier(self) -> None:
        self.started.set()
        if self.fail_barrier is not None:
            raise self.fail_barrier
        try:
            await self.hold.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        self.barriers += 1

    def transfer_leadership(self, target: int) -> None:
        if self.leader != self.member_id:
            raise NotLeader(self.leader)
        if target == self.member_id:
            return
        if target not in self.other_voters:
            raise BadTransferee
        self.transferee = target

    @asynccontextmanager
    async def backup(self) -> AsyncIterator[Backup]:
        if self.fail_backup is not None:
            raise self.fail_backup
        self.backups += 1
        try:
            yield Backup(self.backup_file, len(self.backup_file.data))  # type: ignore[arg-type]
        finally:
            self.backups -= 1

    async def snapshot_now(self) -> None:
        self.snapshots += 1

    async def publish(self, name: str = "n1", url: str = "http://127.0.0.1:2379") -> None:
        await self.propose(PublishMember(self.member_id, name, [url]))
        self.proposed.clear()
