"""Reading the log at start: everything that was acknowledged, or a refusal.

What can be found behind the last good batch, and what it means:

- Only zeros: the end of the log.
- The end of a file that was longer (each has its full size from the beginning): acknowledged data may have
  been cut off. The log is refused.
- Bytes that are no valid batch, and nothing behind them names them as durable: the save that the crash
  interrupted. It was never acknowledged. A *torn tail*, cut and reported.
- Bytes that are no valid batch, but the header of a later batch behind them, or a later segment with
  content (both are written only once all before is durable), or the bytes are the first batch of all
  (durable before its segment got its name, or before the segment in front of it was released):
  acknowledged data is damaged. The log is refused, never shortened.

Segments are released from the first one on and one by one, so what is there has no holes; and only below
the oldest snapshot that counts, so a log that begins later than that has lost something.

Reading changes nothing on the disk; ``repair`` does, before anything else is written.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

from raftkv.errors import FormatTooNew, StorageCorrupt, StorageError
from raftkv.storage.disk import ZEROS, Disk
from raftkv.storage.records import (
    BATCH_HEADER_BYTES,
    MARKER_BYTES,
    MIN_SEGMENT_HEADER_BYTES,
    BadFrame,
    Batch,
    BatchHeader,
    Metadata,
    RecordType,
    SegmentHeader,
    decode_batch,
    decode_batch_header,
    decode_records,
    decode_segment_header,
)
from raftkv.storage.replay import Replay
from raftkv.storage.segments import DRAFT_SUFFIX, Segment, parse_segment_name, segment_name
from raftkv.trace import TornTailCut

CHUNK_BYTES = len(ZEROS)
NOBODY = Metadata(0, 0, "")


Observer = Callable[[Segment, Batch, bytes], None]
"""Called with a segment, a good batch in it and the segment's content."""


@dataclass(slots=True)
class Tear:
    """Bytes ``start`` to ``end`` of a segment that are no batch; ``fault``: where that was seen."""

    segment: Segment
    start: int
    end: int
    fault: int
    reason: str

    def damage(self) -> StorageCorrupt:
        """Return the refusal, for when the bytes turn out to have been durable."""
        return StorageCorrupt(self.segment.path, self.fault, self.reason)


class LastSave(NamedTuple):
    """What the last good batch was written as: ``data`` at ``start`` of a segment."""

    segment: Segment
    start: int
    data: bytes


@dataclass(slots=True)
class RecoveredLog:
    """Where reading has come to; at the end, the whole log.

    ``segments``: those with content; the last one, ``current``, takes the next batch, its number
    ``number``, after the checksum ``chain``. ``unused``: segments without content behind it.
    ``observe`` is shown each good batch.
    """

    observe: Observer = lambda _segment, _batch, _data: None
    replay: Replay = field(default_factory=Replay)
    segments: list[Segment] = field(default_factory=list)
    unused: list[Segment] = field(default_factory=list)
    metadata: Metadata = NOBODY
    marker: bytes = b""
    number: int = 1
    chain: int = 0
    tear: Tear | None = None
    last_save: LastSave | None = None

    @property
    def current(self) -> Segment | None:
        """The last segment with content."""
        return self.segments[-1] if self.segments else None

    @property
    def position(self) -> int:
        """The end of the last good batch, as a position in the log."""
        return self.segments[-1].base + self.segments[-1].offset if self.segments else 0


class _Image:
    """A segment's content. ``data`` leaves out the zeros at its end; ``used_end`` is where they begin."""

    def __init__(self, chunks: list[bytes], size: int) -> None:
        self.data = b"".join(chunks)
        self.used_end = len(self.data) - len(chunks[-1]) + len(chunks[-1].rstrip(b"\0")) if chunks else 0
        self._size = size

    def batch_at(self, offset: int, marker: bytes) -> Batch:
        """Return the batch at ``offset``. Raises ``BadFrame``."""
        try:
            return decode_batch(self.data, offset, marker)
        except BadFrame:
            if len(self.data) >= self._size:
                raise
        self.data += bytes(self._size - len(self.data))  # a batch may end in zeros
        return decode_batch(self.data, offset, marker)


async def read_log(
    disk: Disk, directory: str, stack: AsyncExitStack, *, into: RecoveredLog | None = None, sync: bool = True
) -> RecoveredLog:
    """Read and verify every segment, and with ``sync`` make durable what was read.

    ``stack`` closes the files left open. ``into``: an empty one, which also shows how far reading came
    when it ends with an error. Raises ``StorageCorrupt``, ``FormatTooNew``, ``StorageError``.
    """
    names = await disk.list(directory)
    sequences = [number for name in names if (number := parse_segment_name(name)) is not None]
    if not sequences:
        raise StorageError(f"{directory}: there is no log")
    log = RecoveredLog() if into is None else into
    for expected, sequence in enumerate(sequences, start=sequences[0]):
        if sequence != expected:
            raise _missing(directory, expected)
        path = f"{directory}/{segment_name(sequence)}"
        file = await disk.open(path)
        stack.push_async_callback(file.close)
        segment = Segment(sequence, path, file, await file.size())
        image = await _read_image(segment)
        if sync:
            await file.sync()  # what a killed process wrote may be in the page cache only
        try:
            await _take_segment(log, segment, image)
        except FormatTooNew as error:
            raise FormatTooNew(f"{path}: {error}") from error
    if not log.replay.is_covered:
        raise _missing(directory, sequences[0] - 1)
    return log


def _missing(directory: str, sequence: int) -> StorageCorrupt:
    return StorageCorrupt(f"{directory}/{segment_name(sequence)}", 0, "the segment is missing")


async def repair(disk: Disk, directory: str, log: RecoveredLog) -> TornTailCut | None:
    """Cut the torn tail, remove drafts, and make that durable. Returns what was cut.

    The last save is written once more: if its sync failed, the kernel has marked its pages as clean. They
    are still read back, and another sync reports success, but they are not on the medium.
    """
    for name in await disk.list(directory):
        if name.endswith(DRAFT_SUFFIX):
            await disk.remove(f"{directory}/{name}")
    await disk.sync_directory(directory)
    if (save := log.last_save) is not None:
        await save.segment.file.write(save.start, save.data, sync=True)
    if (tear := log.tear) is None:
        return None
    length = tear.end - tear.start
    await tear.segment.file.write(tear.start, bytes(length), sync=True)
    return TornTailCut(segment_name(tear.segment.sequence), tear.start, length)


async def _read_image(segment: Segment) -> _Image:
    chunks: list[bytes] = []
    used = 0
    for offset in range(0, segment.size, CHUNK_BYTES):
        chunk = await segment.file.read(offset, CHUNK_BYTES)
        chunks.append(chunk)
        if chunk != ZEROS[: len(chunk)]:
            used = len(chunks)
    return _Image(chunks[:used], segment.size)


async def _take_segment(log: RecoveredLog, segment: Segment, image: _Image) -> None:
    """Add the next segment to ``log``."""
    if image.used_end == 0 and segment.sequence > 1:
        if segment.size < MIN_SEGMENT_HEADER_BYTES:  # an unused one has its full size
            raise StorageCorrupt(segment.path, segment.size, "the file ends where its header should be")
        if log.current is None:  # one without content is never the first
            raise _missing(segment.path.rpartition("/")[0], segment.sequence - 1)
        log.unused.append(segment)
        return
    fault = 0
    try:
        header, fault = decode_segment_header(image.data)
        _check_continuity(log, segment, header)
        log.tear = None  # what is behind the end that the header proves was never written by a save
        _check_first(header, image, fault, segment)
    except BadFrame as error:
        _take_torn_segment(log, Tear(segment, 0, image.used_end, fault, str(error)), image)
        return
    if log.current is not None:
        await log.current.file.close()
    log.segments.append(segment)
    log.metadata, log.marker = header.metadata, header.marker
    log.number, log.chain = header.number, header.chain
    segment.base, segment.offset, segment.last_index = header.base, fault, log.replay.last_index
    _read_batches(log, segment, image)
    _check_size(log, segment, header.size)


def _check_size(log: RecoveredLog, segment: Segment, size: int) -> None:
    """Refuse a segment that was cut short where batches were, or may have been.

    They follow one another directly, so behind zeros there was nothing.
    """
    ends_in_zeros = log.tear is None and segment.size - segment.offset >= MARKER_BYTES
    if segment.size < size and not ends_in_zeros:
        raise _cut_short(segment, size)


def _cut_short(segment: Segment, size: int) -> StorageCorrupt:
    return StorageCorrupt(segment.path, segment.size, f"the file ends here and had {size} bytes")


def _take_torn_segment(log: RecoveredLog, tear: Tear, image: _Image) -> None:
    """Take a segment without a good header and first batch, which are one write.

    The crash came while it was taken into use, or it is damaged. In the first segment there is it is
    always damage: they were durable before it got its name, or before the one in front was released.
    """
    if log.tear is not None:
        raise log.tear.damage()
    if log.current is None or log.unused or _proves_durable(log, image, 0):
        raise tear.damage()
    if tear.segment.size - tear.end < BATCH_HEADER_BYTES:  # the reserve follows what one write takes
        raise StorageCorrupt(tear.segment.path, tear.end, "the file is cut short here")
    log.tear = tear
    log.unused.append(tear.segment)


def _check_continuity(log: RecoveredLog, segment: Segment, header: SegmentHeader) -> None:
    """Check that all is there that was there when the segment was begun."""
    current = log.current
    if header.sequence != segment.sequence:
        raise StorageCorrupt(segment.path, 0, f"it is segment {header.sequence} under another name")
    if current is None and segment.sequence > 1:
        return  # what was before it is released
    if current is not None and (header.metadata, header.marker) != (log.metadata, log.marker):
        raise StorageCorrupt(segment.path, 0, "the segment belongs to another log")
    if not log.unused and (header.base, header.number, header.chain) == (log.position, log.number, log.chain):
        return
    if log.tear is not None:
        raise log.tear.damage()
    if current is None:
        raise StorageCorrupt(segment.path, 0, "the log does not begin with this segment")
    raise StorageCorrupt(current.path, current.offset, "batches are missing before the next segment")


def _check_first(header: SegmentHeader, image: _Image, start: int, segment: Segment) -> None:
    """Check the batch that was written together with the segment's header."""
    if segment.size < header.size and segment.size == image.used_end:
        raise _cut_short(segment, header.size)
    batch = image.batch_at(start, header.marker).header
    if (batch.number, batch.previous, batch.durable) != (header.number, header.chain, header.base):
        raise BadFrame("the first batch does not continue the one before")


def _read_batches(log: RecoveredLog, segment: Segment, image: _Image) -> None:
    start = last = segment.offset
    while segment.offset < image.used_end:
        try:
            batch = image.batch_at(segment.offset, log.marker)
            _check_chain(log, batch.header)
        except BadFrame as error:
            log.tear = Tear(segment, segment.offset, image.used_end, segment.offset, str(error))
            if _proves_durable(log, image, segment.offset):
                raise log.tear.damage() from error
            break
        try:
            if segment.offset == start and segment.sequence > 1:
                _check_begin(batch, image.data)
            log.replay.take(batch.header.hard_state, decode_records(image.data, batch))
        except BadFrame as error:
            raise StorageCorrupt(segment.path, segment.offset, str(error)) from error
        log.observe(segment, batch, image.data)
        last = segment.offset
        log.number, log.chain, segment.offset = log.number + 1, batch.chain, batch.end
    begin = 0 if last == start else last  # the first batch is written together with the header
    log.last_save = LastSave(segment, begin, image.data[begin : segment.offset])


def _check_begin(batch: Batch, data: bytes) -> None:
    if batch.start == batch.end or data[batch.start] != RecordType.CHECKPOINT:
        raise BadFrame("the segment does not begin with a checkpoint")


def _check_chain(log: RecoveredLog, header: BatchHeader) -> None:
    if (header.number, header.previous) != (log.number, log.chain) or header.durable > log.position:
        raise BadFrame("a batch does not continue the one before")


def _proves_durable(log: RecoveredLog, image: _Image, start: int) -> bool:
    """Whether a batch header behind ``start`` names what is at ``start`` as durable.

    The header is proof whatever became of the batch's records: it was written after the batch before it
    was durable.
    """
    found = image.data.find(log.marker, start)
    while found >= 0:
        try:
            header = decode_batch_header(image.data, found, log.marker).header
        except BadFrame:
            pass  # a torn header proves nothing; another may
        else:
            if header.durable > log.position:
                return True
        found = image.data.find(log.marker, found + 1)
    return False
