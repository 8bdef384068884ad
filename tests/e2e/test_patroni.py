"""Patroni, which keeps PostgreSQL highly available with etcd, does the same with raftkv.

Its own code for etcd v3 runs as it is (over the JSON gateway: leases, txns, a watch on its prefix), without a
PostgreSQL below it: three nodes that want to lead.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from raftkv.local import LocalCluster, free_ports
from raftkv.local.processes import wait_until

SCRIPT = Path(__file__).parent / "patroni_node.py"
NODES = ("pg1", "pg2", "pg3")
TTL = 8
SECONDS = 60


class Round(NamedTuple):
    """One round of a node: when, and what came of it."""

    node: str
    began: float
    ended: float
    seen: str


class Node:
    """A Patroni node's process."""

    def __init__(self, name: str, folder: Path, cluster: LocalCluster) -> None:
        self.name = name
        self._output = folder / f"{name}.out"
        hosts = [member.client_url.removeprefix("http://") for member in cluster.layout.members]
        with self._output.open("wb") as output, (folder / f"{name}.err").open("wb") as errors:
            command = [sys.executable, str(SCRIPT), name, str(TTL), *hosts]
            self._process = subprocess.Popen(command, stdout=output, stderr=errors)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def rounds(self) -> list[Round]:
        lines = self._output.read_text(encoding="utf-8").splitlines(keepends=True)
        fields = [line.split(maxsplit=2) for line in lines if line.endswith("\n")]
        return [Round(self.name, float(began), float(ended), seen.strip()) for began, ended, seen in fields]

    def now(self) -> str:
        """What its last round came to."""
        return next((each.seen for each in reversed(self.rounds())), "")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    cluster = LocalCluster.open_or_create(tmp_path / "cluster", 3, free_ports(6))
    cluster.up()
    yield cluster
    cluster.down()


@pytest.fixture
def nodes(tmp_path: Path, cluster: LocalCluster) -> Iterator[list[Node]]:
    with ExitStack() as stack:
        nodes = [Node(name, tmp_path, cluster) for name in NODES]
        for node in nodes:
            stack.callback(node.kill)
        yield nodes


def the_leader(nodes: list[Node]) -> Node:
    """Wait until one node leads and the others follow it."""

    def agreed() -> Node | None:
        for node in nodes:
            others = [other.now() for other in nodes if other is not node]
            if node.now() == "leads" and set(others) == {f"follows {node.name}"}:
                return node
        return None

    assert wait_until(lambda: agreed() is not None, SECONDS, 0.1), [node.now() for node in nodes]
    found = agreed()
    return found if found is not None else the_leader(nodes)


def leads(nodes: list[Node]) -> list[Round]:
    """Every round that a node ended as the leader, by its end."""
    return sorted(
        (each for node in nodes for each in node.rounds() if each.seen == "leads"),
        key=lambda each: each.ended,
    )


@pytest.mark.e2e
def test_one_postgres_leads_whatever_happens_to_leaders(cluster: LocalCluster, nodes: list[Node]) -> None:
    first = the_leader(nodes)

    # the leader of raftkv goes: leases begin anew with its successor, so the lead stays where it was
    killed = cluster.wait_healthy().leader
    cluster.kill(killed)
    after_kill = len(first.rounds())
    assert wait_until(
        lambda: [each.seen for each in first.rounds()[after_kill:]].count("leads") >= 3, SECONDS, 0.1
    ), [each.seen for each in first.rounds()]
    assert the_leader(nodes) is first
    assert {each.node for each in leads(nodes)} == {first.name}
    assert cluster.restart(killed)

    # the leader of PostgreSQL goes: another one leads once the lease has run out, and not before
    first.kill()
    last = leads(nodes)[-1]
    others = [node for node in nodes if node is not first]
    second = the_leader(others)
    taken = next(each for each in leads(nodes) if each.node == second.name)
    assert taken.ended >= last.began + TTL
    assert {each.node for each in leads(nodes)} == {first.name, second.name}
