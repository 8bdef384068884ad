"""Changes of the members: in force when appended, answered when applied, and nobody is forgotten."""

import asyncio
from pathlib import Path

import pytest

from raftkv.errors import (
    ChangeRefused,
    LearnerNotReady,
    MemberExist,
    MemberNotEnoughStarted,
    MemberNotFound,
    MemberNotLearner,
    MemberRemoved,
    PeerUnavailable,
    PeerURLExist,
    TooManyLearners,
)
from raftkv.mvcc.commands import RequestId
from raftkv.mvcc.membership import ChangeOf, MemberChange, MemberInfo, encode_change
from raftkv.node.node import Node
from raftkv.node.publisher import is_published
from raftkv.raft import Change, ChangeKind, Role
from raftkv.schema.kv import PutRequest
from tests.node.loopback import LoopbackCluster, LoopbackTransport, info


async def ready_leader(cluster: LoopbackCluster) -> Node:
    """Return the leader once it has committed an entry of its own term: before, it takes no change."""
    leader = cluster.node(await cluster.leader())
    await leader.read_barrier()
    return leader


async def published(node: Node) -> None:
    """Return once a member has told its name: until then it has a proposal of its own under way."""
    while not is_published(node.config, node.member_id, node.machine):
        await asyncio.sleep(0.01)


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
        adding = asyncio.create_task(leader.change_members(ChangeKind.ADD_VOTER, info(2)))
        while leader.status().configuration.voters != (1, 2):
            await asyncio.sleep(0)
        transport = leader._transport
        assert isinstance(transport, LoopbackTransport)
        while not transport.peers:
            await asyncio.sleep(0)
        assert transport.peers == {2: ("http://n2:1",)}
        added = await adding
        assert [member.id for member in added] == [1, 2]
        assert leader.members() == added
        assert leader.status().commit_index < leader.status().configuration_index
        await cluster.start(2)
        await leader.propose(PutRequest(key=b"k", value=b"v"))
        await cluster.converged()
        assert [member.id for member in cluster.node(2).members()] == [1, 2]


async def test_the_second_voter_is_not_forgotten_when_the_first_one_starts_anew(tmp_path: Path) -> None:
    """What was answered has to hold, although nobody could commit it yet."""
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        leader = await ready_leader(cluster)
        await leader.change_members(ChangeKind.ADD_VOTER, info(2))
        await cluster.stop(1)
        first = await cluster.start(1)
        assert [member.id for member in first.members()] == [1, 2]
        await cluster.start(2)
        await first.propose(PutRequest(key=b"k", value=b"v"))
        assert [member.id for member in cluster.node(2).members()] == [1, 2]


@pytest.mark.parametrize(
    ("kind", "member", "error"),
    [
        (ChangeKind.ADD_VOTER, info(1), MemberExist),
        (ChangeKind.ADD_VOTER, info(9)._replace(peer_urls=("http://n1:1",)), PeerURLExist),
        (ChangeKind.ADD_LEARNER, info(9, is_learner=True), TooManyLearners),
        (ChangeKind.REMOVE, info(9), MemberNotFound),
        (ChangeKind.PROMOTE, info(1), MemberNotLearner),
        (ChangeKind.PROMOTE, info(4), LearnerNotReady),
        (ChangeKind.UPDATE, info(4)._replace(peer_urls=("http://n1:1",)), PeerURLExist),
    ],
)
async def test_what_does_not_fit_the_members_is_refused_and_not_appended(
    tmp_path: Path, kind: ChangeKind, member: MemberInfo, error: type[Exception]
) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await ready_leader(cluster)
        await leader.change_members(ChangeKind.ADD_LEARNER, info(4, is_learner=True))
        before = leader.status().configuration_index
        for node in (leader, cluster.node(leader.member_id % 3 + 1)):
            with pytest.raises(error):
                await node.change_members(kind, member)
        assert leader.status().configuration_index == before


async def test_a_removed_id_never_comes_back_and_the_only_voter_stays(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        leader = await ready_leader(cluster)
        with pytest.raises(MemberNotEnoughStarted):
            await leader.change_members(ChangeKind.REMOVE, info(1))
        await leader.change_members(ChangeKind.ADD_LEARNER, info(4, is_learner=True))
        await leader.change_members(ChangeKind.REMOVE, info(4))
        with pytest.raises(MemberNotFound, match="never used again"):
            await leader.change_members(ChangeKind.ADD_LEARNER, info(4, is_learner=True))


async def test_a_learner_stays_one_when_its_urls_change_and_all_reach_it_there(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        await add_learner(cluster, 4)
        leader = await ready_leader(cluster)
        moved = info(4)._replace(peer_urls=("http://moved:1",))
        members = await leader.change_members(ChangeKind.UPDATE, moved)
        assert (members[3].peer_urls, members[3].is_learner) == (("http://moved:1",), True)
        await cluster.converged()
        for member in (1, 2, 3):
            transport = cluster.node(member)._transport
            assert isinstance(transport, LoopbackTransport)
            assert transport.peers[4] == ("http://moved:1",)


async def test_urls_of_a_change_that_is_rolled_back_are_forgotten(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        old = await ready_leader(cluster)
        other = old.member_id % 3 + 1
        cluster.network.isolate(old.member_id)
        log_end = old.status().log.last_index
        changed = MemberChange(
            RequestId(9, 9, 9), ChangeOf.UPDATE, info(other)._replace(peer_urls=("http://x:1",))
        )
        old._core.propose_change(Change(ChangeKind.UPDATE, other), encode_change(changed))
        old._wake.set()
        transport = old._transport
        assert isinstance(transport, LoopbackTransport)
        while transport.peers[other] != ("http://x:1",):
            await asyncio.sleep(0)
        while not any(cluster.node(m).status().role is Role.LEADER for m in (1, 2, 3) if m != old.member_id):
            await asyncio.sleep(0.01)
        cluster.network.heal()
        while transport.peers[other] != (f"http://n{other}:1",):
            await asyncio.sleep(0.01)
        assert old.status().log.last_index > log_end


async def test_only_one_change_at_a_time_is_taken(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await ready_leader(cluster)
        await published(leader)
        changing = asyncio.create_task(
            leader.change_members(ChangeKind.ADD_LEARNER, info(4, is_learner=True))
        )
        await asyncio.sleep(0)
        with pytest.raises(ChangeRefused, match="not committed yet"):
            await leader.change_members(ChangeKind.ADD_VOTER, info(5))
        with pytest.raises(ChangeRefused, match="under way"):  # the first learner may be rolled back
            await leader.change_members(ChangeKind.ADD_LEARNER, info(5, is_learner=True))
        await changing
        assert leader.waiting == 0


async def test_a_follower_has_the_leader_change_the_members(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await ready_leader(cluster)
        follower = cluster.node(leader.member_id % 3 + 1)
        await published(follower)
        members = await follower.change_members(ChangeKind.ADD_LEARNER, info(4, is_learner=True))
        assert [member.id for member in members] == [1, 2, 3, 4]
        assert members == follower.machine.membership.members()
        with pytest.raises(MemberExist, match="member 4 is in the cluster already"):
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
