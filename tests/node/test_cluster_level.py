"""Several nodes of different versions: what some of them do not know is not proposed."""

import asyncio
from pathlib import Path

import pytest

from raftkv.errors import NotCapable
from raftkv.mvcc.level import FIRST, LEVEL
from raftkv.node.node import Node
from raftkv.schema.kv import PutRequest
from raftkv.schema.lease import LeaseGrantRequest
from tests.node.loopback import LoopbackCluster


class OldCluster(LoopbackCluster):
    """Its log was begun by the first version."""

    level = FIRST


async def raised(node: Node) -> None:
    while node.cluster_level < LEVEL:
        await asyncio.sleep(0.01)


async def test_a_new_cluster_can_do_all_at_once_though_a_member_has_never_been_up(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        await cluster.stop(3)
        leader = cluster.node(await cluster.leader())
        await leader.propose(LeaseGrantRequest(60, 7))


async def test_the_level_rises_once_the_last_old_member_is_gone(tmp_path: Path) -> None:
    cluster = OldCluster(tmp_path)
    cluster.network.levels[3] = FIRST
    async with cluster:
        leader = cluster.node(await cluster.leader())
        for member in cluster.ids:
            with pytest.raises(NotCapable, match="needs level 2, the cluster is at 1"):
                await cluster.node(member).propose(LeaseGrantRequest(60, 7))
        await leader.propose(PutRequest(key=b"k", value=b"v"))
        await cluster.stop(3)
        await asyncio.sleep(0.2)  # a member that is down may come back as it was
        assert cluster.node(1).cluster_level == FIRST
        cluster.network.levels[3] = LEVEL
        await cluster.start(3)
        for member in cluster.ids:
            await raised(cluster.node(member))
        await cluster.node(3).propose(LeaseGrantRequest(60, 7))
        await cluster.converged()
        assert len({cluster.node(member).machine.digest() for member in cluster.ids}) == 1


async def test_a_raised_level_outlives_a_restart(tmp_path: Path) -> None:
    async with OldCluster(tmp_path, size=1) as cluster:
        await raised(cluster.node(1))
        await cluster.node(1).propose(LeaseGrantRequest(60, 7))
        await cluster.node(1).snapshot_now()
        await cluster.stop(1)
        node = await cluster.start(1)
        assert node.status().snapshot is not None
        assert node.cluster_level == LEVEL, "by the snapshot alone"
