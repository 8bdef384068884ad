"""Damage a small log everywhere, one place at a time; also used on mutants."""

from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import NamedTuple

from raftkv.errors import StorageCorrupt, StorageError
from raftkv.sim.disk import Outcome, SimDisk
from raftkv.storage.records import BATCH_HEADER_BYTES, Batch, RecordType
from raftkv.storage.recovery import RecoveredLog, read_log
from raftkv.storage.segments import Segment
from tests.storage.logs import (
    DIRECTORY,
    FIRST_MODEL,
    SMALL_SEGMENT,
    Mark,
    Model,
    Release,
    Step,
    abandon,
    after_step,
    append,
    carry_out,
    create,
    held,
    install,
    ref,
    reopen,
    replace,
    vote,
)

STEPS: tuple[Step, ...] = (
    (append(2, 3),),
    (vote(2), append(5, 2, term=2)),
    (replace(6, 4, term=3, size=60),),
    Mark((ref(2, 1),)),
    (append(10, 3, term=3, size=30),),
    (vote(4),),
    Mark((ref(2, 1), ref(11, 3))),
    (append(13, 2, term=4),),
    (vote(5), append(15)),
)
MARKED_STEPS: tuple[Step, ...] = (
    *STEPS,
    Mark((ref(13, 4),)),
    Release((append(16, 3, term=5, size=60),)),
    (append(19, 6, term=5, size=60),),
)
RELEASED_STEPS: tuple[Step, ...] = (
    *MARKED_STEPS[:-1],
    (install(40, 6), append(41, 3, term=6)),
    (append(44, 2, term=6),),
)
"""Small logs with everything that a log can hold: whole, and without its first segments."""

Damage = Callable[[bytearray, int], None]


def flip(content: bytearray, offset: int) -> None:
    """Flip one bit."""
    content[offset] ^= 1 << offset * 5 % 8


def wipe(content: bytearray, offset: int) -> None:
    """Lose 48 bytes, less than the smallest batch."""
    content[offset : offset + 48] = bytes(len(content[offset : offset + 48]))


class Killed(NamedTuple):
    """A log whose process was killed. ``last``: where the last save starts in the last segment used."""

    disk: SimDisk
    ends: dict[str, int]
    last_path: str
    last: int
    before: Model
    after: Model


async def killed_log(steps: tuple[Step, ...] = STEPS) -> Killed:
    """Return a log of several segments, everything in it durable, the last save not proven so."""
    disk = SimDisk()
    log = await create(disk, SMALL_SEGMENT)
    model = before = FIRST_MODEL
    ends: dict[str, int] = {}
    start = 0
    for step in steps:
        start = log._segment.offset
        await carry_out(log, model, step)
        before, model = model, after_step(model, step)
        ends[log._segment.path] = log._segment.offset
    last_path = log._segment.path
    ends = {segment.path: ends[segment.path] for segment in log._segments}
    disk.crash()
    await abandon(log)
    assert len(ends) > 2
    assert 64 < start < ends[last_path]
    return Killed(disk, ends, last_path, start, before, model)


async def check_everywhere(
    damage: Damage, width: int, steps: tuple[Step, ...] = STEPS
) -> Counter[tuple[str, str]]:
    """Damage ``width`` bytes at each place of the log; count by what was hit and what became of it.

    Before the last save it must be refused; in the last save, which may be a torn one, it must be cut
    with a report; behind the end it must be harmless. Raises AssertionError.
    """
    log = await killed_log(steps)
    regions = await regions_of(log)
    found: Counter[tuple[str, str]] = Counter()
    for path, end in log.ends.items():
        for offset in range(len(log.disk.content(path))):
            proven = path != log.last_path or offset < log.last
            if path == log.last_path and offset < log.last < offset + width:
                continue  # two batches at once, of which nothing may be left that proves anything
            wanted = "harmless" if offset >= end else "refused" if proven else "cut"
            if await _check_place(log, path, offset, damage, wanted):
                found[regions[path][offset], wanted] += 1
    return found


async def check_every_flip() -> None:
    """Flip a bit of every byte."""
    assert (await check_everywhere(flip, 1)).total() > 1000


async def regions_of(log: Killed) -> dict[str, list[str]]:
    """Return what each byte of each segment is for."""
    regions = {path: ["not used"] * len(log.disk.content(path)) for path in log.ends}

    def note(segment: Segment, batch: Batch, data: bytes) -> None:
        row = regions[segment.path]
        header = batch.start - BATCH_HEADER_BYTES
        row[: segment.offset] = [
            name if name != "not used" else "segment header" for name in row[: segment.offset]
        ]
        row[header : batch.start] = ["batch header"] * BATCH_HEADER_BYTES
        offset = batch.start
        while offset < batch.end:
            length = 8 + int.from_bytes(data[offset + 4 : offset + 8], "little")
            row[offset : offset + length] = [f"{RecordType(data[offset]).name.lower()} record"] * length
            offset += length

    async with AsyncExitStack() as stack:
        await read_log(log.disk.power_loss(Outcome.ALL), DIRECTORY, stack, into=RecoveredLog(note))
    return regions


async def _check_place(log: Killed, path: str, offset: int, damage: Damage, wanted: str) -> bool:
    """Check that damage at a place is taken as ``wanted``; False if it changes nothing there."""
    disk = log.disk.power_loss(Outcome.ALL)
    intact = bytes(disk.content(path))
    damage(disk.content(path), offset)
    if disk.content(path) == intact:
        return False
    disk.settle()
    place = f"{path} at {offset}"
    try:
        recovered = await reopen(disk, SMALL_SEGMENT)
    except StorageCorrupt as error:
        assert wanted == "refused", f"{place}: {wanted} was wanted, but it was refused: {error}"
        return True
    except StorageError as error:
        raise AssertionError(f"{place}: {error!r}") from error
    assert wanted != "refused", f"{place}: damage was not seen"
    assert held(recovered) == (log.before if wanted == "cut" else log.after), place
    if wanted == "cut":
        assert recovered.torn is not None, place
        assert recovered.torn.offset == log.last, place
    return True
