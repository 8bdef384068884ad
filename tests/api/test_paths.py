"""Paths, methods and pages, as etcd 3.5.1's multiplexer treats them."""

import pytest

import raftkv
from raftkv import errors
from raftkv.raft import NO_NODE
from tests.api.http import CORS, call
from tests.service.fake_node import FakeNode

TEXT_ERROR = {"Content-Type: text/plain; charset=utf-8", "X-Content-Type-Options: nosniff"}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/v3/kv/range", "/v3beta/kv/range"])
async def test_a_call_is_made_by_post_only(port: int, method: str, path: str) -> None:
    assert await call(port, path, method=method) == (
        "HTTP/1.1 405 Method Not Allowed",
        {*CORS, *TEXT_ERROR, "Content-Length: 19", "Connection: close"},
        b"Method Not Allowed\n",
    )


async def test_a_refused_head_has_no_body(port: int) -> None:
    reply = await call(port, "/v3/kv/range", method="HEAD")
    assert (reply.status, reply.body) == ("HTTP/1.1 405 Method Not Allowed", b"")


@pytest.mark.parametrize(
    "path", ["/v3/kv/nope", "/v3/kv/range/", "/v3/", "/v3/kv/range:x", "/v3beta/kv/nope"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_path_under_v3_is_not_found(port: int, method: str, path: str) -> None:
    assert await call(port, path, method=method) == (
        "HTTP/1.1 404 Not Found",
        {*CORS, *TEXT_ERROR, "Content-Length: 10", "Connection: close"},
        b"Not Found\n",
    )


@pytest.mark.parametrize(
    "path",
    ["/", "/zzz", "/v3alpha/kv/range", "/v3beta", "/v2/keys", "/V3/kv/range", "/version/", "/health/x"],
)
async def test_any_other_unknown_path_is_a_page_not_found(port: int, path: str) -> None:
    assert await call(port, path) == (
        "HTTP/1.1 404 Not Found",
        {*CORS, *TEXT_ERROR, "Content-Length: 19", "Connection: close"},
        b"404 page not found\n",
    )


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/v3//kv/range", "/v3/kv/range"),
        ("/v3/kv/./range", "/v3/kv/range"),
        ("/v3/kv/../kv/range", "/v3/kv/range"),
        ("//v3/kv/range?x=1", "/v3/kv/range?x=1"),
        ("/v3beta//kv/range", "/v3/kv/range"),
        ("/v3", "/v3/"),
        ("//evil.example/%0d%0aX:y", "/evil.example/%0D%0AX:y"),
    ],
)
async def test_an_unclean_path_is_sent_to_its_clean_form(port: int, path: str, location: str) -> None:
    assert await call(port, path) == (
        "HTTP/1.1 301 Moved Permanently",
        {*CORS, f"Location: {location}", "Content-Length: 0", "Connection: close"},
        b"",
    )


async def test_a_browser_is_told_so_in_html(port: int) -> None:
    reply = await call(port, "//version?x=1&y", method="GET")
    assert "Content-Type: text/html; charset=utf-8" in reply.headers
    assert reply.body == b'<a href="/version?x=1&amp;y">Moved Permanently</a>.\n\n'
    hostile = await call(port, "//version?x='\"><script>", method="GET")
    assert hostile.body == b'<a href="/version?x=&#39;&#34;&gt;&lt;script&gt;">Moved Permanently</a>.\n\n'


@pytest.mark.parametrize(
    "path",
    ["/v3/kv/range?x=1", "/v3/kv%2Frange", "/v3/kv/r%61nge", "/v3beta/kv/range", "http://x/v3/kv/range"],
)
async def test_a_path_is_decoded_and_its_query_ignored(port: int, path: str) -> None:
    assert (await call(port, path, b'{"key":"YQ=="}')).status == "HTTP/1.1 200 OK"


@pytest.mark.parametrize("path", ["/zzz", "/v3/kv/range", "/version"])
async def test_options_is_answered_with_the_cors_headers(port: int, path: str) -> None:
    assert await call(port, path, method="OPTIONS") == (
        "HTTP/1.1 200 OK",
        {*CORS, "Content-Length: 0", "Connection: close"},
        b"",
    )


async def test_version_tells_etcds_version_and_raftkvs(port: int) -> None:
    reply = await call(port, "/version", method="GET")
    assert reply.body == (
        b'{"etcdserver":"3.5.1","etcdcluster":"3.5.0","raftkv":"%s"}' % raftkv.__version__.encode()
    )
    assert "Content-Type: application/json" in reply.headers


async def test_a_healthy_member_says_so(port: int, node: FakeNode) -> None:
    reply = await call(port, "/health", method="GET")
    assert (reply.status, reply.body) == ("HTTP/1.1 200 OK", b'{"health":"true","reason":""}')
    assert node.barriers == 1


async def test_a_member_without_leader_or_reads_is_not_healthy(port: int, node: FakeNode) -> None:
    node.fail_barrier = errors.RequestTimedOut()
    reply = await call(port, "/health", method="GET")
    assert (reply.status, reply.body) == (
        "HTTP/1.1 503 Service Unavailable",
        b'{"health":"false","reason":"RANGE ERROR:etcdserver: request timed out"}\n',
    )
    node.leader = NO_NODE
    reply = await call(port, "/health", method="GET")
    assert (reply.status, reply.body) == (
        "HTTP/1.1 503 Service Unavailable",
        b'{"health":"false","reason":"RAFT NO LEADER"}\n',
    )


@pytest.mark.parametrize("path", ["/version", "/health", "/livez", "/readyz/non_learner", "/debug/vars"])
async def test_a_page_is_read_by_get_only(port: int, path: str) -> None:
    assert await call(port, path) == (
        "HTTP/1.1 405 Method Not Allowed",
        {*CORS, *TEXT_ERROR, "Allow: GET", "Content-Length: 19", "Connection: close"},
        b"Method Not Allowed\n",
    )
