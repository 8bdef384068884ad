"""Locks and elections over a node: who is first owns, and who waits is woken in turn."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

import pytest

from raftkv import errors
from raftkv.schema.election import (
    CampaignRequest,
    LeaderKey,
    LeaderRequest,
    LeaderResponse,
    ProclaimRequest,
    ResignRequest,
)
from raftkv.schema.kv import CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest, TxnRequest
from raftkv.schema.lease import LeaseGrantRequest, LeaseRevokeRequest
from raftkv.schema.lock import LockRequest, UnlockRequest
from raftkv.service import ElectionService, Events, KvService, LeaseService, LockService
from tests.service.fake_node import FakeNode

T = TypeVar("T")


class Services:
    """All that a lock needs, on one node, with leases 1, 2, 3 ... as they are asked for."""

    def __init__(self, node: Any) -> None:
        self.node = node
        self.kv = KvService(node)
        self.leases = LeaseService(node)
        events = Events(node)
        self.lock = LockService(self.kv, self.leases, events)
        self.election = ElectionService(self.kv, self.leases, events)

    async def grant(self, *ids: int) -> None:
        for number in ids:
            await self.leases.grant(LeaseGrantRequest(60, number))

    async def keys(self, prefix: bytes) -> list[bytes]:
        found = await self.kv.range(RangeRequest(prefix, prefix + b"\xff"))
        return [kv.key for kv in found.kvs]


@pytest.fixture
async def on(node: FakeNode) -> Services:
    return Services(node)


async def waiting(call: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """Start a call and let it come to where it waits."""
    task = asyncio.create_task(call)
    for _ in range(50):
        await asyncio.sleep(0)
    assert not task.done()
    return task


async def given_up(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# ---------------------------------------------------------------- lock


async def test_the_key_of_a_lock_is_its_name_and_the_lease_in_hexadecimal(on: Services) -> None:
    await on.grant(777, -5)
    held = await on.lock.lock(LockRequest(b"L2", 777))
    assert held.key == b"L2/309"
    assert held.header is not None and held.header.revision == 2
    found = (await on.kv.range(RangeRequest(b"L2/309"))).kvs[0]
    assert (found.value, found.lease) == (b"", 777)
    assert (await on.lock.lock(LockRequest(b"other", -5))).key == b"other/-5"


async def test_without_a_lease_one_of_a_minute_is_granted(on: Services) -> None:
    held = await on.lock.lock(LockRequest(b"L"))
    lease = (await on.kv.range(RangeRequest(held.key))).kvs[0].lease
    assert held.key == b"L/%x" % lease
    assert on.node.machine.leases.granted(lease) == 60


async def test_the_same_lease_takes_a_lock_again_at_once(on: Services) -> None:
    await on.grant(1)
    first = await on.lock.lock(LockRequest(b"L", 1))
    assert (await on.lock.lock(LockRequest(b"L", 1))).key == first.key
    assert await on.keys(b"L/") == [b"L/1"]


async def test_who_waits_gets_the_lock_in_turn(on: Services) -> None:
    await on.grant(3, 2, 1)
    await on.lock.lock(LockRequest(b"L", 3))
    second = await waiting(on.lock.lock(LockRequest(b"L", 2)))
    third = await waiting(on.lock.lock(LockRequest(b"L", 1)))
    await on.kv.put(PutRequest(b"L/3", b"still there"))
    await on.lock.unlock(UnlockRequest(b"L/3"))
    held = await second
    assert held.key == b"L/2"
    assert held.header is not None and held.header.revision == on.node.machine.store.revision
    for _ in range(50):
        await asyncio.sleep(0)
    assert not third.done(), "the second one holds it"
    await on.leases.revoke(LeaseRevokeRequest(2))
    assert (await third).key == b"L/1"


async def test_one_in_the_middle_that_goes_wakes_nobody_too_early(on: Services) -> None:
    await on.grant(1, 2, 3)
    await on.lock.lock(LockRequest(b"L", 1))
    second = await waiting(on.lock.lock(LockRequest(b"L", 2)))
    third = await waiting(on.lock.lock(LockRequest(b"L", 3)))
    await given_up(second)
    assert await on.keys(b"L/") == [b"L/1", b"L/3"], "who waits no more takes its key back"
    for _ in range(50):
        await asyncio.sleep(0)
    assert not third.done()
    await on.lock.unlock(UnlockRequest(b"L/1"))
    assert (await third).key == b"L/3"


async def test_a_lease_that_ends_while_it_waits_has_no_lock(on: Services) -> None:
    await on.grant(1, 2)
    await on.lock.lock(LockRequest(b"L", 1))
    second = await waiting(on.lock.lock(LockRequest(b"L", 2)))
    await on.leases.revoke(LeaseRevokeRequest(2))
    await on.lock.unlock(UnlockRequest(b"L/1"))
    with pytest.raises(errors.SessionExpired):
        await second


async def test_a_lock_is_held_from_when_the_last_older_key_went(on: Services) -> None:
    """That may be between the put of one's own key and the look at who is before it."""
    await on.grant(1, 2)
    await on.lock.lock(LockRequest(b"L", 1))
    txn_of = on.kv.txn

    async def late(request: TxnRequest) -> Any:
        response = await txn_of(request)
        on.kv.txn = txn_of  # type: ignore[method-assign]
        await on.lock.unlock(UnlockRequest(b"L/1"))
        return response

    on.kv.txn = late  # type: ignore[method-assign]
    held = await on.lock.lock(LockRequest(b"L", 2))
    gone = on.node.machine.store.revision
    assert held.header is not None and held.header.revision == gone


def after_the_look(on: Services, happen: Callable[[], Awaitable[None]]) -> None:
    """Let something happen once, between a waiter's look at who is before it and its watch of that key."""
    txn_of = on.kv.txn

    async def late(request: TxnRequest) -> Any:
        found = await txn_of(request)
        if not request.compare:  # one with a guard puts the key, and does not look yet
            on.kv.txn = txn_of  # type: ignore[method-assign]
            await happen()
        return found

    on.kv.txn = late  # type: ignore[method-assign]


async def test_a_key_deleted_before_it_is_watched_is_not_waited_for(on: Services) -> None:
    async def unlock() -> None:
        await on.kv.delete_range(DeleteRangeRequest(b"L/1"))

    await on.grant(1, 2)
    await on.lock.lock(LockRequest(b"L", 1))
    after_the_look(on, unlock)
    assert (await on.lock.lock(LockRequest(b"L", 2))).key == b"L/2"


async def test_a_wait_outlasts_a_compaction_of_what_it_waits_for(on: Services) -> None:
    async def unlock_and_compact() -> None:
        await on.kv.delete_range(DeleteRangeRequest(b"L/1"))
        await on.kv.put(PutRequest(b"x", b"x"))
        await on.kv.compact(CompactionRequest(on.node.machine.store.revision))

    await on.grant(1, 2)
    await on.lock.lock(LockRequest(b"L", 1))
    after_the_look(on, unlock_and_compact)
    assert (await on.lock.lock(LockRequest(b"L", 2))).key == b"L/2"


async def test_a_lease_that_ends_before_the_first_look_has_no_lock(on: Services) -> None:
    await on.grant(1, 2, 3)
    await on.lock.lock(LockRequest(b"L", 1))
    txn_of = on.kv.txn

    async def late(request: TxnRequest) -> Any:
        found = await txn_of(request)
        on.kv.txn = txn_of  # type: ignore[method-assign]
        await on.leases.revoke(LeaseRevokeRequest(2))
        await on.lock.unlock(UnlockRequest(b"L/1"))
        await on.lock.lock(LockRequest(b"L", 3))
        return found

    on.kv.txn = late  # type: ignore[method-assign]
    with pytest.raises(errors.SessionExpired):
        await on.lock.lock(LockRequest(b"L", 2))


async def test_a_place_that_was_lost_is_not_made_good_by_a_later_one_of_the_same_lease(on: Services) -> None:
    await on.grant(1, 2, 3)
    await on.lock.lock(LockRequest(b"L", 1))
    first = await waiting(on.lock.lock(LockRequest(b"L", 2)))
    other = await waiting(on.lock.lock(LockRequest(b"L", 2)))
    third = await waiting(on.lock.lock(LockRequest(b"L", 3)))
    await given_up(other)
    later = await waiting(on.lock.lock(LockRequest(b"L", 2)))
    await on.lock.unlock(UnlockRequest(b"L/1"))
    assert (await third).key == b"L/3"
    with pytest.raises(errors.SessionExpired):
        await first
    assert not later.done(), "the third one holds it"
    await on.lock.unlock(UnlockRequest(b"L/3"))
    assert (await later).key == b"L/2"


async def test_a_wait_that_is_given_up_does_not_delete_a_later_key_of_the_same_lease(on: Services) -> None:
    await on.grant(1, 2)
    await on.lock.lock(LockRequest(b"L", 1))
    given_up_late = await waiting(on.lock.lock(LockRequest(b"L", 2)))
    await on.lock.unlock(UnlockRequest(b"L/2"))
    other = await waiting(on.lock.lock(LockRequest(b"L", 2)))
    await given_up(given_up_late)
    assert await on.keys(b"L/") == [b"L/1", b"L/2"]
    await on.lock.unlock(UnlockRequest(b"L/1"))
    assert (await other).key == b"L/2"


async def test_a_lock_needs_a_lease_that_is_there(on: Services) -> None:
    with pytest.raises(errors.LeaseNotFound):
        await on.lock.lock(LockRequest(b"L", 9))
    assert await on.keys(b"L/") == []


async def test_unlocking_what_is_not_there_is_no_error_and_no_key_is_one(on: Services) -> None:
    unlocked = await on.lock.unlock(UnlockRequest(b"nothing"))
    assert unlocked.header is not None and unlocked.header.revision == 1
    with pytest.raises(errors.EmptyKey):
        await on.lock.unlock(UnlockRequest())


# ---------------------------------------------------------------- election


async def test_the_first_candidate_is_elected_and_the_next_one_waits(on: Services) -> None:
    await on.grant(1, 2)
    won = await on.election.campaign(CampaignRequest(b"E", 1, b"one"))
    assert won.leader == LeaderKey(b"E", b"E/1", 2, 1)
    second = await waiting(on.election.campaign(CampaignRequest(b"E", 2, b"two")))
    leader = await on.election.leader(LeaderRequest(b"E"))
    assert leader.kv is not None and (leader.kv.key, leader.kv.value) == (b"E/1", b"one")
    await on.election.resign(ResignRequest(won.leader))
    assert (await second).leader == LeaderKey(b"E", b"E/2", 3, 2)


async def test_who_stands_already_replaces_its_proposal_and_keeps_its_place(on: Services) -> None:
    await on.grant(1)
    first = await on.election.campaign(CampaignRequest(b"E", 1, b"one"))
    again = await on.election.campaign(CampaignRequest(b"E", 1, b"another"))
    assert again.leader == first.leader
    leader = await on.election.leader(LeaderRequest(b"E"))
    assert leader.kv is not None and leader.kv.value == b"another"
    before = on.node.machine.store.revision
    await on.election.campaign(CampaignRequest(b"E", 1, b"another"))
    assert on.node.machine.store.revision == before, "the same proposal writes nothing"


async def test_only_the_leader_s_key_of_that_revision_proclaims_and_resigns(on: Services) -> None:
    await on.grant(1)
    won = (await on.election.campaign(CampaignRequest(b"E", 1, b"one"))).leader
    assert won is not None
    await on.election.proclaim(ProclaimRequest(won, b"two"))
    leader = await on.election.leader(LeaderRequest(b"E"))
    assert leader.kv is not None and leader.kv.value == b"two"
    stale = LeaderKey(b"E", won.key, won.rev - 1, 1)
    with pytest.raises(errors.ElectionNotLeader):
        await on.election.proclaim(ProclaimRequest(stale, b"three"))
    await on.election.resign(ResignRequest(stale))
    assert await on.keys(b"E/") == [b"E/1"]
    await on.election.resign(ResignRequest(won))
    with pytest.raises(errors.ElectionNoLeader):
        await on.election.leader(LeaderRequest(b"E"))
    with pytest.raises(errors.ElectionNotLeader):
        await on.election.proclaim(ProclaimRequest(won, b"four"))


async def test_a_call_for_a_leader_names_it(on: Services) -> None:
    with pytest.raises(errors.LeaderKeyMissing):
        await on.election.proclaim(ProclaimRequest())
    with pytest.raises(errors.LeaderKeyMissing):
        await on.election.resign(ResignRequest())


async def test_an_observer_hears_of_every_leader_and_every_proposal(on: Services) -> None:
    await on.grant(1, 2)
    seen: list[tuple[int, bytes, bytes]] = []

    async def observe() -> None:
        async with aclosing(on.election.observe(LeaderRequest(b"E"))) as leaders:
            async for response in leaders:
                assert isinstance(response, LeaderResponse)
                assert response.kv is not None and response.header is not None
                seen.append((response.header.revision, response.kv.key, response.kv.value))

    observer = await waiting(observe())
    assert seen == []
    won = (await on.election.campaign(CampaignRequest(b"E", 1, b"one"))).leader
    assert won is not None
    second = await waiting(on.election.campaign(CampaignRequest(b"E", 2, b"two")))
    await on.election.proclaim(ProclaimRequest(won, b"three"))
    await on.election.resign(ResignRequest(won))
    await second
    for _ in range(50):
        await asyncio.sleep(0)
    assert seen == [(2, b"E/1", b"one"), (4, b"E/1", b"three"), (5, b"E/2", b"two")]
    late = []
    async with aclosing(on.election.observe(LeaderRequest(b"E"))) as leaders:
        async for response in leaders:
            late.append(response.kv)
            break
    assert [kv.value for kv in late if kv is not None] == [b"two"]
    await given_up(observer)
    assert len(on.node.streams) == 0 and on.node.watches._live == 0


async def test_a_candidate_that_goes_takes_its_key_with_it(on: Services) -> None:
    await on.grant(1, 2)
    await on.election.campaign(CampaignRequest(b"E", 1, b"one"))
    second = await waiting(on.election.campaign(CampaignRequest(b"E", 2, b"two")))
    assert await on.keys(b"E/") == [b"E/1", b"E/2"]
    await given_up(second)
    assert await on.keys(b"E/") == [b"E/1"]
