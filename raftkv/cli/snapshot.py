"""``raftkv snapshot save``, ``status`` and ``restore``."""

import argparse
import asyncio
import gc
import os
import tempfile
from pathlib import Path

from raftkv.backup import Backup, check_vacant, load_backup, read_backup, restore
from raftkv.cli.endpoints import PATIENCE_SECONDS, client_of, endpoints
from raftkv.cli.exits import Exit
from raftkv.cli.output import print_json, print_table, say, size
from raftkv.errors import ConfigError
from raftkv.node.config import Config
from raftkv.storage.snapshot_format import Block

MAX_REVISION = (1 << 62) - 1
"""A restored store begins no later: so writes never reach the largest number that its formats hold."""

RESTORE_FLAGS = (
    "name",
    "data_dir",
    "initial_cluster",
    "initial_cluster_token",
    "initial_advertise_peer_urls",
)


def save(arguments: argparse.Namespace) -> int:
    """Write a backup of one member to a new file: there as a whole and verified, or not at all."""
    target = Path(arguments.file)
    if target.exists():
        raise ConfigError(f"{target}: there is a file already; give another name")
    client = client_of(endpoints(arguments), patience=PATIENCE_SECONDS)
    folder = target.absolute().parent
    with tempfile.NamedTemporaryFile(dir=folder, prefix=f"{target.name}.", suffix=".part") as draft:
        client.backup(draft.write)
        draft.flush()
        os.fsync(draft.fileno())
        backup = read_backup(Path(draft.name), _ignore)
        try:
            os.link(draft.name, target)  # unlike a rename this never replaces a file that came meanwhile
        except FileExistsError:
            raise ConfigError(f"{target}: there is a file already; give another name") from None
    _sync_folder(folder)
    if arguments.json:
        print_json({"file": str(target), **_as_json(backup)})
    else:
        print(f"Snapshot saved at {target}")
    return Exit.OK


def status(arguments: argparse.Namespace) -> int:
    """Verify a backup file and say what it holds."""
    backup = read_backup(Path(arguments.file), _ignore)
    if arguments.json:
        print_json(_as_json(backup))
        return Exit.OK
    meta = backup.meta
    row = (f"{backup.checksum:x}", meta.revision, meta.keys, size(backup.size))
    print_table(("HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE"), [row])
    return Exit.OK


def restore_member(arguments: argparse.Namespace) -> int:
    """Make the data folder of one member of a new cluster from a backup file."""
    _check_bump(arguments)
    given = {name: value for name in RESTORE_FLAGS if (value := getattr(arguments, name)) is not None}
    config = Config.from_flags(given)
    check_vacant(Path(config.data_folder))
    gc.disable()  # nothing that is loaded is garbage, and this process ends when it is written
    machine = load_backup(Path(arguments.file), skip_hash_check=arguments.skip_hash_check)
    if arguments.bump_revision:
        if machine.store.revision + arguments.bump_revision > MAX_REVISION:
            raise ConfigError(
                f"--bump-revision {arguments.bump_revision}: a store begins at {MAX_REVISION} at most"
            )
        machine.store.bump_revision(arguments.bump_revision)
    asyncio.run(restore(machine, config))
    raised = machine.alarms.raised()
    if raised:
        say("raftkv: warning: the backup holds alarms, which still forbid writes: see raftkv alarm list")
    revision, keys = machine.store.revision, machine.store.live_keys
    if arguments.json:
        print_json({"data_dir": config.data_folder, "revision": revision, "keys": keys})
    else:
        print(f"restored {keys} keys at revision {revision} to {config.data_folder}")
    return Exit.OK


def _check_bump(arguments: argparse.Namespace) -> None:
    """As etcdutl: the one flag needs the other."""
    if arguments.bump_revision < 0:
        raise ConfigError(f"--bump-revision {arguments.bump_revision}: it can't be below 0")
    if arguments.mark_compacted != (arguments.bump_revision > 0):
        raise ConfigError("--bump-revision and --mark-compacted are given together or not at all")


def _as_json(backup: Backup) -> dict[str, int]:
    """Return etcdutl's fields."""
    meta = backup.meta
    return {
        "hash": backup.checksum,
        "revision": meta.revision,
        "totalKey": meta.keys,
        "totalSize": backup.size,
    }


def _ignore(block: Block) -> None:
    """Take a block of which only its checksums matter."""


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
