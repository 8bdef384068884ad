"""The bytes of a snapshot: read as written whatever the pieces, and refused when anything differs."""

import tracemalloc
from contextlib import suppress
from struct import Struct
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftkv.errors import FormatTooNew, SnapshotDamaged
from raftkv.raft.types import Configuration, Snapshot
from raftkv.storage import snapshot_format
from raftkv.storage.snapshot_format import (
    MAX_BLOCK_BYTES,
    MAX_HEADER_BYTES,
    Block,
    SnapshotDecoder,
    SnapshotEncoder,
    SnapshotMeta,
)

META = SnapshotMeta(0xC1, Snapshot(10, 2, Configuration((1, 2), (3,), (9, 2**64 - 1))), 5, -1, 7)
BLOCKS = [
    Block("machine", 1, b"\x91\x0a"),
    Block("store", 1, b"a" * 40),
    Block("store", 1, b""),
    Block("members", 3, b"b" * 7),
]


def pieces(meta: SnapshotMeta = META, blocks: list[Block] = BLOCKS) -> list[bytes]:
    """Return the encoded header, each block, and the end."""
    encoder = SnapshotEncoder(meta)
    result = [encoder.begin(), *map(encoder.block, blocks), encoder.end()]
    assert encoder.size == len(b"".join(result))
    assert encoder.checksum == result[-1][-32:]
    return result


WHOLE = b"".join(pieces())


def decoded(data: bytes, step: int = 1 << 20) -> tuple[SnapshotMeta | None, list[Block]]:
    decoder = SnapshotDecoder("it")
    blocks: list[Block] = []
    for start in range(0, len(data), step):
        blocks += decoder.feed(data[start : start + step])
    decoder.finish()
    assert decoder.checksum == data[-32:]
    assert decoder.offset == len(data)
    return decoder.meta, blocks


def test_a_snapshot_reads_as_it_was_written() -> None:
    assert decoded(WHOLE) == (META, BLOCKS)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 31, 64, 100])
def test_the_size_of_the_pieces_makes_no_difference(step: int) -> None:
    assert decoded(WHOLE, step) == (META, BLOCKS)


NUMBERS = st.integers(0, 2**64 - 1)
IDS = st.lists(NUMBERS, max_size=4).map(tuple)
SIGNED = st.integers(-(2**63), 2**63 - 1)
METAS = st.builds(
    SnapshotMeta,
    NUMBERS,
    st.builds(Snapshot, NUMBERS, NUMBERS, st.builds(Configuration, IDS, IDS, IDS)),
    SIGNED,
    SIGNED,
    NUMBERS,
)
ANY_BLOCKS = st.lists(
    st.builds(
        Block, st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True), st.integers(0, 2**32 - 1), st.binary()
    ),
    max_size=5,
)


@settings(max_examples=200, deadline=None)
@given(METAS, ANY_BLOCKS, st.integers(1, 300))
def test_every_snapshot_reads_as_it_was_written(meta: SnapshotMeta, blocks: list[Block], step: int) -> None:
    assert decoded(b"".join(pieces(meta, blocks)), step) == (meta, blocks)


def test_every_flip_of_every_bit_is_refused() -> None:
    for offset in range(len(WHOLE)):
        for bit in range(8):
            flipped = bytearray(WHOLE)
            flipped[offset] ^= 1 << bit
            with pytest.raises(SnapshotDamaged):
                decoded(bytes(flipped), 64)


def test_every_truncation_is_refused() -> None:
    for length in range(len(WHOLE)):
        with pytest.raises(SnapshotDamaged):
            decoded(WHOLE[:length])


@pytest.mark.parametrize("step", [1, 1 << 20])
def test_anything_behind_the_end_is_refused(step: int) -> None:
    with pytest.raises(SnapshotDamaged, match="something follows"):
        decoded(WHOLE + b"\x00", step)


def test_a_damaged_block_is_not_handed_out_and_nothing_after_it() -> None:
    """Even by a reader that goes on feeding; what came before the damage may have been handed out."""
    for offset in range(len(WHOLE)):
        flipped = bytearray(WHOLE)
        flipped[offset] ^= 1 << offset * 5 % 8
        decoder = SnapshotDecoder("it")
        blocks: list[Block] = []
        for start in range(0, len(flipped), 16):
            with suppress(SnapshotDamaged):
                blocks += decoder.feed(bytes(flipped[start : start + 16]))
        assert blocks == BLOCKS[: len(blocks)]
        with pytest.raises(SnapshotDamaged):
            decoder.finish()


def test_blocks_can_not_be_left_out_doubled_or_moved() -> None:
    header, *blocks, end = pieces()
    for wrong in (blocks[1:], blocks[:-1], [blocks[0], *blocks], [blocks[1], blocks[0], *blocks[2:]], []):
        with pytest.raises(SnapshotDamaged, match="belongs here"):
            decoded(b"".join([header, *wrong, end]))


def test_a_block_of_another_snapshot_does_not_fit() -> None:
    header, first, *rest = pieces()
    other = pieces(META._replace(revision=6))[1]
    with pytest.raises(SnapshotDamaged, match="belongs here"):
        decoded(b"".join([header, other, *rest]))
    assert len(other) == len(first)


def test_a_newer_format_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_format, "FORMAT_VERSION", 2)
    newer = pieces()[0]
    monkeypatch.undo()
    with pytest.raises(FormatTooNew, match=r"it: a snapshot of format version 2; .* up to version 1"):
        SnapshotDecoder("it").feed(newer)


@pytest.mark.parametrize("version", [0, 1])
def test_a_header_with_a_right_checksum_and_no_sense_is_refused(version: int) -> None:
    for body in (b"", bytes(3), bytes(40), bytes(67), bytes(68) + b"\x01" * 8):
        with pytest.raises(SnapshotDamaged):
            SnapshotDecoder("it").feed(header_of(version.to_bytes(4, "little") + body))


def header_of(fields: bytes) -> bytes:
    checked = (16 + len(fields)).to_bytes(4, "little") + fields
    return snapshot_format.MAGIC + crc32(checked).to_bytes(4, "little") + checked


def frame_of(header: bytes, length: int, name: bytes = b"store", data: bytes = b"") -> bytes:
    """Return a block's header, right in itself, that announces ``length`` bytes."""
    fields = Struct("<IIIIB3x").pack(crc32(header[12:]), length, crc32(data), 1, len(name)) + name
    return crc32(fields).to_bytes(4, "little") + fields + data


@pytest.mark.parametrize("length", [MAX_BLOCK_BYTES + 1, 2**32 - 1])
def test_a_block_that_announces_too_much_is_refused_at_once(length: int) -> None:
    header = pieces()[0]
    with pytest.raises(SnapshotDamaged, match="belongs here"):
        SnapshotDecoder("it").feed(header + frame_of(header, length))


def test_what_is_announced_and_does_not_arrive_takes_no_memory() -> None:
    header = pieces()[0]
    tracemalloc.start()
    try:
        decoder = SnapshotDecoder("it")
        assert decoder.feed(header + frame_of(header, MAX_BLOCK_BYTES)) == []
        prelude = snapshot_format.MAGIC + bytes(4) + MAX_HEADER_BYTES.to_bytes(4, "little")
        assert SnapshotDecoder("it").feed(prelude) == []
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    with pytest.raises(SnapshotDamaged, match="end of the snapshot is missing"):
        decoder.finish()


@pytest.mark.parametrize("length", [0, 16, MAX_HEADER_BYTES + 1, 2**32 - 1])
def test_a_header_of_an_impossible_length_is_refused_at_once(length: int) -> None:
    with pytest.raises(SnapshotDamaged, match="header of a snapshot is missing"):
        SnapshotDecoder("it").feed(snapshot_format.MAGIC + bytes(4) + length.to_bytes(4, "little"))


@pytest.mark.parametrize("name", [b"Store", b"1", b"s\xff", b"a" * 33, b"a b", b"a\n"])
def test_a_part_has_a_plain_name(name: bytes) -> None:
    header = pieces()[0]
    with pytest.raises(SnapshotDamaged, match="belongs here"):
        SnapshotDecoder("it").feed(header + frame_of(header, 0, name))


def test_the_end_must_count_the_blocks() -> None:
    header = pieces()[0]
    with pytest.raises(SnapshotDamaged, match="blocks are missing"):
        SnapshotDecoder("it").feed(header + frame_of(header, 8, b"", b"\x01" + bytes(7)) + bytes(32))
    with pytest.raises(SnapshotDamaged, match="whole snapshot"):
        SnapshotDecoder("it").feed(header + frame_of(header, 8, b"", bytes(8)) + bytes(32))


FRAGMENTS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(pieces()),
    st.binary(max_size=90).map(header_of),
    st.builds(
        frame_of,
        st.just(pieces()[0]),
        st.integers(0, 50) | st.integers(0, 2**32 - 1),
        st.sampled_from([b"", b"store", b"\xff"]),
        st.binary(max_size=12),
    ),
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([b"", pieces()[0]]), st.lists(FRAGMENTS, max_size=5), st.integers(1, 60))
def test_any_bytes_are_a_snapshot_or_refused(start: bytes, parts: list[bytes], step: int) -> None:
    """Whole frames with right checksums in any order: nothing but the typed errors comes out."""
    data = b"".join([start, *parts])
    try:
        meta, _ = decoded(data, step)
    except (SnapshotDamaged, FormatTooNew):
        return
    assert meta is not None
