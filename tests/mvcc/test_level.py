"""The cluster's level: what is newer is neither proposed nor in a snapshot, and what is too new stops."""

import msgpack
import pytest

from raftkv.errors import FormatTooNew, PeerProtocolError
from raftkv.mvcc.commands import (
    CheckpointLeases,
    CommandKind,
    ExpireLease,
    PublishMember,
    RaiseLevel,
    RequestId,
    encode_command,
    level_of,
)
from raftkv.mvcc.level import FIRST, LEVEL
from raftkv.mvcc.machine import Machine
from raftkv.mvcc.membership import MemberInfo, decode_members, encode_bootstrap, encode_members
from raftkv.schema.kv import CompactionRequest, DeleteRangeRequest, PutRequest, TxnRequest
from raftkv.schema.lease import LeaseGrantRequest, LeaseRevokeRequest
from raftkv.schema.maintenance import AlarmRequest
from tests.mvcc.snapshots import load

ONE = MemberInfo(5, "", ("http://a",), (), is_learner=False)
TERM = 3


def raising(level: int, term: int = TERM, sequence: int = 1) -> bytes:
    return encode_command(RequestId(5, 1, sequence), RaiseLevel(term, level))


def old_machine() -> Machine:
    """A machine whose log was begun by the first version."""
    machine = Machine()
    machine.apply_configuration(1, encode_members([ONE]))
    return machine


def parts(machine: Machine) -> list[str]:
    cut = machine.cut()
    found = list(dict.fromkeys(block.part for block in cut.blocks()))
    cut.close()
    return found


def test_a_new_cluster_begins_at_the_level_of_its_version() -> None:
    machine = Machine()
    machine.apply_configuration(1, encode_bootstrap([ONE]))
    assert machine.level.number == LEVEL
    assert machine.membership.members() == decode_members(encode_bootstrap([ONE])) == [ONE]
    assert old_machine().level.number == FIRST


def test_the_leader_raises_the_level_in_its_own_term_and_it_never_goes_down() -> None:
    machine = old_machine()
    assert machine.apply_command(2, raising(LEVEL), TERM + 1).error is None
    assert machine.level.number == FIRST
    machine.apply_command(3, raising(LEVEL, sequence=2), TERM)
    machine.apply_command(4, raising(FIRST, sequence=3), TERM)
    machine.apply_configuration(5, encode_members([ONE]))
    assert machine.level.number == LEVEL


def test_a_level_that_is_not_known_here_changes_nothing_and_stops() -> None:
    machine = old_machine()
    before = machine.digest()
    with pytest.raises(FormatTooNew, match=f"at level {LEVEL + 1}"):
        machine.apply_command(2, raising(LEVEL + 1), TERM)
    with pytest.raises(FormatTooNew, match=f"at level {LEVEL + 1}"):
        machine.apply_configuration(2, encode_bootstrap([ONE], LEVEL + 1))
    assert (machine.digest(), machine.applied_index) == (before, 1)


def test_a_snapshot_of_an_old_cluster_is_one_that_old_members_read() -> None:
    machine = old_machine()
    assert parts(machine) == ["machine", "store", "members", "sessions", "alarms"]
    machine.apply_command(2, raising(LEVEL), TERM)
    assert "level" in parts(machine)


def test_the_level_outlives_a_snapshot() -> None:
    machine = old_machine()
    machine.apply_command(2, raising(LEVEL), TERM)
    machine.apply_command(3, encode_command(RequestId(5, 1, 2), LeaseGrantRequest(60, 7)), TERM)
    cut = machine.cut()
    copy = load(cut.blocks())
    cut.close()
    assert copy.digest() == machine.digest()
    assert (copy.level.number, copy.leases.granted(7)) == (LEVEL, 60)


@pytest.mark.parametrize(
    ("request_", "level"),
    [
        (PutRequest(b"k"), FIRST),
        (DeleteRangeRequest(b"k"), FIRST),
        (TxnRequest(), FIRST),
        (CompactionRequest(2), FIRST),
        (AlarmRequest(), FIRST),
        (PublishMember(1, "n", []), FIRST),
        (LeaseGrantRequest(60, 7), 2),
        (LeaseRevokeRequest(7), 2),
        (ExpireLease(TERM, 7, 5), 2),
        (CheckpointLeases(TERM, [], 5), 2),
        (RaiseLevel(TERM, 2), 2),
    ],
)
def test_what_came_later_needs_a_higher_level(request_: object, level: int) -> None:
    assert level_of(request_) == level  # type: ignore[arg-type]


def test_the_first_version_knew_these_numbers_and_no_others() -> None:
    """Its own decoder, at commit 225a90b, stops at any other."""
    first = {kind for kind in CommandKind if kind in (1, 2, 3, 4, 5, 16)}
    assert {kind.name for kind in first} == {
        "PUT",
        "DELETE_RANGE",
        "TXN",
        "COMPACT",
        "ALARM",
        "PUBLISH_MEMBER",
    }


@pytest.mark.parametrize("fields", [[], [1], [1, "2"], ["1", 2], [1, 2, 3], 7])
def test_what_is_no_level_is_refused(fields: object) -> None:
    data = msgpack.packb([1, 5, 1, 1, int(CommandKind.RAISE_LEVEL), "", 0, fields])
    with pytest.raises(PeerProtocolError):
        old_machine().apply_command(2, data, TERM)
