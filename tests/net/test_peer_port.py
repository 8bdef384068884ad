"""What strangers and broken peers may do to the peer port, byte by byte."""

import asyncio
import random
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from raftkv.mvcc.level import LEVEL
from raftkv.net.frames import MAX_FRAME_BYTES, frame_header
from raftkv.net.handshake import STREAM_PATH, Hello
from raftkv.net.incoming import MAX_STREAMS
from raftkv.net.listener import MAX_CONNECTIONS
from raftkv.net.local import MAX_CAUSES
from raftkv.raft.codec import encode_message
from raftkv.raft.messages import Message
from raftkv.trace import PeerRefused
from tests.net.members import CLUSTER, GIVE_UP_S, QUICK, Member, heartbeat, running

HELLO = Hello(CLUSTER, source=2, target=1)
END = b"\r\n0\r\n\r\n"
"""The end of a chunked answer."""


def request(hello: Hello = HELLO, method: str = "POST", path: str = STREAM_PATH, **more: str) -> bytes:
    headers = {"Host": "peer", "Transfer-Encoding": "chunked", **hello.headers(), **more}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


def frames(*messages: Message) -> bytes:
    encoded = [encode_message(message) for message in messages]
    return b"".join(frame_header(len(payload)) + payload for payload in encoded)


class Stranger:
    """A bare connection to a member's peer port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def answer_head(self) -> bytes:
        return await self.hear(b"\r\n\r\n")

    async def hear(self, text: bytes) -> bytes:
        """Return what comes until and with ``text``."""
        async with asyncio.timeout(GIVE_UP_S):
            return await self.reader.readuntil(text)

    async def rest(self) -> bytes:
        """Return all that comes until the member closes the connection."""
        async with asyncio.timeout(GIVE_UP_S):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b"(reset)"


@asynccontextmanager
async def stranger(member: Member) -> AsyncIterator[Stranger]:
    parts = urlsplit(member.urls[0])
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield Stranger(reader, writer)
    finally:
        writer.transport.abort()


async def exchange(member: Member, *pieces: bytes) -> bytes:
    """Say something and return all that the member answers until it closes."""
    async with stranger(member) as someone:
        await someone.say(*pieces)
        return await someone.rest()


async def ask_version(member: Member) -> bytes:
    """Return the answer to GET /version, b"" where the connection is not taken."""
    try:
        return await exchange(member, b"GET /version HTTP/1.0\r\n\r\n")
    except ConnectionError:
        return b""


async def say_and_hang_up(member: Member, *pieces: bytes) -> bytes:
    """Say something, say that no more will come, and return what the member still answers."""
    async with stranger(member) as someone:
        await someone.say(*pieces)
        someone.writer.write_eof()
        return await someone.rest()


async def assert_unharmed(one: Member, two: Member) -> None:
    """A message from the well-behaved peer still arrives, over the stream it had all along."""
    before = len(one.messages)
    two.transport.send([heartbeat(two.member_id, 1, 99)])
    await one.until(lambda: len(one.messages) == before + 1)
    assert one.messages[-1] == heartbeat(two.member_id, 1, 99)
    assert len(two.trace) == 1


@asynccontextmanager
async def attacked() -> AsyncIterator[tuple[Member, Member]]:
    """Member 1, whose port is attacked, and member 3, which must not notice."""
    one, three = Member(1), Member(3)
    async with running(one, three):
        await three.connected(1)
        yield one, three
        await assert_unharmed(one, three)


async def test_version_and_members_are_answered_as_etcd_does() -> None:
    one = Member(1)
    async with running(one):
        version = await exchange(one, b"GET /version HTTP/1.0\r\n\r\n")
        assert version.startswith(b"HTTP/1.0 200 OK\r\nContent-Type: application/json")
        assert version.endswith(b'\r\n\r\n{"etcdserver":"3.5.1","etcdcluster":"3.5.0"}\n')
        members = await exchange(one, b"GET /members HTTP/1.0\r\n\r\n")
        assert f"X-Etcd-Cluster-Id: {CLUSTER:x}".encode() in members
        assert f"Raftkv-Cluster-Level: {LEVEL}".encode() in members
        assert members.endswith(
            b'\r\n\r\n[{"id":1,"peerURLs":["http://127.0.0.1:2380"],"name":"n1",'
            b'"clientURLs":["http://127.0.0.1:2379"]},'
            b'{"id":2,"peerURLs":["http://127.0.0.1:22380"],"isLearner":true}]\n'
        )


@pytest.mark.parametrize(
    ("line", "status", "allow"),
    [
        (b"POST /version", b"405", b"Allow: GET"),
        (b"PUT /members", b"405", b"Allow: GET"),
        (b"GET /raftkv/peer/stream/v1", b"405", b"Allow: POST"),
        (b"GET /", b"404", b""),
        (b"GET /v3/kv/range", b"404", b""),
        (b"POST /raftkv/peer/stream/v2", b"404", b""),
        (b"GET /members/", b"404", b""),
    ],
)
async def test_other_methods_and_paths_are_refused(line: bytes, status: bytes, allow: bytes) -> None:
    async with attacked() as (one, _):
        answer = await exchange(one, line + b" HTTP/1.0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.0 " + status)
        assert allow in answer
        assert one.traced(PeerRefused) == []


async def test_a_stream_cut_into_two_pieces_at_any_byte_is_delivered() -> None:
    sent = [heartbeat(2, 1, 1), heartbeat(2, 1, 2)]
    whole = request() + chunk(frames(sent[0])) + chunk(frames(sent[1])) + chunk(b"")
    one = Member(1)
    async with running(one):
        for cut in range(1, len(whole)):
            one.messages.clear()
            async with stranger(one) as peer:
                await peer.say(whole[:cut])
                await asyncio.sleep(0)
                await peer.say(whole[cut:])
                await one.until(lambda: len(one.messages) == 2)
                assert one.messages == sent
                assert (await peer.answer_head()).startswith(b"HTTP/1.1 200 OK")


async def test_a_stream_that_ends_at_any_byte_delivers_only_whole_messages() -> None:
    body = frames(heartbeat(2, 1, 1), heartbeat(2, 1, 2))
    middle = len(body) // 2
    async with attacked() as (one, _):
        for length in range(len(body)):
            one.messages.clear()
            whole = int(length >= middle)
            async with stranger(one) as peer:
                await peer.say(request(), chunk(body[:length]) if length else b"")
                await one.until(lambda whole=whole: len(one.messages) == whole)  # type: ignore[misc]
                peer.writer.write_eof()
                await peer.rest()
            assert len(one.messages) == whole
        assert one.traced(PeerRefused) == []


async def test_a_request_that_ends_at_any_byte_does_no_harm() -> None:
    async with attacked() as (one, _):
        for length in range(0, len(request()), 3):
            await say_and_hang_up(one, request()[:length])
        assert one.traced(PeerRefused) == []


@pytest.mark.parametrize("seed", range(20))
async def test_random_bytes_do_no_harm(seed: int) -> None:
    garbage = random.Random(seed).randbytes(5000)
    async with attacked() as (one, _):
        assert not (await say_and_hang_up(one, garbage)).startswith(b"HTTP/1.1 2")
        assert not (await say_and_hang_up(one, b"POST " + garbage)).startswith(b"HTTP/1.1 2")


@pytest.mark.parametrize(
    "garbage",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 10_000 + b"\r\n",
        b"POST /raftkv/peer/stream/v1 HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /raftkv/peer/stream/v1 HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_what_is_no_request_of_ours_does_no_harm(garbage: bytes) -> None:
    async with attacked() as (one, _):
        assert b" 200 " not in (await say_and_hang_up(one, garbage))[:20]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (
            frame_header(MAX_FRAME_BYTES + 1),
            f"a frame of {MAX_FRAME_BYTES + 1} bytes, more than {MAX_FRAME_BYTES}",
        ),
        (b"GET / HTTP/1.1\r\n", "a frame of 1195725856 bytes, more than 67108864"),
        (frame_header(3) + b"\x93\x63\x01", "unknown message tag 99: is the peer of a newer version?"),
        (frame_header(3) + b"\x93\x07\x01", "Heartbeat of 2 fields, not 5"),
        (frame_header(1) + b"\xc1", "malformed msgpack: ValueError Unexpected type header on stream"),
        (frames(heartbeat(3, 1)), "a message from 3 to 1 in the stream from 2 to 1"),
        (frames(heartbeat(2, 4)), "a message from 2 to 4 in the stream from 2 to 1"),
    ],
)
async def test_a_stream_that_no_peer_sends_is_ended_with_the_reason(body: bytes, why: str) -> None:
    """What came before the bad frame is delivered, what comes after it is not; told once."""
    good, late = heartbeat(2, 1, 1), heartbeat(2, 1, 2)
    async with attacked() as (one, _):
        for _ in range(3):
            one.messages.clear()
            async with stranger(one) as peer:
                await peer.say(request(), chunk(frames(good) + body + frames(late)))
                assert (await peer.answer_head()).startswith(b"HTTP/1.1 200 OK")
                assert why.encode() in await peer.hear(END)
            assert one.messages == [good]
        assert one.traced(PeerRefused) == [PeerRefused(2, why)]


async def test_the_sender_of_a_bad_frame_tells_the_reason_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raftkv.net.outgoing.encode_message", lambda message: b"\x93\x63\x01")
    one, two = Member(1), Member(2)
    async with running(one, two):
        for losses in (1, 2, 3):
            await two.connected(1)
            two.transport.send([heartbeat(2, 1)])
            await two.until(lambda losses=losses: len(two.reports) >= 2 * losses)  # type: ignore[misc]
        why = "unknown message tag 99: is the peer of a newer version?"
        assert one.traced(PeerRefused) == [PeerRefused(2, why)]
        assert two.traced(PeerRefused) == [PeerRefused(1, f"the peer ended the stream: {why}")]


@pytest.mark.parametrize(
    ("hello", "status", "why"),
    [
        (
            HELLO._replace(cluster_id=0xBAD),
            b"412",
            "peer 2 belongs to cluster bad, this member 1 to cluster c0ffee",
        ),
        (HELLO._replace(target=7), b"412", "peer 2 means member 7, this is member 1"),
        (HELLO._replace(source=1), b"412", "another process says to be member 1 too"),
        (HELLO._replace(cluster_id=0), b"400", "header Raftkv-Cluster-Id is not a number that fits: 0"),
    ],
)
async def test_a_refused_handshake_is_answered_with_the_reason(hello: Hello, status: bytes, why: str) -> None:
    async with attacked() as (one, _):
        for _ in range(3):
            async with stranger(one) as peer:
                await peer.say(request(hello), chunk(frames(heartbeat(2, 1))))
                assert (await peer.hear(why.encode())).startswith(b"HTTP/1.1 " + status)
        assert [event.reason for event in one.traced(PeerRefused)] == [why]
        assert not one.messages


async def test_a_cause_is_told_again_after_the_peer_was_fine() -> None:
    async with attacked() as (one, _):
        for _ in range(2):
            await exchange(one, request(HELLO._replace(target=7)) + chunk(b""))
            await exchange(one, request() + chunk(b""))
        assert len(one.traced(PeerRefused)) == 2


async def test_strangers_do_not_fill_the_log_with_causes_of_their_own_making() -> None:
    async with attacked() as (one, _):
        for number in range(MAX_CAUSES + 20):
            await exchange(one, request(HELLO._replace(cluster_id=number + 1)) + chunk(b""))
        assert len(one.traced(PeerRefused)) == MAX_CAUSES


async def test_a_new_stream_of_a_peer_takes_the_place_of_its_old_one() -> None:
    async with attacked() as (one, _), stranger(one) as old, stranger(one) as new, stranger(one) as newest:
        await old.say(request())
        await old.answer_head()
        await new.say(request(), chunk(frames(heartbeat(2, 1, 1))))
        await new.answer_head()
        await old.rest()
        await one.until(lambda: one.messages == [heartbeat(2, 1, 1)])
        await new.say(chunk(frames(heartbeat(2, 1, 2))))
        await one.until(lambda: len(one.messages) == 2)
        await newest.say(request())
        await newest.answer_head()
        await new.rest()


async def test_no_more_streams_are_taken_than_the_limit() -> None:
    async with attacked() as (one, _):
        async with AsyncExitStack() as crowd:
            heads = []
            for number in [*range(MAX_STREAMS), 0]:  # the last is a peer whose older stream gives way
                peer = await crowd.enter_async_context(stranger(one))
                await peer.say(request(HELLO._replace(source=100 + number)))
                heads.append((await peer.answer_head())[9:12])
        assert heads == [b"200"] * (MAX_STREAMS - 1) + [b"503", b"200"]  # one was there before


async def test_a_connection_that_makes_no_request_in_time_is_dropped() -> None:
    one = Member(1, timing=QUICK._replace(connect=0.1))
    async with running(one):
        for said in (b"", b"POST /raftkv", request()[:-2]):
            async with stranger(one) as someone:
                await someone.say(said)
                assert await someone.rest() in {b"", b"(reset)"}
        async with stranger(one) as peer:  # one that made its request stays
            await peer.say(request())
            await peer.answer_head()
            await asyncio.sleep(0.2)
            await peer.say(chunk(frames(heartbeat(2, 1))))
            await one.until(lambda: len(one.messages) == 1)


async def test_more_connections_than_the_limit_are_dropped() -> None:
    async with attacked() as (one, _), AsyncExitStack() as crowd:
        for _ in range(MAX_CONNECTIONS - 1):  # and the well-behaved peer's
            await crowd.enter_async_context(stranger(one))
        async with stranger(one) as late:
            late.writer.write(b"GET /version HTTP/1.0\r\n\r\n")
            assert b"200" not in await late.rest()
        await crowd.aclose()
        async with asyncio.timeout(GIVE_UP_S):  # the crowd leaves, and there is room again
            while b" 200 OK" not in await ask_version(one):
                await asyncio.sleep(0)


async def test_an_own_bug_in_the_receiver_is_not_swallowed() -> None:
    """Aiohttp would log it and go on: it goes to the loop's exception handler, which ends the member."""
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
    one, two = Member(1), Member(2)
    one.receive = lambda message: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    async with running(one, two):
        await two.connected(1)
        two.transport.send([heartbeat(2, 1)])
        await two.until(lambda: len(two.reports) > 1)
    assert [type(failure["exception"]) for failure in failures][:1] == [ZeroDivisionError]


async def test_a_compressed_body_is_not_unpacked() -> None:
    """A few compressed bytes must not grow into gigabytes: the stream is never compressed."""
    bomb = zlib.compress(frame_header(10**7) + bytes(10**7))
    async with attacked() as (one, _):
        async with stranger(one) as peer:
            await peer.say(request(HELLO, **{"Content-Encoding": "deflate"}), chunk(bomb))
            assert b"a frame of" in await peer.hear(END)
        assert not one.messages
