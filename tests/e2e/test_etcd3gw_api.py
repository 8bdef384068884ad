"""etcd3gw, a client that others wrote: its leases, locks and watches mean the same on etcd and on raftkv."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, cycle, repeat
from typing import Any
from urllib.parse import urlsplit

import pytest
from etcd3gw.client import Etcd3Client
from etcd3gw.exceptions import Etcd3Exception

from tests.client.systems import etcd, raftkv

SYSTEMS = {"etcd": etcd, "raftkv": raftkv}
SECONDS = 30
HOLDERS = 6

_numbers = count()


@pytest.fixture(scope="module", params=list(SYSTEMS))
def ports(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    with SYSTEMS[request.param](tmp_path_factory.mktemp(request.param)) as urls:
        yield [port for url in urls if (port := urlsplit(url).port)]


def client_of(port: int) -> Etcd3Client:
    return Etcd3Client("127.0.0.1", port, timeout=SECONDS, api_path="/v3/")


@pytest.fixture
def clients(ports: list[int]) -> Iterator[list[Etcd3Client]]:
    """Three clients, each of another member if there are so many."""
    clients = [client_of(port) for port, _ in zip(cycle(ports), range(3), strict=False)]
    yield clients
    for client in clients:
        client.session.close()


@pytest.fixture
def name() -> str:
    return f"test-{next(_numbers)}"


@pytest.mark.e2e
def test_a_key_goes_with_its_lease(clients: list[Etcd3Client], name: str) -> None:
    first, second, third = clients
    lease = first.lease(60)
    second.put(name, "here", lease)
    assert lease.keys() == [name.encode()]
    assert 0 < lease.ttl() <= 60
    assert lease.refresh() == 60
    assert third.get(name) == [b"here"]
    lease.revoke()
    assert third.get(name) == []
    assert (lease.ttl(), lease.refresh()) == (-1, -1)
    with pytest.raises(Etcd3Exception):
        second.put(name, "again", lease)


@pytest.mark.e2e
def test_a_lease_that_nobody_renews_ends(clients: list[Etcd3Client], name: str) -> None:
    kept, left = clients[0].lease(2), clients[1].lease(2)
    clients[0].put(f"{name}/kept", "1", kept)
    clients[1].put(f"{name}/left", "1", left)
    deadline = time.monotonic() + SECONDS
    while clients[2].get(f"{name}/left"):
        assert time.monotonic() < deadline
        assert kept.refresh() == 2
        time.sleep(0.2)  # kept alive ten times in its two seconds, while the other one runs out
    assert clients[2].get(f"{name}/kept") == [b"1"]
    kept.revoke()


class Turns:
    """Who holds the lock now, and who has had it."""

    def __init__(self) -> None:
        self.inside: list[int] = []
        self.done: list[int] = []

    def take(self, number: int, port: int, name: str) -> None:
        client = client_of(port)
        try:
            lock = client.lock(name, ttl=SECONDS)
            while not lock.acquire():
                time.sleep(0.01)  # etcd3gw tries once; waiting for a lock is left to its users
            assert lock.is_acquired()
            self.inside.append(number)
            time.sleep(0.02)  # long enough inside for a second owner to show
            assert self.inside == [number]
            self.inside.clear()
            assert lock.refresh() == SECONDS
            assert lock.release()
            self.done.append(number)
        finally:
            client.session.close()


@pytest.mark.e2e
def test_a_lock_is_held_by_one_at_a_time(ports: list[int], name: str) -> None:
    turns = Turns()
    with ThreadPoolExecutor(HOLDERS) as pool:
        list(pool.map(turns.take, range(HOLDERS), cycle(ports), repeat(name)))
    assert sorted(turns.done) == list(range(HOLDERS))


def brief(event: dict[str, Any]) -> tuple[str, bytes, bytes]:
    pair = event["kv"]
    return event.get("type", "PUT"), pair["key"], pair.get("value", b"")


@pytest.mark.e2e
def test_a_watch_sees_what_other_members_are_told(clients: list[Etcd3Client], name: str) -> None:
    watched = [client.watch_prefix(f"{name}/") for client in clients]
    clients[0].put(f"{name}/a", "1")
    clients[1].put(f"{name}/b", "2")
    clients[2].put("elsewhere", "3")
    clients[2].put(f"{name}/a", "4")
    clients[0].delete(f"{name}/b")
    a, b = f"{name}/a".encode(), f"{name}/b".encode()
    wanted = [("PUT", a, b"1"), ("PUT", b, b"2"), ("PUT", a, b"4"), ("DELETE", b, b"")]
    for events, cancel in watched:
        assert [brief(next(events)) for _ in wanted] == wanted
        cancel()


@pytest.mark.e2e
def test_a_watch_of_history_begins_where_it_was_told(clients: list[Etcd3Client], name: str) -> None:
    for number in range(5):
        clients[0].put(name, str(number))
    pair = clients[1].get(name, metadata=True)[0][1]
    event = clients[2].watch_once(name, timeout=SECONDS, start_revision=int(pair["mod_revision"]) - 1)
    assert event["kv"]["value"] == b"3"
