"""What becomes of a request on its way to a node: never more, and never less, than is known."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from raftkv.chaos.client_port import ClientPort
from raftkv.chaos.http_port import HttpPort
from raftkv.chaos.wire import WAYS
from raftkv.client.outcome import LeaseNotFound
from raftkv.errors import RaftKvError
from raftkv.local import free_ports
from raftkv.schema.election import LeaderRequest
from raftkv.schema.kv import (
    CompactionRequest,
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)
from raftkv.schema.lease import LeaseGrantRequest, LeaseKeepAliveRequest, LeaseTimeToLiveRequest
from raftkv.schema.watch import WatchCreateRequest
from raftkv.workloads.outcomes import NotSent, WrongAnswer, is_definite
from tests.client.fake import (
    HEADER,
    Act,
    Asked,
    Member,
    Reply,
    answers,
    hangs_up,
    is_silent,
    refuses,
    succeeds,
)

PUT = PutRequest(key=b"k", value=b"v")


def clock() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture
async def member() -> AsyncIterator[Member]:
    async with Member(succeeds).serving() as member:
        yield member


@pytest.fixture(params=["http", "client"])
def way(request: pytest.FixtureRequest, member: Member) -> Callable[[], HttpPort | ClientPort]:
    if request.param == "http":
        return lambda: HttpPort(member.url, clock, 0.5)
    return lambda: ClientPort([member.url], clock, 0.5)


async def failure(way: Callable[[], Any], message: Any = PUT) -> Exception:
    async with way() as port:
        with pytest.raises((RaftKvError, WrongAnswer)) as caught:
            await port.call(message)
    return caught.value


async def test_an_answer_is_the_message_that_was_sent(way: Callable[[], Any], member: Member) -> None:
    async with way() as port:
        response = await port.call(PUT)
    assert response.header.revision == 5
    assert member.paths == ["/v3/kv/put"]


async def test_a_node_that_is_not_there_was_not_asked() -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    for port in (HttpPort(url, clock, 0.5), ClientPort([url], clock, 0.3)):
        error = await failure(lambda port=port: port)  # type: ignore[misc]
        assert isinstance(error, NotSent)
        assert is_definite(error)


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(hangs_up, id="reset after sending"),
        pytest.param(is_silent, id="silent"),
        pytest.param(refuses("etcdserver: request timed out"), id="timed out inside"),
        pytest.param(refuses("etcdserver: leader changed"), id="leader changed"),
        pytest.param(refuses("whatever", code=2, status=500), id="an error without a meaning"),
        pytest.param(refuses("mutex: session is expired", code=2, status=500), id="session expired"),
        pytest.param(answers("<html>", status=502), id="a proxy's error"),
        pytest.param(answers("{}", status=500), id="an empty error"),
    ],
)
async def test_what_may_have_happened_is_unknown_and_never_sent_again(
    act: Act, way: Callable[[], Any], member: Member
) -> None:
    member.act = act
    error = await failure(way)
    assert isinstance(error, RaftKvError)
    assert not is_definite(error)
    assert len(member.asked) == 1


async def test_half_an_answer_leaves_it_open(way: Callable[[], Any], member: Member) -> None:
    member.cut = 50
    error = await failure(way)
    assert isinstance(error, RaftKvError)
    assert not is_definite(error)


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(refuses("etcdserver: key is not provided", 3, 400), id="a client's fault"),
        pytest.param(refuses("etcdserver: requested lease not found", 5, 404), id="no lease"),
        pytest.param(refuses("etcdserver: mvcc: database space exceeded", 8, 429), id="no space"),
        pytest.param(answers("no such path", status=404), id="no such path"),
    ],
)
async def test_what_was_turned_down_has_certainly_not_happened(
    act: Act, way: Callable[[], Any], member: Member
) -> None:
    member.act = act
    error = await failure(way)
    assert isinstance(error, RaftKvError)
    assert is_definite(error)


async def test_no_leader_is_definite_and_asked_again_by_the_client_only(member: Member) -> None:
    member.act = refuses("etcdserver: no leader")
    error = await failure(lambda: HttpPort(member.url, clock, 0.5))
    assert isinstance(error, RaftKvError)
    assert is_definite(error)
    assert len(member.asked) == 1
    await failure(lambda: ClientPort([member.url], clock, 0.5))
    assert len(member.asked) > 2


async def test_errors_keep_what_a_workload_asks_for(way: Callable[[], Any], member: Member) -> None:
    member.act = refuses("etcdserver: requested lease not found", 5, 404)
    assert isinstance(await failure(way, LeaseTimeToLiveRequest(ID=7)), LeaseNotFound)


@pytest.mark.parametrize("text", ["<html>", "[]", '{"header": 7}', '{"header": {"revision": "x"}}'])
async def test_a_complete_answer_that_is_none_is_a_finding(
    text: str, way: Callable[[], Any], member: Member
) -> None:
    member.act = answers(text)
    assert isinstance(await failure(way), WrongAnswer)


async def test_an_unanswered_write_is_given_up_when_its_time_is_over(member: Member) -> None:
    member.act = is_silent
    async with HttpPort(member.url, clock, 60.0) as port:
        task = asyncio.create_task(port.call(PUT))
        while not member.asked:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        member.act = succeeds
        assert (await port.call(PUT)).header.revision == 5  # on a connection of its own


async def test_a_keepalive_is_one_request_and_one_response(way: Callable[[], Any], member: Member) -> None:
    async def act(asked: Asked, reply: Reply) -> None:
        await reply.json({"result": {"header": HEADER, "ID": asked.body["ID"], "TTL": "9"}})

    member.act = act
    async with way() as port:
        response = await port.call(LeaseKeepAliveRequest(ID=7))
    assert (response.ID, response.TTL) == (7, 9)


async def test_every_request_of_a_workload_has_a_path_of_its_own() -> None:
    assert len({way.path for way in WAYS.values()}) == len(WAYS)


async def test_a_compaction_waits_until_what_it_takes_away_was_seen(
    member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [4, 4, 5]
    for make in (
        lambda: HttpPort(member.url, clock, 0.5, lambda: seen.pop(0) if len(seen) > 1 else seen[0]),
        lambda: ClientPort([member.url], clock, 0.5, lambda: seen.pop(0) if len(seen) > 1 else seen[0]),
    ):
        seen[:] = [4, 4, 5]
        async with make() as port:
            await port.call(CompactionRequest(revision=5))
            assert seen == [5]
            assert len(member.asked) == 1
            monkeypatch.setattr("raftkv.chaos.wire.SEEN_SECONDS", 0.05)
            with pytest.raises(NotSent):
                await port.call(CompactionRequest(revision=6))
            assert len(member.asked) == 1
        member.asked.clear()


# ---------------------------------------------------------------- watches


async def _one_event(asked: Asked, reply: Reply) -> None:
    await reply.begin_stream()
    await reply.result({"header": HEADER, "created": True})
    await reply.result({"header": HEADER, "events": [{"kv": {"key": "aw==", "mod_revision": "5"}}]})
    await reply.end_stream()


async def test_a_watch_brings_its_responses_and_ends_with_its_stream(member: Member) -> None:
    member.act = _one_event
    async with (
        HttpPort(member.url, clock, 0.5) as port,
        port.watch(WatchCreateRequest(key=b"k")) as responses,
    ):
        found = [response async for response in responses]
    assert [response.created for response in found] == [True, False]
    assert found[1].events[0].kv.mod_revision == 5
    assert len(member.asked) == 1


async def test_a_watch_that_is_cancelled_brings_that_last(member: Member) -> None:
    async def act(asked: Asked, reply: Reply) -> None:
        await reply.begin_stream()
        await reply.result({"header": HEADER, "canceled": True, "compact_revision": "9"})
        await asyncio.Event().wait()

    member.act = act
    async with (
        HttpPort(member.url, clock, 0.5) as port,
        port.watch(WatchCreateRequest(key=b"k")) as responses,
    ):
        assert [response.compact_revision async for response in responses] == [9]


async def test_a_watch_of_what_is_compacted_ends_through_the_client_as_at_a_node(member: Member) -> None:
    async def act(asked: Asked, reply: Reply) -> None:
        await reply.begin_stream()
        await reply.result({"header": HEADER, "created": True})
        if len(member.asked) > 1:
            await reply.result({"header": HEADER, "canceled": True, "compact_revision": "9"})
            await asyncio.Event().wait()
        await reply.end_stream()

    member.act = act
    wanted = WatchCreateRequest(key=b"k", start_revision=2)
    async with ClientPort([member.url], clock, 0.5) as port, port.watch(wanted) as responses:
        found = [response async for response in responses]
    assert [one.created for one in found] == [True, False]
    assert (found[-1].canceled, found[-1].compact_revision, found[-1].header.revision) == (True, 9, 9)


async def test_a_watch_of_a_node_that_is_gone_was_not_sent() -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    async with HttpPort(url, clock, 0.5) as port:
        with pytest.raises(NotSent):
            async with port.watch(WatchCreateRequest(key=b"k")):
                pass


async def test_a_watch_through_the_client_keeps_a_revision_together(member: Member) -> None:
    async def act(asked: Asked, reply: Reply) -> None:
        await reply.begin_stream()
        await reply.result({"header": HEADER, "created": True})
        events = [{"kv": {"key": key, "mod_revision": number}} for key, number in TWO_AND_ONE]
        await reply.result({"header": HEADER, "events": events})
        await asyncio.Event().wait()

    member.act = act
    wanted = WatchCreateRequest(key=b"k", start_revision=5)
    async with ClientPort([member.url], clock, 0.5) as port, port.watch(wanted) as responses:
        created = await anext(responses)
        first, second = await anext(responses), await anext(responses)
    assert created.created
    assert [len(first.events), len(second.events)] == [2, 1]


TWO_AND_ONE = (("aw==", "6"), ("bA==", "6"), ("aw==", "7"))


async def test_a_line_of_a_watch_that_is_none_is_a_finding(member: Member) -> None:
    async def act(asked: Asked, reply: Reply) -> None:
        await reply.begin_stream()
        await reply.chunk(b'{"result": 7}\n')
        await asyncio.Event().wait()

    member.act = act
    async with (
        HttpPort(member.url, clock, 0.5) as port,
        port.watch(WatchCreateRequest(key=b"k")) as responses,
    ):
        with pytest.raises(WrongAnswer):
            await anext(responses)


async def test_the_leaders_of_an_election_come_as_a_stream(way: Callable[[], Any], member: Member) -> None:
    async def act(asked: Asked, reply: Reply) -> None:
        await reply.begin_stream()
        await reply.result({"header": HEADER, "kv": {"key": "aw=="}})
        await reply.end_stream()

    member.act = act
    async with way() as port, port.observe(LeaderRequest(name=b"e")) as leaders:
        assert [one.kv.key async for one in leaders] == [b"k"]


# ---------------------------------------------------------------- both ports against a real server


@pytest.mark.e2e
async def test_both_ways_say_the_same_of_keys_and_leases(urls: list[str], name: str) -> None:
    for number, port in enumerate((HttpPort(urls[0], clock), ClientPort(urls, clock))):
        key = f"{name}{number}".encode()
        async with port:
            put = await port.call(PutRequest(key=key, value=b"v"))
            found = await port.call(RangeRequest(key=key))
            assert (found.count, found.kvs[0].mod_revision) == (1, put.header.revision)
            guard = Compare(key=key, target=2, mod_revision=put.header.revision)
            then = [
                RequestOp(request_put=PutRequest(key=key, value=b"w")),
                RequestOp(request_range=RangeRequest(key=key)),
            ]
            txn = await port.call(TxnRequest(compare=[guard], success=then))
            assert txn.succeeded
            assert txn.responses[1].response_range.kvs[0].value == b"w"
            assert txn.header.revision == put.header.revision + 1
            assert (await port.call(DeleteRangeRequest(key=key))).deleted == 1
            lease = await port.call(LeaseGrantRequest(TTL=60))
            assert (await port.call(LeaseKeepAliveRequest(ID=lease.ID))).TTL == 60
            watched = WatchCreateRequest(key=key, start_revision=put.header.revision)
            async with port.watch(watched) as responses:
                assert (await anext(responses)).created
                revisions: list[int] = []
                while len(revisions) < 3:
                    revisions += [event.kv.mod_revision for event in (await anext(responses)).events]
            assert revisions == [put.header.revision + step for step in range(3)]
