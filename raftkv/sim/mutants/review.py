"""Bugs that a reviewer of the simulator tried, and that it did not find then: each showed a blind spot."""

import asyncio
from collections.abc import Sequence
from typing import Any

from raftkv.mvcc.scan import RangeScan
from raftkv.node.node import Node
from raftkv.node.snapshot_store import SnapshotStore
from raftkv.raft.log import RaftLog
from raftkv.raft.types import Entry
from raftkv.sim.mutants.families import LOST_WRITE, SENT_IS_DURABLE, SNAPSHOT, STATE_MACHINE_SAFETY
from raftkv.sim.mutants.mutant import Hardness, Mutant, Patch
from raftkv.storage.segments import Segment
from raftkv.storage.wal import Wal


def v1_rest_of_a_slice_forgotten(patch: Patch) -> None:
    """Apply no more of a batch once others have had their turn."""

    async def once(self: Node, entries: Sequence[Entry]) -> None:
        begin = self._loop.time()
        for entry in entries:
            self._apply(entry)
            if self._loop.time() - begin > self.slice_seconds:
                self._applied_to(entry)
                await asyncio.sleep(0)
                return
        self._applied_to(entries[-1])
        self._snapshotter.applied(entries)

    patch.set(Node, "_apply_all", once)


def v2_gap_at_the_bound(patch: Patch) -> None:
    """Skip an entry that does not fit into a message, and take smaller ones behind it."""
    whole = RaftLog.slice

    def skipping(self: RaftLog, low: int, high: int, max_bytes: int | None = None) -> list[Entry]:
        entries = whole(self, low, high)
        if max_bytes is None:
            return entries
        taken: list[Entry] = []
        for entry in entries:
            if not taken or max_bytes >= len(entry.data):
                max_bytes -= len(entry.data)
                taken.append(entry)
        return taken

    patch.set(RaftLog, "slice", skipping)


def v3_first_chunk_again(patch: Patch) -> None:
    """Send the beginning of a snapshot whatever place in it is asked for."""
    read = SnapshotStore._read

    async def first(self: SnapshotStore, ref: Any, _offset: int) -> bytes:
        return await read(self, ref, 0)

    patch.set(SnapshotStore, "_read", first)


def v4_sync_before_the_write(patch: Patch) -> None:
    """Begin to sync, write, and take the sync for one of what was written."""

    async def early(self: Wal, segment: Segment, data: bytes) -> None:
        syncs = segment.file.syncs
        under_way = asyncio.ensure_future(segment.file.sync())
        await asyncio.sleep(0)
        await segment.file.write(segment.offset, data, sync=False)
        await under_way
        segment.offset += len(data)
        self.counters.fsyncs += segment.file.syncs - syncs
        self.counters.batches += 1
        self.counters.bytes += len(data)

    patch.set(Wal, "_write", early)


def v5_last_key_of_a_range_dropped(patch: Patch) -> None:
    """Leave the last of several keys out of a range."""
    response = RangeScan.response

    def shorter(self: RangeScan, *arguments: Any, **options: Any) -> Any:
        found = response(self, *arguments, **options)
        if len(found.kvs) > 1:
            found.kvs.pop()
            found.count -= 1
        return found

    patch.set(RangeScan, "response", shorter)


MUTANTS = (
    Mutant(
        "V1",
        "the rest of a batch is forgotten when others have a turn",
        v1_rest_of_a_slice_forgotten,
        Hardness.MEDIUM,
        (*STATE_MACHINE_SAFETY, *SNAPSHOT, *LOST_WRITE, "rule snapshot_is_committed_prefix", "liveness"),
    ),
    Mutant(
        "V2",
        "an entry that does not fit is left out of a message",
        v2_gap_at_the_bound,
        Hardness.MEDIUM,
        (*STATE_MACHINE_SAFETY, "rule", "AssertionError", "PeerProtocolError", "loose end", "liveness"),
    ),
    Mutant(
        "V3",
        "every chunk of a snapshot is the first",
        v3_first_chunk_again,
        Hardness.MEDIUM,
        (*SNAPSHOT, "liveness", "refused start"),
    ),
    Mutant(
        "V4",
        "a sync that began before the write counts for it",
        v4_sync_before_the_write,
        Hardness.MEDIUM,
        (*LOST_WRITE, *SENT_IS_DURABLE, "refused start"),
    ),
    Mutant(
        "V5",
        "the last key of a range is left out",
        v5_last_key_of_a_range_dropped,
        Hardness.MEDIUM,
        LOST_WRITE,
    ),
)
