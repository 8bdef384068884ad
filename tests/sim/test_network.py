"""The simulated network: each condition does what it says, and a cut is told of as a broken stream is."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from random import Random

import pytest

from raftkv.errors import PeerUnavailable, SnapshotGone
from raftkv.node.transport import SnapshotChunk
from raftkv.raft import Message, PeerEvent
from raftkv.raft.codec import encode_message
from raftkv.raft.messages import Heartbeat
from raftkv.sim.loop import SimLoop
from raftkv.sim.network import RECONNECT_SECONDS, Conditions, SimNetwork, SimTransport

CHUNK = SnapshotChunk(3, b"sum", 0, b"abc")


class Host:
    """A member that writes down what it is told, with the time."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self.received: list[tuple[float, int]] = []
        self.events: list[tuple[int, PeerEvent]] = []

    def receive(self, message: Message) -> None:
        assert isinstance(message, Heartbeat)
        self.received.append((round(self._loop.now, 6), message.round))

    def peer_event(self, peer: int, event: PeerEvent) -> None:
        self.events.append((peer, event))

    async def serve_snapshot(self, index: int, term: int, offset: int) -> SnapshotChunk | None:
        raise AssertionError("the world serves snapshots")

    async def answer(self, question: bytes) -> bytes:
        raise AssertionError("the world lets members answer")

    @property
    def rounds(self) -> list[int]:
        return [number for _, number in self.received]


class Net:
    """Three members on one network."""

    def __init__(self) -> None:
        self.loop = SimLoop()
        self.seen: list[tuple[int, int, bytes]] = []
        self.network = SimNetwork(self.loop, Random(1), lambda *frame: self.seen.append(frame))
        self.hosts = {number: Host(self.loop) for number in (1, 2, 3)}
        self.transports = {number: SimTransport(number, self.network) for number in self.hosts}
        for number, transport in self.transports.items():
            transport.start(self.hosts[number])
            transport.set_peers({peer: ["http://peer"] for peer in self.hosts if peer != number})

    def send(self, source: int, target: int, *rounds: int) -> None:
        self.transports[source].send([beat(source, target, number) for number in rounds])

    def run(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))


def beat(source: int, target: int, number: int) -> Heartbeat:
    return Heartbeat(source, target, 1, 0, number)


@pytest.fixture
def net() -> Iterator[Net]:
    one = Net()
    asyncio.set_event_loop(one.loop)
    one.run(1)
    for host in one.hosts.values():
        host.events.clear()
    yield one
    asyncio.set_event_loop(None)
    one.loop.close()


def test_what_is_sent_arrives_after_the_delay_as_the_frame_of_the_real_codec(net: Net) -> None:
    net.network.conditions = Conditions(0.25, 0.25)
    net.send(1, 2, 7)
    net.run(1)
    assert net.hosts[2].received == [(1.25, 7)]
    assert net.seen == [(1, 2, encode_message(beat(1, 2, 7)))]
    assert net.network.counts == {"sent": 1, "arrived": 1}


def test_delays_lie_between_the_two_bounds(net: Net) -> None:
    net.network.conditions = Conditions(0.1, 0.2, reordering=True)
    net.send(1, 2, *range(200))
    net.run(1)
    times = [at - 1 for at, _ in net.hosts[2].received]
    assert 0.1 <= min(times) < 0.11 and 0.19 < max(times) <= 0.2


def test_a_link_keeps_the_order_unless_messages_may_overtake(net: Net) -> None:
    net.network.conditions = Conditions(0.001, 0.4)
    net.send(1, 2, *range(50))
    net.run(1)
    assert net.hosts[2].rounds == list(range(50))
    net.network.conditions = Conditions(0.001, 0.4, reordering=True)
    net.send(1, 3, *range(50))
    net.run(1)
    assert net.hosts[3].rounds != list(range(50)) and sorted(net.hosts[3].rounds) == list(range(50))


def test_messages_are_lost_and_doubled_by_chance(net: Net) -> None:
    net.network.conditions = Conditions(loss=0.2, duplication=0.1)
    net.send(1, 2, *range(1000))
    net.run(1)
    counts, rounds = net.network.counts, net.hosts[2].rounds
    assert 150 < counts["lost"] < 250 and 50 < counts["doubled"] < 120
    assert len(rounds) == 1000 - counts["lost"] + counts["doubled"]
    assert len(set(rounds)) == 1000 - counts["lost"]


def test_nothing_passes_a_cut_link_and_the_other_way_stays_open(net: Net) -> None:
    net.network.cut([(1, 2)])
    net.send(1, 2, 1)
    net.send(2, 1, 2)
    net.run(1)
    assert net.hosts[2].rounds == [] and net.hosts[1].rounds == [2]
    assert net.network.counts["cut off"] == 1


def test_a_cut_takes_what_is_under_way(net: Net) -> None:
    net.network.conditions = Conditions(0.5, 0.5)
    net.send(1, 2, 1)
    net.run(0.1)
    net.network.cut([(1, 2)])
    net.run(1)
    assert net.hosts[2].rounds == []


def test_a_link_that_was_cut_twice_has_to_be_mended_twice(net: Net) -> None:
    net.network.cut([(1, 2), (1, 3)])
    net.network.cut([(1, 2)])
    net.network.mend([(1, 2), (1, 3)])
    assert net.network.is_cut((1, 2)) and not net.network.is_cut((1, 3))
    net.network.mend([(1, 2)])
    assert not net.network.is_partitioned
    net.network.mend([(1, 2)])  # once too often: nothing happens
    net.send(1, 2, 1)
    net.run(1)
    assert net.hosts[2].rounds == [1]


def test_all_cuts_can_be_mended_at_once(net: Net) -> None:
    net.network.cut([(1, 2), (2, 3)])
    net.network.cut([(1, 2)])
    net.network.mend_all()
    assert not net.network.is_partitioned


def test_a_sender_hears_once_of_an_outage_and_again_when_it_is_over(net: Net) -> None:
    net.network.cut([(1, 2)])
    net.send(1, 2, 1, 2, 3)
    net.run(1)
    assert net.hosts[1].events == [(2, PeerEvent.UNREACHABLE)]
    net.network.mend([(1, 2)])
    net.run(2 * RECONNECT_SECONDS)
    assert net.hosts[1].events == [(2, PeerEvent.UNREACHABLE), (2, PeerEvent.CONNECTED)]
    net.network.cut([(1, 2)])
    net.send(1, 2, 4)
    net.run(1)
    assert net.hosts[1].events[2:] == [(2, PeerEvent.UNREACHABLE)], "a new outage is told again"


def test_a_member_that_is_down_gets_nothing_and_hears_nothing(net: Net) -> None:
    net.loop.run_until_complete(net.transports[2].close())
    net.send(1, 2, 1)
    net.run(1)
    assert net.hosts[2].rounds == [] and net.hosts[2].events == []
    assert net.hosts[1].events == [(2, PeerEvent.UNREACHABLE)]


def test_only_peers_have_an_address_but_who_was_heard_a_moment_ago_gets_an_answer(net: Net) -> None:
    net.transports[2].set_peers({3: ["http://peer"]})
    net.send(2, 1, 1)
    net.run(0.1)
    assert net.hosts[1].rounds == []
    net.send(1, 2, 2)
    net.run(0.1)
    net.send(2, 1, 3)
    net.run(0.1)
    assert net.hosts[1].rounds == [3]
    net.run(2)
    net.send(2, 1, 4)
    net.run(1)
    assert net.hosts[1].rounds == [3] and net.network.counts["to no peer"] == 2


Fetch = Callable[[], Awaitable[SnapshotChunk]]


def serve(net: Net, answer: SnapshotChunk | None) -> Fetch:
    asked: list[tuple[int, int, int, int]] = []

    async def serving(member: int, index: int, term: int, offset: int) -> SnapshotChunk | None:
        asked.append((member, index, term, offset))
        return answer

    net.network.serve = serving

    async def fetch() -> SnapshotChunk:
        chunk = await net.transports[1].fetch_snapshot(2, 9, 4, 0)
        assert asked == [(2, 9, 4, 0)]
        return chunk

    return fetch


async def fetched(fetch: Fetch) -> SnapshotChunk:
    return await fetch()


def test_a_piece_of_a_snapshot_travels_there_and_back(net: Net) -> None:
    net.network.conditions = Conditions(0.1, 0.3)
    assert net.loop.run_until_complete(fetched(serve(net, CHUNK))) == CHUNK
    assert net.loop.now == pytest.approx(1.6) and net.network.counts["chunks"] == 1


def test_a_snapshot_that_is_gone_is_told_to_both(net: Net) -> None:
    with pytest.raises(SnapshotGone):
        net.loop.run_until_complete(fetched(serve(net, None)))
    net.run(0.1)
    assert net.hosts[2].events == [(1, PeerEvent.SNAPSHOT_FAILED)]


@pytest.mark.parametrize("link", [(1, 2), (2, 1)])
def test_no_snapshot_comes_over_a_cut_link(net: Net, link: tuple[int, int]) -> None:
    net.network.cut([link])
    with pytest.raises(PeerUnavailable):
        net.loop.run_until_complete(fetched(serve(net, CHUNK)))


def test_a_cut_on_the_way_back_loses_the_piece(net: Net) -> None:
    net.network.conditions = Conditions(0.1, 0.1)
    fetch = serve(net, CHUNK)
    net.loop.call_later(0.15, net.network.cut, [(2, 1)])
    with pytest.raises(PeerUnavailable):
        net.loop.run_until_complete(fetched(fetch))


def let_answer(net: Net, after: float = 0.0) -> list[tuple[int, bytes]]:
    heard: list[tuple[int, bytes]] = []

    async def answering(member: int, question: bytes) -> bytes:
        heard.append((member, question))
        await asyncio.sleep(after)
        return b"yes"

    net.network.answer = answering
    return heard


def test_a_question_travels_there_and_its_answer_back(net: Net) -> None:
    net.network.conditions = Conditions(0.1, 0.3)
    heard = let_answer(net)
    assert net.loop.run_until_complete(net.transports[1].ask(2, b"well?", 5.0)) == b"yes"
    assert heard == [(2, b"well?")] and net.loop.now == pytest.approx(1.6)
    assert net.seen[-2:] == [(1, 2, b"well?"), (2, 1, b"yes")]


@pytest.mark.parametrize(("cut_at", "is_heard"), [(0.0, False), (0.15, True)])
def test_a_question_over_a_cut_link_may_have_been_heard(net: Net, cut_at: float, is_heard: bool) -> None:
    net.network.conditions = Conditions(0.1, 0.1)
    heard = let_answer(net)
    net.loop.call_later(cut_at, net.network.cut, [(2, 1)])
    with pytest.raises(PeerUnavailable):
        net.loop.run_until_complete(net.transports[1].ask(2, b"well?", 5.0))
    assert bool(heard) is is_heard


def test_an_answer_that_takes_too_long_is_given_up(net: Net) -> None:
    let_answer(net, after=10.0)
    began = net.loop.now
    with pytest.raises(PeerUnavailable, match=r"within 5\.0 s"):
        net.loop.run_until_complete(net.transports[1].ask(2, b"well?", 5.0))
    assert net.loop.now - began == pytest.approx(5.0)
