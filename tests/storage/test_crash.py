"""A crash at every I/O call: what was acknowledged is there afterwards, and nothing invented."""

import pytest

from raftkv.sim.disk import CHANGES, LOOKS, DiskCrashed, Outcome, SimDisk
from raftkv.storage.wal import Wal
from tests.storage.crashes import (
    OUTCOMES,
    all_crash_points,
    check_power_losses,
    crash_while_recovering,
    recover,
)
from tests.storage.logs import DIRECTORY, SEGMENT, Model, Run, abandon, append, create, held, ref, reopen


async def test_a_power_loss_at_any_io_call_loses_nothing_acknowledged_and_invents_nothing() -> None:
    crashes = await all_crash_points()
    table = await check_power_losses(crashes)
    assert set(table.points) == {*CHANGES, *LOOKS}, "every kind of I/O call is hit"
    assert set(table.cases) == {(kind, outcome) for kind in CHANGES + LOOKS for outcome in Outcome}
    assert len(crashes) > 300
    assert table.findings["sync", "with a torn tail"] > 20
    assert table.findings["sync", "one step more"] > 20, "durable without being acknowledged"


async def test_the_crashes_come_at_every_turn_of_a_log_s_life() -> None:
    """Segment switches, markers, new beginnings and removals are all among what is interrupted."""
    disk, run = SimDisk(), Run()
    await run.play(disk)
    assert run.wal is not None
    removed = [step for step in disk.steps if step.startswith("remove") and step.endswith(".wal")]
    assert len(removed) >= 10
    assert run.wal._segments[0].sequence == len(removed) + 1
    assert run.acknowledged is not None
    assert run.acknowledged.snapshots == (ref(312, 12),)


async def test_a_killed_process_finds_all_it_wrote_and_has_it_durable_once_open_returns() -> None:
    """What was written and not synced is in the page cache; a power loss after open must not take it."""
    for disk, run in await all_crash_points():
        after = disk.kill()
        first = await recover(after, run)
        if first is None:
            continue
        assert first.torn is None
        later = Run(held(first), held(first), first.boot)
        await recover(after.power_loss(Outcome.NOTHING), later)


async def test_a_second_crash_at_any_io_call_of_the_recovery_changes_nothing() -> None:
    for number, (disk, run) in enumerate(await all_crash_points(stride=5)):
        outcome, seed = OUTCOMES[number % len(OUTCOMES)]
        await crash_while_recovering(disk, run, outcome, seed)


async def test_a_log_recovered_from_a_crash_takes_saves_and_finds_them_again() -> None:
    for disk, _ in await all_crash_points(stride=3):
        after = disk.power_loss(Outcome.SECTORS, len(disk.steps))
        if not await Wal.exists(after, DIRECTORY):
            continue
        wal, recovered = await Wal.open(after, DIRECTORY, segment_bytes=SEGMENT)
        writes = [append(held(recovered).last_index + 1, 20, term=13, size=300)]
        await wal.save(writes)
        await wal.close()
        expected: Model = held(recovered).after(writes)
        again = await recover(after, Run(expected, expected, recovered.boot))
        assert again is not None
        assert again.torn is None


async def test_what_a_killed_process_wrote_is_made_durable_even_when_open_writes_elsewhere() -> None:
    """The boot record goes into the next segment when this one is full; its sync does not help this one."""
    disk = SimDisk()
    log = await create(disk)
    await log.save([append(2, size=log._segment.size - log._segment.offset - 400)])
    disk.crash_at = len(disk.steps) + 2
    with pytest.raises(DiskCrashed):
        await log.save([append(3, size=200)])
    await abandon(log)
    after = disk.kill()
    recovered = await reopen(after)
    assert len(recovered.entries) == 3
    assert (await reopen(after.power_loss(Outcome.NOTHING))).entries == recovered.entries
