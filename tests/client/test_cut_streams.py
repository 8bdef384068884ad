"""Watches over connections that are cut at every byte: nothing is missing and nothing comes twice."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, closing
from random import Random
from typing import Any

import pytest

from raftkv.client import Client, NoAnswer, Refused, Unreachable, Watch, rules, subscription
from raftkv.errors import RaftKvError
from tests.client.fake import HEADER, Asked, Member, Reply, hangs_up, is_silent, succeeds

HISTORY = [(2, "a"), (3, "a"), (3, "b"), (3, "c"), (4, "b"), (6, "a"), (6, "c"), (7, "a")]
"""Revision and key of every event: some revisions have several, some none."""

NOW = 4
"""The revision at which a watch begins; what is behind it happens later."""

ERROR = {"error": {"grpc_code": 14, "http_code": 503, "message": "etcdserver: no leader"}}
DENIED = {"error": {"grpc_code": 7, "http_code": 403, "message": "etcdserver: permission denied"}}


def events(*of: tuple[int, str]) -> list[dict[str, Any]]:
    return [
        {"kv": {"key": base64.b64encode(key.encode()).decode(), "mod_revision": str(revision)}}
        for revision, key in of
    ]


def replies(start: int) -> Iterator[dict[str, Any]]:
    """What was comes as one reply in two fragments, what happens then as a reply of each revision."""
    yield {"header": HEADER | {"revision": str(NOW)}, "created": True}
    past = [each for each in HISTORY if start <= each[0] <= NOW]
    if past:
        yield {"header": HEADER, "fragment": True, "events": events(*past[:2])}
        yield {"header": HEADER, "events": events(*past[2:])}
    for revision in range(max(start, NOW + 1), 8):
        happened = [each for each in HISTORY if each[0] == revision]
        if happened or revision == 5:  # of which only progress is told
            yield {"header": HEADER | {"revision": str(revision)}, "events": events(*happened)}


def lines(start: int) -> list[bytes]:
    return [json.dumps({"result": reply}, separators=(",", ":")).encode() + b"\n" for reply in replies(start)]


HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(line: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(line), line)


def stream(start: int) -> bytes:
    """Every byte that a member sends for a watch."""
    return HEAD + b"".join(chunk(line) for line in lines(start))


class Store:
    """Answers watches; ``ends`` says for each connection what it ends with, after the last one none does."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.ends: list[bytes | int] = []

    async def __call__(self, asked: Asked, reply: Reply) -> None:
        create = asked.body["create_request"]
        assert create["fragment"]
        start = int(create.get("start_revision", "0")) or NOW + 1
        self.starts.append(start)
        end = self.ends.pop(0) if self.ends else None
        match end:
            case None:
                await reply.send(stream(start))
                await is_silent(asked, reply)
            case bytes():
                await reply.send(end)
            case int():
                await reply.send(stream(start)[:end])
        raise ConnectionAbortedError


@pytest.fixture
async def store(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    monkeypatch.setattr(rules, "FIRST_WAIT", 0.0001)
    monkeypatch.setattr(rules, "LONGEST_WAIT", 0.001)
    yield Store()


@pytest.fixture
async def client(store: Store) -> AsyncIterator[Client]:
    """A client of two members with one history."""
    async with AsyncExitStack() as stack:
        members = [await stack.enter_async_context(Member(store).serving()) for _ in range(2)]
        yield await stack.enter_async_context(Client([member.url for member in members]))


def expected(start: int) -> list[tuple[int, str]]:
    return [each for each in HISTORY if each[0] >= (start or NOW + 1)]


async def follow(client: Client, start: int) -> list[tuple[int, str]]:
    """Return what a watch brings up to the last event, and check that nothing comes behind it."""
    with closing(client.watch("a", "d", start_revision=start)) as watch:
        async with asyncio.timeout(20):
            found = [await taken(watch) for _ in expected(start)]
        assert watch.next_revision == 8
        return found


async def taken(watch: Watch) -> tuple[int, str]:
    event = await anext(watch)
    return event.revision, event.key.decode()


@pytest.mark.parametrize("start", [0, 1])
async def test_a_stream_that_is_cut_at_any_byte_goes_on_elsewhere(
    client: Client, store: Store, start: int
) -> None:
    for cut in range(len(stream(start or NOW + 1))):
        store.starts.clear()
        store.ends = [cut]
        assert await follow(client, start) == expected(start), f"cut after {cut} bytes"
        assert len(store.starts) <= 2
        # what was given out is not asked for again, and what was not is
        assert store.starts[-1] in {start or NOW + 1, 5, 6, 7, 8}


@pytest.mark.parametrize("seed", range(40))
async def test_a_stream_that_is_cut_again_and_again(client: Client, store: Store, seed: int) -> None:
    random = Random(seed)
    store.ends = [random.randrange(len(stream(1))) for _ in range(30)]
    assert await follow(client, 1) == HISTORY
    assert store.starts == sorted(store.starts)


@pytest.mark.parametrize("count", range(6))
@pytest.mark.parametrize("end", [b"0\r\n\r\n", chunk(json.dumps(ERROR).encode()) + b"0\r\n\r\n", b""])
async def test_a_stream_that_a_member_ends_goes_on_elsewhere(
    client: Client, store: Store, count: int, end: bytes
) -> None:
    whole = HEAD + b"".join(chunk(line) for line in lines(1)[:count])
    store.ends = [whole + end]
    assert await follow(client, 1) == HISTORY
    assert len(store.starts) == 2


async def test_an_error_that_lasts_ends_the_watch(client: Client, store: Store) -> None:
    store.ends = [HEAD + chunk(lines(1)[0]) + chunk(json.dumps(DENIED).encode()) + b"0\r\n\r\n"]
    watch = client.watch("a", start_revision=1)
    with pytest.raises(Refused, match="permission denied") as raised:
        await anext(watch)
    assert raised.value.code == 7
    with pytest.raises(StopAsyncIteration):
        await anext(watch)
    assert len(store.starts) == 1


async def test_a_refused_watch_ends_before_it_began(client: Client, store: Store) -> None:
    body = json.dumps(DENIED).encode()
    store.ends = [b"HTTP/1.1 403 x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)]
    with pytest.raises(Refused, match="permission denied"):
        await anext(client.watch("a"))


async def test_members_that_end_every_stream_at_once_are_not_asked_without_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []
    after = rules.Call.after

    def noted(call: rules.Call, failure: RaftKvError, now: float) -> float:
        waits.append(after(call, failure, now))
        return waits[-1]

    async def begins_and_ends(asked: Asked, reply: Reply) -> None:
        await reply.begin_stream()
        await reply.result({"header": HEADER, "created": True})
        await reply.end_stream()

    monkeypatch.setattr(rules.Call, "after", noted)
    monkeypatch.setattr(rules, "FIRST_WAIT", 0.0001)
    async with AsyncExitStack() as stack:
        members = [await stack.enter_async_context(Member(begins_and_ends).serving()) for _ in range(2)]
        client = await stack.enter_async_context(Client([member.url for member in members]))
        taking = asyncio.create_task(anext(client.watch("a")))
        while len(waits) < 8:
            await asyncio.sleep(0.001)
        taking.cancel()
        await asyncio.wait({taking})
    assert waits[:8] == [0, 0.0001, 0, 0.0002, 0, 0.0004, 0, 0.0008]


async def test_a_stream_that_is_silent_is_opened_anew(
    client: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that is gone says nothing, not even that it is gone."""
    monkeypatch.setattr(subscription, "SILENCE_SECONDS", 0.3)
    async with client.watch("a", "d", start_revision=7) as watch:
        assert await taken(watch) == (7, "a")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await anext(watch)
        assert store.starts[:2] == [7, 8]


async def test_a_silent_stream_of_a_member_that_serves_is_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened anew each time it would never be told how far it is, and be left behind what is compacted."""
    monkeypatch.setattr(subscription, "SILENCE_SECONDS", 0.02)
    checked = asyncio.Event()

    async def act(asked: Asked, reply: Reply) -> None:
        if asked.path == "/v3/kv/range":
            if sum(path == asked.path for path in member.paths) == 3:
                checked.set()
            await succeeds(asked, reply)
            return
        store.starts.append(int(asked.body["create_request"].get("start_revision", "0")))
        if len(store.starts) == 2:
            await is_silent(asked, reply)
        await reply.begin_stream()
        await reply.result({"header": HEADER, "created": True})
        await checked.wait()
        await reply.result({"header": HEADER | {"revision": "90"}})
        raise ConnectionAbortedError

    async with Member(act).serving() as member, Client([member.url]) as client:
        watch = client.watch("a", start_revision=3)
        taking = asyncio.create_task(anext(watch))
        async with asyncio.timeout(10):
            while len(store.starts) < 2:
                await asyncio.sleep(0.001)
        assert store.starts == [3, 91]
        taking.cancel()
        watch.close()


async def test_a_stream_that_is_silent_for_very_long_is_opened_anew_whoever_serves(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "SILENCE_SECONDS", 0.01)

    async def act(asked: Asked, reply: Reply) -> None:
        await (succeeds(asked, reply) if asked.path == "/v3/kv/range" else store(asked, reply))

    async with Member(act).serving() as member, Client([member.url]) as client:
        taking = asyncio.create_task(anext(client.watch("a", start_revision=8)))
        async with asyncio.timeout(10):
            while len(store.starts) < 2:
                await asyncio.sleep(0.001)
        assert member.paths.index("/v3/watch", 1) == subscription.LONGEST_SILENCES
        taking.cancel()


async def test_a_watch_that_can_t_begin_says_so_in_time() -> None:
    async with Client(["http://127.0.0.1:1"], timeout=0.3) as client:
        with pytest.raises(Unreachable):
            await anext(client.watch("a"))
    async with Member(hangs_up).serving() as member, Client([member.url], timeout=0.3) as client:
        with pytest.raises(NoAnswer):
            async with client.watch("a"):
                pass


async def test_a_watch_that_has_begun_waits_for_as_long_as_it_takes(store: Store) -> None:
    async with Member(store).serving() as member, Client([member.url], timeout=0.1) as client:
        store.ends = [len(HEAD + chunk(lines(5)[0]))]
        async with client.watch("a", "d") as watch:
            member.act = hangs_up
            waiting = asyncio.create_task(taken(watch))
            while len(member.asked) < 200:
                await asyncio.sleep(0.001)
            member.act = store
            assert await waiting == (6, "a")
