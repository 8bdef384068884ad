"""The node: what a client is told holds, whatever happens to the leader meanwhile."""

import asyncio
import gc
from pathlib import Path

import pytest

from raftkv.errors import (
    LeaseNotFound,
    MemberRemoved,
    NodeStopped,
    RequestTimedOut,
    TooManyRequests,
)
from raftkv.mvcc.commands import RequestId, decode_command, encode_command
from raftkv.node import proposals
from raftkv.node.node import MAX_UNWRITTEN_BYTES
from raftkv.node.waiters import Waiter
from raftkv.raft import EntryKind, PeerEvent, Role
from raftkv.raft.messages import ForwardProposals, RemovedNotice, TimeoutNow
from raftkv.schema.kv import PutRequest, RangeRequest
from raftkv.trace import PeerRefused
from tests.node.loopback import LoopbackCluster


def value_at(cluster: LoopbackCluster, member: int, key: bytes) -> bytes | None:
    """The value of a key in one member's own store."""
    kvs = cluster.node(member).machine.store.range(RangeRequest(key=key)).kvs
    return kvs[0].value if kvs else None


async def test_a_put_on_any_member_is_answered_once_it_is_applied_there(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        await cluster.leader()
        for member in cluster.ids:
            response = await cluster.node(member).propose(PutRequest(key=b"k%d" % member, value=b"v"))
            assert value_at(cluster, member, b"k%d" % member) == b"v"
            assert response.header.revision == cluster.node(member).machine.store.revision
        await cluster.converged()
        assert len({cluster.node(m).machine.digest() for m in cluster.ids}) == 1


async def test_a_single_member_leads_and_commits_alone(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        response = await cluster.node(1).propose(PutRequest(key=b"k", value=b"v"))
        await cluster.node(1).read_barrier()
        assert response.header.revision == 2
        assert value_at(cluster, 1, b"k") == b"v"


async def test_a_proposal_without_a_leader_waits_for_one(tmp_path: Path) -> None:
    """Nothing was appended, so the member itself may try again once somebody leads."""
    async with LoopbackCluster(tmp_path, size=3) as cluster:
        for member in (2, 3):
            await cluster.stop(member)
        put = asyncio.create_task(cluster.node(1).propose(PutRequest(key=b"k", value=b"v")))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not put.done()
        await cluster.start(2)
        assert (await put).header.revision == 2


async def test_time_outs_are_unknown_not_failed(tmp_path: Path) -> None:
    """Cut off, the leader can't say what becomes of its proposal; after the heal it may well happen."""
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        cluster.network.isolate(leader)
        node = cluster.node(leader)
        node._waiters._timeout = 0.05
        with pytest.raises(RequestTimedOut):
            await node.propose(PutRequest(key=b"k", value=b"v"))
        assert node.tally.failed_proposals >= 1  # the publication of its name may be another
        cluster.network.heal()
        await cluster.leader()


async def test_what_a_deposed_leader_took_applies_exactly_once(tmp_path: Path) -> None:
    """The old leader's suffix is dropped; the member proposes again, and the id applies only once."""
    async with LoopbackCluster(tmp_path) as cluster:
        old = await cluster.leader()
        cluster.network.isolate(old)
        puts = [
            asyncio.create_task(cluster.node(old).propose(PutRequest(key=b"k%d" % i, value=b"v")))
            for i in range(20)
        ]
        others = [m for m in cluster.ids if m != old]
        while not any(cluster.node(m).status().role.value == "leader" for m in others):
            await asyncio.sleep(0.01)
        cluster.network.heal()
        revisions = [(await put).header.revision for put in puts]
        assert len(set(revisions)) == 20
        await cluster.converged()
        for member in cluster.ids:
            kvs = cluster.node(member).machine.store.range(RangeRequest(key=b"k", range_end=b"l")).kvs
            assert sorted(kv.version for kv in kvs) == [1] * 20


async def test_a_linearizable_read_on_any_member_sees_every_acknowledged_put(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        await cluster.leader()
        for i in range(30):
            writer, reader = 1 + i % 3, 1 + (i + 1) % 3
            await cluster.node(writer).propose(PutRequest(key=b"k", value=b"%d" % i))
            await cluster.node(reader).read_barrier()
            assert value_at(cluster, reader, b"k") == b"%d" % i


async def test_a_cut_off_leader_serves_no_linearizable_read(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        cluster.network.isolate(leader)
        cluster.node(leader)._barrier._timeout = 0.3
        with pytest.raises(RequestTimedOut):
            await cluster.node(leader).read_barrier()
        assert cluster.node(leader).reads_slow_and_failed[1] == 1


async def test_reads_that_wait_share_a_round(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        await cluster.node(leader).propose(PutRequest(key=b"k", value=b"v"))
        barrier = cluster.node(leader)._barrier
        before = barrier._context
        await asyncio.gather(*(cluster.node(leader).read_barrier() for _ in range(200)))
        assert barrier._context - before <= 3


async def test_all_members_learn_all_names_and_client_urls(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        wanted = [(m, f"n{m}", (f"http://n{m}:2",)) for m in cluster.ids]
        for member in cluster.ids:
            while [
                (m.id, m.name, m.client_urls) for m in cluster.node(member).machine.membership.members()
            ] != wanted:
                await asyncio.sleep(0.01)


async def test_a_restarted_member_has_what_it_acknowledged(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        await cluster.leader()
        for i in range(10):
            await cluster.node(1 + i % 3).propose(PutRequest(key=b"k%d" % i, value=b"v"))
        for member in cluster.ids:
            await cluster.stop(member)
        for member in cluster.ids:
            await cluster.start(member)
        for member in cluster.ids:
            await cluster.node(member).read_barrier()
            assert value_at(cluster, member, b"k9") == b"v"
            assert cluster.node(member).machine.store.revision == 11


async def test_an_orderly_restart_serves_what_was_applied_before_any_leader_is_heard(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        await cluster.node(leader).propose(PutRequest(key=b"k", value=b"v"))
        await cluster.converged()
        while cluster.node(leader).wal.hard_state.commit < cluster.node(leader).applied_index:
            await asyncio.sleep(0.01)
        for member in cluster.ids:
            await cluster.stop(member)
        node = await cluster.start(leader)
        await node.recovered()
        assert value_at(cluster, leader, b"k") == b"v"


async def test_whoever_waits_is_told_when_the_member_stops(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        for member in (2, 3):
            await cluster.stop(member)
        node = cluster.node(1)
        put = asyncio.create_task(node.propose(PutRequest(key=b"k", value=b"v")))
        read = asyncio.create_task(node.read_barrier())
        await asyncio.sleep(0)
        await cluster.stop(1)
        for request in (put, read, asyncio.create_task(node.propose(PutRequest(key=b"k")))):
            with pytest.raises(NodeStopped):
                await request


async def test_request_ids_differ_between_two_starts_of_a_member(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        await cluster.node(1).propose(PutRequest(key=b"a", value=b"v"))
        await cluster.stop(1)
        node = await cluster.start(1)
        await node.propose(PutRequest(key=b"b", value=b"v"))
        log = node.status().log
        commands = [
            decode_command(entry.data)
            for entry in log.slice(1, log.last_index)
            if entry.kind == EntryKind.COMMAND
        ]
        ids = [command.request_id for command in commands]
        assert len(set(ids)) == len(ids)
        assert len({request_id.boot for request_id in ids}) == 2


async def test_a_client_that_goes_away_leaves_no_waiter(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        for member in (2, 3):
            await cluster.stop(member)
        put = asyncio.create_task(cluster.node(1).propose(PutRequest(key=b"k", value=b"v")))
        await asyncio.sleep(0)
        assert cluster.node(1).waiting >= 1
        before = cluster.node(1).waiting
        put.cancel()
        await asyncio.wait({put})
        assert cluster.node(1).waiting == before - 1


async def test_a_failing_disk_ends_the_node(tmp_path: Path) -> None:
    """A member that can't keep its promises must not go on making them."""
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        running = cluster.running[leader]
        await running.node.wal._segment.file.close()
        put = asyncio.create_task(running.node.propose(PutRequest(key=b"k", value=b"v")))
        await asyncio.wait({running._task})
        assert isinstance(running._task.exception(), ExceptionGroup)
        with pytest.raises(NodeStopped):
            await put


async def test_what_is_no_command_does_not_enter_the_log_by_forwarding(tmp_path: Path) -> None:
    """Once committed it would stop every member, and again at every start."""
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        node = cluster.node(leader)
        source = next(m for m in cluster.ids if m != leader)
        good = encode_command(RequestId(source, 999, 1), PutRequest(key=b"k", value=b"v"))
        node.receive(ForwardProposals(source, leader, node.status().term, (b"garbage", good, b"\x90")))
        while value_at(cluster, leader, b"k") is None:
            await asyncio.sleep(0.01)
        refused = [e for e in cluster.running[leader].events if isinstance(e, PeerRefused)]
        assert refused == [PeerRefused(source, "2 proposals that are no command known here")]
        await cluster.converged()
        assert not any(running._task.done() for running in cluster.running.values())


async def test_a_leader_without_room_takes_others_proposals_up_to_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its followers commit them without it: they would pile up in memory as long as its disk is full."""
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        node = cluster.node(leader)
        source = next(m for m in cluster.ids if m != leader)
        await node.read_barrier()
        await cluster.converged()
        monkeypatch.setattr(node.wal._supply, "has_room", False)
        monkeypatch.setattr(node, "_make_room_for_others", lambda: None)
        taken = []
        for number, waiting in enumerate((MAX_UNWRITTEN_BYTES, MAX_UNWRITTEN_BYTES + 1)):
            node._writer.waiting_bytes += waiting
            command = encode_command(RequestId(source, 999, number), PutRequest(key=b"k", value=b"v"))
            before = node.status().log.last_index
            node._take_in()
            node.receive(ForwardProposals(source, leader, node.status().term, (command,)))
            node._take_in()
            taken.append(node.status().log.last_index - before)
            node._writer.waiting_bytes -= waiting
        assert taken == [1, 0]
        await cluster.converged()


async def test_a_proposal_lost_on_its_way_to_the_same_leader_is_made_again(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        follower = next(m for m in cluster.ids if m != leader)
        await cluster.node(follower).read_barrier()
        cluster.network.cut.add((follower, leader))
        put = asyncio.create_task(cluster.node(follower).propose(PutRequest(key=b"k", value=b"v")))
        for _ in range(5):
            await asyncio.sleep(0)
        cluster.network.heal()
        cluster.node(follower).peer_event(leader, PeerEvent.CONNECTED)
        assert (await put).header.revision == 2


async def test_proposals_that_wait_are_bounded_in_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposals, "MAX_WAITING_BYTES", 1000)
    async with LoopbackCluster(tmp_path) as cluster:
        for member in (2, 3):
            await cluster.stop(member)
        node = cluster.node(1)
        put = asyncio.create_task(node.propose(PutRequest(key=b"k", value=b"v" * 1000)))
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests):
            await node.propose(PutRequest(key=b"k", value=b"v"))
        put.cancel()
        await asyncio.wait({put})
        assert node._waiters.waiting_bytes < 1000


async def test_a_refused_proposal_leaves_no_data_behind(tmp_path: Path) -> None:
    """No reference cycle may keep its bytes until the next collection."""
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        await cluster.node(1).read_barrier()
        gc.collect()
        gc.disable()
        try:
            for _ in range(50):
                with pytest.raises(LeaseNotFound):
                    await cluster.node(1).propose(PutRequest(key=b"k", lease=7))
            assert sum(isinstance(found, Waiter) for found in gc.get_objects()) <= 1
        finally:
            gc.enable()


async def test_a_leader_that_stops_hands_over_first(tmp_path: Path) -> None:
    """Thesis §3.10: the others need not wait for an election time-out."""
    async with LoopbackCluster(tmp_path, election_timeout=50_000, heartbeat_interval=100) as cluster:
        cluster.node(1)._core.step(TimeoutNow(2, 1, 1))  # the first election, without its time-out
        cluster.node(1)._wake.set()
        leader = await cluster.leader()
        await cluster.node(leader).propose(PutRequest(key=b"k", value=b"v"))
        await cluster.converged()
        await cluster.node(leader).hand_over(seconds=30)
        assert cluster.node(leader).status().role is Role.FOLLOWER
        assert await cluster.leader() != leader
        response = await cluster.node(leader).propose(PutRequest(key=b"k", value=b"w"))
        assert response.header.revision == 3


async def test_handing_over_where_there_is_nobody_returns_at_once(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        await cluster.node(1).propose(PutRequest(key=b"k", value=b"v"))
        await cluster.node(1).hand_over(seconds=30)
        assert cluster.node(1).status().role is Role.LEADER


async def test_a_member_that_was_removed_stops_for_good(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        await cluster.leader()
        running = cluster.running[1]
        running.node.receive(RemovedNotice(2, 1, running.node.status().term))
        await asyncio.wait({running._task})
        with pytest.raises(ExceptionGroup) as stopped:
            await running._task
        assert stopped.group_contains(MemberRemoved)
