"""The port to the disk, and the real disk behind it.

``Disk``, ``File`` and ``Lock`` are all that storage knows of files: every call can be awaited, so that a
simulated disk can give each of them a delay, an error or a crash. Two rules hold for every disk:

- Bytes are durable after ``sync`` (or ``write(..., sync=True)``) has returned, a name after
  ``sync_directory`` has; neither is durable before, and neither makes the other durable.
- After a failed sync nobody knows what is on the medium, and asking again would report success (the
  kernel marks the pages clean). So a file whose sync failed fails every later call.

``FileDisk`` runs everything on one worker thread of its own: calls are carried out in the order in which
they were made, and a write with its sync costs one thread hop.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import secrets
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

from raftkv.errors import DataDirInUse, NoSpace, StorageError

T = TypeVar("T")

ZEROS = bytes(1 << 20)
"""1 MiB: what is written, in steps, where a file system can't preallocate; and what unused room reads as."""


class File(Protocol):
    """An open file. Offsets and sizes in bytes. Every method raises ``StorageError``.

    ``syncs`` counts the syncs of this file that the system said were done.
    """

    syncs: int

    async def size(self) -> int:
        """Return the length of the file."""

    async def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset`` on, fewer at the end of the file."""

    async def write(self, offset: int, data: bytes, *, sync: bool) -> None:
        """Write all of ``data`` at ``offset``; with ``sync``, return once it is durable."""

    async def preallocate(self, size: int) -> None:
        """Make the file at least ``size`` long with room reserved; new bytes read as zero.

        Raises ``NoSpace`` when there is not enough room.
        """

    async def sync(self) -> None:
        """Return once everything written to the file is durable, its length included."""

    async def close(self) -> None:
        """Give the file up without making anything durable. Never raises; may be repeated."""


class Lock(Protocol):
    """A lock held on a folder."""

    async def release(self) -> None:
        """Let it go. Never raises; may be repeated."""


class Disk(Protocol):
    """The file system. Paths are strings with ``/``. Every method raises ``StorageError``."""

    async def list(self, directory: str) -> list[str]:
        """Return the names in a folder, sorted; nothing when there is no such folder."""

    async def make_directories(self, path: str) -> None:
        """Make a folder (mode 0700) and those above it that are missing; durable on return."""

    async def create(self, path: str) -> File:
        """Make an empty file (mode 0600), emptying one that is there."""

    async def open(self, path: str) -> File:
        """Open a file that is there."""

    async def rename(self, source: str, target: str) -> None:
        """Give a file another name, replacing what has that name."""

    async def remove(self, path: str) -> None:
        """Remove a file; nothing happens when there is none."""

    async def sync_directory(self, path: str) -> None:
        """Return once the names in a folder are durable."""

    async def lock(self, path: str) -> Lock:
        """Take the lock file at ``path``; raises ``DataDirInUse`` when another process has it."""

    async def nonce(self) -> bytes:
        """Return eight bytes, not all zero, that nobody can guess."""

    async def close(self) -> None:
        """Wait for what is under way and end. The files must have been closed."""


class FileDisk:
    """The disk of this machine. ``writable=False`` opens files for reading only."""

    def __init__(self, *, writable: bool = True) -> None:
        self._open_flags = os.O_RDWR if writable else os.O_RDONLY
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="raftkv-disk")

    async def list(self, directory: str) -> list[str]:
        """See ``Disk``."""
        return await self._run("list", directory, lambda: _list(directory))

    async def make_directories(self, path: str) -> None:
        """See ``Disk``."""
        await self._run("make folder", path, lambda: _make_directories(Path(path)))

    async def create(self, path: str) -> File:
        """See ``Disk``."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
        return _OpenFile(self, path, await self._acquire("create", path, lambda: os.open(path, flags, 0o600)))

    async def open(self, path: str) -> File:
        """See ``Disk``."""
        flags = self._open_flags
        return _OpenFile(self, path, await self._acquire("open", path, lambda: os.open(path, flags)))

    async def rename(self, source: str, target: str) -> None:
        """See ``Disk``."""
        await self._run("rename", source, lambda: Path(source).replace(target))

    async def remove(self, path: str) -> None:
        """See ``Disk``."""
        await self._run("remove", path, lambda: Path(path).unlink(missing_ok=True))

    async def sync_directory(self, path: str) -> None:
        """See ``Disk``."""
        await self._run("sync", path, lambda: _sync_directory(path))

    async def lock(self, path: str) -> Lock:
        """See ``Disk``."""
        return _FileLock(self, path, await self._acquire("lock", path, lambda: _lock(path)))

    async def nonce(self) -> bytes:
        """See ``Disk``."""
        return secrets.token_bytes(7) + b"\xa5"

    async def close(self) -> None:
        """See ``Disk``."""
        await self._run("close", "disk", lambda: None)
        self._worker.shutdown()

    async def _run(self, action: str, path: str, call: Callable[[], T]) -> T:
        """Run ``call`` on the worker; an OSError comes back as a StorageError."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, call)
        except OSError as error:
            raise _storage_error(action, path, error) from error

    async def _acquire(self, action: str, path: str, call: Callable[[], int]) -> int:
        """Like ``_run`` for a call that returns a descriptor, which a cancelled caller must not leak."""
        future = self._worker.submit(call)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            future.add_done_callback(_close_result)
            raise
        except OSError as error:
            raise _storage_error(action, path, error) from error


class _OpenFile:
    """A file of a ``FileDisk``."""

    def __init__(self, disk: FileDisk, path: str, descriptor: int) -> None:
        self._disk = disk
        self._path = path
        self._descriptor = descriptor
        self._failed = False
        self.syncs = 0

    async def size(self) -> int:
        return await self._run("stat", lambda: os.fstat(self._descriptor).st_size)

    async def read(self, offset: int, size: int) -> bytes:
        return await self._run("read", lambda: _read(self._descriptor, offset, size))

    async def write(self, offset: int, data: bytes, *, sync: bool) -> None:
        await self._run("write", lambda: self._write(offset, data, sync=sync))

    async def preallocate(self, size: int) -> None:
        if hasattr(os, "posix_fallocate"):
            await self._run("preallocate", lambda: os.posix_fallocate(self._descriptor, 0, size))
            return
        for start in range(await self.size(), size, len(ZEROS)):
            await self.write(start, ZEROS[: size - start], sync=False)

    async def sync(self) -> None:
        await self._run("sync", self._sync_all)

    async def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            await self._disk._run("close", self._path, lambda: _close(descriptor))  # noqa: SLF001

    def _write(self, offset: int, data: bytes, *, sync: bool) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            view = view[written:]
            offset += written
        if sync:
            self._sync_with(_sync_data)

    def _sync_all(self) -> None:
        self._sync_with(_sync_everything)

    def _sync_with(self, sync: Callable[[int], None]) -> None:
        try:
            sync(self._descriptor)
        except OSError:
            self._failed = True
            raise
        self.syncs += 1

    async def _run(self, action: str, call: Callable[[], T]) -> T:
        return await self._disk._run(action, self._path, lambda: self._checked(call))  # noqa: SLF001

    def _checked(self, call: Callable[[], T]) -> T:
        """Run on the worker, so that a call queued behind a sync that fails fails too."""
        if self._failed:
            raise OSError(errno.EIO, "an earlier sync of this file failed")
        return call()


def holder(path: str) -> int | None:
    """Return the id of the process that has the lock file at ``path``, without touching the lock.

    It is the last one that had it, if that still runs; so it may, rarely, be a stranger of that id.
    """
    try:
        pid = int(Path(path).read_text("ascii"))
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    except PermissionError:
        pass  # it runs, as another user
    return None if _is_dead(pid) else pid


def _is_dead(pid: int) -> bool:
    """Whether a process has ended and only waits for its parent to notice, as far as the system tells."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state in ("Z", "X")


class _FileLock:
    """A lock of a ``FileDisk``: gone with the process that holds it, however that ends."""

    def __init__(self, disk: FileDisk, path: str, descriptor: int) -> None:
        self._disk = disk
        self._path = path
        self._descriptor = descriptor

    async def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            await self._disk._run("unlock", self._path, lambda: _close(descriptor))  # noqa: SLF001


def _storage_error(action: str, path: str, error: OSError) -> StorageError:
    text = f"{path}: {action} failed: {error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace(text)
    if error.errno == errno.EWOULDBLOCK and action == "lock":
        return DataDirInUse(f"{path}: the folder is in use by {error.strerror}")
    return StorageError(text)


def _list(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))  # noqa: PTH208 - names are wanted, not paths
    except FileNotFoundError:
        return []


def _make_directories(path: Path) -> None:
    """Make the folders and sync every name on the way, which an earlier, killed attempt may not have."""
    parents = path.absolute().parents
    for folder in (*reversed(parents), path):
        folder.mkdir(mode=0o700, exist_ok=True)
    for folder in parents:
        if os.access(folder, os.R_OK | os.W_OK):  # elsewhere this process can't have made anything
            _sync_directory(str(folder))


def _read(descriptor: int, offset: int, size: int) -> bytes:
    parts = []
    while size > 0 and (part := os.pread(descriptor, size, offset)):
        parts.append(part)
        offset += len(part)
        size -= len(part)
    return b"".join(parts)


def _sync_data(descriptor: int) -> None:
    """Make the content durable, and of the metadata what is needed to find it."""
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # fsync alone leaves it in the drive's cache there
    else:
        os.fdatasync(descriptor)


def _sync_everything(descriptor: int) -> None:
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _sync_everything(descriptor)
    finally:
        os.close(descriptor)


def _close(descriptor: int) -> None:
    """Close; an error here says nothing new, because only a sync makes promises."""
    with contextlib.suppress(OSError):
        os.close(descriptor)


def _close_result(future: Future[int]) -> None:
    """Close the descriptor that nobody waits for any more."""
    if not future.cancelled() and future.exception() is None:
        _close(future.result())


def _lock(path: str) -> int:
    """Lock the file at ``path`` and write the own pid into it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise BlockingIOError(errno.EWOULDBLOCK, f"process {holder}") from error
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
