"""The record of a member's calls as a file: written as the member runs, read to be replayed.

Version 1 is a sequence of msgpack values. The first is ``["raftkv core record", 1]``; each other one is a
``Record`` as an array: [sequence, member id, call, arguments, draws, effects, digest], the first of them
the start of the core. A replay needs that start, so a file that is full ends, and does not give up its
beginning as a ring would. The last value may be cut short by a crash.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

import msgpack

from raftkv.errors import RaftKvError
from raftkv.trace import Emit, Record, RecordEnded

FORMAT = "raftkv core record"
VERSION = 1

MAX_RECORD_BYTES = 256 * 1024 * 1024
"""What a file of one start may take; about a day of a member with little to do."""


class RecordUnreadable(RaftKvError):
    """A file that is no record, of another version, or damaged."""


class RecordFile:
    """Takes records like ``Recorder`` and writes them to ``stream``, up to ``limit`` bytes.

    A stream that fails or is full ends the record, which ``emit`` is told once, and not the member.
    """

    def __init__(self, stream: BinaryIO, emit: Emit, limit: int = MAX_RECORD_BYTES) -> None:
        self._stream = stream
        self._emit = emit
        self._room = limit
        self._next = 1
        self._ended = False
        self._write(msgpack.packb([FORMAT, VERSION]))

    def add(
        self,
        node_id: int,
        call: str,
        *,
        arguments: bytes,
        draws: Iterable[int | float],
        effects: bytes,
        digest: bytes,
    ) -> None:
        """Write one call as the next record."""
        if self._ended:
            return
        record = Record(self._next, node_id, call, arguments, tuple(draws), effects, digest)
        self._write(msgpack.packb(record))
        if call == "tick" and not self._ended:
            self._trying(self._stream.flush)  # so that a kill costs no more than the last interval
        self._next += not self._ended

    def close(self) -> None:
        """Bring what is left to the file."""
        self._trying(self._stream.close)
        self._ended = True

    def _write(self, packed: bytes) -> None:
        self._room -= len(packed)
        if self._room < 0:
            self._end("the file is as large as it may be")
        else:
            self._trying(lambda: self._stream.write(packed))

    def _trying(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError as error:
            self._end(error.strerror or str(error))

    def _end(self, reason: str) -> None:
        if not self._ended:
            self._ended = True
            self._emit(RecordEnded(self._next - 1, reason))


def read_records(stream: BinaryIO) -> Iterator[Record]:
    """Yield the records of a file, without a last one that was cut short.

    Raises RecordUnreadable for what is no such file, is of another version, or is damaged.
    """
    values = msgpack.Unpacker(stream, use_list=False, max_buffer_size=MAX_RECORD_BYTES)
    try:
        header = next(values, None)
        if not isinstance(header, tuple) or header[:1] != (FORMAT,):
            raise RecordUnreadable("this is not a record of a core")
        if header[1:] != (VERSION,):
            raise RecordUnreadable(f"a record of version {header[1:]}; this program reads version {VERSION}")
        for fields in values:
            yield _record(fields)
    except (msgpack.UnpackException, ValueError) as error:
        raise RecordUnreadable(f"damaged: {error!r}") from error


def _record(fields: object) -> Record:
    if not isinstance(fields, tuple) or len(fields) != len(Record._fields):
        raise RecordUnreadable(f"damaged: {fields!r:.80} is no record")
    return Record(*fields)
