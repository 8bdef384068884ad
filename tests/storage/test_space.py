"""A full disk: refused before anything is promised, never half written, and over by itself."""

import asyncio
from collections import Counter

import pytest

from raftkv.errors import NoSpace, StorageError
from raftkv.sim.disk import CHANGES, LOOKS, Outcome, SimDisk
from raftkv.storage import wal as wal_module
from raftkv.storage.wal import Wal
from tests.storage.crashes import recover
from tests.storage.logs import (
    DIRECTORY,
    FIRST_MODEL,
    SEGMENT,
    Model,
    Run,
    abandon,
    append,
    create,
    held,
    reopen,
    vote,
)

THREE_SEGMENTS = 3 * SEGMENT


@pytest.fixture(autouse=True)
def retry_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the log look for room whenever others run, and not only every second."""
    monkeypatch.setattr(wal_module, "RETRY_SECONDS", 0)


async def fill(disk: SimDisk) -> tuple[Wal, Model]:
    """Save entries until there is no room for more."""
    wal = await create(disk)
    model = FIRST_MODEL
    while True:
        writes = [append(len(model.entries) + 1, 1, size=100)]
        try:
            await wal.save(writes)
        except NoSpace:
            return wal, model
        model = model.after(writes)


async def test_a_lack_of_room_shows_a_whole_segment_before_entries_are_refused() -> None:
    disk = SimDisk(capacity=2 * SEGMENT)
    wal = await create(disk)
    rooms = [wal.has_room]
    index = 2
    while wal._segment.sequence == 1:
        await wal.save([append(index, size=100)])
        index += 1
    for _ in range(20):
        await asyncio.sleep(0)
    rooms.append(wal.has_room)
    for _ in range(5):
        await wal.save([append(index, size=100)])
        index += 1
    await wal.close()
    assert rooms == [True, False]
    assert len((await reopen_somewhere(disk)).entries) == index - 1


async def reopen_somewhere(disk: SimDisk) -> Model:
    """Open a copy of the log on a disk with room."""
    copy = disk.power_loss(Outcome.NOTHING)
    copy.capacity = None
    return held(await reopen(copy))


async def test_refused_entries_leave_nothing_behind_and_votes_are_still_taken() -> None:
    disk = SimDisk(capacity=THREE_SEGMENTS)
    wal, model = await fill(disk)
    assert not wal.has_room
    before = {name: bytes(inode.live) for name, inode in disk.names.items() if name.endswith("wal")}
    with pytest.raises(NoSpace):
        await wal.save([append(len(model.entries) + 1, 1, size=100)])
    assert {name: bytes(inode.live) for name, inode in disk.names.items() if name.endswith("wal")} == before
    await wal.save([vote(7)])
    await wal.save([vote(8, 3)])
    assert await reopen_somewhere(disk) == Model(8, 3, model.entries)
    await wal.close()


async def test_the_log_can_be_opened_on_a_full_disk_and_goes_on_voting() -> None:
    disk = SimDisk(capacity=THREE_SEGMENTS)
    wal, model = await fill(disk)
    await wal.close()
    wal, recovered = await Wal.open(disk, DIRECTORY, segment_bytes=SEGMENT)
    assert held(recovered) == model
    assert not wal.has_room
    await wal.save([vote(9)])
    await wal.close()
    assert await reopen_somewhere(disk) == Model(9, 2, model.entries)


async def test_votes_too_are_refused_when_the_reserve_is_used_up_and_nothing_is_lost() -> None:
    disk = SimDisk(capacity=THREE_SEGMENTS)
    wal, model = await fill(disk)
    term = 2
    with pytest.raises(NoSpace):
        while True:
            await wal.save([vote(term)])
            term += 1
    assert await reopen_somewhere(disk) == Model(term - 1, 2, model.entries)
    disk.capacity = None
    await wal.save([vote(term), append(len(model.entries) + 1)])
    await wal.close()
    assert (await reopen(disk)).hard_state.term == term


@pytest.mark.parametrize("by", ["itself", "reserve", "the next save"])
async def test_the_log_goes_on_when_there_is_room_again(by: str) -> None:
    disk = SimDisk(capacity=THREE_SEGMENTS)
    wal, model = await fill(disk)
    assert not await wal.reserve()
    disk.capacity = None
    writes = [append(len(model.entries) + 1, 9, size=100)]
    if by == "reserve":
        assert await wal.reserve()
    while by == "itself" and not wal.has_room:
        await asyncio.sleep(0)
    await wal.save(writes)
    assert wal.has_room
    await wal.close()
    assert held(await reopen(disk)) == model.after(writes)


async def test_a_batch_larger_than_a_segment_is_refused_whole() -> None:
    disk = SimDisk(capacity=THREE_SEGMENTS)
    wal = await create(disk)
    with pytest.raises(NoSpace):
        await wal.save([append(2, 1, size=4 * SEGMENT)])
    await wal.save([append(2, 10, size=150)])
    await wal.close()
    assert len((await reopen_somewhere(disk)).entries) == 11


async def test_a_batch_larger_than_a_segment_leaves_room_for_votes_behind_it() -> None:
    disk = SimDisk()
    wal = await create(disk)
    big = [append(2, 1, size=4 * SEGMENT)]
    await wal.reserve()
    disk.capacity = sum(len(inode.live) for inode in disk.names.values()) + 4 * SEGMENT
    await wal.save(big)
    assert not await wal.reserve()
    await wal.save([vote(5)])
    await wal.close()
    assert await reopen_somewhere(disk) == FIRST_MODEL.after([*big, vote(5)])


async def test_a_log_that_finds_no_room_is_not_created_and_leaves_nothing() -> None:
    disk = SimDisk(capacity=SEGMENT // 2)
    with pytest.raises(NoSpace):
        await create(disk)
    assert not await Wal.exists(disk, DIRECTORY)
    assert await disk.list(DIRECTORY) == ["lock"]
    disk.capacity = None
    await (await create(disk)).close()


@pytest.mark.parametrize("action", ["write", "sync"])
async def test_room_that_was_reserved_and_is_not_there_ends_the_log(action: str) -> None:
    """It is no refusal: part of the save may be on the disk."""
    disk = SimDisk()
    wal = await create(disk)
    disk.fail_next(action, NoSpace("no space left on device"))
    with pytest.raises(StorageError, match="reserved was not there") as ended:
        await wal.save([append(2)])
    assert not isinstance(ended.value, NoSpace)
    await abandon(wal)
    assert held(await reopen(disk.power_loss(Outcome.SECTORS))) == FIRST_MODEL


async def test_crashes_at_every_io_call_of_a_full_disk_lose_nothing() -> None:
    """As the crash tests do, with refusals and room that comes and goes."""
    crash_at, ended = 0, False
    while not ended:
        crash_at += 1
        disk = SimDisk(capacity=THREE_SEGMENTS)
        disk.crash_at = crash_at
        wal, acknowledged, submitted = None, FIRST_MODEL, FIRST_MODEL
        try:
            wal = await create(disk)
            for number in range(24):
                disk.capacity = THREE_SEGMENTS if number % 20 else None
                writes = [append(len(acknowledged.entries) + 1, 2, size=100), vote(number + 2)]
                submitted = acknowledged.after(writes)
                try:
                    await wal.save(writes)
                except NoSpace:
                    continue
                acknowledged = submitted
            ended = True
        except StorageError:
            assert disk.fenced
        disk.crash()
        await abandon(wal)
        for outcome in Outcome:
            after = disk.power_loss(outcome, crash_at)
            after.capacity = None
            if wal is not None or await Wal.exists(after, DIRECTORY):
                assert held(await reopen(after)) in (acknowledged, submitted)


async def test_a_lack_of_room_at_any_io_call_is_refused_or_ends_the_log_and_loses_nothing() -> None:
    """Most calls can't lack room, on a usual file system; but none may be trusted with it."""
    kinds: Counter[tuple[str, str]] = Counter()
    step, reached = 0, True
    while reached:
        step += 1
        disk, run = SimDisk(), Run()
        disk.no_space_at = step
        try:
            await run.play(disk)
            outcome = "went on"
        except NoSpace:
            outcome = "refused"
        except StorageError:
            outcome = "ended"
        reached = len(disk.steps) >= step
        kinds[disk.steps[step - 1].rpartition(" ")[0] if reached else "none", outcome] += 1
        disk.crash()
        await abandon(run.wal)
        for after in (Outcome.NOTHING, Outcome.ALL):
            await recover(disk.power_loss(after), run)
    assert {kind for kind, _ in kinds} == {*CHANGES, *LOOKS, "none"}, "every kind of I/O call is hit"
    assert kinds["preallocate", "went on"] > 5, "the next segment is made a little later"
    assert kinds["create", "went on"] > 5
    assert kinds["write", "went on"] == 0, "room that was reserved"
    assert kinds["none", "went on"] == 1


async def test_close_leaves_no_task_looking_for_room() -> None:
    disk = SimDisk(capacity=THREE_SEGMENTS)
    wal, _ = await fill(disk)
    assert len(asyncio.all_tasks()) == 2
    await wal.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
