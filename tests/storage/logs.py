"""What the tests of the log share: small logs, a naive model, and a script that uses everything."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from raftkv.errors import StorageError
from raftkv.raft.ready import Write
from raftkv.raft.types import Configuration, Entry, HardState, Snapshot
from raftkv.storage.disk import Disk
from raftkv.storage.records import Metadata
from raftkv.storage.snapshot_format import SnapshotRef
from raftkv.storage.wal import Recovered, Wal

DIRECTORY = "data/wal"
METADATA = Metadata(0xC1, 0xA1, "n1")
SEGMENT = 2048
SMALL_SEGMENT = 1024
FIRST_STATE = HardState(1, 0, 1)
FIRST_ENTRIES = (Entry(1, 1, 1, b"members"),)


def entry(index: int, term: int = 1, size: int = 40) -> Entry:
    """Return an entry whose data tells where it belongs."""
    return Entry(term, index, 0, (b"%d.%d " % (term, index) * size)[:size])


def append(first: int, count: int = 1, term: int = 1, size: int = 40) -> Write:
    """Return a Write that appends ``count`` entries."""
    return Write(0, None, 0, tuple(entry(first + i, term, size) for i in range(count)), ())


def vote(term: int, candidate: int = 2) -> Write:
    """Return a Write of a vote."""
    return Write(0, HardState(term, candidate, 0), 0, (), ())


def replace(first: int, count: int, term: int, size: int = 40) -> Write:
    """Return a Write that replaces the log from ``first`` on, as a new leader makes a follower do."""
    return append(first, count, term, size)._replace(truncate_from=first, hard_state=HardState(term, 0, 0))


def ref(index: int, term: int = 1) -> SnapshotRef:
    """Return the file of a snapshot at ``index``."""
    snapshot = Snapshot(index, term, Configuration((1, 2, 3), (4,), (9,)))
    return SnapshotRef(snapshot, 1000 + index, index.to_bytes(32, "big"))


def install(index: int, term: int) -> Write:
    """Return a Write that begins the log anew after a snapshot."""
    return Write(0, HardState(term, 0, index), 0, (), (), ref(index, term).snapshot)


def refs_of(writes: Sequence[Write]) -> list[SnapshotRef]:
    """Return the files of the snapshots in ``writes``."""
    return [ref(w.snapshot.index, w.snapshot.term) for w in writes if w.snapshot is not None]


class Model(NamedTuple):
    """What a log must hold: term and vote (the commit index is only a hint), entries and snapshots.

    The entries are those after the oldest snapshot that counts; a log may hold more of them.
    """

    term: int
    vote: int
    entries: tuple[Entry, ...]
    snapshots: tuple[SnapshotRef, ...] = ()

    @property
    def last_index(self) -> int:
        """Index of the last entry."""
        return self.oldest + len(self.entries)

    @property
    def oldest(self) -> int:
        """Index of the oldest snapshot that counts, else 0."""
        return self.snapshots[0].snapshot.index if self.snapshots else 0

    def after(self, writes: Sequence[Write]) -> "Model":
        """Return the model once ``writes`` are durable."""
        term, vote, entries, snapshots = self
        for write in writes:
            if write.hard_state is not None:
                term, vote, _ = write.hard_state
            if write.snapshot is not None:
                entries, snapshots = (), tuple(refs_of([write]))
            if write.truncate_from:
                entries = tuple(entry for entry in entries if entry.index < write.truncate_from)
            entries += write.entries
        return Model(term, vote, entries, snapshots)

    def marked(self, kept: Sequence[SnapshotRef]) -> "Model":
        """Return the model once ``kept`` are the snapshots that count."""
        oldest = kept[0].snapshot.index
        entries = tuple(entry for entry in self.entries if entry.index > oldest)
        return self._replace(entries=entries, snapshots=tuple(kept))


FIRST_MODEL = Model(1, 0, FIRST_ENTRIES)


def held(recovered: Recovered) -> Model:
    """Return what was recovered, as a model."""
    term, vote, _ = recovered.hard_state
    model = Model(term, vote, (), recovered.snapshots)
    return model._replace(entries=tuple(recovered.entries_after(model.oldest)))


async def create(disk: Disk, segment_bytes: int = SEGMENT) -> Wal:
    """Create the log of all these tests."""
    wal, _ = await Wal.create(
        disk, DIRECTORY, METADATA, FIRST_STATE, FIRST_ENTRIES, segment_bytes=segment_bytes
    )
    return wal


async def reopen(disk: Disk, segment_bytes: int = SEGMENT) -> Recovered:
    """Open the log, close it, and return what it held."""
    wal, recovered = await Wal.open(disk, DIRECTORY, segment_bytes=segment_bytes)
    await wal.close()
    return recovered


async def abandon(wal: Wal | None) -> None:
    """Let go of a log whose disk has crashed."""
    if wal is not None:
        try:
            await wal.close()
        except StorageError:
            return


class Mark(NamedTuple):
    """Snapshots of the member's own that are to count."""

    kept: tuple[SnapshotRef, ...]


class Release(NamedTuple):
    """The log up to the oldest snapshot is given up, while ``writes`` are saved."""

    writes: tuple[Write, ...]


RESTART = "an orderly end and a new start"
Step = tuple[Write, ...] | Mark | Release | str

SCRIPT: tuple[Step, ...] = (
    (append(2, 3),),
    (vote(2), append(5, 2, term=2)),
    (append(7, 8, term=2, size=60),),
    (replace(6, 4, term=3),),
    (append(10, 1, term=3, size=900),),
    RESTART,
    (vote(4),),
    (append(11, 6, term=4, size=120), append(17, 1, term=4)),
    Mark((ref(9, 3),)),
    (append(18, 1, term=4, size=3000),),
    (vote(5, 3),),
    Release((append(19, 1, term=5),)),
    (append(20, 12, term=5, size=150),),
    (replace(21, 1, term=6, size=700), replace(21, 2, term=7, size=10)),
    Mark((ref(9, 3), ref(20, 5))),
    RESTART,
    (append(23, 9, term=7, size=100),),
    (append(32, 9, term=7, size=100),),
    Mark((ref(20, 5), ref(40, 7))),
    Release((append(41, 9, term=7, size=150), vote(8))),
    Release(()),
    (append(50, 9, term=8, size=150),),
    (replace(52, 8, term=9, size=150),),
    (install(200, 10), append(201, 3, term=10), vote(11)),
    Release((append(204, 9, term=11, size=150),)),
    (install(300, 12),),
    RESTART,
    (append(301, 12, term=12, size=200),),
    Mark((ref(300, 12), ref(301, 12), ref(312, 12))),
    Mark((ref(312, 12),)),
    Release(()),
    RESTART,
    (append(313, 2, term=12),),
)
"""One run: saves, marks, installed snapshots, releases. Many segment switches, two oversized batches."""


def after_step(model: Model, step: Step) -> Model:
    """Return the model once ``step``, which is no new start, is durable."""
    if isinstance(step, Mark):
        return model.marked(step.kept)
    assert not isinstance(step, str)
    return model.after(step.writes if isinstance(step, Release) else step)


async def carry_out(wal: Wal, model: Model, step: Step) -> None:
    """Carry out ``step``, which is no new start, on a log that holds ``model``."""
    if isinstance(step, Mark):
        await wal.mark(step.kept)
    elif isinstance(step, Release):
        await together(wal.release(model.oldest), wal.save(step.writes, refs_of(step.writes)))
    else:
        assert not isinstance(step, str)
        await wal.save(step, refs_of(step))


async def together(*calls: Awaitable[None]) -> None:
    """Run calls side by side to the end of all of them, then raise what the first of them raised."""
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if outcome is not None:
            raise outcome


@dataclass(slots=True)
class Run:
    """A run of ``SCRIPT``, as its user sees it."""

    acknowledged: Model | None = None
    submitted: Model | None = None
    boot: int = 0
    wal: Wal | None = field(default=None, repr=False)

    async def play(self, disk: Disk) -> None:
        """Create a log and carry out the script, to the end or to an error."""
        self.submitted = FIRST_MODEL
        self.wal = await create(disk)
        self.acknowledged, self.boot = FIRST_MODEL, 1
        for step in SCRIPT:
            if step == RESTART:
                await self.start_again(disk)
            else:
                self.submitted = after_step(self.acknowledged, step)
                await carry_out(self.wal, self.acknowledged, step)
                self.acknowledged = self.submitted
        await self.wal.close()

    async def start_again(self, disk: Disk) -> None:
        """Close and open, and check that nothing changed."""
        assert self.wal is not None
        await self.wal.close()
        self.wal, recovered = await Wal.open(disk, DIRECTORY, segment_bytes=SEGMENT)
        assert held(recovered) == self.acknowledged, "a new start changed the log"
        assert recovered.torn is None
        assert recovered.boot == self.boot + 1
        self.boot = recovered.boot
