"""Ranges read in slices while the store changes."""

from itertools import pairwise

import pytest

from raftkv.mvcc.scan import RangeScan
from raftkv.mvcc.store import Store
from raftkv.schema.kv import (
    CompactionRequest,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RangeResponse,
    SortOrder,
    SortTarget,
)
from tests.mvcc.requests import EVERYTHING, keys_of, store_with


def numbered(count: int) -> Store:
    return store_with(*(b"%06d" % number for number in range(count)))


def finish(scan: RangeScan, budget: int) -> RangeResponse:
    for _ in range(100_000):
        if scan.step(budget):
            return scan.response()
    raise AssertionError("the scan does not end")


@pytest.mark.parametrize("budget", [1, 7, 1000, 100_000])
def test_any_slice_size_gives_the_same_answer(budget: int) -> None:
    store = numbered(2500)
    with store.open_range(RangeRequest(**EVERYTHING)) as scan:
        response = finish(scan, budget)
    assert keys_of(response) == [b"%06d" % number for number in range(2500)]
    assert response.count == 2500


def test_a_scan_shows_the_moment_it_was_opened() -> None:
    store = numbered(100)
    with store.open_range(RangeRequest(**EVERYTHING)) as scan:
        scan.step(10)
        store.put(PutRequest(b"000050", b"changed"))
        store.put(PutRequest(b"000050x", b"new"))
        store.delete_range(DeleteRangeRequest(b"000060", b"\x00"))
        response = finish(scan, 10)
    assert [(kv.key, kv.value) for kv in response.kvs] == [(b"%06d" % n, b"%06d" % n) for n in range(100)]
    assert (response.count, response.header.revision) == (100, 101)


def test_compaction_waits_for_an_open_scan_and_goes_on_when_it_closes() -> None:
    store = numbered(50)
    scan = store.open_range(RangeRequest(**EVERYTHING))
    scan.step(5)
    store.delete_range(DeleteRangeRequest(b"\x00", b"\x00"))
    store.compact(CompactionRequest(store.revision))
    for _ in range(20):
        assert store.compact_step(1000)
    assert store.compacted_physically() < store.compact_revision
    assert len(finish(scan, 5).kvs) == 50
    scan.close()
    while store.compact_step(1000):
        pass
    assert store.compacted_physically() == store.compact_revision
    assert store.size_in_use_bytes == 0


def test_closing_a_scan_twice_keeps_another_ones_pin() -> None:
    store = numbered(10)
    first, second = store.open_range(RangeRequest(**EVERYTHING)), store.open_range(RangeRequest(**EVERYTHING))
    first.close()
    first.close()
    store.delete_range(DeleteRangeRequest(b"\x00", b"\x00"))
    store.compact(CompactionRequest(store.revision))
    for _ in range(5):
        store.compact_step(1000)
    assert len(finish(second, 100).kvs) == 10
    second.close()


@pytest.mark.parametrize("budget", [3, 500, 10_000])
@pytest.mark.parametrize("order", [SortOrder.ASCEND, SortOrder.DESCEND])
def test_a_sort_over_many_slices_is_the_sort_of_the_whole(budget: int, order: SortOrder) -> None:
    store = Store()
    for number in range(1200):
        store.put(PutRequest(b"%06d" % number, b"%d" % (number * 7919 % 100)))
    request = RangeRequest(**EVERYTHING, sort_order=order, sort_target=SortTarget.VALUE)
    with store.open_range(request) as scan:
        kvs = finish(scan, budget).kvs
    ascending = sorted((b"%d" % (n * 7919 % 100) for n in range(1200)), reverse=order == SortOrder.DESCEND)
    assert [kv.value for kv in kvs] == ascending
    for one, other in pairwise(kvs):
        assert one.value != other.value or one.key < other.key, "ties are not in key order"


def test_a_count_of_the_newest_revision_is_done_in_one_step() -> None:
    with numbered(5000).open_range(RangeRequest(**EVERYTHING, count_only=True)) as scan:
        assert scan.step(1)
        assert scan.response().count == 5000


def test_a_count_of_an_old_revision_is_sliced() -> None:
    store = numbered(5000)
    with store.open_range(RangeRequest(**EVERYTHING, count_only=True, revision=3001)) as scan:
        assert not scan.step(1000)
        assert finish(scan, 1000).count == 3000


def test_a_limit_is_reached_past_many_deleted_keys() -> None:
    store = numbered(3000)
    store.delete_range(DeleteRangeRequest(b"\x00", b"002990"))
    with store.open_range(RangeRequest(**EVERYTHING, limit=2)) as scan:
        assert not scan.step(1000)
        response = finish(scan, 1000)
    assert (keys_of(response), response.more, response.count) == ([b"002990", b"002991"], True, 10)


@pytest.mark.parametrize("order", [SortOrder.NONE, SortOrder.ASCEND, 9])
def test_a_limited_range_in_key_order_looks_at_few_keys(order: int) -> None:
    with numbered(5000).open_range(RangeRequest(**EVERYTHING, limit=10, sort_order=order)) as scan:
        assert scan.step(50)
        assert (len(scan.response().kvs), scan.response().count) == (10, 5000)


def test_a_limited_range_of_an_old_revision_still_counts_the_whole() -> None:
    store = numbered(500)
    with store.open_range(RangeRequest(**EVERYTHING, limit=3, revision=401)) as scan:
        response = finish(scan, 10)
    assert (len(response.kvs), response.count, response.more) == (3, 400, True)
