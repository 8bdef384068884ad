"""Which snapshots the log names, and so how far it may be cut."""

from raftkv.node.snapshot_store import SnapshotStore
from raftkv.raft import Configuration, Snapshot
from raftkv.storage.snapshot_format import SnapshotRef


def ref(index: int) -> SnapshotRef:
    return SnapshotRef(Snapshot(index, 1, Configuration((1,))), 100, bytes(32))


def store(*kept: SnapshotRef) -> SnapshotStore:
    return SnapshotStore(None, kept)  # type: ignore[arg-type]  # no file is touched


def test_the_log_is_cut_for_an_installed_snapshot_only_once_it_names_it() -> None:
    """Else a clean-up in between cuts a log for which nothing stands yet: found by the simulator."""
    held = store()
    held.replace(ref(202))
    assert held.newest == ref(202) and held.oldest_index == 0
    held.replace(ref(303))
    assert held.oldest_index == 0
    held.confirm()
    assert held.oldest_index == 303


def test_until_then_the_log_names_the_snapshots_before() -> None:
    held = store(ref(50), ref(100))
    held.replace(ref(202))
    assert held.oldest_index == 50
    held.confirm()
    assert held.oldest_index == 202
    held.add(ref(250))
    assert held.oldest_index == 202
