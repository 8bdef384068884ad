"""The positional form of messages."""

import msgpack
import pytest

from raftkv.schema.cluster import Member
from raftkv.schema.kv import Compare, PutRequest, PutResponse, RequestOp, ResponseHeader, TxnRequest
from raftkv.schema.maintenance import StatusRequest
from raftkv.schema.packed import pack, unpack

TXN = TxnRequest(
    compare=[Compare(key=b"a", target=3, value=b"x", range_end=b"b")],
    success=[RequestOp(request_put=PutRequest()), RequestOp(request_txn=TxnRequest(failure=[RequestOp()]))],
)


@pytest.mark.parametrize(
    ("message", "values"),
    [
        (PutRequest(b"k", b"v"), [b"k", b"v"]),
        (PutRequest(b"k", prev_kv=True), [b"k", b"", 0, True]),
        (PutRequest(), []),
        (PutResponse(), []),
        (PutResponse(ResponseHeader()), [[]]),
        (RequestOp(request_put=PutRequest()), [None, []]),
        (Member(1, "n", ["u"]), [1, "n", ["u"]]),
        (StatusRequest(), []),
    ],
)
def test_trailing_zero_fields_are_left_out(message: object, values: list[object]) -> None:
    assert pack(message) == values
    assert unpack(type(message), values) == message


def test_a_nested_message_survives_msgpack_as_lists_and_as_tuples() -> None:
    data = msgpack.packb(pack(TXN))
    assert unpack(TxnRequest, msgpack.unpackb(data)) == TXN
    assert unpack(TxnRequest, msgpack.unpackb(data, use_list=False)) == TXN


@pytest.mark.parametrize(
    "values",
    [None, 5, {}, [5], [b"k", "v"], [b"k", b"v", True], [b"k", b"v", 0, 1], [None], [b""] * 7],
)
def test_what_is_not_the_form_of_the_message_is_refused(values: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        unpack(PutRequest, values)  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [[5], [[5]], [[], [None]], [[], [[None, 5]]]])
def test_bad_nested_values_are_refused(values: list[object]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        unpack(TxnRequest, values)
