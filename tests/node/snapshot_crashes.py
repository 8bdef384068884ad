"""Crash a lone member at an I/O call while it takes snapshots, start it again, and look what it has."""

import asyncio
from collections.abc import Iterator

from raftkv.errors import NodeStopped, RaftKvError, StorageError
from raftkv.node.node import Node
from raftkv.raft.messages import TimeoutNow
from raftkv.schema.kv import PutRequest
from raftkv.sim.disk import Outcome, SimDisk
from raftkv.trace import SnapshotDamaged
from tests.node.simulated import SimulatedCluster
from tests.node.test_snapshots import values

OUTCOMES = [
    (Outcome.NOTHING, 0),
    (Outcome.ALL, 0),
    (Outcome.PREFIX, 0),
    (Outcome.SECTORS, 0),
    (Outcome.SECTORS, 1),
]
ROUNDS = 5
"""Snapshots in one run: enough that files and segments are given up in it."""


class Run:
    """One run of the member on one disk: ``acknowledged`` has what was promised."""

    def __init__(self, disk: SimDisk) -> None:
        self.disk = disk
        self.acknowledged: dict[bytes, bytes] = {}
        self.cluster = SimulatedCluster(size=1)
        self.cluster.disks[1] = disk

    async def play(self) -> bool:
        """Write and take snapshots until the disk crashes; return whether it did."""
        try:
            node = await self.start()
            for i in range(ROUNDS):
                for j in range(3):
                    await self.put(node, b"%d-%d" % (i, j), b"v" * 9000)
                await node.snapshot_now()
                await self.put(node, b"behind %d" % i, b"v")
        except (StorageError, NodeStopped):
            assert self.disk.fenced, "only the crash may make it fail"
        return self.disk.fenced

    async def put(self, node: Node, key: bytes, value: bytes) -> None:
        await node.propose(PutRequest(key=key, value=value))
        self.acknowledged[key] = value

    async def start(self) -> Node:
        """Start the member and let it lead at once: it is alone."""
        node = await self.cluster.start(1)
        node._core.step(TimeoutNow(2, 1, node.status().term))
        node._wake.set()
        return node

    async def recover(self, outcome: Outcome, seed: int) -> None:
        """Start from what a power loss left; raises AssertionError when something promised is missing."""
        after = Run(self.disk.power_loss(outcome, seed))
        try:
            node = await after.start()
            await node.read_barrier()
            damage = [e for e in after.cluster.running[1].events if isinstance(e, SnapshotDamaged)]
            assert not damage, f"a snapshot that counts is damaged: {damage}"
            held = values(node)
            missing = {key for key, value in self.acknowledged.items() if held.get(key) != value}
            assert not missing, f"{sorted(missing)} were acknowledged"
            files = [path for path in after.disk.names if path.endswith(".snap")]
            assert len(files) == len(node._store.kept), f"{files} are left"
        finally:
            await after.end()

    async def end(self) -> None:
        self.disk.crash()
        if 1 in self.cluster.running:
            await self.cluster.crash(1)


async def crashes(stride: int = 1) -> tuple[int, list[str]]:
    """Crash at every so-manieth call with every outcome; return the number of cases and the calls.

    Raises what the first case raises that loses something.
    """
    cases = 0
    for step in steps(stride):
        run = Run(SimDisk())
        run.disk.crash_at = step
        try:
            crashed = await run.play()
        finally:
            await run.end()
        if not crashed:
            return cases, run.disk.steps
        for outcome, seed in OUTCOMES:
            cases += 1
            try:
                async with asyncio.timeout(2):
                    await run.recover(outcome, seed)
            except (AssertionError, RaftKvError, TimeoutError) as error:
                place = f"{outcome.value}, {seed}, at call {step} ({run.disk.steps[-1]})"
                raise AssertionError(f"{place}: {error}") from error
    raise AssertionError("the run never ends")


def steps(stride: int) -> Iterator[int]:
    """Yield the calls to crash at."""
    step = 1
    while True:
        yield step
        step += stride
