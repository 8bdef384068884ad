"""Ranges with all their options; expectations marked "etcd" were seen on a running 3.5.1."""

import pytest

from raftkv import errors
from raftkv.mvcc.store import Store
from raftkv.schema.kv import (
    CompactionRequest,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    SortOrder,
    SortTarget,
)
from tests.mvcc.requests import EVERYTHING, compact, keys_of, store_with

S = {"key": b"s", "range_end": b"t"}


@pytest.fixture
def four() -> Store:
    """Four keys whose values sort in the opposite order of their keys and revisions."""
    store = store_with(b"before")
    for number, key in enumerate((b"sw", b"sx", b"sy", b"sz")):
        store.put(PutRequest(key, bytes([200 - number])))
    return store


def test_an_empty_end_is_the_one_key() -> None:
    store = store_with(b"a", b"a\x00", b"b")
    response = store.range(RangeRequest(b"a"))
    assert (keys_of(response), response.count, response.more) == ([b"a"], 1, False)


def test_an_end_is_exclusive_and_keys_come_in_byte_order() -> None:
    store = store_with(b"b", b"a", b"\xff", b"a\x00", b"c")
    assert keys_of(store.range(RangeRequest(b"a", b"c"))) == [b"a", b"a\x00", b"b"]


def test_an_end_of_one_zero_byte_is_from_the_key_on() -> None:
    store = store_with(b"a", b"b", b"\xff\xff")
    assert keys_of(store.range(RangeRequest(b"b", b"\x00"))) == [b"b", b"\xff\xff"]
    assert keys_of(store.range(RangeRequest(b"\x00", b"\x00"))) == [b"a", b"b", b"\xff\xff"]


@pytest.mark.parametrize("end", [b"a", b"b"])
def test_an_end_at_or_below_the_key_is_empty_and_no_error(end: bytes) -> None:
    response = store_with(b"a", b"b").range(RangeRequest(b"b", end))
    assert (response.kvs, response.count) == ([], 0)


def test_a_missing_key_is_an_empty_answer_at_the_current_revision() -> None:
    response = store_with(b"a").range(RangeRequest(b"x"))
    assert (response.kvs, response.count, response.header.revision) == ([], 0, 2)


def test_an_old_revision_shows_the_state_then_and_the_header_the_revision_now() -> None:
    store = store_with(b"a", b"b", b"a")
    store.delete_range(DeleteRangeRequest(b"b"))
    store.put(PutRequest(b"c"))
    response = store.range(RangeRequest(**EVERYTHING, revision=3))
    assert [(kv.key, kv.mod_revision, kv.version) for kv in response.kvs] == [(b"a", 2, 1), (b"b", 3, 1)]
    assert (response.count, response.header.revision) == (2, 6)
    assert keys_of(store.range(RangeRequest(**EVERYTHING, revision=1))) == []
    assert keys_of(store.range(RangeRequest(**EVERYTHING, revision=5))) == [b"a"]


@pytest.mark.parametrize("revision", [0, -1, -5])
def test_a_revision_of_zero_or_less_is_the_newest(revision: int) -> None:
    store = store_with(b"a", b"a")
    compact(store, 3)
    assert store.range(RangeRequest(b"a", revision=revision)).kvs[0].mod_revision == 3


def test_a_future_revision_is_refused() -> None:
    with pytest.raises(errors.FutureRevision):
        store_with(b"a").range(RangeRequest(b"a", revision=3))


def test_below_the_compact_revision_is_refused_and_at_it_served() -> None:
    store = store_with(b"a", b"a", b"a")
    store.compact(CompactionRequest(3))
    with pytest.raises(errors.Compacted):
        store.range(RangeRequest(b"a", revision=2))
    assert store.range(RangeRequest(b"a", revision=3)).kvs[0].mod_revision == 3


def test_count_ignores_limit_and_filters(four: Store) -> None:
    assert four.range(RangeRequest(**S, limit=1)).count == 4
    response = four.range(RangeRequest(**S, max_mod_revision=3))
    assert (keys_of(response), response.count, response.more) == ([b"sw"], 4, False)


def test_count_of_an_old_revision_ignores_the_limit(four: Store) -> None:
    response = four.range(RangeRequest(**S, limit=1, revision=5))
    assert (keys_of(response), response.count, response.more) == ([b"sw"], 3, True)


def test_count_only_has_no_pairs_and_no_more(four: Store) -> None:
    response = four.range(RangeRequest(**S, count_only=True, limit=1, min_mod_revision=5))
    assert (response.kvs, response.count, response.more) == ([], 4, False)


def test_deleted_keys_are_not_counted(four: Store) -> None:
    four.delete_range(DeleteRangeRequest(b"sx"))
    assert four.range(RangeRequest(**S, count_only=True)).count == 3
    four.put(PutRequest(b"sx"))
    assert four.range(RangeRequest(**S, count_only=True)).count == 4


def test_keys_only_leaves_out_values_and_nothing_else(four: Store) -> None:
    kv = four.range(RangeRequest(b"sx", keys_only=True)).kvs[0]
    assert (kv.key, kv.value, kv.mod_revision, kv.create_revision, kv.version) == (b"sx", b"", 4, 4, 1)
    assert four.range(RangeRequest(b"sx")).kvs[0].value == bytes([199])


def test_keys_only_still_sorts_by_value(four: Store) -> None:
    response = four.range(
        RangeRequest(**S, keys_only=True, sort_order=SortOrder.ASCEND, sort_target=SortTarget.VALUE)
    )
    assert keys_of(response) == [b"sz", b"sy", b"sx", b"sw"]


@pytest.mark.parametrize("limit", [0, -3, 4, 5])
def test_more_is_false_when_the_limit_cuts_nothing(four: Store, limit: int) -> None:
    response = four.range(RangeRequest(**S, limit=limit))
    assert (len(response.kvs), response.more) == (4, False)


LIMIT_2 = {
    (SortOrder.NONE, SortTarget.KEY): [b"sw", b"sx"],
    (SortOrder.NONE, SortTarget.MOD): [b"sw", b"sx"],
    (SortOrder.NONE, SortTarget.VALUE): [b"sy", b"sx"],
    (SortOrder.NONE, SortTarget.VERSION): [b"sw", b"sx"],
    (SortOrder.ASCEND, SortTarget.KEY): [b"sw", b"sx"],
    (SortOrder.ASCEND, SortTarget.MOD): [b"sw", b"sx"],
    (SortOrder.ASCEND, SortTarget.VALUE): [b"sz", b"sy"],
    (SortOrder.ASCEND, SortTarget.VERSION): [b"sw", b"sx"],
    (SortOrder.DESCEND, SortTarget.KEY): [b"sz", b"sy"],
    (SortOrder.DESCEND, SortTarget.MOD): [b"sz", b"sy"],
    (SortOrder.DESCEND, SortTarget.VALUE): [b"sw", b"sx"],
    (SortOrder.DESCEND, SortTarget.VERSION): [b"sw", b"sx"],
}


@pytest.mark.parametrize(("order", "target"), LIMIT_2)
def test_limit_after_sort_and_before_it_where_no_order_is_given(
    four: Store, order: SortOrder, target: SortTarget
) -> None:
    """All twelve seen on etcd; without an order, three (limit and one) are fetched, sorted and cut."""
    response = four.range(RangeRequest(**S, limit=2, sort_order=order, sort_target=target))
    assert keys_of(response) == LIMIT_2[order, target]
    assert (response.more, response.count) == (True, 4)


def test_sort_by_create_and_version() -> None:
    store = store_with(b"b", b"a", b"a", b"c", b"c", b"c")
    store.put(PutRequest(b"b"))
    ascending = {"sort_order": SortOrder.ASCEND}
    by_create = RangeRequest(**EVERYTHING, **ascending, sort_target=SortTarget.CREATE)
    assert keys_of(store.range(by_create)) == [b"b", b"a", b"c"]
    by_version = RangeRequest(**EVERYTHING, **ascending, sort_target=SortTarget.VERSION)
    assert keys_of(store.range(by_version)) == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ({"min_mod_revision": 5}, [b"sy", b"sz"]),
        ({"max_mod_revision": 4}, [b"sw", b"sx"]),
        ({"min_create_revision": 6}, [b"sz"]),
        ({"max_create_revision": 3}, [b"sw"]),
        ({"min_mod_revision": 4, "max_mod_revision": 5}, [b"sx", b"sy"]),
        ({"max_mod_revision": -1}, []),
        ({"min_mod_revision": -1}, [b"sw", b"sx", b"sy", b"sz"]),
    ],
)
def test_revision_filters(four: Store, filters: dict[str, int], left: list[bytes]) -> None:
    assert keys_of(four.range(RangeRequest(**S, **filters))) == left


def test_a_filter_is_applied_before_the_limit(four: Store) -> None:
    response = four.range(RangeRequest(**S, min_mod_revision=5, limit=1))
    assert (keys_of(response), response.more, response.count) == ([b"sy"], True, 4)


def test_a_filter_on_creation_differs_from_one_on_change(four: Store) -> None:
    four.put(PutRequest(b"sw"))
    assert keys_of(four.range(RangeRequest(**S, min_mod_revision=7))) == [b"sw"]
    assert keys_of(four.range(RangeRequest(**S, min_create_revision=6))) == [b"sz"]


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(errors.EmptyKey):
        Store().range(RangeRequest(b"", b"\x00"))


@pytest.mark.parametrize("order", [3, 9, -1])
@pytest.mark.parametrize("target", SortTarget)
def test_an_unknown_order_sorts_nothing_whatever_the_target(four: Store, order: int, target: int) -> None:
    """etcd: 200 and key order, with a limit and with a filter too."""
    options = {"sort_order": order, "sort_target": target}
    assert keys_of(four.range(RangeRequest(**S, **options))) == [b"sw", b"sx", b"sy", b"sz"]
    limited = four.range(RangeRequest(**S, **options, limit=2))
    assert (keys_of(limited), limited.more, limited.count) == ([b"sw", b"sx"], True, 4)
    filtered = four.range(RangeRequest(**S, **options, limit=1, min_mod_revision=4))
    assert (keys_of(filtered), filtered.more, filtered.count) == ([b"sx"], True, 4)


@pytest.mark.parametrize(
    "options", [{"sort_target": 5}, {"sort_target": 9, "sort_order": 1}, {"sort_target": -1}]
)
def test_an_unknown_sort_target_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(errors.InvalidSortOption):
        Store().range(RangeRequest(b"a", **options))
