"""The bytes of the log: segment headers, batches, records. Pure: bytes in, values out.

All integers are little-endian and unsigned. ``docs/formats.md`` describes the format in prose.

A segment starts with a header and goes on with batches. A batch is what one save wrote: a header of 64
bytes and records. The header has a checksum of its own, which covers that of the records and that of the
batch before: no batch of another place or of another life of the log can stand in for it. It begins with
the log's *marker*, eight random bytes fixed when the log was created: a reader that lost its way finds
later batches by it, and no value that a client stores can pass for a batch.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from raftkv.errors import FormatTooNew, StorageError
from raftkv.raft.types import Configuration, Entry, HardState, Snapshot
from raftkv.storage.snapshot_format import SnapshotRef

FORMAT_VERSION = 1
MAGIC = b"raftkvwl"
MARKER_BYTES = 8

CHECKSUM_BYTES = 32


class RecordType(IntEnum):
    """The first byte of a record; the numbers never change their meaning."""

    ENTRY = 1
    TRUNCATE = 2
    BOOT = 3
    SNAPSHOTS = 4
    CHECKPOINT = 5


_PRELUDE = Struct("<8sII")  # magic, CRC, length of the whole header
_SEGMENT = Struct("<IIQQQI8sQQQH")  # version, flags, sequence ... size, length of the name
_CHECKED_FROM = 12  # both headers: the CRC covers everything behind itself
_BATCH_CHECKED = Struct("<IIIQQQQQ")  # behind the marker and the CRC
_BATCH = Struct("<IIIIQQQQQ")  # the CRC too
_RECORD = Struct("<BBHI")
_ENTRY = Struct("<BBHIQQ")
_PAIR = Struct("<QQ")
_NUMBER = Struct("<BBHIQ")
_U64 = Struct("<Q")
_REF = Struct("<QQQ32sIII")  # index, term, size, checksum, how many voters, learners, removed

MIN_SEGMENT_HEADER_BYTES = _PRELUDE.size + _SEGMENT.size
"""Of a member without a name."""

BATCH_HEADER_BYTES = _CHECKED_FROM + _BATCH_CHECKED.size
MAX_PAYLOAD_BYTES = 0xFFFF_FFFF


class BadFrame(StorageError):
    """Bytes that are no frame of this log: a torn tail or damage, which the reader tells apart."""


class Metadata(NamedTuple):
    """Whose log it is."""

    cluster_id: int
    member_id: int
    name: str


class SegmentHeader(NamedTuple):
    """What a segment says of itself and of what came before it.

    ``base``: position in the log (bytes of all segments before, their unused ends not counted).
    ``number``: that of the first batch. ``chain``: checksum of the last batch before it. ``size``: bytes of
    the file, all of them reserved before the header was written.
    """

    sequence: int
    base: int
    number: int
    chain: int
    marker: bytes
    metadata: Metadata
    size: int


class BatchHeader(NamedTuple):
    """What a batch says besides its records.

    ``previous``: checksum of the header of the batch before. ``durable``: position up to which the log
    was durable before this batch was written.
    """

    number: int
    previous: int
    durable: int
    hard_state: HardState


class Batch(NamedTuple):
    """A batch found: its header and that header's checksum, and where and what its records are."""

    header: BatchHeader
    chain: int
    start: int
    end: int
    records_checksum: int


class Truncate(NamedTuple):
    """Every entry from ``from_index`` on is forgotten."""

    from_index: int


class Boot(NamedTuple):
    """The log was opened for the ``number``-th time."""

    number: int


class Snapshots(NamedTuple):
    """The snapshots that count from now on, oldest first; all others don't.

    ``reset``: the log is forgotten and begins anew after the newest of them.
    """

    refs: tuple[SnapshotRef, ...]
    reset: bool


class Checkpoint(NamedTuple):
    """What a reader knows that has read all segments before this one: reading may begin here.

    ``boot``: number of the last start. ``last_index``: that of the last entry. ``refs``: the snapshots
    that count, oldest first.
    """

    boot: int
    last_index: int
    refs: tuple[SnapshotRef, ...]


Record = Entry | Truncate | Boot | Snapshots | Checkpoint


def encode_segment_header(header: SegmentHeader) -> bytes:
    """Return the header's bytes; the first batch follows directly."""
    name = header.metadata.name.encode()
    fields = _SEGMENT.pack(
        FORMAT_VERSION,
        0,
        header.sequence,
        header.base,
        header.number,
        header.chain,
        header.marker,
        header.metadata.cluster_id,
        header.metadata.member_id,
        header.size,
        len(name),
    )
    length = (_PRELUDE.size + len(fields) + len(name)).to_bytes(4, "little")
    return MAGIC + crc32(length + fields + name).to_bytes(4, "little") + length + fields + name


def decode_segment_header(data: bytes) -> tuple[SegmentHeader, int]:
    """Return the header at the start of ``data`` and its length.

    Raises ``BadFrame`` when there is none, ``FormatTooNew`` for a later version.
    """
    if len(data) < _PRELUDE.size:
        raise BadFrame("the segment header is missing")
    magic, checksum, length = _PRELUDE.unpack_from(data)
    if magic != MAGIC:
        raise BadFrame("the segment header is missing")
    if not _PRELUDE.size < length <= len(data) or crc32(memoryview(data)[_CHECKED_FROM:length]) != checksum:
        raise BadFrame("the checksum of the segment header is wrong")
    version = int.from_bytes(data[_PRELUDE.size : _PRELUDE.size + 4], "little")
    if version > FORMAT_VERSION:
        msg = f"the log has format version {version}; this raftkv reads up to version {FORMAT_VERSION}"
        raise FormatTooNew(msg)
    if version < 1 or length < MIN_SEGMENT_HEADER_BYTES:
        raise BadFrame("the segment header makes no sense")
    return _segment_fields(data, length), length


def _segment_fields(data: bytes, length: int) -> SegmentHeader:
    _, flags, sequence, base, number, chain, marker, cluster_id, member_id, size, name_length = (
        _SEGMENT.unpack_from(data, _PRELUDE.size)
    )
    name = data[_PRELUDE.size + _SEGMENT.size : length]
    if flags or len(name) != name_length:
        raise BadFrame("the segment header makes no sense")
    try:
        metadata = Metadata(cluster_id, member_id, name.decode())
    except UnicodeDecodeError as error:
        raise BadFrame("the member name in the segment header is not UTF-8") from error
    return SegmentHeader(sequence, base, number, chain, marker, metadata, size)


def encode_entries(entries: Iterable[Entry], records: list[bytes]) -> None:
    """Append one record for each entry to ``records``."""
    for term, index, kind, data in entries:
        records.append(_ENTRY.pack(RecordType.ENTRY, kind, 0, 16 + len(data), term, index))
        records.append(data)


def encode_truncate(index: int) -> bytes:
    """Return the record that forgets every entry from ``index`` on."""
    return _NUMBER.pack(RecordType.TRUNCATE, 0, 0, 8, index)


def encode_boot(boot: int) -> bytes:
    """Return the record of the ``boot``-th opening of the log."""
    return _NUMBER.pack(RecordType.BOOT, 0, 0, 8, boot)


def encode_snapshots(refs: Sequence[SnapshotRef], *, reset: bool) -> bytes:
    """Return the record that says which snapshots count; see ``Snapshots``."""
    body = _encode_refs(refs)
    return _RECORD.pack(RecordType.SNAPSHOTS, reset, 0, len(body)) + body


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Return the record with which every segment but the first begins."""
    body = _PAIR.pack(checkpoint.boot, checkpoint.last_index) + _encode_refs(checkpoint.refs)
    return _RECORD.pack(RecordType.CHECKPOINT, 0, 0, len(body)) + body


def _encode_refs(refs: Sequence[SnapshotRef]) -> bytes:
    parts: list[bytes] = []
    for (index, term, configuration), size, checksum in refs:
        assert len(checksum) == CHECKSUM_BYTES, f"a checksum of {len(checksum)} bytes"
        counts = [len(group) for group in configuration]
        parts.append(_REF.pack(index, term, size, checksum, *counts))
        parts.extend(struct.pack(f"<{len(group)}Q", *group) for group in configuration)
    return b"".join(parts)


def encode_batch(marker: bytes, header: BatchHeader, payload: bytes) -> tuple[bytes, int]:
    """Return a batch's bytes and the checksum of its header, the ``previous`` of the next one."""
    assert len(payload) <= MAX_PAYLOAD_BYTES, f"a batch of {len(payload)} bytes"
    number, previous, durable, hard_state = header
    checked = _BATCH_CHECKED.pack(len(payload), previous, crc32(payload), number, durable, *hard_state)
    chain = crc32(checked)
    return b"".join((marker, chain.to_bytes(4, "little"), checked, payload)), chain


def decode_batch_header(data: bytes, offset: int, marker: bytes) -> Batch:
    """Return the batch that starts at ``offset``, its header verified, its records not.

    Raises ``BadFrame``.
    """
    start = offset + BATCH_HEADER_BYTES
    if start > len(data) or not data.startswith(marker, offset):
        raise BadFrame("no batch starts here")
    (chain, length, previous, checksum, number, durable, *state) = _BATCH.unpack_from(
        data, offset + MARKER_BYTES
    )
    if crc32(data[offset + _CHECKED_FROM : start]) != chain:
        raise BadFrame("the checksum of a batch header is wrong")
    header = BatchHeader(number, previous, durable, HardState(*state))
    return Batch(header, chain, start, start + length, checksum)


def decode_batch(data: bytes, offset: int, marker: bytes) -> Batch:
    """Return the batch that starts at ``offset``, all of it verified. Raises ``BadFrame``."""
    batch = decode_batch_header(data, offset, marker)
    if batch.end > len(data):
        raise BadFrame("a batch runs beyond its segment")
    if crc32(data[batch.start : batch.end]) != batch.records_checksum:
        raise BadFrame("the checksum of a batch's records is wrong")
    return batch


def decode_records(data: bytes, batch: Batch) -> Iterator[Record]:
    """Yield the records of a verified batch.

    Raises ``BadFrame`` when they make no sense (the checksum is right, so it is no torn write) and
    ``FormatTooNew`` for a record type of a later version.
    """
    offset, end = batch.start, batch.end
    while offset < end:
        if end - offset < _RECORD.size:
            raise BadFrame("a record is cut off")
        record_type, kind, _, length = _RECORD.unpack_from(data, offset)
        body = offset + _RECORD.size
        offset = body + length
        if offset > end:
            raise BadFrame("a record is cut off")
        if record_type == RecordType.ENTRY and length >= _PAIR.size:
            term, index = _PAIR.unpack_from(data, body)
            yield Entry(term, index, kind, data[body + _PAIR.size : offset])
        else:
            yield _decode_rare(record_type, kind, data[body:offset])


def _decode_rare(record_type: int, kind: int, body: bytes) -> Record:
    match record_type:
        case RecordType.TRUNCATE if len(body) == _U64.size:
            return Truncate(*_U64.unpack(body))
        case RecordType.BOOT if len(body) == _U64.size:
            return Boot(*_U64.unpack(body))
        case RecordType.SNAPSHOTS if kind in (0, 1):
            return Snapshots(_decode_refs(body, 0), reset=kind == 1)
        case RecordType.CHECKPOINT if len(body) >= _PAIR.size:
            boot, last_index = _PAIR.unpack_from(body)
            return Checkpoint(boot, last_index, _decode_refs(body, _PAIR.size))
    if record_type not in set(RecordType):
        raise FormatTooNew(f"the log has a record of type {record_type}; it was written by a newer raftkv")
    raise BadFrame(f"a record of type {record_type} and kind {kind} has {len(body)} bytes")


def _decode_refs(body: bytes, offset: int) -> tuple[SnapshotRef, ...]:
    refs: list[SnapshotRef] = []
    while offset < len(body):
        if len(body) - offset < _REF.size:
            raise BadFrame("a snapshot's marker is cut off")
        index, term, size, checksum, *counts = _REF.unpack_from(body, offset)
        offset += _REF.size
        groups: list[tuple[int, ...]] = []
        for count in counts:
            if count > (len(body) - offset) // _U64.size:
                raise BadFrame("a snapshot's configuration is cut off")
            groups.append(struct.unpack_from(f"<{count}Q", body, offset))
            offset += count * _U64.size
        refs.append(SnapshotRef(Snapshot(index, term, Configuration(*groups)), size, checksum))
    return tuple(refs)
