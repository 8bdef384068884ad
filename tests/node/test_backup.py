"""Backups of a living node: one moment of it in a file that does not stay."""

import asyncio
from pathlib import Path

import pytest

from raftkv.mvcc.loading import MachineLoader
from raftkv.mvcc.machine import Machine
from raftkv.node.snapshotter import Backup
from raftkv.schema.kv import PutRequest
from raftkv.storage.snapshot_format import SnapshotDecoder
from tests.node.loopback import LoopbackCluster
from tests.node.test_snapshots import names, put_many


async def digest_of(backup: Backup) -> bytes:
    decoder, loader = SnapshotDecoder(), MachineLoader()
    for block in decoder.feed(await backup.file.read(0, backup.size)):
        loader.add(*block)
    decoder.finish()
    while loader.finish_step():
        pass
    machine = Machine()
    machine.adopt(loader)
    return machine.digest()


async def until_no_file_is_left(cluster: LoopbackCluster, member: int = 1) -> None:
    async with asyncio.timeout(10):
        while names(cluster, member):
            await asyncio.sleep(0.001)


async def test_a_backup_is_what_was_applied_and_writes_go_on(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        node = cluster.node(1)
        await put_many(node, 2000, size=500)
        before = node.machine.digest()
        async with node.backup() as backup:
            await put_many(node, 200, b"z")
            assert await digest_of(backup) == before != node.machine.digest()
        await until_no_file_is_left(cluster)


async def test_several_backups_at_once_have_files_of_their_own(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        node = cluster.node(1)
        await put_many(node, 100)
        async with node.backup() as one, node.backup() as other:
            assert len(names(cluster, 1)) == 2
            assert await digest_of(one) == await digest_of(other) == node.machine.digest()
        await until_no_file_is_left(cluster)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 10])
async def test_a_reader_that_is_cancelled_twice_leaves_no_file(tmp_path: Path, turns: int) -> None:
    """A client that goes away ends a call twice: its reply can't be written, and then it is cancelled."""
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        node = cluster.node(1)
        await node.propose(PutRequest(b"a", b"1"))
        reading = asyncio.Event()

        async def read() -> None:
            async with node.backup():
                reading.set()
                await asyncio.Event().wait()

        reader = asyncio.create_task(read())
        await reading.wait()
        for _ in range(2):
            reader.cancel()
            for _ in range(turns):
                await asyncio.sleep(0)
        await asyncio.wait([reader])
        await until_no_file_is_left(cluster)


@pytest.mark.parametrize("turns", [1, 2, 4, 8, 16, 32, 64])
async def test_a_reader_that_goes_while_the_file_is_made_leaves_none(tmp_path: Path, turns: int) -> None:
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        node = cluster.node(1)
        await put_many(node, 1000, size=2000)

        async def read() -> None:
            async with node.backup():
                await asyncio.Event().wait()

        reader = asyncio.create_task(read())
        for _ in range(turns):
            await asyncio.sleep(0.001)
        reader.cancel()
        await asyncio.wait([reader])
        await until_no_file_is_left(cluster)
