"""What a member starts from: the newest snapshot that is whole, and the log after it.

The log names the snapshots that count, and holds what follows the oldest of them. So when the newest is
damaged an older one will do, and the log from there on; with a loud warning, for the disk loses data.
"""

from collections.abc import Sequence
from contextlib import aclosing
from typing import NamedTuple

from raftkv.errors import PeerProtocolError, SnapshotDamaged
from raftkv.mvcc.loading import MachineLoader
from raftkv.mvcc.machine import Machine
from raftkv.node import collector
from raftkv.node.snapshot_store import SnapshotStore
from raftkv.raft import Entry, Snapshot
from raftkv.storage.snapshot_format import SnapshotRef
from raftkv.storage.snapshots import SnapshotFolder
from raftkv.storage.wal import Recovered, Wal
from raftkv.trace import Emit
from raftkv.trace import SnapshotDamaged as DamageFound


class Restored(NamedTuple):
    """A member's content as of ``snapshot`` (None: from the beginning), and the entries that follow."""

    machine: Machine
    snapshot: Snapshot | None
    entries: Sequence[Entry]
    store: SnapshotStore


async def restore(wal: Wal, recovered: Recovered, folder: SnapshotFolder, emit: Emit) -> Restored:
    """Load what a member starts from, and remove what no snapshot of the log needs.

    Raises SnapshotDamaged when no snapshot is whole and the log does not begin at its first entry,
    FormatTooNew, StorageError. The first changes nothing on the disk.
    """
    kept = list(recovered.snapshots)
    damaged: list[tuple[SnapshotRef, SnapshotDamaged]] = []
    machine = Machine()
    while kept:
        try:
            machine = await load(folder, kept[-1])
            break
        except SnapshotDamaged as found:
            damaged.append((kept.pop(), found))
    if damaged and not kept and recovered.base_index > 0:
        raise damaged[0][1]
    snapshot = kept[-1].snapshot if kept else None
    base_index = snapshot.index if snapshot is not None else 0
    for ref, error in damaged:
        emit(DamageFound(error.path, error.reason, base_index))
        await folder.mark_damaged(ref)
    if damaged and kept:
        await wal.mark(kept)
    await folder.keep(kept)
    return Restored(machine, snapshot, recovered.entries_after(base_index), SnapshotStore(folder, kept))


async def load(folder: SnapshotFolder, ref: SnapshotRef) -> Machine:
    """Return the content of a snapshot, all of it checked. Raises SnapshotDamaged, FormatTooNew."""
    loader = MachineLoader()
    with collector.set_aside():
        try:
            async with aclosing(folder.read(ref)) as blocks:
                async for block in blocks:
                    loader.add(*block)
            while loader.finish_step():
                pass
        except PeerProtocolError as error:
            raise SnapshotDamaged(f"the snapshot at {ref.snapshot.index}", 0, str(error)) from error
    if loader.content.applied_index > ref.snapshot.index:
        raise SnapshotDamaged(f"the snapshot at {ref.snapshot.index}", 0, "it holds later content")
    machine = Machine()
    machine.adopt(loader)
    return machine
