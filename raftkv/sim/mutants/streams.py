"""Bugs of watches, leases and locks."""

from dataclasses import replace
from typing import Any

from raftkv.errors import Compacted
from raftkv.mvcc.commands import ExpireLease
from raftkv.mvcc.machine import LeaseRequest, Machine
from raftkv.mvcc.watch import Changes, Watcher, Watches
from raftkv.node.expiry import Expiry
from raftkv.schema.lock import LockRequest, LockResponse
from raftkv.schema.watch import WatchCreateRequest, WatchResponse
from raftkv.service.lock import LockService
from raftkv.service.recipes import Queue
from raftkv.service.watch import Watch, WatchStream
from raftkv.sim.mutants.families import SNAPSHOT
from raftkv.sim.mutants.mutant import Hardness, Mutant, Patch

FEW = 3
"""Revisions that nobody misses."""

WATCHED = (
    "reliable",
    "resumable",
    "bookmarkable",
    "converged",
    "unique",
    "ordered",
    "atomic",
    "future",
    "compacted",
)
"""What a watch can do wrong with events."""


def t1_gap_before_live(patch: Patch) -> None:
    """Take a watcher for live that has a few revisions yet to read."""

    def add(self: Watches, watcher: Watcher) -> None:
        self._follow()
        if not self._live:
            self._begin_at(self._store.revision)
        if watcher.next_revision + FEW > self._seen:
            self._join(watcher)
        else:
            watcher.fall_behind()

    patch.set(Watches, "add", add)


def t2_doubled_on_resume(patch: Patch) -> None:
    """Begin with the revision before the one that is asked for, which a client that goes on has."""
    begin = Watch.__init__

    def begin_before(
        self: Watch, stream: WatchStream, watch_id: int, request: WatchCreateRequest, start_revision: int
    ) -> None:
        begin(self, stream, watch_id, request, start_revision - (request.start_revision > 1))

    patch.set(Watch, "__init__", begin_before)


def t4_note_ahead(patch: Patch) -> None:
    """Tell in a progress note the store's revision, and not how far the watches are."""
    at_present = WatchStream._is_at_present

    def tick(self: WatchStream) -> None:
        notified = [watch for watch in self._watches.values() if watch.notified]
        self._ticking = self._loop.call_later(self._interval, self._tick) if notified else None
        for watch in notified:
            if at_present(self, watch):
                self._queue.insert(0, WatchResponse(self._header(self._store.revision), watch.id))
                self._wake()

    patch.set(WatchStream, "_tick", tick)


def t5_future_gets_the_past(patch: Patch) -> None:
    """Tell live watchers everything, whatever revision they asked for."""

    def tell(self: Watches, watcher: Watcher, changes: Changes) -> None:
        changes = changes.shown_to(watcher)
        if watcher.live and changes.versions and not watcher.take(changes):
            watcher.next_revision = changes.revision
            self._leave(watcher)
            watcher.fall_behind()

    patch.set(Watches, "_tell", tell)


def t7_silence_for_compacted(patch: Patch) -> None:
    """Go on at the present where the past is compacted."""
    catch_up = Watches.catch_up

    def go_on(self: Watches, watcher: Watcher, budget: int) -> Changes | None:
        try:
            return catch_up(self, watcher, budget)
        except Compacted:
            watcher.next_revision = self._store.revision + 1
            self.add(watcher)
            return None

    patch.set(Watches, "catch_up", go_on)


def z1_not_reset(patch: Patch) -> None:
    """Let leases run on from when an earlier leader began to count."""
    begin = Expiry._begin

    def begin_long_ago(self: Expiry, term: int) -> None:
        begin(self, term)
        self._since -= 60.0

    patch.set(Expiry, "_begin", begin_long_ago)


def z2_deposed_leader_revokes(patch: Patch) -> None:
    """Let what a leader proposed about a lease be done in any later term."""
    do = Machine._run_lease

    def whoever_proposed(self: Machine, request: LeaseRequest, term: int) -> Any:
        if isinstance(request, ExpireLease):
            request = replace(request, term=term)
        return do(self, request, term)

    patch.set(Machine, "_run_lease", whoever_proposed)


def z5_lock_without_a_lease(patch: Patch) -> None:
    """Give the lock to whom nobody is before, though its own key is gone with its lease."""

    async def lock(self: LockService, request: LockRequest) -> LockResponse:
        queue = Queue(request.name, self._kv, self._events)
        place = await queue.enter(request.lease, b"")
        front = await queue.wait_for_front(place)
        return LockResponse(front.header, place.key)

    patch.set(LockService, "lock", lock)


MUTANTS = (
    Mutant(
        "T1", "events lost between history and live", t1_gap_before_live, Hardness.MEDIUM, WATCHED, "watch"
    ),
    Mutant("T2", "events doubled on resume", t2_doubled_on_resume, Hardness.EASY, WATCHED, "watch"),
    Mutant(
        "T4", "progress note ahead of events still queued", t4_note_ahead, Hardness.HARD, WATCHED, "watch"
    ),
    Mutant(
        "T5",
        "watch of the future gets old events",
        t5_future_gets_the_past,
        Hardness.MEDIUM,
        WATCHED,
        "watch",
    ),
    Mutant(
        "T7",
        "start below the compact revision: silence",
        t7_silence_for_compacted,
        Hardness.EASY,
        WATCHED,
        "watch",
    ),
    Mutant("Z1", "new leader expires leases too early", z1_not_reset, Hardness.MEDIUM, ("early",), "lease"),
    Mutant(
        "Z2",
        "lease revoked by a deposed leader",
        z2_deposed_leader_revokes,
        Hardness.HARD,
        ("early", *SNAPSHOT),
        "lease",
    ),
    Mutant(
        "Z5",
        "lock granted after its waiter's lease has ended",
        z5_lock_without_a_lease,
        Hardness.MEDIUM,
        ("ghost", "exclusion", "fencing"),
        "lock",
    ),
)
