"""Replies read: errors of several versions of etcd, and streams cut anywhere."""

import json

import pytest

from raftkv.client import Endpoint, Refused, WrongAnswer
from raftkv.client.replies import Lines, message, refusal, result_of
from raftkv.schema.kv import PutResponse, RangeResponse

HERE = Endpoint("127.0.0.1", 1)
STREAM = b'{"result":{"count":"1"}}\n{"result":{"count":"2"}}\n\n{"error":{"grpc_code":14,"message":"m"}}'


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [
        ({"error": "m", "code": 5, "message": "m"}, 5, "m"),
        ({"code": 5, "message": "m"}, 5, "m"),
        ({"error": {"grpc_code": 14, "http_code": 503, "message": "m"}}, 14, "m"),
        ({"error": {"code": 14, "message": "m"}}, 14, "m"),
        ({"error": "m", "code": "odd", "message": "m"}, 2, "m"),
        ({}, 2, "{}"),
    ],
)
def test_errors_of_every_version_are_read(answer: dict[str, object], code: int, text: str) -> None:
    error = refusal(503, answer)
    assert (error.status, error.code, str(error)) == (503, code, text)


def test_a_reply_is_read_however_many_pairs_it_has() -> None:
    pairs = [{"key": "aw==", "version": "7"}] * 30_000
    reply = message(HERE, 200, json.dumps({"kvs": pairs, "count": "30000"}).encode(), RangeResponse)
    assert (reply.count, len(reply.kvs), reply.kvs[-1].version) == (30_000, 30_000, 7)


@pytest.mark.parametrize("raw", [b'{"header":7}', b"[]", b'{"header":', b'{"prev_kv":{"key":"?"}}'])
def test_what_is_no_reply_is_a_wrong_answer(raw: bytes) -> None:
    with pytest.raises(WrongAnswer):
        message(HERE, 200, raw, PutResponse)


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"{}",
        b'{"result":[]}',
        b'{"result":{"count":{}}}',
        b'{"result":{"count":1.5}}',
        b'{"result":{"count":NaN}}',
        b"<html>",
    ],
)
def test_what_is_no_line_of_a_stream_is_a_wrong_answer(line: bytes) -> None:
    with pytest.raises(WrongAnswer):
        result_of(HERE, line, RangeResponse)


def test_an_error_in_a_stream_is_raised() -> None:
    with pytest.raises(Refused, match="m"):
        result_of(HERE, b'{"error":{"grpc_code":14,"message":"m"}}', RangeResponse)


@pytest.mark.parametrize("step", range(1, len(STREAM) + 1))
def test_a_stream_gives_the_same_lines_however_it_is_cut(step: int) -> None:
    lines = Lines(HERE)
    found = [
        line for start in range(0, len(STREAM), step) for line in lines.feed(STREAM[start : start + step])
    ]
    found += lines.end()
    assert list(lines.end()) == []
    assert found == [line for line in STREAM.split(b"\n") if line]


@pytest.mark.parametrize("cut", range(len(STREAM)))
def test_a_line_that_is_cut_off_is_not_given(cut: int) -> None:
    lines = Lines(HERE)
    found = [*lines.feed(STREAM[:cut]), *lines.end()]
    whole = [line for line in STREAM.split(b"\n") if line]
    assert found == whole[: len(found)]
