"""The loopback cluster over simulated disks: the log and the snapshots of a member on one disk."""

from contextlib import suppress
from pathlib import Path

from raftkv.sim.disk import DiskCrashed, SimDisk
from raftkv.storage.disk import Disk
from tests.node.loopback import LoopbackCluster


class SimulatedCluster(LoopbackCluster):
    """Members whose disks can be crashed, filled and damaged."""

    segment_bytes = 1 << 16

    def __init__(self, size: int = 3, **settings: int) -> None:
        super().__init__(Path("data"), size, **settings)
        self.disks = {member: SimDisk(seed=member) for member in self.ids}

    def open_disk(self, member: int) -> Disk:
        return self.disks[member]

    async def crash(self, member: int) -> None:
        """End a member whose disk is gone: nothing it still does has an effect."""
        running = self.running.pop(member)
        with suppress(DiskCrashed):
            await running.end()
        running.reason()  # it is known

    def used(self, member: int) -> int:
        """Return the bytes that the files of a member's disk take."""
        return sum(len(inode.live) for inode in self.disks[member].names.values())
