"""Backups of living clusters, and the clusters made from them."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from raftkv.local.processes import wait_until
from tests.cli.command import SECONDS, environment
from tests.e2e.members import RAFTKV, Place, flags_of, post, put, revision_of, running, text, wait_healthy

pytestmark = pytest.mark.e2e

EVERYTHING = {"key": text(b"\0"), "range_end": text(b"\0"), "serializable": True}
RESTORE_FLAGS = ("--name", "--data-dir", "--initial-cluster", "--initial-advertise-peer-urls")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def raftkv(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "raftkv", *words],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def cluster_of(folder: Path, size: int) -> list[Place]:
    folder.mkdir()
    return [Place.free(folder, f"n{number}") for number in range(1, size + 1)]


def start(stack: ExitStack, cluster: Sequence[Place], **more: str) -> None:
    for place in cluster:
        stack.enter_context(running(RAFTKV, place, cluster, **more))
    wait_healthy(*cluster)


def restore(backup: Path, cluster: Sequence[Place], *more: str) -> None:
    for place in cluster:
        flags = flags_of(place, cluster)
        pairs = [
            word
            for name, value in zip(flags[::2], flags[1::2], strict=True)
            if name in RESTORE_FLAGS
            for word in (name, value)
        ]
        raftkv("snapshot", "restore", str(backup), *pairs, *more)


def content(place: Place, revision: int = 0) -> Any:
    answer = post(place, "/v3/kv/range", {**EVERYTHING, "revision": revision})
    assert answer.status == 200, answer
    return answer.body.get("kvs", []), answer.body["header"]["revision"]


def fill(place: Place) -> int:
    """Write with history and deletions; return the revision."""
    for number in range(40):
        put(place, b"key-%02d" % (number % 20), b"value-%d" % number)
    return revision_of(post(place, "/v3/kv/deleterange", {"key": text(b"key-03")}))


@pytest.mark.parametrize("size", [1, 3])
def test_a_restored_cluster_has_the_data_at_its_revisions_and_takes_writes(
    tmp_path: Path, stack: ExitStack, size: int
) -> None:
    old, new = cluster_of(tmp_path / "old", size), cluster_of(tmp_path / "new", size)
    backup = tmp_path / "backup"
    with ExitStack() as running_old:
        start(running_old, old)
        revision = fill(old[0])
        raftkv("snapshot", "save", str(backup), "--endpoint", old[0].client_url)
        before = [content(old[0], at) for at in (0, 10, 30)]
        old_id = post(old[0], "/v3/maintenance/status", {}).body["header"]["cluster_id"]
        put(old[0], b"later", b"is not in the backup")
    told = json.loads(raftkv("snapshot", "status", str(backup), "--json"))
    assert (told["revision"], told["totalKey"]) == (revision, 19)
    restore(backup, new)
    start(stack, new)
    for place in new:
        assert [content(place, at) for at in (0, 10, 30)] == before
    assert post(new[0], "/v3/maintenance/status", {}).body["header"]["cluster_id"] != old_id
    assert revision_of(put(new[-1], b"new", b"v")) == revision + 1
    for place in new:
        assert wait_until(lambda place=place: content(place)[1] == str(revision + 1), SECONDS)  # type: ignore[misc]
    members = post(new[0], "/v3/cluster/member/list", {}).body["members"]
    assert sorted(member["name"] for member in members) == [place.name for place in new]


def test_a_restored_member_goes_on_after_a_restart(tmp_path: Path) -> None:
    (old,), (new,) = cluster_of(tmp_path / "old", 1), cluster_of(tmp_path / "new", 1)
    with running(RAFTKV, old, [old]):
        wait_healthy(old)
        fill(old)
        raftkv("snapshot", "save", str(tmp_path / "backup"), "--endpoint", old.client_url)
    restore(tmp_path / "backup", [new])
    for number in range(3):
        with running(RAFTKV, new, [new]):
            wait_healthy(new)
            assert len(content(new)[0]) == 19 + number
            assert put(new, b"new-%d" % number, b"v").status == 200


def test_a_bumped_revision_forbids_what_was_before(tmp_path: Path, stack: ExitStack) -> None:
    (old,), (new,) = cluster_of(tmp_path / "old", 1), cluster_of(tmp_path / "new", 1)
    with running(RAFTKV, old, [old]):
        wait_healthy(old)
        revision = fill(old)
        before = content(old)[0]
        raftkv("snapshot", "save", str(tmp_path / "backup"), "--endpoint", old.client_url)
    restore(tmp_path / "backup", [new], "--bump-revision", "1000000", "--mark-compacted")
    start(stack, [new])
    assert content(new) == (before, str(revision + 1_000_000))
    compacted = post(new, "/v3/kv/range", {**EVERYTHING, "revision": revision})
    assert (compacted.status, compacted.body["code"]) == (400, 11)
    assert revision_of(put(new, b"new", b"v")) == revision + 1_000_001


def test_a_backup_under_load_is_one_moment(tmp_path: Path, stack: ExitStack) -> None:
    """Two keys that are always written together never differ in it."""
    (old,), (new,) = cluster_of(tmp_path / "old", 1), cluster_of(tmp_path / "new", 1)
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            puts = [
                {"request_put": {"key": text(key), "value": text(b"%d" % number)}} for key in (b"a", b"z")
            ]
            assert post(old, "/v3/kv/txn", {"success": puts}).status == 200

    with running(RAFTKV, old, [old]):
        wait_healthy(old)
        for number in range(50):
            put(old, b"m%03d" % number, b"x" * 100_000)
        writer = threading.Thread(target=write)
        writer.start()
        try:
            raftkv("snapshot", "save", str(tmp_path / "backup"), "--endpoint", old.client_url)
        finally:
            stop.set()
            writer.join()
    restore(tmp_path / "backup", [new])
    start(stack, [new])
    kvs = {kv["key"]: kv for kv in content(new)[0]}
    assert len(kvs) == 52
    first, last = kvs[text(b"a")], kvs[text(b"z")]
    assert (first["value"], first["mod_revision"]) == (last["value"], last["mod_revision"])
