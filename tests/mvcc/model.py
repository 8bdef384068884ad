"""The store as one would write it without caring for cost: a full copy of everything per revision.

Written from the API's rules alone; it shares no code with raftkv.mvcc.
"""

from dataclasses import dataclass, replace

from raftkv import errors
from raftkv.schema.kv import (
    Compare,
    DeleteRangeRequest,
    DeleteRangeResponse,
    KeyValue,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    ResponseHeader,
    ResponseOp,
    TxnRequest,
    TxnResponse,
)

State = dict[bytes, KeyValue]


def inside(key: bytes, start: bytes, end: bytes) -> bool:
    if not end:
        return key == start
    return key >= start and (end == b"\x00" or key < end)


def select(state: State, start: bytes, end: bytes) -> list[KeyValue]:
    return [state[key] for key in sorted(state) if inside(key, start, end)]


def sort_value(kv: KeyValue, target: int) -> object:
    return (kv.key, kv.version, kv.create_revision, kv.mod_revision, kv.value)[target]


def passes(kv: KeyValue, request: RangeRequest) -> bool:
    if request.min_mod_revision and kv.mod_revision < request.min_mod_revision:
        return False
    if request.max_mod_revision and kv.mod_revision > request.max_mod_revision:
        return False
    if request.min_create_revision and kv.create_revision < request.min_create_revision:
        return False
    return not (request.max_create_revision and kv.create_revision > request.max_create_revision)


def read(state: State, request: RangeRequest, current: int) -> RangeResponse:
    matches = select(state, request.key, request.range_end)
    count = len(matches)
    if request.count_only:
        return RangeResponse(ResponseHeader(revision=current), [], more=False, count=count)
    filters = (
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    )
    if request.limit > 0 and request.sort_order == 0 and not any(filters):
        matches = matches[: request.limit + 1]
    matches = [kv for kv in matches if passes(kv, request)]
    if request.sort_order in (0, 1, 2) and (request.sort_order, request.sort_target) != (0, 0):
        matches = sorted(
            matches,
            key=lambda kv: sort_value(kv, request.sort_target),
            reverse=request.sort_order == 2,
        )
    more = 0 < request.limit < len(matches)
    if more:
        matches = matches[: request.limit]
    kvs = [replace(kv, value=b"" if request.keys_only else kv.value) for kv in matches]
    return RangeResponse(ResponseHeader(revision=current), kvs, more, count)


def compares(state: State, compare: Compare) -> bool:
    found = select(state, compare.key, compare.range_end)
    if not found and compare.target == 3:
        return False
    return all(compare_one(kv, compare) for kv in found or [KeyValue()])


def compare_one(kv: KeyValue, compare: Compare) -> bool:
    if compare.target > 4:
        left, right = 0, 0
    else:
        names = ("version", "create_revision", "mod_revision", "value", "lease")
        left, right = getattr(kv, names[compare.target]), getattr(compare, names[compare.target])
    if compare.result > 3:
        return True
    return (left == right, left > right, left < right, left != right)[compare.result]


@dataclass
class Change:
    revision: int
    key: bytes
    deleted: bool


class Model:
    """All states by revision, the compact revision, and the list of changes."""

    def __init__(self) -> None:
        self.states: dict[int, State] = {1: {}}
        self.revision = 1
        self.compact_revision = -1
        self.changes: list[Change] = []
        self.leases: set[int] = set()

    @property
    def now(self) -> State:
        return self.states[self.revision]

    def check_revision(self, revision: int) -> None:
        if revision > self.revision:
            raise errors.FutureRevision
        if revision < self.compact_revision:
            raise errors.Compacted

    def range(self, request: RangeRequest) -> RangeResponse:
        if request.revision <= 0:
            return read(self.now, request, self.revision)
        self.check_revision(request.revision)
        return read(self.states[request.revision], request, self.revision)

    def compact(self, revision: int) -> None:
        if revision <= self.compact_revision:
            raise errors.Compacted
        if revision > self.revision:
            raise errors.FutureRevision
        self.compact_revision = revision

    def put(self, request: PutRequest) -> PutResponse:
        if request.lease and request.lease not in self.leases:
            raise errors.LeaseNotFound
        attempt = Attempt(self)
        response = attempt.put(request)
        attempt.commit()
        return response

    def delete_range(self, request: DeleteRangeRequest) -> DeleteRangeResponse:
        attempt = Attempt(self)
        response = attempt.delete_range(request)
        attempt.commit()
        return response

    def revoke(self, lease: int) -> None:
        self.leases.remove(lease)
        attempt = Attempt(self)
        attempt.delete(self.attached(lease))
        attempt.commit()

    def attached(self, lease: int) -> list[KeyValue]:
        return [self.now[key] for key in sorted(self.now) if self.now[key].lease == lease]

    def txn(self, request: TxnRequest) -> TxnResponse:
        attempt = Attempt(self)
        response = attempt.txn(request, outermost=True)
        attempt.commit()
        return response


class Attempt:
    """A revision in the making on a copy, thrown away if anything is refused."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.state = dict(model.now)
        self.changes: list[Change] = []

    @property
    def next(self) -> int:
        return self.model.revision + 1

    @property
    def revision(self) -> int:
        return self.next if self.changes else self.model.revision

    def commit(self) -> None:
        if self.changes:
            self.model.states[self.next] = self.state
            self.model.revision = self.next
            self.model.changes += self.changes

    def put(self, request: PutRequest) -> PutResponse:
        before = self.state.get(request.key)
        if before is None and (request.ignore_value or request.ignore_lease):
            raise errors.KeyNotFound
        after = KeyValue(request.key, self.next, self.next, 1, request.value, request.lease)
        if before is not None:
            after.create_revision, after.version = before.create_revision, before.version + 1
            if request.ignore_value:
                after.value = before.value
            if request.ignore_lease:
                after.lease = before.lease
        self.state[request.key] = after
        self.changes.append(Change(self.next, request.key, deleted=False))
        header = ResponseHeader(revision=self.next)
        return PutResponse(header, before if request.prev_kv else None)

    def delete_range(self, request: DeleteRangeRequest) -> DeleteRangeResponse:
        doomed = select(self.state, request.key, request.range_end)
        self.delete(doomed)
        header = ResponseHeader(revision=self.revision)
        return DeleteRangeResponse(header, len(doomed), doomed if request.prev_kv else [])

    def delete(self, doomed: list[KeyValue]) -> None:
        for kv in doomed:
            del self.state[kv.key]
            self.changes.append(Change(self.next, kv.key, deleted=True))

    def txn(self, request: TxnRequest, *, outermost: bool) -> TxnResponse:
        """Compares look at the state before the outermost txn, operations at the state so far."""
        succeeded = all(compares(self.model.now, compare) for compare in request.compare)
        branch = request.success if succeeded else request.failure
        responses = [self.operation(op) for op in branch]
        header = ResponseHeader(revision=self.revision if outermost else 0)
        return TxnResponse(header, succeeded, responses)

    def operation(self, op: RequestOp) -> ResponseOp:
        if op.request_put is not None:
            if op.request_put.lease and op.request_put.lease not in self.model.leases:
                raise errors.LeaseNotFound
            return ResponseOp(response_put=self.put(op.request_put))
        if op.request_delete_range is not None:
            return ResponseOp(response_delete_range=self.delete_range(op.request_delete_range))
        if op.request_txn is not None:
            return ResponseOp(response_txn=self.txn(op.request_txn, outermost=False))
        assert op.request_range is not None
        request = op.request_range
        if request.revision:
            self.model.check_revision(request.revision)
        state = self.model.states[request.revision] if request.revision > 0 else self.state
        return ResponseOp(response_range=read(state, request, self.revision))
