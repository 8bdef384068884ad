"""The store against the naive model, under everything that may happen to it in any order."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from raftkv import errors
from raftkv.mvcc import validate
from raftkv.mvcc.leases import Leases
from raftkv.mvcc.scan import RangeScan
from raftkv.mvcc.store import Store
from raftkv.mvcc.versions import KEY, MOD, VERSION
from raftkv.schema.kv import (
    CompactionRequest,
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RangeResponse,
    RequestOp,
    TxnRequest,
)
from tests.mvcc.model import Model
from tests.mvcc.requests import EVERYTHING

KEYS = st.sampled_from([b"\x00", b"a", b"a\x00", b"ab", b"b", b"c", b"c\xff", b"\xff", b"\xff\xff"])
ENDS = st.sampled_from([b"", b"", b"\x00", b"a\x00", b"b", b"c", b"d", b"\xff"])
VALUES = st.sampled_from([b"", b"1", b"2", b"10"])
SMALL = st.integers(-1, 14)
LEASES = st.sampled_from([7, 8, -9])
USUALLY_OFF = st.just(0) | st.just(0) | SMALL

PUTS = st.builds(
    PutRequest,
    key=KEYS,
    value=VALUES,
    lease=st.sampled_from([0] * 6 + [7, 8, -9]),
    prev_kv=st.booleans(),
    ignore_lease=st.sampled_from([False, False, False, True]),
).filter(lambda put: not (put.ignore_lease and put.lease))
KEEPING_PUTS = st.builds(PutRequest, key=KEYS, prev_kv=st.booleans(), ignore_value=st.just(True))
DELETES = st.builds(DeleteRangeRequest, key=KEYS, range_end=ENDS, prev_kv=st.booleans())
RANGES = st.builds(
    RangeRequest,
    key=KEYS,
    range_end=ENDS,
    limit=st.integers(-1, 4),
    revision=USUALLY_OFF,
    sort_order=st.sampled_from([0, 1, 2, 0, 1, 2, 9]),
    sort_target=st.integers(0, 4),
    keys_only=st.booleans(),
    count_only=st.sampled_from([False, False, False, True]),
    min_mod_revision=USUALLY_OFF,
    max_mod_revision=USUALLY_OFF,
    min_create_revision=USUALLY_OFF,
    max_create_revision=USUALLY_OFF,
)
COMPARES = st.builds(
    Compare,
    result=st.sampled_from([0, 1, 2, 3, 9]),
    target=st.sampled_from([0, 1, 2, 3, 4, 9]),
    key=KEYS,
    version=SMALL,
    create_revision=SMALL,
    mod_revision=SMALL,
    value=VALUES,
    lease=st.sampled_from([0, 7, 8]),
    range_end=ENDS,
)
PLAIN_OPS = (
    st.builds(RequestOp, request_put=PUTS | KEEPING_PUTS)
    | st.builds(RequestOp, request_delete_range=DELETES)
    | st.builds(RequestOp, request_range=RANGES)
)


def txns_of(operations: st.SearchStrategy[RequestOp]) -> st.SearchStrategy[TxnRequest]:
    lists = st.lists(operations, max_size=4)
    return st.builds(TxnRequest, compare=st.lists(COMPARES, max_size=2), success=lists, failure=lists)


TXNS = txns_of(
    st.recursive(
        PLAIN_OPS,
        lambda inner: PLAIN_OPS | st.builds(RequestOp, request_txn=txns_of(inner)),
        max_leaves=6,
    )
)


def outcome(call: Callable[[Any], Any], request: Any) -> Any:
    """Return the response, or the class of the error."""
    try:
        return call(request)
    except errors.RequestError as error:
        return type(error)


class StoreAgainstModel(RuleBasedStateMachine):
    """Every answer of the store equals the model's; scans answer as of the moment they were opened."""

    scans = Bundle("scans")

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.leases = Leases()
        self.store = Store(self.leases)

    @rule(request=PUTS | KEEPING_PUTS)
    def put(self, request: PutRequest) -> None:
        assert outcome(self.store.put, request) == outcome(self.model.put, request)

    @rule(request=DELETES)
    def delete(self, request: DeleteRangeRequest) -> None:
        assert outcome(self.store.delete_range, request) == outcome(self.model.delete_range, request)

    @rule(request=TXNS)
    def txn(self, request: TxnRequest) -> None:
        try:
            validate.check_txn(request)
        except errors.DuplicateKey:
            return
        if isinstance(got := outcome(self.store.txn, request), type):
            # which of several errors of a txn comes first is fixed by tests of their own
            assert isinstance(outcome(self.model.txn, request), type)
        else:
            assert got == outcome(self.model.txn, request)

    @rule(lease=LEASES)
    def grant_or_revoke(self, lease: int) -> None:
        if lease in self.model.leases:
            self.leases.revoke(lease)
            self.store.delete_attached(lease)
            self.model.revoke(lease)
        else:
            self.leases.grant(lease, 60, 1)
            self.model.leases.add(lease)

    @rule(request=RANGES)
    def range(self, request: RangeRequest) -> None:
        assert outcome(self.store.range, request) == outcome(self.model.range, request)

    @rule(revision=SMALL)
    def compact(self, revision: int) -> None:
        request = CompactionRequest(revision)
        expected = outcome(self.model.compact, revision)
        got = outcome(self.store.compact, request)
        assert got == expected if isinstance(expected, type) else got.header.revision == self.store.revision

    @rule()
    def compact_to_now(self) -> None:
        self.compact(self.model.revision)

    @rule(budget=st.integers(1, 5))
    def remove(self, budget: int) -> None:
        self.store.compact_step(budget)

    @rule(target=scans, request=RANGES)
    def open_scan(self, request: RangeRequest) -> tuple[RangeScan, RangeResponse] | None:
        expected = outcome(self.model.range, request)
        if isinstance(expected, type):
            return None
        return self.store.open_range(request), expected

    @rule(opened=scans, budget=st.integers(1, 3))
    def step_scan(self, opened: tuple[RangeScan, RangeResponse] | None, budget: int) -> None:
        if opened is not None:
            opened[0].step(budget)

    @rule(opened=consumes(scans), budget=st.integers(1, 3))
    def finish_scan(self, opened: tuple[RangeScan, RangeResponse] | None, budget: int) -> None:
        if opened is None:
            return
        scan, expected = opened
        with scan:
            while not scan.step(budget):
                pass
            assert scan.response() == expected

    @invariant()
    def same_revisions(self) -> None:
        assert self.store.revision == self.model.revision
        assert self.store.compact_revision == self.model.compact_revision

    @invariant()
    def attached_are_the_keys_that_name_the_lease(self) -> None:
        attachments = self.store.table.attachments
        for lease in (0, 7, 8, -9):
            wanted = [kv.key for kv in self.model.attached(lease)] if lease else []
            assert attachments.keys_of(lease) == wanted
            assert attachments.count(lease) == len(wanted)

    @invariant()
    def changes_are_kept_from_the_compacted_revision_on(self) -> None:
        got = [
            (version[MOD], version[KEY], version[VERSION] == 0)
            for version in self.store.table.changes.read((0, 0), self.store.revision, 10_000)
            if version[MOD] >= self.model.compact_revision
        ]
        wanted = [
            (change.revision, change.key, change.deleted)
            for change in self.model.changes
            if change.revision >= self.model.compact_revision
        ]
        assert got == wanted

    def teardown(self) -> None:
        """Every revision that may be read reads as the model says, before and after the removal is done."""
        for _ in range(2):
            for revision in range(max(1, self.model.compact_revision), self.model.revision + 1):
                request = RangeRequest(**EVERYTHING, revision=revision)
                assert self.store.range(request) == self.model.range(request)
            self.finish_removal()

    def finish_removal(self) -> None:
        for _ in range(1000):
            if not self.store.compact_step(3):
                assert self.store.compacted_physically() == self.model.compact_revision
                break


StoreAgainstModel.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestStoreAgainstModel = StoreAgainstModel.TestCase
