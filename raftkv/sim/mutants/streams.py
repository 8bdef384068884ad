"""Bugs of watches."""

from collections.abc import Iterable, Iterator

from raftkv.errors import Compacted
from raftkv.mvcc.commands import decode_command
from raftkv.mvcc.store import Store
from raftkv.mvcc.version_table import newest_of
from raftkv.mvcc.versions import CREATE, KEY, MOD, VERSION, Version, deletion
from raftkv.mvcc.watch import Changes, Watcher, Watches
from raftkv.node.node import Node
from raftkv.raft import Ready
from raftkv.raft.types import Entry, EntryKind
from raftkv.schema.kv import DeleteRangeRequest, PutRequest, TxnRequest
from raftkv.schema.watch import WatchCreateRequest, WatchResponse
from raftkv.service.watch import Watch, WatchStream
from raftkv.sim.mutants.families import WATCHED
from raftkv.sim.mutants.mutant import Hardness, Mutant, Patch

FEW = 3
"""Revisions that nobody misses."""


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


def t8_uncommitted_is_shown(patch: Patch) -> None:
    """Tell live watchers of the next entry once it is in the log, and not again when it is applied."""
    carry_out, tell, at_present = Node._carry_out, Watches._tell, WatchStream._is_at_present

    async def early(self: Node, ready: Ready) -> None:
        if ready.write is not None and not self.watches.behind:
            for entry in ready.write.entries:
                if entry.index == self.applied_index + 1:
                    _show(self.watches, _predicted(self.machine.store, entry))
        await carry_out(self, ready)

    def once(self: Watches, watcher: Watcher, changes: Changes) -> None:
        if _shown_early(self).get(watcher) != changes.revision:
            tell(self, watcher, changes)

    patch.set(Node, "_carry_out", early)

    def no_further(self: WatchStream, watch: Watch) -> bool:
        ahead = _shown_early(self._node.watches).get(watch, 0) > self._store.revision
        return not ahead and at_present(self, watch)

    patch.set(Watches, "_tell", once)
    patch.set(WatchStream, "_is_at_present", no_further)


def _shown_early(watches: Watches) -> dict[Watcher, int]:
    """Return what was the last revision that each watcher was told before its time."""
    shown: dict[Watcher, int] = watches.__dict__.setdefault("shown_early", {})
    return shown


def _predicted(store: Store, entry: Entry) -> list[Version]:
    """Return the changes that an entry makes if it is applied next; of the simplest requests only."""
    request = decode_command(entry.data).request if entry.kind == EntryKind.COMMAND else None
    if not isinstance(request, TxnRequest):
        return list(_changes(store, [request]))
    operations = request.success if not request.compare else ()
    return list(_changes(store, (one.request_put or one.request_delete_range for one in operations)))


def _changes(store: Store, operations: Iterable[object]) -> Iterator[Version]:
    number, revision = 0, store.revision + 1
    for one in operations:
        if not isinstance(one, PutRequest | DeleteRangeRequest):
            continue
        entry = store.table.entries.get(one.key)
        before = newest_of(entry) if entry is not None else None
        lives = before is not None and before[VERSION] > 0
        if isinstance(one, PutRequest):
            created, version = (before[CREATE], before[VERSION] + 1) if before and lives else (revision, 1)
            yield revision, number, created, version, one.lease, one.key, one.value
        elif lives:
            yield deletion(revision, number, one.key)
        number += isinstance(one, PutRequest) or lives


def _show(watches: Watches, versions: list[Version]) -> None:
    told: dict[Watcher, list[Version]] = {}
    for version in versions:
        for group in watches._groups_at(version[KEY]):
            for watcher in group.watchers:
                told.setdefault(watcher, []).append(version)
    for watcher, of_it in told.items():
        revision = of_it[0][MOD]
        changes = Changes(revision, watcher.shown(of_it))
        if watcher.live and watcher.next_revision <= revision and changes.versions and watcher.take(changes):
            _shown_early(watches)[watcher] = revision


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
    Mutant(
        "T8",
        "entries shown to watchers before they are committed",
        t8_uncommitted_is_shown,
        Hardness.MEDIUM,
        WATCHED,
        "watch",
    ),
)
