"""What must hold at the end of a run, whatever happened in it.

The rules of Raft are checked at every step, by the observer; these are about the whole: what clients were
told, what is durable, and whether all members have the same content.
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from math import isinf
from typing import NamedTuple

from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.linearizability import check
from raftkv.checkers.mvcc_kv import MvccKv, changes_state, done_requests, result_of, revision_of
from raftkv.checkers.settle import Write, puts_of, settle
from raftkv.checkers.verdict import Validity
from raftkv.mvcc.machine import Machine
from raftkv.mvcc.parts import pack_block
from raftkv.mvcc.store_dump import CHANGES, VERSIONS
from raftkv.node.node import Node
from raftkv.raft import Configuration, Entry, EntryKind, Snapshot, decode_configuration
from raftkv.raft.invariants import Observer
from raftkv.raft.ledger import Step
from raftkv.raft.partial_log import PartialLog
from raftkv.sim.disk import SimDisk
from raftkv.sim.members import CLUSTER_ID, SNAPSHOTS
from raftkv.storage.snapshot_format import SnapshotDecoder, SnapshotMeta
from raftkv.trace import Event, SnapshotTaken
from raftkv.workloads.kv import PastRead

MAX_CHECK_STEPS = 2_000_000

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
        self._values: dict[str, list[tuple[int, str | None]]] = {}
        self.writes: dict[int, set[tuple[str, str | None]]] = {}
        self._entries = entries
        self._next = 0

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

    def value_at(self, key: str, revision: int) -> str | None:
        """Return what a key was at a revision; None: it was not there."""
        history = self._values.get(key, [])
        place = bisect_right(history, revision, key=lambda one: one[0])
        return history[place - 1][1] if place else None

    def _apply(self, entry: Entry) -> None:
        before = self.machine.store.revision
        if entry.kind == EntryKind.COMMAND:
            self.machine.apply_command(entry.index, entry.data, entry.term)
        elif entry.kind == EntryKind.CONFIGURATION:
            self.machine.apply_configuration(entry.index, decode_configuration(entry.data)[1])
        after = self.machine.store.revision
        if after > before:
            changes = self.machine.store.table.changes.read((after, 0), after, 1000)
            self.writes[after] = {
                (key.decode(), value.decode() if version else None)
                for _, _, _, version, _, key, value in changes
            }
            for _, _, _, version, _, key, value in changes:
                self._values.setdefault(key.decode(), []).append((after, value.decode() if version else None))


class Seen(NamedTuple):
    """What contradicts, and when a client saw it, in seconds."""

    text: str
    at: float | None


def linearizability(history: Sequence[Operation], replay: Replay) -> Seen | None:
    """Say why no order of the operations explains all answers and the committed log; None if one does."""
    verdict = check(settle(history, replay.writes), MvccKv(), max_steps=MAX_CHECK_STEPS)
    if verdict.validity is Validity.VALID:
        return None
    seen = max(map(_ended, verdict.refused), default=None)
    return Seen(f"{verdict.validity.value}: {verdict}", seen)


def _ended(operation: Operation) -> float:
    """Return when an operation returned, or was called if it never did."""
    ended = operation.returned
    return operation.call if ended is None or isinf(ended) else ended


def durability(history: Sequence[Operation], replay: Replay) -> Seen | None:
    """Say which acknowledged write is not in the committed log at the revision told; None if none."""
    for operation in history:
        if operation.outcome is not Outcome.OK:
            continue
        revision = revision_of(operation)
        wrote = {(one[1], one[2]) for one in done_requests(operation) if one[0] == "put"}
        if wrote and not wrote <= replay.writes.get(revision or 0, set()):
            text = f"{operation.input} was acknowledged at revision {revision}, and is not there"
            return Seen(text, operation.returned)
    return None


def exactly_once(history: Sequence[Operation], replay: Replay) -> Seen | None:
    """Say which change in the committed log nobody asked for, or not so, or not twice; None if all are right.

    Values are unique, so a value tells who wrote it; of a delete without an answer only the kind tells.
    """
    answered = [one for one in history if one.outcome is Outcome.OK and changes_state(one)]
    told = {revision_of(one): _told(one) for one in answered}
    owners: dict[Write, list[Operation]] = {}
    for operation in history:
        for put in puts_of(operation):
            owners.setdefault(put, []).append(operation)
    places: dict[Write, int] = {}
    for revision, written in replay.writes.items():
        if told.get(revision, written) != written:
            text = f"revision {revision} wrote {_named(written)}; told: {_named(told[revision])}"
            return Seen(text, None)
        for write in sorted(written, key=repr):
            earlier = places.setdefault(write, revision)
            if write[1] is not None and (found := _not_owned(write, owners.get(write, []))):
                return found
            if earlier != revision and len(owners.get(write, [])) == 1:
                [owner] = owners[write]
                return Seen(f"{write} was done at revision {earlier} and again at {revision}", _ended(owner))
    return None


def _not_owned(write: Write, owners: list[Operation]) -> Seen | None:
    """Say why none of those who asked for a write can have done it; the probes share theirs."""
    if not owners:
        return Seen(f"{write} is in the committed log, and nobody asked for it", None)
    if all(owner.outcome is Outcome.FAIL for owner in owners):
        return Seen(f"{write} is in the committed log, and its request had failed", _ended(owners[0]))
    return None


def _named(writes: Iterable[Write]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(writes, key=repr)) or "nothing"


def _told(operation: Operation) -> set[Write]:
    """Return what an answered operation says that it changed."""
    result = result_of(operation)
    results = result[1] if operation.input[0] == "txn" else (result,)
    pairs = zip(done_requests(operation), results, strict=True)
    puts = {(one[1], one[2]) for one in done_requests(operation) if one[0] == "put"}
    return puts | {(one[1], None) for one, gone in pairs if one[0] == "delete" and gone}


def past_reads(found: Iterable[PastRead], replay: Replay) -> str | None:
    """Say which read at an older revision brought something else than what was there; None if none did."""
    for revision, key, value in found:
        if (right := replay.value_at(key, revision)) != value:
            return f"{key} at revision {revision} was read as {value!r}, and was {right!r}"
    return None


EMPTY_BLOCKS = (pack_block(VERSIONS, []), pack_block(CHANGES, []))
"""A dump may have them where a compaction is under way; they say nothing."""


def snapshot_digest(meta: SnapshotMeta | None, blocks: Iterable[tuple[str, int, bytes]]) -> bytes:
    """Return a SHA-256 over what a snapshot says."""
    hashed = sha256(repr(meta).encode())
    for part, version, data in blocks:
        if data not in EMPTY_BLOCKS:
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
