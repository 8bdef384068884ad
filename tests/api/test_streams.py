"""Streams of responses, byte for byte as etcd 3.5.1 answers them, and clients that do not read."""

import asyncio
import base64
import json
from contextlib import suppress
from hashlib import sha256

import pytest

from raftkv import errors
from raftkv.raft import NO_NODE
from raftkv.schema.maintenance import AlarmAction, AlarmRequest, AlarmType
from raftkv.service.maintenance import BLOB_BYTES
from tests.api.http import CORS, Reply, call, encode
from tests.service.fake_node import FakeFile, FakeNode

SNAPSHOT = "/v3/maintenance/snapshot"


def dechunked(body: bytes) -> bytes:
    """Return what a chunked body holds; fails unless it is complete."""
    content = b""
    while True:
        length, _, body = body.partition(b"\r\n")
        if int(length, 16) == 0:
            assert body == b"\r\n"
            return content
        content, body = content + body[: int(length, 16)], body[int(length, 16) + 2 :]


def stream_error(grpc: int, http: int, text: str, phrase: str) -> bytes:
    error = {"grpc_code": grpc, "http_code": http, "message": text, "http_status": phrase}
    return json.dumps({"error": error}, separators=(",", ":")).encode()


async def snapshot(port: int, body: bytes = b"{}", headers: str = "") -> Reply:
    return await call(port, SNAPSHOT, body, headers=headers)


async def test_a_backup_is_streamed_as_lines(port: int, node: FakeNode) -> None:
    data = bytes(BLOB_BYTES) + b"end"
    node.backup_file = FakeFile(data)
    reply = await snapshot(port)
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
    blobs = [base64.b64encode(blob) for blob in (data[:BLOB_BYTES], b"end", sha256(data).digest())]
    assert dechunked(reply.body) == (
        b'{"result":{"remaining_bytes":"3","blob":"%s"}}\n{"result":{"blob":"%s"}}\n{"result":{"blob":"%s"}}\n'
        % tuple(blobs)
    )


async def test_a_stream_that_fails_before_its_first_response_has_a_status(port: int, node: FakeNode) -> None:
    node.fail_backup = errors.NoSpace("no room")
    reply = await snapshot(port)
    text = "etcdserver: mvcc: database space exceeded"
    assert (reply.status, reply.body) == (
        "HTTP/1.1 429 Too Many Requests",
        stream_error(8, 429, text, "Too Many Requests"),
    )
    assert "Content-Type: application/json" in reply.headers


async def test_a_stream_without_the_leader_it_asks_for_is_refused(port: int, node: FakeNode) -> None:
    node.leader = NO_NODE
    reply = await snapshot(port, headers="Grpc-Metadata-hasleader: true\r\n")
    assert (reply.status, reply.body) == (
        "HTTP/1.1 503 Service Unavailable",
        stream_error(14, 503, "etcdserver: no leader", "Service Unavailable"),
    )


async def test_a_stream_that_fails_later_ends_with_the_error(port: int, node: FakeNode) -> None:
    node.backup_file = FakeFile(bytes(20 * BLOB_BYTES))
    node.backup_file.fails_at = 8 * BLOB_BYTES
    reply = await snapshot(port)
    lines, _, error = dechunked(reply.body).rpartition(b"\n")
    assert (reply.status, lines.count(b'{"result"')) == ("HTTP/1.1 200 OK", 8)
    text = "raftkv: backup: read failed: Input/output error"
    assert error == stream_error(13, 500, text, "Internal Server Error")
    assert node.backups == 0


async def test_a_deadline_that_is_over_at_once_is_told_as_in_a_unary_call(port: int, node: FakeNode) -> None:
    reply = await snapshot(port, headers="Grpc-Timeout: 1n\r\n")
    text = b"context deadline exceeded"
    assert (reply.status, reply.body) == (
        "HTTP/1.1 504 Gateway Timeout",
        b'{"error":"%s","code":4,"message":"%s"}' % (text, text),
    )


async def test_a_body_that_is_no_json_is_refused_as_in_a_unary_call(port: int, node: FakeNode) -> None:
    reply = await snapshot(port, b"{bad")
    assert reply.status == "HTTP/1.1 400 Bad Request"
    assert reply.body.startswith(b'{"error":"invalid character \'b\'')
    assert (await call(port, SNAPSHOT, method="GET")).status == "HTTP/1.1 405 Method Not Allowed"


async def until_no_backup_is_held(node: FakeNode) -> None:
    async with asyncio.timeout(5):
        while node.backups:
            await asyncio.sleep(0.001)


async def test_a_client_that_goes_away_frees_the_file(port: int, node: FakeNode) -> None:
    node.backup_file = FakeFile(bytes(2000 * BLOB_BYTES))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(encode(SNAPSHOT, b"{}"))
    await reader.readexactly(1000)
    assert node.backups == 1
    writer.transport.abort()
    await until_no_backup_is_held(node)


async def test_a_client_that_does_not_read_holds_no_memory_and_is_dropped(
    port: int, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raftkv.api.streams.WRITE_SECONDS", 0.5)
    node.backup_file = FakeFile(bytes(4000 * BLOB_BYTES))
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(encode(SNAPSHOT, b"{}"))
    await reader.readexactly(100)
    await until_no_backup_is_held(node)
    assert node.backup_file.reads * 8 < 2000, "most of it was never read"
    async with asyncio.timeout(5):
        assert not (await rest_of(reader)).endswith(b"0\r\n\r\n"), "it must not look complete"
    writer.transport.abort()


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """Return what still comes before the connection ends, in whatever way."""
    data = b""
    with suppress(ConnectionError):
        while piece := await reader.read(1 << 20):
            data += piece
    return data


async def test_maintenance_calls_are_answered_as_etcd_does_it(port: int, node: FakeNode) -> None:
    assert (await call(port, "/v3/maintenance/defragment")).body == b"{}"
    raised = await call(
        port, "/v3/maintenance/alarm", b'{"action":"ACTIVATE","alarm":"NOSPACE","memberID":"5"}'
    )
    assert raised.body.endswith(b',"alarms":[{"memberID":"5","alarm":"NOSPACE"}]}')
    listed = await call(port, "/v3/maintenance/alarm", b"")
    assert listed.body.endswith(b',"alarms":[{"memberID":"5","alarm":"NOSPACE"}]}')
    put = await call(port, "/v3/kv/put", b'{"key":"YQ=="}')
    text = b"etcdserver: mvcc: database space exceeded"
    assert (put.status, put.body) == (
        "HTTP/1.1 429 Too Many Requests",
        b'{"error":"%s","code":8,"message":"%s"}' % (text, text),
    )
    await call(port, "/v3/maintenance/alarm", b'{"action":"ACTIVATE","alarm":"CORRUPT"}')
    put = await call(port, "/v3/kv/put", b'{"key":"YQ=="}')
    assert (put.status, put.body) == (
        "HTTP/1.1 500 Internal Server Error",
        b'{"error":"etcdserver: corrupt cluster","code":15,"message":"etcdserver: corrupt cluster"}',
    )


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"action":"GO"}', r'unknown value "\"GO\"" for enum etcdserverpb.AlarmRequest.AlarmAction'),
        (b'{"alarm":"GO"}', r'unknown value "\"GO\"" for enum etcdserverpb.AlarmType'),
    ],
)
async def test_an_unknown_alarm_is_named_as_etcd_does_it(port: int, body: bytes, text: str) -> None:
    reply = await call(port, "/v3/maintenance/alarm", body)
    assert reply.status == "HTTP/1.1 400 Bad Request"
    assert json.loads(reply.body)["error"] == text


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "ALARM NOSPACE"),
        ("?exclude=NOSPACE", "ALARM CORRUPT"),
        ("?exclude=CORRUPT", "ALARM NOSPACE"),
        ("?exclude=NOSPACE&exclude=CORRUPT", ""),
        ("?exclude=", "ALARM NOSPACE"),
        ("?exclude=nospace&%zz", "ALARM NOSPACE"),
    ],
)
async def test_an_alarm_makes_a_member_unhealthy_unless_it_is_left_out(
    port: int, node: FakeNode, query: str, reason: str
) -> None:
    for alarm in (AlarmType.CORRUPT, AlarmType.NOSPACE):
        await node.propose(AlarmRequest(AlarmAction.ACTIVATE, 5, alarm))
    reply = await call(port, f"/health{query}", method="GET")
    assert json.loads(reply.body) == {"health": "false" if reason else "true", "reason": reason}
    assert reply.status == ("HTTP/1.1 503 Service Unavailable" if reason else "HTTP/1.1 200 OK")
