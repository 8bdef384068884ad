"""No crash leaves half a snapshot under a snapshot's name, nor takes away a published one."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from raftkv.sim.disk import SimDisk
from raftkv.storage import snapshots
from raftkv.storage.snapshot_format import SnapshotDecoder, SnapshotRef
from raftkv.storage.snapshots import SnapshotFolder, UnpublishedSnapshot, snapshot_name
from tests.storage.crashes import OUTCOMES
from tests.storage.snapshot_crashes import KINDS, check_crashes

Patch = pytest.MonkeyPatch


async def test_a_crash_at_every_call_leaves_only_whole_snapshots(monkeypatch: Patch) -> None:
    hit, tried = await check_crashes(monkeypatch)
    assert set(hit) == KINDS
    assert tried == (len(OUTCOMES) + 1) * (sum(hit.values()) + 1), "each outcome of a power loss, and a kill"
    assert tried > 700


def s8_not_synced(patch: Patch) -> None:
    """S8: the file gets its name before it is durable."""

    async def forget(_: UnpublishedSnapshot) -> None:
        return None

    patch.setattr(UnpublishedSnapshot, "_sync", forget)


def s8_renamed_first(patch: Patch) -> None:
    """S8: the sync comes after the name."""

    async def forget(_: UnpublishedSnapshot) -> None:
        return None

    async def late(self: SnapshotFolder, finished: UnpublishedSnapshot) -> SnapshotRef:
        assert finished.ref is not None
        await self._disk.rename(finished.path, self._path(snapshot_name(finished.ref.snapshot)))
        await finished.file.sync()
        await self._disk.sync_directory(self._directory)
        await self._release(finished)
        return finished.ref

    patch.setattr(UnpublishedSnapshot, "_sync", forget)
    patch.setattr(SnapshotFolder, "publish", late)


def s8_folder_not_synced(patch: Patch) -> None:
    """S8: the name itself is not durable when the snapshot is taken for published."""

    async def forget(*_: Any) -> None:
        return None

    patch.setattr(SimDisk, "sync_directory", forget)


def written_under_its_own_name(patch: Patch) -> None:
    """There is no draft: the file has its name from the start."""
    patch.setattr(snapshots, "DRAFT_SUFFIX", ".snap")


def older_ones_removed_first(patch: Patch) -> None:
    """Publishing makes room before the new one is there."""
    publish = SnapshotFolder.publish

    async def greedy(self: SnapshotFolder, finished: UnpublishedSnapshot) -> SnapshotRef:
        await self.keep([])
        await self._disk.sync_directory(self._directory)
        return await publish(self, finished)

    patch.setattr(SnapshotFolder, "publish", greedy)


def end_never_checked(patch: Patch) -> None:
    """With S8: whoever reads doesn't mind that the end is missing."""
    s8_not_synced(patch)
    patch.setattr(SnapshotDecoder, "finish", lambda _: None)


MUTANTS: list[tuple[Callable[[Patch], None], str]] = [
    (s8_not_synced, "damaged at offset"),
    (s8_renamed_first, "damaged at offset"),
    (s8_folder_not_synced, "the file is missing"),
    (written_under_its_own_name, "damaged at offset"),
    (older_ones_removed_first, "the file is missing"),
    (end_never_checked, "bytes where it had|another content|damaged at offset"),
]


@pytest.mark.parametrize(("mutant", "finding"), MUTANTS, ids=[row[0].__name__ for row in MUTANTS])
async def test_the_crashes_find_the_bug(
    mutant: Callable[[Patch], None], finding: str, monkeypatch: Patch
) -> None:
    mutant(monkeypatch)
    with pytest.raises(AssertionError) as found:
        await check_crashes(monkeypatch)
    assert re.search(finding, str(found.value))
