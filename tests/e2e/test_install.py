"""Real processes: a follower that was killed and missed more than the log still has gets a snapshot."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from raftkv.local import LocalCluster, free_ports
from raftkv.local.processes import wait_until

SNAPSHOT_COUNT = 500
AT_ONCE = 50


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    flags = ("--snapshot-count", str(SNAPSHOT_COUNT), "--log-format", "json", "--check-rules", "true")
    cluster = LocalCluster.open_or_create(tmp_path / "cluster", 3, free_ports(6), flags)
    cluster.up()
    yield cluster
    cluster.down()


async def write(url: str, first: int, count: int) -> None:
    async with aiohttp.ClientSession() as session:

        async def put(number: int) -> None:
            key, value = (b64encode(text % number).decode() for text in (b"key-%d", b"value-%d"))
            async with session.post(f"{url}/v3/kv/put", json={"key": key, "value": value}) as answer:
                assert answer.status == 200, await answer.text()

        for start in range(first, first + count, AT_ONCE):
            await asyncio.gather(*(put(number) for number in range(start, start + AT_ONCE)))


async def ask(url: str, path: str, body: dict[str, Any]) -> Any:
    async with aiohttp.ClientSession() as session, session.post(url + path, json=body) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


def everything(url: str) -> tuple[int, list[Any]]:
    """Revision and all pairs of one member, with their revisions, as it has them itself."""
    body = {"key": "AA==", "range_end": "AA==", "serializable": True}
    answer = asyncio.run(ask(url, "/v3/kv/range", body))
    return int(answer["header"]["revision"]), answer["kvs"]


def events(cluster: LocalCluster, name: str, kind: str) -> list[dict[str, Any]]:
    member = next(member for member in cluster.layout.members if member.name == name)
    lines = cluster.layout.log(member).read_text(encoding="utf-8").splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    return [event for event in told if event["event"] == kind]


@pytest.mark.e2e
def test_a_follower_that_missed_more_than_the_log_has_installs_a_snapshot(cluster: LocalCluster) -> None:
    leader = cluster.wait_healthy().leader
    follower = next(m for m in cluster.layout.members if m.name != leader)
    url = next(m for m in cluster.layout.members if m.name == leader).client_url
    asyncio.run(write(url, 0, 200))
    cluster.kill(follower.name)
    asyncio.run(write(url, 200, 4 * SNAPSHOT_COUNT))
    assert events(cluster, leader, "SnapshotTaken")
    assert cluster.restart(follower.name)
    asyncio.run(write(url, 200 + 4 * SNAPSHOT_COUNT, 200))

    urls = [member.client_url for member in cluster.layout.members]
    states: list[tuple[int, list[Any]]] = []

    def equal() -> bool:
        states[:] = [everything(url) for url in urls]
        return len({revision for revision, _ in states}) == 1

    assert wait_until(equal, 30, 0.1), [revision for revision, _ in states]
    assert states[0] == states[1] == states[2]
    assert len(states[0][1]) == 400 + 4 * SNAPSHOT_COUNT
    (installed,) = events(cluster, follower.name, "SnapshotInstalled")
    assert installed["snapshot_index"] > SNAPSHOT_COUNT

    cluster.kill(follower.name)  # what it installed is what it starts from
    assert cluster.restart(follower.name)
    assert wait_until(equal, 30, 0.1)
    assert states[0] == states[1] == states[2]
    assert len(events(cluster, follower.name, "SnapshotInstalled")) == 1
