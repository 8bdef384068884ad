"""A record as a file: what was written is read again, bounds and faults of the disk harm nobody."""

import errno
from io import BytesIO
from pathlib import Path
from random import Random
from typing import NoReturn

import msgpack
import pytest

from raftkv.raft import HardState, bootstrap_entry, make_core
from raftkv.raft.core import Raft
from raftkv.raft.messages import AppendEntries
from raftkv.raft.record_file import FORMAT, VERSION, RecordFile, RecordUnreadable, read_records
from raftkv.raft.recorded import RecordedCore, replay
from raftkv.trace import Event, Record, RecordEnded, discard

LOG = [bootstrap_entry((1, 2, 3), b"")]


def member(record: RecordFile) -> RecordedCore:
    return RecordedCore(make_core, record, 1, LOG, HardState(1, 0, 1), rng=Random(1))


def written(ticks: int = 50) -> bytes:
    """Return the file of a member that hears nobody."""
    stream = BytesIO()
    core = member(RecordFile(stream, discard))
    for _ in range(ticks):
        core.tick()
        core.ready()
    return stream.getvalue()


def read(data: bytes) -> list[Record]:
    return list(read_records(BytesIO(data)))


def test_what_was_written_is_replayed() -> None:
    records = read(written())
    assert len(records) == 101
    assert [record.sequence for record in records] == list(range(1, 102))
    assert replay(records, make_core) == (101, 0, None)


def test_a_file_cut_anywhere_gives_all_records_before_the_cut() -> None:
    """A kill or a full disk may cut the last record short."""
    data = written(5)
    whole = read(data)
    ends = [0]
    unpacker = msgpack.Unpacker(BytesIO(data))
    for _ in unpacker:
        ends.append(unpacker.tell())
    for cut in range(ends[1], len(data)):
        assert read(data[:cut]) == whole[: sum(end <= cut for end in ends) - 2]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a record"),
        (b"not msgpack", "not a record"),
        (msgpack.packb(["another"]), "not a record"),
        (msgpack.packb([FORMAT, VERSION + 1]), f"reads version {VERSION}"),
        (msgpack.packb([FORMAT, VERSION]) + b"\x07", "damaged"),
        (msgpack.packb([FORMAT, VERSION]) + b"\xc1", "damaged"),
        (msgpack.packb([FORMAT, VERSION]) + msgpack.packb([1, 2, 3]), "damaged"),
    ],
)
def test_what_is_no_record_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(RecordUnreadable, match=reason):
        read(data)


@pytest.mark.parametrize("limit", [0, 10, 500, 3000])
def test_a_full_file_ends_and_the_member_goes_on(limit: int) -> None:
    """It is told once; what is in the file is whole, and replayed to its end."""
    stream, events = BytesIO(), list[Event]()
    core = member(RecordFile(stream, events.append, limit))
    for _ in range(200):
        core.tick()
        core.ready()
    assert len(stream.getvalue()) <= limit
    if limit < 30:
        assert events == [RecordEnded(0, "the file is as large as it may be")]
        return
    records = read(stream.getvalue())
    assert events == [RecordEnded(len(records), "the file is as large as it may be")]
    assert replay(records, make_core) == (len(records), 0, None)


class FullDisk(BytesIO):
    """Takes some bytes, and then no more."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, data: object) -> int:
        assert isinstance(data, bytes)
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_a_full_disk_ends_the_record_and_not_the_member() -> None:
    events = list[Event]()
    record = RecordFile(FullDisk(2000), events.append)
    core = member(record)
    for _ in range(200):
        core.tick()
    (ended,) = events
    assert isinstance(ended, RecordEnded) and ended.records > 1
    assert ended.reason == "No space left on device"
    record.close()
    assert len(events) == 1


def test_a_disk_that_is_full_at_the_end_is_told_too() -> None:
    class FullAtClose(BytesIO):
        def close(self) -> NoReturn:
            raise OSError(errno.ENOSPC, "No space left on device")

    events = list[Event]()
    record = RecordFile(FullAtClose(), events.append)
    core = member(record)
    record.close()
    assert events == [RecordEnded(1, "No space left on device")]
    core.tick()
    assert len(events) == 1


def test_a_kill_costs_no_more_than_the_last_interval(tmp_path: Path) -> None:
    """What waited is in the file after each tick, without a close."""
    path = tmp_path / "record"
    with path.open("xb", buffering=1 << 20) as stream:
        core = member(RecordFile(stream, discard))
        core.ready()
        core.tick()
        seen = read(path.read_bytes())
        core.ready()
        assert read(path.read_bytes()) == seen
    assert [record.call for record in seen] == ["start", "ready", "tick"]


def test_the_call_that_failed_is_the_last_one_in_the_record() -> None:
    """The replay fails in the same way, and a core without the fault differs there."""

    class Fails(Raft):
        def on_append_entries(self, message: AppendEntries) -> None:
            raise AssertionError("an own bug")

    stream = BytesIO()
    core = RecordedCore(Fails, RecordFile(stream, discard), 1, LOG, HardState(1, 0, 1), rng=Random(1))
    with pytest.raises(AssertionError, match="an own bug"):
        core.step(AppendEntries(2, 1, 2, 1, 1, (), 1))
    records = read(stream.getvalue())
    assert [record.call for record in records] == ["start", "step"]
    assert replay(records, Fails) == (2, 0, None)
    difference = replay(records, Raft).difference
    assert difference is not None and difference.record == records[1]
    assert "an own bug" in str(difference)
