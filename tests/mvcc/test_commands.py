"""Commands and members as bytes."""

import msgpack
import pytest

from raftkv.errors import FormatTooNew, PeerProtocolError
from raftkv.mvcc.commands import (
    CheckpointLeases,
    Command,
    CommandKind,
    CommandRequest,
    ExpireLease,
    PublishMember,
    RequestId,
    decode_command,
    encode_command,
)
from raftkv.mvcc.membership import MemberInfo, Membership, decode_members, encode_members
from raftkv.schema.kv import CompactionRequest, Compare, DeleteRangeRequest, PutRequest, RequestOp, TxnRequest
from raftkv.schema.lease import LeaseCheckpoint, LeaseGrantRequest, LeaseRevokeRequest
from tests.mvcc.requests import delete, nested, put, read

ID = RequestId(2**64 - 1, 3, 2**40)
DEEP = TxnRequest(success=[put(b"deep")])
for _ in range(63):
    DEEP = TxnRequest(success=[RequestOp(request_txn=DEEP)])

REQUESTS: list[tuple[CommandKind, CommandRequest]] = [
    (CommandKind.PUT, PutRequest(b"k", b"\x00\xff", -5, prev_kv=True, ignore_lease=True)),
    (CommandKind.DELETE_RANGE, DeleteRangeRequest(b"k", b"\x00", prev_kv=True)),
    (
        CommandKind.TXN,
        TxnRequest(
            [Compare(1, 3, b"k", value=b"v", range_end=b"z")],
            [put(b"a"), nested([read(b"b")])],
            [delete(b"c")],
        ),
    ),
    (CommandKind.TXN, DEEP),
    (CommandKind.COMPACT, CompactionRequest(7, physical=True)),
    (CommandKind.LEASE_GRANT, LeaseGrantRequest(60, -(2**63))),
    (CommandKind.LEASE_REVOKE, LeaseRevokeRequest(7)),
    (CommandKind.LEASE_CHECKPOINT, CheckpointLeases(3, [LeaseCheckpoint(7, 301), LeaseCheckpoint(-8)], 5)),
    (CommandKind.LEASE_EXPIRE, ExpireLease(3, 7, 5)),
    (CommandKind.PUBLISH_MEMBER, PublishMember(2**63, "n1", ["http://127.0.0.1:1"])),
]


@pytest.mark.parametrize(("kind", "request_"), REQUESTS)
def test_a_command_survives_its_bytes(kind: CommandKind, request_: CommandRequest) -> None:
    data = encode_command(ID, request_, "alice", 9)
    assert decode_command(data) == Command(ID, kind, "alice", 9, request_)


def test_the_bytes_of_a_put_are_the_documented_array() -> None:
    data = encode_command(RequestId(1, 2, 3), PutRequest(b"k", b"v"))
    assert msgpack.unpackb(data) == [1, 1, 2, 3, 1, "", 0, [b"k", b"v"]]


@pytest.mark.parametrize(
    "values",
    [
        [2, 1, 2, 3, 1, "", 0, [b"k"]],
        [2, "another form"],
        [1, 1, 2, 3, 10, "", 0, []],
        [1, 1, 2, 3, 99, "", 0, []],
    ],
)
def test_an_unknown_version_or_kind_is_too_new(values: list[object]) -> None:
    with pytest.raises(FormatTooNew):
        decode_command(msgpack.packb(values))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        msgpack.packb(1),
        msgpack.packb([]),
        msgpack.packb({1: 2}),
        msgpack.packb([1, 1, 2, 3]),
        msgpack.packb([1, 1, "2", 3, 1, "", 0, [b"k"]]),
        msgpack.packb([1, 1, 2, 3, 1, 5, 0, [b"k"]]),
        msgpack.packb([1, 1, 2, 3, 1, "", 0, 5]),
        msgpack.packb([1, 1, 2, 3, 1, "", 0, ["text"]]),
        msgpack.packb([1, 1, 2, 3, 1, "", 0, [b"k"] * 20]),
        msgpack.packb([1, 1, 2, 3, 16, "", 0, [1, "n", [5]]]),
        msgpack.packb([1, 1, 2, 3, 16, "", 0, [1]]),
        msgpack.packb([1, 1, 2, 3, 1, "", 0, [b"k"]]) + b"\x00",
        msgpack.packb([1, 1, 2, 3, 1, "", 0, [b"k"]])[:-1],
    ],
)
def test_bytes_that_no_proposer_writes_are_refused(data: bytes) -> None:
    with pytest.raises(PeerProtocolError):
        decode_command(data)


ONE = MemberInfo(7, "", ("http://a",), (), is_learner=False)
TWO = MemberInfo(3, "n2", ("http://b", "http://c"), ("http://d",), is_learner=True)


def test_members_survive_their_bytes_in_one_order() -> None:
    assert decode_members(encode_members([ONE, TWO])) == [TWO, ONE]
    assert encode_members([ONE, TWO]) == encode_members([TWO, ONE])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        msgpack.packb([1]),
        msgpack.packb([1, [[1, "n"]]]),
        msgpack.packb([1, [[1, "n", [2], [], True]]]),
    ],
)
def test_bytes_that_are_no_members_are_refused(data: bytes) -> None:
    with pytest.raises(PeerProtocolError):
        decode_members(data)


def test_members_of_a_newer_format_are_too_new() -> None:
    with pytest.raises(FormatTooNew):
        decode_members(msgpack.packb([2, [], []]))


def test_a_member_publishes_its_name_and_urls() -> None:
    membership = Membership()
    membership.apply_bootstrap(encode_members([ONE, TWO]))
    membership.publish(PublishMember(7, "n1", ["http://x", "http://y"]))
    assert membership.members() == [
        TWO,
        MemberInfo(7, "n1", ("http://a",), ("http://x", "http://y"), is_learner=False),
    ]


def test_publishing_for_no_member_is_ignored() -> None:
    membership = Membership()
    membership.apply_bootstrap(encode_members([ONE]))
    membership.publish(PublishMember(8, "n8", []))
    assert membership.members() == [ONE]
