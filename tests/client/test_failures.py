"""Calls to members that fail in every way: what is sent again, where, and what the caller is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from raftkv.client import (
    Client,
    Lease,
    NoAnswer,
    OutcomeUnknown,
    Refused,
    Unreachable,
    WrongAnswer,
    http,
    ops,
)
from raftkv.local import free_ports
from tests.client.fake import Act, Asked, Member, Reply, answers, hangs_up, is_silent, refuses, succeeds

Start = Callable[[Act], Awaitable[Member]]

NOTHING_HAPPENED = [
    refuses("etcdserver: no leader"),
    refuses("etcdserver: too many requests", 2, 500),
    refuses("raft proposal dropped", 2, 500),
]
IN_DOUBT = [
    hangs_up,
    refuses("etcdserver: request timed out"),
    refuses("context deadline exceeded", 4, 504),
    refuses("etcdserver: server stopped"),
    answers("<html>bad gateway</html>", 502),
]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start members; they end with the test."""
    async with AsyncExitStack() as stack:

        async def begin(act: Act) -> Member:
            return await stack.enter_async_context(Member(act).serving())

        yield begin


def closed_url() -> str:
    return f"http://127.0.0.1:{free_ports(1)[0]}"


async def test_a_write_goes_on_when_no_connection_could_be_made(start: Start) -> None:
    member = await start(succeeds)
    async with Client([closed_url(), member.url]) as client:
        assert (await client.put("k", "v")).revision == 5
    assert member.asked == [Asked("/v3/kv/put", {"key": "aw==", "value": "dg=="})]


@pytest.mark.parametrize("act", NOTHING_HAPPENED)
async def test_a_write_goes_on_when_the_member_did_certainly_not_propose_it(start: Start, act: Act) -> None:
    first, second = await start(act), await start(succeeds)
    async with Client([first.url, second.url]) as client:
        await client.put("k", "v")
    assert (first.paths, second.paths) == (["/v3/kv/put"], ["/v3/kv/put"])


@pytest.mark.parametrize("act", IN_DOUBT)
async def test_a_write_that_may_have_happened_is_never_sent_again(start: Start, act: Act) -> None:
    first, second = await start(act), await start(succeeds)
    async with Client([first.url, second.url]) as client:
        for write in (
            lambda: client.put("k", "v"),
            lambda: client.delete("k"),
            lambda: client.txn().then(ops.put("k")).commit(),
            lambda: client.compact(1),
            lambda: client.lease(5, lease_id=7).__aenter__(),
            lambda: client.cluster.add(["http://a:1"]),
        ):
            client._http.endpoints.first = 0
            with pytest.raises(OutcomeUnknown, match="the write may have happened"):
                await write()
    assert len(first.asked) == 6
    assert second.asked == []


@pytest.mark.parametrize("act", IN_DOUBT + NOTHING_HAPPENED)
async def test_a_read_goes_on_whatever_happened(start: Start, act: Act) -> None:
    first, second = await start(act), await start(succeeds)
    async with Client([first.url, second.url]) as client:
        for read in (
            lambda: client.get("k"),
            lambda: client.get_prefix("k"),
            lambda: client.txn().then(ops.get("k")).commit(),
            lambda: client.cluster.members(),
        ):
            client._http.endpoints.first = 0
            await read()
    assert first.paths == second.paths
    assert len(first.asked) == 4


async def test_a_connection_that_was_used_before_makes_no_difference(start: Start) -> None:
    """HTTP libraries like to repeat a request whose kept connection turns out to be closed."""
    member = await start(succeeds)
    async with Client([member.url]) as client:
        await client.put("k", "1")
        member.act = hangs_up
        with pytest.raises(OutcomeUnknown):
            await client.put("k", "2")
        assert len(member.asked) == 2
        member.act = succeeds
        await client.put("k", "3")


@pytest.mark.parametrize("cut", [0, 1, 20, 60, 120])
async def test_an_answer_that_is_cut_off_is_no_answer(start: Start, cut: int) -> None:
    first, second = await start(succeeds), await start(succeeds)
    first.cut = cut
    async with Client([first.url, second.url]) as client:
        await client.get("k")
        assert len(second.asked) == 1
        client._http.endpoints.first = 0
        with pytest.raises(OutcomeUnknown):
            await client.put("k", "v")
    assert len(second.asked) == 1


async def test_a_refusal_is_final(start: Start) -> None:
    first, second = await start(refuses("etcdserver: key is not provided", 3, 400)), await start(succeeds)
    async with Client([first.url, second.url]) as client:
        with pytest.raises(Refused, match="key is not provided"):
            await client.put("", "v")
        client._http.endpoints.first = 0
        with pytest.raises(Refused, match="key is not provided"):
            await client.get("")
    assert second.asked == []


async def test_a_silent_member_costs_a_read_half_of_its_time_and_leaves_a_write_in_doubt(
    start: Start,
) -> None:
    first, second = await start(is_silent), await start(succeeds)
    async with Client([first.url, second.url], timeout=1) as client:
        await client.get("k")
        client._http.endpoints.first = 0
        with pytest.raises(OutcomeUnknown):
            await client.put("k", "v")
    assert (first.paths, second.paths) == (["/v3/kv/range", "/v3/kv/put"], ["/v3/kv/range"])


async def test_a_call_gives_up_in_time(start: Start) -> None:
    silent = await start(is_silent)
    async with Client([silent.url], timeout=0.3) as client:
        with pytest.raises(NoAnswer):
            await client.get("k")
    urls = [closed_url(), closed_url()]
    async with Client(urls, timeout=0.3) as client:
        with pytest.raises(Unreachable) as raised:
            await client.put("k", "v")
    assert all(url in str(raised.value) for url in urls)
    no_leader = await start(refuses("etcdserver: no leader"))
    async with Client([no_leader.url], timeout=0.3) as client:
        with pytest.raises(Refused, match="no leader"):
            await client.put("k", "v")
    assert len(no_leader.asked) > 1


async def test_a_call_waits_for_a_leader(start: Start) -> None:
    member = await start(refuses("etcdserver: no leader"))
    async with Client([member.url]) as client:
        writing = asyncio.create_task(client.put("k", "v"))
        while len(member.asked) < 3:
            await asyncio.sleep(0.01)
        member.act = succeeds
        await writing


async def test_calls_stay_with_the_member_that_answers(start: Start) -> None:
    first, second = await start(hangs_up), await start(succeeds)
    async with Client([first.url, second.url]) as client:
        for _ in range(5):
            await client.get("k")
    assert (len(first.asked), len(second.asked)) == (1, 5)


@pytest.mark.parametrize(
    ("act", "of_a_write"),
    [
        (answers("Not Found", 404), WrongAnswer),
        (answers("moved", 301, "Location: /x\r\n"), OutcomeUnknown),
        (answers("<html>please log in</html>"), OutcomeUnknown),
    ],
)
async def test_what_is_no_member_is_said_to_be_none(
    start: Start, act: Act, of_a_write: type[Exception]
) -> None:
    member = await start(act)
    async with Client([member.url]) as client:
        with pytest.raises(of_a_write, match="is this a member"):
            await client.put("k", "v")
        with pytest.raises(WrongAnswer, match="is this a member"):
            await client.get("k")
    assert len(member.asked) == 2


async def test_a_reply_without_end_is_not_kept(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_REPLY", 1000)
    member = await start(answers("x" * 2000))
    async with Client([member.url]) as client:
        with pytest.raises(WrongAnswer, match="larger than 1000 bytes"):
            await client.get("k")


# ---------------------------------------------------------------- leases and locks


class Leases:
    """A member that grants leases of a second, numbered from 1, and notes what becomes of them."""

    def __init__(self) -> None:
        self.granted = 0
        self.ended: list[int] = []
        self.locks: list[int] = []
        self.lock: Act = succeeds
        self.keep_alive: Act = is_silent
        self.ttl = 1

    async def __call__(self, asked: Asked, reply: Reply) -> None:
        match asked.path:
            case "/v3/lease/grant":
                self.granted += 1
                await reply.json({"header": {}, "ID": str(self.granted), "TTL": str(self.ttl)})
            case "/v3/lease/revoke":
                self.ended.append(int(asked.body["ID"]))
                await reply.json({"header": {}})
            case "/v3/lease/keepalive":
                await self.keep_alive(asked, reply)
            case "/v3/lock/lock":
                self.locks.append(int(asked.body["lease"]))
                await self.lock(asked, reply)
            case path:
                raise AssertionError(path)


async def renews(asked: Asked, reply: Reply) -> None:
    await reply.begin_stream()
    await reply.result({"header": {}, "ID": asked.body["ID"], "TTL": "1"})
    await reply.end_stream()


async def test_a_lease_that_is_not_renewed_is_lost_when_its_time_is_over(start: Start) -> None:
    member = await start(Leases())
    clock = asyncio.get_running_loop().time
    async with Client([member.url]) as client:
        before = clock()
        lease = await client.lease(1)
        async with asyncio.timeout(20):
            await lease.lost.wait()
        assert clock() - before >= 0.99
    assert "/v3/lease/keepalive" in member.paths


async def test_a_lease_that_nobody_can_renew_any_more_is_lost(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(lease: Lease, now: float) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(Lease, "_renew", fails)
    leases = Leases()
    leases.ttl = 1
    member = await start(leases)
    async with Client([member.url]) as client, asyncio.timeout(10):
        lease = await client.lease(1)
        await lease.lost.wait()


async def test_a_lease_is_renewed_at_another_member(start: Start) -> None:
    leases, other = Leases(), Leases()
    leases.ttl, leases.keep_alive, other.keep_alive = 3, hangs_up, renews
    first, second = await start(leases), await start(other)
    async with Client([first.url, second.url]) as client:
        lease = await client.lease(3)
        async with asyncio.timeout(20):
            while second.paths.count("/v3/lease/keepalive") < 3:
                await asyncio.sleep(0.01)
        assert not lease.lost.is_set()


@pytest.mark.parametrize("lease_id", [0, 1])
async def test_a_lease_that_may_be_someone_else_s_by_now_is_not_ended_again(
    start: Start, lease_id: int
) -> None:
    """With an id of one's own: it may be gone, and granted anew to another client."""
    first, second = Leases(), Leases()
    first.ttl = 60

    async def hangs_up_in_the_end(asked: Asked, reply: Reply) -> None:
        await (hangs_up if asked.path == "/v3/lease/revoke" else first)(asked, reply)

    one, other = await start(hangs_up_in_the_end), await start(second)
    async with Client([one.url, other.url]) as client:
        lease = await client.lease(60, lease_id=lease_id)
        if lease_id:
            with pytest.raises(OutcomeUnknown):
                await lease.revoke()
        else:
            await lease.revoke()
    assert second.ended == ([] if lease_id else [1])


async def test_a_lease_of_which_nothing_is_known_is_asked_for_again(start: Start) -> None:
    first, second = await start(hangs_up), await start(Leases())
    async with Client([first.url, second.url]) as client, client.lease(5) as lease:
        assert lease.id == 1
    assert first.paths == ["/v3/lease/grant"]


@pytest.mark.parametrize(
    "act", [*IN_DOUBT, refuses("etcdserver: request timed out", 2, 500), *NOTHING_HAPPENED]
)
async def test_a_lock_in_doubt_is_asked_for_again_with_another_lease_only(start: Start, act: Act) -> None:
    """The first lease is ended before, so that the first attempt can't get the lock any more."""
    first, second = Leases(), Leases()
    first.lock, second.granted = act, 100
    one, other = await start(first), await start(second)
    async with Client([one.url, other.url]) as client:
        async with client.lock("name") as held:
            assert held.lease.id == 101
            assert second.ended == [1]
        assert second.ended == [1, 101]
    assert (first.locks, second.locks) == ([1], [101])


async def test_a_lock_is_not_waited_for_at_a_member_that_serves_no_more(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "CHECK_SECONDS", 0.05)
    checks: list[str] = []
    first, second = Leases(), Leases()
    first.lock, first.ttl, second.ttl = is_silent, 30, 30

    async def loses_its_leader(asked: Asked, reply: Reply) -> None:
        if asked.path != "/v3/kv/range":
            await first(asked, reply)
        elif len(checks) < 3:
            checks.append(asked.path)
            await reply.json({"header": {}})
        else:
            await reply.refuse("etcdserver: request timed out")

    one, other = await start(loses_its_leader), await start(second)
    async with Client([one.url, other.url]) as client, asyncio.timeout(20), client.lock("name"):
        assert (len(checks), len(second.locks)) == (3, 1)


async def test_a_lock_that_is_refused_for_good_is_not_asked_for_again(start: Start) -> None:
    leases = Leases()
    leases.lock = refuses("something that nobody has seen", 2, 500)
    member = await start(leases)
    async with Client([member.url]) as client:
        with pytest.raises(OutcomeUnknown, match="nobody has seen"):
            async with client.lock("name"):
                raise AssertionError("locked")
    assert (leases.granted, leases.ended) == (1, [1])
