"""The Python client and a cluster whose leader is killed again and again."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from raftkv.client import Client, OutcomeUnknown, Unreachable, ops
from raftkv.client.hold import Held
from raftkv.local import LocalCluster, free_ports

KILLS = 2
WRITERS = 4
HOLDERS = 3


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    cluster = LocalCluster.open_or_create(tmp_path / "cluster", 3, free_ports(6))
    cluster.up()
    yield cluster
    cluster.down()


@pytest.fixture
async def client(cluster: LocalCluster) -> AsyncIterator[Client]:
    async with Client([member.client_url for member in cluster.layout.members], timeout=20) as client:
        yield client


async def kill_the_leader(cluster: LocalCluster) -> None:
    """Kill the leader, and start it again when another one leads."""
    view = await asyncio.to_thread(cluster.wait_healthy)
    await asyncio.to_thread(cluster.kill, view.leader)
    while (await asyncio.to_thread(cluster.look)).leader in ("", view.leader):
        await asyncio.sleep(0.05)  # members elect in their own processes
    await asyncio.to_thread(cluster.restart, view.leader)


class Writers:
    """Write one key after the other, each once, and note which are acknowledged and which in doubt."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, int] = {}
        self.in_doubt: set[str] = set()
        self.over = False
        self._keys = (f"k/{number:05d}" for number in count())

    async def write(self, client: Client) -> None:
        while not self.over:
            key = next(self._keys)
            try:
                self.acknowledged[key] = (await client.put(key, key)).revision
            except OutcomeUnknown:
                self.in_doubt.add(key)
            await asyncio.sleep(0.01)


async def follow(urls: list[str], prefix: str, last: str) -> list[tuple[str, int]]:
    """Return key and revision of every event up to the last key's."""
    seen: list[tuple[str, int]] = []
    async with Client(urls) as client, client.watch(prefix, prefix=True, start_revision=1) as watch:
        while not seen or seen[-1][0] != last:
            event = await anext(watch)
            seen.append((event.key.decode(), event.revision))
    return seen


@pytest.mark.e2e
async def test_every_write_comes_once_and_in_order_while_leaders_are_killed(
    cluster: LocalCluster, client: Client
) -> None:
    urls = [member.client_url for member in cluster.layout.members]
    writers = Writers()
    # each of them begins at another member, so that each kill cuts one of them off
    following = [asyncio.create_task(follow(urls[n:] + urls[:n], "k/", "k/last")) for n in range(3)]
    writing = [asyncio.create_task(writers.write(client)) for _ in range(WRITERS)]
    for _ in range(KILLS):
        await kill_the_leader(cluster)
    writers.over = True
    await asyncio.gather(*writing)
    await client.put("k/last")
    async with asyncio.timeout(60):
        seen, *others = await asyncio.gather(*following)

    assert len(writers.acknowledged) > 10 * len(writers.in_doubt)
    assert [revision for _, revision in seen] == sorted(revision for _, revision in seen)
    assert len({key for key, _ in seen}) == len(seen), "an event came twice, or a write was done twice"
    assert writers.acknowledged.items() <= dict(seen).items()
    assert {key for key, _ in seen} - writers.acknowledged.keys() <= writers.in_doubt | {"k/last"}
    found = await client.get_prefix("k/")
    assert sorted(seen) == [(pair.key.decode(), pair.mod_revision) for pair in found.kvs]
    assert others == [seen, seen]


class Turns:
    """Who is inside a lock now, and who has written there, each time by a guard."""

    def __init__(self) -> None:
        self.inside: list[Held] = []
        self.written: list[int] = []
        self.over = False

    async def take(self, client: Client, number: int) -> None:
        while not self.over:
            with suppress(OutcomeUnknown, Unreachable):
                async with client.lock("lock", ttl=5) as held:
                    self.inside.append(held)
                    try:
                        await self._inside(client, number, held)
                    finally:
                        self.inside.remove(held)

    async def _inside(self, client: Client, number: int, held: Held) -> None:
        assert [other for other in self.inside if not other.lost.is_set()] in ([held], [])
        await asyncio.sleep(0.1)  # long enough inside for a second owner, or a kill of the leader, to come
        write = client.txn().when(held.is_held()).then(ops.put("turn", str(number)))
        if (await write.commit()).succeeded:
            self.written.append(number)


@pytest.mark.e2e
async def test_a_lock_excludes_while_leaders_are_killed(cluster: LocalCluster, client: Client) -> None:
    turns = Turns()
    taking = [asyncio.create_task(turns.take(client, number)) for number in range(HOLDERS)]
    for _ in range(KILLS):
        await kill_the_leader(cluster)
    turns.over = True
    async with asyncio.timeout(60):
        await asyncio.gather(*taking)
    assert set(turns.written) == set(range(HOLDERS))
    done = await client.get("turn")
    assert done is not None
    assert done.version >= len(turns.written)
