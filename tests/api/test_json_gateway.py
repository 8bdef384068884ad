"""The calls under /v3/, byte for byte as etcd 3.5.1 answers them."""

import asyncio
import json

import pytest

from raftkv import errors
from raftkv.raft import NO_NODE
from raftkv.schema.kv import PutRequest
from tests.api.http import CORS, call, encode, exchange
from tests.service.fake_node import CLUSTER, MEMBER, FakeNode


def header(revision: int) -> bytes:
    ids = f'"cluster_id":"{CLUSTER}","member_id":"{MEMBER}"'
    return f'"header":{{{ids},"revision":"{revision}","raft_term":"2"}}'.encode()


def error_body(code: int, text: str) -> bytes:
    quoted = json.dumps(text)
    return f'{{"error":{quoted},"code":{code},"message":{quoted}}}'.encode()


async def test_a_put_is_answered_with_etcds_headers_and_body(port: int) -> None:
    body = b"{%s}" % header(2)
    assert await call(port, "/v3/kv/put", b'{"key":"Zm9v","value":"YmFy"}') == (
        "HTTP/1.1 200 OK",
        {
            *CORS,
            "Content-Type: application/json",
            "Grpc-Metadata-Content-Type: application/grpc",
            f"Content-Length: {len(body)}",
            "Connection: close",
        },
        body,
    )


async def test_a_session_reads_back_what_it_wrote(port: int) -> None:
    async def body_of(path: str, request: bytes) -> bytes:
        reply = await call(port, path, request)
        assert reply.status == "HTTP/1.1 200 OK"
        return reply.body

    assert await body_of("/v3/kv/put", b'{"key":"Zm9v","value":"YmFy"}') == b"{%s}" % header(2)
    pair = b'{"key":"Zm9v","create_revision":"2","mod_revision":"2","version":"1","value":"YmFy"}'
    assert await body_of("/v3/kv/range", b'{"key":"Zm9v"}') == b'{%s,"kvs":[%s],"count":"1"}' % (
        header(2),
        pair,
    )
    assert await body_of("/v3/kv/put", b'{"key":"Zm9v","prevKv":true}') == b'{%s,"prev_kv":%s}' % (
        header(3),
        pair,
    )
    txn = b"""{"compare":[{"key":"Zm9v","target":"VERSION","version":"2"}],"success":[
        {"request_put":{"key":"YQ=="}},{"request_range":{"key":"YQ=="}},{"request_txn":{}}]}"""
    assert await body_of("/v3/kv/txn", txn) == (
        b'{%s,"succeeded":true,"responses":[{"response_put":{"header":{"revision":"4"}}},'
        b'{"response_range":{"header":{"revision":"4"},"kvs":[{"key":"YQ==","create_revision":"4",'
        b'"mod_revision":"4","version":"1"}],"count":"1"}},'
        b'{"response_txn":{"header":{},"succeeded":true}}]}' % header(4)
    )
    deleted = await body_of("/v3/kv/deleterange", b'{"key":"AA==","range_end":"AA=="}')
    assert deleted == b'{%s,"deleted":"2"}' % header(5)
    assert await body_of("/v3/kv/compaction", b'{"revision":"5","physical":true}') == b"{%s}" % header(5)


async def test_members_and_status_are_listed(port: int, node: FakeNode) -> None:
    await node.publish()
    members = await call(port, "/v3/cluster/member/list")
    assert (
        members.body
        == (
            f'{{"header":{{"cluster_id":"{CLUSTER}","member_id":"{MEMBER}","raft_term":"2"}},'
            f'"members":[{{"ID":"{MEMBER}","name":"n1","peerURLs":["http://127.0.0.1:2380"],'
            f'"clientURLs":["http://127.0.0.1:2379"]}}]}}'
        ).encode()
    )
    node.leader = NO_NODE
    status = await call(port, "/v3/maintenance/status", b"{}")
    assert status.body == (
        b'{%s,"version":"3.5.1","dbSize":"4096","raftIndex":"2","raftTerm":"2","raftAppliedIndex":"2",'
        b'"errors":["etcdserver: no leader"],"dbSizeInUse":"4096"}' % header(1)
    )


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("/v3/kv/put", "", ("400 Bad Request", 3, "etcdserver: key is not provided")),
        ("/v3/kv/put", '{"key":"Zm9v"', ("400 Bad Request", 3, "unexpected EOF")),
        (
            "/v3/kv/put",
            "garbage",
            ("400 Bad Request", 3, "invalid character 'g' looking for beginning of value"),
        ),
        ("/v3/kv/put", '{"key":"Zm9v","lease":""}', ("400 Bad Request", 3, "unexpected end of JSON input")),
        ("/v3/kv/put", '{"key":"Z"}', ("400 Bad Request", 3, "illegal base64 data at input byte 0")),
        (
            "/v3/kv/put",
            '{"key":"YQ==","ignore_value":true}',
            ("400 Bad Request", 3, "etcdserver: key not found"),
        ),
        (
            "/v3/kv/put",
            '{"key":"YQ==","ignore_value":true,"value":"YQ=="}',
            ("400 Bad Request", 3, "etcdserver: value is provided"),
        ),
        (
            "/v3/kv/put",
            '{"key":"YQ==","ignore_lease":true,"lease":1}',
            ("400 Bad Request", 3, "etcdserver: lease is provided"),
        ),
        (
            "/v3/kv/put",
            '{"key":"YQ==","lease":1}',
            ("404 Not Found", 5, "etcdserver: requested lease not found"),
        ),
        (
            "/v3/kv/range",
            '{"key":"YQ==","revision":9}',
            ("400 Bad Request", 11, "etcdserver: mvcc: required revision is a future revision"),
        ),
        (
            "/v3/kv/compaction",
            '{"revision":"-1"}',
            ("400 Bad Request", 11, "etcdserver: mvcc: required revision has been compacted"),
        ),
        (
            "/v3/kv/txn",
            '{"success":[{"request_put":{"key":"YQ=="}},{"request_put":{"key":"YQ=="}}]}',
            ("400 Bad Request", 3, "etcdserver: duplicate key given in txn request"),
        ),
        (
            "/v3/kv/txn",
            json.dumps({"compare": [{"key": "YQ=="}] * 129}),
            ("400 Bad Request", 3, "etcdserver: too many operations in txn request"),
        ),
    ],
)
async def test_a_bad_request_is_refused_in_etcds_words(
    port: int, node: FakeNode, path: str, body: str, answer: tuple[str, int, str]
) -> None:
    status, code, text = answer
    wanted = error_body(code, text)
    assert await call(port, path, body.encode()) == (
        f"HTTP/1.1 {status}",
        {*CORS, "Content-Type: application/json", f"Content-Length: {len(wanted)}", "Connection: close"},
        wanted,
    )
    assert node.machine.store.revision == 1


@pytest.mark.parametrize(
    ("fault", "status", "error"),
    [
        (errors.RequestTimedOut(), "503 Service Unavailable", (14, "etcdserver: request timed out")),
        (errors.NodeStopped(), "503 Service Unavailable", (14, "etcdserver: server stopped")),
        (errors.NoLeader(), "503 Service Unavailable", (14, "etcdserver: no leader")),
        (errors.TooManyRequests(), "500 Internal Server Error", (2, "etcdserver: too many requests")),
        (errors.NoSpace(), "429 Too Many Requests", (8, "etcdserver: mvcc: database space exceeded")),
    ],
)
async def test_a_fault_of_the_cluster_is_told_in_etcds_words(
    port: int, node: FakeNode, fault: errors.RaftKvError, status: str, error: tuple[int, str]
) -> None:
    node.fail_propose = node.fail_barrier = fault
    for path in ("/v3/kv/put", "/v3/kv/range"):
        reply = await call(port, path, b'{"key":"YQ=="}')
        assert (reply.status, reply.body) == (f"HTTP/1.1 {status}", error_body(*error))


async def test_quotes_and_angle_brackets_in_an_error_are_escaped_as_in_go(port: int) -> None:
    text = b"invalid character '\\u003c' looking for beginning of value"
    assert (await call(port, "/v3/kv/put", b"<")).body == b'{"error":"%s","code":3,"message":"%s"}' % (
        text,
        text,
    )


async def test_too_large_a_value_is_refused_by_two_limits(port: int) -> None:
    def put(value_bytes: int) -> bytes:
        return b'{"key":"YQ==","value":"%s"}' % (b"AAAA" * (value_bytes // 3))

    assert (await call(port, "/v3/kv/put", put(1_572_834))).status == "HTTP/1.1 200 OK"
    reply = await call(port, "/v3/kv/put", put(1_572_864))
    assert (reply.status, reply.body) == (
        "HTTP/1.1 400 Bad Request",
        error_body(3, "etcdserver: request is too large"),
    )
    reply = await call(port, "/v3/kv/put", put(2_097_150))
    assert (reply.status, reply.body) == (
        "HTTP/1.1 429 Too Many Requests",
        error_body(8, "grpc: received message larger than max (2097157 vs. 2097152)"),
    )


async def test_a_huge_body_is_refused_by_its_announced_length(port: int) -> None:
    request = b"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    assert (await reader.readuntil(b"\r\n")) == b"HTTP/1.1 429 Too Many Requests\r\n"
    text = b"grpc: received message larger than max (99999999999 vs. 2097152)"
    assert text in await reader.readuntil(b"}")
    writer.close()
    await writer.wait_closed()


async def test_a_huge_chunked_body_is_refused_before_its_end(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    for _ in range(5):
        writer.write(chunk)
    assert (await reader.readuntil(b"\r\n")) == b"HTTP/1.1 429 Too Many Requests\r\n"
    writer.close()
    await writer.wait_closed()


async def test_a_chunked_body_and_an_expectation_are_served(port: int) -> None:
    head = b"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    chunked = head + b'Transfer-Encoding: chunked\r\n\r\n6\r\n{"key"\r\n8\r\n:"YQ=="}\r\n0\r\n\r\n'
    assert (await exchange(port, chunked)).startswith(b"HTTP/1.1 200 OK\r\n")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head + b"Expect: 100-continue\r\nContent-Length: 14\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b'{"key":"YQ=="}')
    assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()
    await writer.wait_closed()


async def test_requests_on_one_connection_are_answered_in_order(port: int) -> None:
    puts = b"".join(encode("/v3/kv/put", b'{"key":"YQ=="}') for _ in range(20))
    last = encode("/v3/kv/put", b'{"key":"YQ=="}', headers="Connection: close\r\n")
    data = await exchange(port, puts + last)
    positions = [data.index(b'"revision":"%d"' % revision) for revision in range(2, 23)]
    assert positions == sorted(positions)


async def test_a_long_range_is_streamed_in_chunks(port: int, node: FakeNode) -> None:
    for i in range(3000):
        node.machine.store.put(PutRequest(b"%04d" % i, b"v" * 100))
    request = encode("/v3/kv/range", b'{"key":"AA==","range_end":"AA=="}', headers="Connection: close\r\n")
    head, _, body = (await exchange(port, request)).partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert b"Grpc-Metadata-Content-Type: application/grpc" in head
    text = b""
    chunks = 0
    while size := int(body[: body.index(b"\r\n")], 16):
        start = body.index(b"\r\n") + 2
        text, body, chunks = text + body[start : start + size], body[start + size + 2 :], chunks + 1
    assert chunks > 5
    reply = json.loads(text)
    assert (len(reply["kvs"]), reply["count"], reply["kvs"][2999]["mod_revision"]) == (3000, "3000", "3001")


@pytest.mark.parametrize("limit", ["1n", "-1S", "20m", "20000u"])
async def test_a_deadline_ends_a_call(port: int, node: FakeNode, limit: str) -> None:
    node.hold.clear()
    reply = await call(port, "/v3/kv/put", b'{"key":"YQ=="}', headers=f"Grpc-Timeout: {limit}\r\n")
    assert (reply.status, reply.body) == (
        "HTTP/1.1 504 Gateway Timeout",
        error_body(4, "context deadline exceeded"),
    )


async def test_a_deadline_already_over_proposes_nothing(port: int, node: FakeNode) -> None:
    await call(port, "/v3/kv/put", b'{"key":"YQ=="}', headers="Grpc-Timeout: -1S\r\n")
    assert node.proposed == []


@pytest.mark.parametrize("limit", ["0m", "", "5S", "1H", "999999999999H"])
async def test_a_call_within_its_deadline_is_answered(port: int, limit: str) -> None:
    reply = await call(port, "/v3/kv/put", b'{"key":"YQ=="}', headers=f"Grpc-Timeout: {limit}\r\n")
    assert reply.status == "HTTP/1.1 200 OK"


@pytest.mark.parametrize("limit", ["5x", "x", "S", "1.5S", "5"])
async def test_a_malformed_deadline_is_refused(port: int, limit: str) -> None:
    reply = await call(port, "/v3/kv/put", b'{"key":"YQ=="}', headers=f"Grpc-Timeout: {limit}\r\n")
    assert (reply.status, reply.body) == (
        "HTTP/1.1 400 Bad Request",
        error_body(3, f"invalid grpc-timeout: {limit}"),
    )


async def test_a_call_may_ask_for_a_known_leader(port: int, node: FakeNode) -> None:
    asked = "Grpc-Metadata-hasleader: true\r\n"
    assert (await call(port, "/v3/maintenance/status", headers=asked)).status == "HTTP/1.1 200 OK"
    node.leader = NO_NODE
    reply = await call(port, "/v3/maintenance/status", headers=asked)
    assert (reply.status, reply.body) == (
        "HTTP/1.1 503 Service Unavailable",
        error_body(14, "etcdserver: no leader"),
    )
    other = "Grpc-Metadata-hasleader: false\r\n"
    assert (await call(port, "/v3/maintenance/status", headers=other)).status == "HTTP/1.1 200 OK"


async def test_a_client_that_goes_away_ends_its_call(port: int, node: FakeNode) -> None:
    node.hold.clear()
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(encode("/v3/kv/range", b'{"key":"YQ=="}'))
    await node.started.wait()
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(5):
        await node.cancelled.wait()


async def test_a_txn_nested_as_deep_as_allowed_is_served(port: int) -> None:
    deep = b'{"success":[{"request_txn":' * 48 + b'{"success":[{"request_put":{"key":"YQ=="}}]}' + b"}]}" * 48
    assert (await call(port, "/v3/kv/txn", deep)).status == "HTTP/1.1 200 OK"
    deeper = b'{"success":[{"request_txn":' * 400 + b"{}" + b"}]}" * 400
    assert (await call(port, "/v3/kv/txn", deeper)).status == "HTTP/1.1 400 Bad Request"
