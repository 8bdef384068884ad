"""A real process, really killed: what it said was saved is there."""

import asyncio
import sys
from pathlib import Path

import pytest

from raftkv.storage.disk import FileDisk
from raftkv.storage.wal import Wal
from tests.storage.logs import DIRECTORY, entry

SAVER = """
import asyncio
from tests.storage.logs import DIRECTORY, append, create
from raftkv.storage.disk import FileDisk
from raftkv.storage.wal import Wal

async def main():
    disk = FileDisk()
    if await Wal.exists(disk, DIRECTORY):
        wal, recovered = await Wal.open(disk, DIRECTORY, segment_bytes=4096)
        index = len(recovered.entries) + 1
    else:
        wal, index = await create(disk, 4096), 2
    while True:
        await wal.save([append(index, 3, size=200)])
        index += 3
        print(index - 1, flush=True)

asyncio.run(main())
"""


async def test_a_killed_process_loses_nothing_that_it_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).parents[2]
    monkeypatch.chdir(tmp_path)
    acknowledged = 1
    for saves in (5, 40, 11):
        saver = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SAVER, stdout=asyncio.subprocess.PIPE, env={"PYTHONPATH": str(root)}
        )
        assert saver.stdout is not None
        for _ in range(saves):
            acknowledged = int(await saver.stdout.readline())
        saver.kill()
        if rest := (await saver.stdout.read()).split():
            acknowledged = int(rest[-1])
        await saver.wait()
    disk = FileDisk()
    wal, recovered = await Wal.open(disk, DIRECTORY)
    await wal.close()
    await disk.close()
    found = len(recovered.entries)
    assert acknowledged <= found <= acknowledged + 3
    assert recovered.entries[1:] == [entry(index, 1, 200) for index in range(2, found + 1)]
    assert recovered.boot == 4
