"""Crash a member at every I/O call of making and receiving snapshots; also used on mutants.

What must hold after every crash, whatever of the unsynced survived it: each file that has a snapshot's
name is whole; one that was published, and not pruned since, is there; and the next start can go on.
"""

from collections import Counter
from dataclasses import dataclass, field

import pytest

from raftkv.errors import StorageError
from raftkv.raft.types import Configuration, Snapshot
from raftkv.sim.disk import DiskCrashed, SimDisk
from raftkv.storage import snapshots
from raftkv.storage.snapshot_format import Block, SnapshotDecoder, SnapshotMeta, SnapshotRef
from raftkv.storage.snapshots import SUFFIX, SnapshotFolder, snapshot_name
from tests.storage.crashes import OUTCOMES

DIRECTORY = "data/snap"
OTHER = "other/snap"
KINDS = {
    "make folder",
    "create",
    "write",
    "sync",
    "rename",
    "sync directory",
    "remove",
    "list",
    "open",
    "size",
    "read",
}


@dataclass
class Script:
    """Three snapshots made, one received; all but the newest two are pruned on the way."""

    published: list[SnapshotRef] = field(default_factory=list)
    doomed: list[SnapshotRef] = field(default_factory=list)

    async def play(self, disk: SimDisk) -> None:
        folder = SnapshotFolder(disk, DIRECTORY)
        await folder.keep([])
        for index in (1, 2, 3):
            await self.publish(folder, index)
            await self.prune(folder)
        await (await folder.create(meta(9))).discard()
        await self.receive(disk, folder, 4)
        await self.prune(folder)
        assert [block async for block in folder.read(self.published[0])] == blocks(3)

    async def publish(self, folder: SnapshotFolder, index: int) -> None:
        draft = await folder.create(meta(index))
        for block in blocks(index):
            await draft.write(block)
        await draft.finish()
        self.published.append(await folder.publish(draft))

    async def receive(self, disk: SimDisk, folder: SnapshotFolder, index: int) -> None:
        ref, content = await sent(disk, index)
        incoming = await folder.receive(ref)
        while not incoming.complete:
            await incoming.write(incoming.offset, content[incoming.offset : incoming.offset + 700])
        await incoming.finish()
        self.published.append(await folder.publish(incoming))

    async def prune(self, folder: SnapshotFolder) -> None:
        self.doomed += self.published[:-2]
        del self.published[:-2]
        await folder.keep(self.published)


def meta(index: int) -> SnapshotMeta:
    return SnapshotMeta(0xC1, Snapshot(index, 1, Configuration((1, 2, 3))), index, -1, 1)


def blocks(index: int) -> list[Block]:
    return [Block("store", 1, bytes([index, number]) * 400) for number in range(3)]


async def sent(disk: SimDisk, index: int) -> tuple[SnapshotRef, bytes]:
    """Return a snapshot as another member, whose disk is not part of the crash, has it."""
    other = Script()
    folder = SnapshotFolder(SimDisk(), OTHER)
    await other.publish(folder, index)
    file = await folder.open(other.published[0])
    content = await file.read(0, other.published[0].size)
    await file.close()
    return other.published[0], content


async def crashed_run(crash_at: int) -> tuple[SimDisk, Script, bool]:
    """Play the script up to a crash; return also whether it ended before."""
    disk, script = SimDisk(), Script()
    disk.crash_at = crash_at
    try:
        await script.play(disk)
    except DiskCrashed:
        return disk, script, False
    except StorageError:
        assert disk.fenced, "only the crash may make it fail"
        return disk, script, False
    disk.crash()
    return disk, script, True


async def check_after(disk: SimDisk, script: Script) -> None:
    """Look at what a crash left, as the next start does, and go on."""
    for name in await disk.list(DIRECTORY):
        if name.endswith(SUFFIX):
            check_whole(name, bytes(disk.content(f"{DIRECTORY}/{name}")))
    folder = SnapshotFolder(disk, DIRECTORY)
    for ref in script.published:
        assert [block async for block in folder.read(ref)] == blocks(ref.snapshot.index), "another content"
    await folder.keep(script.published)
    assert await disk.list(DIRECTORY) == sorted(snapshot_name(ref.snapshot) for ref in script.published)
    await script.publish(folder, 20)


def check_whole(name: str, content: bytes) -> None:
    decoder = SnapshotDecoder(name)
    decoder.feed(content)
    decoder.finish()


async def check_crashes(patch: pytest.MonkeyPatch) -> tuple[Counter[str], int]:
    """Crash at every call, with every outcome; return the kinds of calls hit and how many were tried.

    Raises AssertionError.
    """
    patch.setattr(snapshots, "WRITE_BYTES", 512)
    patch.setattr(snapshots, "SYNC_BYTES", 1024)
    hit: Counter[str] = Counter()
    tried, ended = 0, False
    while not ended:
        disk, script, ended = await crashed_run(sum(hit.values()) + 1)
        if not ended:
            hit[disk.steps[-1].rpartition(" ")[0]] += 1
        after = [disk.power_loss(*outcome) for outcome in OUTCOMES] + [disk.kill()]
        for number, found in enumerate(after):
            seen = Script(list(script.published), list(script.doomed))
            try:
                await check_after(found, seen)
            except (AssertionError, StorageError) as error:
                place = f"outcome {number}, at step {len(disk.steps)} ({disk.steps[-1]}): {error}"
                raise AssertionError(place) from error
            tried += 1
    return hit, tried
