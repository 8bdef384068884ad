"""The log on both disks: what is saved is found again, at the price of one write and one sync."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftkv.errors import DataDirInUse, StorageError
from raftkv.raft.ready import Write
from raftkv.raft.types import Entry, HardState
from raftkv.sim.disk import DiskCrashed, Outcome, SimDisk
from raftkv.storage.disk import Disk
from raftkv.storage.segments import segment_name
from raftkv.storage.wal import Recovered, Wal
from tests.storage.logs import (
    DIRECTORY,
    FIRST_ENTRIES,
    FIRST_MODEL,
    FIRST_STATE,
    METADATA,
    SEGMENT,
    SMALL_SEGMENT,
    Run,
    abandon,
    append,
    create,
    entry,
    held,
    reopen,
    replace,
    vote,
)

NOTHING = Write(7, None, 0, (), ())


async def test_a_created_log_holds_what_it_was_created_with(disk: Disk) -> None:
    wal, recovered = await Wal.create(disk, DIRECTORY, METADATA, FIRST_STATE, FIRST_ENTRIES)
    await wal.close()
    assert recovered == Recovered(METADATA, 1, FIRST_STATE, (), 0, list(FIRST_ENTRIES), None)
    assert await reopen(disk) == recovered._replace(boot=2)


async def test_a_script_of_saves_and_new_starts_is_found_again(disk: Disk) -> None:
    run = Run()
    await run.play(disk)
    recovered = await reopen(disk)
    assert held(recovered) == run.acknowledged
    assert recovered.boot == run.boot + 1
    assert recovered.metadata == METADATA


async def test_every_start_has_a_number_of_its_own(disk: Disk) -> None:
    await (await create(disk)).close()
    assert [(await reopen(disk)).boot for _ in range(3)] == [2, 3, 4]


async def test_a_log_that_is_there_is_not_created_again(disk: Disk) -> None:
    assert not await Wal.exists(disk, DIRECTORY)
    await (await create(disk)).close()
    assert await Wal.exists(disk, DIRECTORY)
    with pytest.raises(StorageError, match="there is a log already"):
        await create(disk)
    assert held(await reopen(disk)) == FIRST_MODEL


async def test_a_log_that_is_not_there_is_not_opened(disk: Disk) -> None:
    with pytest.raises(StorageError):
        await Wal.open(disk, DIRECTORY)
    await disk.make_directories(DIRECTORY)
    with pytest.raises(StorageError, match="there is no log"):
        await Wal.open(disk, DIRECTORY)


async def test_a_log_has_one_owner(disk: Disk) -> None:
    wal = await create(disk)
    with pytest.raises(DataDirInUse, match="process"):
        await Wal.open(disk, DIRECTORY)
    with pytest.raises(DataDirInUse):
        await create(disk)
    await wal.close()
    assert held(await reopen(disk)) == FIRST_MODEL


async def test_the_writes_of_a_save_are_one_batch_one_write_and_one_sync() -> None:
    disk = SimDisk()
    wal = await create(disk)
    before, path = len(disk.steps), wal._segment.path
    await wal.save([vote(2), append(2, 3), NOTHING, replace(3, 2, term=3), vote(4)])
    assert disk.steps[before:] == [f"write {path}", f"sync {path}"]
    assert (wal.counters.batches, wal.counters.fsyncs, wal.counters.entries) == (2, 2, 5)
    await wal.close()
    expected = FIRST_MODEL.after([vote(2), append(2, 3), replace(3, 2, term=3), vote(4)])
    assert held(await reopen(disk)) == expected


async def test_a_save_of_nothing_new_costs_no_io() -> None:
    disk = SimDisk()
    wal = await create(disk)
    before = len(disk.steps)
    same = NOTHING._replace(hard_state=FIRST_STATE)
    for writes in (
        [],
        [NOTHING],
        [NOTHING, NOTHING],
        [same],
        [NOTHING._replace(hard_state=HardState(1, 0, 9))],
    ):
        await wal.save(writes)
    assert len(disk.steps) == before
    await wal.close()
    assert (await reopen(disk)).hard_state == HardState(1, 0, 9), "the commit hint came with the next batch"


async def test_a_switch_to_the_next_segment_costs_a_save_no_more_io_than_any_other() -> None:
    disk = SimDisk()
    wal = await create(disk)
    switches = 0
    for index in range(2, 40):
        before, segment = len(disk.steps), wal._segment.path
        await wal.save([append(index, size=200)])
        during = [step for step in disk.steps[before:] if not step.endswith("draft")]
        switches += wal._segment.path != segment
        assert during[:2] == [f"write {wal._segment.path}", f"sync {wal._segment.path}"]
        await wal.reserve()
    assert switches >= 3
    await wal.close()


async def test_entries_larger_than_a_segment_are_saved_whole(disk: Disk) -> None:
    wal = await create(disk)
    big = Entry(1, 2, 0, bytes(range(256)) * 6144)
    await wal.save([append(2)._replace(entries=(big,)), append(3)])
    await wal.save([append(4)])
    await wal.close()
    assert (await reopen(disk)).entries == [*FIRST_ENTRIES, big, entry(3), entry(4)]


async def test_entries_that_end_in_megabytes_of_zeros_are_found_again(disk: Disk) -> None:
    wal = await create(disk, 8 << 20)
    zeros = Entry(1, 2, 0, bytes(5 << 20))
    await wal.save([append(2)._replace(entries=(zeros,))])
    disk_after_kill = disk.kill() if isinstance(disk, SimDisk) else disk
    await wal.close()
    recovered = await reopen(disk_after_kill, 8 << 20)
    assert recovered.entries == [*FIRST_ENTRIES, zeros]
    assert recovered.torn is None


async def test_another_segment_size_can_be_chosen_at_every_start(disk: Disk) -> None:
    wal = await create(disk)
    await wal.close()
    index = 2
    for size in (8192, 1024, 4096, SMALL_SEGMENT, 2048):
        wal, _ = await Wal.open(disk, DIRECTORY, segment_bytes=size)
        for _ in range(12):
            await wal.save([append(index, size=150)])
            index += 1
        await wal.close()
    assert len((await reopen(disk)).entries) == index - 1


async def test_leftover_drafts_are_removed_by_open(disk: Disk) -> None:
    await (await create(disk)).close()
    draft = await disk.create(f"{DIRECTORY}/{segment_name(9)}.draft")
    await draft.close()
    await reopen(disk)
    assert [name for name in await disk.list(DIRECTORY) if "draft" in name] == []


@pytest.mark.parametrize("action", ["write", "sync"])
async def test_after_an_error_nothing_more_is_taken_and_what_was_acknowledged_is_kept(action: str) -> None:
    disk = SimDisk()
    wal = await create(disk)
    await wal.save([append(2)])
    disk.fail_next(action, StorageError("input/output error"))
    with pytest.raises(StorageError, match="input/output error"):
        await wal.save([append(3)])
    for _ in range(2):
        with pytest.raises(StorageError, match="takes no more: input/output error"):
            await wal.save([append(3)])
    await wal.close()
    expected = FIRST_MODEL.after([append(2)])
    assert held(await reopen(disk.power_loss(Outcome.NOTHING))) == expected


@pytest.mark.parametrize("saves", range(1, 10))
async def test_what_a_failed_sync_left_behind_is_durable_once_it_was_recovered(saves: int) -> None:
    """The kernel marks the pages as clean: they are read back, and another sync alone would not write them.

    Some of these saves begin a segment, so that its header is part of what has to be written again.
    """
    disk = SimDisk()
    wal = await create(disk)
    for index in range(2, 2 + saves):
        if index == 1 + saves:
            disk.fail_next("sync", StorageError("input/output error"), ".wal")
            with pytest.raises(StorageError, match="input/output error"):
                await wal.save([append(index, size=400)])
        else:
            await wal.save([append(index, size=400)])
    await wal.close()
    disk = disk.kill()
    recovered = held(await reopen(disk))
    assert len(recovered.entries) == 1 + saves, "the page cache outlives the process"
    assert held(await reopen(disk.power_loss(Outcome.NOTHING))) == recovered


async def test_the_length_of_a_segment_whose_sync_failed_is_durable_before_it_is_used() -> None:
    """A large save makes the spare segment longer; when that sync fails, only the page cache knows."""
    disk = SimDisk()
    wal = await create(disk)
    for index in range(2, 5):
        await wal.save([append(index, size=400)])
    await wal.reserve()
    disk.fail_next("sync", StorageError("input/output error"), ".wal")
    with pytest.raises(StorageError, match="input/output error"):
        await wal.save([append(5, size=20_000)])
    await wal.close()
    disk = disk.kill()
    wal, recovered = await Wal.open(disk, DIRECTORY, segment_bytes=SEGMENT)
    assert recovered.entries[-1].index == 4
    await wal.save([append(5, size=20_000)])
    await wal.close()
    assert held(await reopen(disk.power_loss(Outcome.NOTHING))).entries[-1].index == 5


@pytest.mark.parametrize("action", ["create", "preallocate", "sync", "rename", "sync directory"])
async def test_an_error_while_the_next_segment_is_made_ends_the_log_too(action: str) -> None:
    disk = SimDisk()
    wal = await create(disk)
    index = 2
    with pytest.raises(StorageError, match="next segment could not be made: input/output error"):
        while True:
            segment = wal._segment
            await wal.save([append(index, size=200)])
            index += 1
            if wal._segment is not segment:
                disk.fail_next(
                    action, StorageError("input/output error"), "" if action != "sync" else "draft"
                )
    await wal.close()
    assert len((await reopen(disk.power_loss(Outcome.NOTHING))).entries) == index - 1


@pytest.mark.parametrize(("action", "during"), [("create", "open"), ("write", "open"), ("read", "open")])
async def test_an_error_while_opening_releases_the_lock(action: str, during: str) -> None:
    disk = SimDisk()
    await (await create(disk)).close()
    await disk.remove(f"{DIRECTORY}/{segment_name(2)}")
    disk.fail_next(action, StorageError(f"input/output error during {during}"))
    with pytest.raises(StorageError, match="input/output error"):
        await Wal.open(disk, DIRECTORY, segment_bytes=SEGMENT)
    assert disk.locks == set()
    assert held(await reopen(disk)) == FIRST_MODEL


async def test_a_save_that_is_cancelled_ends_the_log() -> None:
    """Whether it is on the disk is unknown, and a later save in its place could be torn into it."""
    disk = SimDisk()
    wal = await create(disk)
    saving = asyncio.create_task(wal.save([append(2)]))
    await asyncio.sleep(0)
    saving.cancel()
    await asyncio.wait([saving])
    assert saving.cancelled()
    with pytest.raises(StorageError, match="interrupted"):
        await wal.save([append(2)])
    await wal.close()
    assert held(await reopen(disk)) in (FIRST_MODEL, FIRST_MODEL.after([append(2)]))


async def test_a_log_closed_while_a_save_waits_for_the_next_segment_is_left_whole() -> None:
    """The save fails; it must not be written behind the end that close has reached."""
    disk = SimDisk()
    wal = await create(disk, SMALL_SEGMENT)
    saving = asyncio.create_task(wal.save([append(2, 1, size=SEGMENT)]))
    while not disk.steps[-1].startswith("preallocate"):
        await asyncio.sleep(0)
    await wal.close()
    with pytest.raises(StorageError):
        await saving
    assert held(await reopen(disk)) == FIRST_MODEL


async def test_a_closed_log_takes_nothing_and_may_be_closed_again(disk: Disk) -> None:
    wal = await create(disk)
    await wal.close()
    await wal.close()
    with pytest.raises(StorageError, match="it is closed"):
        await wal.save([append(2)])
    with pytest.raises(StorageError, match="it is closed"):
        await wal.reserve()


@pytest.mark.parametrize(
    "write", [append(3), append(1), replace(3, 1, term=2), Write(0, None, 0, (entry(2), entry(4)), ())]
)
async def test_entries_that_leave_a_gap_are_refused_as_a_bug_before_anything_is_written(write: Write) -> None:
    disk = SimDisk()
    wal = await create(disk)
    before = len(disk.steps)
    with pytest.raises(AssertionError):
        await wal.save([write])
    assert len(disk.steps) == before
    await wal.save([append(2)])
    await wal.close()


WRITES = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 6), st.integers(0, 500)),
    st.tuples(st.just("replace"), st.integers(1, 6), st.integers(0, 500)),
    st.tuples(st.just("vote"), st.integers(1, 5), st.just(0)),
)


@settings(max_examples=150, deadline=None)
@given(
    saves=st.lists(st.lists(WRITES, min_size=1, max_size=3), min_size=1, max_size=12),
    crash_at=st.integers(14, 80),
    outcome=st.sampled_from(list(Outcome)),
    seed=st.integers(0, 9),
)
async def test_any_saves_and_any_crash_leave_what_was_acknowledged_or_one_save_more(
    saves: list[list[tuple[str, int, int]]], crash_at: int, outcome: Outcome, seed: int
) -> None:
    disk = SimDisk()
    wal = await create(disk, SMALL_SEGMENT)
    disk.crash_at = len(disk.steps) + crash_at - 13
    acknowledged = submitted = FIRST_MODEL
    try:
        for term, save in enumerate(saves, start=2):
            writes = []
            submitted = acknowledged
            for kind, count, size in save:
                last = len(submitted.entries)
                if kind == "vote":
                    write = vote(term, count)
                elif kind == "append":
                    write = append(last + 1, count, term, size)
                else:
                    write = replace(max(1, last + 1 - count), count, term, size)
                writes.append(write)
                submitted = submitted.after([write])
            await wal.save(writes)
            acknowledged = submitted
    except DiskCrashed:
        pass
    except StorageError:
        assert disk.fenced
    disk.crash()
    await abandon(wal)
    assert held(await reopen(disk.power_loss(outcome, seed), SMALL_SEGMENT)) in (acknowledged, submitted)
