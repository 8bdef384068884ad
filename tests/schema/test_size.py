"""Sizes in protobuf, each worked out by hand from the wire format."""

import pytest

from raftkv.schema.cluster import Member
from raftkv.schema.kv import Compare, PutRequest, RangeRequest, RequestOp, TxnRequest
from raftkv.schema.size import encoded_size, varint_size


@pytest.mark.parametrize(
    ("number", "size"),
    [
        (0, 1),
        (1, 1),
        (127, 1),
        (128, 2),
        (16383, 2),
        (16384, 3),
        ((1 << 63) - 1, 9),
        (-1, 10),
        ((1 << 64) - 1, 10),
    ],
)
def test_a_varint_takes_seven_bits_a_byte(number: int, size: int) -> None:
    assert varint_size(number) == size


@pytest.mark.parametrize(
    ("message", "size"),
    [
        (PutRequest(), 0),
        (PutRequest(b"a"), 3),
        (PutRequest(b"a", b"v" * 200), 3 + 203),
        (PutRequest(b"a", lease=-1, prev_kv=True), 3 + 11 + 2),
        (RangeRequest(b"a", sort_order=2), 5),
        # field 64 has a tag of two bytes
        (Compare(key=b"a", range_end=b"b"), 3 + 4),
        (TxnRequest(success=[RequestOp(request_put=PutRequest())]), 2 + 2),
        (TxnRequest(success=[RequestOp(), RequestOp()]), 4),
        (Member(1, "é", ["ab", ""]), 2 + 4 + 4 + 2),
    ],
)
def test_a_message_is_measured_field_by_field(message: object, size: int) -> None:
    assert encoded_size(message) == size
