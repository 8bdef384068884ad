"""What a damaged log does: it is refused, or harmless, or its last save is cut with a report."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftkv.errors import FormatTooNew, StorageCorrupt, StorageError
from raftkv.raft.ready import Write
from raftkv.raft.types import Entry, HardState
from raftkv.sim.disk import DiskCrashed, Outcome, SimDisk
from raftkv.storage import wal as wal_module
from raftkv.storage.records import MARKER_BYTES, BatchHeader, encode_batch
from raftkv.storage.segments import segment_name
from raftkv.storage.wal import Wal
from tests.storage.damage import MARKED_STEPS, RELEASED_STEPS, STEPS, check_everywhere, flip, killed_log, wipe
from tests.storage.logs import (
    DIRECTORY,
    SEGMENT,
    SMALL_SEGMENT,
    Step,
    abandon,
    append,
    create,
    held,
    reopen,
)

FIRST = f"{DIRECTORY}/{segment_name(1)}"


EVERYTHING = {
    "segment header",
    "batch header",
    "entry record",
    "truncate record",
    "boot record",
    "snapshots record",
    "checkpoint record",
}


@pytest.mark.parametrize("steps", [STEPS, RELEASED_STEPS], ids=["whole", "released"])
async def test_a_flipped_bit_is_refused_below_the_last_save_and_cuts_the_last_save(
    steps: tuple[Step, ...],
) -> None:
    found = await check_everywhere(flip, 1, steps)
    refused = {region for region, result in found if result == "refused"}
    assert refused == EVERYTHING - ({"truncate record", "boot record"} if steps is RELEASED_STEPS else set())
    assert {region for region, result in found if result == "harmless"} == {"not used"}
    assert min(found.values()) >= 16


@pytest.mark.parametrize("steps", [STEPS, RELEASED_STEPS], ids=["whole", "released"])
async def test_lost_bytes_are_refused_below_the_last_save_and_cut_the_last_save(
    steps: tuple[Step, ...],
) -> None:
    assert (await check_everywhere(wipe, 48, steps)).total() > 1000


async def test_after_an_orderly_end_damage_to_the_last_save_is_refused_too() -> None:
    disk = SimDisk()
    log = await create(disk)
    start = log._segment.offset
    await log.save([append(2)])
    end = log._segment.offset
    await log.close()
    for offset in range(start, end):
        again = disk.power_loss(Outcome.ALL)
        flip(again.content(FIRST), offset)
        with pytest.raises(StorageCorrupt) as refused:
            await reopen(again)
        assert (refused.value.path, refused.value.offset) == (FIRST, start)


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_missing_segment_is_refused(number: int) -> None:
    log = await killed_log()
    disk = log.disk.power_loss(Outcome.ALL)
    await disk.remove(f"{DIRECTORY}/{segment_name(number)}")
    with pytest.raises(StorageCorrupt, match="the segment is missing"):
        await reopen(disk, SMALL_SEGMENT)


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_an_emptied_segment_is_refused(number: int) -> None:
    log = await killed_log()
    disk = log.disk.power_loss(Outcome.ALL)
    content = disk.content(f"{DIRECTORY}/{segment_name(number)}")
    content[:] = bytes(len(content))
    with pytest.raises(StorageCorrupt):
        await reopen(disk, SMALL_SEGMENT)


@pytest.mark.parametrize("size", [0, 1, 7, 85])
async def test_a_segment_that_ends_where_its_header_should_be_is_refused_though_all_zero(size: int) -> None:
    """It can't be an unused one: these have their full size from the beginning."""
    log = await killed_log()
    disk = log.disk.power_loss(Outcome.ALL)
    disk.content(log.last_path)[:] = bytes(size)
    with pytest.raises(StorageCorrupt, match=f"offset {size}: the file ends where its header should be"):
        await reopen(disk, SMALL_SEGMENT)


@pytest.mark.parametrize("number", [4, 5])
async def test_after_a_release_a_missing_segment_is_refused_if_a_snapshot_does_not_stand_for_it(
    number: int,
) -> None:
    log = await killed_log(MARKED_STEPS)
    disk = log.disk.power_loss(Outcome.ALL)
    assert f"{DIRECTORY}/{segment_name(3)}" not in disk.names
    await disk.remove(f"{DIRECTORY}/{segment_name(number)}")
    with pytest.raises(StorageCorrupt, match=f"{segment_name(number)}: .*the segment is missing"):
        await reopen(disk, SMALL_SEGMENT)


async def test_a_segment_without_its_checkpoint_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """No crash leaves one, its checksums are right, and nothing would be missed by the records alone."""
    monkeypatch.setattr(wal_module, "encode_checkpoint", lambda _: b"")
    disk = SimDisk()
    log = await create(disk)
    for index in range(2, 40):
        await log.save([append(index, size=100)])
    await log.close()
    with pytest.raises(StorageCorrupt, match="does not begin with a checkpoint"):
        await reopen(disk)


async def test_a_missing_segment_that_a_snapshot_stands_for_is_as_good_as_released() -> None:
    log = await killed_log(MARKED_STEPS[:-2])
    disk = log.disk.power_loss(Outcome.ALL)
    for number in (1, 2, 3):
        await disk.remove(f"{DIRECTORY}/{segment_name(number)}")
    recovered = await reopen(disk, SMALL_SEGMENT)
    assert held(recovered) == log.after
    assert recovered.base_index == 12


async def test_a_segment_under_the_name_of_another_is_refused() -> None:
    log = await killed_log()
    disk = log.disk.power_loss(Outcome.ALL)
    disk.content(f"{DIRECTORY}/{segment_name(2)}")[:] = disk.content(f"{DIRECTORY}/{segment_name(3)}")
    with pytest.raises(StorageCorrupt, match="segment 3 under another name"):
        await reopen(disk, SMALL_SEGMENT)


async def test_a_segment_of_another_log_is_refused() -> None:
    log = await killed_log()
    disk = log.disk.power_loss(Outcome.ALL)
    other = SimDisk(seed=1)
    foreign = await create(other, SMALL_SEGMENT)
    await foreign.save([append(2, 12)])
    await foreign.close()
    disk.content(f"{DIRECTORY}/{segment_name(2)}")[:] = other.content(f"{DIRECTORY}/{segment_name(2)}")
    with pytest.raises(StorageCorrupt, match="another log"):
        await reopen(disk, SMALL_SEGMENT)


async def test_a_log_without_any_good_batch_is_refused() -> None:
    """The first batch was durable before its segment had a name: it can't be a torn one."""
    disk = SimDisk()
    log = await create(disk)
    start = log._segment.offset
    disk.crash()
    await abandon(log)
    disk.content(FIRST)[100:start] = b"x" * (start - 100)
    disk.settle()
    with pytest.raises(StorageCorrupt):
        await reopen(disk.power_loss(Outcome.ALL))


async def test_the_cut_of_a_torn_segment_is_durable_before_anything_is_saved_in_front_of_it() -> None:
    """Else its bytes could come back after a power loss and pass for proof that a torn save was durable."""
    disk, _ = await killed_after(append(2))
    disk.content(f"{DIRECTORY}/{segment_name(2)}")[512:700] = b"x" * 188
    disk.settle()
    again = disk.power_loss(Outcome.ALL)
    log, recovered = await Wal.open(again, DIRECTORY, segment_bytes=SEGMENT)
    assert recovered.torn == (segment_name(2), 0, 700)
    again.crash_at = len(again.steps) + 2
    with pytest.raises(DiskCrashed):
        await log.save([append(3, 1, size=400)])
    await abandon(log)
    for seed in range(20):
        after = await reopen(again.power_loss(Outcome.TORN, seed))
        assert len(after.entries) in (2, 3)


async def killed_after(writes: Write) -> tuple[SimDisk, int]:
    """Return the disk of a log killed after a last save, and where that save starts."""
    disk = SimDisk()
    log = await create(disk)
    start = log._segment.offset
    await log.save([writes])
    disk.crash()
    await abandon(log)
    return disk, start


async def test_every_way_of_cutting_the_last_save_short_is_a_torn_tail() -> None:
    disk, start = await killed_after(append(2, 4, size=200))
    full = bytes(disk.content(FIRST)).rstrip(b"\0")
    for cut in range(start, len(full)):
        torn = disk.power_loss(Outcome.ALL)
        torn.content(FIRST)[cut:] = bytes(SEGMENT - cut)
        recovered = await reopen(torn)
        assert len(recovered.entries) == 1
        if cut > start:
            assert recovered.torn == (segment_name(1), start, len(full[:cut].rstrip(b"\0")) - start)


@pytest.mark.parametrize("steps", [STEPS, RELEASED_STEPS], ids=["whole", "released"])
async def test_a_file_that_was_cut_short_is_refused_unless_only_unused_room_went(
    steps: tuple[Step, ...],
) -> None:
    log = await killed_log(steps)
    refused = harmless = 0
    for path, end in log.ends.items():
        for size in range(len(log.disk.content(path))):
            disk = log.disk.power_loss(Outcome.ALL)
            del disk.content(path)[size:]
            disk.settle()
            try:
                recovered = await reopen(disk, SMALL_SEGMENT)
            except StorageCorrupt:
                assert size < end + MARKER_BYTES, f"{path} cut at {size}, used to {end}"
                refused += 1
            else:
                assert held(recovered) == log.after, f"{path} cut at {size}, used to {end}"
                harmless += 1
    assert refused > 1000
    assert harmless > 100


async def test_a_value_that_looks_like_a_later_batch_does_not_turn_a_torn_tail_into_damage() -> None:
    """A client can store any bytes, but can't guess the log's marker."""
    forged, _ = encode_batch(b"guessed!", BatchHeader(99, 7, 1 << 40, HardState(9, 9, 9)), b"")
    disk, start = await killed_after(Write(0, None, 0, (Entry(1, 2, 0, forged * 8),), ()))
    disk.content(FIRST)[start : start + 64] = bytes(64)
    assert (await reopen(disk.power_loss(Outcome.ALL))).torn is None, "the durable content is whole"
    disk.settle()
    recovered = await reopen(disk.power_loss(Outcome.ALL))
    assert recovered.torn is not None
    assert len(recovered.entries) == 1


async def test_a_value_that_holds_an_old_batch_of_this_very_log_proves_nothing() -> None:
    """Someone may store a copy of a log in the store itself."""
    disk = SimDisk()
    log = await create(disk)
    old = bytes(disk.content(FIRST))[: log._segment.offset]
    start = log._segment.offset
    await log.save([Write(0, None, 0, (Entry(1, 2, 0, old),), ())])
    disk.crash()
    await abandon(log)
    disk.content(FIRST)[start : start + 64] = bytes(64)
    disk.settle()
    recovered = await reopen(disk.power_loss(Outcome.ALL))
    assert recovered.torn is not None
    assert len(recovered.entries) == 1


async def test_stale_bytes_of_another_life_in_the_prepared_segment_are_cut_and_reported() -> None:
    disk, _ = await killed_after(append(2))
    spare = f"{DIRECTORY}/{segment_name(2)}"
    other, _ = await killed_after(append(2, 3))
    disk.content(spare)[64:] = other.content(FIRST)[64:]
    disk.settle()
    recovered = await reopen(disk.power_loss(Outcome.ALL))
    assert recovered.torn is not None
    assert recovered.torn.segment == segment_name(2)
    assert len(recovered.entries) == 2


async def test_a_log_of_a_later_format_version_is_refused_and_the_versions_are_named() -> None:
    disk, _ = await killed_after(append(2))
    _forge_version(disk, 2)
    with pytest.raises(FormatTooNew, match=r"version 2; this raftkv reads up to version 1"):
        await reopen(disk.power_loss(Outcome.ALL))


def _forge_version(disk: SimDisk, version: int) -> None:
    from zlib import crc32

    content = disk.content(FIRST)
    content[16:20] = version.to_bytes(4, "little")
    length = int.from_bytes(content[12:16], "little")
    content[8:12] = crc32(content[12:length]).to_bytes(4, "little")
    disk.settle()


@settings(max_examples=150, deadline=None)
@given(
    patches=st.lists(
        st.tuples(st.integers(0, SEGMENT - 1), st.binary(min_size=1, max_size=80)), min_size=1, max_size=6
    ),
    number=st.integers(1, 2),
)
async def test_any_damage_gives_a_log_that_was_or_a_typed_refusal(
    patches: list[tuple[int, bytes]], number: int
) -> None:
    disk, _ = await killed_after(append(2, 4, size=200))
    known = held(await reopen(disk.power_loss(Outcome.ALL))).entries
    content = disk.content(f"{DIRECTORY}/{segment_name(number)}")
    for offset, data in patches:
        content[offset : offset + len(data)] = data[: SEGMENT - offset]
    disk.settle()
    try:
        recovered = await reopen(disk.power_loss(Outcome.ALL))
    except StorageError:
        return
    assert tuple(recovered.entries) == known[: len(recovered.entries)]
    assert len(recovered.entries) in (1, 5)


async def test_a_refused_log_is_left_unlocked_and_unchanged() -> None:
    log = await killed_log()
    disk = log.disk.power_loss(Outcome.ALL)
    flip(disk.content(FIRST), 300)
    before = {name: bytes(inode.live) for name, inode in disk.names.items()}
    for _ in range(2):
        with pytest.raises(StorageCorrupt, match="raftkv snapshot save"):
            await Wal.open(disk, DIRECTORY, segment_bytes=SMALL_SEGMENT)
    assert {name: bytes(inode.live) for name, inode in disk.names.items()} == before
