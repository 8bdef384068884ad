"""Real processes: a cluster of the first version is replaced by this one, member by member, under load.

The first version is a commit of this repository: the last one before leases, whose log knows six kinds of
commands and whose members announce no level. It takes a checkout with its history.
"""

import subprocess
import sys
import tarfile
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from raftkv.local.processes import wait_until
from raftkv.mvcc.level import FIRST, LEVEL
from tests.cli.command import ROOT, SECONDS
from tests.e2e.members import RAFTKV, Place, get, post, put, running, text, wait_healthy
from tests.e2e.test_members import Writer, keys

pytestmark = pytest.mark.e2e

OLD = "225a90b"
TAIL = 300
NEW = (sys.executable, "-m", "tests.e2e.member", str(1 << 20), str(TAIL), "serve")
"""This version, which keeps no more of its log, so that who was away for longer gets a snapshot."""


@pytest.fixture
def old_code(tmp_path: Path) -> Path:
    """A checkout of the first version."""
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", OLD, "raftkv"], capture_output=True, check=False
    )
    if archive.returncode != 0:
        # listed in tests/conftest.py: an archive or a shallow checkout has no first version to start
        pytest.skip(f"commit {OLD} can't be had from {ROOT}: {archive.stderr.decode().strip()}")
    folder = tmp_path / "old"
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


class Upgrade:
    """Three members, each of one version or the other."""

    def __init__(self, folder: Path, old_code: Path, stack: ExitStack) -> None:
        self.old_code = old_code
        self.places = {name: Place.free(folder, name) for name in ("n1", "n2", "n3")}
        self.old = dict.fromkeys(self.places, True)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._folder = folder
        self._stack = stack

    def start(self, name: str) -> None:
        old = self.old[name]
        self.processes[name] = self._stack.enter_context(
            running(
                RAFTKV if old else NEW,
                self.places[name],
                list(self.places.values()),
                code=self.old_code if old else None,
                log_format="json",
            )
        )

    def stop(self, name: str) -> None:
        process = self.processes[name]
        assert process.poll() is None, self.log(name)[-2000:]
        process.terminate()
        assert process.wait(SECONDS) == 0, self.log(name)[-2000:]

    def replace(self, name: str) -> None:
        """Stop an old member and start this version on its folder."""
        self.stop(name)
        self.old[name] = False
        self.start(name)
        wait_healthy(self.places[name])

    def move_leader_to(self, name: str) -> None:
        """Stop and start whoever leads, until one member does."""
        status: dict[str, Any] = {}

        def leads() -> bool:
            for place in self.places.values():
                status[place.name] = post(place, "/v3/maintenance/status", {}).body
            ids = {place: answer["header"]["member_id"] for place, answer in status.items()}
            leader = next((one for one, number in ids.items() if number == status[one].get("leader")), None)
            if leader not in (None, name):
                self.stop(leader)
                self.start(leader)
                wait_healthy(self.places[leader])
            return leader == name

        assert wait_until(leads, SECONDS), status

    def events(self, name: str, kind: str) -> int:
        return self.log(name).count(f'"event": "{kind}"')

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text(encoding="utf-8")


def level(place: Place) -> int:
    number: int = get(place, "/raftkv/v1/counters").body["cluster_level"]
    return number


def grant(place: Place, lease: int) -> tuple[int, Any]:
    answer = post(place, "/v3/lease/grant", {"ID": str(lease), "TTL": "600"})
    return answer.status, answer.body


def test_members_are_replaced_one_by_one_and_old_ones_get_nothing_new(tmp_path: Path, old_code: Path) -> None:
    with ExitStack() as stack:
        cluster = Upgrade(tmp_path, old_code, stack)
        n1, n2, n3 = cluster.places.values()
        for name in cluster.places:
            cluster.start(name)
        wait_healthy(n1, n2, n3)
        with Writer(cluster) as writer:
            for name in ("n1", "n2"):
                cluster.replace(name)
                writer.more(50)
            for place in (n1, n2):
                assert level(place) == FIRST
                status, answer = grant(place, 7)
                assert (status, answer["message"]) == (503, "etcdserver: not capable")
            # an old follower takes the log, and a snapshot, of a leader of this version
            cluster.stop("n3")
            writer.more(2 * TAIL)
            for place in (n1, n2):  # gives up the log that the old one needs
                assert post(place, "/v3/maintenance/defragment", {}).status == 200
            cluster.start("n3")
            wait_healthy(n3)
            assert cluster.events("n3", "SnapshotInstalled") > 0
            assert cluster.processes["n3"].poll() is None
            # and this version's followers those of an old leader
            cluster.move_leader_to("n3")
            writer.more(50)
            assert level(n1) == level(n2) == FIRST
            cluster.replace("n3")
            assert wait_until(lambda: {level(n1), level(n2), level(n3)} == {LEVEL}, SECONDS)
            writer.more(50)
        assert [grant(place, number)[0] for number, place in enumerate((n1, n2, n3), 7)] == [200] * 3
        expected = {text(b"key-%06d" % number) for number in writer.acknowledged}
        contents = [keys(place) for place in (n1, n2, n3)]
        assert expected <= {pair["key"] for pair in contents[0]}
        assert contents[0] == contents[1] == contents[2]
        for name in cluster.places:
            assert '"failed": true' not in cluster.log(name)
            assert "no command known here" not in cluster.log(name)


def test_an_old_version_stops_at_what_it_does_not_know(tmp_path: Path, old_code: Path) -> None:
    """There is no way back: it must not skip an entry."""
    place = Place.free(tmp_path)
    with running(RAFTKV, place, [place], code=old_code):
        wait_healthy(place)
        assert put(place, b"k", b"v").status == 200
    with running(RAFTKV, place, [place]):
        wait_healthy(place)
        assert wait_until(lambda: level(place) == LEVEL, SECONDS)
        assert len(keys(place)) == 1
    with running(RAFTKV, place, [place], code=old_code) as process:
        assert process.wait(SECONDS) == 1
    log = place.folder.with_suffix(".log").read_text(encoding="utf-8")
    assert "a command of kind 17, which is not known here" in log.splitlines()[-1]
