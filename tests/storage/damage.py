"""Damage a small log everywhere, one place at a time; also used on mutants."""

from collections.abc import Callable
from typing import NamedTuple

from raftkv.errors import StorageCorrupt, StorageError
from tests.storage.logs import (
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
from tests.storage.simdisk import Outcome, SimDisk

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


async def check_everywhere(damage: Damage, width: int, steps: tuple[Step, ...] = STEPS) -> int:
    """Damage ``width`` bytes at each place of the used part; return how often the log was refused.

    Before the last save it must be refused; in the last save, which may be a torn one, it must be cut
    with a report. Raises AssertionError.
    """
    log = await killed_log(steps)
    refused = 0
    for path, end in log.ends.items():
        for offset in range(end):
            proven = path != log.last_path or offset < log.last
            if proven and path == log.last_path and offset + width > log.last:
                continue  # two batches at once, of which nothing may be left that proves anything
            refused += await _check_place(log, path, offset, damage, proven=proven)
    return refused


async def check_every_flip() -> None:
    """Flip a bit of every byte."""
    assert await check_everywhere(flip, 1) > 1000


async def _check_place(log: Killed, path: str, offset: int, damage: Damage, *, proven: bool) -> bool:
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
        assert proven, f"{place}: a torn tail was refused: {error}"
        return True
    except StorageError as error:
        raise AssertionError(f"{place}: {error!r}") from error
    assert not proven, f"{place}: damage was not seen"
    assert held(recovered) == log.before, place
    assert recovered.torn is not None, place
    assert recovered.torn.offset == log.last, place
    return False
