"""The write-ahead log: what a member must not forget, durable before anyone hears of it.

The two rules of this file:

- One save is one batch, one write and one sync, whatever it holds: after a crash the whole save is there
  or nothing of it. Term and vote are in every batch header, so they can't come apart.
- A save whose outcome is unknown (an error, a cancellation) ends the log: every later call fails. What is
  on the disk is then found out by ``open``, never assumed.

The log is read by ``open`` only; while a member runs, its entries are in memory. A snapshot counts from
``mark`` on, and what the oldest one that counts stands for can be given up by ``release``.
``docs/formats.md`` has the format.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import NamedTuple

from raftkv.errors import NoSpace, StorageError
from raftkv.raft.ready import Write
from raftkv.raft.types import Entry, HardState
from raftkv.storage.changes import Change, LogState, merge
from raftkv.storage.disk import Disk, Lock
from raftkv.storage.records import (
    BATCH_HEADER_BYTES,
    BatchHeader,
    Checkpoint,
    Metadata,
    SegmentHeader,
    encode_batch,
    encode_boot,
    encode_checkpoint,
    encode_entries,
    encode_segment_header,
    encode_snapshots,
)
from raftkv.storage.recovery import RecoveredLog, read_log, repair
from raftkv.storage.segments import (
    Segment,
    SegmentSupply,
    parse_segment_name,
    publish_segment,
)
from raftkv.storage.snapshot_format import SnapshotRef
from raftkv.trace import TornTailCut

SEGMENT_BYTES = 64 << 20
RESERVE_BYTES = 64 << 10
RETRY_SECONDS = 1.0
LOCK_NAME = "lock"


class Recovered(NamedTuple):
    """What was found in a log.

    ``boot``: how often it was opened, this time included. ``snapshots``: those that count, oldest first;
    each can be gone on from. ``entries``: all that are there, following ``base_index``.
    """

    metadata: Metadata
    boot: int
    hard_state: HardState
    snapshots: tuple[SnapshotRef, ...]
    base_index: int
    entries: list[Entry]
    torn: TornTailCut | None

    def entries_after(self, index: int) -> list[Entry]:
        """Return the entries that follow ``index``: 0 if the log is whole, else that of a snapshot."""
        assert self.base_index <= index <= self.base_index + len(self.entries), f"{index} is not in the log"
        return self.entries[index - self.base_index :]


@dataclass(slots=True)
class WalCounters:
    """What was written since the log was opened; ``fsyncs`` are those the disk counted meanwhile."""

    fsyncs: int = 0
    batches: int = 0
    bytes: int = 0
    entries: int = 0


class Wal:
    """One member's log. One save at a time; it belongs to whoever called ``create`` or ``open``."""

    def __init__(self, disk: Disk, directory: str, lock: Lock, log: RecoveredLog, segment_bytes: int) -> None:
        assert log.current is not None, "a log has a segment"
        self.counters = WalCounters()
        self._lock = lock
        self._disk = disk
        self._directory = directory
        self._segments = log.segments
        self._segment: Segment = log.current
        self._metadata = log.metadata
        self._marker = log.marker
        self._number = log.number
        self._chain = log.chain
        replay = log.replay
        self._state = LogState(replay.boot, replay.hard_state, replay.last_index, replay.snapshots)
        self._floor = replay.base_index
        self._reserve = _reserve_of(segment_bytes)
        self._supply = SegmentSupply(disk, directory, segment_bytes, RETRY_SECONDS)
        self._failure: str | None = None
        self._saving = False

    @classmethod
    async def exists(cls, disk: Disk, directory: str) -> bool:
        """Return whether a log was created in ``directory``; a creation that a crash cut short was not."""
        return any(parse_segment_name(name) is not None for name in await disk.list(directory))

    @classmethod
    async def create(
        cls,
        disk: Disk,
        directory: str,
        metadata: Metadata,
        hard_state: HardState,
        entries: Sequence[Entry],
        *,
        snapshot: SnapshotRef | None = None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> tuple["Wal", Recovered]:
        """Make a log that holds ``entries`` and open it for the first time; all or nothing.

        With a ``snapshot``, whose file is durable, the log begins after it, and so do ``entries``.
        Raises ``StorageError`` when there is a log already, ``DataDirInUse``, ``NoSpace``.
        """
        await disk.make_directories(directory)
        async with AsyncExitStack() as stack:
            lock = await disk.lock(f"{directory}/{LOCK_NAME}")
            stack.push_async_callback(lock.release)
            if await cls.exists(disk, directory):
                raise StorageError(f"{directory}: there is a log already")
            header = SegmentHeader(1, 0, 1, 0, await disk.nonce(), metadata, 0)
            records = [] if snapshot is None else [encode_snapshots((snapshot,), reset=True)]
            encode_entries(entries, records)
            first = BatchHeader(1, 0, 0, hard_state)
            batch, _ = encode_batch(header.marker, first, b"".join(records))
            used = len(encode_segment_header(header)) + len(batch)
            size = max(segment_bytes, used + _reserve_of(segment_bytes))
            content = encode_segment_header(header._replace(size=size)) + batch
            await publish_segment(disk, directory, 1, size, content)
            wal = await cls._open_locked(disk, directory, segment_bytes, lock, stack)
            stack.pop_all()
            return wal

    @classmethod
    async def open(
        cls, disk: Disk, directory: str, *, segment_bytes: int = SEGMENT_BYTES
    ) -> tuple["Wal", Recovered]:
        """Open the log in ``directory`` and return what it holds, all of it durable.

        Raises ``StorageCorrupt`` when something that was durable is damaged, ``FormatTooNew``,
        ``DataDirInUse``, ``NoSpace``, ``StorageError``.
        """
        async with AsyncExitStack() as stack:
            lock = await disk.lock(f"{directory}/{LOCK_NAME}")
            stack.push_async_callback(lock.release)
            wal = await cls._open_locked(disk, directory, segment_bytes, lock, stack)
            stack.pop_all()
            return wal

    @classmethod
    async def _open_locked(
        cls, disk: Disk, directory: str, segment_bytes: int, lock: Lock, stack: AsyncExitStack
    ) -> tuple["Wal", Recovered]:
        log = await read_log(disk, directory, stack)
        torn = await repair(disk, directory, log)
        replay = log.replay
        wal = cls(disk, directory, lock, log, segment_bytes)
        stack.push_async_callback(wal._abandon)
        await wal._start(log.unused, segment_bytes)
        boot = replay.boot + 1
        await wal._append(Change([encode_boot(boot)], 0, wal._state._replace(boot=boot)))
        return wal, Recovered(
            log.metadata,
            boot,
            replay.hard_state,
            replay.snapshots,
            replay.base_index,
            replay.entries,
            torn,
        )

    @property
    def has_room(self) -> bool:
        """False while the next segment can't be reserved: propose nothing more. Turns True by itself."""
        return self._supply.has_room

    async def reserve(self) -> bool:
        """Try now to reserve the next segment; return ``has_room``."""
        self._check_usable()
        return await self._supply.reserve()

    @property
    def hard_state(self) -> HardState:
        """Term and vote that are durable, and a commit index that what is durable can bear."""
        return self._state.hard_state

    @property
    def last_index(self) -> int:
        """Index of the last entry that is durable."""
        return self._state.last_index

    @property
    def log_bytes(self) -> int:
        """Bytes on the disk of the segments in use; they are given up as a whole."""
        return sum(segment.size for segment in self._segments)

    async def save(self, writes: Sequence[Write], refs: Sequence[SnapshotRef] = ()) -> None:
        """Make ``writes`` durable, in order and all together, before returning.

        One write and one sync; nothing at all when nothing changed (a new commit hint alone waits for
        company). ``refs`` has the file of each Write's snapshot: durable, with its name. Raises ``NoSpace``:
        nothing was written and the log goes on; any other ``StorageError`` is the end of the log.
        """
        self._check_usable()
        assert not self._saving, "one save at a time"
        change = merge(self._state, writes, refs)
        if not change.records and change.state.hard_state[:2] == self.hard_state[:2]:
            self._state = change.state
            return
        await self._append(change)

    async def save_vote(self, term: int, vote: int) -> None:
        """Make term and vote durable ahead of Writes that wait for room; these may then go back on them.

        The commit index stays: the log on the disk may still hold what a Write that waits removes. Raises as
        ``save``.
        """
        self._check_usable()
        assert not self._saving, "one save at a time"
        assert term >= self.hard_state.term, f"term {term} after {self.hard_state}"
        if (term, vote) != self.hard_state[:2]:
            hard_state = HardState(term, vote, self.hard_state.commit)
            await self._append(Change([], 0, self._state._replace(hard_state=hard_state)))

    async def mark(self, kept: Sequence[SnapshotRef]) -> None:
        """Let exactly the snapshots ``kept`` count from now on, oldest first; their files are durable.

        They stand for a part of this log that is durable, and the log can be gone on from each. Takes from
        the reserve if it must, because it is what makes room. Raises as ``save``.
        """
        self._check_usable()
        assert not self._saving, "one save at a time"
        indexes = [ref.snapshot.index for ref in kept]
        assert indexes == sorted(set(indexes)), f"snapshots at {indexes}"
        assert self._floor <= indexes[0], f"a snapshot at {indexes[0]}, the log begins after {self._floor}"
        assert indexes[-1] <= self._state.last_index, f"{indexes} in a log to {self._state.last_index}"
        state = self._state._replace(snapshots=tuple(kept))
        await self._append(Change([encode_snapshots(kept, reset=False)], 0, state))

    async def release(self, index: int) -> None:
        """Remove the segments that hold nothing above ``index``, at most that of the oldest snapshot.

        May run beside saves. Raises ``StorageError``.
        """
        oldest = self._state.snapshots[0].snapshot.index if self._state.snapshots else 0
        assert index <= oldest, f"release to {index}, the oldest snapshot is at {oldest}"
        while len(self._segments) > 1 and any(s.last_index <= index for s in self._segments[1:]):
            self._check_open()
            # Names are made durable one by one: else a power loss could leave a hole in the numbers.
            await self._disk.remove(self._segments[0].path)
            await self._disk.sync_directory(self._directory)
            # Not where the next segment begins: entries from before that may have been replaced since.
            self._floor = max(self._floor, index)
            del self._segments[0]

    async def close(self) -> None:
        """End the log; may be repeated.

        A last batch without records proves the ones before it durable, so that after an orderly end
        damage to any of them is told from a torn tail.
        """
        orderly = self._failure is None and not self._saving
        try:
            if orderly and self._fits(BATCH_HEADER_BYTES, spare_room=0):
                await self._append(Change([], 0, self._state))
        finally:
            await self._abandon()

    async def _start(self, unused: list[Segment], segment_bytes: int) -> None:
        """Take over the segments prepared before, as far as they are of the size wanted now."""
        spare = unused[0] if unused and unused[0].size >= segment_bytes else None
        for segment in unused:
            if segment is not spare:
                await segment.file.close()
        if spare is not None:
            # The sync that made it as long as it reads may have failed, and the length with it.
            await spare.file.preallocate(spare.size)
            await spare.file.sync()
        await self._supply.begin(self._segment.sequence + 1, spare)

    async def _abandon(self) -> None:
        """Give up files, lock and background work, writing nothing."""
        self._failure = self._failure or "it is closed"
        await self._supply.close()
        await self._segment.file.close()
        await self._lock.release()

    def _check_usable(self) -> None:
        self._check_open()
        self._supply.check()

    def _check_open(self) -> None:
        if self._failure is not None:
            raise StorageError(f"{self._segment.path}: the log takes no more: {self._failure}")

    def _fits(self, size: int, spare_room: int) -> bool:
        return self._segment.offset + size + spare_room <= self._segment.size

    async def _append(self, change: Change) -> None:
        """Write ``change`` as one batch, in the next segment when this one is full."""
        payload = b"".join(change.records)
        self._saving = True
        try:
            segment, header, payload = await self._place(payload, change)
            fields = BatchHeader(self._number, self._chain, self._position, change.state.hard_state)
            batch, chain = encode_batch(self._marker, fields, payload)
            await self._write(segment, header + batch)
        finally:
            self._saving = False
        full, self._segment = self._segment, segment
        self._number += 1
        self._chain = chain
        self._state = change.state
        self.counters.entries += change.entries
        if full is not segment:
            self._segments.append(segment)
            self._supply.prepare()
            await full.file.close()

    @property
    def _position(self) -> int:
        """Where the log ends; everything before is durable, because saves don't overlap."""
        return self._segment.base + self._segment.offset

    async def _place(self, payload: bytes, change: Change) -> tuple[Segment, bytes, bytes]:
        """Return the segment for a batch, and if it is a new one its header; and what the batch holds there.

        Entries leave the reserve free unless the next segment is there: so there is always room for a
        vote, and for the boot record of the next start.
        """
        keep = self._reserve if change.entries and not self._supply.has_spare else 0
        if self._fits(BATCH_HEADER_BYTES + len(payload), keep):
            return self._segment, b"", payload
        fields = SegmentHeader(
            self._segment.sequence + 1,
            self._position,
            self._number,
            self._chain,
            self._marker,
            self._metadata,
            0,
        )
        checkpoint = Checkpoint(self._state.boot, self._state.last_index, self._state.snapshots)
        payload = encode_checkpoint(checkpoint) + payload
        size = len(encode_segment_header(fields)) + BATCH_HEADER_BYTES + len(payload)
        segment = await self._supply.take(size + self._reserve)
        segment.base = self._position
        segment.last_index = self._state.last_index
        return segment, encode_segment_header(fields._replace(size=segment.size)), payload

    async def _write(self, segment: Segment, data: bytes) -> None:
        """One write, one sync; anything but success ends the log."""
        syncs = segment.file.syncs
        try:
            self._check_open()  # it may have been closed while the next segment was made
            await segment.file.write(segment.offset, data, sync=True)
        except BaseException as error:
            self._failure = self._failure or str(error) or "a save was interrupted"
            if segment is not self._segment:
                await segment.file.close()
            if isinstance(error, NoSpace):
                raise StorageError(f"room that had been reserved was not there: {error}") from error
            raise
        segment.offset += len(data)
        self.counters.fsyncs += segment.file.syncs - syncs
        self.counters.batches += 1
        self.counters.bytes += len(data)


def _reserve_of(segment_bytes: int) -> int:
    return min(RESERVE_BYTES, segment_bytes // 8)
