"""Snapshot files: made, published, read, received and thrown away.

``INDEX-TERM.snap`` (both as 16 hex digits) is a snapshot. A name that ends in ``.draft`` is one being
made here, in ``.part`` one that arrives from another member, in ``.damaged`` one that was found damaged and
is kept for people to look at. The rule of this file: **a name that ends in .snap is given only to what is
complete and durable**. Which of these files count is not said here but by the markers in the log.

Writes go out in pieces and are synced every few MiB: one large sync at the end would hold back
everything else on the device for as long as it takes.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from raftkv.errors import FormatTooNew, NoSpace, PeerProtocolError, SnapshotDamaged, StorageError
from raftkv.raft.types import Snapshot
from raftkv.storage.disk import Disk, File
from raftkv.storage.snapshot_format import Block, SnapshotDecoder, SnapshotEncoder, SnapshotMeta, SnapshotRef

SUFFIX = ".snap"
DRAFT_SUFFIX = ".draft"
PART_SUFFIX = ".part"
DAMAGED_SUFFIX = ".damaged"

WRITE_BYTES = 1 << 20
"""Blocks are gathered into writes of about this size, and larger ones cut."""

SYNC_BYTES = 8 << 20
"""At most about this much is written and not synced while a snapshot is made or received."""

READ_BYTES = 1 << 20
"""A file is read and checked in pieces of this size: some 1 ms each."""


def snapshot_name(snapshot: Snapshot) -> str:
    """Return the file name of a snapshot; names sort as their indexes do."""
    return f"{snapshot.index:016x}-{snapshot.term:016x}{SUFFIX}"


class UnpublishedSnapshot:
    """A file that is being filled. Whoever has one publishes or discards it.

    ``ref`` is there once it is finished: complete and durable under its passing name.
    """

    def __init__(self, folder: "SnapshotFolder", path: str, file: File) -> None:
        self.path = path
        self.file = file
        self.ref: SnapshotRef | None = None
        self._folder = folder
        self._unsynced = 0

    async def discard(self) -> None:
        """Close and remove the file; may be repeated. Raises StorageError."""
        await self._folder.forget(self)

    async def _write_at(self, offset: int, data: bytes) -> None:
        """Write, and sync now and then. When there is no room, nothing is left."""
        try:
            for start in range(0, len(data), WRITE_BYTES):
                piece = data[start : start + WRITE_BYTES]
                self._unsynced += len(piece)
                due = self._unsynced >= SYNC_BYTES
                await self.file.write(offset + start, piece, sync=due)
                if due:
                    self._unsynced = 0
        except NoSpace:
            await self.discard()
            raise

    async def _sync(self) -> None:
        try:
            await self.file.sync()
        except NoSpace:
            await self.discard()
            raise


class SnapshotDraft(UnpublishedSnapshot):
    """A snapshot being made: ``write`` each block, then ``finish``.

    Both raise ``NoSpace``, after which the file is gone, and ``StorageError``.
    """

    def __init__(self, folder: "SnapshotFolder", path: str, file: File, meta: SnapshotMeta) -> None:
        super().__init__(folder, path, file)
        self._snapshot = meta.snapshot
        self._encoder = SnapshotEncoder(meta)
        self._pending = [self._encoder.begin()]
        self._written = 0

    async def write(self, block: Block) -> None:
        """Add a block; it is on its way to the disk some blocks later."""
        self._pending.append(self._encoder.block(block))
        if self._encoder.size - self._written >= WRITE_BYTES:
            await self._flush()

    async def finish(self) -> SnapshotRef:
        """Write the end and make all of it durable, still under the draft's name."""
        self._pending.append(self._encoder.end())
        await self._flush()
        await self._sync()
        self.ref = SnapshotRef(self._snapshot, self._encoder.size, self._encoder.checksum)
        return self.ref

    async def _flush(self) -> None:
        data = b"".join(self._pending)
        self._pending.clear()
        offset, self._written = self._written, self._written + len(data)
        await self._write_at(offset, data)


class IncomingSnapshot(UnpublishedSnapshot):
    """A snapshot arriving in chunks. ``offset``: where the next chunk belongs, in bytes."""

    def __init__(self, folder: "SnapshotFolder", path: str, file: File, wanted: SnapshotRef) -> None:
        super().__init__(folder, path, file)
        self.wanted = wanted
        self.offset = 0
        self._verified = False

    @property
    def complete(self) -> bool:
        """Whether every byte has arrived."""
        return self.offset == self.wanted.size

    async def write(self, offset: int, data: bytes) -> None:
        """Add the chunk that belongs at ``offset``.

        Raises PeerProtocolError for one that doesn't belong there or reaches beyond the end, ``NoSpace``
        (the file is gone then) and ``StorageError``.
        """
        if offset != self.offset or offset + len(data) > self.wanted.size:
            raise PeerProtocolError(
                f"{len(data)} bytes at offset {offset} of a snapshot of {self.wanted.size} bytes, "
                f"of which {self.offset} have arrived"
            )
        await self._write_at(offset, data)
        self.offset += len(data)

    async def blocks(self) -> AsyncGenerator[Block, None]:
        """Yield the blocks of what has arrived; all are right only when the end was reached.

        Raises SnapshotDamaged and FormatTooNew; the file is gone then.
        """
        try:
            async with aclosing(_verified(self.file, self.path, self.wanted)) as blocks:
                async for block in blocks:
                    yield block
        except (SnapshotDamaged, FormatTooNew):
            await self.discard()
            raise
        self._verified = True

    async def finish(self) -> SnapshotRef:
        """Verify the file, unless ``blocks`` has, and make it durable, still under its passing name.

        Raises SnapshotDamaged, FormatTooNew and ``NoSpace``, and the file is gone then; ``StorageError``.
        """
        if not self._verified:
            async with aclosing(self.blocks()) as blocks:
                async for _ in blocks:
                    pass
        await self._sync()
        self.ref = self.wanted
        return self.ref


class SnapshotFolder:
    """The folder of a member's snapshots. Its methods raise ``StorageError``.

    Used by one task at a time, but for ``open`` and the files themselves.
    """

    def __init__(self, disk: Disk, directory: str) -> None:
        self._disk = disk
        self._directory = directory
        self._made = False
        self._drafts = 0
        self._unpublished: dict[str, UnpublishedSnapshot] = {}
        self._incoming: IncomingSnapshot | None = None
        self._published: dict[str, SnapshotRef] = {}

    async def create(self, meta: SnapshotMeta) -> SnapshotDraft:
        """Begin a snapshot. Several may be under way at once (one of them for a backup)."""
        self._drafts += 1
        name = f"{snapshot_name(meta.snapshot)}.{self._drafts}{DRAFT_SUFFIX}"
        draft = SnapshotDraft(self, self._path(name), await self._create(name), meta)
        self._unpublished[name] = draft
        return draft

    async def receive(self, wanted: SnapshotRef) -> IncomingSnapshot:
        """Begin to receive a snapshot, or go on with it where an earlier attempt stopped.

        What has arrived of any other snapshot is thrown away.
        """
        incoming = self._incoming
        if incoming is not None and incoming.wanted == wanted and incoming.ref is None:
            return incoming
        if incoming is not None:
            await incoming.discard()
        name = snapshot_name(wanted.snapshot) + PART_SUFFIX
        self._incoming = IncomingSnapshot(self, self._path(name), await self._create(name), wanted)
        self._unpublished[name] = self._incoming
        return self._incoming

    async def publish(self, finished: UnpublishedSnapshot) -> SnapshotRef:
        """Give a finished snapshot its name, durably, and return what it is known by from now on.

        When there is a published one of the same index and term already, which has the same content, it
        stays (the log may name it by its checksum) and is returned, and the new file is removed.
        """
        ref = finished.ref
        assert ref is not None, "published before it was finished"
        name = snapshot_name(ref.snapshot)
        if (held := self._published.get(name)) is not None:
            await finished.discard()
            return held
        await self._disk.rename(finished.path, self._path(name))
        await self._disk.sync_directory(self._directory)
        self._published[name] = ref
        await self._release(finished)
        return ref

    async def read(self, ref: SnapshotRef) -> AsyncGenerator[Block, None]:
        """Yield the blocks of a snapshot; all are right only when the end was reached.

        Raises SnapshotDamaged when the file is missing, can't be read, is damaged or is not the one of
        ``ref``, and FormatTooNew. Close the iterator when it is left early.
        """
        path = self._path(snapshot_name(ref.snapshot))
        file = await self.open(ref)
        try:
            async with aclosing(_verified(file, path, ref)) as blocks:
                async for block in blocks:
                    yield block
        finally:
            await file.close()

    async def open(self, ref: SnapshotRef) -> File:
        """Open a snapshot's file as it is, to be closed by the caller. Raises SnapshotDamaged: missing."""
        name = snapshot_name(ref.snapshot)
        if name not in await self._disk.list(self._directory):
            raise SnapshotDamaged(self._path(name), 0, "the file is missing")
        return await self._disk.open(self._path(name))

    async def mark_damaged(self, ref: SnapshotRef) -> None:
        """Put a snapshot aside under a name that says so; nothing happens when the file is missing."""
        name = snapshot_name(ref.snapshot)
        self._published.pop(name, None)
        if name in await self._disk.list(self._directory):
            await self._disk.rename(self._path(name), self._path(name + DAMAGED_SUFFIX))
            await self._disk.sync_directory(self._directory)

    async def keep(self, refs: Sequence[SnapshotRef]) -> None:
        """Remove every snapshot but ``refs``, and every leftover of an earlier start.

        What is being made or received now stays. To be called at the start, with all that the log names.
        """
        self._published = {snapshot_name(ref.snapshot): ref for ref in refs}
        doomed = [
            name
            for name in await self._disk.list(self._directory)
            if name.endswith((SUFFIX, DRAFT_SUFFIX, PART_SUFFIX))
            and name not in self._published
            and name not in self._unpublished
        ]
        for name in doomed:
            await self._disk.remove(self._path(name))
        if doomed:
            await self._disk.sync_directory(self._directory)

    async def forget(self, unpublished: UnpublishedSnapshot) -> None:
        """Close and remove a file that is not published; nothing happens when it is gone already."""
        if await self._release(unpublished):
            await self._disk.remove(unpublished.path)

    async def close(self) -> None:
        """Close what is still being made or received; the next start removes it."""
        for unpublished in list(self._unpublished.values()):
            await self._release(unpublished)

    async def _release(self, unpublished: UnpublishedSnapshot) -> bool:
        """Close a file and forget its passing name; return whether it still had one."""
        await unpublished.file.close()
        if unpublished is self._incoming:
            self._incoming = None
        name = unpublished.path.removeprefix(f"{self._directory}/")
        return self._unpublished.pop(name, None) is not None

    async def _create(self, name: str) -> File:
        if not self._made:
            await self._disk.make_directories(self._directory)
            self._made = True
        return await self._disk.create(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._directory}/{name}"


async def _verified(file: File, path: str, ref: SnapshotRef) -> AsyncGenerator[Block, None]:
    """Yield the blocks of an open file while it proves to be the snapshot ``ref``, to its last byte."""
    if (size := await file.size()) != ref.size:
        raise SnapshotDamaged(path, min(size, ref.size), f"it has {size} bytes where it had {ref.size}")
    decoder = SnapshotDecoder(path)
    offset = 0
    while data := await _read(file, path, offset):
        offset += len(data)
        blocks = decoder.feed(data)
        if decoder.meta is not None and decoder.meta.snapshot != ref.snapshot:
            raise SnapshotDamaged(path, 0, "it is of another place in the log")
        for block in blocks:
            yield block
    decoder.finish()
    if decoder.checksum != ref.checksum:
        raise SnapshotDamaged(path, 0, "it is another snapshot than the one of that checksum")


async def _read(file: File, path: str, offset: int) -> bytes:
    try:
        return await file.read(offset, READ_BYTES)
    except StorageError as error:  # a sector that can't be read is damage like any other
        raise SnapshotDamaged(path, offset, str(error)) from error
