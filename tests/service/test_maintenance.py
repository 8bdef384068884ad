"""Alarms, quota, backups and defragmentation as a member serves them."""

import asyncio
from contextlib import aclosing
from hashlib import sha256

import pytest

from raftkv import errors
from raftkv.node.config import DEFAULT_QUOTA_BYTES, Config
from raftkv.node.quota import Quota
from raftkv.raft import NO_NODE
from raftkv.schema.kv import (
    CompactionRequest,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)
from raftkv.schema.maintenance import (
    AlarmAction,
    AlarmMember,
    AlarmRequest,
    AlarmType,
    DefragmentRequest,
    DefragmentResponse,
    DowngradeAction,
    DowngradeRequest,
    HashKVRequest,
    HashRequest,
    MoveLeaderRequest,
    MoveLeaderResponse,
    SnapshotRequest,
    SnapshotResponse,
    StatusRequest,
)
from raftkv.service import KvService, MaintenanceService
from raftkv.service.maintenance import BLOB_BYTES, EMPTY_BYTES, MAX_BACKUPS
from tests.service.fake_node import MEMBER, FakeFile, FakeNode
from tests.service.test_services import header

OWN_ALARM = AlarmMember(MEMBER, AlarmType.NOSPACE)
BIG = PutRequest(b"a", b"v" * 2000)


@pytest.fixture
async def maintenance(node: FakeNode) -> MaintenanceService:
    return MaintenanceService(node)  # type: ignore[arg-type]


@pytest.fixture
async def small() -> FakeNode:
    """A member whose data may grow to 10,000 bytes."""
    return FakeNode(Config(quota_backend_bytes=10_000))


async def fill(node: FakeNode) -> KvService:
    """Put until the quota refuses."""
    kv = KvService(node)  # type: ignore[arg-type]
    for _ in range(4):
        await kv.put(BIG)
    with pytest.raises(errors.QuotaExceeded):
        await kv.put(BIG)
    return kv


async def pieces_of(maintenance: MaintenanceService) -> list[SnapshotResponse]:
    async with aclosing(maintenance.snapshot(SnapshotRequest())) as pieces:
        return [piece async for piece in pieces]


# ---------------------------------------------------------------- alarms


async def test_alarms_are_raised_and_cleared_through_the_log_and_listed_by_a_read(
    maintenance: MaintenanceService, node: FakeNode
) -> None:
    raised = AlarmRequest(AlarmAction.ACTIVATE, 5, AlarmType.NOSPACE)
    response = await maintenance.alarm(raised)
    assert (response.header, response.alarms) == (header(1), [AlarmMember(5, AlarmType.NOSPACE)])
    response = await maintenance.alarm(AlarmRequest())
    assert (response.header, response.alarms) == (header(1), [AlarmMember(5, AlarmType.NOSPACE)])
    assert (node.proposed, node.barriers) == ([raised], 1)
    await maintenance.alarm(AlarmRequest(AlarmAction.DEACTIVATE, 5, AlarmType.NOSPACE))
    assert (await maintenance.alarm(AlarmRequest())).alarms == []


@pytest.mark.parametrize("request_", [AlarmRequest(7, 5, 1), AlarmRequest(AlarmAction.ACTIVATE, 5, 3)])
async def test_what_crashes_etcd_is_refused_before_the_log(
    maintenance: MaintenanceService, node: FakeNode, request_: AlarmRequest
) -> None:
    with pytest.raises(errors.InvalidRequest, match="unknown alarm"):
        await maintenance.alarm(request_)
    assert node.proposed == []


async def test_alarms_are_in_the_status_as_etcd_writes_them(maintenance: MaintenanceService) -> None:
    await maintenance.alarm(AlarmRequest(AlarmAction.ACTIVATE, 5, AlarmType.NOSPACE))
    await maintenance.alarm(AlarmRequest(AlarmAction.ACTIVATE, 0, AlarmType.CORRUPT))
    status = await maintenance.status(StatusRequest())
    assert status.errors == ["memberID:5 alarm:NOSPACE ", "alarm:CORRUPT "]


# ---------------------------------------------------------------- quota


async def test_a_put_beyond_the_quota_is_refused_and_raises_the_alarm_once(small: FakeNode) -> None:
    kv = await fill(small)
    assert small.machine.alarms.raised() == [OWN_ALARM]
    refused = await asyncio.gather(*(kv.put(BIG) for _ in range(5)), return_exceptions=True)
    assert {type(error) for error in refused} == {errors.QuotaExceeded}
    assert sum(isinstance(request, AlarmRequest) for request in small.proposed) == 1


async def test_the_quota_counts_the_request_too(small: FakeNode) -> None:
    kv = KvService(small)  # type: ignore[arg-type]
    with pytest.raises(errors.QuotaExceeded):
        await kv.put(PutRequest(b"k", b"v" * (10_000 - 256 - 1)))
    assert small.machine.store.revision == 1


async def test_a_txn_beyond_the_quota_raises_the_alarm_as_well(small: FakeNode) -> None:
    kv = KvService(small)  # type: ignore[arg-type]
    puts = [RequestOp(request_put=PutRequest(b"k%d" % i, b"v" * 5000)) for i in range(2)]
    with pytest.raises(errors.QuotaExceeded):
        await kv.txn(TxnRequest(success=puts))
    assert (small.machine.alarms.raised(), small.machine.store.revision) == ([OWN_ALARM], 1)


async def test_what_does_not_grow_passes_in_spite_of_the_quota(small: FakeNode) -> None:
    kv = await fill(small)
    with pytest.raises(errors.QuotaExceeded):
        await kv.txn(TxnRequest(failure=[RequestOp(request_put=PutRequest(b"b"))]))
    assert (await kv.range(RangeRequest(b"a"))).count == 1
    assert (await kv.txn(TxnRequest(success=[RequestOp(request_range=RangeRequest(b"a"))]))).succeeded
    assert (
        await kv.txn(TxnRequest(success=[RequestOp(request_delete_range=DeleteRangeRequest(b"a"))]))
    ).succeeded
    await kv.compact(CompactionRequest(small.machine.store.revision, physical=True))


async def test_room_comes_back_by_compaction_defragmentation_and_disarming(small: FakeNode) -> None:
    """Etcd's way out, in which no step can be left out."""
    kv, maintenance = await fill(small), MaintenanceService(small)  # type: ignore[arg-type]
    disarm = AlarmRequest(AlarmAction.DEACTIVATE, MEMBER, AlarmType.NOSPACE)
    await kv.delete_range(DeleteRangeRequest(b"a"))
    await kv.compact(CompactionRequest(small.machine.store.revision, physical=True))
    await maintenance.alarm(disarm)
    with pytest.raises(errors.QuotaExceeded):
        await kv.put(BIG)
    status = await maintenance.status(StatusRequest())
    assert status.dbSizeInUse == EMPTY_BYTES < status.dbSize
    await maintenance.defragment(DefragmentRequest())
    status = await maintenance.status(StatusRequest())
    assert (status.dbSize, status.errors) == (EMPTY_BYTES, [f"memberID:{MEMBER} alarm:NOSPACE "])
    with pytest.raises(errors.QuotaExceeded):
        await kv.put(BIG)
    await maintenance.alarm(disarm)
    await kv.put(BIG)


async def test_without_a_leader_the_write_is_refused_all_the_same(small: FakeNode) -> None:
    kv = KvService(small)  # type: ignore[arg-type]
    for _ in range(4):
        await kv.put(BIG)
    small.fail_propose = errors.RequestTimedOut()
    with pytest.raises(errors.QuotaExceeded):
        await kv.put(BIG)


async def test_a_member_that_only_applies_raises_its_alarm_too(
    small: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its quota may be smaller than that of the member whose clients write."""
    monkeypatch.setattr("raftkv.node.quota.WATCH_SECONDS", 0.001)
    watching = asyncio.create_task(small.quota.watch())
    while not small.machine.alarms.raised():
        await small.propose(BIG)
        await asyncio.sleep(0.002)
    assert small.machine.alarms.raised() == [OWN_ALARM]
    await small.propose(AlarmRequest(AlarmAction.DEACTIVATE, MEMBER, AlarmType.NOSPACE))
    await asyncio.sleep(0.05)
    assert small.machine.alarms.raised() == [], "nothing was written since it was cleared"
    watching.cancel()
    await asyncio.wait([watching])


async def test_the_quota_is_two_gibibytes_by_default_and_can_be_off(node: FakeNode) -> None:
    assert Config().quota_bytes == DEFAULT_QUOTA_BYTES == 2**31
    limits = {limit: Quota(limit, MEMBER, node.machine, node.propose) for limit in (-1, 257, 258)}
    assert [limits[limit].admits(PutRequest(b"k")) for limit in limits] == [True, False, True]
    await limits[-1].watch()


# ---------------------------------------------------------------- backups


@pytest.mark.parametrize("size", [0, 1, BLOB_BYTES, BLOB_BYTES + 1, 20 * BLOB_BYTES])
async def test_a_backup_comes_in_pieces_and_their_checksum(
    maintenance: MaintenanceService, node: FakeNode, size: int
) -> None:
    data = bytes(i * 7 % 251 for i in range(size))
    node.backup_file = FakeFile(data)
    *pieces, last = await pieces_of(maintenance)
    assert b"".join(piece.blob for piece in pieces) == data
    assert all(len(piece.blob) <= BLOB_BYTES for piece in pieces)
    sent = 0
    for piece in pieces:
        sent += len(piece.blob)
        assert (piece.remaining_bytes, piece.header) == (size - sent, None)
    assert last == SnapshotResponse(blob=sha256(data).digest())
    assert node.backups == 0


async def test_who_goes_away_frees_the_file(maintenance: MaintenanceService, node: FakeNode) -> None:
    node.backup_file = FakeFile(bytes(100 * BLOB_BYTES))
    async with aclosing(maintenance.snapshot(SnapshotRequest())) as pieces:
        await anext(pieces)
        assert node.backups == 1
    assert node.backups == 0
    assert node.backup_file.reads == 1, "a reader that does not read on must not fill memory"


async def test_only_some_backups_are_sent_at_once(maintenance: MaintenanceService, node: FakeNode) -> None:
    node.backup_file = FakeFile(bytes(BLOB_BYTES))
    held = [maintenance.snapshot(SnapshotRequest()) for _ in range(MAX_BACKUPS)]
    for pieces in held:
        await anext(pieces)
    with pytest.raises(errors.TooManyRequests):
        await pieces_of(maintenance)
    await held[0].aclose()
    assert len(await pieces_of(maintenance)) == 2
    for pieces in held:
        await pieces.aclose()


async def test_a_backup_without_room_is_refused_and_counts_no_more(
    maintenance: MaintenanceService, node: FakeNode
) -> None:
    node.fail_backup = errors.NoSpace("no room")
    for _ in range(MAX_BACKUPS + 1):
        with pytest.raises(errors.NoSpace):
            await pieces_of(maintenance)


# ---------------------------------------------------------------- defragmentation


async def test_defragmentation_waits_for_compaction_takes_a_snapshot_and_changes_no_answer(
    maintenance: MaintenanceService, node: FakeNode
) -> None:
    store = node.machine.store
    for i in range(3000):
        store.put(PutRequest(b"%05d" % (i * 7919 % 3000), b"v" * 50))
    store.delete_range(DeleteRangeRequest(b"00100", b"02900"))
    digest, size = node.machine.digest(), store.size_bytes
    store.compact(CompactionRequest(store.revision))
    after = node.machine.digest()
    assert after != digest
    defragmenting = asyncio.create_task(maintenance.defragment(DefragmentRequest()))
    await asyncio.sleep(0.05)
    assert not defragmenting.done()
    while store.compact_step(1000):
        pass
    assert await defragmenting == DefragmentResponse()
    assert (node.snapshots, node.machine.digest()) == (1, after)
    assert store.size_bytes == store.size_in_use_bytes < size / 10
    everything = RangeRequest(b"\0", b"\0")
    assert [kv.key for kv in store.range(everything).kvs] == [
        b"%05d" % i for i in range(3000) if not 100 <= i < 2900
    ]


# ---------------------------------------------------------------- checksums


async def test_a_checksum_of_the_keys_tells_what_it_was_taken_of(
    maintenance: MaintenanceService, node: FakeNode
) -> None:
    kv = KvService(node)  # type: ignore[arg-type]
    for value in (b"1", b"2", b"3"):
        await kv.put(PutRequest(b"a", value))
    newest, older = [await maintenance.hash_kv(HashKVRequest(revision)) for revision in (0, 3)]
    assert (
        (newest.header, newest.compact_revision) == (older.header, older.compact_revision) == (header(4), -1)
    )
    assert 0 < newest.hash != older.hash > 0
    await kv.compact(CompactionRequest(3, physical=True))
    compacted = await maintenance.hash_kv(HashKVRequest())
    assert (compacted.header, compacted.compact_revision) == (header(4), 3)
    assert compacted.hash != newest.hash
    with pytest.raises(errors.Compacted):
        await maintenance.hash_kv(HashKVRequest(3))
    with pytest.raises(errors.FutureRevision):
        await maintenance.hash_kv(HashKVRequest(5))


@pytest.mark.parametrize("call", ["hash", "hash_kv"])
async def test_a_checksum_gives_others_a_turn_and_sees_one_moment(
    maintenance: MaintenanceService, node: FakeNode, call: str
) -> None:
    ask = {"hash": (maintenance.hash, HashRequest()), "hash_kv": (maintenance.hash_kv, HashKVRequest())}[call]
    for i in range(5000):
        node.machine.store.put(PutRequest(b"%05d" % i, b"old"))
    before = await ask[0](ask[1])  # type: ignore[arg-type]
    taking = asyncio.create_task(ask[0](ask[1]))  # type: ignore[arg-type]
    turns = 0
    while not taking.done():
        await asyncio.sleep(0)
        turns += 1
        if turns == 5:
            node.machine.store.put(PutRequest(b"00000", b"new"))
            node.machine.store.put(PutRequest(b"99999", b"new"))
    assert turns >= 10
    assert (await taking).hash == before.hash
    assert (await ask[0](ask[1])).hash != before.hash  # type: ignore[arg-type]


@pytest.mark.parametrize("call", ["hash", "hash_kv"])
async def test_who_does_not_wait_for_a_checksum_keeps_no_compaction_waiting(
    maintenance: MaintenanceService, node: FakeNode, call: str
) -> None:
    store = node.machine.store
    for i in range(5000):
        store.put(PutRequest(b"%05d" % (i % 2000)))
    asked = maintenance.hash(HashRequest()) if call == "hash" else maintenance.hash_kv(HashKVRequest())
    taking = asyncio.create_task(asked)
    await asyncio.sleep(0)
    store.compact(CompactionRequest(store.revision))
    assert store.compact_step(10_000)
    assert store.compacted_physically() == -1
    taking.cancel()
    await asyncio.wait([taking])
    while store.compact_step(10_000):
        pass
    assert store.compacted_physically() == store.revision


async def test_the_hash_of_all_that_a_member_stores_counts_more_than_keys(
    maintenance: MaintenanceService,
) -> None:
    before = await maintenance.hash(HashRequest())
    keys = await maintenance.hash_kv(HashKVRequest())
    await maintenance.alarm(AlarmRequest(AlarmAction.ACTIVATE, 5, AlarmType.NOSPACE))
    after = await maintenance.hash(HashRequest())
    assert (after.header, after.hash != before.hash) == (header(1), True)
    assert await maintenance.hash_kv(HashKVRequest()) == keys


# ---------------------------------------------------------------- leadership

OTHER = 0x1234


async def test_leadership_moves_to_a_voter_and_the_answer_comes_when_it_leads(
    maintenance: MaintenanceService, node: FakeNode
) -> None:
    node.other_voters = (OTHER,)
    moving = asyncio.create_task(maintenance.move_leader(MoveLeaderRequest(OTHER)))
    await asyncio.sleep(0.05)
    assert (node.transferee, moving.done()) == (OTHER, False)
    node.leader, node.transferee = OTHER, NO_NODE
    assert await moving == MoveLeaderResponse()


async def test_leadership_moves_nowhere_from_a_follower_or_to_who_does_not_vote(
    maintenance: MaintenanceService, node: FakeNode
) -> None:
    node.other_voters, node.learners = (OTHER,), (OTHER + 1,)
    assert await maintenance.move_leader(MoveLeaderRequest(MEMBER)) == MoveLeaderResponse()
    for target in (0, 99, OTHER + 1):
        with pytest.raises(errors.BadTransferee):
            await maintenance.move_leader(MoveLeaderRequest(target))
    node.leader = OTHER
    for target in (MEMBER, OTHER, 99):
        with pytest.raises(errors.NotLeader):
            await maintenance.move_leader(MoveLeaderRequest(target))


async def test_a_transfer_that_the_leader_gives_up_is_told_at_once(
    maintenance: MaintenanceService, node: FakeNode
) -> None:
    node.other_voters = (OTHER,)
    moving = asyncio.create_task(maintenance.move_leader(MoveLeaderRequest(OTHER)))
    await asyncio.sleep(0)
    node.transferee = NO_NODE
    with pytest.raises(errors.TransferTimedOut):
        await moving


async def test_a_transfer_ends_with_the_request_time_out_at_the_latest(
    maintenance: MaintenanceService, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Config, "request_timeout", 0.05)
    node.other_voters = (OTHER,)
    with pytest.raises(errors.TransferTimedOut):
        await maintenance.move_leader(MoveLeaderRequest(OTHER))


# ---------------------------------------------------------------- downgrade

BAD_FORMAT, BAD_TARGET = errors.WrongVersionFormat, errors.InvalidDowngradeTarget
VERSIONS = {
    **dict.fromkeys(["3.4", "3.4.0", "3.4.7", "03.4", "3.4.0-alpha", "3.4.0+x", "3.4.0-a.b+c.d"]),
    **dict.fromkeys(["3.5", "3.5.0", "3.5.1", "3.3", "3.6", "2.5", "4.4", "0.0"], BAD_TARGET),
    **dict.fromkeys(["", "3", "v3.4", "3.4.0.0", "3.4-x", "abc", " 3.4", ".4", "3.4."], BAD_FORMAT),
    **dict.fromkeys(["3.18446744073709551620", "9" * 5000 + ".4", "3.4\n", "٣.٤", "3.-4"], BAD_FORMAT),
}
"""Version -> what etcd 3.5.1 said of it as the target of a downgrade."""


@pytest.mark.parametrize("version", VERSIONS)
async def test_whether_a_downgrade_is_possible_is_answered_as_etcd_does(
    maintenance: MaintenanceService, node: FakeNode, version: str
) -> None:
    request, refused = DowngradeRequest(DowngradeAction.VALIDATE, version), VERSIONS[version]
    if refused is None:
        response = await maintenance.downgrade(request)
        assert (response.header, response.version) == (header(1), "3.5.0")
    else:
        with pytest.raises(refused):
            await maintenance.downgrade(request)
    assert node.barriers == (0 if refused is BAD_FORMAT else 1), "the format is looked at first"


async def test_no_downgrade_begins_and_none_can_be_given_up(maintenance: MaintenanceService) -> None:
    for version, refused in VERSIONS.items():
        with pytest.raises(refused or errors.DowngradeImpossible):
            await maintenance.downgrade(DowngradeRequest(DowngradeAction.ENABLE, version))
        with pytest.raises(errors.NoDowngrade):
            await maintenance.downgrade(DowngradeRequest(DowngradeAction.CANCEL, version))
    with pytest.raises(errors.UnknownAction):
        await maintenance.downgrade(DowngradeRequest(7, "3.4"))
