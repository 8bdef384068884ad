"""The two disks, for everything that must hold on both."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from raftkv.sim.disk import SimDisk
from raftkv.storage.disk import Disk, FileDisk


@pytest.fixture(params=["file", "simulated"])
async def disk(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Disk]:
    """A disk that is closed after the test; relative paths are in an empty folder."""
    monkeypatch.chdir(tmp_path)
    disk: Disk = FileDisk() if request.param == "file" else SimDisk()
    yield disk
    await disk.close()
