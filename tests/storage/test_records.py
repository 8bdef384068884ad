"""The decoder: what was encoded comes back; any other bytes give a typed error."""

from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftkv.errors import FormatTooNew
from raftkv.raft.types import Entry, HardState
from raftkv.storage.records import (
    BadFrame,
    BatchHeader,
    Metadata,
    SegmentHeader,
    decode_batch,
    decode_records,
    decode_segment_header,
    encode_batch,
    encode_boot,
    encode_entries,
    encode_segment_header,
    encode_truncate,
)
from raftkv.storage.replay import Replay

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


def record(record_type: int, body: bytes) -> bytes:
    return bytes((record_type, 0, 0, 0)) + len(body).to_bytes(4, "little") + body


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
    ],
)
def test_records_that_make_no_sense_are_refused(payload: bytes, reason: str) -> None:
    with pytest.raises(BadFrame, match=reason):
        replay_of(payload)


def test_a_record_type_of_a_later_version_is_refused_as_such() -> None:
    with pytest.raises(FormatTooNew, match="record of type 9"):
        replay_of(record(9, b""))


@given(st.binary(max_size=300))
def test_any_records_give_entries_in_order_or_a_typed_error(payload: bytes) -> None:
    try:
        replay = replay_of(payload)
    except (BadFrame, FormatTooNew):
        return
    assert [entry.index for entry in replay.entries] == list(range(1, len(replay.entries) + 1))


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
