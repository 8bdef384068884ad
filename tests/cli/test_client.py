"""The synchronous client: what it may send twice, and what its errors mean."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Event, Thread
from typing import Any

import pytest

from raftkv.client import Endpoint, OutcomeUnknown, Refused, SyncClient, Unreachable, WrongAnswer
from raftkv.local import free_ports

ANSWER = b'{"header":{"revision":"2"}}'


class Member:
    """A server that gives one answer to everything and notes what it was asked; None hangs up."""

    def __init__(self, status: int, body: bytes | None) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.released = Event()
        self.released.set()
        member = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                member.asked.append((self.path, json.loads(content)))
                member.released.wait()
                if body is not None:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def serving(self) -> Iterator["Member"]:
        thread = Thread(target=self._server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


@pytest.fixture
def members() -> Iterator[Any]:
    """Start members; they end with the test."""
    with ExitStack() as stack:
        yield lambda status, body: stack.enter_context(Member(status, body).serving())


def closed_url() -> str:
    return f"http://127.0.0.1:{free_ports(1)[0]}"


def refusal(message: str, code: int = 14) -> bytes:
    return json.dumps({"error": message, "code": code, "message": message}).encode()


def test_the_next_endpoint_is_asked_when_nothing_could_be_sent(members: Any) -> None:
    member = members(200, ANSWER)
    assert SyncClient([closed_url(), member.url]).put(b"k", b"\xff") == {"header": {"revision": "2"}}
    assert member.asked == [("/v3/kv/put", {"key": "aw==", "value": "/w=="})]


def test_without_any_endpoint_that_answers_nothing_happened(members: Any) -> None:
    with pytest.raises(Unreachable):
        SyncClient([closed_url(), closed_url()]).put(b"k", b"v")


def test_a_write_that_was_sent_is_never_sent_again(members: Any) -> None:
    hangs_up, other = members(200, None), members(200, ANSWER)
    with pytest.raises(OutcomeUnknown):
        SyncClient([hangs_up.url, other.url]).put(b"k", b"v")
    assert len(hangs_up.asked) == 1
    assert other.asked == []


@pytest.mark.parametrize(
    "message", ["etcdserver: request timed out", "context deadline exceeded", "etcdserver: leader changed"]
)
def test_a_time_out_of_the_server_leaves_a_write_in_doubt(members: Any, message: str) -> None:
    member = members(503, refusal(message))
    with pytest.raises(OutcomeUnknown, match="the write may have happened"):
        SyncClient([member.url]).put(b"k", b"v")


def test_a_refused_write_certainly_did_not_happen(members: Any) -> None:
    member, other = members(400, refusal("etcdserver: key is not provided", 3)), members(200, ANSWER)
    with pytest.raises(Refused, match="key is not provided") as raised:
        SyncClient([member.url, other.url]).put(b"", b"v")
    assert (raised.value.status, raised.value.code) == (400, 3)
    assert other.asked == []


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"", b"[" * 100_000])
def test_what_is_no_json_object_is_no_member_s_answer(members: Any, body: bytes) -> None:
    with pytest.raises(WrongAnswer, match="is this a member of a cluster"):
        SyncClient([members(200, body).url]).status()


def test_a_key_that_is_not_there_is_none_and_an_empty_value_is_empty(members: Any) -> None:
    assert SyncClient([members(200, ANSWER).url]).get(b"k") is None
    assert SyncClient([members(200, b'{"kvs":[{"key":"aw=="}]}').url]).get(b"k") == b""


@pytest.mark.parametrize("url", ["", "host", "http://host", "https://host:1", "http://host:x", "http://:1"])
def test_an_address_without_host_and_port_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        SyncClient([url])
    with pytest.raises(ValueError):
        SyncClient([])


@pytest.mark.parametrize("url", ["http://[::1]:80", "http://host:1"])
def test_an_address_is_read_and_written_back(url: str) -> None:
    assert Endpoint.parse(url).url == url
