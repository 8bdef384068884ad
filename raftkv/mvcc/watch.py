"""The watchers of one member: who is told of which change.

The store's change log is the only queue. Applying an entry does nothing for watchers; afterwards ``step``
reads what is new there and hands each revision to the *live* watchers whose range it touches. A watcher
whose receiver is full stops being live, and reads the change log on its own from the revision it did not
get (``catch_up``) until it has seen all, as does one that starts in the past. So a slow watcher costs a
number, not a queue, and holds up nobody.

A store that is replaced by a leader's snapshot has the same history from its compact revision on: whoever
needs no older revision goes on in it, and anyone else is told that history is compacted.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from raftkv import errors
from raftkv.mvcc.bounds import Bounds
from raftkv.mvcc.content import Content
from raftkv.mvcc.versions import KEY, MOD, SUB, VERSION, Version
from raftkv.mvcc.watch_past import Past
from raftkv.mvcc.watched_ranges import WatchedRanges

STEP = 1000
"""Changes looked at, and replies handed out, in one step: one or two milliseconds."""


class Changes:
    """What a watcher is told at once: whole revisions, their changes in order.

    ``revision`` is the one the reply is of: that of the changes when it was live, the current one when it
    is history. All watchers of a range share one object, so whoever sends it may keep in ``texts`` what
    it made of it for the next one who does.
    """

    __slots__ = ("_shown", "revision", "texts", "versions")

    def __init__(self, revision: int, versions: list[Version]) -> None:
        self.revision = revision
        self.versions = versions
        self.texts: dict[bool, bytes] = {}
        self._shown: dict[tuple[bool, bool], Changes] = {}

    def shown_to(self, watcher: "Watcher") -> "Changes":
        """Return what of it ``watcher`` wants to see, made once for all who want the same."""
        wanted = watcher.hides_puts, watcher.hides_deletes
        if not any(wanted):
            return self
        if wanted not in self._shown:
            self._shown[wanted] = Changes(self.revision, watcher.shown(self.versions))
        return self._shown[wanted]


class Watcher(ABC):
    """Who watches a range. ``next_revision`` is the first it has not been told of, while it is not live."""

    __slots__ = ("bounds", "hides_deletes", "hides_puts", "live", "next_revision", "past", "start_revision")

    def __init__(
        self, bounds: Bounds, start_revision: int, *, hides_puts: bool = False, hides_deletes: bool = False
    ) -> None:
        self.bounds = bounds
        self.start_revision = start_revision
        self.next_revision = start_revision
        self.hides_puts = hides_puts
        self.hides_deletes = hides_deletes
        self.live = False
        self.past: Past | None = None

    @abstractmethod
    def take(self, changes: Changes) -> bool:
        """Take a live revision, or return False if there is no room for it."""

    @abstractmethod
    def fall_behind(self) -> None:
        """Take note that ``catch_up`` is needed from here on."""

    def shown(self, versions: list[Version]) -> list[Version]:
        """Return the changes that it wants to see."""
        if self.hides_puts:
            versions = [version for version in versions if not version[VERSION]]
        if self.hides_deletes:
            versions = [version for version in versions if version[VERSION]]
        return versions


class _Group:
    """The live watchers of one range, and the changes of the revision being looked at that are in it."""

    __slots__ = ("gathered", "watchers")

    def __init__(self) -> None:
        self.watchers: dict[Watcher, None] = {}
        self.gathered: list[Version] = []


_NO_GROUPS: Final[list[_Group]] = []


def _nothing() -> None:
    """Unpin what is not pinned."""


def single_key(bounds: Bounds) -> bool:
    """Return whether a range holds one key only."""
    return bounds[1] == bounds[0] + b"\x00"


class Watches:
    """All watchers of the store in ``content``.

    ``seen`` is the revision up to which changes were looked at for live watchers; the position after it
    stays pinned, so that no compaction removes what they have not got.
    """

    def __init__(self, content: Content) -> None:
        self._content = content
        self._store = content.store
        self._live = 0
        self._keys: dict[bytes, _Group] = {}
        self._ranges: WatchedRanges[_Group] = WatchedRanges()
        self._seen = self._store.revision
        self._position = (self._seen + 1, 0)
        self._touched: list[_Group] = []
        self._pending: deque[tuple[Changes, Iterator[Watcher]]] = deque()
        self._unpin: Callable[[], None] = _nothing

    @property
    def delivered(self) -> int:
        """The revision up to which every live watcher has been told everything."""
        if not self._live:
            return self._content.store.revision
        return self._pending[0][0].revision - 1 if self._pending else self._position[0] - 1

    @property
    def behind(self) -> bool:
        """Whether ``step`` has something to do."""
        if not self._live:
            return self._store is not self._content.store
        return self.delivered < self._content.store.revision or self._store is not self._content.store

    # ---------------------------------------------------------------- watchers come and go

    def add(self, watcher: Watcher) -> None:
        """Begin to tell ``watcher``: it is live at once, or reads the past first (``fall_behind``)."""
        self._follow()
        if not self._live:
            self._begin_at(self._store.revision)
        if watcher.next_revision > self._seen:
            self._join(watcher)
        else:
            watcher.fall_behind()

    def remove(self, watcher: Watcher) -> None:
        """Tell ``watcher`` nothing any more."""
        watcher.past = None
        if watcher.live:
            self._leave(watcher)

    def catch_up(self, watcher: Watcher, budget: int) -> Changes | None:
        """Read on for a watcher that is not live, looking at ``budget`` changes; it is live at the end.

        Return what it is to be told, None if there is nothing yet. Raises Compacted when what it needs
        next is gone: then nothing more will come.
        """
        assert not watcher.live, "a live watcher reads the past"
        self._follow()
        store = self._store
        past = watcher.past or Past(watcher.bounds, watcher.next_revision)
        watcher.past = past
        if past.revision < store.compact_revision:
            watcher.past = None
            raise errors.Compacted
        past.read(store, budget, watcher.shown)
        versions = past.take()
        watcher.next_revision = past.revision
        if watcher.next_revision > store.revision:
            watcher.past = None
            self.add(watcher)
        return Changes(store.revision, versions) if versions else None

    def _join(self, watcher: Watcher) -> None:
        watcher.live = True
        self._live += 1
        self._group(watcher.bounds).watchers[watcher] = None
        if self._live == 1:
            self._pin()

    def _group(self, bounds: Bounds) -> _Group:
        if single_key(bounds):
            return self._keys.setdefault(bounds[0], _Group())
        group = self._ranges.get(bounds)
        if group is None:
            group = _Group()
            self._ranges.add(bounds, group)
        return group

    def _leave(self, watcher: Watcher) -> None:
        watcher.live = False
        self._live -= 1
        group = self._group(watcher.bounds)
        del group.watchers[watcher]
        if group.watchers:
            return
        if single_key(watcher.bounds):
            del self._keys[watcher.bounds[0]]
        else:
            self._ranges.remove(watcher.bounds)
        if not self._live:
            self._begin_at(self._seen)
            self._unpin()
            self._unpin = _nothing

    def _begin_at(self, revision: int) -> None:
        """Take all up to ``revision`` as told: nobody is live."""
        self._pending.clear()
        self._forget_gathered()
        self._seen = revision
        self._position = (revision + 1, 0)

    # ---------------------------------------------------------------- live

    def step(self, budget: int = STEP) -> bool:
        """Tell live watchers some more of what is new; return True while there is more.

        About ``budget`` changes are looked at, or as many replies handed out.
        """
        self._follow()
        budget = self._hand_out(budget)
        if budget > 0 and self._live:
            self._look(budget)
            self._hand_out(budget)
        return self.behind

    def _look(self, budget: int) -> None:
        """Look at changes until enough replies wait to be handed out."""
        store = self._store
        batch = store.table.changes.read(self._position, store.revision, budget)
        room = budget
        for version in batch:
            if version[MOD] != self._seen:
                room -= self._close_revision()
                if room <= 0:
                    self._position = (version[MOD], 0)
                    break
                self._seen = version[MOD]
            for group in self._groups_at(version[KEY]):
                if not group.gathered:
                    self._touched.append(group)
                group.gathered.append(version)
        else:
            if len(batch) == budget:
                # the rest of this revision may follow
                self._position = (batch[-1][MOD], batch[-1][SUB] + 1)
            else:
                self._close_revision()
                self._seen = store.revision
                self._position = (self._seen + 1, 0)
        self._pin()

    def _groups_at(self, key: bytes) -> list[_Group]:
        groups = self._ranges.holding(key) if self._ranges else _NO_GROUPS
        group = self._keys.get(key)
        return groups if group is None else [*groups, group]

    def _close_revision(self) -> int:
        """Line up what was gathered to be handed out; return how many will get it."""
        replies = 0
        for group in self._touched:
            changes = Changes(self._seen, group.gathered)
            group.gathered = []
            replies += len(group.watchers)
            self._pending.append((changes, iter(list(group.watchers))))
        self._touched.clear()
        return replies

    def _hand_out(self, budget: int) -> int:
        """Give out up to ``budget`` replies; return how much of it is left."""
        while self._pending and budget > 0:
            changes, watchers = self._pending[0]
            some = list(islice(watchers, budget))
            for watcher in some:
                self._tell(watcher, changes)
            if len(some) < budget and self._pending:
                self._pending.popleft()
            budget -= len(some)
        return budget

    def _tell(self, watcher: Watcher, changes: Changes) -> None:
        # one that left and came back, or came later, has it from its past or does not want it
        if not watcher.live or changes.revision < watcher.next_revision:
            return
        changes = changes.shown_to(watcher)
        if changes.versions and not watcher.take(changes):
            watcher.next_revision = changes.revision
            self._leave(watcher)
            watcher.fall_behind()

    # ---------------------------------------------------------------- compaction and snapshots

    def _pin(self) -> None:
        unpin, self._unpin = self._unpin, self._store.pin(self._position[0])
        unpin()

    def _forget_gathered(self) -> None:
        for group in self._touched:
            group.gathered = []
        self._touched.clear()

    def _follow(self) -> None:
        """Go on in the store that is there now, should it have been replaced."""
        if self._store is self._content.store:
            return
        # what is lined up was read whole and stays good; a revision that was half read is read again
        self._forget_gathered()
        self._seen = self._position[0] - 1
        self._position = (self._seen + 1, 0)
        self._unpin()
        self._unpin = _nothing
        self._store = self._content.store
        if not self._live:
            return
        if self._position[0] < self._store.compact_revision:
            self._send_back()
        else:
            self._pin()

    def _send_back(self) -> None:
        """Make all live watchers look for what they need next: it is compacted, unless it is yet to come."""
        groups = [*self._keys.values(), *self._ranges.values()]
        for watcher in [watcher for group in groups for watcher in group.watchers]:
            self._leave(watcher)
            watcher.fall_behind()
