"""What one watcher has missed, read from the store's history in slices."""

from collections.abc import Callable

from raftkv.mvcc.bounds import Bounds
from raftkv.mvcc.store import Store
from raftkv.mvcc.versions import KEY, MOD, SUB, VALUE, Version

MAX_REVISIONS = 1000
"""Most revisions told at once, as in etcd."""

MAX_BYTES = 1 << 20
"""A reply with this much in it ends with the revision that it is in."""

Shown = Callable[[list[Version]], list[Version]]


class Past:
    """The changes of a range from one revision on, up to the present.

    It keeps no hold on the store, and only values of it: that may be compacted, or replaced by one with
    the same history, between two slices.
    """

    __slots__ = ("_bounds", "_bytes", "_ended", "_found", "_last", "_position", "_revisions")

    def __init__(self, bounds: Bounds, revision: int) -> None:
        self._bounds = bounds
        self._position = (revision, 0)
        self._forget()

    def _forget(self) -> None:
        self._found: list[Version] = []
        self._last = 0
        self._revisions = 0
        self._bytes = 0
        self._ended = False

    @property
    def revision(self) -> int:
        """The revision at which it reads on: it must not be compacted."""
        return self._position[0]

    def read(self, store: Store, budget: int, shown: Shown) -> None:
        """Look at up to ``budget`` more changes; ``shown`` leaves out what the watcher does not want."""
        start, end = self._bounds
        last = store.revision
        if end != start + b"\x00":
            batch = store.table.changes.read(self._position, last, budget)
        elif self._position[0] > store.compact_revision:
            batch = store.table.history(start, self._position, budget)
        else:
            # all of a key's own versions are with it but for a deletion at the compact revision
            last = store.compact_revision
            batch = store.table.changes.read(self._position, last, budget)
        after = (batch[-1][MOD], batch[-1][SUB] + 1) if batch else self._position
        if len(batch) < budget:
            after = max(self._position, (last + 1, 0))  # it may be waiting for the future
        inside = [v for v in batch if start <= v[KEY] and (end is None or v[KEY] < end)]
        self._position = after
        self._keep(shown(inside))
        if after[0] > store.revision:
            self._ended = True

    def _keep(self, versions: list[Version]) -> None:
        """Collect changes until there is enough for a reply; what is beyond is read again."""
        for version in versions:
            if version[MOD] != self._last:
                if self._revisions == MAX_REVISIONS or self._bytes >= MAX_BYTES:
                    self._position = (version[MOD], 0)
                    self._ended = True
                    return
                self._last = version[MOD]
                self._revisions += 1
            self._found.append(version)
            self._bytes += len(version[KEY]) + len(version[VALUE])

    def take(self) -> list[Version]:
        """Return the changes to tell now, whole revisions; nothing if it has to read on first."""
        if not self._ended:
            return []
        found = self._found
        self._forget()
        return found
