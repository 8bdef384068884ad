"""A range read in slices, at one revision, while the store goes on changing.

The order of the work is etcd's, quirks included: pairs come in key order; with an explicit order or
a filter the whole range is read, filtered, sorted and only then cut to the limit; with a sort target
but no order the limit (and one more, for ``more``) is applied first, and what is left sorted ascending;
an unknown order sorts nothing, so the pairs stay in key order.
"""

from collections.abc import Callable, Iterator
from heapq import merge
from itertools import islice
from operator import itemgetter
from types import TracebackType
from typing import Self

from raftkv.mvcc.bounds import bounds
from raftkv.mvcc.key_index import after
from raftkv.mvcc.version_table import VersionTable, newest_of, seen_at
from raftkv.mvcc.versions import CREATE, KEY, MOD, VALUE, VERSION, Version, to_bare_key, to_key_value
from raftkv.schema.kv import KeyValue, RangeRequest, RangeResponse, ResponseHeader, SortOrder, SortTarget

_SORT_ORDERS = frozenset(int(order) for order in SortOrder)

_SORT_FIELD = {
    SortTarget.KEY: KEY,
    SortTarget.VERSION: VERSION,
    SortTarget.CREATE: CREATE,
    SortTarget.MOD: MOD,
    SortTarget.VALUE: VALUE,
}

_SPARE_KEYS = 32
"""Read beyond a limit, so that a few deleted keys on the way cost no further round."""


def _nothing() -> None:
    """Unpin what was never pinned."""


class RangeScan:
    """One range request being answered.

    ``revision`` is the one read, ``current`` the store's when the scan was opened (it goes into the
    header). Call ``step`` until it returns True, then ``response``; close it, or use it as a context
    manager, so that compaction may remove what it read.
    """

    def __init__(
        self,
        table: VersionTable,
        request: RangeRequest,
        revision: int,
        current: int,
        unpin: Callable[[], None] = _nothing,
    ) -> None:
        self._table = table
        self._request = request
        self._revision = revision
        self._current = current
        self._unpin = unpin
        self._next, self._end = bounds(request.key, request.range_end)
        self._kept: list[list[Version]] = []
        self._kept_count = 0
        self._kvs: list[KeyValue] = []
        self._count = 0
        self._counted = False
        self._sorted: Iterator[Version] | None = None
        self._done = False
        self._plan()

    def _plan(self) -> None:
        """Decide how far to walk and what to sort by."""
        request = self._request
        ordered = request.sort_order != SortOrder.NONE
        filtered = bool(
            request.min_mod_revision
            or request.max_mod_revision
            or request.min_create_revision
            or request.max_create_revision
        )
        in_key_order = request.sort_order not in _SORT_ORDERS or (
            request.sort_target == SortTarget.KEY and request.sort_order != SortOrder.DESCEND
        )
        self._passes = self._filter() if filtered else None
        self._sort_field = None if in_key_order else _SORT_FIELD[SortTarget(request.sort_target)]
        self._shown = to_bare_key if request.keys_only else to_key_value
        self._most = request.limit + 1 if request.limit > 0 and not filtered else None
        if ordered and not in_key_order:
            self._most = None
        if self._revision == self._current:
            self._count = self._table.count_live(self._next, self._end)
            self._counted = True

    def _filter(self) -> Callable[[Version], bool]:
        request = self._request
        min_mod, max_mod = request.min_mod_revision, request.max_mod_revision
        min_create, max_create = request.min_create_revision, request.max_create_revision

        def passes(version: Version) -> bool:
            return (
                (not min_mod or version[MOD] >= min_mod)
                and (not max_mod or version[MOD] <= max_mod)
                and (not min_create or version[CREATE] >= min_create)
                and (not max_create or version[CREATE] <= max_create)
            )

        return passes

    def step(self, budget_keys: int) -> bool:
        """Look at about ``budget_keys`` keys; return True when the response is ready.

        A key costs about half a microsecond to look at and one to sort.
        """
        while budget_keys > 0 and not self._done:
            if self._sorted is not None:
                self._emit(budget_keys)
                break
            wanted = self._keys_wanted(budget_keys)
            self._walk(wanted)
            budget_keys -= wanted
        return self._done

    def _keys_wanted(self, budget_keys: int) -> int:
        if not self._counted or self._most is None:
            return budget_keys
        return min(budget_keys, self._most - self._kept_count + _SPARE_KEYS)

    def _walk(self, wanted: int) -> None:
        if self._counted and self._request.count_only:
            self._finish_walk()
            return
        entries = self._table.entries.slice(self._next, self._end, wanted)
        revision = self._revision
        found = [version for entry in entries if (version := seen_at(entry, revision)) is not None]
        if not self._counted:
            self._count += len(found)
        if not self._request.count_only:
            self._keep(found)
        if len(entries) < wanted or (self._counted and self._has_enough()):
            self._finish_walk()
        else:
            self._next = after(newest_of(entries[-1])[KEY])

    def _has_enough(self) -> bool:
        return self._most is not None and self._kept_count >= self._most

    def _keep(self, found: list[Version]) -> None:
        if self._passes is not None:
            found = list(filter(self._passes, found))
        if self._most is not None:
            found = found[: self._most - self._kept_count]
        if not found:
            return
        self._kept_count += len(found)
        if self._sort_field is None:
            self._kvs += map(self._shown, self._cut(found))
        else:
            found.sort(key=itemgetter(self._sort_field), reverse=self._descending)
            self._kept.append(found)

    def _cut(self, found: list[Version]) -> list[Version]:
        limit = self._request.limit
        return found if limit <= 0 else found[: max(limit - len(self._kvs), 0)]

    @property
    def _descending(self) -> bool:
        return self._request.sort_order == SortOrder.DESCEND

    def _finish_walk(self) -> None:
        if self._sort_field is None or not self._kept:
            self._done = True
            return
        # Each slice was sorted when it was read; the merge is lazy and stable, so ties stay in key order.
        merged = merge(*self._kept, key=itemgetter(self._sort_field), reverse=self._descending)
        limit = self._request.limit
        self._sorted = islice(merged, limit if limit > 0 else None)

    def _emit(self, budget_keys: int) -> None:
        assert self._sorted is not None, "nothing was sorted"
        part = list(map(self._shown, islice(self._sorted, budget_keys)))
        self._kvs += part
        self._done = len(part) < budget_keys

    def run(self) -> RangeResponse:
        """Go to the end at once: for small ranges, and inside a txn."""
        while not self.step(4096):
            pass
        return self.response()

    def response(self) -> RangeResponse:
        """Return the response; its header holds the revision only."""
        assert self._done, "the scan is not at its end"
        limit = self._request.limit
        return RangeResponse(
            header=ResponseHeader(revision=self._current),
            kvs=self._kvs,
            more=0 < limit < self._kept_count,
            count=self._count,
        )

    def close(self) -> None:
        """Let compaction go on."""
        unpin, self._unpin = self._unpin, _nothing
        unpin()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
