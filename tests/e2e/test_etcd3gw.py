"""A client that others wrote keeps its data while the leader is killed again and again."""

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from etcd3gw.client import Etcd3Client
from etcd3gw.exceptions import Etcd3Exception
from etcd3gw.utils import _decode
from requests.exceptions import RequestException
from urllib3.exceptions import NewConnectionError

from raftkv.local import LocalCluster, free_ports
from raftkv.local.processes import wait_until

KEYS = 10_000
KILLS = 3
THREADS_PER_ENDPOINT = 3


class Write(NamedTuple):
    """One attempt: ``outcome`` is "acknowledged", "unknown" or "refused"; times by one clock."""

    key: str
    outcome: str
    started: float
    ended: float


class Writers:
    """Threads that write numbered keys, each once unless the write was surely not sent."""

    def __init__(self, ports: list[int]) -> None:
        self.writes: list[Write] = []
        self.failures: list[BaseException] = []
        self._keys = iter(range(KEYS))
        self._lock = threading.Lock()
        self._ports = ports
        self._threads = [
            threading.Thread(target=self._run, args=(place,), name=f"writer-{place}-{number}")
            for place in range(len(ports))
            for number in range(THREADS_PER_ENDPOINT)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()
        assert self.failures == []

    def acknowledged(self) -> int:
        with self._lock:
            return sum(write.outcome == "acknowledged" for write in self.writes)

    @property
    def running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _run(self, place: int) -> None:
        clients = [Etcd3Client("127.0.0.1", port, timeout=15, api_path="/v3/") for port in self._ports]
        try:
            while (number := self._next_key()) is not None:
                self._write(clients[place:] + clients[:place], f"key-{number:05d}")
        except BaseException as error:
            self.failures.append(error)
            raise
        finally:
            for client in clients:
                client.session.close()

    def _next_key(self) -> int | None:
        with self._lock:
            return next(self._keys, None)

    def _write(self, clients: list[Etcd3Client], key: str) -> None:
        """Write at the first endpoint; go on to the next only while nothing was sent."""
        for client in cycle(clients):
            started = time.monotonic()
            outcome = attempt(client, key)
            with self._lock:
                self.writes.append(Write(key, outcome, started, time.monotonic()))
            if outcome != "refused":
                return


def attempt(client: Etcd3Client, key: str) -> str:
    try:
        client.put(key, value_of(key))
    except (Etcd3Exception, RequestException) as error:
        return "refused" if was_never_sent(error) else "unknown"
    return "acknowledged"


def was_never_sent(error: BaseException) -> bool:
    """Tell whether no connection could be made: the one proof that a write did not happen."""
    seen: BaseException | None = error
    while seen is not None:
        reason = getattr(seen.args[0], "reason", None) if seen.args else None
        if isinstance(seen, NewConnectionError) or isinstance(reason, NewConnectionError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def value_of(key: str) -> str:
    return f"value of {key}"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    cluster = LocalCluster.open_or_create(tmp_path / "cluster", 3, free_ports(6))
    cluster.up()
    yield cluster
    cluster.down()


def kill_the_leader_again_and_again(cluster: LocalCluster, writers: Writers) -> list[tuple[float, float]]:
    """Return, for each kill, the moment just before the signal and one when the process was gone."""
    kills = []
    for number in range(1, KILLS + 1):
        due = KEYS * number // (KILLS + 1)
        assert wait_until(lambda due=due: writers.acknowledged() >= due, 120)
        leader = cluster.wait_healthy().leader
        kills.append(kill(cluster, leader))
        assert writers.running, "the writers were done before the last kill"
        assert cluster.restart(leader)
    return kills


def kill(cluster: LocalCluster, name: str) -> tuple[float, float]:
    """SIGKILL without a step between the clock and the signal in which writes could be answered."""
    pid = pid_of(cluster, name)
    assert pid is not None
    before = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: pid_of(cluster, name) is None, 5, 0.001)
    return before, time.monotonic()


def was_in_flight(write: Write, before: float, gone: float) -> bool:
    """Tell whether the write was sent before the kill and surely not answered before it.

    Its connection was cut by the kill, or its answer came when the process was gone. One whose answer was
    perhaps on its way is not counted.
    """
    return write.started < before < write.ended and (write.outcome == "unknown" or write.ended > gone)


def pid_of(cluster: LocalCluster, name: str) -> int | None:
    return next(process.pid for process in cluster.processes() if process.name == name)


def content(port: int) -> tuple[int, list[dict[str, Any]]]:
    """Revision and all pairs of one member, as it has them itself."""
    client = Etcd3Client("127.0.0.1", port, timeout=30, api_path="/v3/")
    try:
        answer = client.post(
            client.get_url("/kv/range"), json={"key": "AA==", "range_end": "AA==", "serializable": True}
        )
    finally:
        client.session.close()
    return int(answer["header"]["revision"]), answer["kvs"]


def equal_contents(ports: list[int]) -> list[dict[str, Any]]:
    """Wait until all members are at one revision; return the pairs that all of them hold."""
    latest: list[tuple[int, list[dict[str, Any]]]] = []

    def at_one_revision() -> bool:
        latest[:] = [content(port) for port in ports]
        return len({revision for revision, _ in latest}) == 1

    assert wait_until(at_one_revision, 30, 0.2), [revision for revision, _ in latest]
    assert all(pairs == latest[0][1] for _, pairs in latest)
    return latest[0][1]


@pytest.mark.e2e
def test_no_acknowledged_write_is_lost_while_the_leader_is_killed_three_times(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    ports = [member.client_port for member in cluster.layout.members]
    writers = Writers(ports)
    writers.start()
    try:
        kills = kill_the_leader_again_and_again(cluster, writers)
    finally:
        writers.join()
    in_flight = [sum(was_in_flight(write, *moments) for write in writers.writes) for moments in kills]
    outcomes = Counter(write.outcome for write in writers.writes)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{KEYS} keys, {KILLS} kills: acknowledged {outcomes['acknowledged']}, "
            f"unknown {outcomes['unknown']}, refused {outcomes['refused']}; "
            f"in flight at each kill: {in_flight}\n"
        )

    assert len(in_flight) == KILLS
    assert all(in_flight), "a kill did not hit a write under way"
    acknowledged = {write.key for write in writers.writes if write.outcome == "acknowledged"}
    unknown = {write.key for write in writers.writes if write.outcome == "unknown"}
    assert len(acknowledged | unknown) == KEYS
    assert len(acknowledged) > 0.9 * KEYS

    cluster.wait_healthy()
    pairs = {_decode(pair["key"]).decode(): pair for pair in equal_contents(ports)}
    assert acknowledged - set(pairs) == set()
    assert set(pairs) - acknowledged - unknown == set()
    assert all(_decode(pair["value"]).decode() == value_of(key) for key, pair in pairs.items())
    assert {pair["version"] for pair in pairs.values()} == {"1"}, "a write was applied twice"
