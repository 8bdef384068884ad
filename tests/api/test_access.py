"""``--host-whitelist`` and ``--cors``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from raftkv import api
from raftkv.errors import ConfigError
from raftkv.node.config import Config
from raftkv.schema.kv import PutRequest
from tests.api.http import CORS, encode, exchange, parse
from tests.api.socket import Socket
from tests.service.fake_node import FakeFile, FakeNode

ORIGIN = "http://a.example:80"


@asynccontextmanager
async def member(**settings: tuple[str, ...]) -> AsyncIterator[tuple[FakeNode, int]]:
    node = FakeNode(Config(**settings))  # type: ignore[arg-type]
    clients = api.build(node, lambda: 1e9)  # type: ignore[arg-type]
    await clients.start(["http://127.0.0.1:0"])
    try:
        yield node, clients.addresses[0][1]
    finally:
        await clients.stop()


def request(path: str, *headers: str, method: str = "GET", body: bytes = b"", host: str = "x") -> bytes:
    lines = "".join(f"{line}\r\n" for line in ("Connection: close", *headers))
    return encode(path, body, method, lines).replace(b"Host: x", f"Host: {host}".encode())


HOSTS = {
    "a.example": True,
    "a.example:2379": True,
    "127.0.0.2": True,
    "[::1]:2379": True,
    "127.0.0.1:2379": False,
    "A.example": False,
    "b.a.example": False,
    "a.example.": False,
    "": False,
}


async def test_a_name_that_is_no_text_is_refused_like_others() -> None:
    async with member(host_whitelist=("a.example",)) as (_, port):
        data = b"GET /version HTTP/1.1\r\nHost: \xff\r\nConnection: close\r\n\r\n"
        assert parse(await exchange(port, data)).status == "HTTP/1.1 421 Misdirected Request"


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    ("path", "method"), [("/version", "GET"), ("/v3/kv/range", "POST"), ("/", "OPTIONS")]
)
async def test_only_listed_names_are_answered(host: str, path: str, method: str) -> None:
    async with member(host_whitelist=("a.example", "127.0.0.2", "::1")) as (_, port):
        reply = parse(await exchange(port, request(path, method=method, body=b'{"key":"YQ=="}', host=host)))
        if HOSTS[host]:
            assert reply.status == "HTTP/1.1 200 OK"
            return
        assert reply.status == "HTTP/1.1 421 Misdirected Request"
        assert b"the Host header was unrecognized" in reply.body
        assert not set(CORS) & reply.headers


async def test_the_name_in_an_absolute_url_counts() -> None:
    async with member(host_whitelist=("a.example",)) as (_, port):
        data = request("http://evil.example/version", host="a.example")
        assert parse(await exchange(port, data)).status.endswith("421 Misdirected Request")
        data = request("http://a.example:1/version", host="evil.example")
        assert parse(await exchange(port, data)).status.endswith("200 OK")


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "CONNECT"])
@pytest.mark.parametrize(
    "target", ["http://[::1/version", "http://a.example\\@[/version", "http://[/version"]
)
async def test_a_malformed_url_is_refused_and_no_bug(
    target: str, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with member(host_whitelist=("a.example",)) as (_, port):
        reply = parse(await exchange(port, request(target, method=method, host="a.example")))
        assert reply.status.split()[1] in ("400", "421")
        assert not caplog.records


async def test_only_listed_origins_are_named_in_answers() -> None:
    async with member(cors=("http://b.example:8080", ORIGIN)) as (_, port):
        named = {*CORS[:2], f"Access-Control-Allow-Origin: {ORIGIN}"}
        for method, path in [("GET", "/version"), ("OPTIONS", "/x"), ("POST", "/v3/kv/range"), ("GET", "/x")]:
            body = b'{"key":"YQ=="}'
            reply = parse(await exchange(port, request(path, f"Origin: {ORIGIN}", method=method, body=body)))
            assert named <= reply.headers
            for other in ("Origin: http://c.example:80", "Origin: *", "X-Origin: none"):
                reply = parse(await exchange(port, request(path, other, method=method, body=body)))
                assert not [line for line in reply.headers if line.startswith("Access-Control")]


@pytest.mark.parametrize("path", ["/v3/kv/range", "/v3/maintenance/snapshot"])
async def test_answers_that_are_written_bit_by_bit_know_the_origin_too(path: str) -> None:
    async with member(cors=(ORIGIN,)) as (node, port):
        node.backup_file = FakeFile(b"x")
        for i in range(2000):
            node.machine.store.put(PutRequest(b"%d" % i, bytes(100)))
        body = b'{"key":"AA==","range_end":"AA=="}'
        for origin, wanted in ((ORIGIN, 3), ("http://c.example:80", 0)):
            data = request(path, f"Origin: {origin}", method="POST", body=body)
            reply = parse(await exchange(port, data))
            assert "Transfer-Encoding: chunked" in reply.headers
            assert sum(line.startswith("Access-Control") for line in reply.headers) == wanted


@pytest.mark.parametrize(
    "text", ["http://a.example", "a.example:80", "http://a.example:80/", "http://a:x", "ftp://a:1"]
)
def test_an_origin_needs_scheme_and_port(text: str) -> None:
    """As in etcd, which does not start either."""
    with pytest.raises(ConfigError, match="--cors"):
        Config.from_flags({"cors": f"{ORIGIN},{text}"})


def test_lists_are_given_with_commas() -> None:
    config = Config.from_flags({"cors": f"{ORIGIN},https://b.example:443", "host_whitelist": "a,b"})
    assert (config.cors, config.host_whitelist) == ((ORIGIN, "https://b.example:443"), ("a", "b"))
    assert (Config().cors, Config().host_whitelist) == (("*",), ("*",))


@pytest.mark.parametrize(
    ("origin", "status"),
    [(f"Origin: {ORIGIN}\r\n", 101), ("Origin: http://x\r\n", 101), ("", 101), ("Origin: http://b\r\n", 403)],
)
async def test_pages_of_other_sites_read_nothing_over_a_websocket_either(origin: str, status: int) -> None:
    async with member(cors=(ORIGIN,)) as (_, port):
        socket = await Socket.open(port, "/v3/watch", origin)
        assert socket.head.startswith(f"HTTP/1.1 {status} ")
        socket.abort()
