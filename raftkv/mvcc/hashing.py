"""A checksum of the keys and their history up to a revision, taken in slices while the store goes on.

It covers each version that can be read (see ``visible_from``), so it is the same on all members at an
equal revision and compact revision: however far each has carried the compaction out, and whether it has
applied the log, started from a snapshot or been sent one.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Self
from zlib import crc32

import msgpack

from raftkv.mvcc.store_dump import StoreDump

START = b"raftkv"
"""What is hashed first, so that an empty store has a number too: JSON leaves out a zero."""


class RevisionHash:
    """One checksum being taken; call ``step`` until it returns False, then read ``value``.

    ``current`` and ``compact_revision`` are the store's when it was begun. It is zlib's CRC-32 of
    ``START`` and then the versions, by key and then from the oldest on, each in msgpack. Close it, or use
    it as a context manager: until then nothing that it may need is removed.
    """

    def __init__(self, dump: StoreDump, current: int, compact_revision: int) -> None:
        self.current = current
        self.compact_revision = compact_revision
        self.value = crc32(START)
        self._dump = dump
        self._versions = dump.versions()
        self._pack: Callable[[object], bytes] = msgpack.Packer().pack

    def step(self) -> bool:
        """Take in some more, in about a millisecond; return True while there is more."""
        versions = next(self._versions, None)
        if versions is None:
            return False
        self.value = crc32(b"".join(map(self._pack, versions)), self.value)
        return True

    def close(self) -> None:
        """Let compaction go on."""
        self._dump.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
