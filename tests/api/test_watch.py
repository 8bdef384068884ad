"""Watches over HTTP and WebSockets, byte for byte as etcd 3.5.1 answers them."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import WSMessage, WSMsgType

from raftkv import api
from raftkv.api.watch_text import PIECE_BYTES, PIECE_EVENTS
from raftkv.node.config import Config
from raftkv.raft import NO_NODE
from raftkv.schema.kv import CompactionRequest, DeleteRangeRequest, PutRequest, TxnRequest
from raftkv.schema.watch import WatchCreateRequest, WatchRequest
from tests.api.http import CORS, call, encode
from tests.api.socket import ACCEPT, BINARY, CLOSE, PING, PONG, TEXT, Socket
from tests.api.test_streams import stream_error
from tests.mvcc.requests import put
from tests.service.fake_node import CLUSTER, MEMBER, FakeNode

WATCH = "/v3/watch"
HEADER = b'"header":{"cluster_id":"%d","member_id":"%d","revision":"%%d","raft_term":"2"}' % (CLUSTER, MEMBER)
LOST = b'"header":{"cluster_id":"%d","member_id":"%d","raft_term":"2"}' % (CLUSTER, MEMBER)
NOW = b'{"create_request":{"key":"aw=="}}'
PAST = b'{"create_request":{"key":"aw==","start_revision":"2"}}'
ALL = b'{"create_request":{"key":"AA==","range_end":"AA=="%s}}'
PROGRESS = b'{"progress_request":{}}'


def line(revision: int, rest: bytes) -> bytes:
    return b'{"result":{' + HEADER % revision + rest + b"}}\n"


def put_event(revision: int, version: int = 1) -> bytes:
    created = revision - version + 1
    return (
        b'{"kv":{"key":"aw==","create_revision":"%d","mod_revision":"%d","version":"%d","value":"dg=="}}'
        % (
            created,
            revision,
            version,
        )
    )


def created(revision: int) -> bytes:
    return line(revision, b',"created":true')


class Stream:
    """One call whose body stays open; replies are read chunk by chunk."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @staticmethod
    async def open(port: int, headers: str = "") -> "Stream":
        stream = Stream(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 24))
        stream._writer.write(
            f"POST {WATCH} HTTP/1.1\r\nHost: x\r\n{headers}Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        return stream

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    async def head(self) -> str:
        async with asyncio.timeout(5):
            return (await self._reader.readuntil(b"\r\n\r\n")).decode()

    async def chunk(self) -> bytes:
        async with asyncio.timeout(5):
            length = int(await self._reader.readline(), 16)
            return (await self._reader.readexactly(length + 2))[:-2]

    async def rest(self) -> bytes:
        async with asyncio.timeout(5):
            return await self._reader.read()

    def abort(self) -> None:
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


async def write(node: FakeNode, key: bytes = b"k", value: bytes = b"v") -> None:
    await node.propose(PutRequest(key, value))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def whole(port: int, body: bytes, chunks: int, headers: str = "") -> list[bytes]:
    """Send a complete body and return the first chunks of the reply."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(encode(WATCH, body, headers=headers))
    stream = Stream(reader, writer)
    assert (await stream.head()).startswith("HTTP/1.1 200 OK\r\n")
    found = [await stream.chunk() for _ in range(chunks)]
    await stream.close()
    return found


# ---------------------------------------------------------------- HTTP


async def test_a_complete_body_is_answered_and_the_stream_goes_on(port: int, node: FakeNode) -> None:
    await write(node)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    stream = Stream(reader, writer)
    writer.write(encode(WATCH, PAST + b"\n" + NOW))
    head = (await stream.head()).split("\r\n")
    assert head[0] == "HTTP/1.1 200 OK"
    assert {h for h in head[1:] if h and not h.startswith(("Date", "Server"))} == {
        *CORS,
        "Content-Type: application/json",
        "Grpc-Metadata-Content-Type: application/grpc",
        "Transfer-Encoding: chunked",
    }
    assert await stream.chunk() == created(2)
    assert {await stream.chunk(), await stream.chunk()} == {
        line(2, b',"watch_id":"1","created":true'),
        line(2, b',"events":[' + put_event(2) + b"]"),
    }
    await write(node)
    events = b',"events":[' + put_event(3, 2) + b"]"
    assert {await stream.chunk(), await stream.chunk()} == {
        line(3, events),
        line(3, b',"watch_id":"1"' + events),
    }
    await stream.close()
    await until(lambda: node.watches._live == 0)


async def test_requests_are_answered_while_the_body_is_open(port: int, node: FakeNode) -> None:
    stream = await Stream.open(port)
    stream.send(NOW[:10])
    stream.send(NOW[10:])
    await stream.head()
    assert await stream.chunk() == created(1)
    await write(node)
    assert await stream.chunk() == line(2, b',"events":[' + put_event(2) + b"]")
    stream.send(PROGRESS + b'{"cancel_request":{}}')
    assert await stream.chunk() == line(2, b',"watch_id":"-1"')
    assert await stream.chunk() == line(2, b',"canceled":true')
    stream.abort()
    await until(lambda: not len(node.streams))


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b'{"cancel_request":{}}', PROGRESS])
async def test_without_a_reply_there_is_no_byte_of_one(port: int, node: FakeNode, body: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(encode(WATCH, body))
    await until(lambda: len(node.streams) == 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await reader.read(1)
    writer.close()
    await until(lambda: not len(node.streams))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{bad", "invalid character 'b' looking for beginning of object key string"),
        (b'{"create_request":{"key":1}}', "json: cannot unmarshal number into Go value of type []uint8"),
        (b'{"create_request":', "unexpected EOF"),
        (b"12", "json: cannot unmarshal number into Go value of type map[string]json.RawMessage"),
        (b"[]", "json: cannot unmarshal array into Go value of type map[string]json.RawMessage"),
    ],
)
async def test_nonsense_at_first_is_an_error_without_a_code(port: int, body: bytes, text: str) -> None:
    reply = await call(port, WATCH, body)
    assert reply.status == "HTTP/1.1 500 Internal Server Error"
    error = {"error": text, "code": 2, "message": text}
    assert reply.body == json.dumps(error, separators=(",", ":")).encode()


async def test_nonsense_is_noticed_before_the_body_ends(port: int) -> None:
    stream = await Stream.open(port)
    stream.send(b'{"create_request":{key')
    assert (await stream.head()).startswith("HTTP/1.1 500 ")
    await stream.close()


async def test_nonsense_later_ends_the_requests_and_no_watch(port: int, node: FakeNode) -> None:
    stream = await Stream.open(port)
    stream.send(NOW, b"{bad", NOW)
    await stream.head()
    assert await stream.chunk() == created(1)
    await write(node)
    assert await stream.chunk() == line(2, b',"events":[' + put_event(2) + b"]")
    await stream.close()


async def test_a_request_is_bounded_and_what_is_unfinished_is_counted(port: int, node: FakeNode) -> None:
    stream = await Stream.open(port)
    limit = 2 * (node.config.max_request_bytes + 512 * 1024)
    stream.send(b'{"create_request":{"key":"')
    for _ in range(limit // 100_000 + 1):
        stream.send(b"a" * 100_000)
    assert "429 Too Many Requests" in await stream.head()
    await stream.close()


async def test_a_value_that_was_begun_must_come_in_time(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raftkv.api.body.BODY_SECONDS", 0.05)
    stream = await Stream.open(port)
    await asyncio.sleep(0.1)
    stream.send(b'{"create_')
    assert (await stream.head()).startswith("HTTP/1.1 408 ")
    await stream.close()


async def test_a_compacted_start_is_told_without_a_revision(port: int, node: FakeNode) -> None:
    for _ in range(2):
        await write(node)
    await node.propose(CompactionRequest(3))
    assert await whole(port, PAST, 2) == [
        created(3),
        b'{"result":{' + LOST + b',"canceled":true,"compact_revision":"3"}}\n',
    ]


async def test_a_deletion_and_the_pair_before(port: int, node: FakeNode) -> None:
    await write(node)
    stream = await Stream.open(port)
    stream.send(b'{"create_request":{"key":"aw==","prevKv":true}}')
    await stream.head()
    await stream.chunk()
    await node.propose(DeleteRangeRequest(b"k"))
    kv = b'{"key":"aw==","create_revision":"2","mod_revision":"2","version":"1","value":"dg=="}'
    deleted = b'{"type":"DELETE","kv":{"key":"aw==","mod_revision":"3"},"prev_kv":' + kv + b"}"
    assert await stream.chunk() == line(3, b',"events":[' + deleted + b"]")
    await stream.close()


@pytest.mark.parametrize("body", [NOW, b""])
async def test_a_deadline_ends_a_watch(port: int, body: bytes) -> None:
    error = stream_error(4, 504, "context deadline exceeded", "Gateway Timeout")
    reply = await call(port, WATCH, body, headers="Grpc-Timeout: 100m\r\n")
    if body:
        first = created(1)
        assert reply.body == b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(first), first, len(error), error)
    else:
        assert (reply.status, reply.body) == ("HTTP/1.1 504 Gateway Timeout", error)


async def test_a_watch_that_needs_a_leader_is_refused_or_ended(port: int, node: FakeNode) -> None:
    error = stream_error(14, 503, "etcdserver: no leader", "Service Unavailable")
    stream = await Stream.open(port, "Grpc-Metadata-hasleader: true\r\nConnection: close\r\n")
    stream.send(NOW)
    await stream.head()
    await stream.chunk()
    for now in (0.0, 3.0):
        node.streams.tick(now, has_leader=False)
    assert await stream.chunk() == error
    await stream.close()
    node.leader = NO_NODE
    reply = await call(port, WATCH, NOW, headers="Grpc-Metadata-hasleader: true\r\n")
    assert (reply.status, reply.body) == ("HTTP/1.1 503 Service Unavailable", error)


async def test_a_learner_refuses(port: int, node: FakeNode) -> None:
    node.learners = (MEMBER,)
    reply = await call(port, WATCH, NOW)
    error = stream_error(14, 503, "etcdserver: rpc not supported for learner", "Service Unavailable")
    assert (reply.status, reply.body) == ("HTTP/1.1 503 Service Unavailable", error)


async def test_a_member_that_stops_ends_its_watches(port: int, node: FakeNode) -> None:
    stream = await Stream.open(port)
    stream.send(NOW)
    await stream.head()
    await stream.chunk()
    node.streams.stop()
    assert await stream.chunk() == stream_error(14, 503, "etcdserver: server stopped", "Service Unavailable")
    await stream.close()


async def test_a_revision_of_many_changes_is_one_line_and_one_chunk(port: int, node: FakeNode) -> None:
    count = 2 * PIECE_EVENTS + 1
    stream = await Stream.open(port)
    stream.send(ALL % b"")
    await stream.head()
    await stream.chunk()
    await node.propose(TxnRequest(success=[put(b"%d" % number) for number in range(count)]))
    text = await stream.chunk()
    assert text.endswith(b"\n")
    events = json.loads(text)["result"]["events"]
    assert [base64.b64decode(event["kv"]["key"]) for event in events] == [b"%d" % n for n in range(count)]
    await stream.close()


@pytest.mark.parametrize("kind", ["prevKv", "fragment"])
async def test_large_values_are_not_written_all_at_once(kind: str, node: FakeNode) -> None:
    """A deletion of few keys can bring very much with it: the pairs before."""
    size = 100_000
    for number in range(60):
        await write(node, b"%d" % number, bytes(size))
    gateway = api.Gateway(node, lambda: 1e9)  # type: ignore[arg-type]
    route = gateway._calls.routes[WATCH]
    create: Any = WatchCreateRequest(b"\0", b"\0", prev_kv=True, fragment=kind == "fragment")

    async def requests() -> AsyncIterator[WatchRequest]:
        yield WatchRequest(create)

    async with aclosing(route.call(requests())) as replies:  # type: ignore[arg-type]
        await anext(replies)
        await node.propose(DeleteRangeRequest(b"\0", b"\0"))
        pieces = list(route.encode(await anext(replies)))  # type: ignore[union-attr]
    events = [
        event for text in b"".join(pieces).splitlines() for event in json.loads(text)["result"]["events"]
    ]
    assert [len(base64.b64decode(event["prev_kv"]["value"])) for event in events] == [size] * 60
    texts = b"\0".join(pieces).split(b"\0\0")  # what is written before others run
    limit = 2 * (PIECE_BYTES + size)
    assert max(map(len, texts)) < (limit if kind == "prevKv" else 4 << 20)


async def test_a_reply_in_pieces_for_who_can_take_them() -> None:
    node = FakeNode(Config(max_request_bytes=1000))
    clients = api.build(node, lambda: 1e9)  # type: ignore[arg-type]
    await clients.start(["http://127.0.0.1:0"])
    stream = await Stream.open(clients.addresses[0][1])
    stream.send(ALL % b',"fragment":true')
    await stream.head()
    await stream.chunk()
    await node.propose(TxnRequest(success=[put(b"%d" % number, bytes(200_000)) for number in range(5)]))
    pieces: list[Any] = [json.loads(await stream.chunk())["result"] for _ in range(3)]
    assert [len(piece["events"]) for piece in pieces] == [2, 2, 1]
    assert [piece.get("fragment") for piece in pieces] == [True, True, None]
    await stream.close()
    await clients.stop()


async def test_many_watchers_of_one_change_get_the_same_text(port: int, node: FakeNode) -> None:
    streams = [await Stream.open(port) for _ in range(20)]
    for stream in streams:
        stream.send(NOW)
        await stream.head()
        await stream.chunk()
    await write(node)
    assert {await stream.chunk() for stream in streams} == {line(2, b',"events":[' + put_event(2) + b"]")}
    for stream in streams:
        await stream.close()


async def test_lines_that_go_out_together_are_chunks_and_messages_each(port: int, node: FakeNode) -> None:
    stream = await Stream.open(port)
    stream.send(NOW)
    await stream.head()
    await stream.chunk()
    for _ in range(50):
        node.machine.store.put(PutRequest(b"k", b"v"))
    while node.watches.step():
        pass
    lines = [await stream.chunk() for _ in range(50)]
    assert lines == [line(n, b',"events":[' + put_event(n, n - 1) + b"]") for n in range(2, 52)]
    metrics = (await call(port, "/metrics", method="GET")).body.decode()
    (sent,) = [
        text for text in metrics.splitlines() if "msg_sent_total" in text and '"etcdserverpb.Watch"' in text
    ]
    assert sent.split()[-1] == "51"
    await stream.close()


async def test_a_client_that_does_not_read_is_not_dropped_and_loses_nothing(
    port: int, node: FakeNode
) -> None:
    stream = Stream(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 10))
    stream._writer.write(encode(WATCH, NOW))
    await stream.head()
    await stream.chunk()
    for _ in range(400):
        await write(node, b"k", bytes(20_000))
        await asyncio.sleep(0)
    await until(lambda: node.watches._live == 0)
    stream._reader._limit = 1 << 24  # type: ignore[attr-defined]
    revisions: list[int] = []
    while len(revisions) < 400:
        events = json.loads(await stream.chunk())["result"]["events"]
        revisions += [int(event["kv"]["mod_revision"]) for event in events]
    assert revisions == list(range(2, 402))
    await stream.close()


async def test_only_a_post_is_a_call(port: int) -> None:
    assert (await call(port, WATCH, NOW, method="GET")).status == "HTTP/1.1 405 Method Not Allowed"


# ---------------------------------------------------------------- WebSocket


@pytest.fixture
async def socket(port: int) -> AsyncIterator[Socket]:
    socket = await Socket.open(port, WATCH)
    yield socket
    socket.abort()


async def test_a_websocket_carries_requests_and_responses_as_messages(socket: Socket, node: FakeNode) -> None:
    head = socket.head.split("\r\n")
    assert head[0] == "HTTP/1.1 101 Switching Protocols"
    assert f"Sec-WebSocket-Accept: {ACCEPT}" in head
    assert not any(line.startswith("Sec-WebSocket-Protocol") for line in head)
    socket.send(NOW)
    assert await socket.text() == created(1)[:-1]
    await write(node)
    assert await socket.text() == line(2, b',"events":[' + put_event(2) + b"]")[:-1]
    socket.send(PROGRESS, BINARY)
    assert await socket.text() == line(2, b',"watch_id":"-1"')[:-1]
    socket.send(b"hi", PING)
    assert await socket.receive() == (PONG, b"hi")
    socket.send(b'{"cancel_request":{}}' + NOW)
    assert await socket.text() == line(2, b',"canceled":true')[:-1]
    assert await socket.text() == line(2, b',"watch_id":"1","created":true')[:-1]


async def test_a_request_may_come_in_several_messages(socket: Socket) -> None:
    socket.send(b'{"create_request":')
    socket.send(b'{"key":"aw=="}}')
    assert await socket.text() == created(1)[:-1]


@pytest.mark.parametrize("kind", [TEXT, PING, PONG])
async def test_a_flood_of_messages_lets_others_run(kind: int, node: FakeNode) -> None:
    """What came in one piece is handed out by aiohttp without a pause, pings included."""
    handed_out, turns = 0, 0

    class Flooded:
        async def receive(self) -> WSMessage:
            nonlocal handed_out
            handed_out += 1
            over = handed_out > 1000
            return WSMessage(WSMsgType.CLOSED if over else WSMsgType(kind), b"[", None)

        async def pong(self, data: bytes) -> None:
            pass

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    gateway = api.Gateway(node, lambda: 1e9)  # type: ignore[arg-type]
    running = asyncio.create_task(others())
    ended: list[Exception] = []
    messages = gateway._calls._duplex._messages(Flooded(), ended.append)  # type: ignore[arg-type]
    assert [message async for message in messages] == []
    running.cancel()
    assert len(ended) == 1
    assert turns > 900


async def test_what_is_unfinished_over_websockets_is_bounded_too(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raftkv.api.body.BODY_SECONDS", 0.1)
    slow = await Socket.open(port, WATCH)
    slow.send(NOW + b'{"create_request":')
    assert await slow.text() == created(1)[:-1]
    with pytest.raises(asyncio.IncompleteReadError):
        await slow.receive()
    slow.abort()


async def test_all_that_is_unfinished_over_websockets_is_counted(node: FakeNode) -> None:
    gateway = api.Gateway(node, lambda: 1e9)  # type: ignore[arg-type]
    gateway._calls._bodies.limit = 1000
    clients = api.ClientPort(gateway.handle)
    await clients.start(["http://127.0.0.1:0"])
    port = clients.addresses[0][1]
    first, second = [await Socket.open(port, WATCH) for _ in range(2)]
    for socket in (first, second):
        socket.send(NOW)
        await socket.text()
    first.send(b'{"create_request":{"key":"' + b"a" * 600 + b'",')
    await until(lambda: gateway._calls._bodies.held > 600)
    second.send(b'{"create_request":{"key":"' + b"a" * 600 + b'",')
    assert json.loads(await second.text())["error"]["message"] == "etcdserver: too many requests"
    first.abort()
    await until(lambda: gateway._calls._bodies.held == 0)
    second.abort()
    await clients.stop()


async def test_a_token_comes_as_a_second_subprotocol(port: int) -> None:
    for headers, chosen in (("Bearer, token", True), ("other, token", False)):
        socket = await Socket.open(port, WATCH, f"Sec-WebSocket-Protocol: {headers}\r\n")
        assert ("Sec-WebSocket-Protocol: Bearer\r\n" in socket.head) == chosen
        socket.abort()


async def test_any_origin_may_come_as_any_may_call(port: int) -> None:
    socket = await Socket.open(port, WATCH, "Origin: http://elsewhere.example\r\n")
    assert "101" in socket.head
    socket.abort()


async def test_nonsense_at_first_is_told_and_the_socket_closed(socket: Socket) -> None:
    text = "invalid character 'b' looking for beginning of object key string"
    socket.send(b"{bad")
    error = {"error": text, "code": 2, "message": text}
    assert json.loads(await socket.text()) == error
    assert (await socket.receive())[0] == CLOSE


async def test_an_error_of_the_stream_is_its_last_message(socket: Socket, node: FakeNode) -> None:
    socket.send(NOW)
    await socket.text()
    node.streams.stop()
    assert await socket.text() == stream_error(14, 503, "etcdserver: server stopped", "Service Unavailable")
    assert (await socket.receive())[0] == CLOSE


@pytest.mark.parametrize("polite", [True, False])
async def test_a_websocket_client_that_goes_frees_its_watches(
    socket: Socket, node: FakeNode, polite: bool
) -> None:
    socket.send(NOW)
    await socket.text()
    assert node.watches._live == 1
    if polite:
        socket.send(b"\x03\xe8", CLOSE)
        assert (await socket.receive())[0] == CLOSE
    else:
        socket.abort()
    await until(lambda: node.watches._live == 0 and not len(node.streams))


@pytest.mark.parametrize("upgraded", [True, False])
async def test_a_stream_that_is_over_does_not_wait_for_ever_for_who_does_not_read(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch, upgraded: bool
) -> None:
    monkeypatch.setattr("raftkv.api.streams.WRITE_SECONDS", 0.05)
    clients = api.build(node, lambda: 1e9)  # type: ignore[arg-type]
    await clients.start(["http://127.0.0.1:0"])
    client = await (Socket if upgraded else Stream).open(clients.addresses[0][1], *[WATCH] * upgraded)
    client.send(NOW)
    await until(lambda: node.watches._live == 1)
    client._writer.transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(300):
        await write(node, b"k", bytes(100_000))
        await asyncio.sleep(0)
    await until(lambda: node.watches._live == 0)
    node.streams.stop()
    await until(lambda: clients.connections == 0)
    client.abort()
    await clients.stop()


async def test_a_handshake_that_is_none_is_refused(port: int) -> None:
    head = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    assert (await call(port, WATCH, method="GET", headers=head)).status == "HTTP/1.1 400 Bad Request"
    socket = await Socket.open(port, WATCH, method="POST")
    assert "405 Method Not Allowed" in socket.head
    socket.abort()
    socket = await Socket.open(port, "/v3/kv/range")
    assert "405 Method Not Allowed" in socket.head
    socket.abort()


async def test_a_large_message_is_refused_as_such(socket: Socket, node: FakeNode) -> None:
    socket.send(NOW)
    await socket.text()
    limit = 2 * (node.config.max_request_bytes + 512 * 1024)
    piece = b'"' + b"a" * 60_000 + b'",'
    socket.send(b'{"create_request":[')
    for _ in range(limit // len(piece) + 1):
        socket.send(piece)
    assert json.loads(await socket.text())["error"]["grpc_code"] == 8


async def test_errors_of_a_call_that_is_refused_come_over_a_websocket_too(port: int, node: FakeNode) -> None:
    node.learners = (MEMBER,)
    socket = await Socket.open(port, WATCH)
    socket.send(NOW)
    assert json.loads(await socket.text())["error"]["message"] == "etcdserver: rpc not supported for learner"
    socket.abort()
