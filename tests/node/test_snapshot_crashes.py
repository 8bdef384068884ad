"""A member that crashes while it takes snapshots has everything it acknowledged; and mutants that do not."""

import pytest

from raftkv.node.snapshot_store import SnapshotStore
from raftkv.node.snapshotter import Snapshotter
from raftkv.raft import Configuration
from raftkv.storage.snapshot_format import SnapshotRef
from raftkv.storage.snapshots import SnapshotFolder, UnpublishedSnapshot
from tests.node.install_crashes import kinds
from tests.node.snapshot_crashes import crashes

HIT = (
    "create .draft",
    "write .draft",
    "sync .draft",
    "rename .draft",
    "sync directory snap",
    "write .wal",
    "sync .wal",
    "remove .snap",
    "remove .wal",
    "sync directory wal",
)


async def test_a_crash_at_every_call_of_an_own_snapshot_loses_nothing() -> None:
    cases, steps = await crashes(stride=2)
    hit = kinds(steps)
    assert cases > 200
    assert [kind for kind in HIT if kind not in hit] == []


def without_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """S8: the file gets its name before its content is durable."""

    async def no_sync(self: UnpublishedSnapshot) -> None:
        return

    monkeypatch.setattr(UnpublishedSnapshot, "_sync", no_sync)


def named_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """S8: the log names the file before its name is durable."""

    async def no_directory_sync(self: SnapshotFolder, finished: UnpublishedSnapshot) -> SnapshotRef:
        ref = finished.ref
        assert ref is not None
        path = finished.path.rsplit("/", 1)
        await self._disk.rename(finished.path, f"{path[0]}/{path[1].split('.')[0]}.snap")
        await self._release(finished)
        return ref

    monkeypatch.setattr(SnapshotFolder, "publish", no_directory_sync)


def log_cut_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """S8: the log is cut before the snapshot that stands for it is there."""
    dump = Snapshotter._dump

    async def cut_first(self: Snapshotter) -> object:
        for segment in self._wal._segments[:-1]:
            await self._wal._disk.remove(segment.path)
        del self._wal._segments[:-1]
        return await dump(self)

    monkeypatch.setattr(Snapshotter, "_dump", cut_first)


def old_files_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Older snapshots go before the log names the new one."""
    publish = SnapshotStore.publish

    async def prune_first(self: SnapshotStore, finished: UnpublishedSnapshot) -> SnapshotRef:
        ref = await publish(self, finished)
        await self._folder.keep([ref])
        return ref

    monkeypatch.setattr(SnapshotStore, "publish", prune_first)


def stale_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """S4: the snapshot is made without the members as of its index."""
    init = Snapshotter.__init__

    def forgetful(self: Snapshotter, *arguments: object, **named: object) -> None:
        init(self, *arguments, **named)  # type: ignore[arg-type]
        applied = self._applied
        self._applied = lambda: applied()._replace(configuration=Configuration(()))

    monkeypatch.setattr(Snapshotter, "__init__", forgetful)


@pytest.mark.parametrize(
    "mutant", [without_sync, named_early, log_cut_first, old_files_first, stale_configuration]
)
async def test_a_mutant_is_found(mutant: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(mutant)
    mutant(monkeypatch)
    with pytest.raises(AssertionError):
        await crashes()
