"""The log as built up by its records: what survives of everything that was ever saved. Pure.

A log whose first segments were released is read from a later one on, which begins with a *checkpoint*:
what a reader would know that had read the segments before. The entries in them it can't know, so it may
meet a truncation that reaches back into what is gone. That is harmless: nothing below the oldest snapshot
that counts is needed, and ``is_covered`` says whether all that is missing is below it.
"""

from collections.abc import Iterable
from typing import assert_never

from raftkv.raft.types import Entry, HardState
from raftkv.storage.records import BadFrame, Boot, Checkpoint, Record, Snapshots, Truncate
from raftkv.storage.snapshot_format import SnapshotRef


class Replay:
    """The state that the records read so far leave.

    ``entries`` follow ``base_index``. ``snapshots``: those that count, oldest first.
    """

    def __init__(self) -> None:
        self.boot = 0
        self.hard_state = HardState()
        self.base_index = 0
        self.entries: list[Entry] = []
        self.snapshots: tuple[SnapshotRef, ...] = ()

    @property
    def last_index(self) -> int:
        """Index of the last entry, or of what the log begins after."""
        return self.base_index + len(self.entries)

    @property
    def is_covered(self) -> bool:
        """Whether every snapshot that counts can be gone on from, so that no entry is missed."""
        oldest = self.snapshots[0].snapshot.index if self.snapshots else 0
        return self.base_index <= oldest

    def take(self, hard_state: HardState, records: Iterable[Record]) -> None:
        """Carry out the records of a batch. Raises ``BadFrame`` when they don't fit what was before."""
        expected = self.last_index + 1
        for record in records:
            if type(record) is Entry:
                if record.index != expected:
                    raise BadFrame(f"entry {record.index} follows entry {expected - 1}")
                self.entries.append(record)
                expected += 1
            else:
                self._take_rare(record)
                expected = self.last_index + 1
        self.hard_state = hard_state

    def _take_rare(self, record: Record) -> None:
        match record:
            case Truncate():
                self._truncate(record.from_index)
            case Boot():
                if record.number != self.boot + 1:
                    raise BadFrame(f"start {record.number} of the member follows start {self.boot}")
                self.boot = record.number
            case Snapshots():
                self._keep(record)
            case Checkpoint():
                self._check(record)
            case Entry():
                raise AssertionError("entries are taken by the caller")
            case _:
                assert_never(record)

    def _truncate(self, index: int) -> None:
        newest = self.snapshots[-1].snapshot.index if self.snapshots else 0
        if not newest < index <= self.last_index + 1:
            msg = f"truncation at index {index}, the log ends at {self.last_index}, a snapshot at {newest}"
            raise BadFrame(msg)
        if index <= self.base_index:  # into what was released
            self.base_index = index - 1
        del self.entries[index - 1 - self.base_index :]

    def _keep(self, record: Snapshots) -> None:
        if record.reset and record.refs:
            self.base_index = record.refs[-1].snapshot.index
            self.entries.clear()
        self.snapshots = record.refs
        self._check_snapshots(least=1)

    def _check(self, checkpoint: Checkpoint) -> None:
        if self.boot == 0:  # reading begins here: even the first segment has a start before it ends
            self.boot, self.base_index, self.snapshots = checkpoint
            self._check_snapshots(least=0)
        if checkpoint != (self.boot, self.last_index, self.snapshots) or self.boot == 0:
            raise BadFrame(f"a checkpoint that does not fit the records before it: {checkpoint!r:.200}")

    def _check_snapshots(self, least: int) -> None:
        indexes = [ref.snapshot.index for ref in self.snapshots]
        ordered = indexes == sorted(set(indexes)) and 0 not in indexes
        if not ordered or len(indexes) < least or (indexes and indexes[-1] > self.last_index):
            raise BadFrame(f"snapshots at the indexes {indexes} in a log to {self.last_index}")
