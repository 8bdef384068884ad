"""Checksums and the transfer of leadership over real nodes."""

from pathlib import Path

import pytest

from raftkv.errors import NotLeader, TransferTimedOut
from raftkv.raft import Role
from raftkv.schema.kv import CompactionRequest, DeleteRangeRequest, PutRequest
from raftkv.schema.maintenance import HashKVRequest, MoveLeaderRequest
from raftkv.service import MaintenanceService
from tests.node.loopback import LoopbackCluster


def service(cluster: LoopbackCluster, member: int) -> MaintenanceService:
    return MaintenanceService(cluster.node(member))


async def test_leadership_goes_round_and_each_move_is_answered_when_it_is_done(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        for target in [member for member in cluster.ids if member != leader] + [leader]:
            with pytest.raises(NotLeader):
                await service(cluster, target).move_leader(MoveLeaderRequest(target))
            await service(cluster, leader).move_leader(MoveLeaderRequest(target))
            assert cluster.node(target).status().role is Role.LEADER
            leader = target


async def test_leadership_stays_when_the_target_is_down(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        target = leader % 3 + 1
        await cluster.stop(target)
        with pytest.raises(TransferTimedOut):
            await service(cluster, leader).move_leader(MoveLeaderRequest(target))
        assert await cluster.leader() == leader
        await cluster.node(leader).propose(PutRequest(b"k"))


async def test_members_have_the_same_checksum_whatever_befell_them(tmp_path: Path) -> None:
    """One was sent a snapshot, one started anew, and they removed at different times what was compacted."""
    async with LoopbackCluster(tmp_path, snapshot_count=20) as cluster:
        leader = await cluster.leader()
        away, other = (member for member in cluster.ids if member != leader)
        await cluster.stop(away)
        for i in range(60):
            await cluster.node(leader).propose(PutRequest(b"%d" % (i % 9), b"v"))
        await cluster.node(leader).propose(DeleteRangeRequest(b"1", b"3"))
        await cluster.node(leader).propose(CompactionRequest(50))
        await cluster.node(leader).snapshot_now()
        await cluster.start(away)
        await cluster.stop(other)
        await cluster.start(other)
        await cluster.node(leader).propose(PutRequest(b"last"))
        await cluster.converged()
        assert {link[0] for link in cluster.network.fetched} == {away}
        for revision in (0, 51, 60):
            told = [await service(cluster, member).hash_kv(HashKVRequest(revision)) for member in cluster.ids]
            assert len({(one.hash, one.compact_revision) for one in told}) == 1
            assert told[0].compact_revision == 50
