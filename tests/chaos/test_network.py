"""Bytes through the proxies: held, late, or with their connection broken, and never lost in the middle."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from raftkv.chaos.faults.partitions import Flapping
from raftkv.chaos.link import Counters, Link, Quality
from raftkv.chaos.network import CLIENTS, Network, since
from raftkv.chaos.pipe import MAX_WAITING, Pipe
from raftkv.local import free_ports
from raftkv.net.handshake import Hello
from raftkv.server import loop_factory
from tests.chaos.echo import Echo, is_broken, until

HOST = "127.0.0.1"
TO_NODE = (CLIENTS, "n1")
FROM_NODE = ("n1", CLIENTS)
STREAM = b"POST /raftkv/peer/stream/v1 HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n"


class Wired:
    """A node that echoes, the network in front of it, and clients of its proxy."""

    def __init__(self, echo: Echo, network: Network, port: int) -> None:
        self.echo = echo
        self.network = network
        self.port = port
        self.writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(HOST, self.port)
        self.writers.append(writer)
        return reader, writer

    def counters(self, way: tuple[str, str]) -> Counters:
        return self.network.link(*way).counters


@asynccontextmanager
async def wired(*, peers: bool = False) -> AsyncIterator[Wired]:
    async with Echo() as echo:
        network, port = Network(Random(1), lambda port: ""), free_ports(1)[0]
        if peers:
            network.add_peers_proxy("n1", port, HOST, echo.port)
        else:
            network.add_clients_proxy("n1", port, HOST, echo.port)
        wires = Wired(echo, network, port)
        try:
            yield wires
        finally:
            for writer in wires.writers:
                writer.close()
            await network.close()


async def test_bytes_and_ends_pass_both_ways_and_are_counted() -> None:
    async with wired() as wires:
        reader, writer = await wires.connect()
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"
        writer.write(b"two")
        writer.write_eof()
        assert await reader.read() == b"two"
        assert wires.counters(TO_NODE) == wires.counters(FROM_NODE) == Counters(passed=6)


@pytest.mark.parametrize("way", [TO_NODE, FROM_NODE])
async def test_what_is_held_arrives_when_the_hold_ends(way: tuple[str, str]) -> None:
    async with wired() as wires:
        reader, writer = await wires.connect()
        writer.write(b"before ")
        await reader.readexactly(7)
        hold = wires.network.hold([way])
        writer.write(b"held")
        await until(lambda: wires.counters(way).held == 4)
        assert bytes(wires.echo.heard) == (b"before " if way == TO_NODE else b"before held")
        wires.network.release(hold, reset=False)
        assert await reader.readexactly(4) == b"held"
        assert since(hold).held == 4


async def test_holds_add_up() -> None:
    async with wired() as wires:
        holds = [wires.network.hold([TO_NODE]) for _ in range(2)]
        reader, writer = await wires.connect()
        writer.write(b"held")
        wires.network.release(holds[0], reset=False)
        await until(lambda: wires.counters(TO_NODE).hung == 1)
        await asyncio.sleep(0)
        assert wires.echo.accepted == 0
        wires.network.release(holds[1], reset=False)
        assert await reader.readexactly(4) == b"held"


@pytest.mark.parametrize("way", [TO_NODE, FROM_NODE])
async def test_a_connection_opened_meanwhile_hangs_and_is_not_refused(way: tuple[str, str]) -> None:
    async with wired() as wires:
        hold = wires.network.hold([way])
        reader, writer = await wires.connect()
        writer.write(b"hello")
        await until(lambda: wires.counters(way).hung == 1)
        assert wires.echo.accepted == 0
        wires.network.release(hold, reset=False)
        assert await reader.readexactly(5) == b"hello"


async def test_a_connection_that_hangs_is_not_refused_by_a_node_that_is_gone() -> None:
    async with wired() as wires:
        await wires.echo.__aexit__()
        hold = wires.network.hold([TO_NODE])
        reader, _ = await wires.connect()
        await until(lambda: wires.counters(TO_NODE).hung == 1)
        assert not reader.at_eof()
        wires.network.release(hold, reset=False)
        assert await is_broken(reader)


async def test_a_reset_breaks_what_is_stuck_and_nothing_else() -> None:
    async with wired() as wires:
        stuck, idle = await wires.connect(), await wires.connect()
        for reader, writer in (stuck, idle):
            writer.write(b"x")
            await reader.readexactly(1)
        hold = wires.network.hold([TO_NODE])
        stuck[1].write(b"never")
        await until(lambda: wires.counters(TO_NODE).held == 5)
        wires.network.release(hold, reset=True)
        assert await is_broken(stuck[0])
        idle[1].write(b"y")
        assert await idle[0].readexactly(1) == b"y"
        assert bytes(wires.echo.heard) == b"xxy"
        assert since(hold).resets == 1


async def test_who_hung_up_during_a_hold_is_still_heard_after_it() -> None:
    async with wired() as wires:
        reader, writer = await wires.connect()
        writer.write(b"x")
        await reader.readexactly(1)
        hold = wires.network.hold([TO_NODE])
        writer.write(b"late")
        writer.close()
        await until(lambda: wires.counters(TO_NODE).held == 4)
        wires.network.release(hold, reset=False)
        await until(lambda: bytes(wires.echo.heard) == b"xlate")


async def is_refused(wires: Wired) -> bool:
    try:
        await wires.connect()
    except ConnectionRefusedError:
        return True
    return False


async def refuses(wires: Wired) -> None:
    """Wait until who connects is refused: a proxy that has just begun to listen ends that a moment later."""
    async with asyncio.timeout(20):
        while not await is_refused(wires):
            await asyncio.sleep(0)


@pytest.mark.parametrize("peers", [False, True])
async def test_a_node_that_is_not_there_refuses_until_it_is(peers: bool) -> None:
    async with wired(peers=peers) as wires:
        await wires.echo.__aexit__()
        wires.network.node_is_gone("n1")
        await refuses(wires)
        assert await is_refused(wires)
        await wires.echo.__aenter__()
        while await is_refused(wires):
            await asyncio.sleep(0.001)
        reader, writer = await wires.connect()
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.readexactly(3) == b"GET"


async def test_a_node_that_ended_by_itself_refuses_once_somebody_noticed() -> None:
    async with wired() as wires:
        await wires.echo.__aexit__()
        reader, _ = await wires.connect()
        assert await is_broken(reader)
        await refuses(wires)


async def test_the_port_of_a_node_that_is_gone_stays_its_own() -> None:
    async with wired() as wires:
        await wires.echo.__aexit__()
        wires.network.node_is_gone("n1")
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind((HOST, wires.port))


@pytest.mark.parametrize("way", [TO_NODE, FROM_NODE])
async def test_a_cut_link_to_a_node_that_is_gone_hangs_and_does_not_refuse(way: tuple[str, str]) -> None:
    async with wired() as wires:
        await wires.echo.__aexit__()
        wires.network.node_is_gone("n1")
        await refuses(wires)
        hold = wires.network.hold([way])
        reader, writer = await wires.connect()
        writer.write(b"x")
        await until(lambda: wires.counters(way).hung == 1)
        assert not reader.at_eof()
        wires.network.release(hold, reset=False)
        assert await is_broken(reader)
        await refuses(wires)


async def test_a_cut_link_of_one_node_lets_others_hang_but_not_refuse() -> None:
    async with wired(peers=True) as wires:
        wires.network.add_peers_proxy("n2", free_ports(1)[0], HOST, wires.echo.port)
        await wires.echo.__aexit__()
        wires.network.node_is_gone("n1")
        clients = wires.network.hold([TO_NODE])
        await refuses(wires)
        hold = wires.network.hold([("n1", "n2")])
        assert not await is_refused(wires)
        wires.network.release(hold, reset=False)
        await refuses(wires)
        wires.network.release(clients, reset=False)


async def test_cuts_that_come_and_go_leave_no_port_behind() -> None:
    async with wired() as wires:
        await wires.echo.__aexit__()
        wires.network.node_is_gone("n1")
        for _ in range(20):
            hold = wires.network.hold([TO_NODE])
            wires.network.release(hold, reset=False)
            hold = wires.network.hold([TO_NODE])
            await asyncio.sleep(0)
            wires.network.release(hold, reset=True)
        await refuses(wires)
        wires.network.hold([TO_NODE])
        assert not await is_refused(wires)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((HOST, wires.port))
        other.listen()


@pytest.mark.parametrize(
    "quality",
    [
        Quality(delay=0.01, jitter=0.01),
        Quality(rate=1_000_000),
        Quality(loss=0.3),
    ],
)
async def test_a_bad_link_delivers_all_of_it_in_order(quality: Quality) -> None:
    data = Random(2).randbytes(20_000)
    async with wired() as wires:
        reader, writer = await wires.connect()
        whole = wires.network.degrade([TO_NODE, FROM_NODE], quality)
        for start in range(0, len(data), 500):
            writer.write(data[start : start + 500])
            await asyncio.sleep(0)
        assert await reader.readexactly(len(data)) == data
        counted = since(whole)
        assert counted.delayed > 0
        assert counted.stalls > 0 or not quality.loss


async def test_what_is_late_arrives_at_once_when_the_link_is_good_again() -> None:
    async with wired() as wires:
        reader, writer = await wires.connect()
        quality = Quality(delay=3600)
        whole = wires.network.degrade([TO_NODE], quality)
        writer.write(b"late")
        await until(lambda: since(whole).delayed == 4)
        wires.network.restore(whole, quality)
        assert await reader.readexactly(4) == b"late"


async def test_a_link_breaks_connections() -> None:
    async with wired() as wires:
        reader, writer = await wires.connect()
        whole = wires.network.degrade([FROM_NODE], Quality(reset=1.0))
        writer.write(b"x")
        assert await is_broken(reader)
        assert since(whole).resets == 1


async def test_what_waits_is_bounded_and_nothing_of_it_is_lost() -> None:
    data = Random(3).randbytes(16 * 1024 * 1024)
    async with wired() as wires:
        reader, writer = await wires.connect()
        writer.write(b"x")
        await reader.readexactly(1)
        hold = wires.network.hold([TO_NODE])
        writer.write(data)
        await until(lambda: wires.counters(TO_NODE).held >= MAX_WAITING)
        await asyncio.sleep(0.05)  # in which it would go on reading
        assert wires.network.waiting_bytes() < MAX_WAITING + 1024 * 1024
        wires.network.release(hold, reset=False)
        assert await reader.readexactly(len(data)) == data


async def test_links_that_come_and_go_are_whole_in_the_end() -> None:
    async with wired() as wires:
        flapping = Flapping(Random(4), wires.network, [TO_NODE, FROM_NODE])
        await asyncio.sleep(0)
        reader, writer = await wires.connect()
        writer.write(b"x")
        await until(lambda: flapping.times >= 1)
        await flapping.end()
        assert wires.network.link(*TO_NODE).is_clear
        reader, writer = await wires.connect()
        writer.write(b"y")
        assert await reader.readexactly(1) == b"y"


# ---------------------------------------------------------------- between nodes


def begin_of_stream(source: int) -> bytes:
    headers = Hello(cluster_id=0xC1, source=source, target=0xA1).headers()
    return STREAM % "\r\n".join(f"{name}: {value}" for name, value in headers.items()).encode()


async def test_a_connection_of_a_node_is_held_by_the_links_of_that_node_alone() -> None:
    async with wired(peers=True) as wires:
        wires.network.name(0xB2, "n2")
        wires.network.name(0xC3, "n3")
        hold = wires.network.hold([("n2", "n1"), ("n1", "n2")])
        reader2, writer2 = await wires.connect()
        reader3, writer3 = await wires.connect()
        writer2.write(begin_of_stream(0xB2))
        writer3.write(begin_of_stream(0xC3)[:40])
        writer3.write(begin_of_stream(0xC3)[40:])
        assert await reader3.readexactly(len(begin_of_stream(0xC3))) == begin_of_stream(0xC3)
        await until(lambda: since(hold).hung == 1)
        assert wires.echo.accepted == 1
        wires.network.release(hold, reset=False)
        assert await reader2.readexactly(len(begin_of_stream(0xB2))) == begin_of_stream(0xB2)


async def test_one_way_lets_what_goes_the_other_way_pass() -> None:
    async with wired(peers=True) as wires:
        wires.network.name(0xB2, "n2")
        reader, writer = await wires.connect()
        head = begin_of_stream(0xB2)
        writer.write(head)
        await reader.readexactly(len(head))
        hold = wires.network.hold([("n1", "n2")])
        writer.write(b"message")
        await until(lambda: bytes(wires.echo.heard) == head + b"message")
        await until(lambda: since(hold).held == 7)
        wires.network.release(hold, reset=False)
        assert await reader.readexactly(7) == b"message"


async def test_strangers_are_held_only_when_a_node_is_cut_off_from_all_others() -> None:
    async with wired(peers=True) as wires:
        for name in ("n2", "n3"):
            wires.network.add_peers_proxy(name, free_ports(1)[0], HOST, wires.echo.port)
        some = wires.network.hold([("n2", "n1")])
        reader, writer = await wires.connect()
        writer.write(b"GET /version HTTP/1.1\r\n\r\n")
        await reader.readexactly(25)
        cut = wires.network.hold([("n2", "n1"), ("n3", "n1")])
        _, writer = await wires.connect()
        writer.write(b"GET /version HTTP/1.1\r\n\r\n")
        await until(lambda: since(cut).hung == 1)
        for hold in (some, cut):
            wires.network.release(hold, reset=False)


async def test_a_stranger_who_becomes_known_has_to_connect_again() -> None:
    async with wired(peers=True) as wires:
        reader, writer = await wires.connect()
        head = begin_of_stream(0xB2)
        writer.write(head)
        await reader.readexactly(len(head))
        wires.network.name(0xB2, "n2")
        assert await is_broken(reader)


async def test_the_owner_of_a_connection_is_asked_where_it_does_not_say() -> None:
    async with Echo() as echo:
        asked: list[int] = []
        network, port = Network(Random(1), lambda port: asked.append(port) or "n2"), free_ports(1)[0]  # type: ignore[func-returns-value]
        network.add_peers_proxy("n1", port, HOST, echo.port)
        hold = network.hold([("n2", "n1")])
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"GET /raft/probing HTTP/1.1\r\n\r\n")
        await until(lambda: since(hold).hung == 1)
        assert asked == [writer.get_extra_info("sockname")[1]]
        await network.close()
        assert await is_broken(reader)
        writer.close()


# ---------------------------------------------------------------- clocks


class Counted(Pipe):
    """A pipe that counts how often it looks whether something is due."""

    looks = 0

    def _pump(self) -> None:
        self.looks += 1
        super()._pump()


class Sink(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.got: list[bytes] = []

    def write(self, data: Any) -> None:
        self.got.append(data)

    def is_closing(self) -> bool:
        return False


def test_a_late_piece_is_not_asked_for_all_the_time_where_the_clock_is_coarse() -> None:
    """That of uvloop has milliseconds, and a timer for less than half of one is due at once."""

    async def late(delay: float) -> int:
        link, sink = Link("a", "b", Random(1)), Sink()
        link.add(Quality(delay=delay))
        pipe = Counted(link, lambda: None)
        pipe.write_to(sink)
        pipe.feed(b"x")
        await until(lambda: sink.got == [b"x"])
        return pipe.looks

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        assert [runner.run(late(0.005 + number * 0.00013)) for number in range(10)] == [3] * 10
