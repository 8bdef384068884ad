"""Bugs of the state machine, of its snapshots, and of who is told what came of a request."""

import asyncio
from collections.abc import Iterator
from typing import Any

from raftkv.errors import ProposalDropped
from raftkv.mvcc.commands import RequestId
from raftkv.mvcc.compaction import Compactor
from raftkv.mvcc.parts import CopiedDump, pack_block
from raftkv.mvcc.revision_writer import RevisionWriter
from raftkv.mvcc.sessions import Sessions, _encode
from raftkv.mvcc.store import FIRST_REVISION, Store
from raftkv.mvcc.store_dump import StoreDump
from raftkv.mvcc.txn import TxnPlan
from raftkv.mvcc.version_table import VersionTable, newest_of
from raftkv.mvcc.versions import CREATE, MOD, VERSION, Version
from raftkv.node.node import Node
from raftkv.node.proposals import Proposals
from raftkv.node.waiters import Waiter, Waiters
from raftkv.raft.types import Entry, EntryKind, Role
from raftkv.schema.kv import DeleteRangeRequest, RangeRequest, TxnRequest, TxnResponse
from raftkv.service import KvService
from raftkv.sim.mutants.families import (
    FRESH_READS,
    LOST_WRITE,
    REFUSED_START,
    SNAPSHOT,
    STATE_MACHINE_SAFETY,
    WATCHED,
)
from raftkv.sim.mutants.mutant import Hardness, Mutant, Patch


def s5_sessions_left_out(patch: Patch) -> None:
    """Leave the applied requests out of the snapshot."""
    patch.set(Sessions, "dump", lambda _: CopiedDump([pack_block()]))


def s6_compact_revision_left_out(patch: Patch) -> None:
    """After a snapshot is loaded, nothing was ever compacted."""
    patch.set(Compactor, "restore", lambda *_: None)


def s7_revision_not_restored(patch: Patch) -> None:
    """After a snapshot is loaded, begin at the first revision again."""
    finish = Store.finish_load

    def forget(self: Store) -> bool:
        more = finish(self)
        self.revision = self.revision if more else FIRST_REVISION
        return more

    patch.set(Store, "finish_load", forget)


def s9_cut_while_applying(patch: Patch) -> None:
    """Dump each part as it is when its turn comes."""
    blocks = StoreDump.blocks

    def late(self: StoreDump) -> Iterator[bytes]:
        self._revision += 1000
        return blocks(self)

    def lazily(self: Sessions) -> Iterator[bytes]:
        yield pack_block()
        for session in self.content():
            yield _encode(session)

    patch.set(StoreDump, "blocks", late)
    patch.set(Sessions, "dump", lambda self: CopiedDump(lazily(self)))


def a2_local_clock(patch: Patch) -> None:
    """Forget a request that was applied some time ago, by this member's own clock."""
    admit = Sessions.admit

    def forgetful(self: Sessions, request_id: RequestId) -> bool:
        now = asyncio.get_running_loop().time()
        used: dict[int, float] = self.__dict__.setdefault("used", {})
        if now - used.get(request_id.member, now) > 3.0:
            self._members.pop(request_id.member, None)
        used[request_id.member] = now
        return admit(self, request_id)

    patch.set(Sessions, "admit", forgetful)


def a4_retry_applied_twice(patch: Patch) -> None:
    """Apply a request as often as it is in the log."""

    def always(self: Sessions, request_id: RequestId) -> bool:
        admit(self, request_id)
        return True

    admit = Sessions.admit
    patch.set(Sessions, "admit", always)


def a5_waiter_by_index(patch: Patch) -> None:
    """Answer who proposed the entry at an index with what came of the entry that is there."""
    give, apply, resolve = Proposals.give, Node._apply, Waiters.resolve

    def noting(self: Proposals, waiter: Waiter) -> None:
        give(self, waiter)
        status = self._core.status()
        if status.role is Role.LEADER and waiter.proposed:
            self._waiters.__dict__.setdefault("asked_at", {})[status.log.last_index] = waiter.sequence

    def by_index(self: Node, entry: Entry) -> None:
        self._waiters.applied = entry  # type: ignore[attr-defined]
        apply(self, entry)

    def answer(self: Waiters, applied: Any) -> None:
        entry = self.applied  # type: ignore[attr-defined]
        sequence = self.__dict__.get("asked_at", {}).pop(entry.index, None)
        if entry.kind == EntryKind.COMMAND and sequence is not None:
            mine = RequestId(self._member_id, self._boot, sequence)
            applied = applied._replace(request_id=mine)
        resolve(self, applied)

    patch.set(Proposals, "give", noting)
    patch.set(Node, "_apply", by_index)
    patch.set(Waiters, "resolve", answer)


def a6_time_out_is_a_failure(patch: Patch) -> None:
    """Say that what was not answered in time was not done."""

    def expire(self: Waiters) -> None:
        now = self._loop.time()
        for waiter in self:
            if waiter.deadline > now:
                return
            self.close(waiter)
            if not waiter.future.done():
                waiter.future.set_exception(ProposalDropped("no answer in time"))

    patch.set(Waiters, "expire", expire)


def k1_compare_outside_apply(patch: Patch) -> None:
    """Decide a txn where it is asked, and let the log carry the branch."""
    txn = KvService.txn

    async def decided(self: KvService, request: TxnRequest) -> TxnResponse:
        plan = TxnPlan(self._store.table, request)
        branch = TxnRequest(success=plan.operations)
        response = await txn(self, branch)
        response.succeeded = plan.succeeded
        return response

    patch.set(KvService, "txn", decided)


def k3_version_after_delete(patch: Patch) -> None:
    """Go on with a key's version and create revision after it was deleted."""
    append = VersionTable.append

    def go_on(self: VersionTable, entry: Any, version: Version) -> None:
        if version[VERSION] == 1 and isinstance(entry, list) and len(entry) > 1:
            before = entry[-2]
            version = (*version[:CREATE], before[CREATE], before[VERSION] + 1, *version[VERSION + 1 :])
        append(self, entry, version)

    patch.set(VersionTable, "append", go_on)


def k3_delete_of_nothing(patch: Patch) -> None:
    """Let the delete of a missing key take a revision."""
    delete_range = RevisionWriter.delete_range

    def counting(self: RevisionWriter, request: DeleteRangeRequest) -> Any:
        response = delete_range(self, request)
        if not response.deleted:
            self._changes += 1
        return response

    patch.set(RevisionWriter, "delete_range", counting)


def k4_newer_than_asked(patch: Patch) -> None:
    """Answer a range at an older revision with what is there now."""
    open_range = Store.open_range

    def newest(self: Store, request: RangeRequest) -> Any:
        self.check_range(request)
        return open_range(self, RangeRequest(key=request.key, range_end=request.range_end))

    patch.set(Store, "open_range", newest)


def k5_compacts_what_lives(patch: Patch) -> None:
    """Let a compaction remove the only version of a key that it does not forbid to read."""
    prune = VersionTable.prune

    def too_much(self: VersionTable, key: bytes, revision: int, most: int) -> int:
        entry = self.entries.get(key)
        if entry is not None and newest_of(entry)[VERSION] and newest_of(entry)[MOD] < revision:
            self.entries.remove(key)
            return 1
        return prune(self, key, revision, most)

    patch.set(VersionTable, "prune", too_much)


MUTANTS = (
    Mutant(
        "S5",
        "snapshot without the applied requests",
        s5_sessions_left_out,
        Hardness.MEDIUM,
        (*SNAPSHOT, "linearizability"),  # exactly once: a request that is applied again
    ),
    Mutant(
        "S6",
        "snapshot without the compact revision",
        s6_compact_revision_left_out,
        Hardness.MEDIUM,
        (*SNAPSHOT, *WATCHED),
        "watch",
    ),
    Mutant(
        "S7",
        "revision not restored",
        s7_revision_not_restored,
        Hardness.EASY,
        (*SNAPSHOT, *REFUSED_START, "linearizability", "durability"),
    ),
    Mutant(
        "S9",
        "snapshot taken while applying",
        s9_cut_while_applying,
        Hardness.MEDIUM,
        (*SNAPSHOT, "linearizability"),
    ),
    Mutant(
        "A2",
        "apply depends on the local clock",
        a2_local_clock,
        Hardness.MEDIUM,
        (*STATE_MACHINE_SAFETY, *SNAPSHOT, "linearizability"),
    ),
    Mutant("A4", "retry applied twice", a4_retry_applied_twice, Hardness.MEDIUM, LOST_WRITE),
    Mutant(
        "A5", "waiter of an index answered by another entry", a5_waiter_by_index, Hardness.MEDIUM, LOST_WRITE
    ),
    Mutant("A6", "time-out reported as a failure", a6_time_out_is_a_failure, Hardness.EASY, LOST_WRITE),
    Mutant("K1", "compare outside apply", k1_compare_outside_apply, Hardness.EASY, LOST_WRITE),
    Mutant("K3", "version goes on after a delete", k3_version_after_delete, Hardness.EASY, FRESH_READS),
    Mutant(
        "K3b", "delete of a missing key takes a revision", k3_delete_of_nothing, Hardness.EASY, FRESH_READS
    ),
    Mutant(
        "K4", "range at a revision returns newer data", k4_newer_than_asked, Hardness.EASY, ("past reads",)
    ),
    Mutant(
        "K5",
        "compaction removes the live version",
        k5_compacts_what_lives,
        Hardness.MEDIUM,
        (*FRESH_READS, "past reads", "equal content"),
    ),
)
