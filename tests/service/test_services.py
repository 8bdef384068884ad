"""The services over a node whose consensus agrees at once."""

import asyncio
from typing import Any

import pytest

from raftkv import errors
from raftkv.node.config import Config
from raftkv.raft import NO_NODE
from raftkv.schema.cluster import Member, MemberListRequest
from raftkv.schema.kv import (
    CompactionRequest,
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    ResponseHeader,
    TxnRequest,
    TxnResponse,
)
from raftkv.schema.maintenance import StatusRequest
from raftkv.service import ClusterService, KvService, MaintenanceService
from tests.service.fake_node import CLUSTER, MEMBER, FakeNode

TERM = 2


def header(revision: int) -> ResponseHeader:
    return ResponseHeader(CLUSTER, MEMBER, revision, TERM)


def reads(*requests: RangeRequest) -> TxnRequest:
    return TxnRequest(success=[RequestOp(request_range=request) for request in requests])


@pytest.fixture
async def kv(node: FakeNode) -> KvService:
    return KvService(node)  # type: ignore[arg-type]


async def test_a_put_and_a_delete_carry_a_full_header(kv: KvService) -> None:
    assert (await kv.put(PutRequest(b"a", b"1"))).header == header(2)
    assert (await kv.put(PutRequest(b"a", b"2"))).header == header(3)
    deleted = await kv.delete_range(DeleteRangeRequest(b"a"))
    assert (deleted.header, deleted.deleted) == (header(4), 1)


async def test_a_range_waits_for_the_barrier_unless_it_is_serializable(kv: KvService, node: FakeNode) -> None:
    await kv.put(PutRequest(b"a", b"1"))
    await kv.range(RangeRequest(b"a", serializable=True))
    assert node.barriers == 0
    response = await kv.range(RangeRequest(b"a"))
    assert node.barriers == 1
    assert (response.header, response.count, response.kvs[0].value) == (header(2), 1, b"1")


async def test_a_serializable_range_is_answered_when_no_barrier_passes(kv: KvService, node: FakeNode) -> None:
    node.fail_barrier = errors.RequestTimedOut()
    assert (await kv.range(RangeRequest(b"a", serializable=True))).header == header(1)
    with pytest.raises(errors.RequestTimedOut):
        await kv.range(RangeRequest(b"a"))


async def test_a_range_reads_the_store_only_after_the_barrier(kv: KvService, node: FakeNode) -> None:
    node.hold.clear()
    reading = asyncio.create_task(kv.range(RangeRequest(b"a")))
    await node.started.wait()
    node.machine.store.put(PutRequest(b"a", b"late"))
    node.hold.set()
    assert (await reading).kvs[0].value == b"late"


async def test_a_long_range_gives_others_a_turn_and_sees_one_revision(kv: KvService, node: FakeNode) -> None:
    for i in range(5000):
        node.machine.store.put(PutRequest(b"%05d" % i, b"old"))
    reading = asyncio.create_task(kv.range(RangeRequest(b"\0", b"\0", serializable=True)))
    await asyncio.sleep(0)
    assert not reading.done()
    await kv.put(PutRequest(b"04999", b"new"))
    response = await reading
    assert (response.header, response.count, len(response.kvs)) == (header(5001), 5000, 5000)
    assert {kv.value for kv in response.kvs} == {b"old"}


async def test_a_txn_of_ranges_stays_out_of_the_log(kv: KvService, node: FakeNode) -> None:
    await kv.put(PutRequest(b"a", b"1"))
    node.proposed.clear()
    response = await kv.txn(reads(RangeRequest(b"a"), RangeRequest(b"b")))
    assert (node.proposed, node.barriers) == ([], 1)
    assert (response.header, response.succeeded) == (header(2), True)
    first, second = (op.response_range for op in response.responses)
    assert first is not None
    assert second is not None
    assert (first.count, first.header, second.count) == (1, ResponseHeader(revision=2), 0)


@pytest.mark.parametrize(
    ("request_", "barriers"),
    [
        (TxnRequest(), 0),
        (reads(RangeRequest(b"a", serializable=True)), 0),
        (reads(RangeRequest(b"a", serializable=True), RangeRequest(b"b")), 1),
    ],
)
async def test_a_serializable_txn_needs_no_barrier(
    kv: KvService, node: FakeNode, request_: TxnRequest, barriers: int
) -> None:
    assert (await kv.txn(request_)).succeeded
    assert (node.barriers, node.proposed) == (barriers, [])


async def test_a_read_only_txn_takes_its_branch_and_fails_as_a_whole(kv: KvService) -> None:
    txn = TxnRequest(
        compare=[Compare(key=b"a", result=1)],
        success=[RequestOp(request_range=RangeRequest(b"a"))],
        failure=[RequestOp(request_range=RangeRequest(b"a", revision=1))],
    )
    response = await kv.txn(txn)
    assert (response.succeeded, len(response.responses)) == (False, 1)
    assert await kv.txn(txn) == response
    with pytest.raises(errors.FutureRevision):
        await kv.txn(reads(RangeRequest(b"a"), RangeRequest(b"a", revision=99)))


async def test_a_read_only_txn_answers_as_the_store_does(kv: KvService, node: FakeNode) -> None:
    for key in (b"a", b"b", b"c"):
        await kv.put(PutRequest(key, key))
    txn = reads(
        RangeRequest(b"a", b"\0", limit=2),
        RangeRequest(b"b", revision=2),
        RangeRequest(b"a", count_only=True),
    )
    served, applied = await kv.txn(txn), node.machine.store.txn(txn)
    assert isinstance(applied, TxnResponse)
    applied.header = header(4)
    assert served == applied


@pytest.mark.parametrize(
    "op",
    [
        RequestOp(request_put=PutRequest(b"a")),
        RequestOp(request_delete_range=DeleteRangeRequest(b"a")),
        RequestOp(request_txn=TxnRequest()),
    ],
)
async def test_a_txn_with_anything_else_goes_through_the_log(
    kv: KvService, node: FakeNode, op: RequestOp
) -> None:
    txn = TxnRequest(failure=[op])
    assert (await kv.txn(txn)).header == header(1)
    assert node.proposed == [txn]


@pytest.mark.parametrize(
    ("call", "request_", "error"),
    [
        ("range", RangeRequest(), errors.EmptyKey),
        ("range", RangeRequest(b"a", revision=9), errors.FutureRevision),
        ("put", PutRequest(), errors.EmptyKey),
        ("put", PutRequest(b"a", b"v", ignore_value=True), errors.ValueProvided),
        ("put", PutRequest(b"a", ignore_value=True), errors.KeyNotFound),
        ("delete_range", DeleteRangeRequest(), errors.EmptyKey),
        ("txn", TxnRequest(compare=[Compare()]), errors.EmptyKey),
        ("txn", TxnRequest(success=[RequestOp()] * 129), errors.TooManyOps),
        ("txn", TxnRequest(success=[RequestOp(request_put=PutRequest(b"a"))] * 2), errors.DuplicateKey),
        ("compact", CompactionRequest(9), errors.FutureRevision),
    ],
)
async def test_a_bad_request_leaves_the_store_unchanged(
    kv: KvService, node: FakeNode, call: str, request_: Any, error: type[Exception]
) -> None:
    before = node.machine.store.revision
    with pytest.raises(error):
        await getattr(kv, call)(request_)
    assert (node.machine.store.revision, node.machine.store.compact_revision) == (before, -1)


async def test_sizes_are_limited_as_etcd_does_it(kv: KvService, node: FakeNode) -> None:
    await kv.put(PutRequest(b"a", b"v" * 1_572_834))
    with pytest.raises(errors.RequestTooLarge):
        await kv.put(PutRequest(b"a", b"v" * 1_572_864))
    with pytest.raises(errors.RequestTooLarge):
        await kv.txn(TxnRequest(success=[RequestOp(request_put=PutRequest(b"a", b"v" * 1_572_864))]))
    with pytest.raises(errors.MessageTooLarge) as caught:
        await kv.put(PutRequest(b"a", b"v" * 2_097_152))
    assert str(caught.value) == "2097160 vs. 2097152 bytes"
    with pytest.raises(errors.MessageTooLarge):
        await kv.range(RangeRequest(b"k" * 2_097_152))
    assert len(node.proposed) == 1


async def test_the_limits_are_those_of_the_configuration() -> None:
    kv = KvService(FakeNode(Config(max_request_bytes=1000, max_txn_ops=1)))  # type: ignore[arg-type]
    with pytest.raises(errors.RequestTooLarge):
        await kv.put(PutRequest(b"a", b"v" * 1000))
    with pytest.raises(errors.TooManyOps):
        await kv.txn(reads(RangeRequest(b"a"), RangeRequest(b"b")))


async def test_a_physical_compaction_waits_for_the_removal(kv: KvService, node: FakeNode) -> None:
    for value in (b"1", b"2", b"3"):
        await kv.put(PutRequest(b"a", value))
    assert (await kv.compact(CompactionRequest(2))).header == header(4)
    with node.machine.store.open_range(RangeRequest(b"a", revision=3)):
        node.compacts = False
        waiting = asyncio.create_task(kv.compact(CompactionRequest(4, physical=True)))
        await node.started.wait()
        _, undone = await asyncio.wait([waiting], timeout=0.05)
        assert undone
    while node.machine.store.compact_step(1000):
        pass
    assert (await waiting).header == header(4)


async def test_the_members_are_listed_without_a_revision(node: FakeNode) -> None:
    cluster = ClusterService(node, lambda: 1e9)  # type: ignore[arg-type]
    await node.publish("n1", "http://127.0.0.1:2379")
    response = await cluster.member_list(MemberListRequest())
    assert response.header == header(0)
    assert response.members == [Member(MEMBER, "n1", ["http://127.0.0.1:2380"], ["http://127.0.0.1:2379"])]
    assert node.barriers == 0
    await cluster.member_list(MemberListRequest(linearizable=True))
    assert node.barriers == 1


async def test_status_tells_this_members_state_and_a_missing_leader(node: FakeNode) -> None:
    maintenance = MaintenanceService(node)  # type: ignore[arg-type]
    node.machine.store.put(PutRequest(b"a", b"1"))
    status = await maintenance.status(StatusRequest())
    assert (status.header, status.version, status.leader, status.errors) == (header(2), "3.5.1", MEMBER, [])
    assert (status.raftIndex, status.raftAppliedIndex, status.raftTerm, status.isLearner) == (
        1,
        1,
        TERM,
        False,
    )
    assert 0 < status.dbSizeInUse <= status.dbSize
    node.leader, node.learners = NO_NODE, (MEMBER,)
    node.fail_barrier = errors.RequestTimedOut()
    status = await maintenance.status(StatusRequest())
    assert (status.leader, status.errors, status.isLearner) == (0, ["etcdserver: no leader"], True)
