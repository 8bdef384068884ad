"""Replies in JSON, byte for byte as etcd 3.5.1's gateway writes them."""

from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftkv.schema.cluster import Member, MemberListResponse
from raftkv.schema.json_codec import decode, encode, encode_chunks
from raftkv.schema.kv import (
    DeleteRangeResponse,
    KeyValue,
    PutResponse,
    RangeRequest,
    RangeResponse,
    ResponseHeader,
    ResponseOp,
    TxnResponse,
)
from raftkv.schema.maintenance import StatusResponse

HEADER = ResponseHeader(15118495548433857066, 13668033151171901709, 2, 2)
HEADER_TEXT = (
    b'{"cluster_id":"15118495548433857066","member_id":"13668033151171901709","revision":"2","raft_term":"2"}'
)

CASES = [
    (PutResponse(HEADER), b'{"header":%s}' % HEADER_TEXT),
    (RangeResponse(HEADER), b'{"header":%s}' % HEADER_TEXT),
    (
        RangeResponse(
            ResponseHeader(revision=5),
            [KeyValue(b"foo", 2, 3, 2), KeyValue(b"\xff", 4, 4, 1, b"bar", -7)],
            more=True,
            count=9,
        ),
        b'{"header":{"revision":"5"},"kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"3","version":"2"},'
        b'{"key":"/w==","create_revision":"4","mod_revision":"4","version":"1","value":"YmFy","lease":"-7"}],'
        b'"more":true,"count":"9"}',
    ),
    (
        TxnResponse(
            ResponseHeader(revision=13),
            succeeded=True,
            responses=[
                ResponseOp(response_put=PutResponse(ResponseHeader(revision=13), KeyValue(b"a"))),
                ResponseOp(
                    response_delete_range=DeleteRangeResponse(
                        ResponseHeader(revision=13), 1, [KeyValue(b"b")]
                    )
                ),
                ResponseOp(response_txn=TxnResponse(ResponseHeader())),
            ],
        ),
        b'{"header":{"revision":"13"},"succeeded":true,"responses":['
        b'{"response_put":{"header":{"revision":"13"},"prev_kv":{"key":"YQ=="}}},'
        b'{"response_delete_range":{"header":{"revision":"13"},"deleted":"1","prev_kvs":[{"key":"Yg=="}]}},'
        b'{"response_txn":{"header":{}}}]}',
    ),
    (
        MemberListResponse(None, [Member(1, 'a"<&>é\u2028', ["http://a:1"], [], isLearner=True)]),
        b'{"members":[{"ID":"1","name":"a\\"\\u003c\\u0026\\u003e\xc3\xa9\\u2028","peerURLs":["http://a:1"],"isLearner":true}]}',
    ),
    (
        StatusResponse(HEADER, "3.5.1", 20480, errors=["etcdserver: no leader"], raftIndex=6),
        b'{"header":%s,"version":"3.5.1","dbSize":"20480","raftIndex":"6","errors":["etcdserver: no leader"]}'
        % HEADER_TEXT,
    ),
    (
        RangeRequest(b"a", sort_order=2, sort_target=9),
        b'{"key":"YQ==","sort_order":"DESCEND","sort_target":9}',
    ),
]


@pytest.mark.parametrize(("message", "text"), CASES, ids=lambda value: type(value).__name__)
def test_a_message_is_written_as_etcd_writes_it(message: object, text: bytes) -> None:
    assert encode(message) == text


@pytest.mark.parametrize(("message", "text"), CASES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("size", [1, 64, 65536])
def test_the_slices_of_a_message_are_its_text(message: object, text: bytes, size: int) -> None:
    assert b"".join(encode_chunks(deepcopy(message), size)) == text


def test_a_large_reply_comes_in_slices_of_bounded_size() -> None:
    response = RangeResponse(
        HEADER, [KeyValue(b"key-%d" % i, 2, 2, 1, b"v" * 100) for i in range(5000)], count=5000
    )
    text = encode(response)
    slices = list(encode_chunks(response))
    assert b"".join(slices) == text
    assert response.kvs == []
    assert all(64 * 1024 <= len(piece) < 65 * 1024 for piece in slices[:-1])


int64 = st.integers(-(1 << 63), (1 << 63) - 1)
requests = st.builds(
    RangeRequest,
    key=st.binary(max_size=20),
    range_end=st.binary(max_size=20),
    limit=int64,
    revision=int64,
    sort_order=st.integers(0, 5),
    sort_target=st.integers(-(1 << 31), (1 << 31) - 1),
    serializable=st.booleans(),
    max_create_revision=int64,
)


@given(requests)
@settings(max_examples=100, deadline=None)
def test_what_was_written_reads_the_same(request: RangeRequest) -> None:
    assert decode(RangeRequest, encode(request)) == request
