"""etcd's Maintenance service: one member's own state, alarms, backups, checksums, who leads."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from hashlib import sha256
from zlib import crc32

from raftkv.errors import InvalidRequest, TooManyRequests, TransferTimedOut
from raftkv.mvcc.machine import Machine
from raftkv.mvcc.parts import Block
from raftkv.node.node import Node
from raftkv.raft import NO_NODE, Role
from raftkv.schema.kv import ResponseHeader
from raftkv.schema.maintenance import (
    AlarmAction,
    AlarmMember,
    AlarmRequest,
    AlarmResponse,
    AlarmType,
    DefragmentRequest,
    DefragmentResponse,
    DowngradeRequest,
    DowngradeResponse,
    HashKVRequest,
    HashKVResponse,
    HashRequest,
    HashResponse,
    MoveLeaderRequest,
    MoveLeaderResponse,
    SnapshotRequest,
    SnapshotResponse,
    StatusRequest,
    StatusResponse,
)
from raftkv.service.defragment import defragment
from raftkv.service.downgrade import CLUSTER_VERSION, check_downgrade
from raftkv.service.header import complete

ETCD_VERSION = "3.5.1"
"""The etcd version whose API is spoken."""

NO_LEADER = "etcdserver: no leader"

EMPTY_BYTES = 4096
"""What an empty store counts for in a status: a file is never empty, and clients divide by its size."""

BLOB_BYTES = 32 * 1024
"""Size of one piece of a backup, as in etcd."""

LEADER_POLL_SECONDS = 0.01
"""How often it looks whether the target leads: a transfer that the leader gives up is told by nobody."""

READ_BYTES = 8 * BLOB_BYTES

MAX_BACKUPS = 4
"""Backups sent at once; each keeps a file of the size of the data."""


class MaintenanceService:
    """The maintenance calls of one member."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._backups = 0

    @property
    def _machine(self) -> Machine:
        return self._node.machine

    async def status(self, request: StatusRequest) -> StatusResponse:
        """Report this member's state, from memory: it answers without a leader too."""
        raft = self._node.status()
        store = self._machine.store
        response = StatusResponse(
            header=ResponseHeader(revision=store.revision),
            version=ETCD_VERSION,
            dbSize=EMPTY_BYTES + self._machine.size_bytes,
            leader=raft.leader,
            raftIndex=raft.commit_index,
            raftTerm=raft.term,
            raftAppliedIndex=self._node.applied_index,
            errors=[NO_LEADER] if raft.leader == NO_NODE else [],
            dbSizeInUse=EMPTY_BYTES + store.size_in_use_bytes + self._machine.leases.size_bytes,
            isLearner=self._node.member_id in raft.configuration.learners,
        )
        response.errors += [describe_alarm(alarm) for alarm in self._machine.alarms.raised()]
        complete(response.header, self._node)
        return response

    async def alarm(self, request: AlarmRequest) -> AlarmResponse:
        """List alarms (a linearizable read), or raise or clear one through the log.

        Raises InvalidRequest for an action or alarm that does not exist, on which etcd 3.5 panics, and
        what ``Node.propose`` raises.
        """
        match request.action:
            case AlarmAction.GET:
                await self._node.read_barrier()
                header = ResponseHeader(revision=self._machine.store.revision)
                response = AlarmResponse(header, self._machine.alarms.raised(request.alarm))
            case AlarmAction.ACTIVATE | AlarmAction.DEACTIVATE:
                if request.action == AlarmAction.ACTIVATE and request.alarm not in list(AlarmType):
                    raise InvalidRequest(f"unknown alarm {request.alarm}")
                response = await self._node.propose(request)
            case _:
                raise InvalidRequest(f"unknown alarm action {request.action}")
        complete(response.header, self._node)
        return response

    async def defragment(self, request: DefragmentRequest) -> DefragmentResponse:
        """Give up the room that this member's data does not need; raises what its steps raise."""
        tally = self._node.tally
        tally.defragmenting += 1
        begin = tally.now()
        try:
            await defragment(self._node)
        finally:
            tally.defragmenting -= 1
        tally.defragmentations.observe(tally.now() - begin)
        return DefragmentResponse()

    async def snapshot(self, request: SnapshotRequest) -> AsyncGenerator[SnapshotResponse, None]:
        """Yield a backup of all data as of now in pieces, then the SHA-256 of all pieces.

        It is written to a file first, which goes when the generator is closed: so a slow reader holds
        a file and no memory, and holds nobody up. Raises TooManyRequests, NoSpace, StorageError.
        """
        if self._backups >= MAX_BACKUPS:
            raise TooManyRequests(f"{MAX_BACKUPS} backups are being sent")
        self._backups += 1
        begin = self._node.tally.now()
        try:
            async with self._node.backup() as backup:
                hashed, sent = sha256(), 0
                while sent < backup.size:
                    piece = await backup.file.read(sent, min(READ_BYTES, backup.size - sent))
                    hashed.update(piece)
                    for start in range(0, len(piece), BLOB_BYTES):
                        blob = piece[start : start + BLOB_BYTES]
                        sent += len(blob)
                        yield SnapshotResponse(remaining_bytes=backup.size - sent, blob=blob)
                yield SnapshotResponse(blob=hashed.digest())
            self._node.tally.backups.observe(self._node.tally.now() - begin)
        finally:
            self._backups -= 1

    async def hash(self, request: HashRequest) -> HashResponse:
        """Return a CRC-32 of the snapshot that could be taken now: of one member, not for comparing two.

        What a compaction lets go counts until it is removed, which is each member's own affair.
        """
        begin = self._node.tally.now()
        response = HashResponse(ResponseHeader(revision=self._machine.store.revision))
        cut = self._machine.cut()
        try:
            blocks = cut.blocks()
            while (block := self._next_block(blocks)) is not None:
                response.hash = crc32(block.data, response.hash)
                await asyncio.sleep(0)
        finally:
            cut.close()
        self._node.tally.hashes.observe(self._node.tally.now() - begin)
        complete(response.header, self._node)
        return response

    def _next_block(self, blocks: Iterator[Block]) -> Block | None:
        with self._node.steps.timed("hash"):
            return next(blocks, None)

    async def hash_kv(self, request: HashKVRequest) -> HashKVResponse:
        """Return a checksum of keys and history up to a revision, for comparing members.

        Raises FutureRevision, Compacted.
        """
        begin, more = self._node.tally.now(), True
        with self._machine.store.open_hash(request.revision) as hashing:
            while more:
                with self._node.steps.timed("hash"):
                    more = hashing.step()
                await asyncio.sleep(0)
        self._node.tally.revision_hashes.observe(self._node.tally.now() - begin)
        header = ResponseHeader(revision=hashing.current)
        complete(header, self._node)
        return HashKVResponse(header, hashing.value, hashing.compact_revision)

    async def move_leader(self, request: MoveLeaderRequest) -> MoveLeaderResponse:
        """Hand leadership to a voter, and answer once it leads (thesis §3.10).

        Raises NotLeader, BadTransferee (nothing was begun) and TransferTimedOut.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._node.config.request_timeout
        self._node.transfer_leadership(request.targetID)
        while (status := self._node.status()).leader != request.targetID:
            given_up = status.role is Role.LEADER and status.transferee == NO_NODE
            if given_up or loop.time() >= deadline:
                raise TransferTimedOut
            await asyncio.sleep(LEADER_POLL_SECONDS)
        return MoveLeaderResponse()

    async def downgrade(self, request: DowngradeRequest) -> DowngradeResponse:
        """Answer whether the cluster can go back to a version; raises what ``check_downgrade`` raises."""
        await check_downgrade(request, self._node.read_barrier)
        header = ResponseHeader(revision=self._machine.store.revision)
        complete(header, self._node)
        return DowngradeResponse(header, CLUSTER_VERSION)


def describe_alarm(alarm: AlarmMember) -> str:
    """Return an alarm as etcd writes it in a status, with a space at its end."""
    member = f"memberID:{alarm.memberID} " if alarm.memberID else ""
    return f"{member}alarm:{AlarmType(alarm.alarm).name} "
