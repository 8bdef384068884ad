"""Snapshots of a member: taken while it serves, started from, and put aside when they are damaged."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from raftkv.errors import NodeStopped, NoSpace, SnapshotDamaged, StorageError
from raftkv.node import log_tail, snapshot_store
from raftkv.node.node import Node
from raftkv.schema.kv import CompactionRequest, PutRequest, RangeRequest
from raftkv.trace import SnapshotDamaged as DamageFound
from raftkv.trace import SnapshotFailed, SnapshotTaken
from tests.node.loopback import LoopbackCluster
from tests.node.simulated import SimulatedCluster


async def put_many(node: Node, count: int, prefix: bytes = b"k", size: int = 10) -> None:
    for start in range(0, count, 50):
        await asyncio.gather(
            *(
                node.propose(PutRequest(key=prefix + b"%d" % i, value=b"v" * size))
                for i in range(start, min(count, start + 50))
            )
        )


def values(node: Node) -> dict[bytes, bytes]:
    kvs = node.machine.store.range(RangeRequest(key=b"\0", range_end=b"\0")).kvs
    return {kv.key: kv.value for kv in kvs}


def names(cluster: LoopbackCluster, member: int) -> list[str]:
    folder = cluster.root / f"n{member}" / "snap"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def snapshot_names(cluster: LoopbackCluster, member: int) -> list[str]:
    return [name for name in names(cluster, member) if name.endswith(".snap")]


async def until_snapshot(node: Node, index: int = 1) -> int:
    """Wait for a snapshot at or after ``index``; return its index."""
    while True:
        snapshot = node.status().snapshot
        if snapshot is not None and snapshot.index >= index:
            return snapshot.index
        await asyncio.sleep(0.001)


async def test_a_snapshot_is_taken_after_so_many_entries_and_the_log_is_cut(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path, size=1, snapshot_count=100) as cluster:
        node = cluster.node(1)
        await put_many(node, 95)
        assert node.status().snapshot is None
        await put_many(node, 300)
        index = await until_snapshot(node)
        assert index > 100
        status = node.status()
        assert index - 100 - log_tail.MARK_ENTRIES <= status.log.first_index <= index + 1
        assert [e.snapshot_index for e in cluster.running[1].events if isinstance(e, SnapshotTaken)]
        assert f"{index:016x}-{2:016x}.snap" in names(cluster, 1)


async def test_a_member_starts_from_its_snapshot_and_the_log_after_it(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path, size=1, snapshot_count=100) as cluster:
        node = cluster.node(1)
        await put_many(node, 250)
        await node.propose(CompactionRequest(revision=100))
        await put_many(node, 60, prefix=b"later")
        await until_snapshot(node)
        digest, held, revision = node.machine.digest(), values(node), node.machine.store.revision
        await cluster.stop(1)
        node = await cluster.start(1)
        await node.recovered()
        await node.read_barrier()
        assert node.machine.digest() == digest
        assert (values(node), node.machine.store.revision) == (held, revision)
        assert node.machine.store.compact_revision == 100
        assert node.status().log.first_index > 100
        response = await node.propose(PutRequest(key=b"new", value=b"v"))
        assert response.header.revision == revision + 1
        assert [(m.id, m.name) for m in node.machine.membership.members()] == [(1, "n1")]


async def test_a_request_applied_before_the_snapshot_is_a_duplicate_after_it(tmp_path: Path) -> None:
    """The table of applied requests is in the snapshot (thesis §6.3)."""
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        node = cluster.node(1)
        await put_many(node, 10)
        log = node.status().log
        command = log.slice(log.last_index, log.last_index)[0].data
        await node.snapshot_now()
        await cluster.stop(1)
        node = await cluster.start(1)
        await node.read_barrier()
        revision = node.machine.store.revision
        node._core.propose(command)
        node._wake.set()
        await node.propose(PutRequest(key=b"behind it", value=b"v"))
        assert node.machine.store.revision == revision + 1


async def test_the_last_three_snapshots_are_kept_and_segments_before_them_go(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        node = cluster.node(1)
        indexes = []
        for i in range(6):
            await put_many(node, 30, prefix=b"%d-" % i, size=30_000)
            await node.snapshot_now()
            indexes.append(await until_snapshot(node, node.applied_index))
        assert names(cluster, 1) == [f"{index:016x}-{2:016x}.snap" for index in indexes[-3:]]
        segments = sorted((cluster.root / "n1" / "wal").glob("*.wal"))
        assert not segments[0].name.startswith("0000000000000001")
        await cluster.stop(1)
        node = await cluster.start(1)
        await node.recovered()
        assert len(values(node)) == 180


async def test_writes_go_on_while_a_snapshot_is_made_and_it_holds_none_of_them(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        node = cluster.node(1)
        await put_many(node, 2000)
        begun = node.applied_index
        snapshot = asyncio.create_task(node.snapshot_now())
        while not snapshot.done():
            await node.propose(PutRequest(key=b"k0", value=b"new"))
        status = node.status()
        assert status.snapshot is not None
        assert begun <= status.snapshot.index < node.applied_index
        await cluster.stop(1)
        node = await cluster.start(1)
        await node.recovered()
        assert values(node)[b"k0"] == b"new"


async def test_a_damaged_newest_snapshot_gives_way_to_the_one_before(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        node = cluster.node(1)
        for i in range(3):
            await put_many(node, 20, prefix=b"%d-" % i)
            await node.snapshot_now()
        digest = node.machine.digest()
        second, newest = node._store.kept[-2:]
        await cluster.stop(1)
        path = cluster.root / "n1" / "snap" / names(cluster, 1)[-1]
        flip(path, 500)
        node = await cluster.start(1)
        await node.recovered()
        await node.read_barrier()
        assert node.machine.digest() == digest
        (told,) = [e for e in cluster.running[1].events if isinstance(e, DamageFound)]
        assert told.path == str(path)
        assert told.fallback_index == second.snapshot.index < newest.snapshot.index
        assert names(cluster, 1)[-1] == path.name + ".damaged"
        await cluster.stop(1)
        node = await cluster.start(1)  # it is told of once
        assert not [e for e in cluster.running[1].events if isinstance(e, DamageFound)]


async def test_with_every_snapshot_damaged_a_log_that_is_whole_will_do(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        node = cluster.node(1)
        await put_many(node, 20)
        await node.snapshot_now()
        digest = node.machine.digest()
        await cluster.stop(1)
        flip(cluster.root / "n1" / "snap" / names(cluster, 1)[0], 500)
        node = await cluster.start(1)
        await node.recovered()
        await node.read_barrier()
        assert node.machine.digest() == digest
        (told,) = [e for e in cluster.running[1].events if isinstance(e, DamageFound)]
        assert told.fallback_index == 0


async def test_with_every_snapshot_damaged_and_the_log_cut_the_member_refuses_to_start(
    tmp_path: Path,
) -> None:
    """Starting with what is left would lose acknowledged writes."""
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        node = cluster.node(1)
        for i in range(6):
            await put_many(node, 30, prefix=b"%d-" % i, size=30_000)
            await node.snapshot_now()
        await cluster.stop(1)
        files = [cluster.root / "n1" / "snap" / name for name in names(cluster, 1)]
        for path in files:
            flip(path, 5000)
        with pytest.raises(SnapshotDamaged, match=files[-1].name):
            await cluster.start(1)
        assert [path.exists() for path in files] == [True] * 3, "nothing was changed"


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


async def test_a_backup_is_the_content_of_one_moment_and_goes_away_at_the_end(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        node = cluster.node(1)
        await put_many(node, 100)
        async with node.backup() as one, node.backup() as two:
            await node.snapshot_now()
            assert await one.file.read(0, 1 << 20) == await two.file.read(0, 1 << 20)
            assert len(await one.file.read(0, 1 << 20)) == one.size
            assert len(names(cluster, 1)) == 3
        while len(names(cluster, 1)) > 1:
            await asyncio.sleep(0.001)


async def test_a_backup_that_is_given_up_half_way_leaves_nothing(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        node = cluster.node(1)
        await put_many(node, 1000, size=1000)

        async def back_up() -> None:
            async with node.backup():
                raise AssertionError("it was cancelled before")

        task = asyncio.create_task(back_up())
        while not names(cluster, 1):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        while names(cluster, 1):
            await asyncio.sleep(0.001)
        assert node.machine.store._compactor._pins == {}


async def test_without_room_for_a_snapshot_the_member_goes_on_and_tries_again() -> None:
    async with SimulatedCluster(size=1) as cluster:
        node = cluster.node(1)
        await put_many(node, 20)
        disk = cluster.disks[1]
        disk.capacity = cluster.used(1)
        with pytest.raises(NoSpace):
            await node.snapshot_now()
        assert [type(e) for e in cluster.running[1].events][-1] is SnapshotFailed
        assert not [path for path in disk.names if "/snap/" in path]
        await put_many(node, 20, prefix=b"more")
        disk.capacity = None
        await node.snapshot_now()
        assert node.status().snapshot is not None


@pytest.mark.parametrize("action", ["create", "write", "sync", "rename", "sync directory"])
async def test_a_failing_disk_of_snapshots_ends_the_node(action: str) -> None:
    """Nobody knows what such a disk still holds: a member must not go on as if it did."""
    async with SimulatedCluster(size=1) as cluster:
        node, running = cluster.node(1), cluster.running[1]
        await put_many(node, 20)
        where = "/snap" if action == "sync directory" else ".draft"
        cluster.disks[1].fail_next(action, StorageError(f"{action} failed: input/output error"), where)
        with pytest.raises(NodeStopped):
            await node.snapshot_now()
        await asyncio.wait({running._task})
        error: Any = running._task.exception()
        assert isinstance(error, ExceptionGroup)
        assert "input/output error" in str(error.exceptions[0])


async def test_all_asked_for_snapshots_are_answered_when_the_member_stops() -> None:
    async with SimulatedCluster(size=1) as cluster:
        node = cluster.node(1)
        await put_many(node, 20)
        asked = [asyncio.create_task(node.snapshot_now()) for _ in range(3)]
        await asyncio.sleep(0)
        await cluster.stop(1)
        for task in asked:
            with pytest.raises(NodeStopped):
                await task
        with pytest.raises(NodeStopped):
            await node.snapshot_now()


async def test_a_damaged_older_snapshot_that_is_put_aside_does_not_stop_the_member(tmp_path: Path) -> None:
    """The log still names it, and so must not be released to the next one before another mark."""
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        node = cluster.node(1)
        for i in range(3):
            await put_many(node, 30, prefix=b"%d-" % i, size=30_000)
            await node.snapshot_now()
        oldest = node._store.kept[0]
        flip(tmp_path / "n1" / "snap" / snapshot_names(cluster, 1)[0], 20_000)
        # as a follower asks that finds the file damaged: for all of it, and for its begin again
        for offset in (*range(0, oldest.size, snapshot_store.CHUNK_BYTES), 0):
            await node.serve_snapshot(oldest.snapshot.index, oldest.snapshot.term, offset)
        while not any(isinstance(e, DamageFound) for e in cluster.running[1].events):
            await asyncio.sleep(0.001)
        async with node.backup():
            pass
        while [name for name in names(cluster, 1) if name.endswith(".draft")]:
            await asyncio.sleep(0.001)
        assert not cluster.running[1].ended
        for i in range(3):
            await put_many(node, 30, prefix=b"more-%d-" % i, size=30_000)
            await node.snapshot_now()
        before = values(node)
        await cluster.stop(1)
        node = await cluster.start(1)
        await node.recovered()
        assert values(node) == before
