"""A torn tail is found and cut by whoever opens the log, and takes nothing with it."""

from pathlib import Path
from random import Random

import pytest

from raftkv.chaos.faults.torn import tear
from raftkv.errors import StorageError
from raftkv.storage.disk import FileDisk
from raftkv.storage.wal import Wal
from tests.storage.logs import FIRST_ENTRIES, FIRST_STATE, METADATA, append

SEGMENT_BYTES = 64 * 1024


async def write_log(data: Path) -> None:
    (data / "member" / "snap").mkdir(parents=True)
    disk = FileDisk()
    wal, _ = await Wal.create(
        disk, str(data / "member" / "wal"), METADATA, FIRST_STATE, FIRST_ENTRIES, segment_bytes=SEGMENT_BYTES
    )
    for index in range(2, 12):
        await wal.save([append(index)])
    await wal.close()
    await disk.close()


@pytest.mark.parametrize("seed", range(12))
async def test_a_torn_tail_is_cut_and_all_entries_are_there(seed: int, tmp_path: Path) -> None:
    await write_log(tmp_path)
    written = await tear(tmp_path, Random(seed))
    assert written > 0
    disk = FileDisk()
    wal, found = await Wal.open(disk, str(tmp_path / "member" / "wal"), segment_bytes=SEGMENT_BYTES)
    await wal.close()
    await disk.close()
    assert found.torn is not None
    assert 0 < found.torn.length <= written
    assert [entry.index for entry in found.entries] == list(range(1, 12))


async def test_a_log_that_is_torn_already_is_left_alone(tmp_path: Path) -> None:
    await write_log(tmp_path)
    assert await tear(tmp_path, Random(1)) > 0
    before = {path: path.read_bytes() for path in (tmp_path / "member" / "wal").iterdir()}
    assert await tear(tmp_path, Random(1)) == 0
    assert before == {path: path.read_bytes() for path in (tmp_path / "member" / "wal").iterdir()}


async def test_there_has_to_be_a_log(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        await tear(tmp_path, Random(1))
