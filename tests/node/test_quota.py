"""The quota and automatic compaction in a cluster: what one member decides holds for all."""

import asyncio
from pathlib import Path

import pytest

from raftkv.errors import QuotaExceeded
from raftkv.node import auto_compaction
from raftkv.node.node import Node
from raftkv.schema.kv import DeleteRangeRequest, PutRequest
from raftkv.schema.maintenance import AlarmAction, AlarmMember, AlarmRequest, AlarmType
from tests.node.loopback import LoopbackCluster


async def until_raised(cluster: LoopbackCluster, *alarms: AlarmMember) -> None:
    async with asyncio.timeout(10):
        while any(r.node.machine.alarms.raised() != list(alarms) for r in cluster.running.values()):
            await asyncio.sleep(0.01)


async def fill(node: Node) -> None:
    """Propose, past the service's check, until the quota is passed."""
    for number in range(5):
        await node.propose(PutRequest(b"k%d" % number, b"v" * 1000))


async def test_each_member_that_is_over_its_quota_raises_its_alarm_on_all(tmp_path: Path) -> None:
    """Also followers, whose clients write nothing."""
    async with LoopbackCluster(tmp_path, quota_backend_bytes=4000) as cluster:
        leader = await cluster.leader()
        await fill(cluster.node(leader))
        await until_raised(cluster, *(AlarmMember(member, AlarmType.NOSPACE) for member in cluster.ids))
        for running in cluster.running.values():
            with pytest.raises(QuotaExceeded):
                await running.node.propose(PutRequest(b"k", b"v"))
            await running.node.propose(DeleteRangeRequest(b"k"))


async def test_alarms_outlast_restarts_from_the_log_and_from_a_snapshot(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        await cluster.leader()
        await cluster.node(1).propose(AlarmRequest(AlarmAction.ACTIVATE, 5, AlarmType.CORRUPT))
        for _ in range(2):
            await cluster.stop(1)
            await cluster.start(1)
            await cluster.leader()
            await cluster.node(1).read_barrier()
            assert cluster.node(1).machine.alarms.raised() == [AlarmMember(5, AlarmType.CORRUPT)]
            await cluster.node(1).snapshot_now()


async def test_the_leader_compacts_automatically(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto_compaction, "REVISION_PAUSE", 0.05)
    settings = {"auto_compaction_mode": "revision", "auto_compaction_retention": "3"}
    async with LoopbackCluster(tmp_path, **settings) as cluster:
        await fill(cluster.node(await cluster.leader()))
        async with asyncio.timeout(10):
            while {r.node.machine.store.compact_revision for r in cluster.running.values()} != {3}:
                await asyncio.sleep(0.01)
