"""Transports on loopback: delivery, refusals, broken and blocked streams, and what close leaves."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from raftkv.errors import PeerUnavailable
from raftkv.net.frames import SIGN_OF_LIFE
from raftkv.net.handshake import Hello
from raftkv.net.transport import PeerTransport
from raftkv.node.transport import Receiver, Transport
from raftkv.raft.messages import Message
from raftkv.raft.types import PeerEvent
from raftkv.trace import PeerDown, PeerRefused, PeerUp
from tests.net.members import CLUSTER, GIVE_UP_S, PATIENT, QUICK, Member, append, heartbeat, running

UNREACHABLE, CONNECTED = PeerEvent.UNREACHABLE, PeerEvent.CONNECTED
NOWHERE = "http://127.0.0.1:1"


class RawPeer:
    """A peer port of bare sockets: answers a handshake with ``answer`` and then reads only if told."""

    def __init__(self, answer: bytes, *, reads: bool) -> None:
        self.answer = answer
        self.reads = reads
        self.url = ""
        self.taken = bytearray()
        self.grew = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []
        self.connections = 0
        self.answered = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        self.connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self.answer)
        self.answered += 1
        while self.reads and (piece := await reader.read(65536)):
            self.taken += piece
            self.grew.set()

    async def until_taken(self, wanted: bytes, times: int = 1) -> None:
        async with asyncio.timeout(GIVE_UP_S):
            while self.taken.count(wanted) < times:
                self.grew.clear()
                await self.grew.wait()


@asynccontextmanager
async def raw_peer(member_id: int, *, reads: bool, answer: bytes | None = None) -> AsyncIterator[RawPeer]:
    headers = "".join(
        f"{name}: {value}\r\n" for name, value in Hello(CLUSTER, member_id, 1).headers().items()
    )
    taking = f"HTTP/1.1 200 OK\r\n{headers}Transfer-Encoding: chunked\r\n\r\n".encode()
    peer = RawPeer(taking if answer is None else answer, reads=reads)
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield peer
    finally:
        server.close()
        for writer in peer.writers:
            writer.transport.abort()
        await server.wait_closed()


def open_sockets() -> set[str]:
    """Return the inodes of this process's open sockets."""
    links = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            links.add(str(descriptor.readlink()))
        except FileNotFoundError:  # the descriptor that listed the folder
            continue
    return {link for link in links if link.startswith("socket:")}


def test_the_transport_and_the_test_receiver_fulfil_the_ports() -> None:
    async def check() -> None:
        member = Member(1)
        transport: Transport = member.transport
        receiver: Receiver = member
        assert transport is not receiver

    asyncio.run(check())


async def test_three_members_deliver_to_each_other_in_order() -> None:
    members = [Member(1), Member(2), Member(3)]
    async with running(*members):
        for member in members:
            await member.connected(*({1, 2, 3} - {member.member_id}))
        for member in members:
            others = [other.member_id for other in members if other is not member]
            sent = [heartbeat(member.member_id, other, n) for n in range(200) for other in others]
            member.transport.send(sent[:100])
            member.transport.send(sent[100:])
        for member in members:
            await member.until(lambda member=member: len(member.messages) == 400)  # type: ignore[misc]
            for source in {1, 2, 3} - {member.member_id}:
                rounds = [m.round for m in member.messages if m.source == source]  # type: ignore[union-attr]
                assert rounds == list(range(200))


async def test_a_message_of_many_megabytes_arrives_whole_between_small_ones() -> None:
    one, two = Member(1, timing=PATIENT), Member(2, timing=PATIENT)
    sent = [heartbeat(1, 2, 1), append(1, 2, 8 * 1024 * 1024), heartbeat(1, 2, 2)]
    async with running(one, two):
        await one.connected(2)
        one.transport.send(sent)
        await two.until(lambda: len(two.messages) == 3)
        assert two.messages == sent


async def test_a_stream_coming_up_is_reported_and_told() -> None:
    one, two = Member(1), Member(2)
    async with running(one, two):
        await one.connected(2)
        assert one.reports == [(2, CONNECTED)]
        assert one.trace == [PeerUp(2)]


async def test_a_message_to_nobody_is_dropped_in_silence() -> None:
    one, two = Member(1), Member(2)
    async with running(one, two):
        await one.connected(2)
        one.transport.send([heartbeat(1, 9), heartbeat(1, 2, 7)])
        await two.until(lambda: bool(two.messages))
        assert two.messages == [heartbeat(1, 2, 7)]
        assert (9, UNREACHABLE) not in one.reports


async def test_a_peer_that_is_not_there_is_told_once_and_reported_for_each_loss_noticed() -> None:
    one = Member(1)
    async with running(one):
        one.transport.set_peers({2: [NOWHERE]})
        for losses in (1, 2, 3):
            one.transport.send([heartbeat(1, 2)])
            assert len(one.reports) == losses - 1, "no report from within send"
            await one.until(lambda losses=losses: len(one.reports) == losses)  # type: ignore[misc]
        assert set(one.reports) == {(2, UNREACHABLE)}
        (down,) = one.trace
        assert isinstance(down, PeerDown)
        assert NOWHERE in down.reason


async def test_the_next_url_is_tried_when_one_fails() -> None:
    one, two = Member(1), Member(2)
    async with running(one, two):
        one.transport.set_peers({2: [NOWHERE, *two.urls]})
        await one.connected(2)


async def test_a_stream_that_lasted_is_opened_again_at_the_same_url_without_a_long_wait() -> None:
    one = Member(1, timing=PATIENT)
    async with running(one), raw_peer(3, reads=True) as first, raw_peer(3, reads=True) as second:
        one.transport.set_peers({3: [first.url, second.url]})
        await one.connected(3)
        await asyncio.sleep(2 * PATIENT.backoff_most)
        first.writers[0].transport.abort()
        await one.until(lambda: one.reports.count((3, CONNECTED)) == 2)
        assert (first.connections, second.connections) == (2, 0)


async def test_a_restarted_peer_is_connected_to_again() -> None:
    one, two, again = Member(1), Member(2), Member(2)
    async with running(one, two):
        await one.connected(2)
        await two.transport.close()
        await one.until(lambda: (2, UNREACHABLE) in one.reports)
        assert one.traced(PeerDown)[0].peer == 2
        one.transport.send([heartbeat(1, 2, 1)])
        try:
            await again.start(two.urls)
            await one.until(lambda: one.reports[-1] == (2, CONNECTED))
            one.transport.send([heartbeat(1, 2, 2)])
            await again.until(lambda: bool(again.messages))
            assert again.messages == [heartbeat(1, 2, 2)], "what was sent while it was away stays lost"
            await again.transport.close()
            await one.until(lambda: len(one.traced(PeerDown)) == 2)
        finally:
            await again.transport.close()


async def test_a_peer_that_connects_is_not_kept_waiting_for_the_backoff() -> None:
    """A restarted member hears of the others at once, however long it was away."""
    one, two = Member(1, timing=QUICK._replace(backoff_most=3600.0)), Member(2)
    one.transport._local.rng.uniform = lambda low, high: 1e9  # type: ignore[method-assign]
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    async with running(one):
        one.transport.set_peers({2: [url]})
        await one.until(lambda: bool(one.traced(PeerDown)))  # the next attempt is years away
        try:
            await two.start([url])
            two.transport.set_peers({1: one.urls})
            await one.connected(2)
        finally:
            await two.transport.close()


async def test_a_peer_of_another_cluster_is_refused_and_told_once_on_both_sides() -> None:
    reason = "peer 2 belongs to cluster bad, this member 1 to cluster c0ffee"
    one, two = Member(1), Member(2, cluster_id=0xBAD)
    async with running(one, two):
        one.transport.set_peers({})
        await one.until(lambda: bool(one.traced(PeerRefused)))
        await two.until(lambda: bool(two.traced(PeerRefused)))
        for _ in range(3):  # it tries again and again, which only the reports show
            reported = len(two.reports)
            two.transport.send([heartbeat(2, 1)])
            await two.until(lambda reported=reported: len(two.reports) > reported)  # type: ignore[misc]
        assert one.trace == [PeerRefused(2, reason)]
        assert two.trace == [PeerRefused(1, f"{one.urls[0]} answered 412: {reason}")]
        assert not one.messages


async def test_a_member_at_the_url_of_another_is_refused() -> None:
    one, two = Member(1), Member(2)
    async with running(one, two):
        one.transport.set_peers({3: two.urls})
        await one.until(lambda: bool(one.traced(PeerRefused)))
        await two.until(lambda: bool(two.traced(PeerRefused)))
        assert two.traced(PeerRefused) == [PeerRefused(1, "peer 1 means member 3, this is member 2")]
        assert "peer 1 means member 3, this is member 2" in one.traced(PeerRefused)[0].reason


async def test_a_server_that_is_no_peer_is_refused_with_its_answer() -> None:
    one = Member(1)
    async with (
        running(one),
        raw_peer(2, reads=True, answer=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") as web,
    ):
        one.transport.set_peers({2: [web.url]})
        await one.until(lambda: bool(one.traced(PeerRefused)))
        assert one.traced(PeerRefused)[0].reason.endswith("is missing: not a raftkv peer")
        assert one.transport.connected_peers() == []


async def test_a_redirection_is_not_followed() -> None:
    one = Member(1)
    moved = b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with running(one), raw_peer(3, reads=True, answer=moved) as other:
        one.transport.set_peers({3: [other.url]})
        await one.until(lambda: bool(one.trace))
        assert one.trace == [PeerRefused(3, f"{other.url} answered 301: ")]


async def test_a_stream_that_another_member_answers_is_refused() -> None:
    """Such as a port handed over by a proxy to the wrong place: the sender looks at the answer too."""
    one = Member(1)
    async with running(one), raw_peer(5, reads=True) as other:
        one.transport.set_peers({3: [other.url]})
        await one.until(lambda: bool(one.trace))
        assert one.trace == [PeerRefused(3, f"{other.url} is member 5, not 3")]
        assert one.transport.connected_peers() == []


async def test_a_stream_that_another_cluster_answers_is_refused() -> None:
    one = Member(1, cluster_id=0xBAD)
    async with running(one), raw_peer(3, reads=True) as other:
        one.transport.set_peers({3: [other.url]})
        await one.until(lambda: bool(one.trace))
        assert one.trace == [PeerRefused(3, "peer 3 belongs to cluster c0ffee, this member 1 to cluster bad")]
        assert one.transport.connected_peers() == []


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00" * 100,
        b"",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 9999\r\n\r\n" + b"\x1b[31m" * 100,
    ],
)
async def test_whatever_a_wrong_server_answers_the_member_goes_on(answer: bytes) -> None:
    one, two = Member(1, timing=QUICK._replace(connect=0.2)), Member(2)
    async with running(one, two), raw_peer(3, reads=True, answer=answer) as wrong:
        one.transport.set_peers({2: two.urls, 3: [wrong.url]})
        await one.connected(2)
        await one.until(lambda: len([e for e in one.trace if isinstance(e, PeerDown | PeerRefused)]) > 0)
        told = next(e for e in one.trace if isinstance(e, PeerDown | PeerRefused))
        assert told.peer == 3
        assert told.reason.isprintable()
        one.transport.send([heartbeat(1, 2, 3)])
        await two.until(lambda: bool(two.messages))


async def test_a_blocked_peer_harms_nobody_else_and_takes_bounded_memory() -> None:
    """One peer takes the stream and never reads: what waits is bounded, the others get everything."""
    limit = 1024 * 1024
    one, two = Member(1, timing=PATIENT, queue_bytes=limit), Member(2)
    async with running(one, two), raw_peer(3, reads=False) as blocked:
        one.transport.set_peers({2: two.urls, 3: [blocked.url]})
        await one.connected(2, 3)
        for number in range(400):
            one.transport.send([append(1, 3, 64 * 1024), heartbeat(1, 2, number)])
            await two.until(lambda number=number: len(two.messages) == number + 1)  # type: ignore[misc]
        assert one.reports.count((3, UNREACHABLE)) > 1, "each time that something was lost"
        assert 0 < one.transport.waiting_bytes(3) <= limit
        assert one.transport.connected_peers() == [2, 3]


async def test_a_transport_that_writes_to_its_peers_in_turn_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """N2: while one peer takes nothing, nothing leaves for anybody; the test above sees it."""
    send = PeerTransport.send

    def in_turn(self: PeerTransport, messages: Sequence[Message]) -> None:
        waiting: list[Message] = self.__dict__.setdefault("waiting", [])
        waiting += messages
        if not any(self.waiting_bytes(peer) for peer in self.connected_peers()):
            send(self, waiting)
            waiting.clear()

    monkeypatch.setattr(PeerTransport, "send", in_turn)
    monkeypatch.setattr("tests.net.members.GIVE_UP_S", 1.0)
    with pytest.raises(TimeoutError):
        await test_a_blocked_peer_harms_nobody_else_and_takes_bounded_memory()


async def test_a_stream_whose_writing_stalls_is_given_up_and_opened_again() -> None:
    one = Member(1)
    async with running(one), raw_peer(3, reads=False) as blocked:
        one.transport.set_peers({3: [blocked.url]})
        await one.connected(3)
        one.transport.send([append(1, 3, 32 * 1024 * 1024), heartbeat(1, 3)])
        await one.until(lambda: bool(one.traced(PeerDown)))
        assert one.traced(PeerDown) == [PeerDown(3, "nothing could be written for 0.2 s")]
        assert one.reports == [(3, CONNECTED), (3, UNREACHABLE)]
        await one.connected(3)
        assert blocked.connections == 2
        assert one.transport.waiting_bytes(3) == 0, "what waited for the broken stream is gone"


async def test_a_peer_that_accepts_and_never_answers_is_given_up() -> None:
    one = Member(1, timing=QUICK._replace(connect=0.1))
    async with running(one), raw_peer(3, reads=True, answer=b"") as silent:
        one.transport.set_peers({3: [silent.url]})
        await one.until(lambda: bool(one.traced(PeerDown)))
        assert one.traced(PeerDown) == [PeerDown(3, f"{silent.url}: no answer within 0.1 s")]


async def test_an_idle_stream_gives_signs_of_life_and_stays() -> None:
    one = Member(1)
    async with running(one), raw_peer(3, reads=True) as idle:
        one.transport.set_peers({3: [idle.url]})
        await idle.until_taken(b"4\r\n" + SIGN_OF_LIFE, times=4)
        assert idle.connections == 1
        assert one.trace == [PeerUp(3)]


async def test_removing_a_peer_ends_its_stream_without_a_report() -> None:
    one, two, three = Member(1), Member(2), Member(3)
    async with running(one, two, three):
        await one.connected(2, 3)
        reports = list(one.reports)
        two.transport.set_peers({})
        while 2 in one.transport.guests():
            await asyncio.sleep(0.01)
        one.transport.set_peers({3: three.urls})
        one.transport.send([heartbeat(1, 2), heartbeat(1, 3)])
        await three.until(lambda: bool(three.messages))
        assert one.transport.connected_peers() == [3]
        assert one.reports == reports
        assert one.traced(PeerUp).count(PeerUp(3)) == 1, "the stream that stays was left alone"
        assert not two.messages


async def test_a_guest_is_answered_as_long_as_it_sends() -> None:
    """A member that lags behind has to answer a leader that it has not heard of (thesis §4.1)."""
    one, two = Member(1), Member(2)
    async with running(one, two):
        one.transport.set_peers({})
        two.transport.set_peers({1: one.urls})
        two.transport.send([heartbeat(2, 1)])
        await one.connected(2)
        one.transport.send([heartbeat(1, 2, 7)])
        await two.until(lambda: bool(two.messages))
        assert await one.transport.ask(2, b"question", 5.0) == b"answer to question"
        two.transport.set_peers({})
        while one.transport.connected_peers() or two.transport.connected_peers():
            await asyncio.sleep(0.01)
        with pytest.raises(PeerUnavailable):
            await one.transport.ask(2, b"question", 5.0)


async def test_a_guest_that_becomes_a_peer_hears_where_this_member_is() -> None:
    """Then it can answer too, when it is the one that lags behind."""
    one, two = Member(1), Member(2)
    async with running(one, two):
        one.transport.set_peers({})
        await one.connected(2)
        assert two.transport.guests() == []
        one.transport.set_peers({2: two.urls})
        while two.transport.guests() != [1]:
            await asyncio.sleep(0.01)
        one.transport.send([heartbeat(1, 2, 7)])
        await two.until(lambda: bool(two.messages))


async def test_a_peer_that_moved_is_reached_where_it_says_to_be() -> None:
    """What this member has of a peer's URLs may be behind: the news comes from a leader it can't answer."""
    one, two = Member(1), Member(2)
    async with running(two):
        try:
            await one.start()
            one.transport.set_peers({2: [NOWHERE]})
            two.transport.set_peers({1: one.urls})
            await one.connected(2)
            one.transport.send([heartbeat(1, 2, 7)])
            await two.until(lambda: bool(two.messages))
        finally:
            await one.transport.close()


async def test_changing_a_peers_urls_moves_the_stream() -> None:
    one, two, moved = Member(1), Member(2), Member(2)
    async with running(one, two):
        await one.connected(2)
        try:
            await moved.start()
            one.transport.set_peers({2: moved.urls})
            await one.until(lambda: one.reports.count((2, CONNECTED)) == 2)
            one.transport.send([heartbeat(1, 2, 5)])
            await moved.until(lambda: bool(moved.messages))
            assert not two.messages
        finally:
            await moved.transport.close()


async def test_peers_set_before_the_start_are_connected_to_at_the_start() -> None:
    one, two = Member(1), Member(2)
    async with running(two):
        one.transport.send([heartbeat(1, 2)])
        one.transport.set_peers({2: two.urls})
        try:
            await one.start()
            await one.connected(2)
            await two.connected(1)  # a connection that comes in while the port closes would be left open
        finally:
            await one.transport.close()


async def test_a_member_that_listens_but_has_not_started_takes_no_stream() -> None:
    one, two = Member(1), Member(2)
    urls = await two.transport.listen(["http://127.0.0.1:0"])
    async with running(one):
        one.transport.set_peers({2: urls})
        await one.until(lambda: bool(one.traced(PeerRefused)))
        assert "answered 503: this member is starting" in one.traced(PeerRefused)[0].reason
        two.transport.start(two)
        await one.connected(2)
        await two.transport.close()
        again = Member(2)
        await again.transport.listen(urls)
        await one.until(lambda: len(one.traced(PeerRefused)) == 2)  # it was fine in between
        await again.transport.close()


async def test_a_port_in_use_is_an_error_that_names_it() -> None:
    one, two = Member(1), Member(2)
    async with running(one):
        with pytest.raises(OSError, match=one.urls[0].rsplit(":", 1)[1]):
            await two.transport.listen(one.urls)
        await two.transport.close()


async def test_close_leaves_no_task_and_no_socket() -> None:
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    one, two, three = Member(1), Member(2), Member(3, cluster_id=0xBAD)
    async with raw_peer(4, reads=False) as blocked:
        async with running(one, two, three):
            one.transport.set_peers({2: two.urls, 3: three.urls, 4: [blocked.url], 5: [NOWHERE]})
            await one.connected(2, 4)
            one.transport.send([append(1, 4, 16 * 1024 * 1024), append(1, 2, 16 * 1024 * 1024)])
            await one.until(lambda: bool(one.traced(PeerRefused)))
        assert {t for t in asyncio.all_tasks() - tasks if "RawPeer" not in repr(t)} == set()
    await asyncio.sleep(0)
    assert open_sockets() == sockets


async def test_an_own_bug_in_a_peers_task_is_not_swallowed() -> None:
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
    one = Member(1)
    one.transport._local.rng.uniform = lambda low, high: 1 / 0  # type: ignore[method-assign]
    async with running(one):
        one.transport.set_peers({2: [NOWHERE]})
        await one.until(lambda: bool(one.traced(PeerDown)))
        async with asyncio.timeout(GIVE_UP_S):
            while not failures:
                await asyncio.sleep(0)
    assert type(failures[0]["exception"]) is ZeroDivisionError


async def test_close_may_come_twice_and_nothing_happens_after_it() -> None:
    one, two = Member(1), Member(2)
    async with running(one, two):
        await one.connected(2)
        await one.transport.close()
        await one.transport.close()
        reports = list(one.reports)
        one.transport.set_peers({2: two.urls})
        one.transport.send([heartbeat(1, 2)])
        await two.until(lambda: bool(two.traced(PeerDown)))
        assert one.transport.connected_peers() == []
        assert one.reports == reports
