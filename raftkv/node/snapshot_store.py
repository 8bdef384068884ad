"""The snapshots of one member: which count, who is being served, and what may go.

Those that count are the last few, and the log names them. A file that is still being sent to a follower stays
beyond that. Tasks that make, receive and remove files meet here: one at a time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Final

from raftkv.errors import SnapshotDamaged, StorageError
from raftkv.node.throttle import Throttle
from raftkv.node.transport import SnapshotChunk
from raftkv.storage.disk import File
from raftkv.storage.snapshot_format import SnapshotMeta, SnapshotRef
from raftkv.storage.snapshots import (
    IncomingSnapshot,
    SnapshotDraft,
    SnapshotFolder,
    UnpublishedSnapshot,
)

KEPT: Final = 3
"""How many snapshots count: when the newest is damaged, an older one and the log after it will do."""

CHUNK_BYTES: Final = 64 * 1024

SERVE_BYTES_PER_SECOND: Final = 8 * 1024 * 1024
"""For all followers together, so that those who write notice little of it."""

SERVED_SECONDS: Final = 30.0
"""A file that was asked for so recently is still being sent."""


CHECK_PAUSE: Final = 0.002
"""Seconds between two blocks of a file that is read only to see whether it is damaged."""


class SnapshotStore:
    """Snapshot files over a ``SnapshotFolder``; ``kept`` are those that count, oldest first.

    ``suspicion`` is called when a file may be damaged. Methods raise StorageError.
    """

    def __init__(self, folder: SnapshotFolder, kept: Sequence[SnapshotRef]) -> None:
        self.kept = tuple(kept)
        self.replacements = 0
        self.chunk_bytes = CHUNK_BYTES
        self._folder = folder
        self._files = {_key(ref): ref for ref in kept}
        # What does not count any more, and the log may still name: as files, and (damaged) without a file.
        self._replaced: tuple[SnapshotRef, ...] = ()
        self._unnamed: tuple[SnapshotRef, ...] = ()
        self._put_aside: tuple[SnapshotRef, ...] = ()
        self._undecided: dict[tuple[int, int], SnapshotRef] = {}
        self._served: dict[tuple[int, int], float] = {}
        self._sent_whole: list[tuple[int, int]] = []
        self._suspect: SnapshotRef | None = None
        self.suspicion: Callable[[], None] = lambda: None
        self._throttle = Throttle(SERVE_BYTES_PER_SECOND)
        self._lock = asyncio.Lock()

    @property
    def newest(self) -> SnapshotRef | None:
        """The snapshot that the log begins with, or began with."""
        return self.kept[-1] if self.kept else None

    def kept_with(self, ref: SnapshotRef) -> tuple[SnapshotRef, ...]:
        """Return those that are to count once ``ref``, the newest, does."""
        return (*self.kept, ref)[-KEPT:]

    def add(self, ref: SnapshotRef) -> None:
        """Note that ``ref`` counts from now on, as the newest, and that the log names just those that do."""
        self.kept = self.kept_with(ref)
        self.confirm()
        self._files[_key(ref)] = ref
        self.give_up(ref)

    def replace(self, ref: SnapshotRef) -> None:
        """Note that ``ref`` takes the place of all; these stay until ``confirm``, for the log names them."""
        self._replaced += self.kept
        self.kept = (ref,)
        self._unnamed += (ref,)
        self.replacements += 1
        self._files[_key(ref)] = ref
        self.give_up(ref)

    def confirm(self) -> None:
        """Note that the log has forgotten what does not count."""
        self._replaced = self._put_aside = self._unnamed = ()

    @property
    def oldest_index(self) -> int:
        """Index of the oldest snapshot that the log may name; 0 where it names none.

        One that was installed is served from at once, and named only when that is durable.
        """
        named = [ref for ref in (*self._replaced, *self._put_aside, *self.kept) if ref not in self._unnamed]
        return min((ref.snapshot.index for ref in named), default=0)

    def overtaken(self, ref: SnapshotRef) -> None:
        """Note that ``ref`` was replaced while the log took note of it: it stays until ``confirm``."""
        self._replaced += (ref,)
        self.give_up(ref)

    def give_up(self, ref: SnapshotRef) -> None:
        """Note that a published file is not waiting for the log any more: if it does not count, it goes."""
        self._undecided.pop(_key(ref), None)

    # ---------------------------------------------------------------- serving

    async def serve(self, index: int, term: int, offset: int) -> SnapshotChunk | None:
        """Return a chunk of a file, in its turn; None where there is no such file or place in it.

        Also None where it can't be read: the followers are better served by another snapshot.
        """
        ref = self._files.get((index, term))
        if ref is None or offset >= ref.size:
            return None
        self._served[index, term] = asyncio.get_running_loop().time()
        if offset == 0 and (index, term) in self._sent_whole:
            # All of it was sent before: to another follower, or to this one, who found it damaged.
            self._look_into(ref)
        await self._throttle.take(self.chunk_bytes)
        try:
            data = await self._read(ref, offset)
        except StorageError:
            data = b""
        if not data:  # the file is gone, or ends early: without another one the follower would ask for ever
            self._look_into(ref)
            return None
        if offset + len(data) >= ref.size and (index, term) not in self._sent_whole:
            self._sent_whole.append((index, term))
        return SnapshotChunk(ref.size, ref.checksum, offset, data)

    @asynccontextmanager
    async def opened(self, ref: SnapshotRef) -> AsyncIterator[File]:
        """Open a file to read; what is removed meanwhile can be read to its end."""
        file = await self._folder.open(ref)
        try:
            yield file
        finally:
            await file.close()

    def _look_into(self, ref: SnapshotRef) -> None:
        self._suspect = ref
        self.suspicion()

    async def check_suspect(self) -> SnapshotDamaged | None:
        """Read a file that may be damaged, in slices; return what is wrong with it, and put it aside then."""
        ref, self._suspect = self._suspect, None
        if ref is None:
            return None
        self._sent_whole = [key for key in self._sent_whole if key != _key(ref)]
        try:
            async with aclosing(self._folder.read(ref)) as blocks:
                async for _ in blocks:
                    await asyncio.sleep(CHECK_PAUSE)
        except SnapshotDamaged as error:
            async with self._lock:
                if ref in self.kept:
                    self._put_aside += (ref,)
                self.kept = tuple(kept for kept in self.kept if kept != ref)
                self._replaced = tuple(kept for kept in self._replaced if kept != ref)
                self._files.pop(_key(ref), None)
                await self._folder.mark_damaged(ref)
            return error
        return None

    async def _read(self, ref: SnapshotRef, offset: int) -> bytes:
        async with self.opened(ref) as file:
            return await file.read(offset, self.chunk_bytes)

    def being_served(self) -> list[int]:
        """Return the indexes of the snapshots that followers fetch, in ascending order."""
        since = asyncio.get_running_loop().time() - SERVED_SECONDS
        self._served = {key: at for key, at in self._served.items() if at >= since}
        return sorted(index for index, _ in self._served)

    # ---------------------------------------------------------------- files

    async def create(self, meta: SnapshotMeta) -> SnapshotDraft:
        """Begin a snapshot."""
        async with self._lock:
            return await self._folder.create(meta)

    async def receive(self, ref: SnapshotRef) -> IncomingSnapshot:
        """Begin to receive a file, or go on with it."""
        async with self._lock:
            return await self._folder.receive(ref)

    async def publish(self, finished: UnpublishedSnapshot) -> SnapshotRef:
        """Give a file its name. It counts only when the log names it; until it is given up it stays."""
        async with self._lock:
            ref = await self._folder.publish(finished)
            self._undecided[_key(ref)] = ref
            return ref

    async def discard(self, unpublished: UnpublishedSnapshot) -> None:
        """Remove a file that was not published."""
        async with self._lock:
            await unpublished.discard()

    async def prune(self, offered: Sequence[int]) -> None:
        """Remove every file that neither counts nor is being sent to a follower.

        ``offered``: indexes of snapshots that followers were told of.
        """
        async with self._lock:
            needed = [*self.being_served(), *offered]
            counting = {_key(ref): ref for ref in (*self._replaced, *self.kept)}
            self._files = {key: ref for key, ref in self._files.items() if key[0] in needed} | counting
            self._sent_whole = [key for key in self._sent_whole if key in self._files]
            await self._folder.keep([*self._files.values(), *self._undecided.values()])

    async def close(self) -> None:
        """Close what is open."""
        await self._folder.close()


def _key(ref: SnapshotRef) -> tuple[int, int]:
    return ref.snapshot.index, ref.snapshot.term
