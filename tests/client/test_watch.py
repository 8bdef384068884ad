"""Watches, against real systems; what a cut connection does to them is in test_cut_streams."""

import asyncio

import pytest

from raftkv.client import Client, Compacted, Event, Watch, WatchCanceled, compare, ops
from raftkv.schema.watch import FilterType


async def take(watch: Watch, count: int) -> list[Event]:
    async with asyncio.timeout(20):
        return [await anext(watch) for _ in range(count)]


def brief(events: list[Event], name: str) -> list[tuple[str, str, bytes]]:
    return [(event.type.name, event.key.decode().removeprefix(name), event.value) for event in events]


async def test_a_watch_brings_what_happens_after_it_was_entered(client: Client, name: str) -> None:
    await client.put(name + "a", "before")
    async with client.watch(name, prefix=True) as watch:
        await client.put(name + "a", "1")
        await client.put("elsewhere", "1")
        last = await client.delete(name + "a")
        events = await take(watch, 2)
    assert brief(events, name) == [("PUT", "a", b"1"), ("DELETE", "a", b"")]
    assert (events[1].is_delete, events[1].revision) == (True, last.revision)
    assert watch.next_revision == last.revision + 1


async def test_a_watch_brings_history_and_then_what_happens(client: Client, name: str) -> None:
    first = await client.put(name, "1")
    await client.put(name, "2")
    watch = client.watch(name, start_revision=first.revision)
    history = await take(watch, 2)
    await client.put(name, "3")
    live = await take(watch, 1)
    watch.close()
    assert [event.value for event in history + live] == [b"1", b"2", b"3"]


async def test_a_watch_of_the_future_begins_at_once_and_brings_nothing_before_it(
    client: Client, name: str
) -> None:
    now = (await client.put(name, "0")).revision
    async with asyncio.timeout(5), client.watch(name, start_revision=now + 3) as watch:
        for number in range(1, 5):
            await client.put(name, str(number))
        events = await take(watch, 2)
    assert [(event.revision, event.value) for event in events] == [(now + 3, b"3"), (now + 4, b"4")]


async def test_pairs_before_come_when_they_are_wanted(client: Client, name: str) -> None:
    async with client.watch(name, prev_kv=True) as watch:
        await client.put(name, "1")
        await client.put(name, "2")
        events = await take(watch, 2)
    assert [event.prev_kv and event.prev_kv.value for event in events] == [None, b"1"]


async def test_a_range_and_a_filter(client: Client, name: str) -> None:
    only_deletions = [FilterType.NOPUT]
    async with client.watch(name + "b", name + "d", filters=only_deletions) as watch:
        for key in "abcd":
            await client.put(name + key)
        await client.delete_prefix(name)
        events = await take(watch, 2)
    assert brief(events, name) == [("DELETE", "b", b""), ("DELETE", "c", b"")]


async def test_changes_of_one_txn_share_a_revision_and_the_next_start_is_behind_all_of_them(
    client: Client, name: str
) -> None:
    async with client.watch(name, prefix=True) as watch:
        done = await client.txn().then(ops.put(name + "a"), ops.put(name + "b")).commit()
        await take(watch, 1)
        assert watch.next_revision == done.revision
        [second] = await take(watch, 1)
    assert second.revision == done.revision
    assert watch.next_revision == done.revision + 1


async def test_a_big_txn_comes_in_fragments_and_is_whole(client: Client, name: str) -> None:
    value = b"x" * 700_000
    async with client.watch(name, prefix=True) as watch:
        first = await client.put(name + "0", value)
        for key in "1234":
            await client.put(name + key, value)
        await take(watch, 5)
    async with client.watch(name, prefix=True, start_revision=first.revision) as again:
        events = await take(again, 5)
    assert [event.value for event in events] == [value] * 5


async def test_history_that_is_gone_is_reported_with_what_is_left(client: Client, name: str) -> None:
    old = await client.put(name, "1")
    new = await client.put(name, "2")
    await client.compact(new.revision)
    with pytest.raises(Compacted) as raised:
        await take(client.watch(name, start_revision=old.revision), 1)
    assert raised.value.revision == new.revision
    again = client.watch(name, start_revision=raised.value.revision)
    assert [event.value for event in await take(again, 1)] == [b"2"]
    again.close()


async def test_a_watch_that_the_server_refuses_is_over(client: Client, name: str) -> None:
    watch = client.watch(name + "b", name + "a")
    with pytest.raises(WatchCanceled, match="watcher range is empty"):
        await anext(watch)
    with pytest.raises(StopAsyncIteration):
        await anext(watch)


async def test_a_wait_that_is_given_up_takes_nothing_away(client: Client, name: str) -> None:
    async with client.watch(name) as watch:
        for number in range(20):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await anext(watch)
            await client.put(name, str(number))
            assert [event.value for event in await take(watch, 1)] == [str(number).encode()]


async def test_a_watch_that_is_closed_ends_its_loop(client: Client, name: str) -> None:
    seen = []

    async def follow(watch: Watch) -> None:
        async for event in watch:
            seen.append(event.value)

    watch = client.watch(name)
    async with watch:
        following = asyncio.create_task(follow(watch))
        await client.put(name, "1")
        while not seen:
            await asyncio.sleep(0.001)
    await asyncio.wait_for(following, 10)
    assert seen == [b"1"]


async def test_a_counter_that_many_count_is_seen_as_it_grows(client: Client, name: str) -> None:
    """Every value of the counter comes once and in order, whoever wrote it."""

    async def add(times: int) -> None:
        for _ in range(times):
            done = False
            while not done:
                pair = await client.get(name)
                now, revision = (int(pair.value), pair.mod_revision) if pair else (0, 0)
                unchanged = compare.mod_revision(name).equals(revision)
                done = (
                    await client.txn().when(unchanged).then(ops.put(name, str(now + 1))).commit()
                ).succeeded

    async with client.watch(name) as watch:
        await asyncio.gather(*(add(5) for _ in range(4)))
        assert [int(event.value) for event in await take(watch, 20)] == list(range(1, 21))


async def test_a_loop_that_is_left_and_a_client_that_is_closed_end_a_watch(
    urls: list[str], name: str
) -> None:
    async with Client(urls) as client:
        first = await client.put(name, "1")
        async for event in client.watch(name, start_revision=first.revision):
            assert event.value == b"1"
            break
        watch = client.watch(name, start_revision=first.revision)
        await take(watch, 1)
        waiting = asyncio.create_task(take(watch, 1))
        await asyncio.sleep(0)
    with pytest.raises(StopAsyncIteration):
        await anext(watch)
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(waiting, 10)
