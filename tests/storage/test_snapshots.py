"""The folder of snapshots, on the real disk and on the simulated one."""

from contextlib import aclosing

import pytest

from raftkv.errors import NoSpace, PeerProtocolError, SnapshotDamaged, StorageError
from raftkv.raft.types import Configuration, Snapshot
from raftkv.sim.disk import SimDisk
from raftkv.storage import snapshots
from raftkv.storage.disk import Disk
from raftkv.storage.snapshot_format import Block, SnapshotMeta, SnapshotRef
from raftkv.storage.snapshots import SnapshotFolder, snapshot_name

DIRECTORY = "data/snap"
CONFIGURATION = Configuration((1, 2, 3))


def meta(index: int = 10, term: int = 2) -> SnapshotMeta:
    return SnapshotMeta(0xC1, Snapshot(index, term, CONFIGURATION), index, -1, 1)


def some_blocks(index: int = 10, size: int = 50) -> list[Block]:
    return [Block("store", 1, b"%d" % index * size), Block("members", 1, b"m" * 30)]


async def write(folder: SnapshotFolder, index: int = 10, size: int = 50) -> SnapshotRef:
    """Make and publish a snapshot."""
    draft = await folder.create(meta(index))
    for block in some_blocks(index, size):
        await draft.write(block)
    await draft.finish()
    return await folder.publish(draft)


async def read(folder: SnapshotFolder, ref: SnapshotRef) -> list[Block]:
    async with aclosing(folder.read(ref)) as blocks:
        return [block async for block in blocks]


async def bytes_of(folder: SnapshotFolder, ref: SnapshotRef) -> bytes:
    file = await folder.open(ref)
    try:
        return await file.read(0, ref.size + 1)
    finally:
        await file.close()


async def names(disk: Disk) -> list[str]:
    return await disk.list(DIRECTORY)


async def overwrite(disk: Disk, ref: SnapshotRef, offset: int, data: bytes) -> None:
    file = await disk.open(f"{DIRECTORY}/{snapshot_name(ref.snapshot)}")
    await file.write(offset, data, sync=True)
    await file.close()


async def test_a_published_snapshot_reads_as_it_was_written(disk: Disk) -> None:
    folder = SnapshotFolder(disk, DIRECTORY)
    ref = await write(folder)
    assert await names(disk) == ["000000000000000a-0000000000000002.snap"]
    assert await read(folder, ref) == some_blocks()
    assert await read(SnapshotFolder(disk, DIRECTORY), ref) == some_blocks()
    assert ref.snapshot == meta().snapshot
    assert len(await bytes_of(folder, ref)) == ref.size
    assert (await bytes_of(folder, ref))[-32:] == ref.checksum


async def test_a_snapshot_has_its_name_only_once_it_is_published(disk: Disk) -> None:
    folder = SnapshotFolder(disk, DIRECTORY)
    draft = await folder.create(meta())
    await draft.write(some_blocks()[0])
    await draft.finish()
    assert [name.rpartition(".")[2] for name in await names(disk)] == ["draft"]
    await folder.publish(draft)
    assert [name.rpartition(".")[2] for name in await names(disk)] == ["snap"]


async def test_a_draft_that_is_discarded_leaves_nothing(disk: Disk) -> None:
    folder = SnapshotFolder(disk, DIRECTORY)
    draft = await folder.create(meta())
    await draft.write(some_blocks()[0])
    await draft.discard()
    await draft.discard()
    assert await names(disk) == []


async def test_several_drafts_of_one_index_do_not_meet(disk: Disk) -> None:
    """A backup may be written while the member's own snapshot is."""
    folder = SnapshotFolder(disk, DIRECTORY)
    one, other = await folder.create(meta()), await folder.create(meta())
    for draft in (one, other):
        await draft.write(some_blocks()[0])
    backup = await other.finish()
    assert len(await other.file.read(0, backup.size + 1)) == backup.size
    await one.finish()
    ref = await folder.publish(one)
    await other.discard()
    assert await read(folder, ref) == some_blocks()[:1]


async def test_large_blocks_go_out_in_pieces_and_are_synced_on_the_way(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "WRITE_BYTES", 1000)
    monkeypatch.setattr(snapshots, "SYNC_BYTES", 4000)
    folder = SnapshotFolder(disk, DIRECTORY)
    draft = await folder.create(meta())
    await draft.write(Block("store", 1, bytes(range(256)) * 100))
    assert draft.file.syncs >= 5
    for number in range(100):
        await draft.write(Block("store", 1, b"%3d" % number * 100))
    ref = await draft.finish()
    assert draft.file.syncs == pytest.approx(ref.size / 4000, abs=3)
    await folder.publish(draft)
    blocks = await read(folder, ref)
    assert blocks[0].data == bytes(range(256)) * 100
    assert [block.data[:3] for block in blocks[1:]] == [b"%3d" % number for number in range(100)]


async def test_keep_removes_everything_else_but_what_is_being_made(disk: Disk) -> None:
    earlier = SnapshotFolder(disk, DIRECTORY)
    await (await earlier.create(meta(3))).write(some_blocks()[0])
    await earlier.receive(SnapshotRef(meta(4).snapshot, 100, bytes(32)))
    await earlier.close()
    folder = SnapshotFolder(disk, DIRECTORY)
    refs = [await write(folder, index) for index in (5, 6, 7)]
    draft = await folder.create(meta(8))
    incoming = await folder.receive(SnapshotRef(meta(9).snapshot, 100, bytes(32)))
    await folder.keep(refs[1:])
    kept = [snapshot_name(ref.snapshot) for ref in refs[1:]]
    passing = [path.rpartition("/")[2] for path in (draft.path, incoming.path)]
    assert await names(disk) == sorted(kept + passing)
    await folder.close()
    await SnapshotFolder(disk, DIRECTORY).keep(refs[2:])
    assert await names(disk) == kept[1:]


async def test_a_damaged_snapshot_is_put_aside_and_stays_for_people(disk: Disk) -> None:
    folder = SnapshotFolder(disk, DIRECTORY)
    ref = await write(folder)
    await folder.mark_damaged(ref)
    with pytest.raises(SnapshotDamaged, match="missing"):
        await read(folder, ref)
    again = await write(folder, size=60)
    assert await read(folder, again) == some_blocks(size=60)
    await folder.keep([])
    assert await names(disk) == [snapshot_name(ref.snapshot) + ".damaged"]


async def test_a_second_snapshot_of_one_index_never_replaces_the_first(disk: Disk) -> None:
    """The log names the first by its checksum; a crash before it names the second would leave nothing."""
    folder = SnapshotFolder(disk, DIRECTORY)
    first = await write(folder, size=50)
    assert await write(folder, size=60) == first
    assert await read(folder, first) == some_blocks()
    restarted = SnapshotFolder(disk, DIRECTORY)
    await restarted.keep([first])
    assert await write(restarted, size=70) == first
    assert await names(disk) == [snapshot_name(first.snapshot)]


async def test_one_that_the_log_does_not_name_is_replaced(disk: Disk) -> None:
    """A crash came between its publication and its marker."""
    await write(SnapshotFolder(disk, DIRECTORY), size=50)
    folder = SnapshotFolder(disk, DIRECTORY)
    await folder.keep([])
    assert await read(folder, await write(folder, size=60)) == some_blocks(size=60)


async def test_every_flip_and_every_length_of_a_file_is_refused() -> None:
    disk = SimDisk()
    folder = SnapshotFolder(disk, DIRECTORY)
    ref = await write(folder)
    content = disk.content(f"{DIRECTORY}/{snapshot_name(ref.snapshot)}")
    for offset in range(ref.size):
        content[offset] ^= 1 << offset * 5 % 8
        with pytest.raises(SnapshotDamaged):
            await read(folder, ref)
        content[offset] ^= 1 << offset * 5 % 8
    assert await read(folder, ref) == some_blocks()
    intact = bytes(content)
    for length in [*range(ref.size), ref.size + 1]:
        content[:] = (intact + b"\x00")[:length]
        with pytest.raises(SnapshotDamaged, match=f"it has {length} bytes where it had {ref.size}"):
            await read(folder, ref)


async def test_a_sound_snapshot_that_is_another_one_is_refused(disk: Disk) -> None:
    folder = SnapshotFolder(disk, DIRECTORY)
    one, other = await write(folder, 5), await write(folder, 6)
    await overwrite(disk, one, 0, await bytes_of(folder, other))
    with pytest.raises(SnapshotDamaged, match="another place in the log"):
        await read(folder, one)
    with pytest.raises(SnapshotDamaged, match="another snapshot"):
        await read(folder, other._replace(checksum=bytes(32)))


async def test_a_sector_that_can_not_be_read_is_damage() -> None:
    disk = SimDisk()
    folder = SnapshotFolder(disk, DIRECTORY)
    ref = await write(folder)
    disk.fail_next("read", StorageError("input/output error"))
    with pytest.raises(SnapshotDamaged, match="input/output error"):
        await read(folder, ref)


async def test_an_iterator_left_early_closes_its_file() -> None:
    disk = SimDisk()
    folder = SnapshotFolder(disk, DIRECTORY)
    ref = await write(folder)
    opened = []
    open_ = disk.open

    async def remember(path: str) -> object:
        opened.append(await open_(path))
        return opened[-1]

    disk.open = remember  # type: ignore[method-assign,assignment]
    async with aclosing(folder.read(ref)) as blocks:
        async for _ in blocks:
            break
    assert [file._closed for file in opened] == [True]


@pytest.mark.parametrize("capacity", [0, 100, 300])
async def test_a_full_disk_leaves_no_draft(capacity: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "WRITE_BYTES", 64)
    disk = SimDisk(capacity=capacity)
    folder = SnapshotFolder(disk, DIRECTORY)
    with pytest.raises(NoSpace):
        await write(folder, size=200)
    assert await names(disk) == []
    disk.capacity = None
    assert await read(folder, await write(folder)) == some_blocks()


async def test_a_full_disk_leaves_nothing_of_what_arrives() -> None:
    disk = SimDisk(capacity=50)
    folder = SnapshotFolder(disk, DIRECTORY)
    incoming = await folder.receive(SnapshotRef(meta().snapshot, 100, bytes(32)))
    await incoming.write(0, bytes(40))
    with pytest.raises(NoSpace):
        await incoming.write(40, bytes(40))
    assert await names(disk) == []
    again = await folder.receive(incoming.wanted)
    assert again.offset == 0
    await folder.close()


async def test_a_failed_sync_is_never_taken_for_a_good_one() -> None:
    disk = SimDisk()
    folder = SnapshotFolder(disk, DIRECTORY)
    draft = await folder.create(meta())
    await draft.write(some_blocks()[0])
    disk.fail_next("sync", StorageError("input/output error"), ".draft")
    with pytest.raises(StorageError):
        await draft.finish()
    with pytest.raises(AssertionError, match="before it was finished"):
        await folder.publish(draft)
    await folder.close()


# Receiving


async def sent(directory: str, disk: Disk, index: int = 10, size: int = 50) -> tuple[SnapshotRef, bytes]:
    """Return a snapshot as another member has it."""
    folder = SnapshotFolder(disk, directory)
    draft = await folder.create(meta(index))
    for block in some_blocks(index, size):
        await draft.write(block)
    await draft.finish()
    ref = await folder.publish(draft)
    return ref, await bytes_of(folder, ref)


async def test_a_snapshot_arrives_in_chunks_and_is_published(disk: Disk) -> None:
    ref, content = await sent("data/other", disk)
    folder = SnapshotFolder(disk, DIRECTORY)
    incoming = await folder.receive(ref)
    while not incoming.complete:
        assert [name.rpartition(".")[2] for name in await names(disk)] == ["part"]
        await incoming.write(incoming.offset, content[incoming.offset : incoming.offset + 7])
    assert [block async for block in incoming.blocks()] == some_blocks()
    assert await incoming.finish() == ref
    assert await folder.publish(incoming) == ref
    assert await names(disk) == [snapshot_name(ref.snapshot)]
    assert await read(folder, ref) == some_blocks()


async def test_a_later_attempt_goes_on_where_the_first_stopped(disk: Disk) -> None:
    ref, content = await sent("data/other", disk)
    folder = SnapshotFolder(disk, DIRECTORY)
    await (await folder.receive(ref)).write(0, content[:20])
    again = await folder.receive(ref)
    assert again.offset == 20
    await again.write(20, content[20:])
    await again.finish()
    assert await read(folder, await folder.publish(again)) == some_blocks()


@pytest.mark.parametrize("change", [{"checksum": bytes(32)}, {"size": 99}, {"snapshot": meta(11).snapshot}])
async def test_another_snapshot_begins_anew(disk: Disk, change: dict[str, object]) -> None:
    ref, content = await sent("data/other", disk)
    folder = SnapshotFolder(disk, DIRECTORY)
    await (await folder.receive(ref)).write(0, content[:20])
    other = await folder.receive(ref._replace(**change))  # type: ignore[arg-type]
    assert other.offset == 0
    assert len(await names(disk)) == 1
    assert (await folder.receive(ref)).offset == 0
    await folder.close()


async def test_a_chunk_that_does_not_belong_there_is_refused(disk: Disk) -> None:
    ref, content = await sent("data/other", disk)
    folder = SnapshotFolder(disk, DIRECTORY)
    incoming = await folder.receive(ref)
    await incoming.write(0, content[:20])
    for offset, data in ((0, b"x"), (19, b"x"), (21, b"x"), (20, content), (20, content[20:] + b"x")):
        with pytest.raises(PeerProtocolError, match="of which 20 have arrived"):
            await incoming.write(offset, data)
    await incoming.write(20, content[20:])
    await incoming.finish()
    await incoming.discard()


async def test_what_arrived_wrong_is_thrown_away(disk: Disk) -> None:
    ref, content = await sent("data/other", disk)
    folder = SnapshotFolder(disk, DIRECTORY)
    for wrong in (content[:-1] + b"\x00", b"X" + content[1:], bytes(ref.size)):
        incoming = await folder.receive(ref)
        assert incoming.offset == 0
        await incoming.write(0, wrong)
        with pytest.raises(SnapshotDamaged):
            await incoming.finish()
        assert await names(disk) == []
    with pytest.raises(AssertionError, match="before it was finished"):
        await folder.publish(incoming)


async def test_an_incomplete_snapshot_can_not_be_finished(disk: Disk) -> None:
    ref, content = await sent("data/other", disk)
    folder = SnapshotFolder(disk, DIRECTORY)
    incoming = await folder.receive(ref)
    await incoming.write(0, content[:-1])
    with pytest.raises(SnapshotDamaged, match="bytes where it had"):
        await incoming.finish()
    assert await names(disk) == []
