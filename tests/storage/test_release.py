"""Snapshots' markers, installed snapshots and the release of segments: what counts, what goes, what stays."""

import pytest

from raftkv.raft.types import HardState
from raftkv.sim.disk import Outcome, SimDisk
from raftkv.storage.disk import Disk
from raftkv.storage.segments import parse_segment_name
from raftkv.storage.wal import Recovered, Wal
from tests.storage.logs import (
    DIRECTORY,
    FIRST_MODEL,
    METADATA,
    SEGMENT,
    abandon,
    append,
    create,
    entry,
    held,
    install,
    ref,
    refs_of,
    reopen,
    replace,
)


async def numbers(disk: Disk) -> list[int]:
    """Return the numbers of the segments on the disk."""
    return [n for name in await disk.list(DIRECTORY) if (n := parse_segment_name(name)) is not None]


async def grown(disk: Disk, entries: int = 60) -> Wal:
    """Return a log of several segments with ``entries`` entries."""
    wal = await create(disk)
    for first in range(2, entries + 1, 2):
        await wal.save([append(first, min(2, entries + 1 - first), size=150)])
    return wal


async def test_a_log_created_after_a_snapshot_begins_behind_it(disk: Disk) -> None:
    wal, recovered = await Wal.create(
        disk, DIRECTORY, METADATA, HardState(1, 0, 7), [entry(8)], snapshot=ref(7), segment_bytes=SEGMENT
    )
    await wal.save([append(9, 2)])
    await wal.close()
    assert recovered == Recovered(METADATA, 1, HardState(1, 0, 7), (ref(7),), 7, [entry(8)], None)
    assert (await reopen(disk)).entries == [entry(8), entry(9), entry(10)]


async def test_only_the_snapshots_of_the_last_mark_count(disk: Disk) -> None:
    wal = await grown(disk)
    await wal.mark([ref(10), ref(20)])
    await wal.mark([ref(20), ref(60)])
    await wal.close()
    recovered = await reopen(disk)
    assert recovered.snapshots == (ref(20), ref(60))
    assert recovered.base_index == 0, "nothing was released"
    assert [e.index for e in recovered.entries_after(60)] == []
    assert [e.index for e in recovered.entries_after(57)] == [58, 59, 60]


async def test_a_release_removes_the_segments_below_the_oldest_snapshot_and_no_others(disk: Disk) -> None:
    wal = await grown(disk)
    before = await numbers(disk)
    first_kept = max(s.sequence for s in wal._segments if s.last_index <= 31)
    bytes_before = wal.log_bytes
    await wal.mark([ref(31), ref(55)])
    await wal.release(31)
    assert wal.log_bytes == bytes_before - SEGMENT * (first_kept - 1)
    await wal.close()
    after = await numbers(disk)
    assert [n for n in after if n in before] == [n for n in before if n >= first_kept]
    recovered = await reopen(disk)
    assert recovered.snapshots == (ref(31), ref(55))
    assert 0 < recovered.base_index <= 31
    assert recovered.entries == [entry(i, size=150) for i in range(recovered.base_index + 1, 61)]


async def test_segments_go_oldest_first_and_each_name_durably_before_the_next() -> None:
    disk = SimDisk()
    wal = await grown(disk)
    await wal.mark([ref(60)])
    assert await wal.reserve(), "nothing is under way in the background"
    before = len(disk.steps)
    await wal.release(60)
    steps = disk.steps[before:]
    removed = [step for step in steps if step.startswith("remove")]
    assert len(removed) >= 4
    assert removed == sorted(removed)
    assert steps[1::2] == [f"sync directory {DIRECTORY}"] * len(removed)
    await wal.close()


async def test_a_release_of_nothing_costs_nothing() -> None:
    disk = SimDisk()
    wal = await grown(disk)
    before = len(disk.steps)
    await wal.release(0)
    await wal.mark([ref(1)])
    await wal.release(1)
    assert [step for step in disk.steps[before:] if "remove" in step] == []
    await wal.close()


async def test_a_log_that_is_marked_and_released_stays_small_however_much_goes_through(disk: Disk) -> None:
    wal = await create(disk)
    most = 0
    for round_ in range(25):
        first = 2 + round_ * 12
        await wal.save([append(first + i, 4, size=120) for i in (0, 4, 8)])
        kept = [ref(first + 11 - 12 * back) for back in (2, 1, 0) if first + 11 - 12 * back > 1]
        await wal.mark(kept)
        await wal.release(kept[0].snapshot.index)
        most = max(most, len(await numbers(disk)))
        if round_ % 8 == 7:
            await wal.close()
            wal, recovered = await Wal.open(disk, DIRECTORY, segment_bytes=SEGMENT)
            assert recovered.snapshots == tuple(kept)
            assert recovered.entries[-1].index == first + 11
    await wal.close()
    assert most <= 7
    assert min(await numbers(disk)) > 20


async def test_an_installed_snapshot_forgets_the_log_the_older_snapshots_and_then_the_files(
    disk: Disk,
) -> None:
    wal = await grown(disk)
    await wal.mark([ref(30)])
    writes = [install(500, 2), append(501, 3, term=2)]
    await wal.save(writes, refs_of(writes))
    await wal.release(500)
    await wal.close()
    recovered = await reopen(disk)
    assert held(recovered) == FIRST_MODEL.after(writes)
    assert recovered.base_index == 500
    assert len(await numbers(disk)) <= 3


async def test_a_snapshot_below_the_end_of_the_log_replaces_it_too(disk: Disk) -> None:
    """What the log held was another leader's and never committed."""
    wal = await grown(disk)
    writes = [install(40, 3), append(41, 30, term=3, size=100)]
    await wal.save(writes, refs_of(writes))
    await wal.mark([ref(40, 3), ref(70, 3)])
    await wal.release(40)
    await wal.close()
    assert held(await reopen(disk)) == FIRST_MODEL.after(writes).marked([ref(40, 3), ref(70, 3)])


async def test_a_log_is_read_from_a_segment_whose_first_entries_were_replaced_later(disk: Disk) -> None:
    """The segment begins after entry 60 of an old leader, and goes on with a truncation back to 41."""
    wal = await grown(disk)
    while wal._segment.last_index < 60:
        await wal.save([append(wal._state.last_index + 1, 2, size=150)])
    await wal.save([replace(41, 30, term=2, size=150)])
    await wal.mark([ref(70, 2)])
    await wal.release(70)
    await wal.save([append(71, 2, term=2)])
    await wal.close()
    recovered = await reopen(disk)
    assert recovered.base_index == 40
    assert [e.index for e in recovered.entries_after(70)] == [71, 72]
    assert {e.term for e in recovered.entries_after(70)} == {2}


@pytest.mark.parametrize("kept", [[ref(61)], [ref(20), ref(10)], [ref(10), ref(10)]])
async def test_a_mark_that_makes_no_sense_is_refused_as_a_bug(kept: list[object]) -> None:
    disk = SimDisk()
    wal = await grown(disk)
    before = len(disk.steps)
    with pytest.raises(AssertionError):
        await wal.mark(kept)  # type: ignore[arg-type]
    assert len(disk.steps) == before
    await wal.close()


async def test_snapshots_from_before_the_log_s_beginning_can_not_be_marked_again() -> None:
    disk = SimDisk()
    wal = await grown(disk)
    await wal.mark([ref(10), ref(60)])
    await wal.mark([ref(60)])
    await wal.release(60)
    with pytest.raises(AssertionError, match="the log begins after"):
        await wal.mark([ref(10), ref(60)])
    with pytest.raises(AssertionError, match="the oldest snapshot is at 60"):
        await wal.release(61)
    await wal.close()


async def test_a_segment_that_began_behind_a_replaced_tail_is_released_and_later_snapshots_count(
    disk: Disk,
) -> None:
    """A leader that was cut off wrote up to 60; the snapshot that it was sent later is at 15."""
    wal = await grown(disk)
    assert wal._segments[-1].last_index > 40
    writes = [install(15, 3), append(16, 5, term=3, size=150)]
    await wal.save(writes, refs_of(writes))
    while wal._segment.last_index > 30 or wal._segment.last_index < 16:
        await wal.save([append(wal._state.last_index + 1, 1, term=3, size=150)])
    middle, last = wal._segment.last_index, wal._state.last_index
    await wal.mark([ref(middle, 3)])
    await wal.release(middle)
    assert len(wal._segments) == 1
    await wal.mark([ref(middle, 3), ref(last, 3)])
    await wal.close()
    recovered = await reopen(disk)
    assert recovered.snapshots == (ref(middle, 3), ref(last, 3))
    assert [e.index for e in recovered.entries_after(middle)] == list(range(middle + 1, last + 1))


async def test_an_installed_snapshot_without_its_file_is_a_bug() -> None:
    disk = SimDisk()
    wal = await create(disk)
    with pytest.raises(AssertionError, match="no file"):
        await wal.save([install(9, 2)], [ref(8, 2)])
    await wal.close()


async def test_a_truncation_below_a_snapshot_is_a_bug() -> None:
    disk = SimDisk()
    wal = await grown(disk)
    await wal.mark([ref(30)])
    with pytest.raises(AssertionError):
        await wal.save([replace(30, 1, term=2)])
    await wal.close()


async def test_a_removed_segment_does_not_come_back_after_a_power_loss() -> None:
    disk = SimDisk()
    wal = await grown(disk)
    await wal.mark([ref(60)])
    await wal.release(60)
    await abandon(wal)
    after = disk.power_loss(Outcome.NOTHING)
    assert await numbers(after) == await numbers(disk)
