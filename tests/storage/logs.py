"""What the tests of the log share: small logs, a naive model, and a script that uses everything."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from raftkv.errors import StorageError
from raftkv.raft.ready import Write
from raftkv.raft.types import Entry, HardState
from raftkv.storage.disk import Disk
from raftkv.storage.records import Metadata
from raftkv.storage.wal import Recovered, Wal

DIRECTORY = "data/wal"
METADATA = Metadata(0xC1, 0xA1, "n1")
SEGMENT = 2048
SMALL_SEGMENT = 512
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


class Model(NamedTuple):
    """What a log must hold: term and vote (the commit index is only a hint) and the entries."""

    term: int
    vote: int
    entries: tuple[Entry, ...]

    def after(self, writes: Sequence[Write]) -> "Model":
        """Return the model once ``writes`` are durable."""
        term, vote, entries = self
        for write in writes:
            if write.hard_state is not None:
                term, vote, _ = write.hard_state
            if write.truncate_from:
                entries = entries[: write.truncate_from - 1]
            entries += write.entries
        return Model(term, vote, entries)


FIRST_MODEL = Model(1, 0, FIRST_ENTRIES)


def held(recovered: Recovered) -> Model:
    """Return what was recovered, as a model."""
    return Model(recovered.hard_state.term, recovered.hard_state.vote, tuple(recovered.entries))


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


SCRIPT: tuple[tuple[Write, ...] | None, ...] = (
    (append(2, 3),),
    (vote(2), append(5, 2, term=2)),
    (append(7, 8, term=2, size=60),),
    (replace(6, 4, term=3),),
    (append(10, 1, term=3, size=900),),
    None,
    (vote(4),),
    (append(11, 6, term=4, size=120), append(17, 1, term=4)),
    (append(18, 1, term=4, size=3000),),
    (vote(5, 3),),
    (replace(12, 1, term=6, size=700), replace(12, 2, term=7, size=10)),
    None,
    (append(14, 9, term=7, size=100),),
    (append(23, 9, term=7, size=100),),
)
"""Saves of one run; None = an orderly end and a new start. Four segment switches, one oversized batch."""


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
        for writes in SCRIPT:
            if writes is None:
                await self.start_again(disk)
            else:
                self.submitted = self.acknowledged.after(writes)
                await self.wal.save(writes)
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
