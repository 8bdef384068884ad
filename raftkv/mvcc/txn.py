"""Txns: if all compares hold do one list of operations, else the other, in one revision.

Three passes, as in etcd. First every compare, the outer txn's and those of the nested txns on the way,
is decided on the state before; that fixes the path of branches. Then the operations on the path are
checked (puts, then ranges), so that a txn fails as a whole or not at all. Only then do they run, in
order, each seeing what the ones before it wrote.

A txn is atomic, so a compare, range or deleterange over a huge range inside one is not sliced.
"""

from collections.abc import Callable, Container, Iterator
from typing import Any

from raftkv import errors
from raftkv.mvcc.bounds import BoundsSet, bounds
from raftkv.mvcc.revision_writer import RevisionWriter, check_lease
from raftkv.mvcc.version_table import VersionTable, newest_of
from raftkv.mvcc.versions import CREATE, LEASE, MOD, VALUE, VERSION, Version
from raftkv.schema.kv import (
    Compare,
    CompareResult,
    CompareTarget,
    PutRequest,
    RequestOp,
    ResponseHeader,
    ResponseOp,
    TxnRequest,
    TxnResponse,
)

_MISSING: Version = (0, 0, 0, 0, 0, b"", b"")


def is_read_only(request: TxnRequest) -> bool:
    """Return whether every operation of both branches is a plain range (a nested txn is not)."""
    return all(op.request_range is not None for op in (*request.success, *request.failure))


def is_serializable(request: TxnRequest) -> bool:
    """Return whether a read-only txn may be answered from local state: every range allows it."""
    ranges = [op.request_range for op in (*request.success, *request.failure)]
    return all(read is not None and read.serializable for read in ranges)


class TxnPlan:
    """The path a txn takes, decided on the state before it: its branch, and the plans of nested txns."""

    def __init__(self, table: VersionTable, request: TxnRequest) -> None:
        self.succeeded = all(holds(table, compare) for compare in request.compare)
        self.operations = request.success if self.succeeded else request.failure
        self.nested = [TxnPlan(table, op.request_txn) for op in self.operations if op.request_txn is not None]

    def path(self) -> Iterator[RequestOp]:
        """Yield the operations that will run, nested ones in their place."""
        nested = iter(self.nested)
        for op in self.operations:
            if op.request_txn is not None:
                yield from next(nested).path()
            else:
                yield op

    def check(
        self, table: VersionTable, leases: Container[int], check_revision: Callable[[int], None]
    ) -> None:
        """Raise what any operation of the path would; nothing has run yet.

        Raises KeyNotFound, LeaseNotFound, FutureRevision, Compacted.
        """
        deleted = BoundsSet()
        for op in self.path():
            if op.request_delete_range is not None:
                deleted.add(*bounds(op.request_delete_range.key, op.request_delete_range.range_end))
            elif op.request_put is not None:
                _check_put(table, leases, op.request_put, deleted)
        for op in self.path():
            if op.request_range is not None and op.request_range.revision:
                check_revision(op.request_range.revision)

    def run(self, writer: RevisionWriter, *, outermost: bool = True) -> TxnResponse:
        """Run the path's operations; a nested txn's reply has an empty header."""
        nested = iter(self.nested)
        responses = [_run_operation(op, writer, nested) for op in self.operations]
        header = ResponseHeader(revision=writer.revision) if outermost else ResponseHeader()
        return TxnResponse(header, self.succeeded, responses)


def _run_operation(op: RequestOp, writer: RevisionWriter, nested: Iterator[TxnPlan]) -> ResponseOp:
    if op.request_range is not None:
        return ResponseOp(response_range=writer.range(op.request_range))
    if op.request_put is not None:
        return ResponseOp(response_put=writer.put(op.request_put))
    if op.request_delete_range is not None:
        return ResponseOp(response_delete_range=writer.delete_range(op.request_delete_range))
    return ResponseOp(response_txn=next(nested).run(writer, outermost=False))


def _check_put(table: VersionTable, leases: Container[int], request: PutRequest, deleted: BoundsSet) -> None:
    # A key put after its deletion in the same txn exists no more by then.
    if (request.ignore_value or request.ignore_lease) and (
        table.live(request.key) is None or request.key in deleted
    ):
        raise errors.KeyNotFound
    check_lease(request.lease, leases)


def holds(table: VersionTable, compare: Compare) -> bool:
    """Return whether a compare holds for every key of its range; no key counts as one missing key."""
    exists = False
    for version in map(newest_of, table.walk(*bounds(compare.key, compare.range_end))):
        if version[VERSION]:
            exists = True
            if not _version_holds(compare, version):
                return False
    if exists:
        return True
    # There is no way to say "no value", so a value compare on a missing key never holds.
    return compare.target != CompareTarget.VALUE and _version_holds(compare, _MISSING)


def _version_holds(compare: Compare, version: Version) -> bool:
    found, wanted = _operands(compare, version)
    match compare.result:
        case CompareResult.EQUAL:
            return bool(found == wanted)
        case CompareResult.NOT_EQUAL:
            return bool(found != wanted)
        case CompareResult.GREATER:
            return bool(found > wanted)
        case CompareResult.LESS:
            return bool(found < wanted)
    return True  # etcd lets an unknown result hold


def _operands(compare: Compare, version: Version) -> tuple[Any, Any]:
    match compare.target:
        case CompareTarget.VERSION:
            return version[VERSION], compare.version
        case CompareTarget.CREATE:
            return version[CREATE], compare.create_revision
        case CompareTarget.MOD:
            return version[MOD], compare.mod_revision
        case CompareTarget.VALUE:
            return version[VALUE], compare.value
        case CompareTarget.LEASE:
            return version[LEASE], compare.lease
    return 0, 0  # etcd takes an unknown target for equal
