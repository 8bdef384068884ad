"""The machine: the same entries give the same content, whatever else differs."""

import pytest

from raftkv import errors
from raftkv.mvcc.commands import CommandRequest, PublishMember, RequestId, encode_command
from raftkv.mvcc.machine import Applied, Machine
from raftkv.mvcc.membership import MemberInfo, encode_bootstrap
from raftkv.schema.kv import CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest, TxnRequest
from tests.mvcc.requests import EVERYTHING, nested, put


class Feeder:
    """Encodes requests of one boot and applies them one after the other."""

    def __init__(self, boot: int = 1) -> None:
        self.machine = Machine()
        self.boot = boot
        self.sequence = 0

    def apply(self, request: CommandRequest, sequence: int | None = None) -> Applied:
        self.sequence += 1
        request_id = RequestId(5, self.boot, self.sequence if sequence is None else sequence)
        return self.machine.apply_command(self.machine.applied_index + 1, encode_command(request_id, request))


WORK: list[CommandRequest] = [
    PutRequest(b"a", b"1"),
    PutRequest(b"b", b"2"),
    TxnRequest(success=[put(b"c"), nested([put(b"a", b"3")])]),
    PutRequest(b"missing", ignore_value=True),
    DeleteRangeRequest(b"b"),
    PutRequest(b"a", b"4"),
    CompactionRequest(4),
    PutRequest(b"a", b"5"),
]


def test_a_response_carries_the_request_id_and_the_revision() -> None:
    applied = Feeder().apply(PutRequest(b"a", b"1"))
    assert applied.request_id == RequestId(5, 1, 1)
    assert applied.response is not None
    assert applied.response.header.revision == 2
    assert (applied.error, applied.duplicate) == (None, False)


def test_every_kind_of_command_is_applied() -> None:
    feeder = Feeder()
    feeder.machine.apply_configuration(
        1, encode_bootstrap([MemberInfo(5, "", ("http://a",), (), is_learner=False)])
    )
    results = [feeder.apply(request) for request in [*WORK, PublishMember(5, "n1", ["http://x"])]]
    assert [type(applied.error) for applied in results if applied.error] == [errors.KeyNotFound]
    assert feeder.machine.store.revision == 7
    assert feeder.machine.store.compact_revision == 4
    assert feeder.machine.membership.members()[0].name == "n1"
    assert feeder.machine.applied_index == 10


def test_a_duplicate_has_no_effect_and_no_answer() -> None:
    feeder = Feeder()
    feeder.apply(PutRequest(b"a", b"1"), sequence=1)
    before = feeder.machine.digest()
    assert feeder.apply(PutRequest(b"a", b"1"), sequence=1) == Applied(
        RequestId(5, 1, 1), None, None, duplicate=True
    )
    assert feeder.machine.digest() == before
    assert feeder.machine.store.range(RangeRequest(b"a")).kvs[0].version == 1


def test_a_refused_request_is_not_run_again_by_its_duplicate() -> None:
    feeder = Feeder()
    keeps_value = PutRequest(b"a", ignore_value=True)
    assert isinstance(feeder.apply(keeps_value, sequence=1).error, errors.KeyNotFound)
    feeder.apply(PutRequest(b"a", b"1"), sequence=2)
    assert feeder.apply(keeps_value, sequence=1).duplicate
    assert feeder.machine.store.revision == 2


def test_the_same_entries_give_the_same_digest() -> None:
    one, other = Feeder(), Feeder()
    for request in WORK:
        one.apply(request)
        other.apply(request)
        assert one.machine.digest() == other.machine.digest()


def test_the_digest_is_blind_to_how_far_the_removal_is() -> None:
    one, other = Feeder(), Feeder()
    for request in WORK:
        one.apply(request)
        other.apply(request)
        while one.machine.store.compact_step(2):
            assert one.machine.digest() == other.machine.digest()
    assert one.machine.store.size_bytes < other.machine.store.size_bytes
    assert one.machine.digest() == other.machine.digest()


@pytest.mark.parametrize(
    "request_",
    [
        PutRequest(b"a", b"other"),
        PutRequest(b"z", b"1"),
        DeleteRangeRequest(b"a"),
        CompactionRequest(5),
        PublishMember(5, "renamed", []),
        DeleteRangeRequest(b"nothing"),
    ],
)
def test_the_digest_sees_every_part(request_: CommandRequest) -> None:
    """The last one changes nothing but the table of request ids."""
    feeder = Feeder()
    feeder.machine.apply_configuration(
        1, encode_bootstrap([MemberInfo(5, "", ("http://a",), (), is_learner=False)])
    )
    for request in WORK:
        feeder.apply(request)
    before = feeder.machine.digest()
    feeder.apply(request_)
    assert feeder.machine.digest() != before


def test_what_can_not_be_understood_changes_nothing() -> None:
    feeder = Feeder()
    feeder.apply(PutRequest(b"a", b"1"))
    before = feeder.machine.digest()
    with pytest.raises(errors.PeerProtocolError):
        feeder.machine.apply_command(2, b"junk")
    assert (feeder.machine.digest(), feeder.machine.applied_index) == (before, 1)


def test_an_entry_is_never_applied_twice_or_out_of_order() -> None:
    feeder = Feeder()
    feeder.apply(PutRequest(b"a", b"1"))
    data = encode_command(RequestId(5, 1, 9), PutRequest(b"b", b"1"))
    with pytest.raises(AssertionError):
        feeder.machine.apply_command(1, data)
    feeder.machine.apply_command(7, data)
    with pytest.raises(AssertionError):
        feeder.machine.apply_configuration(7, encode_bootstrap([]))
    assert feeder.machine.store.range(RangeRequest(**EVERYTHING)).count == 2
