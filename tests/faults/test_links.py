"""Faulty links and the transport made of them, in virtual time."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from random import Random
from typing import Any

import pytest

from raftkv.errors import PeerUnavailable
from raftkv.faults import links
from raftkv.faults.links import FaultyLink, LinkEffects
from raftkv.faults.orders import LinkFault
from raftkv.faults.transport import FaultyTransport
from raftkv.node.transport import Connection, Receiver, SnapshotChunk
from raftkv.raft import Entry, EntryKind, Message, PeerEvent
from raftkv.raft.messages import AppendEntries, ForwardProposals, Heartbeat
from tests.faults.conftest import Run

CHUNK = SnapshotChunk(1, b"s", 0, b"x")


def now() -> float:
    return asyncio.get_running_loop().time()


def beat(number: int, source: int = 1, target: int = 2) -> Heartbeat:
    return Heartbeat(source, target, 1, 0, number)


class Link(FaultyLink):
    """A link that tells what came out of it, and when."""

    def __init__(self, **fault: Any) -> None:
        self.came: list[tuple[int, float]] = []
        super().__init__(LinkFault("1", "2", **fault), Random(1), self.take)

    def take(self, message: Message) -> None:
        assert isinstance(message, Heartbeat)
        self.came.append((message.round, round(now(), 6)))

    def change(self, **fault: Any) -> None:
        self.set(LinkFault("1", "2", **fault))

    def carry_all(self, *numbers: int) -> None:
        for number in numbers:
            self.carry(beat(number))

    @property
    def rounds(self) -> list[int]:
        return [number for number, _ in self.came]


def test_a_link_without_a_fault_passes_on_at_once(run: Run) -> None:
    async def story() -> None:
        link = Link()
        link.carry_all(1, 2)
        assert link.came == [(1, 0), (2, 0)]
        assert link.effects == LinkEffects()

    run(story())


def test_a_cut_link_loses_everything_also_what_is_under_way(run: Run) -> None:
    async def story() -> None:
        link = Link(delay_ms=1000)
        link.carry_all(1, 2)
        await asyncio.sleep(0.5)
        link.change(cut=True)
        link.carry_all(3)
        await asyncio.sleep(5)
        link.change()
        link.carry_all(4)
        assert link.came == [(4, 5.5)]
        assert (link.effects.dropped, link.held) == (3, 0)

    run(story())


def test_a_slow_link_delays_and_keeps_the_order(run: Run) -> None:
    async def story() -> None:
        link = Link(delay_ms=100, jitter_ms=100)
        for number in range(200):
            link.carry(beat(number))
            await asyncio.sleep(0.001)
        assert link.held
        await asyncio.sleep(1)
        assert link.rounds == list(range(200))
        late = [at - number / 1000 for number, at in link.came]
        assert min(late) >= 0
        assert max(late) <= 0.2
        assert len({round(one, 3) for one in late}) > 20
        assert link.effects == LinkEffects(delayed=200)
        assert link.held == 0

    run(story())


def test_what_waits_on_a_slow_link_arrives_when_it_is_healed(run: Run) -> None:
    async def story() -> None:
        link = Link(delay_ms=60_000)
        link.carry_all(1, 2)
        await asyncio.sleep(1)
        link.change(delay_ms=10)
        link.carry_all(3)  # not before those that are under way
        assert link.held == 3
        link.change(drop=0.5)
        assert link.came == [(1, 1), (2, 1), (3, 1)]
        link.drop_held()
        await asyncio.sleep(100)
        assert len(link.came) == 3

    run(story())


def test_what_waits_on_a_link_that_gets_faster_waits_no_longer_than_what_comes_then(run: Run) -> None:
    async def story() -> None:
        link = Link(delay_ms=60_000)
        link.carry_all(1, 2)
        await asyncio.sleep(1)
        link.change(delay_ms=100)
        link.carry_all(3)
        await asyncio.sleep(0.5)
        assert link.came == [(1, 1.1), (2, 1.1), (3, 1.1)]
        link.carry_all(4)
        link.change(delay_ms=60_000)  # what is nearly there stays so
        await asyncio.sleep(0.5)
        assert link.came[3:] == [(4, 1.6)]

    run(story())


def test_messages_are_lost_and_doubled_by_chance(run: Run) -> None:
    async def story() -> None:
        link = Link(drop=0.3, duplicate=0.2)
        link.carry_all(*range(1000))
        effects = link.effects
        assert 200 < effects.dropped < 400
        assert 70 < effects.duplicated < 210
        assert len(link.came) == 1000 - effects.dropped + effects.duplicated
        assert link.rounds == sorted(link.rounds)
        link.change(drop=1)
        link.carry_all(1)
        link.change(duplicate=1, delay_ms=1)
        link.carry_all(2)
        await asyncio.sleep(1)
        assert link.rounds[-2:] == [2, 2]

    run(story())


def test_what_waits_is_bounded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "MOST_HELD", 3)
    monkeypatch.setattr(links, "MOST_HELD_BYTES", 3 * links.PART_BYTES + 100)
    came: list[Message] = []

    async def story() -> None:
        link = FaultyLink(LinkFault("1", "2", delay_ms=10), Random(1), came.append)
        for number in range(5):
            link.carry(beat(number))
        assert (link.held, link.effects.dropped) == (3, 2)
        await asyncio.sleep(1)
        link.carry(AppendEntries(1, 2, 1, 0, 0, (Entry(1, 1, EntryKind.COMMAND, bytes(60)),), 0))
        link.carry(ForwardProposals(1, 2, 1, (bytes(30), bytes(20))))
        link.carry(ForwardProposals(1, 2, 1, (b"",)))
        assert (link.held, link.effects.dropped) == (2, 3)
        await asyncio.sleep(1)
        link.carry(AppendEntries(1, 2, 1, 0, 0, (Entry(1, 1, EntryKind.COMMAND, b""),) * 4, 0))  # many, small
        assert (link.held, link.effects.dropped) == (0, 4)
        link.carry(AppendEntries(1, 2, 1, 0, 0, (Entry(1, 1, EntryKind.COMMAND, bytes(100)),), 0))
        assert link.held == 1
        link.drop_held()
        assert len(came) == 5

    run(story())


# ---------------------------------------------------------------- the transport


class Behind:
    """The transport behind a faulty one, of member 1: it answers at once."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.asked: list[tuple[int, bytes]] = []
        self.receiver: Receiver
        self.peers: Mapping[int, Sequence[str]] = {}
        self.is_closed = False
        self.seconds = 0.0

    def start(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def set_peers(self, peers: Mapping[int, Sequence[str]]) -> None:
        self.peers = peers

    def send(self, messages: Sequence[Message]) -> None:
        self.sent += messages

    async def fetch_snapshot(self, peer: int, index: int, term: int, offset: int) -> SnapshotChunk:
        self.asked.append((peer, b"chunk"))
        return CHUNK

    def connection(self, peer: int) -> Connection | None:
        return Connection(1.0, 1)

    async def ask(self, peer: int, question: bytes, seconds: float) -> bytes:
        self.asked.append((peer, question))
        self.seconds = seconds
        return b"answer to " + question

    async def close(self) -> None:
        self.is_closed = True


class Node:
    """What receives."""

    def __init__(self) -> None:
        self.received: list[Message] = []
        self.events: list[tuple[int, PeerEvent]] = []

    def receive(self, message: Message) -> None:
        self.received.append(message)

    def peer_event(self, peer: int, event: PeerEvent) -> None:
        self.events.append((peer, event))

    async def serve_snapshot(self, index: int, term: int, offset: int) -> SnapshotChunk | None:
        return CHUNK

    async def answer(self, question: bytes) -> bytes:
        return question[::-1]


class Stage:
    def __init__(self) -> None:
        self.behind, self.node = Behind(), Node()
        self.transport = FaultyTransport(self.behind, 1, Random(1))
        self.transport.start(self.node)

    def fault(self, source: int, target: int, **fault: Any) -> LinkEffects:
        self.transport.set((source, target), LinkFault(f"{source}", f"{target}", **fault))
        return self.transport.links[source, target].effects


def test_without_faults_everything_passes(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.transport.set_peers({2: ["http://two"]})
        stage.transport.send([beat(1), beat(2)])
        stage.behind.receiver.receive(beat(3, 2, 1))
        stage.behind.receiver.peer_event(2, PeerEvent.CONNECTED)
        assert (stage.behind.sent, stage.node.received) == ([beat(1), beat(2)], [beat(3, 2, 1)])
        assert (stage.behind.peers, stage.node.events) == ({2: ["http://two"]}, [(2, PeerEvent.CONNECTED)])
        assert await stage.behind.receiver.serve_snapshot(1, 1, 0) == CHUNK
        assert await stage.behind.receiver.answer(b"ab") == b"ba"
        assert await stage.transport.ask(2, b"q", 1.0) == b"answer to q"
        assert await stage.transport.fetch_snapshot(2, 1, 1, 0) == CHUNK
        assert stage.transport.connection(2) == Connection(1.0, 1)
        await stage.transport.close()
        assert stage.behind.is_closed

    run(story())


def test_a_cut_has_a_direction_and_concerns_one_peer(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        leaving = stage.fault(1, 2, cut=True)
        arriving = stage.fault(3, 1, cut=True)
        stage.transport.send([beat(1, 1, 2), beat(2, 1, 3)])
        stage.behind.receiver.receive(beat(3, 2, 1))
        stage.behind.receiver.receive(beat(4, 3, 1))
        assert (stage.behind.sent, stage.node.received) == ([beat(2, 1, 3)], [beat(3, 2, 1)])
        assert (leaving.dropped, arriving.dropped) == (1, 1)
        stage.fault(1, 2)
        stage.transport.send([beat(5, 1, 2)])
        assert stage.behind.sent[-1] == beat(5, 1, 2)

    run(story())


def test_a_request_over_a_cut_link_is_not_heard_and_one_over_a_cut_way_back_is(run: Run) -> None:
    async def story() -> None:
        stage = Stage()

        async def fails(request: Coroutine[Any, Any, Any], seconds: float) -> None:
            begin = now()
            with pytest.raises(PeerUnavailable, match="member 2 does not answer"):
                await request
            assert now() - begin == pytest.approx(seconds)

        there = stage.fault(1, 2, cut=True)
        await fails(stage.transport.ask(2, b"q", 3.0), 3)
        await fails(stage.transport.fetch_snapshot(2, 1, 1, 0), 5)
        assert (stage.behind.asked, there.requests_failed) == ([], 2)
        assert await stage.transport.ask(3, b"q", 3.0) == b"answer to q"
        stage.fault(1, 2)
        back = stage.fault(2, 1, cut=True)
        await fails(stage.transport.ask(2, b"heard", 3.0), 3)
        assert stage.behind.asked[-1] == (2, b"heard")
        assert (there.requests_failed, back.requests_failed) == (2, 1)

    run(story())


def test_a_request_goes_on_when_the_link_is_whole_again_and_is_delayed_both_ways(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.fault(1, 2, cut=True)
        asking = asyncio.create_task(stage.transport.ask(2, b"q", 9.0))
        await asyncio.sleep(2)
        assert not asking.done()
        there = stage.fault(1, 2, delay_ms=1000, drop=1)  # a stream sends again what is lost
        back = stage.fault(2, 1, delay_ms=500)
        assert await asking == b"answer to q"
        assert now() == pytest.approx(3.5)
        assert (there.delayed, back.delayed) == (1, 1)

    run(story())


def test_a_question_that_waited_for_its_link_has_only_the_rest_of_its_time(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        stage.fault(1, 2, cut=True)
        asking = asyncio.create_task(stage.transport.ask(2, b"q", 3.0))
        await asyncio.sleep(2)
        stage.fault(1, 2)
        assert await asking == b"answer to q"
        assert stage.behind.seconds == pytest.approx(1)

    run(story())


def test_nothing_arrives_after_the_end(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        effects = stage.fault(2, 1, delay_ms=1000)
        stage.behind.receiver.receive(beat(1, 2, 1))
        await stage.transport.close()
        stage.behind.receiver.receive(beat(2, 2, 1))
        await asyncio.sleep(5)
        assert (stage.node.received, effects.dropped) == ([], 1)

    run(story())
