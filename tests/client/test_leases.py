"""Leases, locks and elections, against real systems."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from raftkv.client import Client, LeaseLost, LeaseNotFound, Refused, ops
from raftkv.client.hold import Held


async def until(condition: asyncio.Event, seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        await condition.wait()


# ---------------------------------------------------------------- leases


async def test_a_lease_lives_on_while_it_is_kept_and_ends_with_its_block(client: Client, name: str) -> None:
    async with client.lease(2) as lease:
        await client.put(name, "here", lease=lease.id)
        await asyncio.sleep(2 * lease.ttl + 0.5)
        left = await lease.time_to_live(keys=True)
        assert (left.grantedTTL, left.keys) == (lease.ttl, [name.encode()])
        assert await client.get(name) is not None
        assert not lease.lost.is_set()
    assert lease.lost.is_set()
    assert await client.get(name) is None
    assert (await lease.time_to_live()).TTL == -1


async def test_a_lease_that_is_awaited_lives_until_it_is_revoked(client: Client, name: str) -> None:
    lease = await client.lease(60, lease_id=4711)
    assert (lease.id, lease.ttl) == (4711, 60)
    await client.put(name, lease=lease.id)
    with pytest.raises(Refused, match="lease already exists"):
        await client.lease(60, lease_id=4711)
    await lease.revoke()
    await lease.revoke()
    assert await client.get(name) is None
    with pytest.raises(LeaseNotFound):
        await client.put(name, lease=lease.id)


async def test_a_lease_that_someone_revokes_is_lost(client: Client, urls: list[str]) -> None:
    lease = await client.lease(3)
    async with Client(urls) as other:
        other_lease = await other.lease(60)
        assert other_lease.id != lease.id
        await end(other, lease.id)
    await until(lease.lost)


async def end(client: Client, lease_id: int) -> None:
    """Revoke a lease behind its holder's back."""
    from raftkv.schema.lease import LeaseRevokeRequest, LeaseRevokeResponse

    request = LeaseRevokeRequest(ID=lease_id)
    await client._http.call("/v3/lease/revoke", request, LeaseRevokeResponse, repeatable=True)


async def test_a_client_that_is_closed_lets_its_leases_run_out(
    client: Client, urls: list[str], name: str
) -> None:
    async with Client(urls) as other:
        lease = await other.lease(2)
        await other.put(name, lease=lease.id)
    assert lease.lost.is_set()
    assert await client.get(name) is not None
    async with client.watch(name) as watch, asyncio.timeout(30):
        if await client.get(name) is not None:
            assert (await anext(watch)).is_delete


async def test_many_leases_are_kept_at_once(client: Client) -> None:
    leases = await asyncio.gather(*(client.lease(4) for _ in range(20)))
    await asyncio.sleep(5)
    assert [lease.lost.is_set() for lease in leases] == [False] * 20
    left = await asyncio.gather(*(lease.time_to_live() for lease in leases))
    assert all(each.TTL >= 0 for each in left)
    await asyncio.gather(*(lease.release() for lease in leases))


# ---------------------------------------------------------------- locks


async def test_a_lock_is_held_by_one_at_a_time(client: Client, urls: list[str], name: str) -> None:
    holders, turns = [], []

    async def work(number: int) -> None:
        async with Client(urls) as own, own.lock(name, ttl=5) as held:
            holders.append(number)
            assert holders == [number]
            assert not held.lost.is_set()
            await asyncio.sleep(0.02)
            turns.append(number)
            holders.remove(number)

    await asyncio.gather(*(work(number) for number in range(6)))
    assert sorted(turns) == list(range(6))
    assert (await client.get_prefix(name)).count == 0


async def test_a_wait_for_a_lock_that_is_given_up_leaves_nothing(client: Client, name: str) -> None:
    async with client.lock(name) as held:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3), client.lock(name):
                raise AssertionError("locked twice")
        assert [kv.key for kv in (await client.get_prefix(name)).kvs] == [held.key]
    async with asyncio.timeout(10), client.lock(name):
        pass


async def test_writes_can_be_tied_to_a_lock(client: Client, name: str) -> None:
    async def write(held: Held, value: str) -> bool:
        return (
            await client.txn().when(held.is_held()).then(ops.put(name + "data", value)).commit()
        ).succeeded

    async with client.lock(name + "lock") as held:
        assert await write(held, "inside")
    assert not await write(held, "outside")
    pair = await client.get(name + "data")
    assert pair is not None
    assert pair.value == b"inside"


async def test_one_lock_object_does_not_let_two_blocks_in(client: Client, name: str) -> None:
    lock = client.lock(name)
    for _ in range(2):
        async with lock:
            with pytest.raises(RuntimeError, match="an object of its own"):
                async with lock:
                    raise AssertionError("locked twice")


async def test_a_lock_whose_lease_ends_is_lost_and_the_next_one_has_it(client: Client, name: str) -> None:
    async with client.lock(name, ttl=3) as held:
        await end(client, held.lease.id)
        async with asyncio.timeout(10), client.lock(name) as next_:
            assert next_.key != held.key
        await until(held.lost)


async def test_a_waiter_whose_lease_ends_waits_on_with_another_one(client: Client, name: str) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(client.lock(name))
        waiting = asyncio.create_task(stack.enter_async_context(client.lock(name, ttl=2)))
        while len(found := (await client.get_prefix(name)).kvs) < 2:
            await asyncio.sleep(0.01)
        [waiter] = [kv for kv in found if kv.key != first.key]
        await end(client, waiter.lease)
        while (await client.get(waiter.key)) is not None or (await client.get_prefix(name)).count < 2:
            await asyncio.sleep(0.05)
        assert not waiting.done()
        await first.release()
        second = await asyncio.wait_for(waiting, 20)
        assert second.key != waiter.key
        assert not second.lost.is_set()


# ---------------------------------------------------------------- elections


async def test_one_candidate_leads_until_it_resigns_and_then_the_next(client: Client, name: str) -> None:
    election = client.election(name)
    assert await election.leader() is None
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(election.campaign("one"))
        second = asyncio.create_task(stack.enter_async_context(election.campaign("two")))
        leader = await election.leader()
        assert leader is not None
        assert (leader.key, leader.value) == (first.key, b"one")
        while (await client.get_prefix(name)).count < 2:
            await asyncio.sleep(0.01)
        assert not second.done()
        await first.resign()
        successor = await asyncio.wait_for(second, 10)
        assert successor.revision > first.revision
        await successor.proclaim("two and a half")
        leader = await election.leader()
        assert leader is not None
        assert leader.value == b"two and a half"
        with pytest.raises(Refused, match="election: not leader"):
            await first.proclaim("one again")
    assert await election.leader() is None


async def test_who_leads_and_what_is_proclaimed_is_observed(client: Client, name: str) -> None:
    election = client.election(name)
    seen = []

    async def observe() -> None:
        async for leader in election.observe():
            seen.append(leader.value)
            if leader.value == b"end":
                return

    observing = asyncio.create_task(observe())
    async with election.campaign("one") as leadership:
        while seen != [b"one"]:
            await asyncio.sleep(0.01)
        await leadership.proclaim("two")
        while seen != [b"one", b"two"]:
            await asyncio.sleep(0.01)
    async with election.campaign("end"):
        await asyncio.wait_for(observing, 10)
    assert seen == [b"one", b"two", b"end"]


async def test_an_observation_is_entered_while_nobody_leads(client: Client, name: str) -> None:
    election = client.election(name)
    async with election.observe() as leaders, election.campaign("one"), asyncio.timeout(20):
        assert (await anext(leaders)).value == b"one"


async def test_a_lease_can_t_be_lost_unnoticed_while_a_lock_is_waited_for(client: Client, name: str) -> None:
    lost = asyncio.Event()
    lost.set()
    from raftkv.schema.lock import LockRequest, LockResponse

    async with client.lock(name):
        lease = await client.lease(60)
        request = LockRequest(name=name.encode(), lease=lease.id)
        with pytest.raises(LeaseLost):
            await client._http.wait("/v3/lock/lock", request, LockResponse, lost)
        await lease.revoke()
