"""Streams of the simulated world: nothing is lost on the way, and their end is told."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from raftkv.client.outcome import OutcomeUnknown
from raftkv.schema.election import CampaignRequest, LeaderRequest
from raftkv.schema.kv import PutRequest
from raftkv.schema.lease import LeaseGrantRequest, LeaseKeepAliveRequest
from raftkv.schema.lock import LockRequest
from raftkv.schema.watch import WatchCreateRequest, WatchResponse
from raftkv.sim.port import SimPort
from raftkv.sim.stream import WINDOW
from raftkv.workloads.outcomes import NotSent
from tests.sim.stage import Stage

MANY = 4 * WINDOW


@pytest.fixture
def stage() -> Iterator[Stage]:
    one = Stage()
    one.leader()
    one.run(0.5)
    yield one
    one.close()


def port(stage: Stage, number: int = 1) -> SimPort:
    return SimPort(stage.world, stage.member(number))


def test_a_client_that_reads_nothing_for_a_while_gets_everything_in_order(stage: Stage) -> None:
    async def story() -> list[bytes]:
        async with port(stage).watch(WatchCreateRequest(b"a", b"b")) as responses:
            assert (await anext(responses)).created
            for number in range(MANY):
                await port(stage, 2).call(PutRequest(b"a", b"%d" % number))
            await asyncio.sleep(1)
            events = [event async for one in _first(responses, MANY) for event in one.events]
            return [event.kv.value for event in events if event.kv is not None]

    assert stage.loop.run_until_complete(story()) == [b"%d" % number for number in range(MANY)]


async def _first(responses: AsyncIterator[WatchResponse], count: int) -> AsyncIterator[WatchResponse]:
    seen = 0
    async for one in responses:
        yield one
        seen += len(one.events)
        if seen >= count:
            return


def test_a_large_response_may_come_in_pieces(stage: Stage) -> None:
    async def story() -> list[WatchResponse]:
        for number in range(10):
            await port(stage).call(PutRequest(b"a%d" % number, b"x" * 50))
        create = WatchCreateRequest(b"a", b"b", start_revision=1, fragment=True)
        found: list[WatchResponse] = []
        async with port(stage).watch(create) as responses:
            async for one in responses:
                found.append(one)
                if sum(len(response.events) for response in found) == 10:
                    return found
        raise AssertionError("the stream ended")

    _, *pieces, last = stage.loop.run_until_complete(story())
    assert pieces and all(one.fragment for one in pieces) and not last.fragment


def test_a_stream_of_a_member_that_is_down_says_so(stage: Stage) -> None:
    stage.play("kill n1")

    async def story() -> None:
        async with port(stage).watch(WatchCreateRequest(b"a")) as responses:
            await anext(responses)

    with pytest.raises(NotSent):
        stage.loop.run_until_complete(story())


@pytest.mark.parametrize("request_", [WatchCreateRequest(b"a"), LeaderRequest(b"e")])
def test_a_stream_ends_with_its_member(stage: Stage, request_: WatchCreateRequest | LeaderRequest) -> None:
    async def story() -> None:
        async with stage.world.watch(stage.member(1), request_) as responses:
            asyncio.get_running_loop().call_later(0.3, stage.play, "kill n1")
            async for _ in responses:
                pass

    with pytest.raises(OutcomeUnknown):
        stage.loop.run_until_complete(story())
    assert stage.loop.failures == [] and stage.world.broken == []


def test_leaders_are_observed(stage: Stage) -> None:
    async def story() -> bytes:
        await port(stage).call(LeaseGrantRequest(60, 7))
        async with port(stage, 2).observe(LeaderRequest(b"e")) as leaders:
            await port(stage).call(CampaignRequest(b"e", 7, b"me"))
            leader = (await anext(leaders)).kv
            assert leader is not None
            return leader.value

    assert stage.loop.run_until_complete(story()) == b"me"


def test_who_is_gone_waits_for_no_lock(stage: Stage) -> None:
    """Its key goes, as over a real connection."""

    async def story() -> None:
        for lease in (1, 2, 3):
            await port(stage).call(LeaseGrantRequest(60, lease))
        await port(stage).call(LockRequest(b"l", 1))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await port(stage, 2).call(LockRequest(b"l", 2))
        await asyncio.sleep(0.5)

    stage.loop.run_until_complete(story())
    node = stage.member(3).node
    assert node is not None
    assert node.machine.store.table.attachments.unsorted_keys_of(2) == []
    answer = stage.loop.run_until_complete(port(stage).call(LeaseKeepAliveRequest(3)))
    assert answer.TTL == 60
