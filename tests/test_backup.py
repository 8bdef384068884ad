"""Backup files, and the data folders made from them."""

from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest

from raftkv import errors
from raftkv.backup import SEAL_BYTES, load_backup, read_backup, restore
from raftkv.errors import BackupNotSealed, ConfigError, FormatTooNew, NoSpace, SnapshotDamaged, StorageError
from raftkv.mvcc.commands import ExpireLease, PublishMember, RequestId, encode_command
from raftkv.mvcc.loading import MachineLoader
from raftkv.mvcc.machine import Machine
from raftkv.mvcc.membership import MemberInfo, encode_bootstrap
from raftkv.node.config import Config, cluster_id, member_id
from raftkv.raft import Configuration, HardState, Snapshot
from raftkv.schema.kv import CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest
from raftkv.schema.maintenance import AlarmAction, AlarmRequest, AlarmType
from raftkv.storage.disk import FileDisk
from raftkv.storage.snapshot_format import Block, SnapshotEncoder, SnapshotMeta
from raftkv.storage.snapshots import SnapshotFolder
from raftkv.storage.wal import Recovered, Wal

URLS = {name: f"http://127.0.0.1:{port}" for name, port in (("n1", 2380), ("n2", 22380), ("n3", 32380))}
CLUSTER = ",".join(f"{name}={url}" for name, url in URLS.items())
IDS = {name: member_id([url], "etcd-cluster") for name, url in URLS.items()}
SEGMENT_BYTES = 64 << 10
EVERYTHING = RangeRequest(b"\0", b"\0")


def machine_with_data(keys: int = 5) -> Machine:
    """A machine of another cluster, with history, a deletion, a compaction and an alarm."""
    machine = Machine()
    machine.apply_configuration(
        1, encode_bootstrap([MemberInfo(77, "", ("http://old",), (), is_learner=False)])
    )
    requests = [
        PublishMember(77, "old", ["http://old"]),
        *(PutRequest(b"%06d" % i, b"v" * 20) for i in range(keys)),
        PutRequest(b"000000", b"changed"),
        DeleteRangeRequest(b"000001"),
        CompactionRequest(keys),
        PutRequest(b"000002", b"changed"),
        AlarmRequest(AlarmAction.ACTIVATE, 77, AlarmType.NOSPACE),
    ]
    for index, request in enumerate(requests, 2):
        machine.apply_command(index, encode_command(RequestId(77, 1, index), request))
    return machine


def snapshot_of(machine: Machine) -> bytes:
    cut = machine.cut()
    place = Snapshot(cut.index, 3, Configuration((77,)))
    encoder = SnapshotEncoder(SnapshotMeta(9, place, cut.revision, cut.compact_revision, cut.keys))
    pieces = [encoder.begin(), *(encoder.block(Block(*block)) for block in cut.blocks()), encoder.end()]
    cut.close()
    return b"".join(pieces)


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs that take no 64 MiB each."""
    monkeypatch.setattr(Wal, "create", partial(Wal.create, segment_bytes=SEGMENT_BYTES))


@pytest.fixture
def snapshot() -> bytes:
    return snapshot_of(machine_with_data())


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def write_file(data: bytes) -> Path:
        path = tmp_path / "backup"
        path.write_bytes(data)
        return path

    return write_file


def sealed(snapshot: bytes) -> bytes:
    return snapshot + sha256(snapshot).digest()


def config_of(folder: Path, name: str = "n1", **given: str) -> Config:
    flags = {"name": name, "data_dir": str(folder), "initial_cluster": CLUSTER}
    return Config.from_flags({**flags, "initial_advertise_peer_urls": URLS[name], **given})


async def recovered(folder: Path) -> tuple[Recovered, Machine]:
    """Open a data folder as a member does at its start."""
    disk = FileDisk()
    wal, log = await Wal.open(disk, f"{folder}/member/wal", segment_bytes=SEGMENT_BYTES)
    loader = MachineLoader()
    async with aclosing(SnapshotFolder(disk, f"{folder}/member/snap").read(log.snapshots[-1])) as blocks:
        async for block in blocks:
            loader.add(*block)
    while loader.finish_step():
        pass
    await wal.close()
    await disk.close()
    machine = Machine()
    machine.adopt(loader)
    return log, machine


def test_a_backup_tells_what_it_holds(snapshot: bytes, write: Callable[[bytes], Path]) -> None:
    backup = read_backup(write(sealed(snapshot)), lambda block: None)
    assert (backup.meta.revision, backup.meta.compact_revision, backup.meta.keys) == (9, 5, 4)
    assert (backup.size, backup.sealed) == (len(snapshot), True)
    bare = read_backup(write(snapshot), lambda block: None)
    assert bare == backup._replace(sealed=False)


def test_a_large_backup_is_read_in_pieces(
    write: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raftkv.backup._READ_BYTES", 1000)
    machine = machine_with_data(2000)
    path = write(sealed(snapshot_of(machine)))
    assert load_backup(path).digest() == machine.digest()


def test_any_changed_byte_is_noticed(snapshot: bytes, write: Callable[[bytes], Path]) -> None:
    whole = sealed(snapshot)
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x20
        with pytest.raises((SnapshotDamaged, FormatTooNew)):
            load_backup(write(bytes(damaged)), skip_hash_check=place < len(snapshot))


def test_any_missing_end_is_noticed(snapshot: bytes, write: Callable[[bytes], Path]) -> None:
    whole = sealed(snapshot)
    for length in range(len(whole)):
        with pytest.raises((SnapshotDamaged, BackupNotSealed)):
            load_backup(write(whole[:length]), skip_hash_check=length < len(snapshot))
    with pytest.raises(SnapshotDamaged):
        load_backup(write(whole + b"x"))


def test_a_file_copied_from_a_folder_has_to_be_asked_for(
    snapshot: bytes, write: Callable[[bytes], Path]
) -> None:
    path = write(snapshot)
    with pytest.raises(BackupNotSealed, match="taken with --skip-hash-check"):
        load_backup(path)
    assert load_backup(path, skip_hash_check=True).digest() == machine_with_data().digest()


@pytest.mark.parametrize("data", [b"", b"x", b"SQLite format 3\0" * 100, bytes(100_000)])
def test_a_file_that_is_no_backup_is_refused(data: bytes, write: Callable[[bytes], Path]) -> None:
    with pytest.raises(SnapshotDamaged):
        read_backup(write(data), lambda block: None)


@pytest.mark.parametrize("name", ["n1", "n2", "n3"])
async def test_a_restored_member_has_the_data_and_new_ids(tmp_path: Path, name: str) -> None:
    machine, before = machine_with_data(), machine_with_data()
    await restore(machine, config_of(tmp_path / "data", name))
    log, found = await recovered(tmp_path / "data")
    assert log.metadata == (cluster_id(IDS.values()), IDS[name], name)
    assert (log.hard_state, log.entries) == (HardState(term=1, commit=1), [])
    (ref,) = log.snapshots
    assert ref.snapshot == Snapshot(1, 1, Configuration(tuple(sorted(IDS.values()))))
    assert list(found.store.content()) == list(before.store.content())
    assert found.store.range(EVERYTHING) == before.store.range(EVERYTHING)
    assert found.alarms.raised() == before.alarms.raised()
    assert found.sessions.content() == []
    assert [(m.id, m.name, m.client_urls) for m in found.membership.members()] == [
        (member, "", ()) for member in sorted(IDS.values())
    ]
    assert found.applied_index == 1


async def test_all_members_restored_from_one_backup_are_equal(
    tmp_path: Path, snapshot: bytes, write: Callable[[bytes], Path]
) -> None:
    digests = []
    for name in URLS:
        machine = load_backup(write(sealed(snapshot)))
        machine.store.bump_revision(1000)
        await restore(machine, config_of(tmp_path / name, name))
        digests.append((await recovered(tmp_path / name))[1].digest())
    assert len(set(digests)) == 1


async def test_a_restored_lease_can_end_although_the_log_begins_anew(tmp_path: Path) -> None:
    machine = machine_with_data()
    machine.leases.grant(7, 60, machine.applied_index)  # an alarm of the backup keeps commands from it
    await restore(machine, config_of(tmp_path / "data"))
    _, found = await recovered(tmp_path / "data")
    over = encode_command(RequestId(77, 2, 1), ExpireLease(2, 7, found.applied_index))
    assert found.apply_command(3, over, 2).error is None
    assert found.leases.ids() == []


async def test_a_bumped_revision_ends_what_clients_remember(tmp_path: Path) -> None:
    machine = machine_with_data()
    kvs = machine.store.range(EVERYTHING).kvs
    machine.store.bump_revision(1_000_000)
    await restore(machine, config_of(tmp_path / "data"))
    _, found = await recovered(tmp_path / "data")
    assert (found.store.revision, found.store.compact_revision) == (1_000_009, 1_000_009)
    assert found.store.range(EVERYTHING).kvs == kvs
    with pytest.raises(errors.Compacted):
        found.store.range(RangeRequest(b"000000", revision=1_000_008))
    while found.store.compact_step(100):
        pass
    put = found.store.put(PutRequest(b"new", b"v"))
    assert put.header is not None
    assert put.header.revision == 1_000_010


async def test_a_restore_over_anything_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    await restore(machine_with_data(), config_of(folder))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="there is something already"):
        await restore(machine_with_data(), config_of(folder))
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="there is something already"):
        await restore(machine_with_data(), config_of(tmp_path / "file"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "file"]


async def test_an_empty_folder_that_is_there_is_filled_and_not_replaced(tmp_path: Path) -> None:
    """It may be one that is mounted."""
    folder = tmp_path / "data"
    folder.mkdir()
    before = folder.stat().st_ino
    await restore(machine_with_data(), config_of(folder))
    assert folder.stat().st_ino == before
    assert [path.name for path in folder.iterdir()] == ["member"]
    assert (await recovered(folder))[1].store.revision == 9


@pytest.mark.parametrize("exists", [False, True])
async def test_a_restore_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    """Else a member would start from the half, with an empty log: as a new, empty cluster."""
    if exists:
        (tmp_path / "data").mkdir()

    async def fail(*arguments: object, **options: object) -> None:
        raise NoSpace("no room")

    monkeypatch.setattr(Wal, "create", fail)
    with pytest.raises(StorageError, match="no room"):
        await restore(machine_with_data(), config_of(tmp_path / "data"))
    assert [path.name for path in tmp_path.rglob("*")] == ["data"] * exists


def test_the_seal_is_a_sha256() -> None:
    assert len(sha256().digest()) == SEAL_BYTES
