"""What identifies a snapshot file."""

from typing import NamedTuple

from raftkv.raft.types import Snapshot


class SnapshotRef(NamedTuple):
    """A snapshot file: what it stands for, its length in bytes and its SHA-256.

    ``checksum``: 32 bytes, over the whole file before the trailer that holds it; it identifies the file.
    """

    snapshot: Snapshot
    size: int
    checksum: bytes
