"""What must hold at the end of a run, whatever happened in it.

The rules of Raft are checked at every step, by the observer; these are about the whole: what clients were
told, what is durable, and whether all members have the same content.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from math import isinf
from typing import NamedTuple

from raftkv.checkers.history import Operation
from raftkv.checkers.models import CasRegister
from raftkv.checkers.mvcc_kv import MvccKv
from raftkv.checkers.verdict import Validity
from raftkv.mvcc.machine import Machine
from raftkv.mvcc.parts import unpack_block
from raftkv.mvcc.store import Store
from raftkv.mvcc.store_dump import CHANGES, VERSIONS
from raftkv.mvcc.versions import Version
from raftkv.node.node import Node
from raftkv.raft import Configuration, Entry, EntryKind, Snapshot, decode_configuration
from raftkv.raft.invariants import Observer
from raftkv.raft.ledger import Step
from raftkv.raft.partial_log import PartialLog
from raftkv.sim.disk import SimDisk
from raftkv.sim.members import CLUSTER_ID, SNAPSHOTS
from raftkv.storage.snapshot_format import SnapshotDecoder, SnapshotMeta
from raftkv.trace import Event, SnapshotTaken
from raftkv.workloads.port import Change, Finding, Truth

MAX_HELD = 5_500
"""Entries a log may hold beyond three snapshots' worth: the tail kept for slow followers, and a batch."""


class TimedObserver(Observer):
    """Holds every step against the rules; ``seconds`` is what that took."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def observe(self, step: Step) -> None:
        """See ``Observer``."""
        begun = time.perf_counter()
        try:
            super().observe(step)
        finally:
            self.seconds += time.perf_counter() - begun


class Replay:
    """The committed log, applied once more to a machine of its own; remembers what each revision wrote."""

    def __init__(
        self, entries: PartialLog | list[Entry], configuration_at: Callable[[int], Configuration]
    ) -> None:
        self.machine = Machine()
        self.snapshots: dict[int, bytes] = {}
        self._configuration_at = configuration_at
        self._changes: list[Change] = []
        self._entries = entries
        self._next = 0

    @property
    def truth(self) -> Truth:
        """What was written so far."""
        return Truth(self._changes, self.machine.store.compact_revision)

    def run(self, wanted: Iterable[int] = ()) -> None:
        """Apply all; keep what a snapshot after each of the entries ``wanted``, by index, has to hold."""
        wanted = set(wanted)
        for entry in self._entries[self._next :]:
            self._apply(entry)
            if entry.index in wanted:
                self.snapshots[entry.index] = self._snapshot_at(entry)
        self._next = len(self._entries)

    def _snapshot_at(self, entry: Entry) -> bytes:
        """Return the digest of the file that a snapshot of the content as it is now has to be."""
        snapshot = Snapshot(entry.index, entry.term, self._configuration_at(entry.index))
        cut = self.machine.cut()
        meta = SnapshotMeta(CLUSTER_ID, snapshot, cut.revision, cut.compact_revision, cut.keys)
        digest = snapshot_digest(meta, cut.blocks())
        cut.close()
        return digest

    def _apply(self, entry: Entry) -> None:
        before = self.machine.store.revision
        if entry.kind == EntryKind.COMMAND:
            self.machine.apply_command(entry.index, entry.data, entry.term)
        elif entry.kind == EntryKind.CONFIGURATION:
            self.machine.apply_configuration(entry.index, decode_configuration(entry.data)[1])
        after = self.machine.store.revision
        if after > before:
            versions = self.machine.store.table.changes.read((after, 0), after, 1000)
            self._changes += map(_change, versions)


def _change(version: Version) -> Change:
    revision, _, created, number, lease, key, value = version
    return Change(revision, key, value if number else None, created, number, lease)


class Seen(NamedTuple):
    """What contradicts, and when a client saw it, in seconds."""

    text: str
    at: float | None


NAMES = {MvccKv.name: "linearizability", CasRegister.name: "linearizability"}
"""What a check is called that names no anomaly of its own, by its model."""


def contradiction(finding: Finding) -> tuple[str, Seen] | None:
    """Return the name of the check that a finding fails, and what it saw; None if it holds."""
    model, verdict, _ = finding
    if verdict.validity is Validity.VALID:
        return None
    if verdict.anomalies:
        name, told, operations = verdict.anomalies[0]
        return name, Seen(told, max(map(_ended, operations), default=None))
    seen = max(map(_ended, verdict.refused), default=None)
    return NAMES.get(model, model), Seen(f"{verdict.validity.value}: {verdict}", seen)


def _ended(operation: Operation) -> float:
    """Return when an operation returned, or was called if it never did."""
    ended = operation.returned
    return operation.call if ended is None or isinf(ended) else ended


def snapshot_digest(meta: SnapshotMeta | None, blocks: Iterable[tuple[str, int, bytes]]) -> bytes:
    """Return a SHA-256 over what a snapshot says.

    Where the store's blocks end depends on what came while it was dumped: what they hold together counts.
    """
    hashed = sha256(repr(meta).encode())
    for part, version, data in blocks:
        match unpack_block(data) if part == Store.name else ():
            case (int(kind), tuple(rows)) if kind in (VERSIONS, CHANGES):
                for row in rows:
                    hashed.update(f"{kind} {row}".encode())
            case _:
                hashed.update(b"%s %d %d " % (part.encode(), version, len(data)) + data)
    return hashed.digest()


class SnapshotWitness:
    """Keeps what each snapshot holds that a member takes, to be compared with what it has to hold."""

    def __init__(self, disk_of: Callable[[str], SimDisk]) -> None:
        self._disk_of = disk_of
        self.taken: dict[int, dict[str, bytes]] = {}

    def take(self, _now: float, name: str, event: Event) -> None:
        """Look at the file of a snapshot that was just taken."""
        if not isinstance(event, SnapshotTaken):
            return
        disk, start = self._disk_of(name), f"{SNAPSHOTS}/{event.snapshot_index:016x}-"
        for path in sorted(disk.names):
            if path.startswith(start) and path.endswith(".snap"):
                self.taken.setdefault(event.snapshot_index, {})[name] = _file_digest(
                    path, bytes(disk.content(path))
                )

    def compare(self, expected: Mapping[int, bytes]) -> str | None:
        """Say which snapshot is not the state at its index; None if all are."""
        for index, files in self.taken.items():
            for name, digest in files.items():
                if expected.get(index) != digest:
                    return f"the snapshot of {name} at {index} is not the content at that index"
        return None


def _file_digest(path: str, content: bytes) -> bytes:
    decoder = SnapshotDecoder(path)
    blocks = decoder.feed(content)
    return snapshot_digest(decoder.meta, blocks)


def equal_content(nodes: dict[str, Node], replay: Replay) -> str | None:
    """Say which member's content differs from the committed log's; None if none does."""
    expected = replay.machine.digest()
    for name, node in nodes.items():
        if node.machine.digest() != expected:
            return f"the content of {name} at {node.applied_index} is not that of the committed log"
    return None


def bounded(node: Node, snapshot_count: int) -> str | None:
    """Say what has grown without bound; None if nothing has."""
    status = node.status()
    held = status.log.last_index - status.log.first_index + 1
    most = 3 * snapshot_count + MAX_HELD
    if held > most:
        return f"{held} entries are held, at most {most} are to be"
    if node.waiting > 10_000:
        return f"{node.waiting} requests wait"
    return None
