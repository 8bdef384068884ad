"""The files of the log: their names, and the next one prepared ahead.

A segment is made under a draft name, given its full size, synced, and only then gets its name; an empty
one (all zero) is a spare. The rule of this file: **space is reserved before it is promised**. A spare is
prepared as soon as the one before it is taken into use, so a full disk is known a whole segment early.
"""

import asyncio
import contextlib
from dataclasses import dataclass

from raftkv.errors import NoSpace, StorageError
from raftkv.storage.disk import Disk, File

SUFFIX = ".wal"
DRAFT_SUFFIX = ".draft"
SEQUENCE_DIGITS = 16


@dataclass(slots=True)
class Segment:
    """A segment of the log.

    ``offset``: where the next batch goes. ``base``: its position in the log. ``last_index``: that of the
    last entry before it.
    """

    sequence: int
    path: str
    file: File
    size: int
    base: int = 0
    offset: int = 0
    last_index: int = 0


def segment_name(sequence: int) -> str:
    """Return the file name of a segment; names sort as their numbers do."""
    return f"{sequence:0{SEQUENCE_DIGITS}d}{SUFFIX}"


def parse_segment_name(name: str) -> int | None:
    """Return the number in a segment's file name, None when it is no segment."""
    digits = name.removesuffix(SUFFIX)
    if len(digits) != SEQUENCE_DIGITS or not (digits.isascii() and digits.isdigit()) or digits == name:
        return None
    return int(digits)


async def publish_segment(disk: Disk, directory: str, sequence: int, size: int, content: bytes) -> None:
    """Make a segment of ``size`` bytes that begins with ``content``, durable with its name.

    The name appears only after everything in it is durable. Raises ``NoSpace``; then nothing is left.
    """
    path = f"{directory}/{segment_name(sequence)}"
    draft = path + DRAFT_SUFFIX
    file = await disk.create(draft)
    try:
        await file.preallocate(size)
        if content:
            await file.write(0, content, sync=False)
        await file.sync()
        await disk.rename(draft, path)
        await disk.sync_directory(directory)
    except NoSpace:
        await disk.remove(draft)
        raise
    finally:
        await file.close()


class SegmentSupply:
    """Keeps one empty segment ready.

    ``has_room`` is False from the moment on at which the next segment could not be reserved, until it
    could be.
    """

    def __init__(self, disk: Disk, directory: str, segment_bytes: int, retry_seconds: float) -> None:
        self.has_room = True
        self._disk = disk
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._retry_seconds = retry_seconds
        self._spare: Segment | None = None
        self._next = 0
        self._preparing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._failure: StorageError | None = None

    @property
    def has_spare(self) -> bool:
        """Whether the next segment is there, durably."""
        return self._spare is not None

    async def begin(self, sequence: int, spare: Segment | None) -> None:
        """Start with ``sequence`` as the next segment; ``spare`` is it, if it is there already."""
        self._next = sequence
        self._spare = spare
        if not await self.reserve():
            self.prepare()

    async def reserve(self) -> bool:
        """Make sure of the next segment and return whether there is one."""
        self.check()
        async with self._preparing:
            if self._spare is None:
                try:
                    self._spare = await self._make()
                except NoSpace:
                    self.has_room = False
                    return False
                except StorageError as error:
                    self._failure = error
                    self.check()
            self.has_room = True
            return True

    def prepare(self) -> None:
        """Prepare the next segment in the background, trying again until there is room."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._prepare(), name="wal-prepare")

    def check(self) -> None:
        """Raise what went wrong in the background, other than a lack of room."""
        if self._failure is not None:
            raise StorageError(f"the next segment could not be made: {self._failure}") from self._failure

    async def take(self, minimum: int) -> Segment:
        """Hand out the next segment, at least ``minimum`` bytes long. Raises ``NoSpace``."""
        if not await self.reserve() or self._spare is None:
            raise NoSpace(
                f"{self._directory}: no room for segment {self._next} of {self._segment_bytes} bytes"
            )
        spare = self._spare
        if spare.size < minimum:
            await spare.file.preallocate(minimum)
            await spare.file.sync()
            spare.size = minimum
        self._spare = None
        self._next += 1
        return spare

    async def close(self) -> None:
        """End the background work and close the spare."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._spare is not None:
            await self._spare.file.close()

    async def _make(self) -> Segment:
        sequence, size = self._next, self._segment_bytes
        await publish_segment(self._disk, self._directory, sequence, size, b"")
        path = f"{self._directory}/{segment_name(sequence)}"
        return Segment(sequence, path, await self._disk.open(path), size)

    async def _prepare(self) -> None:
        with contextlib.suppress(StorageError):  # reserve keeps it, and the next save tells it
            while not await self.reserve():  # noqa: ASYNC110 - no event tells that a disk has room again
                await asyncio.sleep(self._retry_seconds)
