"""The port to the disk: one contract for the real and the simulated one, and the real one's own faults."""

import asyncio
import errno
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from raftkv.errors import DataDirInUse, NoSpace, StorageError
from raftkv.sim.disk import Outcome, SimDisk
from raftkv.storage import disk as disk_module
from raftkv.storage.disk import Disk, File, FileDisk, Lock
from tests.storage.logs import FIRST_MODEL, append, create, held, reopen

REAL: Disk = FileDisk.__new__(FileDisk)
SIMULATED: Disk = SimDisk()
"""Both fulfil the protocol: mypy checks these assignments."""


async def new_file(disk: Disk, path: str = "folder/file") -> File:
    await disk.make_directories("folder")
    return await disk.create(path)


async def test_what_is_written_is_read(disk: Disk) -> None:
    file = await new_file(disk)
    await file.write(0, b"hello world", sync=True)
    await file.write(6, b"there", sync=False)
    await file.sync()
    assert await file.read(0, 100) == b"hello there"
    assert await file.read(6, 3) == b"the"
    assert await file.read(50, 3) == b""
    assert await file.size() == 11
    await file.close()


async def test_a_write_behind_the_end_leaves_zeros(disk: Disk) -> None:
    file = await new_file(disk)
    await file.write(4, b"x", sync=True)
    assert await file.read(0, 9) == b"\0\0\0\0x"
    await file.close()


async def test_preallocated_room_reads_as_zeros_and_keeps_what_is_there(disk: Disk) -> None:
    file = await new_file(disk)
    await file.write(0, b"abc", sync=False)
    await file.preallocate(3_000_000)
    await file.preallocate(10)
    assert await file.size() == 3_000_000
    assert await file.read(0, 5) == b"abc\0\0"
    assert await file.read(2_999_998, 10) == b"\0\0"
    await file.close()


async def test_create_empties_what_is_there_and_open_does_not(disk: Disk) -> None:
    file = await new_file(disk)
    await file.write(0, b"abc", sync=True)
    await file.close()
    file = await disk.open("folder/file")
    assert await file.size() == 3
    await file.close()
    file = await disk.create("folder/file")
    assert await file.size() == 0
    await file.close()
    with pytest.raises(StorageError):
        await disk.open("folder/other")


async def test_names_are_listed_renamed_over_each_other_and_removed(disk: Disk) -> None:
    for name in ("b", "a", "c"):
        file = await new_file(disk, f"folder/{name}")
        await file.write(0, name.encode(), sync=True)
        await file.close()
    await disk.rename("folder/c", "folder/a")
    await disk.sync_directory("folder")
    assert await disk.list("folder") == ["a", "b"]
    file = await disk.open("folder/a")
    assert await file.read(0, 9) == b"c"
    await file.close()
    await disk.remove("folder/a")
    await disk.remove("folder/a")
    assert await disk.list("folder") == ["b"]
    assert await disk.list("nowhere") == []
    with pytest.raises(StorageError):
        await disk.rename("folder/a", "folder/x")


async def test_a_lock_is_held_by_one_until_it_is_released(disk: Disk) -> None:
    await disk.make_directories("folder")
    lock: Lock = await disk.lock("folder/lock")
    with pytest.raises(DataDirInUse, match="in use by process"):
        await disk.lock("folder/lock")
    await lock.release()
    await lock.release()
    await (await disk.lock("folder/lock")).release()


async def test_a_file_may_be_closed_again(disk: Disk) -> None:
    file = await new_file(disk)
    await file.close()
    await file.close()


async def test_nonces_differ(disk: Disk) -> None:
    nonces = [await disk.nonce() for _ in range(8)]
    assert len(set(nonces)) == 8
    assert {len(nonce) for nonce in nonces} == {8}


@pytest.fixture
async def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FileDisk]:
    """The real disk alone, for faults of the system calls."""
    monkeypatch.chdir(tmp_path)
    disk = FileDisk()
    yield disk
    await disk.close()


def failing(number: int) -> object:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


def modes_below(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mode & 0o777 for path in folder.rglob("*")}


async def test_only_the_owner_may_look_at_files_and_folders(real: FileDisk) -> None:
    await real.make_directories("folder/deeper")
    await (await real.create("folder/file")).close()
    await (await real.lock("folder/lock")).release()
    assert modes_below(Path()) == {
        "folder": 0o700,
        "folder/deeper": 0o700,
        "folder/file": 0o600,
        "folder/lock": 0o600,
    }


def start_holder(program: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


async def test_the_lock_of_another_process_names_that_process_and_ends_with_it(real: FileDisk) -> None:
    program = "import fcntl,os,sys;f=open('lock','w');fcntl.flock(f,fcntl.LOCK_EX);"
    program += "f.write(str(os.getpid()));f.flush();print('held',flush=True);sys.stdin.read()"
    with start_holder(program) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DataDirInUse, match=f"in use by process {holder.pid}$"):
            await real.lock("lock")
        assert disk_module.holder("lock") == holder.pid
        holder.kill()
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - it was killed
        if sys.platform == "linux":
            assert disk_module.holder("lock") is None, "it has ended, though nobody has waited for it"
        holder.wait()
        assert disk_module.holder("lock") is None
    await (await real.lock("lock")).release()


@pytest.mark.parametrize("content", [None, "", "no number"])
def test_a_lock_file_that_names_nobody_is_held_by_nobody(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "lock"
    if content is not None:
        path.write_text(content, "ascii")
    assert disk_module.holder(str(path)) is None


async def test_a_disk_that_is_not_writable_opens_files_for_reading_only(real: FileDisk) -> None:
    file = await real.create("file")
    await file.write(0, b"abc", sync=True)
    await file.close()
    disk = FileDisk(writable=False)
    file = await disk.open("file")
    assert await file.read(0, 9) == b"abc"
    with pytest.raises(StorageError):
        await file.write(0, b"x", sync=False)
    await file.close()
    await disk.close()


async def test_after_a_failed_sync_every_call_on_the_file_fails(
    real: FileDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await real.create("file")
    monkeypatch.setattr(os, "fdatasync", failing(errno.EIO))
    with pytest.raises(StorageError, match="file: write failed: Input/output error"):
        await file.write(0, b"abc", sync=True)
    monkeypatch.undo()
    for call in (file.sync(), file.read(0, 1), file.write(0, b"", sync=False), file.size()):
        with pytest.raises(StorageError, match="an earlier sync of this file failed"):
            await call
    await file.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_or_quota_is_no_space(
    real: FileDisk, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    file = await real.create("file")
    monkeypatch.setattr(os, "posix_fallocate", failing(number))
    with pytest.raises(NoSpace):
        await file.preallocate(100)
    await file.close()


async def test_a_write_that_the_system_cuts_short_is_completed(
    real: FileDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, offset: pwrite(descriptor, data[:3], offset))
    file = await real.create("file")
    await file.write(2, b"0123456789", sync=True)
    assert await file.read(0, 20) == b"\0\x000123456789"
    await file.close()


async def test_without_fallocate_zeros_are_written(real: FileDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    file = await real.create("file")
    await file.write(0, b"abc", sync=False)
    await file.preallocate(2_500_000)
    assert await file.size() == 2_500_000
    assert await file.read(0, 4) == b"abc\0"
    await file.close()
    wal = await create(real)
    await wal.save([append(2)])
    await wal.close()
    assert held(await reopen(real)) == FIRST_MODEL.after([append(2)])


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


async def test_a_cancelled_open_leaks_no_descriptor(real: FileDisk) -> None:
    await (await real.create("file")).close()
    before = descriptors()
    for _ in range(20):
        opening = asyncio.create_task(real.open("file"))
        await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])
    await real.list(".")
    assert descriptors() == before


async def test_the_name_of_a_folder_that_was_there_already_is_made_durable_too(
    real: FileDisk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An attempt killed between making a folder and syncing it leaves such a folder."""
    await real.make_directories("folder/deeper")
    synced: list[str] = []
    monkeypatch.setattr("raftkv.storage.disk._sync_directory", synced.append)
    await real.make_directories("folder/deeper")
    assert synced[:2] == [str(tmp_path / "folder"), str(tmp_path)]


async def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(real: FileDisk) -> None:
    await (await real.create("file")).close()
    with pytest.raises(StorageError, match="file/deeper"):
        await real.make_directories("file/deeper")


async def test_on_the_simulated_disk_a_sync_makes_durable_what_was_there_when_it_began() -> None:
    disk = SimDisk()
    disk.delay = lambda action: 0.01 if action.startswith("sync") else 0.0
    file = await disk.create("folder/file")
    await disk.sync_directory("folder")
    await file.write(0, b"first", sync=False)
    under_way = asyncio.create_task(file.sync())
    await asyncio.sleep(0)
    await file.write(5, b"later", sync=False)
    await under_way
    assert bytes(disk.power_loss(Outcome.NOTHING).content("folder/file")) == b"first"
    await file.sync()
    assert bytes(disk.power_loss(Outcome.NOTHING).content("folder/file")) == b"firstlater"
    under_way = asyncio.create_task(disk.sync_directory("folder"))
    await asyncio.sleep(0)
    await disk.create("folder/other")
    await under_way
    assert list(disk.power_loss(Outcome.NOTHING).names) == ["folder/file"]
    await disk.sync_directory("folder")
    assert list(disk.power_loss(Outcome.NOTHING).names) == ["folder/file", "folder/other"]
