"""Crashes, cuts and full disks at random, with snapshots all the time: nothing acknowledged is lost.

``python -m tests.node.snapshot_chaos SEED SECONDS`` plays for longer than the tests do.
"""

import asyncio
import sys
from collections import Counter
from random import Random

from raftkv.errors import PeerUnavailable, RaftKvError
from raftkv.node.transport import SnapshotChunk
from raftkv.schema.kv import CompactionRequest, PutRequest
from raftkv.sim.disk import Outcome
from raftkv.trace import SnapshotInstalled, SnapshotTaken
from tests.node.simulated import SimulatedCluster
from tests.node.test_snapshots import values

WRITERS = 8


class Chaos:
    """One run; ``acknowledged`` has, for each key, the highest number that was promised."""

    def __init__(self, seed: int, snapshot_count: int = 10) -> None:
        self.random = Random(seed)
        self.cluster = SimulatedCluster(snapshot_count=snapshot_count)
        self.acknowledged: dict[bytes, int] = {}
        self.attempted: dict[bytes, int] = {}
        self.told: Counter[str] = Counter()
        self.over = False

    async def play(self, seconds: float) -> None:
        """Write and break things for so long, then heal and compare."""
        loop = asyncio.get_running_loop()
        async with self.cluster:
            self.cluster.network.on_chunk = self.sometimes_fail
            writers = [asyncio.create_task(self.write(number)) for number in range(WRITERS)]
            end = loop.time() + seconds
            while loop.time() < end:
                await asyncio.sleep(self.random.uniform(0.05, 0.4))
                await self.random.choice([self.crash, self.crash, self.isolate, self.compact])()
            self.over = True
            self.cluster.network.heal()
            self.cluster.network.on_chunk = lambda chunk: chunk
            await asyncio.gather(*writers)
            await self.cluster.leader()
            await self.cluster.converged()
            self.check()

    def sometimes_fail(self, chunk: SnapshotChunk) -> SnapshotChunk:
        if self.random.random() < 0.2:
            raise PeerUnavailable("the connection broke")
        return chunk

    async def write(self, number: int) -> None:
        """Put growing numbers under one key, at any member that runs."""
        key = b"writer %d" % number
        count = 0
        while not self.over:
            members = sorted(self.cluster.running)
            node = self.cluster.node(self.random.choice(members))
            count += 1
            self.attempted[key] = count
            try:
                async with asyncio.timeout(1):
                    await node.propose(PutRequest(key=key, value=b"%d" % count))
            except (RaftKvError, TimeoutError):
                await asyncio.sleep(0.01)
            else:
                self.acknowledged[key] = count

    async def crash(self) -> None:
        """End a member in the middle of something, lose what was not synced, and start it again."""
        member = self.random.choice(sorted(self.cluster.running))
        await self.crash_one(member)
        await asyncio.sleep(self.random.choice([0.0, 0.3, 0.8]))
        await self.cluster.start(member)

    async def crash_one(self, member: int) -> None:
        self.note(member)
        disk = self.cluster.disks[member]
        disk.crash()
        await self.cluster.crash(member)
        outcome = self.random.choice(list(Outcome))
        self.cluster.disks[member] = disk.power_loss(outcome, self.random.randrange(100))

    async def isolate(self) -> None:
        """Cut a member off for long enough that the others give up the log that it lacks."""
        self.cluster.network.isolate(self.random.choice(list(self.cluster.ids)))
        await asyncio.sleep(self.random.uniform(0.1, 0.8))
        self.cluster.network.heal()

    async def compact(self) -> None:
        node = self.cluster.node(self.random.choice(sorted(self.cluster.running)))
        try:
            async with asyncio.timeout(0.5):
                await node.propose(CompactionRequest(revision=max(1, node.machine.store.revision - 20)))
        except (RaftKvError, TimeoutError):
            return

    def note(self, member: int) -> None:
        for event in self.cluster.running[member].events:
            self.told[type(event).__name__] += 1

    def check(self) -> None:
        nodes = [self.cluster.node(member) for member in sorted(self.cluster.running)]
        for member in sorted(self.cluster.running):
            self.note(member)
            assert not self.cluster.running[member].ended, self.cluster.running[member].reason()
        assert len({node.machine.digest() for node in nodes}) == 1, "the members differ"
        held = values(nodes[0])
        for key, number in self.acknowledged.items():
            assert number <= int(held[key]) <= self.attempted[key], f"{key!r}: {held[key]!r}, not {number}"
        assert self.told["SnapshotDamaged"] == 0, "a snapshot that counts was damaged"
        assert all(node.status().log.first_index > 1 for node in nodes), "a log was never cut"


async def main(seed: int, seconds: float) -> None:
    chaos = Chaos(seed)
    await chaos.play(seconds)
    told = {kind.__name__: chaos.told[kind.__name__] for kind in (SnapshotTaken, SnapshotInstalled)}
    sys.stdout.write(f"seed {seed}: {sum(chaos.acknowledged.values())} acknowledged, {told}\n")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
