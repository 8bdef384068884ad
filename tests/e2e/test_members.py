"""Real processes: members come and go while clients write, and nothing that was acknowledged is lost."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from raftkv.local.processes import wait_until
from tests.cli.command import SECONDS
from tests.e2e.members import Answer, Place, post, put, running, text, wait_healthy

pytestmark = pytest.mark.e2e

HASTY = (sys.executable, "-m", "tests.e2e.hasty", "serve")
LATER = ("unhealthy cluster", "not enough started", "in sync with leader", "request timed out", "no leader")
"""Refusals that a moment may change: a member that has just been started is not connected yet."""


class Cluster:
    """A cluster whose members are started and stopped one by one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.places: dict[str, Place] = {}
        self.ids: dict[str, str] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.stack = ExitStack()

    def new(self, *names: str) -> None:
        """Start a new cluster of these members."""
        for name in names:
            self.places[name] = Place.free(self.folder, name)
        for name in names:
            self.start(name)
        wait_healthy(*self.places.values())
        self.ids = {member["name"]: member["ID"] for member in self.list()}

    def start(self, name: str, **more: str) -> None:
        self.processes[name] = self.stack.enter_context(
            running(HASTY, self.places[name], list(self.places.values()), **more)
        )

    def join(self, name: str, *, learner: bool = False) -> None:
        """Add a member as an operator does: the API first, then the process."""
        place = Place.free(self.folder, name)
        answer = self.change("add", {"peerURLs": [place.peer_url], "isLearner": learner})
        self.places[name] = place
        self.ids[name] = answer["member"]["ID"]
        self.start(name, initial_cluster_state="existing")
        wait_healthy(place)

    def remove(self, name: str) -> None:
        self.change("remove", {"ID": self.ids.pop(name)})
        del self.places[name]

    def change(self, verb: str, body: dict[str, Any]) -> Any:
        """Ask the members in turn until one makes the change."""
        answers: list[Any] = []

        def made() -> bool:
            for place in self.alive():
                answers.append(ask(place, verb, body))
                if answers[-1].status == 200:
                    return True
                assert any(part in str(answers[-1].body) for part in LATER), answers[-1]
            return False

        assert wait_until(made, SECONDS), answers[-3:]
        return answers[-1].body

    def alive(self) -> list[Place]:
        return [place for name, place in self.places.items() if self.processes[name].poll() is None]

    def list(self) -> Any:
        """All members, as one tells that runs and votes."""
        answers = [ask(place, "list", {"linearizable": True}) for place in self.alive()]
        return next(answer.body["members"] for answer in answers if answer.status == 200)

    def leader(self) -> str:
        found: list[str] = []

        def known() -> bool:
            for place in self.alive():
                status = post(place, "/v3/maintenance/status", {}).body
                found[:] = [name for name, number in self.ids.items() if number == status.get("leader")]
                if found:
                    return True
            return False

        assert wait_until(known, SECONDS)
        return found[0]

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8")


def ask(place: Place, verb: str, body: dict[str, Any]) -> Answer:
    try:
        return post(place, f"/v3/cluster/member/{verb}", body)
    except OSError as error:  # the member that was asked has gone
        return Answer(0, f"no leader: {error}")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path)
    with cluster.stack:
        yield cluster


class Writer:
    """Writes numbered keys through whoever takes them, one after the other."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._over = threading.Event()
        self.acknowledged: list[int] = []
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _write(self) -> None:
        number = 0
        while not self._over.is_set():
            for place in list(self._cluster.places.values()):
                try:
                    answer = put(place, b"key-%06d" % number, b"value-%d" % number)
                except OSError:
                    continue
                if answer.status == 200:
                    self.acknowledged.append(number)
                    break
            number += 1

    def more(self, count: int = 20) -> None:
        """Wait until some more writes have been acknowledged."""
        wanted = len(self.acknowledged) + count
        assert wait_until(lambda: len(self.acknowledged) >= wanted, SECONDS)


def keys(place: Place, *, serializable: bool = False) -> Any:
    answer = post(place, "/v3/kv/range", {"key": "AA==", "range_end": "AA==", "serializable": serializable})
    assert answer.status == 200, answer
    return answer.body.get("kvs", [])


def test_a_cluster_grows_to_five_and_shrinks_to_three_under_load(cluster: Cluster) -> None:
    cluster.new("n1")
    with Writer(cluster) as writer:
        for name in ("n2", "n3", "n4", "n5"):
            cluster.join(name)
            writer.more()
        assert len(cluster.list()) == 5
        for _ in range(2):
            gone = cluster.leader()
            process = cluster.processes[gone]
            cluster.remove(gone)
            assert process.wait(SECONDS) == 0
            assert cluster.log(gone).rstrip().endswith("was removed from the cluster")
            writer.more()
    assert len(cluster.list()) == 3
    expected = {text(b"key-%06d" % number) for number in writer.acknowledged}
    assert len(expected) >= 120
    for place in cluster.places.values():
        assert expected <= {pair["key"] for pair in keys(place)}


def test_a_dead_member_is_replaced_and_stays_away_when_it_comes_back(cluster: Cluster) -> None:
    """It was down when it was removed, so nobody could tell it."""
    cluster.new("n1", "n2", "n3")
    with Writer(cluster) as writer:
        dead, flags = cluster.places["n3"], list(cluster.places.values())
        cluster.processes["n3"].kill()
        cluster.processes["n3"].wait()
        cluster.remove("n3")
        writer.more()
        cluster.join("n4")
        writer.more()
    for place in cluster.places.values():
        assert len(keys(place)) == len(keys(cluster.places["n1"]))
    with running(HASTY, dead, flags) as back:
        assert back.wait(SECONDS) == 0
    assert cluster.log("n3").rstrip().endswith("was removed from the cluster")
    with running(HASTY, dead, flags, initial_cluster_state="existing") as back:
        assert back.wait(SECONDS) == 0, "once more"


def test_a_learner_catches_up_and_is_promoted(cluster: Cluster) -> None:
    cluster.new("n1", "n2", "n3")
    for number in range(50):
        assert put(cluster.places["n1"], b"%d" % number, b"v").status == 200
    cluster.join("n4", learner=True)
    learner = cluster.places["n4"]
    refused = put(learner, b"k", b"v")
    assert (refused.status, refused.body["message"]) == (503, "etcdserver: rpc not supported for learner")
    assert wait_until(lambda: len(keys(learner, serializable=True)) == 50, SECONDS)
    assert post(learner, "/v3/maintenance/status", {}).body["isLearner"] is True
    cluster.change("promote", {"ID": cluster.ids["n4"]})
    assert wait_until(lambda: put(learner, b"k", b"v").status == 200, SECONDS)
    assert [member.get("isLearner", False) for member in cluster.list()] == [False] * 4


def test_a_member_moves_to_another_peer_port(cluster: Cluster) -> None:
    cluster.new("n1", "n2", "n3")
    cluster.processes["n3"].kill()
    cluster.processes["n3"].wait()
    moved = Place.free(cluster.folder, "n3")
    cluster.places["n3"] = moved
    cluster.change("update", {"ID": cluster.ids["n3"], "peerURLs": [moved.peer_url]})
    cluster.start("n3", initial_cluster_state="existing")
    wait_healthy(moved)
    assert put(moved, b"k", b"v").status == 200
    (shown,) = [member for member in cluster.list() if member["name"] == "n3"]
    assert shown["peerURLs"] == [moved.peer_url]


def refusal(cluster: Cluster, name: str, places: list[Place]) -> str:
    """Start a member that must refuse, and return its last words."""
    with running(HASTY, cluster.places[name], places, initial_cluster_state="existing") as process:
        assert process.wait(SECONDS) == 1
    return cluster.log(name).splitlines()[-1]


def test_flags_that_do_not_describe_the_running_cluster_are_refused(cluster: Cluster) -> None:
    cluster.new("n1")
    own, other = (Place.free(cluster.folder, name) for name in ("n2", "n3"))
    first = cluster.places["n1"]
    cluster.places["n2"] = own
    assert "names 2 members, and the cluster has 1: add this member first" in refusal(
        cluster, "n2", [first, own]
    )
    cluster.processes["n2"] = cluster.processes["n1"]  # nobody: alive() asks n1 only
    del cluster.places["n2"]
    cluster.change("add", {"peerURLs": [other.peer_url]})
    cluster.places["n2"] = own
    assert f"has no member at {other.peer_url}, where the cluster has one" in refusal(
        cluster, "n2", [first, own]
    )
    assert "names 3 members, and the cluster has 2" in refusal(cluster, "n2", [first, own, other])
    assert "no member of a running cluster answered" in refusal(cluster, "n2", [own])
    assert not (own.folder / "member" / "wal").exists()


def test_a_member_that_lost_its_folder_does_not_join_again(cluster: Cluster) -> None:
    cluster.new("n1", "n2", "n3")
    cluster.processes["n3"].kill()
    cluster.processes["n3"].wait()
    cluster.places["n3"].folder.rename(cluster.folder / "lost")
    assert "has been started before, but" in refusal(cluster, "n3", list(cluster.places.values()))
    with running(HASTY, cluster.places["n3"], list(cluster.places.values())) as process:
        assert process.wait(SECONDS) == 1
    assert "has been part of this cluster before" in cluster.log("n3").splitlines()[-1]
