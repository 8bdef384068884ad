"""Bugs in the node, the files and the store, written from what goes wrong in such programs."""

import asyncio
from typing import Any

from raftkv.mvcc import scan, txn
from raftkv.mvcc.commands import RequestId
from raftkv.mvcc.revision_writer import RevisionWriter
from raftkv.mvcc.sessions import WINDOW, _Boot
from raftkv.mvcc.version_table import LATEST, Entry, newest_of, seen_at
from raftkv.mvcc.versions import MOD, VERSION, Version
from raftkv.node import writer
from raftkv.node.barrier import ReadBarrier
from raftkv.node.proposals import Proposals
from raftkv.node.snapshot_store import SnapshotStore
from raftkv.node.snapshotter import Snapshotter
from raftkv.node.waiters import Waiters
from raftkv.node.writer import Writer
from raftkv.schema.kv import Compare, PutRequest
from raftkv.sim.mutants.mutant import Hardness, Mutant, Patch
from raftkv.storage import recovery, wal
from raftkv.storage.disk import Disk
from raftkv.storage.recovery import RecoveredLog
from raftkv.storage.wal import Wal


def b8_joins_the_round_under_way(patch: Patch) -> None:
    """Let a read pass with the round that began before it."""
    passed = ReadBarrier.passed

    async def join(self: ReadBarrier) -> None:
        if not self._under_way:
            await passed(self)
            return
        future: asyncio.Future[None] = self._loop.create_future()
        self._under_way.append((self._loop.time() + self._timeout, future))
        await future

    patch.set(ReadBarrier, "passed", join)


def b9_sends_before_it_saves(patch: Patch) -> None:
    """Send what waits for the disk while it writes."""
    save_next = Writer._save_next

    async def early(self: Writer) -> None:
        for position, step in enumerate(self._queue):
            if isinstance(step, writer._Save):
                self._send(step.write.after)
                self._queue[position] = step._replace(write=step.write._replace(after=()))
        await save_next(self)

    patch.set(Writer, "_save_next", early)


def b10_acknowledges_on_a_full_disk(patch: Patch) -> None:
    """Let acknowledgements of entries go ahead with the vote while there is no room."""
    patch.set(writer, "_asserts_log", lambda _: False)


def b11_same_ids_after_a_restart(patch: Patch) -> None:
    """Begin to count requests from 1 again after a restart, under the same boot."""

    def next_id(self: Waiters) -> RequestId:
        self._sequence += 1
        self._boot = 1
        return RequestId(self._member_id, 1, self._sequence)

    patch.set(Waiters, "next_id", next_id)


def b12_not_proposed_again(patch: Patch) -> None:
    """Forget what a leader that is gone was asked for."""
    patch.set(Proposals, "give_all_again", lambda _: None)
    patch.set(Proposals, "give_late_ones_again", lambda _, *, leads: None)


def b13_files_go_before_the_mark(patch: Patch) -> None:
    """Remove older snapshots, and keep one, before the log names the new one."""
    patch.set(SnapshotStore, "kept_with", lambda _, ref: (ref,))
    publish = SnapshotStore.publish

    async def first(self: SnapshotStore, finished: Any) -> Any:
        ref = await publish(self, finished)
        await self._folder.keep([ref])
        return ref

    patch.set(SnapshotStore, "publish", first)


def b14_log_released_too_far(patch: Patch) -> None:
    """Give up the log to the newest snapshot's end and some entries more."""
    count = Snapshotter._count

    def too_far(self: Snapshotter, ref: Any, keys: int) -> None:
        count(self, ref, keys)
        for segment in self._wal._segments:
            segment.last_index = max(0, segment.last_index - 40)

    patch.set(Snapshotter, "_count", too_far)


def b15_torn_tail_left(patch: Patch) -> None:
    """Report a torn tail, and leave it where it is."""

    async def leave(disk: Disk, directory: str, log: RecoveredLog) -> Any:
        tear, log.tear = log.tear, None
        await repair(disk, directory, log)
        log.tear = tear

    repair = recovery.repair
    patch.set(wal, "repair", leave)


def b16_commit_hint_ahead(patch: Patch) -> None:
    """Take a vote saved ahead for a reason to believe the whole log committed at the next start."""
    save_vote = Wal.save_vote

    async def ahead(self: Wal, term: int, vote: int) -> None:
        hint = self.hard_state._replace(commit=self._state.last_index)
        self._state = self._state._replace(hard_state=hint)
        await save_vote(self, term, vote)

    patch.set(Wal, "save_vote", ahead)


def b17_missing_key_compares_equal(patch: Patch) -> None:
    """Let every compare on a missing key hold."""
    holds = txn.holds

    def lenient(table: Any, compare: Compare) -> bool:
        return table.live(compare.key) is None or holds(table, compare)

    patch.set(txn, "holds", lenient)


def b18_seen_too_early(patch: Patch) -> None:
    """See a version one revision before it was written."""

    def early(entry: Entry, revision: int) -> Version | None:
        return seen_at(entry, min(revision + 1, LATEST))

    patch.set(scan, "seen_at", early)


def b19_skipped_numbers_applied(patch: Patch) -> None:
    """Take request numbers that were skipped for applied ones."""

    def skip(self: _Boot, first: int, end: int) -> None:
        for number in range(first, end if first <= end else WINDOW):
            self.ring[number] = 1

    patch.set(_Boot, "_clear", skip)


def b20_version_of_the_deleted(patch: Patch) -> None:
    """Count a put on a deleted key as a change of nothing when its value is the same."""
    put = RevisionWriter.put

    def unchanged(self: RevisionWriter, request: PutRequest) -> Any:
        entry = self._table.entries.get(request.key)
        newest = newest_of(entry) if entry is not None else None
        changes = self._changes
        response = put(self, request)
        if newest is not None and not newest[VERSION] and newest[MOD] == self._base:
            self._changes = changes
        return response

    patch.set(RevisionWriter, "put", unchanged)


MUTANTS = (
    Mutant("B8", "read joins the round under way", b8_joins_the_round_under_way, Hardness.HARD),
    Mutant("B9", "messages leave while the disk writes", b9_sends_before_it_saves, Hardness.HARD),
    Mutant("B10", "entries acknowledged on a full disk", b10_acknowledges_on_a_full_disk, Hardness.HARD),
    Mutant("B11", "request ids come twice after a restart", b11_same_ids_after_a_restart, Hardness.HARD),
    Mutant(
        "B12",
        "proposals not repeated under a new leader",
        b12_not_proposed_again,
        Hardness.HARD,
        remark="Nothing wrong comes of it: who asked gets a time-out, as from etcd, which never repeats one",
    ),
    Mutant(
        "B13", "old snapshots removed before the new one counts", b13_files_go_before_the_mark, Hardness.HARD
    ),
    Mutant("B14", "log released beyond the oldest snapshot", b14_log_released_too_far, Hardness.HARD),
    Mutant(
        "B15",
        "torn tail left in place",
        b15_torn_tail_left,
        Hardness.HARD,
        remark="The next save lies on top of it; only a longer tear shows behind that. The table of power "
        "losses in `tests/storage` sees it",
    ),
    Mutant(
        "B16",
        "everything on the disk taken for committed",
        b16_commit_hint_ahead,
        Hardness.HARD,
        remark="A vote goes ahead of entries on a full disk some 3 times in 100 runs (a mark counts it), "
        "and a restart has to follow; `tests/node` sees it",
    ),
    Mutant("B17", "compares on a missing key hold", b17_missing_key_compares_equal, Hardness.HARD),
    Mutant("B18", "reads see one revision too much", b18_seen_too_early, Hardness.HARD),
    Mutant(
        "B19",
        "skipped request numbers count as applied",
        b19_skipped_numbers_applied,
        Hardness.HARD,
        remark="A request that comes late has no effect, and who asked is told that nobody knows: nothing "
        "wrong, only worse; `tests/mvcc` sees it",
    ),
    Mutant("B20", "put after a delete takes no revision", b20_version_of_the_deleted, Hardness.HARD),
)
