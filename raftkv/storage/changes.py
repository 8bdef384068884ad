"""What some Writes do to the log, all together: the records to save, and the state they lead to. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from raftkv.raft.ready import Write
from raftkv.raft.types import HardState
from raftkv.storage.records import encode_entries, encode_snapshots, encode_truncate
from raftkv.storage.snapshot_format import SnapshotRef


class LogState(NamedTuple):
    """What is durable.

    ``boot``: number of the last start. ``last_index``: that of the last entry. ``snapshots``: those that
    count, oldest first.
    """

    boot: int
    hard_state: HardState
    last_index: int
    snapshots: tuple[SnapshotRef, ...]


class Change(NamedTuple):
    """The records of one batch, how many of them are entries, and the state once they are durable."""

    records: list[bytes]
    entries: int
    state: LogState


def merge(state: LogState, writes: Sequence[Write], refs: Sequence[SnapshotRef]) -> Change:
    """Return the change that ``writes`` make in order; ``refs`` has the file of each Write's snapshot."""
    records: list[bytes] = []
    boot, hard_state, last_index, snapshots = state
    count = 0
    for write in writes:
        if write.hard_state is not None:
            hard_state = _newer(state.hard_state, write.hard_state)
        if write.snapshot is not None:
            snapshots = tuple(ref for ref in refs if ref.snapshot == write.snapshot)
            assert len(snapshots) == 1, f"no file for {write.snapshot}"
            records.append(encode_snapshots(snapshots, reset=True))
            last_index = write.snapshot.index
        if write.truncate_from:
            newest = snapshots[-1].snapshot.index if snapshots else 0
            assert newest < write.truncate_from <= last_index + 1, f"{write.truncate_from} after {last_index}"
            records.append(encode_truncate(write.truncate_from))
            last_index = write.truncate_from - 1
        if write.entries:
            assert write.entries[0].index == last_index + 1, f"{write.entries[0]} after {last_index}"
            encode_entries(write.entries, records)
            last_index += len(write.entries)
            count += len(write.entries)
            assert write.entries[-1].index == last_index, "entries have consecutive indexes"
    return Change(records, count, LogState(boot, hard_state, last_index, snapshots))


def _newer(stored: HardState, given: HardState) -> HardState:
    """Return ``given``, but never a term or vote from before the one that was saved ahead of its Write."""
    if (given.term, given.vote != 0) < (stored.term, stored.vote != 0):
        return stored._replace(commit=given.commit)
    return given
