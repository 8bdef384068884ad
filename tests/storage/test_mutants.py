"""Bugs with a history, put in one at a time: the crash and damage checks must find each of them."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from raftkv.errors import StorageError
from raftkv.raft.ready import Write
from raftkv.sim.disk import Outcome, SimDisk
from raftkv.storage import recovery, segments, wal
from raftkv.storage.changes import Change
from raftkv.storage.records import (
    BadFrame,
    Batch,
    BatchHeader,
    Checkpoint,
    decode_batch_header,
    encode_batch,
    encode_checkpoint,
    encode_snapshots,
)
from raftkv.storage.segments import Segment
from raftkv.storage.snapshot_format import SnapshotRef
from raftkv.storage.wal import Wal
from tests.storage.crashes import all_crash_points, check_power_losses
from tests.storage.damage import check_every_flip
from tests.storage.logs import FIRST_MODEL, append, create, held, reopen

Patch = pytest.MonkeyPatch


async def check_crashes() -> None:
    await check_power_losses(await all_crash_points())


async def check_failing_sync() -> None:
    """A save whose sync fails is not acknowledged; what is acknowledged outlives a power loss."""
    disk = SimDisk()
    log = await create(disk)
    disk.fail_next("sync", StorageError("input/output error"))
    model = FIRST_MODEL
    try:
        await log.save([append(2)])
        model = model.after([append(2)])
        await log.save([append(3)])
        model = model.after([append(3)])
    except StorageError:
        pass
    disk.crash()
    after = disk.power_loss(Outcome.NOTHING)
    try:
        assert held(await reopen(after)) == model, "an acknowledged save is gone"
    except StorageError as error:
        raise AssertionError(str(error)) from error


Check = Callable[[], Awaitable[None]]


def w1_checksum_not_checked(patch: Patch) -> None:
    """W1: records are believed whatever their checksum says."""

    def believe(data: bytes, offset: int, marker: bytes) -> Batch:
        batch = decode_batch_header(data, offset, marker)
        if batch.end > len(data):
            raise BadFrame("a batch runs beyond its segment")
        return batch

    patch.setattr(recovery, "decode_batch", believe)


def w2_damage_taken_for_a_torn_tail(patch: Patch) -> None:
    """W2: whatever follows a bad batch is dropped."""
    patch.setattr(recovery, "_proves_durable", lambda *_: False)


def w3_torn_tail_is_fatal(patch: Patch) -> None:
    """W3: a torn tail is taken for damage."""
    patch.setattr(recovery, "_proves_durable", lambda *_: True)


def w4_folder_not_synced(patch: Patch) -> None:
    """W4: a new segment's name is not made durable."""

    async def forget(*_: Any) -> None:
        return None

    patch.setattr(SimDisk, "sync_directory", forget)


def w6_sync_error_ignored(patch: Patch) -> None:
    """W6: a failed write or sync is taken for a good one."""
    write = Wal._write

    async def ignore(self: Wal, segment: Segment, data: bytes) -> None:
        try:
            await write(self, segment, data)
        except StorageError:
            self._failure = None
            segment.offset += len(data)

    patch.setattr(Wal, "_write", ignore)


def w6_sync_tried_again(patch: Patch) -> None:
    """W6: after a failed sync the file is opened anew and synced again, which reports success."""
    write = Wal._write

    async def again(self: Wal, segment: Segment, data: bytes) -> None:
        try:
            await write(self, segment, data)
        except StorageError:
            segment.file = await self._supply._disk.open(segment.path)
            await segment.file.sync()
            self._failure = None
            segment.offset += len(data)

    patch.setattr(Wal, "_write", again)


def e2_vote_not_stored(patch: Patch) -> None:
    """E2: a batch does not hold the vote."""
    _store_instead(patch, lambda header: header.hard_state._replace(vote=0))


def e3_term_not_stored(patch: Patch) -> None:
    """E3: a batch does not hold the term."""
    _store_instead(patch, lambda header: header.hard_state._replace(term=1))


def _store_instead(patch: Patch, change: Callable[[BatchHeader], Any]) -> None:
    def encode(marker: bytes, header: BatchHeader, payload: bytes) -> tuple[bytes, int]:
        return encode_batch(marker, header._replace(hard_state=change(header)), payload)

    patch.setattr(wal, "encode_batch", encode)


def e4_term_and_vote_in_two_writes(patch: Patch) -> None:
    """E4: the term is stored first, the vote by a write of its own."""

    async def twice(self: Wal, change: Any) -> None:
        hard_state = change.state.hard_state
        term_only = hard_state._replace(vote=0)
        if hard_state[:2] not in (self.hard_state[:2], term_only[:2]):
            await append_change(self, Change([], 0, self._state._replace(hard_state=term_only)))
        await append_change(self, change)

    append_change = Wal._append
    patch.setattr(Wal, "_append", twice)


def a1_truncation_and_entries_in_two_writes(patch: Patch) -> None:
    """A1: what belongs together (truncation, entries, term) is stored by two writes."""

    async def one_by_one(self: Wal, change: Any) -> None:
        truncations = [record for record in change.records if len(record) == 16 and record[0] == 2]
        if truncations:
            last_index = int.from_bytes(truncations[0][8:], "little") - 1
            state = change.state._replace(last_index=last_index)
            await append_change(self, Change(truncations[:1], 0, state))
            change = change._replace(records=change.records[1:])
        await append_change(self, change)

    append_change = Wal._append
    patch.setattr(Wal, "_append", one_by_one)


def l9_save_not_synced(patch: Patch) -> None:
    """L9: a save returns before it is durable."""

    async def write_only(self: Wal, segment: Segment, data: bytes) -> None:
        await segment.file.write(segment.offset, data, sync=False)
        segment.offset += len(data)

    patch.setattr(Wal, "_write", write_only)


def s8_renamed_before_synced(patch: Patch) -> None:
    """S8, for segments: the name is given before the content is durable."""
    publish = segments.publish_segment

    async def early(disk: SimDisk, directory: str, sequence: int, size: int, content: bytes) -> None:
        path = f"{directory}/{segments.segment_name(sequence)}"
        await disk.create(path)
        await disk.sync_directory(directory)
        await publish(disk, directory, sequence, size, content)

    patch.setattr(wal, "publish_segment", early)


def s8_log_cut_before_the_marker_is_durable(patch: Patch) -> None:
    """S8: a marker is held for durable, and the log cut, before it is."""
    mark = Wal.mark

    async def written_only(self: Wal, kept: Sequence[SnapshotRef]) -> None:
        with pytest.MonkeyPatch.context() as inner:
            l9_save_not_synced(inner)
            await mark(self, kept)

    patch.setattr(Wal, "mark", written_only)


def w4_removals_not_synced_one_by_one(patch: Patch) -> None:
    """W4: segments are removed with one sync of the folder at the end."""
    sync = SimDisk.sync_directory
    release = Wal.release

    async def forget(*_: Any) -> None:
        return None

    async def once(self: Wal, index: int) -> None:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(SimDisk, "sync_directory", forget)
            await release(self, index)
        await sync(self._disk, self._directory)

    patch.setattr(Wal, "release", once)


def s8_released_too_far(patch: Patch) -> None:
    """S8: a segment goes though it holds entries above the oldest snapshot."""
    release = Wal.release

    async def too_far(self: Wal, index: int) -> None:
        kept = [segment.last_index for segment in self._segments]
        for segment in self._segments:
            segment.last_index -= 2
        await release(self, index)
        for segment, last_index in zip(self._segments, kept[-len(self._segments) :], strict=True):
            segment.last_index = last_index

    patch.setattr(Wal, "release", too_far)


def s4_checkpoint_without_snapshots(patch: Patch) -> None:
    """S4: a log that is read from a later segment on does not know its snapshots."""

    def forget(checkpoint: Checkpoint) -> bytes:
        return encode_checkpoint(checkpoint._replace(refs=()))

    patch.setattr(wal, "encode_checkpoint", forget)


def a1_new_beginning_and_entries_in_two_writes(patch: Patch) -> None:
    """A1: an installed snapshot and what was saved with it take force apart."""
    save = Wal.save

    async def apart(self: Wal, writes: Sequence[Write], refs: Sequence[SnapshotRef] = ()) -> None:
        for write in writes:
            await save(self, [write._replace(entries=())], refs)
            await save(self, [write._replace(snapshot=None, truncate_from=0)])

    patch.setattr(Wal, "save", apart)


def s1_snapshot_throws_away_newer_entries(patch: Patch) -> None:
    """S1: the marker of a member's own snapshot makes the log begin anew after it."""

    def always(refs: Sequence[SnapshotRef], *, reset: bool) -> bytes:
        return encode_snapshots(refs, reset=reset or bool(refs))

    patch.setattr(wal, "encode_snapshots", always)


MUTANTS: list[tuple[Callable[[Patch], None], Check, str]] = [
    (w1_checksum_not_checked, check_every_flip, "damage was not seen|FormatTooNew"),
    (w2_damage_taken_for_a_torn_tail, check_every_flip, "damage was not seen"),
    (w3_torn_tail_is_fatal, check_crashes, "StorageCorrupt"),
    (w4_folder_not_synced, check_crashes, "the segment is missing|a created log is gone"),
    (w6_sync_error_ignored, check_failing_sync, "an acknowledged save is gone"),
    (w6_sync_tried_again, check_failing_sync, "damaged at offset"),
    (e2_vote_not_stored, check_crashes, "neither acknowledged nor submitted"),
    (e3_term_not_stored, check_crashes, "a new start changed the log"),
    (e4_term_and_vote_in_two_writes, check_crashes, "neither acknowledged nor submitted"),
    (a1_truncation_and_entries_in_two_writes, check_crashes, "neither acknowledged nor submitted"),
    (l9_save_not_synced, check_crashes, "neither acknowledged nor submitted|a boot number came twice"),
    (s8_renamed_before_synced, check_crashes, "the segment header is missing"),
    (s8_log_cut_before_the_marker_is_durable, check_crashes, "the segment is missing|neither acknowledged"),
    (w4_removals_not_synced_one_by_one, check_crashes, "the segment is missing"),
    (s8_released_too_far, check_crashes, "the segment is missing|a new start changed|only the crash"),
    (s4_checkpoint_without_snapshots, check_crashes, "only the crash may make it fail"),
    (a1_new_beginning_and_entries_in_two_writes, check_crashes, "neither acknowledged nor submitted"),
    (s1_snapshot_throws_away_newer_entries, check_crashes, "a new start changed|neither|only the crash"),
]


async def test_the_log_as_it_is_passes_the_check_with_a_failing_sync() -> None:
    """It passes the other two in ``test_crash`` and ``test_damage``."""
    await check_failing_sync()


@pytest.mark.parametrize(("mutant", "check", "finding"), MUTANTS, ids=[row[0].__name__ for row in MUTANTS])
async def test_the_check_finds_the_bug(
    mutant: Callable[[Patch], None], check: Check, finding: str, monkeypatch: Patch
) -> None:
    mutant(monkeypatch)
    with pytest.raises(AssertionError) as found:
        await check()
    assert re.search(finding, f"{found.value} {found.value.__cause__!r}")
