"""The lease service over a node that leads, or asks a leader that does not answer."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from raftkv import errors
from raftkv.node.config import Config
from raftkv.schema.kv import PutRequest, ResponseHeader
from raftkv.schema.lease import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseLeasesRequest,
    LeaseLeasesResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
    LeaseStatus,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)
from raftkv.schema.maintenance import AlarmAction, AlarmRequest, AlarmType
from raftkv.service import LeaseService
from raftkv.service import lease as lease_module
from tests.service.fake_node import CLUSTER, MEMBER, FakeNode


def header(revision: int) -> ResponseHeader:
    return ResponseHeader(CLUSTER, MEMBER, revision, 2)


async def kept(lease: LeaseService, *ids: int) -> LeaseKeepAliveResponse:
    """Keep leases alive; return the last response."""

    async def requests() -> AsyncIterator[LeaseKeepAliveRequest]:
        for number in ids:
            yield LeaseKeepAliveRequest(number)

    responses = [response async for response in lease.keep_alive(requests())]
    assert [response.ID for response in responses] == list(ids)
    return responses[-1]


@pytest.fixture
async def lease(node: FakeNode) -> LeaseService:
    return LeaseService(node)  # type: ignore[arg-type]


async def test_a_lease_is_granted_as_asked(lease: LeaseService, node: FakeNode) -> None:
    assert await lease.grant(LeaseGrantRequest(60, -7)) == LeaseGrantResponse(header(1), -7, 60)
    assert node.machine.leases.granted(-7) == 60
    with pytest.raises(errors.LeaseExists):
        await lease.grant(LeaseGrantRequest(60, -7))


@pytest.mark.parametrize("wished", [0, 1, -5])
async def test_a_lease_has_the_least_seconds_at_least(
    lease: LeaseService, node: FakeNode, wished: int
) -> None:
    assert (await lease.grant(LeaseGrantRequest(wished, 7))).TTL == 2
    assert node.machine.leases.granted(7) == 2


async def test_a_lease_without_an_id_gets_one(lease: LeaseService, node: FakeNode) -> None:
    ids = [(await lease.grant(LeaseGrantRequest(60))).ID for _ in range(3)]
    assert node.machine.leases.ids() == ids
    assert len(set(ids)) == 3
    assert min(ids) > 0


async def test_too_many_seconds_never_reach_the_log(lease: LeaseService, node: FakeNode) -> None:
    assert (await lease.grant(LeaseGrantRequest(9_000_000_000, 7))).TTL == 9_000_000_000
    node.proposed.clear()
    with pytest.raises(errors.LeaseTtlTooLarge):
        await lease.grant(LeaseGrantRequest(9_000_000_001, 8))
    assert node.proposed == []


async def test_a_grant_that_passes_the_quota_raises_the_alarm() -> None:
    node = FakeNode(Config(quota_backend_bytes=150))
    lease = LeaseService(node)  # type: ignore[arg-type]
    await lease.grant(LeaseGrantRequest(60, 7))
    await lease.grant(LeaseGrantRequest(60, 8))
    with pytest.raises(errors.QuotaExceeded):
        await lease.grant(LeaseGrantRequest(60, 9))
    assert node.machine.alarms.is_raised(AlarmType.NOSPACE, MEMBER)
    await lease.revoke(LeaseRevokeRequest(7))
    with pytest.raises(errors.QuotaExceeded):
        await lease.grant(LeaseGrantRequest(60, 9))


async def test_under_corrupt_nothing_is_granted_or_revoked(lease: LeaseService, node: FakeNode) -> None:
    await lease.grant(LeaseGrantRequest(60, 7))
    await node.propose(AlarmRequest(AlarmAction.ACTIVATE, 1, AlarmType.CORRUPT))
    with pytest.raises(errors.ClusterCorrupt):
        await lease.grant(LeaseGrantRequest(60, 8))
    with pytest.raises(errors.ClusterCorrupt):
        await lease.revoke(LeaseRevokeRequest(7))
    assert (await kept(lease, 7)).TTL == 60


async def test_a_revoke_tells_the_revision_after_it(lease: LeaseService, node: FakeNode) -> None:
    await lease.grant(LeaseGrantRequest(60, 7))
    await node.propose(PutRequest(b"a", b"1", 7))
    assert await lease.revoke(LeaseRevokeRequest(7)) == LeaseRevokeResponse(header(3))
    with pytest.raises(errors.LeaseNotFound):
        await lease.revoke(LeaseRevokeRequest(7))


async def test_a_keepalive_carries_the_header_from_before(lease: LeaseService, node: FakeNode) -> None:
    await lease.grant(LeaseGrantRequest(60, 7))
    node.hold.clear()
    node.started.clear()
    asked = asyncio.create_task(kept(lease, 7))
    await node.started.wait()
    node.machine.store.put(PutRequest(b"a"))
    node.hold.set()
    assert await asked == LeaseKeepAliveResponse(header(1), 7, 60)


async def test_what_is_no_lease_has_no_seconds(lease: LeaseService) -> None:
    assert await kept(lease, 9) == LeaseKeepAliveResponse(header(1), 9, 0)
    response = await lease.time_to_live(LeaseTimeToLiveRequest(9, keys=True))
    assert response == LeaseTimeToLiveResponse(header(1), 9, -1)


async def test_the_time_left_and_the_keys_are_told(lease: LeaseService, node: FakeNode) -> None:
    await lease.grant(LeaseGrantRequest(60, 7))
    for key in (b"b", b"a"):
        await node.propose(PutRequest(key, b"1", 7))
    response = await lease.time_to_live(LeaseTimeToLiveRequest(7))
    assert (response.header, response.ID, response.grantedTTL, response.keys) == (header(3), 7, 60, [])
    assert 58 <= response.TTL <= 60
    response = await lease.time_to_live(LeaseTimeToLiveRequest(7, keys=True))
    assert sorted(response.keys) == [b"a", b"b"]


async def test_leases_are_listed_without_asking_anybody(lease: LeaseService, node: FakeNode) -> None:
    for number, seconds in ((7, 60), (8, 30), (9, 90)):
        await lease.grant(LeaseGrantRequest(seconds, number))
    node.fail_question = node.fail_barrier = errors.NoLeader()
    assert await lease.leases(LeaseLeasesRequest()) == LeaseLeasesResponse(
        header(1), [LeaseStatus(8), LeaseStatus(7), LeaseStatus(9)]
    )


async def test_without_a_leader_nobody_knows(lease: LeaseService, node: FakeNode) -> None:
    node.fail_question = errors.NoLeader()
    with pytest.raises(errors.NoLeader):
        await kept(lease, 7)
    with pytest.raises(errors.NoLeader):
        await lease.time_to_live(LeaseTimeToLiveRequest(7))


async def test_keepalives_are_answered_one_by_one(lease: LeaseService) -> None:
    await lease.grant(LeaseGrantRequest(60, 7))
    await lease.grant(LeaseGrantRequest(30, 8))
    assert (await kept(lease, 7, 9, 8)).TTL == 30


async def test_a_learner_keeps_nothing_alive(lease: LeaseService, node: FakeNode) -> None:
    node.learners = (MEMBER,)
    with pytest.raises(errors.NotSupportedForLearner):
        await kept(lease, 7)


async def test_many_leases_are_listed_in_slices(
    lease: LeaseService, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "LISTED_AT_ONCE", 2)
    for number in range(1, 8):
        await lease.grant(LeaseGrantRequest(60, number))
    node.expiry.lead(0)  # then they are not sorted, which takes turns of its own
    asked = asyncio.create_task(lease.leases(LeaseLeasesRequest()))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not asked.done()
    assert [status.ID for status in (await asked).leases] == list(range(1, 8))
