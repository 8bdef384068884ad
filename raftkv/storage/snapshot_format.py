"""The bytes of a snapshot: a header, blocks, an end. Pure: bytes in, values out.

All integers are little-endian; ``docs/formats.md`` describes the format in prose. The same bytes make a
snapshot file, a snapshot on its way to another member and a backup.

Two rules hold. Nothing is believed before its checksum is right: a length that was read is bounded, and
no memory is taken for what has not arrived. And every block is tied to the one before it and, by the
SHA-256 at the end, to the whole: no byte can change, and nothing can be left out, added or moved.
"""

import re
from hashlib import sha256
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from raftkv.errors import FormatTooNew, SnapshotDamaged
from raftkv.raft.types import Configuration, Snapshot

FORMAT_VERSION = 1
MAGIC = b"raftkvsn"
CHECKSUM_BYTES = 32

MAX_BLOCK_BYTES = 64 << 20
"""Most bytes of one block's data, so that a reader's memory is bounded.

Writers stay near 256 KiB, unless one value is larger (``--max-request-bytes`` goes up to 32 MiB).
"""

MAX_HEADER_BYTES = 1 << 20
"""Most bytes of the header, of which all but some 80 are the ids of members, removed ones included."""

_PRELUDE = Struct("<8sII")  # magic, CRC, length of the whole header
_CHECKED_FROM = 12  # the header's CRC covers everything behind itself
_META = Struct("<IIQQQqqQIII4x")
_FRAME = Struct("<IIIIIB3x")  # CRC, previous, length, CRC of the data, version, length of the name
_FRAME_CHECKED_FROM = 4
_COUNT = Struct("<Q")
_NAME = re.compile(rb"[a-z][a-z0-9_]{0,31}")


class SnapshotMeta(NamedTuple):
    """Of which cluster and of which place of its log a snapshot is.

    ``revision`` and ``compact_revision`` (-1: never compacted) are the store's, ``keys`` counts its live
    keys.
    """

    cluster_id: int
    snapshot: Snapshot
    revision: int
    compact_revision: int
    keys: int


class Block(NamedTuple):
    """A piece of one part of the state machine, in that part's own format ``version``."""

    part: str
    version: int
    data: bytes


class SnapshotRef(NamedTuple):
    """One snapshot file and no other: its place in the log, its size in bytes, and its checksum.

    ``checksum``: the 32 bytes at its end, the SHA-256 of all before.
    """

    snapshot: Snapshot
    size: int
    checksum: bytes


class SnapshotEncoder:
    """Turns a snapshot into bytes: ``begin`` once, ``block`` for each, ``end`` once, in this order.

    ``size`` is how many bytes were returned so far. ``checksum`` is valid after ``end``.
    """

    def __init__(self, meta: SnapshotMeta) -> None:
        self._meta = meta
        self._sha = sha256()
        self._chain = 0
        self._blocks = 0
        self.size = 0
        self.checksum = b""

    def begin(self) -> bytes:
        """Return the header."""
        assert self.size == 0, "a snapshot begins once"
        header = _encode_header(self._meta)
        self._chain = crc32(memoryview(header)[_CHECKED_FROM:])
        return self._take(header)

    def block(self, block: Block) -> bytes:
        """Return a block's bytes."""
        name = block.part.encode()
        assert _NAME.fullmatch(name), f"{block.part!r} can't be the name of a part"
        assert len(block.data) <= MAX_BLOCK_BYTES, f"a block of {len(block.data)} bytes"
        self._blocks += 1
        return self._frame(name, block.version, block.data)

    def end(self) -> bytes:
        """Return what closes the snapshot."""
        last = self._frame(b"", 0, _COUNT.pack(self._blocks))
        self.checksum = self._sha.digest()
        self.size += CHECKSUM_BYTES
        return last + self.checksum

    def _frame(self, name: bytes, version: int, data: bytes) -> bytes:
        assert self.size > 0, "a snapshot begins with its header"
        assert not self.checksum, "a snapshot ends once"
        fields = _FRAME.pack(0, self._chain, len(data), crc32(data), version, len(name))
        checked = fields[_FRAME_CHECKED_FROM:] + name
        self._chain = crc32(checked)
        return self._take(b"".join((self._chain.to_bytes(4, "little"), checked, data)))

    def _take(self, data: bytes) -> bytes:
        self._sha.update(data)
        self.size += len(data)
        return data


class _Frame(NamedTuple):
    """A frame's header, verified. ``start`` and ``end``: where its data is, from the frame's first byte."""

    chain: int
    name: str
    version: int
    start: int
    end: int
    data_checksum: int


class SnapshotDecoder:
    """Reads a snapshot that arrives in pieces of any size.

    ``name`` says in errors what is read. ``meta`` is there once the header was read. ``checksum`` is the
    snapshot's once it ended, b"" before. What ``feed`` returned may be used for good only when
    ``finish`` has not raised. Memory: what was fed in last, and never more than one block beside it.
    """

    def __init__(self, name: str = "snapshot") -> None:
        self.meta: SnapshotMeta | None = None
        self.checksum = b""
        self.offset = 0
        self._name = name
        self._sha = sha256()
        self._buffer = bytearray()
        self._chain = 0
        self._blocks = 0
        self._ending = False

    def feed(self, data: bytes) -> list[Block]:
        """Take the next bytes; return the blocks that are complete now.

        Raises SnapshotDamaged, and FormatTooNew for a later version of the format.
        """
        self._buffer += data
        if self.meta is None and not self._read_header():
            return []
        blocks: list[Block] = []
        while not self._ending and (frame := self._read_frame()) is not None:
            self._read_data(frame, blocks)
        if self._ending:
            self._read_end()
        return blocks

    def finish(self) -> None:
        """Raise SnapshotDamaged unless the whole snapshot was fed in and all of it is right."""
        if not self.checksum:
            raise self._damaged("the end of the snapshot is missing")

    def _read_header(self) -> bool:
        if len(self._buffer) < _PRELUDE.size:
            return False
        magic, checksum, length = _PRELUDE.unpack_from(self._buffer)
        if magic != MAGIC or not _PRELUDE.size < length <= MAX_HEADER_BYTES:
            raise self._damaged("the header of a snapshot is missing")
        if len(self._buffer) < length:
            return False
        header = bytes(self._buffer[_CHECKED_FROM:length])
        if crc32(header) != checksum:
            raise self._damaged("the checksum of the header is wrong")
        self.meta = self._decode_meta(header[4:])
        self._chain = checksum
        self._consume(length)
        return True

    def _decode_meta(self, data: bytes) -> SnapshotMeta:
        version = int.from_bytes(data[:4], "little")
        if version > FORMAT_VERSION:
            raise FormatTooNew(
                f"{self._name}: a snapshot of format version {version}; this raftkv reads up to "
                f"version {FORMAT_VERSION}"
            )
        meta = _decode_meta(data) if version else None
        if meta is None:
            raise self._damaged("the header makes no sense")
        return meta

    def _read_data(self, frame: _Frame, blocks: list[Block]) -> None:
        with memoryview(self._buffer) as view:
            data = bytes(view[frame.start : frame.end])
        if crc32(data) != frame.data_checksum:
            raise self._damaged("the checksum of a block's data is wrong")
        if frame.name:
            self._blocks += 1
            blocks.append(Block(frame.name, frame.version, data))
        elif data == _COUNT.pack(self._blocks):
            self._ending = True
        else:
            raise self._damaged("blocks are missing")
        self._chain = frame.chain
        self._consume(frame.end)

    def _read_frame(self) -> _Frame | None:
        """Return the frame at the start of the buffer once it is complete."""
        buffer = self._buffer
        if len(buffer) < _FRAME.size:
            return None
        chain, previous, length, data_checksum, version, name_length = _FRAME.unpack_from(buffer)
        start = _FRAME.size + name_length
        if len(buffer) < start:
            return None
        if crc32(buffer[_FRAME_CHECKED_FROM:start]) != chain:
            raise self._damaged("the checksum of a block's header is wrong")
        name = bytes(buffer[_FRAME.size : start])
        if previous != self._chain or length > MAX_BLOCK_BYTES or (name and not _NAME.fullmatch(name)):
            raise self._damaged("a block is not the one that belongs here")
        end = start + length
        if len(buffer) < end:
            return None
        return _Frame(chain, name.decode("ascii"), version, start, end, data_checksum)

    def _read_end(self) -> None:
        if len(self._buffer) > (0 if self.checksum else CHECKSUM_BYTES):
            raise self._damaged("something follows the end of the snapshot")
        if len(self._buffer) == CHECKSUM_BYTES:
            if self._buffer != self._sha.digest():
                raise self._damaged("the checksum of the whole snapshot is wrong")
            self.checksum = bytes(self._buffer)
            self.offset += CHECKSUM_BYTES
            self._buffer.clear()

    def _consume(self, length: int) -> None:
        with memoryview(self._buffer) as view:
            self._sha.update(view[:length])
        del self._buffer[:length]
        self.offset += length

    def _damaged(self, reason: str) -> SnapshotDamaged:
        return SnapshotDamaged(self._name, self.offset, reason)


def _encode_header(meta: SnapshotMeta) -> bytes:
    index, term, (voters, learners, removed) = meta.snapshot
    fields = _META.pack(
        FORMAT_VERSION,
        0,
        meta.cluster_id,
        index,
        term,
        meta.revision,
        meta.compact_revision,
        meta.keys,
        len(voters),
        len(learners),
        len(removed),
    )
    ids = b"".join(_COUNT.pack(member) for member in (*voters, *learners, *removed))
    length = _PRELUDE.size + len(fields) + len(ids)
    assert length <= MAX_HEADER_BYTES, f"a header of {length} bytes"
    checked = length.to_bytes(4, "little") + fields + ids
    return MAGIC + crc32(checked).to_bytes(4, "little") + checked


def _decode_meta(data: bytes) -> SnapshotMeta | None:
    """Return what follows a header's length, None when it makes no sense."""
    if len(data) < _META.size or len(data) % _COUNT.size:
        return None
    _, flags, cluster_id, index, term, revision, compact_revision, keys, *counts = _META.unpack_from(data)
    ids = [member for (member,) in _COUNT.iter_unpack(data[_META.size :])]
    if flags or len(ids) != sum(counts):
        return None
    learners, removed = counts[0], counts[0] + counts[1]
    configuration = Configuration(tuple(ids[:learners]), tuple(ids[learners:removed]), tuple(ids[removed:]))
    return SnapshotMeta(cluster_id, Snapshot(index, term, configuration), revision, compact_revision, keys)
