"""The decoder: what was encoded comes back; any other bytes give a typed error."""

import tracemalloc
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftkv.errors import FormatTooNew
from raftkv.raft.types import Configuration, Entry, HardState, Snapshot
from raftkv.storage.records import (
    BadFrame,
    BatchHeader,
    Checkpoint,
    Metadata,
    SegmentHeader,
    Snapshots,
    decode_batch,
    decode_records,
    decode_segment_header,
    encode_batch,
    encode_boot,
    encode_checkpoint,
    encode_entries,
    encode_segment_header,
    encode_snapshots,
    encode_truncate,
)
from raftkv.storage.replay import Replay
from raftkv.storage.snapshot_format import SnapshotRef
from tests.storage.logs import ref

MARKER = b"\x01\x02\x03\x04\x05\x06\x07\x08"
U64 = st.integers(0, 2**64 - 1)
U32 = st.integers(0, 2**32 - 1)
HEADERS = st.builds(
    SegmentHeader,
    U64,
    U64,
    U64,
    U32,
    st.binary(min_size=8, max_size=8),
    st.builds(Metadata, U64, U64, st.text(max_size=40)),
    U64,
)


def batch_of(payload: bytes) -> bytes:
    return encode_batch(MARKER, BatchHeader(1, 0, 0, HardState(1, 2, 3)), payload)[0]


def replay_of(payload: bytes) -> Replay:
    data = batch_of(payload)
    replay = Replay()
    batch = decode_batch(data, 0, MARKER)
    replay.take(batch.header.hard_state, decode_records(data, batch))
    return replay


@given(header=HEADERS, tail=st.binary(max_size=20))
def test_a_segment_header_comes_back(header: SegmentHeader, tail: bytes) -> None:
    data = encode_segment_header(header)
    assert decode_segment_header(data + tail) == (header, len(data))


@given(number=U64, previous=U32, durable=U64, state=st.builds(HardState, U64, U64, U64), payload=st.binary())
def test_a_batch_header_comes_back(
    number: int, previous: int, durable: int, state: HardState, payload: bytes
) -> None:
    header = BatchHeader(number, previous, durable, state)
    data, chain = encode_batch(MARKER, header, payload)
    batch = decode_batch(b"###" + data, 3, MARKER)
    assert (batch.header, batch.chain, batch.end) == (header, chain, 3 + len(data))


@given(
    st.lists(st.builds(lambda term, kind, data: (term, kind, data), U64, st.integers(0, 255), st.binary()))
)
def test_entries_come_back_with_their_bytes_unchanged(parts: list[tuple[int, int, bytes]]) -> None:
    entries = [Entry(term, index, kind, data) for index, (term, kind, data) in enumerate(parts, start=1)]
    records: list[bytes] = []
    encode_entries(entries, records)
    replay = replay_of(b"".join(records))
    assert replay.entries == entries
    assert replay.hard_state == HardState(1, 2, 3)


def test_truncation_forgets_from_its_index_on() -> None:
    records: list[bytes] = []
    encode_entries([Entry(1, index, 0, b"x") for index in range(1, 6)], records)
    records.append(encode_truncate(3))
    encode_entries([Entry(2, 3, 0, b"y")], records)
    assert [tuple(entry) for entry in replay_of(b"".join(records)).entries] == [
        (1, 1, 0, b"x"),
        (1, 2, 0, b"x"),
        (2, 3, 0, b"y"),
    ]


IDS = st.lists(U64, max_size=4).map(tuple)
REFS = st.lists(
    st.builds(
        SnapshotRef,
        st.builds(Snapshot, st.integers(1, 2**64 - 1), U64, st.builds(Configuration, IDS, IDS, IDS)),
        U64,
        st.binary(min_size=32, max_size=32),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda ref: ref.snapshot.index,
).map(lambda refs: tuple(sorted(refs)))


def records_of(payload: bytes) -> list[Any]:
    data = batch_of(payload)
    return list(decode_records(data, decode_batch(data, 0, MARKER)))


@given(refs=REFS, reset=st.booleans())
def test_the_snapshots_that_count_come_back(refs: tuple[SnapshotRef, ...], reset: bool) -> None:
    assert records_of(encode_snapshots(refs, reset=reset)) == [Snapshots(refs, reset)]


@given(boot=st.integers(1, 2**64 - 1), further=st.integers(0, 9), refs=REFS)
def test_a_checkpoint_comes_back_and_reading_can_begin_with_it(
    boot: int, further: int, refs: tuple[SnapshotRef, ...]
) -> None:
    last_index = min(refs[-1].snapshot.index + further, 2**64 - 1)
    checkpoint = Checkpoint(boot, last_index, refs)
    assert records_of(encode_checkpoint(checkpoint)) == [checkpoint]
    replay = replay_of(encode_checkpoint(checkpoint))
    assert (replay.boot, replay.last_index, replay.snapshots) == (boot, last_index, refs)
    assert replay.is_covered == (last_index <= refs[0].snapshot.index)


def entries(*indexes: int) -> bytes:
    records: list[bytes] = []
    encode_entries([Entry(1, index, 0, b"x") for index in indexes], records)
    return b"".join(records)


def test_after_an_installed_snapshot_the_log_begins_behind_it() -> None:
    replay = replay_of(entries(1, 2, 3) + encode_snapshots([ref(9)], reset=True) + entries(10, 11))
    assert [entry.index for entry in replay.entries] == [10, 11]
    assert (replay.base_index, replay.last_index, replay.snapshots) == (9, 11, (ref(9),))


def test_a_truncation_that_reaches_into_what_was_released_forgets_all_that_is_there() -> None:
    """The first entries after the checkpoint were replaced later, by entries that are all there."""
    begin = encode_checkpoint(Checkpoint(1, 20, (ref(10),)))
    replay = replay_of(begin + entries(21, 22) + encode_truncate(16) + entries(16, 17))
    assert [entry.index for entry in replay.entries] == [16, 17]
    assert replay.base_index == 15
    assert not replay.is_covered
    replay.take(HardState(), [Snapshots((ref(10), ref(16)), reset=False), Snapshots((ref(16),), reset=False)])
    assert replay.is_covered


def record(record_type: int, body: bytes, kind: int = 0) -> bytes:
    return bytes((record_type, kind, 0, 0)) + len(body).to_bytes(4, "little") + body


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\1", "cut off"),
        (record(1, bytes(16))[:-1], "cut off"),
        (record(1, bytes(15)), "has 15 bytes"),
        (record(1, bytes(16)), "entry 0 follows entry 0"),
        (encode_truncate(2), "truncation at index 2"),
        (encode_truncate(0), "truncation at index 0"),
        (record(2, bytes(7)), "has 7 bytes"),
        (encode_boot(2), "start 2 of the member follows start 0"),
        (b"\1\0\0\0\xff\xff\xff\xff", "cut off"),
        (encode_snapshots([ref(2)], reset=False), "snapshots at the indexes .2. in a log to 0"),
        (encode_snapshots([], reset=False), "snapshots at the indexes"),
        (encode_snapshots([ref(2), ref(2)], reset=True), "snapshots at the indexes"),
        (encode_snapshots([ref(0)], reset=True), "snapshots at the indexes"),
        (encode_snapshots([ref(2)], reset=True)[:-1], "cut off"),
        (record(4, encode_snapshots([ref(2)], reset=True)[8:-1]), "cut off"),
        (record(4, bytes(67)), "marker is cut off"),
        (record(4, bytes(56) + b"\xff" * 12), "configuration is cut off"),
        (record(4, b"", kind=2), "type 4 and kind 2"),
        (record(5, bytes(15)), "has 15 bytes"),
        (encode_checkpoint(Checkpoint(0, 7, (ref(7),))), "does not fit"),
        (encode_boot(1) + encode_checkpoint(Checkpoint(1, 7, (ref(7),))), "does not fit"),
        (encode_boot(1) + encode_checkpoint(Checkpoint(2, 0, ())), "does not fit"),
        (encode_snapshots([ref(5)], reset=True) + encode_truncate(5), "truncation at index 5"),
        (encode_snapshots([ref(5)], reset=True) + encode_truncate(7), "truncation at index 7"),
    ],
)
def test_records_that_make_no_sense_are_refused(payload: bytes, reason: str) -> None:
    with pytest.raises(BadFrame, match=reason):
        replay_of(payload)


def test_a_record_type_of_a_later_version_is_refused_as_such() -> None:
    with pytest.raises(FormatTooNew, match="record of type 9"):
        replay_of(record(9, b""))


RECORDS = st.one_of(
    st.builds(record, st.integers(0, 6), st.binary(max_size=120), st.integers(0, 3)),
    st.builds(encode_truncate, st.integers(0, 6)),
    st.builds(encode_boot, st.integers(0, 3)),
    st.builds(entries, st.integers(0, 6)),
    st.builds(encode_snapshots, st.lists(st.builds(ref, st.integers(0, 6)), max_size=2), reset=st.booleans()),
    st.builds(
        encode_checkpoint,
        st.builds(
            Checkpoint,
            st.integers(0, 2),
            st.integers(0, 6),
            st.builds(lambda i: (ref(i),), st.integers(1, 6)),
        ),
    ),
)


@settings(max_examples=500)
@given(st.one_of(st.binary(max_size=300), st.lists(RECORDS, max_size=8).map(b"".join)))
def test_any_records_give_entries_in_order_or_a_typed_error(payload: bytes) -> None:
    try:
        replay = replay_of(payload)
    except (BadFrame, FormatTooNew):
        return
    assert [entry.index for entry in replay.entries] == list(
        range(replay.base_index + 1, replay.last_index + 1)
    )
    assert all(ref.snapshot.index <= replay.last_index for ref in replay.snapshots)


def test_a_record_that_announces_more_than_there_is_costs_no_memory() -> None:
    payloads = (
        b"\1\0\0\0\xff\xff\xff\xff" + bytes(16),
        record(4, bytes(56) + b"\xff\xff\xff\x7f" * 3),
        record(5, bytes(72) + b"\xff\xff\xff\x7f" * 3),
    )
    tracemalloc.start()
    try:
        for payload in payloads:
            with pytest.raises(BadFrame):
                replay_of(payload)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@given(
    payload=st.binary(max_size=80),
    changes=st.lists(st.tuples(st.integers(0, 143), st.integers(0, 255)), max_size=4),
    summed=st.booleans(),
)
def test_a_changed_batch_is_refused_unless_its_checksums_are_right(
    payload: bytes, changes: list[tuple[int, int]], summed: bool
) -> None:
    data = bytearray(batch_of(payload))
    for offset, value in changes:
        data[offset % len(data)] = value
    if summed:
        data[8:12] = crc32(data[12:64]).to_bytes(4, "little")
    try:
        batch = decode_batch(bytes(data), 0, MARKER)
    except BadFrame:
        return
    assert encode_batch(MARKER, batch.header, bytes(data[64 : batch.end]))[0] == data[: batch.end]


@given(data=st.binary(max_size=200), magic=st.booleans())
def test_any_bytes_with_a_right_checksum_are_a_segment_header_or_refused(data: bytes, magic: bool) -> None:
    if magic:
        length = (16 + len(data)).to_bytes(4, "little")
        data = b"raftkvwl" + crc32(length + data).to_bytes(4, "little") + length + data
    try:
        header, end = decode_segment_header(data)
    except (BadFrame, FormatTooNew):
        return
    assert data[:end] == encode_segment_header(header)
