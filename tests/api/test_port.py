"""The client port: protocols, limits, stopping."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from raftkv import api
from raftkv.api import port as port_module
from raftkv.api.port import HTTP2_PREFACE, HTTP2_REFUSAL, ClientPort, HttpConnection
from raftkv.errors import ConfigError
from tests.api.http import call, encode, exchange
from tests.service.fake_node import FakeNode

PUT = encode("/v3/kv/put", b'{"key":"YQ=="}')


async def read_reply(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"}}")


async def is_closed_at_once(port: int) -> bool:
    try:
        async with asyncio.timeout(5):
            return await exchange(port, PUT) == b""
    except ConnectionError:
        return True


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("behind", [b"", b"\0\0\0\x04\0\0\0\0\0"])
@pytest.mark.parametrize("cut", [0, 1, 3, 23])
async def test_http2_is_told_to_come_back_with_http11(port: int, cut: int, behind: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in (HTTP2_PREFACE[:cut], HTTP2_PREFACE[cut:] + behind):
        writer.write(piece)
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await reader.read() == HTTP2_REFUSAL
    await close(writer)


async def test_the_first_bytes_may_come_one_by_one(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for i in range(len(PUT)):
        writer.write(PUT[i : i + 1])
        await asyncio.sleep(0)
    assert (await read_reply(reader)).startswith(b"HTTP/1.1 200 OK\r\n")
    await close(writer)


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"POST /v3/kv/put HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: 2x\r\n\r\n{}",
        b"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"GET /version HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ],
)
async def test_what_is_no_proper_http_is_refused_and_closed(port: int, data: bytes) -> None:
    reply = await exchange(port, data)
    assert reply.split(b"\r\n")[0].endswith(b"400 Bad Request")
    assert reply.endswith(b"400 Bad Request")
    assert b"aiohttp" not in reply


async def test_more_connections_than_allowed_are_closed_at_once(node: FakeNode) -> None:
    clients = ClientPort(api.Gateway(node, lambda: 1e9).handle, max_connections=2)  # type: ignore[arg-type]
    await clients.start(["http://127.0.0.1:0"])
    port = clients.addresses[0][1]
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    held[0][1].write(PUT)
    await read_reply(held[0][0])
    assert await is_closed_at_once(port)
    for _, writer in held:
        await close(writer)
    while clients.connections:
        await asyncio.sleep(0)
    assert (await call(port, "/v3/kv/put", b'{"key":"YQ=="}')).status == "HTTP/1.1 200 OK"
    await clients.stop()


@pytest.fixture
async def impatient(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """A port that waits a quarter of a second for the end of a head."""
    monkeypatch.setattr(port_module, "HEAD_SECONDS", 0.25)
    monkeypatch.setattr(port_module, "SWEEP_SECONDS", 0.01)
    clients = api.build(node, lambda: 1e9)  # type: ignore[arg-type]
    await clients.start(["http://127.0.0.1:0"])
    yield clients.addresses[0][1]
    await clients.stop()


async def test_a_head_that_does_not_end_closes_its_connection(impatient: int) -> None:
    async with asyncio.timeout(5):
        assert await exchange(impatient, b"POST /v3/kv/put HTT") == b""


async def test_an_idle_connection_and_a_long_call_are_left_alone(impatient: int, node: FakeNode) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", impatient)
    node.hold.clear()
    writer.write(PUT)
    await node.started.wait()
    writer.write(PUT)
    await asyncio.sleep(0.6)
    node.hold.set()
    assert b'"revision":"2"' in await read_reply(reader)
    assert b'"revision":"3"' in await read_reply(reader)
    await asyncio.sleep(0.6)
    writer.write(PUT)
    assert b'"revision":"4"' in await read_reply(reader)
    await close(writer)


async def test_a_body_that_does_not_end_is_given_up(
    port: int, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raftkv.api.body.BODY_SECONDS", 0.01)
    monkeypatch.setattr(port_module, "LINGER_SECONDS", 0.01)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{")
    assert (await reader.readuntil(b"\r\n")) == b"HTTP/1.1 408 Request Timeout\r\n"
    await reader.read()
    await close(writer)
    assert node.proposed == []


async def test_stopping_lets_a_call_under_way_finish(node: FakeNode) -> None:
    clients = api.build(node, lambda: 1e9)  # type: ignore[arg-type]
    await clients.start(["http://127.0.0.1:0"])
    port = clients.addresses[0][1]
    idle = await asyncio.open_connection("127.0.0.1", port)
    idle[1].write(PUT)
    await read_reply(idle[0])
    silent = await asyncio.open_connection("127.0.0.1", port)
    node.hold.clear()
    node.started.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(PUT)
    await node.started.wait()
    stopping = asyncio.create_task(clients.stop(5))
    async with asyncio.timeout(4):
        assert await idle[0].read() == b""
    with pytest.raises(OSError, match=r"Connect call failed|refused"):
        await asyncio.open_connection("127.0.0.1", port)
    node.hold.set()
    assert (await read_reply(reader)).startswith(b"HTTP/1.1 200 OK\r\n")
    await stopping
    for held in (idle[1], silent[1], writer):
        await close(held)


async def test_stopping_ends_a_call_that_takes_too_long(node: FakeNode) -> None:
    clients = api.build(node, lambda: 1e9)  # type: ignore[arg-type]
    await clients.start(["http://127.0.0.1:0"])
    node.hold.clear()
    _, writer = await asyncio.open_connection("127.0.0.1", clients.addresses[0][1])
    writer.write(PUT)
    await node.started.wait()
    await clients.stop(0.01)
    assert node.cancelled.is_set()
    await close(writer)


async def test_a_port_in_use_is_named(port: int, node: FakeNode) -> None:
    clients = api.build(node, lambda: 1e9)  # type: ignore[arg-type]
    with pytest.raises(
        ConfigError, match=rf"--listen-client-urls http://127.0.0.1:{port}: .*address already in use"
    ):
        await clients.start(["http://127.0.0.1:0", f"http://127.0.0.1:{port}"])
    assert clients.addresses == []


async def test_a_bug_in_a_handler_is_logged_and_answered_without_details(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(request: web.BaseRequest) -> web.StreamResponse:
        raise AssertionError("a secret of ours")

    clients = ClientPort(broken)
    await clients.start(["http://127.0.0.1:0"])
    reply = await exchange(clients.addresses[0][1], PUT)
    await clients.stop()
    assert reply.startswith(b"HTTP/1.1 500 Internal Server Error")
    assert b"secret" not in reply
    assert "a secret of ours" in caplog.text
    assert issubclass(HttpConnection, web.RequestHandler)
