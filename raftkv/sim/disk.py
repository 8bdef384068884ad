"""A simulated disk: what is durable, what is only written, and what a crash makes of the difference.

Every file has a durable content and a list of writes since its last sync; the folder has durable names
and a list of changes since its last sync. ``power_loss`` returns the disk as the next start finds it:
each unsynced write and name is kept, lost, cut short or kept in some sectors only. A sector of 512 bytes
is whole or not there. ``kill`` returns the disk after the death of the process alone: everything written
is still to be read, and still not durable. Both leave the crashed disk as it is, so that one crash can
be tried with many outcomes.

``delay`` gives the seconds that a call of a kind takes. Every I/O call is a step, a write with its sync
two; the crash planned with ``crash_at`` strikes in place of that step. From then on every call fails and has
no effect. At the step ``no_space_at`` there is no room, whatever kind of call it is.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import TypeVar

from raftkv.errors import DataDirInUse, NoSpace, StorageError

T = TypeVar("T")

SECTOR = 512

CHANGES = ("create", "rename", "remove", "sync directory", "write", "preallocate", "sync")
"""The kinds of I/O calls that change what is on the disk, or what of it is durable."""

LOOKS = ("list", "make folder", "open", "lock", "size", "read")
"""The other kinds. (A folder is there once it is made.)"""


class DiskCrashed(StorageError):
    """The machine is gone; whoever still runs is a ghost."""


class Outcome(Enum):
    """What a power loss does with everything that was not synced."""

    NOTHING = "nothing is kept"
    ALL = "all is kept"
    PREFIX = "the first calls are kept whole"
    TORN = "a prefix is kept, cut at any byte"
    SECTORS = "any sectors and any names are kept"


@dataclass(slots=True)
class Inode:
    """A file's content, apart from its names. ``pending``: (offset, data) since the last sync."""

    live: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes]] = field(default_factory=list)

    def write(self, offset: int, data: bytes) -> None:
        """Write, not durably."""
        overwrite(self.live, offset, data)
        self.pending.append((offset, bytes(data)))

    def sync(self, begun: list[tuple[int, bytes]] | None = None) -> None:
        """Make pending writes durable: those that a sync has ``begun`` with, or all."""
        synced = list(self.pending) if begun is None else begun
        for offset, data in synced:
            overwrite(self.durable, offset, data)
        self.pending = _without(self.pending, synced)

    def settle(self) -> None:
        """Make the content durable as it reads now."""
        self.durable[:] = self.live
        self.pending.clear()


NameChange = tuple[str, str | None, Inode | None]
"""(name to set or to remove, name to remove with it, file): one atomic change of a folder."""


def _without(some: list[T], gone: list[T]) -> list[T]:
    """Return what is left of a list without other elements of it, which are told apart by identity."""
    if len(some) == len(gone):
        return []  # they are the same: nothing came meanwhile
    left = {id(one) for one in gone}
    return [one for one in some if id(one) not in left]


def _no_delay(action: str) -> float:
    return 0.0


def overwrite(content: bytearray, offset: int, data: bytes) -> None:
    """Put ``data`` at ``offset``; a gap reads as zeros."""
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def change_names(names: dict[str, Inode], change: NameChange) -> None:
    """Carry out one change of a folder."""
    target, source, inode = change
    if source is not None:
        names.pop(source, None)
    if inode is None:
        names.pop(target, None)
    else:
        names[target] = inode


class SimDisk:
    """A disk in memory. ``capacity`` in bytes bounds the sum of the file sizes."""

    def __init__(self, seed: int = 0, capacity: int | None = None) -> None:
        self.random = Random(seed)
        self.capacity = capacity
        self.steps: list[str] = []
        self.crash_at: int | None = None
        self.no_space_at: int | None = None
        self.fenced = False
        self.has_failed = False
        """Whether a planned fault has struck: who uses the disk ends by that, sooner or later."""
        self.names: dict[str, Inode] = {}
        self.durable_names: dict[str, Inode] = {}
        self.name_changes: list[NameChange] = []
        self.locks: set[str] = set()
        self.delay: Callable[[str], float] = _no_delay
        self._faults: list[tuple[str, str, StorageError]] = []

    # What a test does to the disk

    def fail_next(self, action: str, error: StorageError, path_end: str = "") -> None:
        """Let the next ``action`` ("write", "sync" ...) on a path that ends so raise ``error``."""
        self._faults.append((action, path_end, error))

    def crash(self) -> None:
        """End it here and now."""
        self.fenced = True

    def kill(self) -> "SimDisk":
        """Return the disk after the process was killed: the page cache lives on."""
        after = SimDisk(self.random.getrandbits(32), self.capacity)
        copies: dict[int, Inode] = {}
        after.names = _copy_names(self.names, copies)
        after.durable_names = _copy_names(self.durable_names, copies)
        after.name_changes = [
            (target, source, None if inode is None else _copy_inode(inode, copies))
            for target, source, inode in self.name_changes
        ]
        return after

    def power_loss(self, outcome: Outcome, seed: int = 0) -> "SimDisk":
        """Return the disk after a power loss."""
        random = Random(f"{outcome.name} {seed}")
        after = SimDisk(random.getrandbits(32), self.capacity)
        names = dict(self.durable_names)
        for change in _survivors(self.name_changes, outcome, random):
            change_names(names, change)
        contents: dict[int, Inode] = {}
        for name, inode in names.items():
            if id(inode) not in contents:
                content = _content_after(inode, outcome, random)
                contents[id(inode)] = Inode(bytearray(content), content)
            after.names[name] = contents[id(inode)]
        after.durable_names = dict(after.names)
        return after

    @property
    def is_writing(self) -> bool:
        """Whether a power loss now would have a choice."""
        return bool(self.name_changes) or any(inode.pending for inode in self.names.values())

    def fill(self) -> None:
        """Let there be no room for anything more."""
        self.capacity = self._used()

    def empty(self) -> None:
        """Let there be room again."""
        self.capacity = None

    def heal(self) -> None:
        """Let there be room, and no fault planned any more."""
        self.capacity = None
        self._faults.clear()

    def content(self, path: str) -> bytearray:
        """Return a file's content to look at or to damage; call ``settle`` after damaging it."""
        return self.names[path].live

    def settle(self) -> None:
        """Make everything durable as it reads now."""
        for inode in self.names.values():
            inode.settle()
        self.durable_names = dict(self.names)
        self.name_changes.clear()

    def lose(self, path: str) -> None:
        """Let a file be gone, as if it had never had its name."""
        del self.names[path]
        self.durable_names.pop(path, None)
        self.name_changes = [change for change in self.name_changes if path not in change[:2]]

    # The port

    async def list(self, directory: str) -> list[str]:
        """See the port."""
        await self.step("list", directory)
        start = directory + "/"
        return sorted(path.removeprefix(start) for path in self.names if path.startswith(start))

    async def make_directories(self, path: str) -> None:
        """See the port."""
        await self.step("make folder", path)

    async def create(self, path: str) -> "SimFile":
        """See the port."""
        await self.step("create", path)
        inode = Inode()  # as after O_TRUNC of what was there: its old content is gone at any time
        self._change((path, None, inode))
        return SimFile(self, path, inode)

    async def open(self, path: str) -> "SimFile":
        """See the port."""
        await self.step("open", path)
        if path not in self.names:
            raise StorageError(f"{path}: open failed: no such file")
        return SimFile(self, path, self.names[path])

    async def rename(self, source: str, target: str) -> None:
        """See the port."""
        await self.step("rename", source)
        if source not in self.names:
            raise StorageError(f"{source}: rename failed: no such file")
        self._change((target, source, self.names[source]))

    async def remove(self, path: str) -> None:
        """See the port."""
        await self.step("remove", path)
        self._change((path, None, None))

    async def sync_directory(self, path: str) -> None:
        """See the port. What changes while it is under way has to wait for the next one."""
        start = path + "/"
        begun = [change for change in self.name_changes if change[0].startswith(start)]
        await self.step("sync directory", path)
        for change in begun:
            change_names(self.durable_names, change)
        self.name_changes = _without(self.name_changes, begun)

    async def lock(self, path: str) -> "SimLock":
        """See the port."""
        await self.step("lock", path)
        if path in self.locks:
            raise DataDirInUse(f"{path}: the folder is in use by process 1")
        if path not in self.names:
            self._change((path, None, Inode()))
        self.locks.add(path)
        return SimLock(self, path)

    async def nonce(self) -> bytes:
        """See the port."""
        return self.random.randbytes(7) + b"\xa5"

    async def close(self) -> None:
        """See the port."""
        pass

    # For the files

    async def step(self, action: str, path: str, *, waits: bool = True) -> None:
        """Take the time it takes, then let the planned crash or fault strike in place of the call."""
        if waits:
            await asyncio.sleep(self.delay(action))
        if not self.fenced:
            assert action in CHANGES + LOOKS
            self.steps.append(f"{action} {path}")
            self.fenced = len(self.steps) == self.crash_at
        if self.fenced:
            raise DiskCrashed(f"{path}: {action} after the crash")
        if len(self.steps) == self.no_space_at:
            raise NoSpace(f"{path}: {action} failed: no space left on device")
        for fault in self._faults:
            if fault[0] == action and path.endswith(fault[1]):
                self._faults.remove(fault)
                self.has_failed = True
                raise fault[2]

    def take_room(self, size: int) -> None:
        """Raise NoSpace unless there is room for ``size`` bytes more."""
        if self.capacity is not None and size > 0 and self._used() + size > self.capacity:
            raise NoSpace("no room on the simulated disk")

    def _used(self) -> int:
        inodes = {id(inode): inode for inode in self.names.values()}
        return sum(len(inode.live) for inode in inodes.values())

    def _change(self, change: NameChange) -> None:
        change_names(self.names, change)
        self.name_changes.append(change)


class SimFile:
    """An open file of a ``SimDisk``."""

    def __init__(self, disk: SimDisk, path: str, inode: Inode) -> None:
        self._disk = disk
        self._path = path
        self._inode = inode
        self._failed = False
        self._closed = False
        self.syncs = 0

    async def size(self) -> int:
        """See the port."""
        await self._step("size")
        return len(self._inode.live)

    async def read(self, offset: int, size: int) -> bytes:
        """See the port."""
        await self._step("read")
        return bytes(self._inode.live[offset : offset + size])

    async def write(self, offset: int, data: bytes, *, sync: bool) -> None:
        """See the port."""
        # With a sync it is one call, as on the real disk: what takes time is the sync.
        await self._step("write", waits=not sync)
        self._disk.take_room(max(0, offset + len(data) - len(self._inode.live)))
        self._inode.write(offset, data)
        if sync:
            await self.sync()

    async def preallocate(self, size: int) -> None:
        """See the port."""
        await self._step("preallocate")
        missing = max(0, size - len(self._inode.live))
        self._disk.take_room(missing)
        # Without a missing byte the length alone: it is not durable where an earlier sync failed.
        self._inode.write(size - missing, bytes(missing))

    async def sync(self) -> None:
        """See the port. What is written while it is under way has to wait for the next one."""
        begun = list(self._inode.pending)
        try:
            await self._step("sync")
        except StorageError:
            if not self._disk.fenced:
                self._failed = True
                # Their pages are marked clean and will never be written.
                self._inode.pending = _without(self._inode.pending, begun)
            raise
        self._inode.sync(begun)
        self.syncs += 1

    async def close(self) -> None:
        """See the port."""
        self._closed = True

    async def _step(self, action: str, *, waits: bool = True) -> None:
        assert not self._closed, f"{action} on the closed {self._path}"
        if self._failed:
            raise StorageError(f"{self._path}: {action} failed: an earlier sync of this file failed")
        await self._disk.step(action, self._path, waits=waits)


class SimLock:
    """A lock of a ``SimDisk``; gone with the machine."""

    def __init__(self, disk: SimDisk, path: str) -> None:
        self._disk = disk
        self._path = path

    async def release(self) -> None:
        """See the port."""
        self._disk.locks.discard(self._path)


def _copy_inode(inode: Inode, copies: dict[int, Inode]) -> Inode:
    if id(inode) not in copies:
        copies[id(inode)] = Inode(bytearray(inode.live), bytearray(inode.durable), list(inode.pending))
    return copies[id(inode)]


def _copy_names(names: dict[str, Inode], copies: dict[int, Inode]) -> dict[str, Inode]:
    return {name: _copy_inode(inode, copies) for name, inode in names.items()}


def _survivors(changes: list[NameChange], outcome: Outcome, random: Random) -> list[NameChange]:
    match outcome:
        case Outcome.NOTHING:
            return []
        case Outcome.ALL:
            return list(changes)
        case Outcome.PREFIX | Outcome.TORN:
            return changes[: random.randint(0, len(changes))]
        case Outcome.SECTORS:
            return [change for change in changes if random.random() < 0.5]


def _content_after(inode: Inode, outcome: Outcome, random: Random) -> bytearray:
    content = bytearray(inode.durable)
    sizes = [len(data) for _, data in inode.pending]
    left = {
        Outcome.NOTHING: 0,
        Outcome.PREFIX: sum(sizes[: random.randint(0, len(sizes))]),
        Outcome.TORN: random.randint(0, sum(sizes)),
    }.get(outcome, sum(sizes))
    for offset, data in inode.pending:
        kept, left = data[:left], max(0, left - len(data))
        if outcome is Outcome.SECTORS:
            _write_some_sectors(content, offset, data, random)
        elif kept:
            overwrite(content, offset, kept)
    return content


def _write_some_sectors(content: bytearray, offset: int, data: bytes, random: Random) -> None:
    end = offset + len(data)
    start = offset
    while start < end:
        stop = min(end, start - start % SECTOR + SECTOR)
        if random.random() < 0.5:
            overwrite(content, start, data[start - offset : stop - offset])
        start = stop
