"""What a transport counts: bytes, losses, and round trips, for each peer."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from raftkv.net.ping import PING_PATH
from tests.net.members import CLUSTER, PATIENT, Member, append, heartbeat, running

PROBING = PATIENT._replace(probe=0.01)


async def until(condition: object) -> None:
    async with asyncio.timeout(20):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.001)


def trips(member: Member, peer: int) -> int:
    return sum(member.transport.traffic.of(peer).round_trips.buckets)


async def test_round_trips_are_measured_both_ways_and_take_time() -> None:
    one, two = Member(1, timing=PROBING), Member(2, timing=PROBING)
    async with running(one, two):
        await until(lambda: trips(one, 2) >= 3 and trips(two, 1) >= 3)
        assert 0 < one.transport.traffic.of(2).round_trips.sum < 20


async def test_what_is_sent_arrives_and_is_counted_on_both_sides() -> None:
    one, two = Member(1, timing=PATIENT), Member(2, timing=PATIENT)
    async with running(one, two):
        await one.connected(2)
        one.transport.send([append(1, 2, 10_000), heartbeat(1, 2)])
        await two.until(lambda: len(two.messages) == 2)
        sent = one.transport.traffic.of(2).sent_bytes
        assert 10_000 < sent < 11_000
        await until(lambda: two.transport.traffic.of(1).received_bytes == sent)
        assert one.transport.traffic.of(2).connected
        assert one.transport.traffic.of(2).dropped == 0


async def test_messages_to_a_peer_that_is_gone_are_counted_as_lost() -> None:
    one, two = Member(1, timing=PATIENT), Member(2, timing=PATIENT)
    async with running(one, two):
        await one.connected(2)
        await two.transport.close()
        traffic = one.transport.traffic.of(2)
        await until(lambda: not traffic.connected)
        assert traffic.disconnects == 1
        one.transport.send([heartbeat(1, 2), heartbeat(1, 2)])
        assert traffic.dropped == 2


async def test_a_peer_that_left_the_cluster_is_not_connected_any_more() -> None:
    one, two = Member(1, timing=PATIENT), Member(2, timing=PATIENT)
    async with running(one, two):
        await one.connected(2)
        one.transport.set_peers({})
        assert not one.transport.traffic.of(2).connected


async def test_a_ping_of_another_cluster_is_refused() -> None:
    one = Member(1)
    async with running(one), aiohttp.ClientSession() as session:
        headers = Member(2, CLUSTER + 1).transport._local.hello(1).headers()
        async with session.get(one.urls[0] + PING_PATH, headers=headers) as reply:
            assert reply.status == 412
        async with session.get(one.urls[0] + PING_PATH) as reply:
            assert reply.status == 400
        async with session.post(one.urls[0] + PING_PATH, data=b"") as reply:
            assert (reply.status, reply.headers["Allow"]) == (405, "GET")


async def test_a_peer_that_knows_no_pings_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asyncio.Event()

    def older(request: web.BaseRequest, local: object) -> web.Response:
        asked.set()
        return web.Response(status=404)

    monkeypatch.setattr("raftkv.net.incoming.answer_ping", older)
    one, two = Member(1, timing=PROBING), Member(2, timing=PROBING)
    async with running(one, two):
        await asked.wait()
        asked.clear()
        await asked.wait()
        assert trips(one, 2) == trips(two, 1) == 0
        assert set(one.transport.connected_peers()) == {2}
