"""Changes of the members: in force when appended, answered when applied, and nobody is forgotten."""

import asyncio
from pathlib import Path

import pytest

from raftkv.errors import ChangeRefused, MemberRemoved, PeerUnavailable
from raftkv.node.node import Node
from raftkv.raft import ChangeKind, Role
from raftkv.schema.kv import PutRequest
from tests.node.loopback import LoopbackCluster, LoopbackTransport, info


async def ready_leader(cluster: LoopbackCluster) -> Node:
    """Return the leader once it has committed an entry of its own term: before, it takes no change."""
    leader = cluster.node(await cluster.leader())
    await leader.read_barrier()
    return leader


async def add_learner(cluster: LoopbackCluster, member: int) -> None:
    """Start a member with nothing and let it join."""
    await cluster.start(member)
    leader = await ready_leader(cluster)
    await leader.change_members(ChangeKind.ADD_LEARNER, info(member, is_learner=True))


async def promote(cluster: LoopbackCluster, member: int) -> None:
    """Let a learner vote as soon as it has caught up."""
    leader = cluster.node(await cluster.leader())
    while True:
        try:
            await leader.change_members(ChangeKind.PROMOTE, info(member))
        except ChangeRefused:
            await asyncio.sleep(0.01)
        else:
            return


def told(cluster: LoopbackCluster, member: int) -> list[tuple[int, bool]]:
    """Return (id, whether a learner) of the members as one of them has applied them."""
    members = cluster.node(member).machine.membership.members()
    return [(one.id, one.is_learner) for one in members]


async def test_a_learner_gets_the_log_and_votes_once_it_is_promoted(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        leader = cluster.node(await cluster.leader())
        await leader.propose(PutRequest(key=b"k", value=b"before"))
        await add_learner(cluster, 4)
        await cluster.converged()
        assert told(cluster, 4) == [(1, False), (2, False), (3, False), (4, True)]
        assert cluster.node(4).status().configuration.learners == (4,)
        await promote(cluster, 4)
        await cluster.converged()
        for member in (1, 2, 3, 4):
            assert told(cluster, member) == [(1, False), (2, False), (3, False), (4, False)]
            assert cluster.node(member).status().configuration.voters == (1, 2, 3, 4)
        assert len({cluster.node(member).machine.digest() for member in (1, 2, 3, 4)}) == 1


async def test_a_joined_member_is_still_one_after_a_restart_of_all(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        await add_learner(cluster, 4)
        await promote(cluster, 4)
        await cluster.converged()
        for member in (1, 2, 3, 4):
            await cluster.stop(member)
        for member in (4, 1, 2):  # three of four: not without the new one
            await cluster.start(member)
        leader = cluster.node(await cluster.leader())
        await leader.propose(PutRequest(key=b"k", value=b"v"))
        assert leader.status().configuration.voters == (1, 2, 3, 4)


async def test_the_second_voter_is_reached_before_its_addition_is_committed(tmp_path: Path) -> None:
    """§4.1: it takes force when appended, and can't be committed without the new voter's answer."""
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        leader = await ready_leader(cluster)
        added = asyncio.create_task(leader.change_members(ChangeKind.ADD_VOTER, info(2)))
        while leader.status().configuration.voters != (1, 2):
            await asyncio.sleep(0)
        transport = leader._transport
        assert isinstance(transport, LoopbackTransport)
        while not transport.peers:
            await asyncio.sleep(0)
        assert not added.done()
        assert transport.peers == {2: ("http://n2:1",)}
        await cluster.start(2)
        assert [member.id for member in await added] == [1, 2]


async def test_only_one_change_at_a_time_is_taken(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await ready_leader(cluster)
        changing = asyncio.create_task(
            leader.change_members(ChangeKind.ADD_LEARNER, info(4, is_learner=True))
        )
        await asyncio.sleep(0)
        with pytest.raises(ChangeRefused, match="not committed yet"):
            await leader.change_members(ChangeKind.ADD_LEARNER, info(5, is_learner=True))
        await changing
        assert leader.waiting == 0


async def test_a_follower_has_the_leader_change_the_members(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await ready_leader(cluster)
        follower = cluster.node(leader.member_id % 3 + 1)
        members = await follower.change_members(ChangeKind.ADD_LEARNER, info(4, is_learner=True))
        assert [member.id for member in members] == [1, 2, 3, 4]
        assert members == follower.machine.membership.members()
        with pytest.raises(ChangeRefused, match="member 4 is in the cluster already"):
            await follower.change_members(ChangeKind.ADD_LEARNER, info(4, is_learner=True))
        assert follower.waiting == 0


async def test_a_change_whose_taking_nobody_told_of_is_answered_when_it_is_applied(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await ready_leader(cluster)
        follower = cluster.node(leader.member_id % 3 + 1)
        answer = leader.answer

        async def lost(question: bytes) -> bytes:
            await answer(question)
            raise PeerUnavailable("the answer was lost")

        leader.answer = lost  # type: ignore[method-assign]
        members = await follower.change_members(ChangeKind.ADD_LEARNER, info(4, is_learner=True))
        assert [member.id for member in members] == [1, 2, 3, 4]


async def test_a_removed_member_hears_of_it_and_stops_and_the_others_go_on(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await ready_leader(cluster)
        gone = leader.member_id % 3 + 1
        await leader.change_members(ChangeKind.REMOVE, info(gone))
        with pytest.raises(BaseExceptionGroup) as stopped:
            await cluster.running[gone].until_ended()
        assert stopped.group_contains(MemberRemoved)
        await leader.propose(PutRequest(key=b"k", value=b"v"))
        assert [member.id for member in leader.machine.membership.members()] == sorted({1, 2, 3} - {gone})


async def test_a_leader_that_removes_itself_hands_over(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        first = (await ready_leader(cluster)).member_id
        await cluster.node(first).change_members(ChangeKind.REMOVE, info(first))
        others = [member for member in cluster.ids if member != first]
        while not any(cluster.node(member).status().role is Role.LEADER for member in others):
            await asyncio.sleep(0.01)
        for member in others:
            await cluster.node(member).propose(PutRequest(key=b"k", value=b"v"))


async def test_a_member_that_has_applied_nothing_takes_no_snapshot(tmp_path: Path) -> None:
    """It would stand for index 0 and for no members, and a log that names it could not be opened."""
    async with LoopbackCluster(tmp_path) as cluster:
        joiner = await cluster.start(4)
        await joiner.snapshot_now()
        assert joiner.status().snapshot is None
        assert not list((tmp_path / "n4" / "snap").glob("*.snap"))
