"""Defragmentation of a living member: what it gives back, and that it changes no answer."""

import subprocess
import threading
from pathlib import Path

import pytest

from raftkv.local.processes import wait_until
from tests.cli.command import SECONDS
from tests.e2e.members import RAFTKV, Place, post, put, revision_of, running, text, wait_healthy

pytestmark = pytest.mark.e2e

MIB = 1 << 20
COUNT = 150
KEEP = 10


def resident_mib(pid: int) -> int:
    shown = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(shown.stdout) // 1024


def newest_snapshot_mib(place: Place) -> int:
    newest = max((place.folder / "member" / "snap").glob("*.snap"))
    return newest.stat().st_size // MIB


def test_memory_is_given_back_and_the_snapshot_rewritten_while_the_member_serves(tmp_path: Path) -> None:
    place = Place.free(tmp_path)
    with running(RAFTKV, place, [place]) as process:
        wait_healthy(place)
        for number in range(COUNT):
            assert put(place, b"%04d" % number, bytes([number]) * MIB).status == 200
        end = {"key": text(b"%04d" % KEEP), "range_end": text(b"\0")}
        revision = revision_of(post(place, "/v3/kv/deleterange", end))
        assert post(place, "/v3/kv/compaction", {"revision": revision, "physical": True}).status == 200
        before = resident_mib(process.pid)
        everything = {"key": text(b"\0"), "range_end": text(b"\0")}
        content = post(place, "/v3/kv/range", everything).body["kvs"]
        reads: list[int] = []
        defragmenting = threading.Thread(
            target=lambda: reads.append(-post(place, "/v3/maintenance/defragment", {}).status)
        )
        defragmenting.start()
        while defragmenting.is_alive():
            reads.append(post(place, "/v3/kv/range", {"key": text(b"0001"), "count_only": True}).status)
        defragmenting.join()
        assert set(reads) == {200, -200}
        assert reads.index(-200) > 0, "nothing was answered while it was defragmented"
        assert post(place, "/v3/kv/range", everything).body["kvs"] == content
        status = post(place, "/v3/maintenance/status", {}).body
        assert int(status["dbSize"]) == int(status["dbSizeInUse"]) < (KEEP + 1) * MIB
        # the newest 64 MiB of entries stay in memory, for followers that lag
        assert resident_mib(process.pid) < before - (COUNT - KEEP) // 2
        assert newest_snapshot_mib(place) <= KEEP


def test_a_backup_leaves_no_file_when_its_client_goes_away(tmp_path: Path) -> None:
    place = Place.free(tmp_path)
    with running(RAFTKV, place, [place]):
        wait_healthy(place)
        for number in range(40):
            put(place, b"%04d" % number, bytes(MIB))
        snapshots = place.folder / "member" / "snap"
        client = subprocess.Popen(
            ["curl", "-s", "--limit-rate", "100k", place.client_url + "/v3/maintenance/snapshot", "-d", "{}"],
            stdout=subprocess.PIPE,
        )
        with client:
            assert client.stdout is not None
            assert client.stdout.read(1000).startswith(b'{"result":{"remaining_bytes":"')
            assert [path.suffix for path in snapshots.iterdir()] == [".draft"]
            client.kill()
        assert wait_until(lambda: not any(snapshots.iterdir()), SECONDS), list(snapshots.iterdir())
