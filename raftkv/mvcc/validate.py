"""What can be said against a request without looking at the store.

The service calls this before it proposes anything; apply trusts that it was done. The order of the
checks is etcd's, because it decides which of several errors a client sees.
"""

from raftkv import errors
from raftkv.mvcc.bounds import FROM_KEY, BoundsSet, bounds
from raftkv.schema.kv import (
    CompactionRequest,
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    SortTarget,
    TxnRequest,
)
from raftkv.schema.lease import LeaseGrantRequest

MAX_TXN_OPS = 128
"""etcd's default for the most compares, successes or failures of a txn."""

MAX_LEASE_TTL = 9_000_000_000
"""Seconds; etcd's limit."""

MAX_TXN_DEPTH = 64
"""Most levels of txns in one another. etcd has no such limit beside that of operations (so 128 levels by
default); here a request is decoded by recursion when it is applied, and must never fail there."""

_SORT_TARGETS = frozenset(int(target) for target in SortTarget)


def check_range(request: RangeRequest) -> None:
    """Raise EmptyKey, or InvalidSortOption for an unknown target.

    etcd 3.5.1 panics on an unknown target; later versions answer as here. An unknown order is no error
    there: the pairs then come in key order.
    """
    if not request.key:
        raise errors.EmptyKey
    if request.sort_target not in _SORT_TARGETS:
        raise errors.InvalidSortOption


def check_put(request: PutRequest) -> None:
    """Raise EmptyKey, ValueProvided or LeaseProvided."""
    if not request.key:
        raise errors.EmptyKey
    if request.ignore_value and request.value:
        raise errors.ValueProvided
    if request.ignore_lease and request.lease:
        raise errors.LeaseProvided


def check_delete_range(request: DeleteRangeRequest) -> None:
    """Raise EmptyKey."""
    if not request.key:
        raise errors.EmptyKey


def check_compaction(request: CompactionRequest) -> None:
    """Accept: whether a revision can be compacted to is known at apply only."""


def check_grant(request: LeaseGrantRequest) -> None:
    """Raise LeaseTtlTooLarge."""
    if request.TTL > MAX_LEASE_TTL:
        raise errors.LeaseTtlTooLarge


def check_txn(request: TxnRequest, max_txn_ops: int = MAX_TXN_OPS) -> None:
    """Raise TooManyOps, EmptyKey, KeyNotFound (an empty operation), DuplicateKey or an operation's error.

    TooManyOps is also the answer to nesting deeper than ``MAX_TXN_DEPTH``. Both branches are checked,
    whichever will be taken.
    """
    _check_operations(request, max_txn_ops, MAX_TXN_DEPTH)
    _changed_keys(request.success)
    _changed_keys(request.failure)


def _check_operations(request: TxnRequest, max_txn_ops: int, levels: int) -> None:
    longest = max(len(request.compare), len(request.success), len(request.failure))
    if longest > max_txn_ops or levels == 0:
        raise errors.TooManyOps
    for compare in request.compare:
        _check_compare(compare)
    for branch in (request.success, request.failure):
        for op in branch:
            # A nested txn has what its parent's largest list left over.
            _check_operation(op, max_txn_ops - longest, levels - 1)


def _check_compare(compare: Compare) -> None:
    if not compare.key:
        raise errors.EmptyKey


def _check_operation(op: RequestOp, max_txn_ops: int, levels: int) -> None:
    if op.request_range is not None:
        check_range(op.request_range)
    elif op.request_put is not None:
        check_put(op.request_put)
    elif op.request_delete_range is not None:
        check_delete_range(op.request_delete_range)
    elif op.request_txn is not None:
        _check_operations(op.request_txn, max_txn_ops, levels)
    else:
        raise errors.KeyNotFound


def _changed_keys(branch: list[RequestOp]) -> tuple[set[bytes], BoundsSet]:
    """Return the keys that ``branch`` puts and the ranges it deletes; raise DuplicateKey.

    A key may be put once, and not inside a range deleted in the same list or in a nested txn before.
    The two branches of one nested txn exclude each other, so both may put the same key.
    """
    puts: set[bytes] = set()
    deletes = BoundsSet()
    for op in branch:
        if op.request_delete_range is not None:
            _add_deletes(deletes, op.request_delete_range)
    for op in branch:
        if op.request_txn is None:
            continue
        then_puts, then_deletes = _changed_keys(op.request_txn.success)
        else_puts, else_deletes = _changed_keys(op.request_txn.failure)
        _refuse_overlap(then_puts | else_puts, puts, deletes)
        puts |= then_puts | else_puts
        deletes.update(then_deletes)
        deletes.update(else_deletes)
    for op in branch:
        if op.request_put is not None:
            _refuse_overlap({op.request_put.key}, puts, deletes)
            puts.add(op.request_put.key)
    return puts, deletes


def _add_deletes(deletes: BoundsSet, request: DeleteRangeRequest) -> None:
    # etcd's rule takes an end of one zero byte literally, as an empty range, so clients may delete
    # everything from a key on and put keys anew in one txn.
    if request.range_end != FROM_KEY:
        deletes.add(*bounds(request.key, request.range_end))


def _refuse_overlap(new: set[bytes], puts: set[bytes], deletes: BoundsSet) -> None:
    if not new.isdisjoint(puts) or any(key in deletes for key in new):
        raise errors.DuplicateKey
