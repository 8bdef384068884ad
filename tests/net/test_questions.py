"""Questions from node to node: heard once at most, answered by the one that was meant."""

import asyncio

import pytest

from raftkv.errors import PeerUnavailable
from raftkv.net.handshake import Hello
from raftkv.net.questions import ASK_PATH, MAX_ANSWER_BYTES, MAX_QUESTION_BYTES, MAX_QUESTIONS
from tests.net.members import CLUSTER, PATIENT, QUICK, Member, running
from tests.net.test_peer_port import HELLO, attacked, exchange, request
from tests.net.test_transport import NOWHERE, raw_peer

PATIENCE = 20.0


def answer(body: bytes, source: int = 3, length: int | None = None) -> bytes:
    headers = Hello(CLUSTER, source, 1).headers() | {
        "Content-Length": str(len(body) if length is None else length)
    }
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def question(body: bytes, hello: Hello = HELLO, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    whole = request(hello, "POST", ASK_PATH, **{"Connection": "close", "Content-Length": str(size)})
    return whole.replace(b"Transfer-Encoding: chunked\r\n", b"") + body


async def test_a_question_is_heard_and_its_answer_comes_back() -> None:
    one, two = Member(1, timing=PATIENT), Member(2, timing=PATIENT)
    async with running(one, two):
        body = bytes(range(256)) * 200
        assert await two.transport.ask(1, body, PATIENCE) == b"answer to " + body
        assert one.questions == [body]
        assert await one.transport.ask(2, b"?", PATIENCE) == b"answer to ?"


async def test_many_questions_are_under_way_at_once() -> None:
    one, two = Member(1, timing=PATIENT), Member(2, timing=PATIENT)
    async with running(one, two):
        one.answering.clear()
        asked = [asyncio.create_task(two.transport.ask(1, b"%d" % n, PATIENCE)) for n in range(50)]
        await one.until(lambda: len(one.questions) == 50)
        one.answering.set()
        assert await asyncio.gather(*asked) == [b"answer to %d" % n for n in range(50)]


async def test_who_can_not_be_reached_is_unavailable() -> None:
    one = Member(1)
    async with running(one):
        with pytest.raises(PeerUnavailable, match="no way to member 9"):
            await one.transport.ask(9, b"q", PATIENCE)
        one.transport.set_peers({2: [NOWHERE]})
        with pytest.raises(PeerUnavailable, match=r"127\.0\.0\.1:1"):
            await one.transport.ask(2, b"q", PATIENCE)
    with pytest.raises(PeerUnavailable):
        await one.transport.ask(2, b"q", PATIENCE)


async def test_an_answer_that_does_not_come_in_time_is_given_up() -> None:
    one, two = Member(1, timing=QUICK), Member(2)
    async with running(one, two):
        two.answering.clear()
        with pytest.raises(PeerUnavailable, match=r"no answer within 0\.05 s"):
            await one.transport.ask(2, b"q", 0.05)


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (answer(b"yes", source=4), "is member 4, not 3"),
        (answer(b"", length=MAX_ANSWER_BYTES + 1), f"an answer of {MAX_ANSWER_BYTES + 1} bytes"),
        (answer(b"yes").replace(b"Content-Length: 3\r\n", b"Connection: close\r\n"), "of None bytes"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "its version is older"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nlater", "answered 503: later"),
    ],
)
async def test_an_answer_that_no_peer_gives_is_none(sent: bytes, why: str) -> None:
    one = Member(1, timing=PATIENT)
    async with running(one), raw_peer(3, reads=False, answer=sent) as peer:
        one.transport.set_peers({3: [peer.url]})
        with pytest.raises(PeerUnavailable, match=why):
            await one.transport.ask(3, b"q", PATIENCE)


@pytest.mark.parametrize(
    "hello", [HELLO._replace(cluster_id=0xBAD), HELLO._replace(target=7), HELLO._replace(source=1)]
)
async def test_who_is_no_peer_is_not_answered(hello: Hello) -> None:
    async with attacked() as (one, _):
        assert (await exchange(one, question(b"q", hello))).startswith(b"HTTP/1.1 412")
        assert one.questions == []


async def test_a_question_without_a_length_or_too_long_is_refused() -> None:
    async with attacked() as (one, _):
        for asked in (
            question(b""),
            question(b"", length=MAX_QUESTION_BYTES + 1),
            question(b"1\r\nq\r\n0\r\n\r\n").replace(b"Content-Length: 11", b"Transfer-Encoding: chunked"),
        ):
            assert (await exchange(one, asked)).startswith(b"HTTP/1.1 413")
        assert (await exchange(one, question(b"q" * MAX_QUESTION_BYTES))).startswith(b"HTTP/1.1 200")
        reply = await exchange(one, b"GET " + ASK_PATH.encode() + b" HTTP/1.0\r\n\r\n")
        assert reply.startswith(b"HTTP/1.0 405") and b"Allow: POST" in reply


async def test_a_question_cut_off_is_not_heard_and_leaves_nothing_under_way() -> None:
    async with attacked() as (one, _):
        assert b"200" not in await exchange(one, question(b"half", length=8))
        assert one.questions == []
        assert one.transport._port._questions._under_way == 0


async def test_no_more_questions_are_answered_at_once_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_QUESTIONS >= 1000
    monkeypatch.setattr("raftkv.net.questions.MAX_QUESTIONS", 3)
    async with attacked() as (one, _):
        one.answering.clear()
        asked = [asyncio.create_task(exchange(one, question(b"q"))) for _ in range(3)]
        await one.until(lambda: len(one.questions) == 3)
        assert (await exchange(one, question(b"q"))).startswith(b"HTTP/1.1 503")
        one.answering.set()
        assert all(reply.startswith(b"HTTP/1.1 200") for reply in await asyncio.gather(*asked))
