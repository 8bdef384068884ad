"""Leases in the state machine: which there are, which keys they hold, and what ends them."""

import pytest

from raftkv import errors
from raftkv.mvcc import leases as leases_module
from raftkv.mvcc.attachments import Attachments
from raftkv.mvcc.commands import CheckpointLeases, CommandRequest, ExpireLease, RequestId, encode_command
from raftkv.mvcc.leases import Leases
from raftkv.mvcc.machine import Applied, Machine
from raftkv.mvcc.versions import KEY, MOD, SUB, VERSION
from raftkv.schema.kv import DeleteRangeRequest, PutRequest, RangeRequest, ResponseHeader, TxnRequest
from raftkv.schema.lease import (
    LeaseCheckpoint,
    LeaseCheckpointResponse,
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
)
from tests.mvcc.requests import delete, keys_of, nested, put
from tests.mvcc.test_alarms import reloaded
from tests.mvcc.test_machine import Feeder

TERM = 4

LATEST = 99
"""An index above all there are here."""


class Cluster(Feeder):
    """Applies requests in entries of one term."""

    def __init__(self, *requests: CommandRequest) -> None:
        super().__init__()
        for request in requests:
            assert self.apply(request).error is None

    def apply(self, request: CommandRequest, sequence: int | None = None, term: int = TERM) -> Applied:
        self.sequence += 1
        data = encode_command(RequestId(5, self.boot, sequence or self.sequence), request)
        return self.machine.apply_command(self.machine.applied_index + 1, data, term)

    def attached(self, lease: int) -> list[bytes]:
        return self.machine.store.table.attachments.keys_of(lease)


def grant(lease: int = 7, seconds: int = 60) -> LeaseGrantRequest:
    return LeaseGrantRequest(seconds, lease)


def attach(key: bytes, lease: int = 7, **options: object) -> PutRequest:
    return PutRequest(key, b"v", lease, **options)


def test_a_grant_does_not_move_the_revision() -> None:
    cluster = Cluster(PutRequest(b"a"))
    applied = cluster.apply(grant(-7, 61))
    assert applied.response == LeaseGrantResponse(ResponseHeader(revision=2), -7, 61)
    assert cluster.machine.leases.granted(-7) == 61
    assert cluster.machine.leases.granted(7) is None


def test_an_id_in_use_is_refused_and_free_again_after_a_revoke() -> None:
    cluster = Cluster(grant(7, 60))
    assert isinstance(cluster.apply(grant(7, 99)).error, errors.LeaseExists)
    assert cluster.machine.leases.granted(7) == 60
    cluster.apply(LeaseRevokeRequest(7))
    assert cluster.apply(grant(7, 99)).error is None
    assert cluster.machine.leases.granted(7) == 99


def test_no_lease_has_the_id_that_stands_for_none() -> None:
    cluster = Cluster()
    assert isinstance(cluster.apply(grant(0)).error, errors.LeaseNotFound)
    assert cluster.machine.leases.ids() == []


@pytest.mark.parametrize("request_", [attach(b"a", 8), TxnRequest(success=[put(b"b"), put(b"a", lease=8)])])
def test_a_put_with_an_unknown_lease_changes_nothing(request_: CommandRequest) -> None:
    cluster = Cluster(grant(7))
    assert isinstance(cluster.apply(request_).error, errors.LeaseNotFound)
    assert cluster.machine.store.revision == 1


def test_a_put_attaches_moves_keeps_and_detaches() -> None:
    cluster = Cluster(grant(7), grant(8))
    for request, seven, eight in (
        (attach(b"a", 7), [b"a"], []),
        (attach(b"a", 7), [b"a"], []),
        (attach(b"a", 8), [], [b"a"]),
        (PutRequest(b"a", b"2", ignore_lease=True), [], [b"a"]),
        (PutRequest(b"a", ignore_value=True, ignore_lease=True), [], [b"a"]),
        (PutRequest(b"a", ignore_value=True), [], []),
        (attach(b"a", 7), [b"a"], []),
        (DeleteRangeRequest(b"a", b"z"), [], []),
        (PutRequest(b"a", b"3"), [], []),
    ):
        assert cluster.apply(request).error is None
        assert (cluster.attached(7), cluster.attached(8)) == (seven, eight)


def test_a_txn_attaches_what_its_last_operation_on_a_key_says() -> None:
    cluster = Cluster(grant(7), attach(b"b"))
    cluster.apply(TxnRequest(success=[delete(b"b"), nested([put(b"a", lease=7)]), put(b"c", lease=7)]))
    assert cluster.attached(7) == [b"a", b"c"]


def test_a_revoke_deletes_its_keys_by_key_in_one_revision() -> None:
    cluster = Cluster(grant(7), grant(8), attach(b"c"), attach(b"a"), attach(b"x", 8), attach(b"b"))
    applied = cluster.apply(LeaseRevokeRequest(7))
    assert applied.response == LeaseRevokeResponse(ResponseHeader(revision=6))
    store = cluster.machine.store
    changes = [(v[MOD], v[SUB], v[KEY], v[VERSION]) for v in store.table.changes.read((6, 0), 9, 9)]
    assert changes == [(6, 0, b"a", 0), (6, 1, b"b", 0), (6, 2, b"c", 0)]
    assert keys_of(store.range(RangeRequest(b"a", b"z"))) == [b"x"]
    assert (cluster.attached(7), cluster.attached(8)) == ([], [b"x"])


def test_a_revoke_without_keys_leaves_the_revision() -> None:
    cluster = Cluster(grant(7), attach(b"a"), PutRequest(b"a"))
    applied = cluster.apply(LeaseRevokeRequest(7))
    assert applied.response == LeaseRevokeResponse(ResponseHeader(revision=3))
    assert cluster.machine.store.revision == 3
    for lease in (7, 0):
        assert isinstance(cluster.apply(LeaseRevokeRequest(lease)).error, errors.LeaseNotFound)


def test_an_expiry_counts_in_its_own_term_only() -> None:
    cluster = Cluster(grant(7), attach(b"a"))
    for term in (TERM - 1, TERM + 1):
        applied = cluster.apply(ExpireLease(term, 7, LATEST))
        assert (applied.response, applied.error) == (None, None)
        applied = cluster.apply(CheckpointLeases(term, [LeaseCheckpoint(7, 5)], LATEST))
        assert (applied.response, applied.error) == (None, None)
    assert (cluster.attached(7), cluster.machine.leases.remaining(7)) == ([b"a"], 60)
    cluster.apply(ExpireLease(TERM, 7, LATEST))
    assert cluster.machine.store.range(RangeRequest(b"a")).count == 0
    assert isinstance(cluster.apply(ExpireLease(TERM, 7, LATEST)).error, errors.LeaseNotFound)


def test_what_was_decided_about_a_lease_does_not_concern_a_later_one_of_the_same_id() -> None:
    cluster = Cluster(grant(7, 600), attach(b"a"))
    seen = cluster.machine.applied_index
    for request in (LeaseRevokeRequest(7), grant(7, 500), attach(b"b")):
        cluster.apply(request)
    applied = cluster.apply(ExpireLease(TERM, 7, seen))
    assert (applied.response, applied.error) == (None, None)
    cluster.apply(CheckpointLeases(TERM, [LeaseCheckpoint(7, 5)], seen))
    assert (cluster.attached(7), cluster.machine.leases.remaining(7)) == ([b"b"], 500)


def test_a_checkpoint_is_kept_until_it_is_cleared_or_the_lease_is_over() -> None:
    cluster = Cluster(grant(7, 600), grant(8, 600))
    leases = cluster.machine.leases
    applied = cluster.apply(CheckpointLeases(TERM, [LeaseCheckpoint(7, 301), LeaseCheckpoint(9, 5)], LATEST))
    assert applied.response == LeaseCheckpointResponse(ResponseHeader(revision=1))
    assert [(lease, leases.remaining(lease), leases.has_checkpoint(lease)) for lease in (7, 8)] == [
        (7, 301, True),
        (8, 600, False),
    ]
    assert leases.granted(7) == 600
    cluster.apply(CheckpointLeases(TERM, [LeaseCheckpoint(7, 0)], LATEST))
    assert (leases.remaining(7), leases.has_checkpoint(7)) == (600, False)
    cluster.apply(CheckpointLeases(TERM, [LeaseCheckpoint(8, 5)], LATEST))
    cluster.apply(LeaseRevokeRequest(8))
    cluster.apply(grant(8, 600))
    assert leases.remaining(8) == 600


def test_what_was_granted_and_revoked_is_told_once() -> None:
    cluster = Cluster(grant(7), grant(8), LeaseRevokeRequest(7))
    cluster.apply(grant(8))
    cluster.apply(LeaseRevokeRequest(9))
    assert cluster.machine.leases.take_changed() == [7, 8]
    assert cluster.machine.leases.take_changed() == []


@pytest.mark.parametrize(
    "request_", [grant(8), LeaseRevokeRequest(7), CheckpointLeases(TERM, [LeaseCheckpoint(7, 5)], LATEST)]
)
def test_leases_are_in_the_digest_and_in_snapshots(request_: CommandRequest) -> None:
    cluster, other = Cluster(grant(7, 60)), Cluster(grant(7, 60))
    assert cluster.machine.digest() == other.machine.digest()
    cluster.apply(request_)
    other.apply(LeaseRevokeRequest(99))
    assert cluster.machine.digest() != other.machine.digest()
    assert reloaded(cluster.machine).digest() == cluster.machine.digest()


def test_a_loaded_machine_knows_the_keys_of_its_leases() -> None:
    work = [grant(7), grant(8), attach(b"a"), attach(b"b", 8), attach(b"b"), attach(b"c"), PutRequest(b"c")]
    cluster = Cluster(*work, attach(b"d"), DeleteRangeRequest(b"d"))
    copy = reloaded(cluster.machine)
    assert copy.store.table.attachments.keys_of(7) == [b"a", b"b"]
    assert copy.store.table.attachments.keys_of(8) == []
    assert copy.leases.take_changed() == []
    data = encode_command(RequestId(5, 1, 1000), attach(b"e", 8))
    assert copy.apply_command(copy.applied_index + 1, data).error is None
    data = encode_command(RequestId(5, 1, 1001), LeaseRevokeRequest(7))
    copy.apply_command(copy.applied_index + 1, data)
    assert keys_of(copy.store.range(RangeRequest(b"a", b"z"))) == [b"c", b"e"]


def test_a_dump_of_many_leases_is_of_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases_module, "_AT_ONCE", 3)
    leases = Leases()
    for number in range(1, 8):
        leases.grant(number, 60, 5)
    leases.checkpoint(LeaseCheckpoint(5, 40), 5)
    wanted, dump = list(leases.content()), leases.dump()
    blocks = dump.blocks()
    first = next(blocks)
    leases.revoke(7)
    leases.grant(8, 60, 5)
    leases.checkpoint(LeaseCheckpoint(5, 0), 5)
    copy = Leases()
    for data in (first, *blocks):
        copy.load(data)
    assert list(copy.content()) == wanted
    assert len(list(Leases().dump().blocks())) == 1


def test_leases_count_in_the_size_of_the_data() -> None:
    cluster = Cluster(grant(7), grant(8), attach(b"a"))
    machine = cluster.machine
    assert machine.size_bytes == machine.store.size_bytes + 2 * 64
    assert Machine().size_bytes == 0


def test_attachments_are_freed_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raftkv.mvcc.attachments._FREED_AT_ONCE", 4)
    attachments = Attachments()
    for number in range(9):
        attachments.move(b"%d" % number, 0, 7 + number % 2)
    steps = 1
    while attachments.discard_step():
        steps += 1
    assert steps == 3
    assert attachments.keys_of(7) == []
