"""Leases over HTTP, byte for byte as etcd 3.5.1 answers them."""

import json
from http import HTTPStatus

import pytest

from raftkv import errors
from raftkv.raft import NO_NODE
from raftkv.schema.kv import PutRequest
from raftkv.schema.lease import LeaseGrantRequest
from tests.api.http import CORS, Reply, call
from tests.api.test_streams import dechunked, stream_error
from tests.service.fake_node import CLUSTER, MEMBER, FakeNode

KEEPALIVE = "/v3/lease/keepalive"
HEADER = {"header": {"cluster_id": str(CLUSTER), "member_id": str(MEMBER), "revision": "1", "raft_term": "2"}}


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def error(code: int, text: str) -> bytes:
    return compact({"error": text, "code": code, "message": text})


@pytest.fixture
async def leases(node: FakeNode) -> None:
    await node.propose(LeaseGrantRequest(60, 7))
    await node.propose(LeaseGrantRequest(2**33, -9))


def line(lease: int, seconds: int) -> bytes:
    """Return a line of a keepalive's reply."""
    fields = {name: str(value) for name, value in (("ID", lease), ("TTL", seconds)) if value}
    return compact({"result": HEADER | fields}) + b"\n"


async def keepalive(port: int, body: bytes, headers: str = "") -> Reply:
    return await call(port, KEEPALIVE, body, headers=headers)


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("/v3/lease/grant", '{"TTL":"100","ID":"8"}', '"ID":"8","TTL":"100"'),
        ("/v3/lease/grant", '{"ID":8}', '"ID":"8","TTL":"2"'),
        ("/v3/lease/timetolive", '{"ID":"-9"}', '"ID":"-9","TTL":"8589934591","grantedTTL":"8589934592"'),
        ("/v3/kv/lease/timetolive", '{"ID":"99"}', '"ID":"99","TTL":"-1"'),
        ("/v3/lease/timetolive", "{}", '"TTL":"-1"'),
        ("/v3/lease/leases", "", '"leases":[{"ID":"7"},{"ID":"-9"}]'),
        ("/v3/kv/lease/leases", "{}", '"leases":[{"ID":"7"},{"ID":"-9"}]'),
        ("/v3/lease/revoke", '{"ID":"7"}', ""),
        ("/v3/kv/lease/revoke", '{"ID":"7"}', ""),
    ],
)
async def test_calls_with_one_answer(port: int, leases: None, path: str, body: str, answer: str) -> None:
    reply = await call(port, path, body.encode())
    assert reply.status == "HTTP/1.1 200 OK"
    assert reply.body == compact(HEADER | json.loads(f"{{{answer}}}"))


@pytest.mark.parametrize(
    ("path", "body", "refusal"),
    [
        ("/v3/lease/grant", {"ID": "7"}, (400, 9, "etcdserver: lease already exists")),
        ("/v3/lease/grant", {"TTL": "9000000001"}, (400, 11, "etcdserver: too large lease TTL")),
        ("/v3/lease/revoke", {}, (404, 5, "etcdserver: requested lease not found")),
        (
            "/v3/kv/put",
            {"key": "YQ==", "lease": "99"},
            (404, 5, "etcdserver: requested lease not found"),
        ),
    ],
)
async def test_refusals(
    port: int, leases: None, path: str, body: dict[str, str], refusal: tuple[int, int, str]
) -> None:
    http, code, text = refusal
    reply = await call(port, path, json.dumps(body).encode())
    assert reply.status == f"HTTP/1.1 {http} {HTTPStatus(http).phrase}"
    assert reply.body == error(code, text)


async def test_the_keys_of_a_lease_are_listed(port: int, node: FakeNode, leases: None) -> None:
    for number in range(40):
        await node.propose(PutRequest(b"%02d" % number, b"", 7))
    reply = await call(port, "/v3/lease/timetolive", b'{"ID":"7","keys":true}')
    assert len(json.loads(reply.body)["keys"]) == 40


async def test_a_keepalive_is_a_stream_of_one_line(port: int, leases: None) -> None:
    reply = await keepalive(port, b'{"ID":"7"}')
    assert (reply.status, reply.headers) == (
        "HTTP/1.1 200 OK",
        {
            *CORS,
            "Content-Type: application/json",
            "Grpc-Metadata-Content-Type: application/grpc",
            "Transfer-Encoding: chunked",
            "Connection: close",
        },
    )
    assert dechunked(reply.body) == line(7, 60)


@pytest.mark.parametrize(
    ("body", "answered"),
    [
        (b'{"ID":"7"}{"ID":"99"}\n{"ID":-9}', [(7, 60), (99, 0), (-9, 2**33)]),
        (b" null\r\n{}\t", [(0, 0), (0, 0)]),
        (b'{"ID":"7"}{"ID"', [(7, 60)]),
        (b'{"ID":"7"}{"ID":"x"}{"ID":"7"}', [(7, 60)]),
        (b'{"ID":"7"},{"ID":"7"}', [(7, 60)]),
        (b'{"ID":"7"}{"ID":"7"}garbage', [(7, 60), (7, 60)]),
    ],
)
async def test_each_value_is_answered_until_one_is_bad(
    port: int, leases: None, body: bytes, answered: list[tuple[int, int]]
) -> None:
    reply = await keepalive(port, body)
    assert reply.status == "HTTP/1.1 200 OK"
    assert dechunked(reply.body) == b"".join(line(*answer) for answer in answered)


@pytest.mark.parametrize("body", [b"", b" \n"])
async def test_nothing_is_answered_with_nothing(port: int, body: bytes) -> None:
    reply = await keepalive(port, body)
    assert (reply.status, reply.headers) == (
        "HTTP/1.1 200 OK",
        {*CORS, "Content-Type: application/json", "Transfer-Encoding: chunked", "Connection: close"},
    )
    assert dechunked(reply.body) == b""


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"[]", "json: cannot unmarshal array into Go value of type map[string]json.RawMessage"),
        (b'7{"ID":"7"}', "json: cannot unmarshal number into Go value of type map[string]json.RawMessage"),
        (b'{"ID":"x"}', "invalid character 'x' looking for beginning of value"),
        (b'{"ID"', "unexpected EOF"),
    ],
)
async def test_a_bad_first_value_is_an_error_without_a_code(
    port: int, leases: None, body: bytes, text: str
) -> None:
    reply = await keepalive(port, body)
    assert reply.status == "HTTP/1.1 500 Internal Server Error"
    assert reply.body == error(2, text)


async def test_a_deadline_that_is_over_is_told_as_for_a_single_answer(port: int, leases: None) -> None:
    reply = await keepalive(port, b'{"ID":"7"}', headers="Grpc-Timeout: 1n\r\n")
    assert reply.status == "HTTP/1.1 504 Gateway Timeout"
    assert reply.body == error(4, "context deadline exceeded")


async def test_without_a_leader_a_keepalive_fails_as_a_stream_does(port: int, node: FakeNode) -> None:
    refusal = stream_error(14, 503, "etcdserver: no leader", "Service Unavailable")
    node.fail_question = errors.NoLeader()
    reply = await keepalive(port, b'{"ID":"7"}')
    assert (reply.status, reply.body) == ("HTTP/1.1 503 Service Unavailable", refusal)
    node.fail_question = None
    node.leader = NO_NODE
    reply = await keepalive(port, b'{"ID":"7"}', headers="Grpc-Metadata-hasleader: true\r\n")
    assert (reply.status, reply.body) == ("HTTP/1.1 503 Service Unavailable", refusal)
