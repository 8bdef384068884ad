"""What must hold at the end of a run, whatever happened in it.

The rules of Raft are checked at every step, by the observer; these are about the whole: what clients were
told, what is durable, and whether all members have the same content.
"""

import time
from collections.abc import Iterable, Sequence

from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.linearizability import check
from raftkv.checkers.mvcc_kv import MvccKv, done_requests, revision_of
from raftkv.checkers.verdict import Validity
from raftkv.mvcc.machine import Machine
from raftkv.node.node import Node
from raftkv.raft import Entry, EntryKind, decode_configuration
from raftkv.raft.invariants import Observer
from raftkv.raft.ledger import Step
from raftkv.raft.partial_log import PartialLog

MAX_CHECK_STEPS = 2_000_000

MAX_HELD = 5_500
"""Entries that a log may hold beyond three snapshots' worth: the tail for slow followers, and a batch."""


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

    def __init__(self, entries: PartialLog) -> None:
        self.machine = Machine()
        self.writes: dict[int, set[tuple[str, str | None]]] = {}
        self.digests: dict[int, bytes] = {}
        self._entries = entries
        self._next = 0

    def run(self, wanted: Iterable[int] = ()) -> None:
        """Apply all; keep the digests after the entries ``wanted`` by index."""
        wanted = set(wanted)
        for entry in self._entries[self._next :]:
            self._apply(entry)
            if entry.index in wanted:
                self.digests[entry.index] = self.machine.digest()
        self._next = len(self._entries)

    def _apply(self, entry: Entry) -> None:
        before = self.machine.store.revision
        if entry.kind == EntryKind.COMMAND:
            self.machine.apply_command(entry.index, entry.data)
        elif entry.kind == EntryKind.CONFIGURATION:
            self.machine.apply_configuration(entry.index, decode_configuration(entry.data)[1])
        after = self.machine.store.revision
        if after > before:
            changes = self.machine.store.table.changes.read((after, 0), after, 1000)
            self.writes[after] = {
                (key.decode(), value.decode() if version else None)
                for _, _, _, version, _, key, value in changes
            }


def linearizability(history: Sequence[Operation]) -> str | None:
    """Say why no order of the operations explains all answers; None if one does."""
    verdict = check(history, MvccKv(), max_steps=MAX_CHECK_STEPS)
    if verdict.validity is Validity.VALID:
        return None
    return f"{verdict.validity.value}: {verdict}"


def durability(history: Sequence[Operation], replay: Replay) -> str | None:
    """Say which acknowledged write is not in the committed log at the revision told; None if none."""
    for operation in history:
        if operation.outcome is not Outcome.OK:
            continue
        revision = revision_of(operation)
        wrote = {(one[1], one[2]) for one in done_requests(operation) if one[0] == "put"}
        if wrote and not wrote <= replay.writes.get(revision or 0, set()):
            return f"{operation.input} was acknowledged at revision {revision}, and is not there"
    return None


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
