"""Real processes behind proxies: what the harness does to them happens, and nothing is left of them."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from raftkv.chaos.cluster import Cluster
from raftkv.chaos.faults import targets
from raftkv.chaos.faults.members import Learner, Replace
from raftkv.chaos.faults.orders import FailingDisk, FullDisk, SlowDisk
from raftkv.chaos.faults.partitions import Partition, leader_alone
from raftkv.chaos.faults.processes import Kill, Pause, RollingRestart
from raftkv.chaos.faults.torn import TornKill
from raftkv.chaos.faults.upkeep import Compact, Snapshot, Transfer
from raftkv.chaos.schedule import Schedule
from raftkv.chaos.system import Effect, Fault
from raftkv.chaos.systems import make_system
from raftkv.client import Client, OutcomeUnknown
from raftkv.local.layout import HOST
from raftkv.local.ports import is_free

pytestmark = pytest.mark.e2e

SECONDS = 60


@pytest.fixture(params=["raftkv", "etcd"])
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    """A cluster that runs, of which nothing is left afterwards."""
    system = make_system(request.param, 3, tmp_path)
    assert isinstance(system, Cluster)
    await system.start()
    seen = list(system.by_name.values())
    yield system
    assert system.crashes == []
    seen += [node for node in system.by_name.values() if node not in seen]
    await system.stop()
    await system.stop()
    for node in seen:
        assert not node.runs
        assert not node.place.data.parent.exists()
        urls = (
            node.place.client_url,
            node.place.peer_url,
            node.place.told_client_url,
            node.place.told_peer_url,
        )
        assert all(is_free(int(url.rpartition(":")[2])) for url in urls)
        assert system.logs()[node.name].stat().st_size > 0


async def until(cluster: Cluster, condition: Callable[[list[Any]], bool]) -> list[Any]:
    async with asyncio.timeout(SECONDS):
        while not condition(states := list(await cluster.look())):
            await asyncio.sleep(0.05)
    return states


async def whole(cluster: Cluster) -> None:
    """Wait until all nodes follow one leader."""
    await until(cluster, lambda states: all(one.role in ("leader", "follower") for one in states))


async def put(cluster: Cluster, key: str) -> int:
    async with Client([cluster.client_url(name) for name in cluster.nodes], timeout=SECONDS) as client:
        return (await client.put(key, key)).revision


async def happened(cluster: Cluster, fault: Fault, seed: int = 1) -> dict[str, float]:
    """Let a fault happen for a moment; return its effects."""
    async with asyncio.timeout(SECONDS):
        await fault.begin(cluster, Random(seed))
        await asyncio.sleep(0.3)
        effects: list[Effect] = list(await fault.end())
    return dict(effects)


async def test_a_leader_without_the_others_is_replaced_and_follows_in_the_end(cluster: Cluster) -> None:
    await put(cluster, "before")
    old = await targets.leader_of(cluster)
    fault = Partition("partition-leader", leader_alone)
    assert (await fault.begin(cluster, Random(1)))[0] == (old,)
    await until(cluster, lambda states: any(one.role == "leader" and one.name != old for one in states))
    effects = dict(await fault.end())
    assert effects["bytes held"] > 0
    states = await until(cluster, lambda states: len({one.leader for one in states}) == 1)
    assert {one.leader for one in states} != {old}
    assert await put(cluster, "after") == 3


async def test_processes_are_killed_stopped_and_restarted(cluster: Cluster) -> None:
    kill = Kill("kill-all", targets.everyone)
    await kill.begin(cluster, Random(1))
    for node in cluster.by_name.values():
        for url in (node.place.told_client_url, node.place.told_peer_url):
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(HOST, int(url.rpartition(":")[2]))
    assert dict(await kill.end()) == {"processes killed": 3}
    await whole(cluster)
    assert (await happened(cluster, Pause("pause-leader", targets.the_leader)))["seconds stopped"] >= 0.3
    await whole(cluster)
    assert await happened(cluster, RollingRestart()) == {"processes restarted": 3}
    await whole(cluster)
    assert await put(cluster, "key") == 2


async def test_members_are_replaced_and_grown_and_keep_the_data(cluster: Cluster) -> None:
    await put(cluster, "key")
    before = cluster.nodes
    assert await happened(cluster, Replace()) == {"members changed": 2}
    await whole(cluster)
    assert await happened(cluster, Learner(), seed=2) == {"members changed": 3}
    await whole(cluster)
    assert len(cluster.nodes) == 3
    assert len(set(before) & set(cluster.nodes)) <= 2
    async with Client([cluster.client_url(cluster.nodes[-1])], timeout=SECONDS) as client:
        found = await client.get("key")
    assert found is not None
    assert found.value == b"key"
    assert await happened(cluster, Kill("kill-all", targets.everyone)) == {"processes killed": 3}
    await whole(cluster)


async def test_what_operators_do_happens(cluster: Cluster) -> None:
    cluster.safe_revision = lambda: 5
    for number in range(6):
        await put(cluster, f"{number}")
    old = await targets.leader_of(cluster)
    assert (await happened(cluster, Compact()))["revisions let go"] == 5
    assert (await happened(cluster, Snapshot()))["stores rewritten"] >= 1
    assert (await happened(cluster, Transfer()))["leaderships handed over"] >= 1
    await until(cluster, lambda states: len({one.leader for one in states} - {"", old}) == 1)


@pytest.mark.parametrize("cluster", ["raftkv"], indirect=True)
async def test_disks_fail_are_slow_and_full_and_logs_torn(cluster: Cluster) -> None:
    assert await happened(cluster, TornKill(targets.the_leader)) == {"torn tails found and cut": 1}
    await whole(cluster)
    slow = SlowDisk(targets.everyone)
    await slow.begin(cluster, Random(1))
    await put(cluster, "slow")
    assert dict(await slow.end())["fsyncs delayed"] >= 2
    assert (await happened(cluster, FullDisk(targets.the_leader)))["writes refused"] >= 1
    failing = FailingDisk(targets.the_leader)
    await failing.begin(cluster, Random(1))
    with suppress(OutcomeUnknown):  # the member that was asked may be the one that ends by it
        await put(cluster, "failing")
    assert dict(await failing.end()) == {"nodes ended by a failed fsync": 1}
    await whole(cluster)


@pytest.mark.parametrize("cluster", ["raftkv"], indirect=True)
async def test_a_schedule_ends_with_all_nodes_and_one_that_ended_by_itself_is_named(cluster: Cluster) -> None:
    node = cluster.node("n2")
    assert node.process is not None
    node.process.send(signal.SIGKILL)
    assert await cluster.is_gone("n2", SECONDS)
    assert [cluster.note_crashes(), cluster.note_crashes()] == [["n2"], []]
    other = cluster.node("n3")
    assert other.process is not None
    other.process.send(signal.SIGKILL)
    assert await cluster.is_gone("n3", SECONDS)
    assert await cluster.end(["n3"]) == 0, "a kill that comes too late does not hide it"
    assert [name for name, _ in cluster.crashes] == ["n2", "n3"]
    cluster.crashes.clear()
    clock = asyncio.get_running_loop().time
    schedule = Schedule(cluster, "kill,partition", 5, clock=clock, safe_revision=lambda: 0)
    await schedule.run(6)
    assert len(schedule.records) >= 2
    assert all(one.role in ("leader", "follower") for one in await cluster.look())
    assert await put(cluster, "key") == 2


@pytest.mark.parametrize("cluster", ["raftkv"], indirect=True)
async def test_an_external_system_is_left_alone(cluster: Cluster, tmp_path: Path) -> None:
    external = make_system(
        "external", 0, tmp_path, endpoints=[cluster.direct_url(name) for name in cluster.nodes]
    )
    await external.start()
    try:
        states = await external.look()
        assert sorted(one.role for one in states) == ["follower", "follower", "leader"]
        async with Client([external.client_url("e1")], timeout=SECONDS) as client:
            assert (await client.put("key", "value")).revision == 2
        schedule = Schedule(
            external, "all", 1, clock=asyncio.get_running_loop().time, safe_revision=lambda: 0
        )
        assert {kind.group for kind in schedule.kinds} == {"client-links"}
    finally:
        await external.stop()
    await whole(cluster)
