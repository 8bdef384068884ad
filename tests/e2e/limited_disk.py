"""The real disk, but with only so much room: what does not fit is refused as a full file system does it."""

from pathlib import Path
from typing import Any

from raftkv.errors import NoSpace
from raftkv.storage.disk import Disk, File, FileDisk, Lock

BLOCK = 4096


class Volume:
    """A folder and the bytes that may be allocated below it; None: any number."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.capacity: int | None = None
        self.refusals = 0

    def used(self) -> int:
        """Return the bytes allocated now."""
        return sum(path.stat().st_blocks * 512 for path in self.folder.rglob("*") if path.is_file())

    def require(self, path: str, end: int) -> None:
        """Raise NoSpace unless the file at ``path`` may reach up to ``end``."""
        if self.capacity is None:
            return
        more = -(-end // BLOCK) * BLOCK - Path(path).stat().st_blocks * 512
        if more > 0 and self.used() + more > self.capacity:
            self.refusals += 1
            raise NoSpace(f"{path}: no space left on device")

    def disk(self) -> "LimitedDisk":
        """Return a disk whose files all count."""
        return LimitedDisk(FileDisk(), self)


class LimitedDisk:
    """A disk on a ``Volume``."""

    def __init__(self, disk: Disk, volume: Volume) -> None:
        self._disk = disk
        self._volume = volume

    async def list(self, directory: str) -> list[str]:
        return await self._disk.list(directory)

    async def make_directories(self, path: str) -> None:
        await self._disk.make_directories(path)

    async def create(self, path: str) -> File:
        return LimitedFile(await self._disk.create(path), path, self._volume)

    async def open(self, path: str, *arguments: Any, **options: Any) -> File:
        return LimitedFile(await self._disk.open(path, *arguments, **options), path, self._volume)

    async def rename(self, source: str, target: str) -> None:
        await self._disk.rename(source, target)

    async def remove(self, path: str) -> None:
        await self._disk.remove(path)

    async def sync_directory(self, path: str) -> None:
        await self._disk.sync_directory(path)

    async def lock(self, path: str) -> Lock:
        return await self._disk.lock(path)

    async def nonce(self) -> bytes:
        return await self._disk.nonce()

    async def close(self) -> None:
        await self._disk.close()


class LimitedFile:
    """A file on a ``Volume``."""

    def __init__(self, file: File, path: str, volume: Volume) -> None:
        self._file = file
        self._path = path
        self._volume = volume

    @property
    def syncs(self) -> int:
        return self._file.syncs

    async def size(self) -> int:
        return await self._file.size()

    async def read(self, offset: int, size: int) -> bytes:
        return await self._file.read(offset, size)

    async def write(self, offset: int, data: bytes, *, sync: bool) -> None:
        self._require(offset + len(data))
        await self._file.write(offset, data, sync=sync)

    async def preallocate(self, size: int) -> None:
        self._require(size)
        await self._file.preallocate(size)

    async def sync(self) -> None:
        await self._file.sync()

    async def close(self) -> None:
        await self._file.close()

    def _require(self, end: int) -> None:
        if Path(self._path).exists():  # else it has got another name, and its room already
            self._volume.require(self._path, end)


__all__ = ["LimitedDisk", "Volume"]
