"""Leases in a cluster on virtual time: they end by the leader's clock, for all members alike."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import pytest

from raftkv.errors import LeaseNotFound, NoLeader, NotLeader, RequestTimedOut
from raftkv.mvcc.commands import ExpireLease, RequestId, decode_command, encode_command
from raftkv.node import expiry
from raftkv.node.node import Node
from raftkv.node.questions import KeepAlive, TimeToLive
from raftkv.raft import EntryKind
from raftkv.raft.messages import ForwardProposals
from raftkv.schema.kv import PutRequest, RangeRequest
from raftkv.schema.lease import LeaseGrantRequest, LeaseRevokeRequest
from raftkv.sim.loop import SimLoop
from tests.node.simulated import SimulatedCluster

GRACE = 0.1
"""The election time-out of these clusters, in seconds."""


def on_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        loop = SimLoop()
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(test(*args, **kwargs))
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    return run


async def grant(node: Node, lease: int, seconds: int, *keys: bytes) -> None:
    await node.propose(LeaseGrantRequest(seconds, lease))
    for key in keys:
        await node.propose(PutRequest(key, b"v", lease))


async def new_leader(cluster: SimulatedCluster) -> Node:
    """Let another member lead."""
    old = await cluster.leader()
    cluster.node(old).transfer_leadership(old % len(cluster.ids) + 1)
    while (leader := await cluster.leader()) == old:
        await asyncio.sleep(0.01)
    await cluster.node(leader).read_barrier()
    return cluster.node(leader)


def held(node: Node) -> int:
    return node.machine.store.range(RangeRequest(b"a", b"z", count_only=True)).count


def expiries(node: Node) -> list[int]:
    """Return the leases whose expiry is in the log of a node."""
    log = node.status().log
    entries = log.slice(log.first_index, log.last_index + 1)
    commands = [decode_command(entry.data).request for entry in entries if entry.kind == EntryKind.COMMAND]
    return [command.id for command in commands if isinstance(command, ExpireLease)]


@on_virtual_time
async def test_a_lease_ends_with_its_keys_in_one_revision_on_every_member() -> None:
    async with SimulatedCluster() as cluster:
        follower = cluster.node(await cluster.leader() % 3 + 1)
        await grant(follower, 7, 5, b"a", b"b", b"c")
        revision = follower.machine.store.revision
        await asyncio.sleep(4.9)
        assert held(follower) == 3
        await asyncio.sleep(0.8)
        await cluster.converged()
        for member in cluster.ids:
            node = cluster.node(member)
            assert (held(node), node.machine.store.revision, node.machine.leases.ids()) == (
                0,
                revision + 1,
                [],
            )
        assert len({cluster.node(member).machine.digest() for member in cluster.ids}) == 1
        with pytest.raises(LeaseNotFound):
            await follower.propose(LeaseRevokeRequest(7))


@on_virtual_time
async def test_any_member_keeps_a_lease_alive_and_knows_how_long_it_has_left() -> None:
    async with SimulatedCluster() as cluster:
        await cluster.leader()
        await grant(cluster.node(1), 7, 5, b"a")
        for member in (*cluster.ids, *cluster.ids):
            node = cluster.node(member)
            await asyncio.sleep(3.5)
            assert list(await node.ask_leader_again(TimeToLive(7))) == [1, 5]
            assert await node.ask_leader_again(KeepAlive(7)) == 5
            assert list(await node.ask_leader_again(TimeToLive(7))) == [4, 5]
            assert list(await node.ask_leader_again(TimeToLive(8))) == [-1, 0]
            assert await node.ask_leader_again(KeepAlive(8)) == 0
        assert held(cluster.node(1)) == 1


@on_virtual_time
async def test_a_new_leader_gives_all_seconds_again() -> None:
    async with SimulatedCluster() as cluster:
        await grant(cluster.node(await cluster.leader()), 7, 5, b"a")
        for _ in range(3):
            await asyncio.sleep(4.0)
            leader = await new_leader(cluster)
            assert held(leader) == 1
        await asyncio.sleep(4.9)
        assert held(leader) == 1
        await asyncio.sleep(0.1 + GRACE + 0.7)
        assert held(leader) == 0


@on_virtual_time
async def test_a_deposed_leader_neither_keeps_alive_nor_revokes() -> None:
    async with SimulatedCluster() as cluster:
        old = await cluster.leader()
        await grant(cluster.node(old), 7, 2, b"a")
        cluster.network.isolate(old)
        asked = asyncio.create_task(cluster.node(old)._expiry.keep_alive(7))
        others = [member for member in cluster.ids if member != old]
        while not any(cluster.node(member).status().role.value == "leader" for member in others):
            await asyncio.sleep(0.01)
        await asyncio.sleep(20)
        with pytest.raises((NotLeader, RequestTimedOut)):
            await asked
        assert (held(cluster.node(old)), expiries(cluster.node(old))) == (1, [])
        assert [held(cluster.node(member)) for member in others] == [0, 0]
        cluster.network.heal()
        await cluster.converged()
        assert held(cluster.node(old)) == 0


@on_virtual_time
async def test_a_question_finds_the_new_leader() -> None:
    async with SimulatedCluster() as cluster:
        old = await cluster.leader()
        await grant(cluster.node(old), 7, 60, b"a")
        cluster.network.isolate(old)
        follower = cluster.node(old % 3 + 1)
        assert await follower.ask_leader_again(KeepAlive(7)) == 60
        with pytest.raises(NoLeader):
            await cluster.node(old).ask_leader_again(KeepAlive(7))


@on_virtual_time
async def test_without_a_leader_leases_go_on() -> None:
    async with SimulatedCluster() as cluster:
        leader = await cluster.leader()
        await grant(cluster.node(leader), 7, 2, b"a")
        for member in cluster.ids:
            if member != leader:
                await cluster.stop(member)
        await asyncio.sleep(60)
        node = cluster.node(leader)
        assert held(node) == 1
        begin = asyncio.get_running_loop().time()
        with pytest.raises(NoLeader):
            await node.ask_leader_again(TimeToLive(7))
        assert asyncio.get_running_loop().time() - begin >= node.config.request_timeout
        with pytest.raises(RequestTimedOut):
            await node.propose(LeaseRevokeRequest(7))


@on_virtual_time
async def test_an_expiry_that_is_forwarded_from_an_earlier_term_is_void() -> None:
    async with SimulatedCluster() as cluster:
        await grant(cluster.node(await cluster.leader()), 7, 60, b"a")
        leader = await new_leader(cluster)
        term = leader.status().term
        stale = encode_command(RequestId(9, 1, 1), ExpireLease(term - 1, 7, 0))
        leader.receive(ForwardProposals(term, leader.member_id % 3 + 1, leader.member_id, (stale,)))
        await leader.propose(PutRequest(b"b"))
        await cluster.converged()
        assert expiries(leader) == [7]
        assert leader.machine.leases.ids() == [7]


@on_virtual_time
async def test_leases_outlast_restarts_from_the_log_and_from_a_snapshot() -> None:
    async with SimulatedCluster(size=1) as cluster:
        await cluster.leader()
        await grant(cluster.node(1), 7, 60, b"a")
        for _ in range(2):
            await cluster.stop(1)
            await cluster.start(1)
            await cluster.leader()
            await cluster.node(1).read_barrier()
            assert cluster.node(1).machine.leases.granted(7) == 60
            await cluster.node(1).snapshot_now()
        await asyncio.sleep(59)
        assert held(cluster.node(1)) == 1
        await asyncio.sleep(2)
        assert held(cluster.node(1)) == 0


@on_virtual_time
async def test_a_checkpoint_bounds_what_a_new_leader_gives() -> None:
    before, expiry.CHECKPOINT_SECONDS = expiry.CHECKPOINT_SECONDS, 3.0
    try:
        async with SimulatedCluster(experimental_enable_lease_checkpoint=True) as cluster:
            await grant(cluster.node(await cluster.leader()), 7, 60)
            await asyncio.sleep(10)
            leader = await new_leader(cluster)
            left, granted = await leader.ask_leader_again(TimeToLive(7))
            assert (49 <= left <= 51, granted) == (True, 60)
            assert await leader.ask_leader_again(KeepAlive(7)) == 60
            await cluster.converged()
            assert [cluster.node(m).machine.leases.remaining(7) for m in cluster.ids] == [60, 60, 60]
            leader = await new_leader(cluster)
            left, _ = await leader.ask_leader_again(TimeToLive(7))
            assert left >= 59
    finally:
        expiry.CHECKPOINT_SECONDS = before


@on_virtual_time
async def test_members_pick_ids_of_their_own() -> None:
    async with SimulatedCluster() as cluster:
        picked = [cluster.node(member).new_lease_id() for member in cluster.ids for _ in range(50)]
        assert len(set(picked)) == 150
        assert all(0 < lease < 2**63 for lease in picked)
