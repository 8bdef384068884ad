"""Looking at a member's log without changing anything: for people, and for checks of a copy or a backup.

What is sound, torn or damaged is decided by the code that reads the log at a start. No lock is taken, so a
member may be writing meanwhile; then what looks like damage may only be half of a picture, and is looked at
again.
"""

from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field

from raftkv.errors import SnapshotDamaged, StorageCorrupt
from raftkv.storage.disk import Disk
from raftkv.storage.records import BATCH_HEADER_BYTES, Batch, BatchHeader, Record, decode_records
from raftkv.storage.recovery import RecoveredLog, Tear, read_log
from raftkv.storage.segments import Segment
from raftkv.storage.snapshot_format import SnapshotRef
from raftkv.storage.snapshots import SnapshotFolder

ATTEMPTS = 5
"""How often a log that a process writes to is read again until it is called damaged."""


@dataclass(slots=True)
class BatchFound:
    """A good batch: where it is, its header, its records (none, unless they were asked for)."""

    segment: int
    offset: int
    header: BatchHeader
    records: tuple[Record, ...]


@dataclass(slots=True)
class Inspection:
    """What a log holds, as far as it could be read.

    ``damage``: why a member would refuse to start. ``bad_snapshots``: those that count and can't be used.
    """

    log: RecoveredLog
    batches: list[BatchFound] = field(default_factory=list)
    damage: StorageCorrupt | None = None
    bad_snapshots: dict[SnapshotRef, SnapshotDamaged] = field(default_factory=dict)

    @property
    def torn(self) -> Tear | None:
        """The unfinished last save, if there is one."""
        return self.log.tear if self.damage is None else None

    @property
    def is_sound(self) -> bool:
        """Whether nothing that was acknowledged is damaged."""
        return self.damage is None and not self.bad_snapshots


async def inspect(disk: Disk, wal: str, snapshots: str, *, records: bool, written: bool) -> Inspection:
    """Read the log in the folder ``wal`` and verify it and the snapshots that it names.

    ``records``: keep them. ``written``: a process may be writing. Raises StorageError when there is
    nothing to read, FormatTooNew.
    """
    found = await _read(disk, wal, records=records)
    for _ in range(ATTEMPTS if written else 0):
        if found.damage is None:
            break
        found = await _read(disk, wal, records=records)
    folder = SnapshotFolder(disk, snapshots)
    for ref in found.log.replay.snapshots:
        try:
            async with aclosing(folder.read(ref)) as blocks:
                async for _ in blocks:
                    pass
        except SnapshotDamaged as error:
            found.bad_snapshots[ref] = error
    return found


async def _read(disk: Disk, directory: str, *, records: bool) -> Inspection:
    found = Inspection(RecoveredLog())

    def note(segment: Segment, batch: Batch, data: bytes) -> None:
        kept = tuple(decode_records(data, batch)) if records else ()
        offset = batch.start - BATCH_HEADER_BYTES
        found.batches.append(BatchFound(segment.sequence, offset, batch.header, kept))

    found.log.observe = note
    async with AsyncExitStack() as stack:
        try:
            await read_log(disk, directory, stack, into=found.log, sync=False)
        except StorageCorrupt as error:
            found.damage = error
    return found
