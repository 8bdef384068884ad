"""Backups: a file that holds all data of a cluster, and a new cluster made from it.

A backup file is a snapshot, byte for byte as in a member's folder, with the SHA-256 of all of it behind
it: so it is what ``/v3/maintenance/snapshot`` streams, one piece after the other. Members, request ids and
Raft's own numbers are those of the cluster that was; a restored cluster begins with new ones.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from raftkv.errors import BackupNotSealed, ConfigError, SnapshotDamaged
from raftkv.mvcc.loading import MachineLoader
from raftkv.mvcc.machine import Machine
from raftkv.mvcc.membership import Membership, encode_members
from raftkv.mvcc.sessions import Sessions
from raftkv.node.config import Config, cluster_id
from raftkv.raft import Configuration, HardState, Snapshot
from raftkv.server import bootstrap_members
from raftkv.storage.disk import FileDisk
from raftkv.storage.records import Metadata
from raftkv.storage.snapshot_format import Block, SnapshotDecoder, SnapshotMeta
from raftkv.storage.snapshots import SnapshotFolder
from raftkv.storage.wal import Wal

SEAL_BYTES = 32
"""The SHA-256 behind the snapshot."""

FIRST_INDEX = 1
FIRST_TERM = 1
"""Where the log of a restored cluster begins: in place of the entry that makes a new cluster."""

_READ_BYTES = 1 << 20


class Backup(NamedTuple):
    """What a backup file holds. ``size``: bytes of the snapshot; ``checksum``: its CRC-32."""

    meta: SnapshotMeta
    size: int
    checksum: int
    sealed: bool


def read_backup(path: Path, take: Callable[[Block], object]) -> Backup:
    """Read and verify a backup file, handing every block to ``take``: nothing counts before the end.

    A snapshot copied from a member's folder lacks the seal, and is one as well. Raises SnapshotDamaged,
    FormatTooNew, OSError.
    """
    decoder = SnapshotDecoder(str(path))
    hashed, checksum, size = sha256(), 0, 0
    with path.open("rb") as file:
        body = file.seek(0, os.SEEK_END) - SEAL_BYTES
        file.seek(0)
        while size < body and (data := file.read(min(_READ_BYTES, body - size))):
            size += len(data)
            hashed.update(data)
            checksum = crc32(data, checksum)
            for block in decoder.feed(data):
                take(block)
        tail = file.read(SEAL_BYTES)
    sealed = bool(decoder.checksum)
    if sealed and tail != hashed.digest():
        raise SnapshotDamaged(str(path), size, "the SHA-256 at its end is wrong")
    if not sealed:
        for block in decoder.feed(tail):
            take(block)
        checksum, size = crc32(tail, checksum), size + len(tail)
    decoder.finish()
    assert decoder.meta is not None, "a snapshot that ended has begun"
    return Backup(decoder.meta, size, checksum, sealed)


def load_backup(path: Path, *, skip_hash_check: bool = False) -> Machine:
    """Return a state machine with a backup's content.

    Raises what ``read_backup`` does, BackupNotSealed for a missing seal unless ``skip_hash_check``, and
    PeerProtocolError for content that no snapshot of this version holds.
    """
    loader = MachineLoader()
    backup = read_backup(path, lambda block: loader.add(*block))
    if not (backup.sealed or skip_hash_check):
        raise BackupNotSealed(
            f"{path}: the SHA-256 at its end is missing. It was cut short, or copied from a member's folder: "
            f"such a file has none and is taken with --skip-hash-check"
        )
    while loader.finish_step():
        continue
    machine = Machine()
    machine.adopt(loader)
    return machine


async def restore(machine: Machine, config: Config) -> None:
    """Make the data folder of one member of a new cluster, whose content is that of ``machine``.

    The members are those of ``--initial-cluster``, and their ids follow from it and the token. What is made
    gets its name at the end: it is there as a whole or not at all. A folder that is there and empty, maybe a
    mounted one, is filled. Raises ConfigError when there is something in it, and StorageError.
    """
    site = _prepare(Path(config.data_folder))
    try:
        async with AsyncExitStack() as stack:
            disk = FileDisk()
            stack.push_async_callback(disk.close)
            await _fill(machine, config, disk, str(site.building))
            await disk.rename(str(site.made), str(site.named))
            await disk.sync_directory(str(site.named.parent))
    finally:
        shutil.rmtree(site.building, ignore_errors=True)


class _Site(NamedTuple):
    """Where a data folder is built; ``made`` gets the name ``named`` when it is complete."""

    building: Path
    made: Path
    named: Path


def _prepare(target: Path) -> _Site:
    check_vacant(target)
    inside = target.exists()
    home = target if inside else target.absolute().parent
    home.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f"{target.name}.restoring-", dir=home))
    return (
        _Site(building, building / "member", target / "member")
        if inside
        else _Site(building, building, target)
    )


def check_vacant(folder: Path) -> None:
    """Raise ConfigError unless ``folder`` is empty or not there."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            f"--data-dir {folder}: there is something already; a backup is restored to a new folder"
        )


async def _fill(machine: Machine, config: Config, disk: FileDisk, folder: str) -> None:
    members = bootstrap_members(config)
    ids = sorted(member.id for member in members)
    own = next(member.id for member in members if member.name == config.name)
    machine.membership = Membership()
    machine.membership.apply_bootstrap(encode_members([member._replace(name="") for member in members]))
    machine.sessions = Sessions()
    machine.applied_index = FIRST_INDEX
    machine.leases.begin_at(FIRST_INDEX)
    snapshots = SnapshotFolder(disk, f"{folder}/member/snap")
    with closing(machine.cut()) as cut:
        place = Snapshot(FIRST_INDEX, FIRST_TERM, Configuration(tuple(ids)))
        meta = SnapshotMeta(cluster_id(ids), place, cut.revision, cut.compact_revision, cut.keys)
        draft = await snapshots.create(meta)
        for block in cut.blocks():
            await draft.write(Block(*block))
    await draft.finish()
    ref = await snapshots.publish(draft)
    wal, _ = await Wal.create(
        disk,
        f"{folder}/member/wal",
        Metadata(cluster_id(ids), own, config.name),
        HardState(term=FIRST_TERM, commit=FIRST_INDEX),
        [],
        snapshot=ref,
    )
    await wal.close()
