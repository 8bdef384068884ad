"""A disk that is slow, full, or fails to sync when it is told to; else the disk behind it.

One call at a time, in the order of the calls, as on the worker thread of a ``FileDisk``: so an fsync that is
slow holds up what comes behind it. The rule of every disk holds here too: after a failed sync of a file all
its later calls fail, and nobody is told what of it is durable.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from raftkv.errors import NoSpace, StorageError
from raftkv.faults.orders import DiskFault
from raftkv.storage.disk import Disk, File, Lock

T = TypeVar("T")


@dataclass(slots=True)
class DiskEffects:
    """What the faults of one disk did; ``refused`` counts what did not fit."""

    fsyncs_delayed: int = 0
    delayed_ms: float = 0.0
    fsyncs_failed: int = 0
    refused: int = 0


class FaultyDisk:
    """Implements ``raftkv.storage.disk.Disk`` over another disk. ``fault`` is what it has now."""

    def __init__(self, disk: Disk) -> None:
        self.effects = DiskEffects()
        self.fault = DiskFault()
        self._disk = disk
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()

    def set(self, fault: DiskFault) -> None:
        """Have this fault from now on, in place of the one before; a slow sync under way is over."""
        self.fault = fault
        self._changed.set()
        self._changed = asyncio.Event()

    async def list(self, directory: str) -> list[str]:
        """See ``Disk``."""
        return await self.in_turn(lambda: self._disk.list(directory))

    async def make_directories(self, path: str) -> None:
        """See ``Disk``."""
        await self.in_turn(lambda: self._disk.make_directories(path))

    async def create(self, path: str) -> File:
        """See ``Disk``."""
        return FaultyFile(self, path, await self.in_turn(lambda: self._disk.create(path)))

    async def open(self, path: str) -> File:
        """See ``Disk``."""
        return FaultyFile(self, path, await self.in_turn(lambda: self._disk.open(path)))

    async def rename(self, source: str, target: str) -> None:
        """See ``Disk``."""
        await self.in_turn(lambda: self._disk.rename(source, target))

    async def remove(self, path: str) -> None:
        """See ``Disk``."""
        await self.in_turn(lambda: self._disk.remove(path))

    async def sync_directory(self, path: str) -> None:
        """See ``Disk``."""

        async def sync() -> None:
            self.fail_if_told(path)
            await self._disk.sync_directory(path)
            await self.linger()

        await self.in_turn(sync)

    async def lock(self, path: str) -> Lock:
        """See ``Disk``."""
        return await self.in_turn(lambda: self._disk.lock(path))

    async def nonce(self) -> bytes:
        """See ``Disk``."""
        return await self._disk.nonce()

    async def close(self) -> None:
        """See ``Disk``."""
        await self.in_turn(self._disk.close)

    # ---------------------------------------------------------------- for the files

    async def in_turn(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call once all earlier ones are done."""
        async with self._turn:
            return await call()

    def fail_if_told(self, path: str) -> None:
        """Raise StorageError in place of a sync, if the next one is to fail."""
        if self.fault.fail_fsyncs:
            self.fault = self.fault._replace(fail_fsyncs=self.fault.fail_fsyncs - 1)
            self.effects.fsyncs_failed += 1
            raise StorageError(f"{path}: sync failed: Input/output error (a fault that was ordered)")

    async def linger(self) -> None:
        """Wait as long as a slow sync takes, or until the fault is another one."""
        if not self.fault.slow_fsync_ms:
            return
        loop, changed = asyncio.get_running_loop(), self._changed
        self.effects.fsyncs_delayed += 1
        begin = loop.time()
        try:
            async with asyncio.timeout(self.fault.slow_fsync_ms / 1000):
                await changed.wait()
        except TimeoutError:
            pass
        finally:
            self.effects.delayed_ms += (loop.time() - begin) * 1000

    async def refuse_growth(self, action: str, path: str, file: File, end: int) -> None:
        """Raise NoSpace if the disk is full and a file that is to reach to ``end`` does not yet."""
        if self.fault.full and end > await file.size():
            self.effects.refused += 1
            raise NoSpace(f"{path}: {action} failed: No space left on device (a fault that was ordered)")


class FaultyFile:
    """Implements ``raftkv.storage.disk.File`` for a ``FaultyDisk``."""

    def __init__(self, disk: FaultyDisk, path: str, file: File) -> None:
        self._disk = disk
        self._path = path
        self._file = file
        self._failed = False

    @property
    def syncs(self) -> int:
        """How many syncs the system said were done."""
        return self._file.syncs

    @syncs.setter
    def syncs(self, syncs: int) -> None:
        self._file.syncs = syncs

    async def size(self) -> int:
        """See ``File``."""
        return await self._run(self._file.size)

    async def read(self, offset: int, size: int) -> bytes:
        """See ``File``."""
        return await self._run(lambda: self._file.read(offset, size))

    async def write(self, offset: int, data: bytes, *, sync: bool) -> None:
        """See ``File``. What a sync that fails was to make durable is written all the same, as it may be."""

        async def write() -> None:
            await self._disk.refuse_growth("write", self._path, self._file, offset + len(data))
            if sync and self._disk.fault.fail_fsyncs:
                await self._file.write(offset, data, sync=False)
                self._fail_if_told()
            await self._file.write(offset, data, sync=sync)
            if sync:
                await self._disk.linger()

        await self._run(write)

    async def preallocate(self, size: int) -> None:
        """See ``File``."""

        async def preallocate() -> None:
            await self._disk.refuse_growth("preallocate", self._path, self._file, size)
            await self._file.preallocate(size)

        await self._run(preallocate)

    async def sync(self) -> None:
        """See ``File``."""

        async def sync() -> None:
            self._fail_if_told()
            await self._file.sync()
            await self._disk.linger()

        await self._run(sync)

    async def close(self) -> None:
        """See ``File``."""
        await self._disk.in_turn(self._file.close)

    def _fail_if_told(self) -> None:
        try:
            self._disk.fail_if_told(self._path)
        except StorageError:
            self._failed = True
            raise

    async def _run(self, call: Callable[[], Awaitable[T]]) -> T:
        async def checked() -> T:
            if self._failed:
                raise StorageError(f"{self._path}: an earlier sync of this file failed")
            return await call()

        return await self._disk.in_turn(checked)
