"""Crash a follower at an I/O call of an install, start it again, and see that it ends up as the others.

``python -m tests.node.install_crashes`` tries every call with every outcome and prints a table; the tests try
every call with one outcome each.
"""

import asyncio
import sys
from collections import Counter
from typing import NamedTuple

from raftkv.errors import StorageError
from raftkv.schema.kv import CompactionRequest
from raftkv.sim.disk import Outcome, SimDisk
from raftkv.trace import SnapshotInstalled
from tests.node.simulated import SimulatedCluster
from tests.node.test_install import cut_log
from tests.node.test_snapshots import put_many

OUTCOMES = [
    (Outcome.NOTHING, 0),
    (Outcome.ALL, 0),
    (Outcome.PREFIX, 0),
    (Outcome.PREFIX, 1),
    (Outcome.SECTORS, 0),
    (Outcome.SECTORS, 1),
]


class Case(NamedTuple):
    """A crash at ``step`` and what the disk kept of what was not synced."""

    step: int
    outcome: Outcome
    seed: int


class Install:
    """A cluster whose member ``follower`` is behind, and that member's disk from before its start."""

    def __init__(self) -> None:
        self.cluster = SimulatedCluster(snapshot_count=100_000)
        self.leader = 0
        self.follower = 0
        self.before = SimDisk()
        self.done_at = 0
        self.steps: list[str] = []

    async def prepare(self) -> None:
        """Bring the follower behind, with snapshots and a log of its own; count the calls of an install."""
        cluster = self.cluster
        self.leader = await cluster.leader()
        self.follower = next(m for m in cluster.ids if m != self.leader)
        await put_many(cluster.node(self.leader), 20, prefix=b"before")
        await cluster.converged()
        await cluster.node(self.follower).snapshot_now()
        await put_many(cluster.node(self.leader), 20, prefix=b"between")
        await cluster.converged()
        await cluster.stop(self.follower)
        await put_many(cluster.node(self.leader), 150, size=300)
        await cluster.node(self.leader).propose(CompactionRequest(revision=60))
        for member in sorted(cluster.running):
            await cut_log(cluster, member)
        self.before = cluster.disks[self.follower]
        await self.start(self.before.kill())
        await self.caught_up()
        self.steps = list(cluster.disks[self.follower].steps)
        await cluster.stop(self.follower)

    async def start(self, disk: SimDisk) -> None:
        disk.locks.clear()
        self.cluster.disks[self.follower] = disk
        await self.cluster.start(self.follower)

    async def caught_up(self) -> None:
        """Wait until the follower has what the leader has, and has tidied up."""
        cluster = self.cluster
        node, running = cluster.node(self.follower), cluster.running[self.follower]
        while node.applied_index < cluster.node(self.leader).applied_index or node._store._replaced:
            if running.ended:
                raise StorageError("the follower stopped")
            await asyncio.sleep(0.001)
        await cluster.node(self.follower)._snapshotter._clean_up()

    async def forget(self) -> None:
        """Let another member lead, who knows nothing of what the follower acknowledged in the last case."""
        await self.cluster.node(self.leader).hand_over(seconds=5)
        self.leader = await self.cluster.leader()

    async def crash(self, case: Case) -> bool:
        """Run one case; return whether the snapshot had been installed before the crash."""
        await self.forget()
        disk = self.before.kill()
        disk.crash_at = case.step
        installed = False
        try:
            await self.start(disk)
        except StorageError:
            assert disk.fenced, "only the crash may make it fail"
        else:
            running = self.cluster.running[self.follower]
            try:
                await self.caught_up()
            except StorageError:
                assert disk.fenced, "only the crash may make it fail"
            disk.crash()  # if this run made fewer calls
            installed = any(isinstance(event, SnapshotInstalled) for event in running.events)
            await self.cluster.crash(self.follower)
        await self.start(disk.power_loss(case.outcome, case.seed))
        await self.caught_up()
        self.check()
        await self.cluster.stop(self.follower)
        return installed

    def check(self) -> None:
        cluster = self.cluster
        mine, others = cluster.node(self.follower), cluster.node(self.leader)
        assert mine.machine.digest() == others.machine.digest(), "another content"
        assert not [e for e in cluster.running[self.follower].events if "Damaged" in type(e).__name__]
        files = [path for path in cluster.disks[self.follower].names if "/snap/" in path]
        kept = [f"{r.snapshot.index:016x}-{r.snapshot.term:016x}.snap" for r in mine._store.kept]
        assert sorted(path.rsplit("/", 1)[1] for path in files) == kept, "files are left over"


def kinds(steps: list[str]) -> Counter[str]:
    """Count I/O calls by what they are about."""
    return Counter(f"{step.split(' data/')[0]} {kind_of_file(step)}" for step in steps)


def kind_of_file(step: str) -> str:
    for suffix in (".part", ".snap", ".draft", ".wal"):
        if step.endswith(suffix):
            return suffix
    return step.rsplit("/", 1)[1]


async def main() -> None:
    install = Install()
    async with install.cluster:
        await install.prepare()
        for kind, count in sorted(kinds(install.steps).items()):
            sys.stdout.write(f"{count:5} {kind}\n")
        cases = [Case(step, *o) for step in range(1, len(install.steps) + 1) for o in OUTCOMES]
        after = 0
        for case in cases:
            after += await install.crash(case)
        sys.stdout.write(f"{len(cases)} crashes, {after} after the swap: each recovered, and equal\n")


if __name__ == "__main__":
    asyncio.run(main())
