"""Alarms: what they forbid, how they are raised and cleared, and that they are part of the content."""

import pytest

from raftkv import errors
from raftkv.errors import PeerProtocolError, RequestError
from raftkv.mvcc.alarms import Alarms, growth_of
from raftkv.mvcc.commands import CommandRequest, ExpireLease
from raftkv.mvcc.loading import MachineLoader
from raftkv.mvcc.machine import Machine
from raftkv.mvcc.parts import pack_block
from raftkv.schema.kv import CompactionRequest, DeleteRangeRequest, PutRequest, TxnRequest
from raftkv.schema.lease import LeaseGrantRequest, LeaseRevokeRequest
from raftkv.schema.maintenance import AlarmAction, AlarmMember, AlarmRequest, AlarmResponse, AlarmType
from tests.mvcc.requests import delete, nested, put, read
from tests.mvcc.test_machine import Feeder

NOSPACE, CORRUPT = AlarmType.NOSPACE, AlarmType.CORRUPT
ACTIVATE, DEACTIVATE = AlarmAction.ACTIVATE, AlarmAction.DEACTIVATE


def changed(feeder: Feeder, action: int, member: int, alarm: int) -> list[AlarmMember]:
    response = feeder.apply(AlarmRequest(action, member, alarm)).response
    assert isinstance(response, AlarmResponse)
    return response.alarms


def outcome(feeder: Feeder, request: CommandRequest) -> type[RequestError] | None:
    error = feeder.apply(request).error
    return type(error) if error is not None else None


def reloaded(machine: Machine) -> Machine:
    """The machine's content as a snapshot brings it to another member."""
    loader = MachineLoader()
    cut = machine.cut()
    for block in cut.blocks():
        loader.add(*block)
    cut.close()
    while loader.finish_step():
        pass
    other = Machine()
    other.adopt(loader)
    return other


@pytest.mark.parametrize(
    ("request_", "bytes_"),
    [
        (PutRequest(b"key", b"value"), 256 + 3 + 5),
        (DeleteRangeRequest(b"key"), 0),
        (LeaseGrantRequest(60, 7), 64),
        (LeaseRevokeRequest(7), 0),
        (CompactionRequest(3), 0),
        (TxnRequest(success=[read(b"a"), delete(b"b")]), 0),
        (TxnRequest(success=[put(b"a", b"1"), put(b"b", b"2")], failure=[put(b"c", b"33")]), 2 * 258),
        (TxnRequest(success=[delete(b"a")], failure=[put(b"c", b"33")]), 259),
        (TxnRequest(success=[nested(failure=[put(b"c", b"33")])]), 259),
    ],
)
def test_growth_is_counted_as_etcd_does_and_inside_nested_txns_too(
    request_: CommandRequest, bytes_: int
) -> None:
    assert growth_of(request_) == bytes_


def test_an_alarm_is_raised_once_and_cleared_once() -> None:
    feeder = Feeder()
    alarm = [AlarmMember(5, NOSPACE)]
    assert changed(feeder, ACTIVATE, 5, NOSPACE) == alarm
    assert changed(feeder, ACTIVATE, 5, NOSPACE) == alarm
    assert feeder.machine.alarms.raised() == alarm
    assert changed(feeder, DEACTIVATE, 5, NOSPACE) == alarm
    assert changed(feeder, DEACTIVATE, 5, NOSPACE) == []
    assert feeder.machine.alarms.raised() == []


def test_alarms_do_not_move_the_revision() -> None:
    feeder = Feeder()
    response = feeder.apply(AlarmRequest(ACTIVATE, 5, NOSPACE)).response
    assert response is not None
    assert response.header is not None
    assert response.header.revision == feeder.machine.store.revision == 1


def test_only_the_alarm_of_the_member_named_is_cleared() -> None:
    """Member 0 is a member, and not all of them."""
    feeder = Feeder()
    for member in (9, 5):
        changed(feeder, ACTIVATE, member, NOSPACE)
    assert changed(feeder, DEACTIVATE, 0, NOSPACE) == []
    assert changed(feeder, DEACTIVATE, 5, CORRUPT) == []
    assert changed(feeder, DEACTIVATE, 9, NOSPACE) == [AlarmMember(9, NOSPACE)]
    assert outcome(feeder, PutRequest(b"a")) is errors.QuotaExceeded
    changed(feeder, DEACTIVATE, 5, NOSPACE)
    assert outcome(feeder, PutRequest(b"a")) is None


def test_alarms_are_listed_by_kind_and_member() -> None:
    feeder = Feeder()
    for member, alarm in ((9, CORRUPT), (5, NOSPACE), (0, NOSPACE)):
        changed(feeder, ACTIVATE, member, alarm)
    alarms = feeder.machine.alarms
    assert alarms.raised() == [AlarmMember(0, NOSPACE), AlarmMember(5, NOSPACE), AlarmMember(9, CORRUPT)]
    assert alarms.raised(CORRUPT) == [AlarmMember(9, CORRUPT)]
    assert alarms.raised(77) == []
    assert [alarms.is_raised(NOSPACE, member) for member in (0, 5, 9)] == [True, True, False]


@pytest.mark.parametrize(("action", "alarm"), [(ACTIVATE, 0), (ACTIVATE, 3), (7, 1), (0, 1), (DEACTIVATE, 9)])
def test_what_makes_no_sense_changes_nothing(action: int, alarm: int) -> None:
    """On some of this etcd 3.5.1 panics, and again at each start, because it is in its log."""
    feeder = Feeder()
    assert changed(feeder, action, 5, alarm) == []
    assert feeder.machine.alarms.raised() == []


REQUESTS: list[tuple[CommandRequest, bool]] = [
    (PutRequest(b"b", b"1"), True),
    (TxnRequest(success=[put(b"b")]), True),
    (TxnRequest(success=[delete(b"b")], failure=[put(b"b")]), True),
    (TxnRequest(success=[nested([put(b"b")])]), True),
    (TxnRequest(success=[delete(b"b")]), False),
    (DeleteRangeRequest(b"a"), False),
    (CompactionRequest(2), False),
    (LeaseGrantRequest(60, 8), True),
    (LeaseRevokeRequest(7), False),
    (ExpireLease(0, 7, 0), False),
]
"""Each with whether it may make the data grow."""


@pytest.mark.parametrize(("request_", "grows"), REQUESTS)
def test_under_nospace_what_grows_is_refused(request_: CommandRequest, grows: bool) -> None:
    feeder = Feeder()
    feeder.apply(LeaseGrantRequest(60, 7))
    feeder.apply(PutRequest(b"a", b"1"))
    changed(feeder, ACTIVATE, 5, NOSPACE)
    before = feeder.machine.store.revision
    assert outcome(feeder, request_) is (errors.QuotaExceeded if grows else None)
    assert not grows or feeder.machine.store.revision == before


@pytest.mark.parametrize("request_", [request for request, _ in REQUESTS])
def test_under_corrupt_every_write_is_refused(request_: CommandRequest) -> None:
    feeder = Feeder()
    feeder.apply(LeaseGrantRequest(60, 7))
    feeder.apply(PutRequest(b"a", b"1"))
    changed(feeder, ACTIVATE, 5, CORRUPT)
    assert outcome(feeder, request_) is errors.ClusterCorrupt
    assert (feeder.machine.store.revision, feeder.machine.store.compact_revision) == (2, -1)
    assert feeder.machine.leases.ids() == [7]


def test_clearing_one_alarm_leaves_the_other_in_force() -> None:
    feeder = Feeder()
    changed(feeder, ACTIVATE, 5, NOSPACE)
    changed(feeder, ACTIVATE, 5, CORRUPT)
    assert outcome(feeder, PutRequest(b"a")) is errors.ClusterCorrupt
    changed(feeder, DEACTIVATE, 5, CORRUPT)
    assert outcome(feeder, PutRequest(b"a")) is errors.QuotaExceeded


def test_alarms_are_in_the_digest_and_in_snapshots() -> None:
    one, other = Feeder(), Feeder()
    for feeder in (one, other):
        changed(feeder, ACTIVATE, 2**64 - 1, NOSPACE)
        changed(feeder, ACTIVATE, 0, CORRUPT)
    assert one.machine.digest() == other.machine.digest()
    changed(other, DEACTIVATE, 0, CORRUPT)
    assert one.machine.digest() != other.machine.digest()
    for feeder in (one, other):
        copy = reloaded(feeder.machine)
        assert copy.alarms.raised() == feeder.machine.alarms.raised()
        assert copy.digest() == feeder.machine.digest()


@pytest.mark.parametrize("block", [[(3, 5)], [(1, 5, 6)], [7], [("1", 5)]])
def test_a_dump_that_holds_no_alarms_is_refused(block: list[object]) -> None:
    with pytest.raises(PeerProtocolError, match="an alarm"):
        Alarms().load(pack_block(*block))
