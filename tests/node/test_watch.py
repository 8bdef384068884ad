"""Watchers of real nodes, while leaders are killed and snapshots installed: each is told the true events."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from raftkv.errors import RaftKvError
from raftkv.mvcc.versions import MOD
from raftkv.node import installer
from raftkv.node.node import Node
from raftkv.schema.kv import CompactionRequest, DeleteRangeRequest, PutRequest
from raftkv.service import WatchService
from raftkv.service.watch import QUEUED_REPLIES
from tests.node.loopback import LoopbackCluster
from tests.node.test_install import cut_log, installed
from tests.node.test_snapshots import put_many
from tests.node.watching import Watching, changes_of

WATCHERS = 1000
SLOW = 200
KEYS = 40
WRITES = 600


async def write(node: Node, first: int, step: int) -> None:
    """Put and delete all over the keys; what fails with its leader may have happened or not."""
    for number in range(first, WRITES, step):
        key = b"key/%02d" % (number * 7 % KEYS)
        request = DeleteRangeRequest(key) if number % 5 == 4 else PutRequest(key, b"%d" % number)
        with suppress(RaftKvError):
            await node.propose(request)


def watchers_of(node: Node) -> list[Watching]:
    """Return 200 slow watchers of everything, and of the others most of one key each, some of a range."""
    service, watchers = WatchService(node), []
    for number in range(WATCHERS):
        key = b"key/%02d" % (number % KEYS)
        if number < SLOW:
            watchers.append(Watching(service, b"key/", b"key0", 1 + number % 3, slow=True))
        elif number % 8:
            watchers.append(Watching(service, key, b"", 1, slow=False))
        else:
            watchers.append(Watching(service, key, b"\x00", 1, slow=False))
    return watchers


async def test_a_thousand_watchers_are_told_the_true_events_when_a_leader_is_killed(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        watched, other = (member for member in cluster.ids if member != leader)
        node = cluster.node(watched)
        await put_many(node, 20, prefix=b"key/")
        watchers = watchers_of(node)
        await asyncio.gather(*(watcher.created.wait() for watcher in watchers))
        writing = [asyncio.create_task(write(cluster.node(m), i, 2)) for i, m in enumerate((watched, other))]
        while node.machine.store.revision < WRITES // 3:
            await asyncio.sleep(0.001)
        await cluster.stop(leader)
        await asyncio.gather(*writing)
        await cluster.converged()
        changes = changes_of(node)
        assert len({version[MOD] for version in changes}) > QUEUED_REPLIES * 2
        slow = [watcher for watcher in watchers if watcher.slow]
        assert not any(len(watcher.told) > 100 for watcher in slow)
        await asyncio.gather(*(watcher.until_told(changes) for watcher in watchers))
        for watcher in watchers:
            assert watcher.told == watcher.expected(changes)
        for watcher in watchers:
            await watcher.stop()
        assert len(node.watches._keys) == len(node.watches._ranges) == node.watches._live == 0


@pytest.mark.parametrize("compacted", [False, True])
async def test_watchers_go_on_in_a_snapshot_or_are_told_that_they_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compacted: bool
) -> None:
    monkeypatch.setattr(installer, "RETRY_SECONDS", 0.001)
    async with LoopbackCluster(tmp_path, snapshot_count=20) as cluster:
        leader = await cluster.leader()
        watched = next(member for member in cluster.ids if member != leader)
        node, writer = cluster.node(watched), cluster.node(leader)
        await put_many(node, 50, prefix=b"before")
        await cluster.converged()
        service = WatchService(node)
        watchers = [Watching(service, b"\x00", b"\x00", 1, slow=slow) for slow in (False, True, False)]
        future = Watching(service, b"\x00", b"\x00", 1000, slow=False)
        await asyncio.gather(*(watcher.created.wait() for watcher in [*watchers, future]))
        before = node.machine.store.revision
        cluster.network.isolate(watched)
        await put_many(writer, 300, prefix=b"meanwhile")
        if compacted:
            await writer.propose(CompactionRequest(writer.machine.store.revision - 100))
        for member in sorted(set(cluster.ids) - {watched}):
            await cut_log(cluster, member)
        cluster.network.heal()
        await cluster.converged()
        await put_many(writer, 700, prefix=b"after")
        await cluster.converged()
        assert installed(cluster, watched)
        changes = changes_of(node)
        for watcher in watchers:
            if compacted:
                watcher.go_on.set()
                while not watcher.compacted:
                    await asyncio.sleep(0.01)
                assert watcher.compacted == writer.machine.store.compact_revision
                if not watcher.slow:
                    assert [revision for revision, _ in watcher.told] == list(range(2, before + 1))
            else:
                await watcher.until_told(changes)
                assert watcher.told == watcher.expected(changes)
        await future.until_told(changes)
        assert future.told == future.expected(changes) != []
        for watcher in [*watchers, future]:
            await watcher.stop()
