"""What is refused without looking at the store."""

import pytest

from raftkv import errors
from raftkv.mvcc import validate
from raftkv.schema.kv import (
    CompactionRequest,
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)
from tests.mvcc.requests import delete, nested, put, read


def check(*ops: RequestOp) -> None:
    """Check a list of operations as either branch."""
    for request in (TxnRequest(success=list(ops)), TxnRequest(failure=list(ops))):
        validate.check_txn(request)


def test_empty_keys_are_refused_everywhere() -> None:
    with pytest.raises(errors.EmptyKey):
        validate.check_range(RangeRequest())
    with pytest.raises(errors.EmptyKey):
        validate.check_put(PutRequest(b"", b"v"))
    with pytest.raises(errors.EmptyKey):
        validate.check_delete_range(DeleteRangeRequest(b"", b"\x00"))
    with pytest.raises(errors.EmptyKey):
        validate.check_txn(TxnRequest([Compare(key=b"")]))
    for op in (put(b""), read(b""), delete(b""), nested([put(b"")]), nested([], [], [Compare()])):
        with pytest.raises(errors.EmptyKey):
            check(op)


def test_ignore_flags_exclude_what_they_ignore() -> None:
    with pytest.raises(errors.ValueProvided):
        validate.check_put(PutRequest(b"a", b"v", ignore_value=True))
    with pytest.raises(errors.LeaseProvided):
        validate.check_put(PutRequest(b"a", lease=1, ignore_lease=True))
    validate.check_put(PutRequest(b"a", ignore_value=True, ignore_lease=True))


def test_an_operation_without_a_member_is_a_missing_key() -> None:
    with pytest.raises(errors.KeyNotFound):
        check(RequestOp())


def test_both_branches_are_checked() -> None:
    with pytest.raises(errors.EmptyKey):
        validate.check_txn(TxnRequest([], [put(b"a")], [put(b"")]))
    with pytest.raises(errors.DuplicateKey):
        validate.check_txn(TxnRequest([], [], [put(b"a"), put(b"a")]))


def test_an_invalid_sort_option_in_a_txn_is_refused() -> None:
    with pytest.raises(errors.InvalidSortOption):
        check(read(b"a", sort_target=5))


@pytest.mark.parametrize("part", ["compare", "success", "failure"])
def test_each_list_has_the_limit_of_operations(part: str) -> None:
    def request(count: int) -> TxnRequest:
        items = [Compare(key=b"a") if part == "compare" else read(b"a")] * count
        return TxnRequest(**{part: items})

    validate.check_txn(request(128))
    with pytest.raises(errors.TooManyOps):
        validate.check_txn(request(129))
    validate.check_txn(request(3), max_txn_ops=3)
    with pytest.raises(errors.TooManyOps):
        validate.check_txn(request(4), max_txn_ops=3)


def test_a_nested_txn_has_what_its_parents_largest_list_leaves() -> None:
    def outer(inner: int) -> TxnRequest:
        return TxnRequest([Compare(key=b"c")] * 100, [nested([read(b"a")] * inner)])

    validate.check_txn(outer(28))
    with pytest.raises(errors.TooManyOps):
        validate.check_txn(outer(29))


ACCEPTED = {
    "deleting twice": [delete(b"a"), delete(b"a", b"c")],
    "putting beside a delete": [delete(b"b", b"d"), put(b"a"), put(b"d")],
    "both branches of one nested txn": [nested([put(b"a")], [put(b"a")])],
    "one branch puts, the other deletes": [nested([put(b"a")], [delete(b"a")])],
    "a later nested txn deletes what an earlier one put": [nested([put(b"a")]), nested([delete(b"a")])],
    "an upside down delete": [delete(b"d", b"b"), put(b"c")],
    "a delete without end": [delete(b"a", b"\x00"), put(b"b")],
    "reading what is put": [put(b"a"), read(b"a"), read(b"a")],
}
REFUSED = {
    "two puts": [put(b"a"), put(b"a")],
    "put inside a delete": [delete(b"a", b"c"), put(b"b")],
    "put inside a delete that comes later": [put(b"b"), delete(b"a", b"c")],
    "put of the deleted key": [put(b"a"), delete(b"a")],
    "put again below": [put(b"a"), nested([put(b"a")])],
    "put again in an else branch below": [put(b"a"), nested([], [put(b"a")])],
    "put in two nested txns": [nested([put(b"a")]), nested([], [put(b"a")])],
    "put below a delete": [delete(b"a"), nested([put(b"a")])],
    "delete below a put": [put(b"a"), nested([delete(b"a", b"c")])],
    "delete below, put in a later nested txn": [nested([delete(b"a")]), nested([put(b"a")])],
    "delete in an else branch below, put in a later nested txn": [
        nested([], [delete(b"a")]),
        nested([put(b"a")]),
    ],
    "two levels down": [nested([nested([delete(b"a", b"c")])]), put(b"b")],
    "inside both of two overlapping deletes": [delete(b"a", b"c"), delete(b"b", b"z"), put(b"x")],
}


@pytest.mark.parametrize("ops", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_changes_that_may_share_a_branch(ops: list[RequestOp]) -> None:
    check(*ops)


@pytest.mark.parametrize("ops", REFUSED.values(), ids=REFUSED.keys())
def test_changes_that_may_not_share_a_branch(ops: list[RequestOp]) -> None:
    with pytest.raises(errors.DuplicateKey):
        check(*ops)


def test_then_and_else_of_the_outer_txn_may_put_the_same_key() -> None:
    validate.check_txn(TxnRequest([], [put(b"a")], [put(b"a")]))


def test_the_duplicate_rule_over_many_ranges_takes_a_sorted_set() -> None:
    """63 nested txns of 32 deletes and 32 puts: comparing each with each would be 4 million comparisons."""
    branch = []
    for outer in range(63):
        ops = [delete(b"%04d-%04d" % (outer, n), b"%04d-%04d~" % (outer, n)) for n in range(32)]
        ops += [put(b"%04d-%04d" % (outer, n)) for n in range(32, 64)]
        branch.append(nested(ops))
    check(*branch)
    with pytest.raises(errors.DuplicateKey):
        check(*branch, put(b"0062-0031!"))


def test_a_compaction_has_nothing_to_check_here() -> None:
    validate.check_compaction(CompactionRequest(-5))
