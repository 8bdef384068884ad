"""Txns; expectations marked "etcd" were seen on a running 3.5.1."""

import pytest

from raftkv import errors
from raftkv.mvcc import validate
from raftkv.mvcc.store import Store
from raftkv.mvcc.txn import holds, is_read_only, is_serializable
from raftkv.schema.kv import (
    CompactionRequest,
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRangeRequest,
    KeyValue,
    PutRequest,
    RangeRequest,
    RequestOp,
    ResponseHeader,
    TxnRequest,
)
from tests.mvcc.requests import EVERYTHING, delete, keys_of, nested, put, read, store_with

EQUAL, GREATER, LESS, NOT_EQUAL = CompareResult
VERSION, CREATE, MOD, VALUE, LEASE = CompareTarget


def succeed(*ops: RequestOp) -> TxnRequest:
    request = TxnRequest(success=list(ops))
    validate.check_txn(request)
    return request


def test_an_empty_txn_succeeds_without_answers_or_a_revision() -> None:
    store = store_with(b"a")
    response = store.txn(TxnRequest())
    assert (response.succeeded, response.responses, response.header.revision) == (True, [], 2)
    assert store.revision == 2


def test_all_compares_must_hold() -> None:
    store = store_with(b"a")
    good, bad = Compare(EQUAL, VERSION, b"a", version=1), Compare(EQUAL, VERSION, b"a", version=2)
    for compares, succeeded in (([good, good], True), ([good, bad], False), ([bad, good], False)):
        response = store.txn(TxnRequest(compares, [put(b"then")], [put(b"else")]))
        assert response.succeeded is succeeded
    assert keys_of(store.range(RangeRequest(**EVERYTHING))) == [b"a", b"else", b"then"]


def test_all_changes_share_one_revision_and_are_ordered_in_it() -> None:
    store = store_with(b"x", b"y")
    store.txn(succeed(put(b"b"), nested([put(b"a")]), delete(b"x", b"z")))
    assert store.revision == 4
    changes = store.table.changes.read((4, 0), 4, 10)
    assert [(change[0], change[1], change[5]) for change in changes] == [
        (4, 0, b"b"),
        (4, 1, b"a"),
        (4, 2, b"x"),
        (4, 3, b"y"),
    ]


def test_a_txn_that_writes_nothing_leaves_the_revision() -> None:
    store = store_with(b"a")
    response = store.txn(succeed(delete(b"zz"), read(b"a")))
    assert (store.revision, response.header.revision) == (2, 2)


def test_operations_see_what_the_ones_before_them_wrote() -> None:
    store = store_with(b"a")
    response = store.txn(succeed(put(b"a", b"new"), read(b"a"), delete(b"b", b"\x00"), read(b"a")))
    inside = response.responses[1].response_range.kvs
    assert inside == [KeyValue(b"a", create_revision=2, mod_revision=3, version=2, value=b"new")]


def test_headers_inside_show_the_revision_as_far_as_it_got() -> None:
    """etcd: 2 before the txn's first write, 3 after it; a range at an older revision shows the same."""
    store = store_with(b"a")
    response = store.txn(succeed(read(b"a"), delete(b"zz"), put(b"a"), read(b"a"), read(b"a", revision=2)))
    replies = response.responses
    assert replies[0].response_range.header.revision == 2
    assert replies[1].response_delete_range.header.revision == 2
    assert replies[2].response_put.header.revision == 3
    assert replies[3].response_range.header.revision == 3
    assert replies[3].response_range.kvs[0].mod_revision == 3
    assert replies[4].response_range.header.revision == 3
    assert replies[4].response_range.kvs[0].mod_revision == 2
    assert response.header.revision == 3


def test_a_nested_txn_has_an_empty_header() -> None:
    response = Store().txn(succeed(nested([put(b"a")])))
    inner = response.responses[0].response_txn
    assert (inner.header, inner.succeeded) == (ResponseHeader(), True)
    assert inner.responses[0].response_put.header.revision == 2


def test_nested_compares_look_at_the_state_before_the_outer_txn() -> None:
    store = Store()
    missing = Compare(EQUAL, VERSION, b"a", version=0)
    inner = nested([put(b"inner", b"then")], [put(b"inner", b"else")], [missing])
    response = store.txn(succeed(put(b"a"), inner))
    assert response.responses[1].response_txn.succeeded is True
    assert store.range(RangeRequest(b"inner")).kvs[0].value == b"then"


def test_compares_of_branches_not_taken_do_not_matter() -> None:
    store = store_with(b"a")
    fails = Compare(EQUAL, VERSION, b"a", version=9)
    request = TxnRequest([fails], [nested([put(b"x")])], [nested([put(b"y")], [put(b"z")], [fails])])
    response = store.txn(request)
    assert (response.succeeded, response.responses[0].response_txn.succeeded) == (False, False)
    assert keys_of(store.range(RangeRequest(**EVERYTHING))) == [b"a", b"z"]


@pytest.mark.parametrize(
    ("compare", "expected"),
    [
        (Compare(EQUAL, VERSION, b"a", version=2), True),
        (Compare(GREATER, VERSION, b"a", version=1), True),
        (Compare(LESS, VERSION, b"a", version=2), False),
        (Compare(NOT_EQUAL, VERSION, b"a", version=2), False),
        (Compare(EQUAL, CREATE, b"a", create_revision=2), True),
        (Compare(EQUAL, MOD, b"a", mod_revision=4), True),
        (Compare(EQUAL, MOD, b"a", mod_revision=2), False),
        (Compare(EQUAL, VALUE, b"a", value=b"a"), True),
        (Compare(GREATER, VALUE, b"a", value=b"Z"), True),
        (Compare(LESS, VALUE, b"a", value=b"a\x00"), True),
        (Compare(EQUAL, LEASE, b"a", lease=0), True),
        (Compare(NOT_EQUAL, LEASE, b"a", lease=5), True),
    ],
)
def test_every_target_and_result(compare: Compare, expected: bool) -> None:
    assert holds(store_with(b"a", b"b", b"a").table, compare) is expected


@pytest.mark.parametrize("key", [b"missing", b"deleted"])
def test_a_missing_key_compares_as_zeros_and_never_by_value(key: bytes) -> None:
    store = store_with(b"deleted")
    store.delete_range(DeleteRangeRequest(b"deleted"))
    for target in (VERSION, CREATE, MOD, LEASE):
        assert holds(store.table, Compare(EQUAL, target, key))
        assert not holds(store.table, Compare(GREATER, target, key))
    for result in CompareResult:
        assert not holds(store.table, Compare(result, VALUE, key, value=b"x"))


@pytest.mark.parametrize(
    ("compare", "expected"),
    [
        (Compare(GREATER, VERSION, b"s", version=0, range_end=b"t"), True),
        (Compare(EQUAL, VERSION, b"s", version=1, range_end=b"t"), False),
        (Compare(EQUAL, VERSION, b"s", version=2, range_end=b"sb"), True),
        (Compare(GREATER, VERSION, b"q", version=0, range_end=b"r"), False),
        (Compare(EQUAL, CREATE, b"q", create_revision=0, range_end=b"r"), True),
        (Compare(GREATER, VERSION, b"s", version=0, range_end=b"\x00"), True),
        (Compare(EQUAL, VERSION, b"t", version=0, range_end=b"s"), True),
    ],
)
def test_a_range_compare_holds_for_every_key_or_for_one_missing_key(compare: Compare, expected: bool) -> None:
    assert holds(store_with(b"sa", b"sa", b"sb").table, compare) is expected


@pytest.mark.parametrize(
    ("compare", "expected"),
    [
        (Compare(EQUAL, 9, b"a", version=3), True),
        (Compare(GREATER, 9, b"a"), False),
        (Compare(9, VERSION, b"a", version=3), True),
        (Compare(9, VALUE, b"missing"), False),
        (Compare(EQUAL, VALUE, b"a", version=1), False),
    ],
)
def test_unknown_targets_are_equal_and_unknown_results_hold(compare: Compare, expected: bool) -> None:
    """etcd: an unknown target compares nothing with 0; a field that fits not the target counts as zero."""
    assert holds(store_with(b"a").table, compare) is expected


@pytest.mark.parametrize(
    ("op", "error"),
    [
        (read(b"a", revision=100), errors.FutureRevision),
        (read(b"a", revision=5), errors.FutureRevision),
        (read(b"a", revision=2), errors.Compacted),
        (put(b"a", lease=7), errors.LeaseNotFound),
        (put(b"missing", b"", ignore_value=True), errors.KeyNotFound),
        (nested([put(b"missing", b"", ignore_lease=True)]), errors.KeyNotFound),
        (nested([nested([read(b"a", revision=100)])]), errors.FutureRevision),
    ],
)
def test_one_operation_that_is_refused_refuses_the_whole_txn(op: RequestOp, error: type[Exception]) -> None:
    store = store_with(b"a", b"b", b"a")
    store.compact(CompactionRequest(3))
    size = store.size_bytes
    with pytest.raises(error):
        store.txn(TxnRequest(success=[put(b"first"), delete(b"b"), op]))
    assert (store.revision, store.size_bytes) == (4, size)
    assert keys_of(store.range(RangeRequest(**EVERYTHING))) == [b"a", b"b"]


def test_a_branch_not_taken_is_not_checked_against_the_store() -> None:
    store = store_with(b"a")
    assert store.txn(TxnRequest([], [put(b"b")], [read(b"a", revision=100)])).succeeded


def test_puts_are_checked_before_ranges_and_keys_before_leases() -> None:
    """etcd: a missing key wins over a future revision named before it, and over its own unknown lease."""
    store = store_with(b"a")
    with pytest.raises(errors.KeyNotFound):
        store.txn(succeed(read(b"a", revision=1000), put(b"missing", b"", ignore_value=True)))
    with pytest.raises(errors.KeyNotFound):
        store.txn(succeed(put(b"missing", b"", ignore_value=True, lease=77)))


def test_a_negative_revision_inside_a_txn_is_compared_with_the_compact_revision() -> None:
    """etcd: -1 reads the newest in a never compacted store, -5 is refused; after a compaction -1 too."""
    store = store_with(b"a", b"a")
    assert store.txn(succeed(read(b"a", revision=-1))).responses[0].response_range.count == 1
    with pytest.raises(errors.Compacted):
        store.txn(succeed(read(b"a", revision=-5)))
    store.compact(CompactionRequest(2))
    with pytest.raises(errors.Compacted):
        store.txn(succeed(read(b"a", revision=-1)))


def test_everything_from_a_key_on_may_be_deleted_and_put_anew() -> None:
    """etcd: the duplicate rule does not see a delete that has no end."""
    store = store_with(b"a", b"b", b"c")
    response = store.txn(succeed(delete(b"b", b"\x00"), put(b"b", b"new", prev_kv=True)))
    assert response.responses[0].response_delete_range.deleted == 2
    assert response.responses[1].response_put.prev_kv is None
    kvs = store.range(RangeRequest(**EVERYTHING)).kvs
    assert kvs[1:] == [KeyValue(b"b", create_revision=5, mod_revision=5, version=1, value=b"new")]
    assert keys_of(store.range(RangeRequest(**EVERYTHING, revision=4))) == [b"a", b"b", b"c"]


def test_keeping_the_value_of_a_key_deleted_by_the_same_txn_is_refused_before_anything_runs() -> None:
    store = store_with(b"a", b"b")
    with pytest.raises(errors.KeyNotFound):
        store.txn(succeed(delete(b"a", b"\x00"), put(b"b", b"", ignore_value=True)))
    assert keys_of(store.range(RangeRequest(**EVERYTHING))) == [b"a", b"b"]
    store.txn(succeed(put(b"b", b"", ignore_value=True), delete(b"a", b"\x00")))
    assert keys_of(store.range(RangeRequest(**EVERYTHING))) == []


def test_a_key_put_in_one_nested_txn_and_deleted_in_a_later_one_is_gone() -> None:
    """etcd: this order is accepted, the other one refused as a duplicate."""
    store = store_with(b"a")
    store.txn(succeed(nested([put(b"n")]), nested([delete(b"n")])))
    assert (store.revision, store.range(RangeRequest(b"n")).count) == (3, 0)


def test_a_txn_is_read_only_if_both_branches_are_plain_ranges() -> None:
    assert is_read_only(TxnRequest())
    assert is_read_only(TxnRequest([], [read(b"a")], [read(b"b")]))
    assert not is_read_only(TxnRequest([], [read(b"a")], [put(b"b")]))
    assert not is_read_only(TxnRequest([], [nested([read(b"a")])], []))


def test_a_read_only_txn_is_serializable_if_every_range_is() -> None:
    local = read(b"a", serializable=True)
    assert is_serializable(TxnRequest([], [local], [local]))
    assert not is_serializable(TxnRequest([], [local], [read(b"a")]))


def test_nesting_as_deep_as_the_limit_allows_works_and_deeper_is_refused() -> None:
    request = TxnRequest(success=[put(b"deep")])
    for _ in range(validate.MAX_TXN_DEPTH - 1):
        request = TxnRequest(success=[RequestOp(request_txn=request)])
    validate.check_txn(request)
    store = Store()
    store.txn(request)
    assert store.range(RangeRequest(b"deep")).count == 1
    with pytest.raises(errors.TooManyOps):
        validate.check_txn(TxnRequest(success=[RequestOp(request_txn=request)]))


def test_a_put_inside_a_txn_counts_versions_on() -> None:
    store = Store()
    store.put(PutRequest(b"a"))
    store.txn(succeed(put(b"a", b"2")))
    assert store.range(RangeRequest(b"a")).kvs == [KeyValue(b"a", 2, 3, 2, b"2")]
