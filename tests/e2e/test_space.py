"""The quota and its alarm, step by step the same as with a real etcd."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.members import (
    ETCD,
    RAFTKV,
    Answer,
    Place,
    get,
    post,
    put,
    revision_of,
    running,
    text,
    wait_healthy,
)

pytestmark = pytest.mark.e2e

QUOTA = 2_000_000
BIG = b"v" * 300_000
ALARM = "/v3/maintenance/alarm"
KEY = {"key": text(b"big")}
DELETE = {"request_delete_range": KEY}
PUT = {"request_put": {"key": text(b"small")}}


def seen(answer: Answer) -> Any:
    """What a client keys on: the error, or that there was none."""
    return (answer.status, answer.body.get("code", 0), answer.body.get("message", ""))


class Story:
    """Fills a member, makes room again, and writes down what it was answered."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.told: list[tuple[str, Any]] = []
        self._id = post(place, "/v3/maintenance/status", {}).body["header"]["member_id"]

    def tell(self) -> list[tuple[str, Any]]:
        self._fill()
        self._try_writes("full")
        delete = post(self._place, "/v3/kv/deleterange", KEY)
        self._note("delete", seen(delete))
        revision = revision_of(delete)
        self._note(
            "compact", seen(post(self._place, "/v3/kv/compaction", {"revision": revision, "physical": True}))
        )
        self._try_writes("compacted")
        before = self._size()
        self._note("defragment", post(self._place, "/v3/maintenance/defragment", {}))
        self._note("smaller", self._size() < before / 2)
        self._try_writes("defragmented")
        self._note("disarm nobody", self._alarms({"action": "DEACTIVATE", "alarm": "NOSPACE"}))
        self._try_writes("disarmed nobody")
        own = {"action": "DEACTIVATE", "alarm": "NOSPACE", "memberID": self._id}
        self._note("disarm", self._alarms(own))
        self._note("disarm again", self._alarms(own))
        self._note("put", seen(put(self._place, b"big", BIG)))
        self._note("health", get(self._place, "/health"))
        self._note("foreign", self._alarms({"action": "ACTIVATE", "alarm": "NOSPACE", "memberID": "5"}))
        return self.told

    def tell_after_restart(self) -> list[tuple[str, Any]]:
        self._try_writes("restarted")
        return self.told

    def _fill(self) -> None:
        for _ in range(30):
            answer = put(self._place, b"big", BIG)
            if answer.status != 200:
                break
            time.sleep(0.15)  # etcd counts what it has committed to its file, ten times a second
        self._note("fill", seen(answer))

    def _try_writes(self, when: str) -> None:
        place = self._place
        self._note(when, self._alarms({}))
        self._note(
            "errors",
            [
                error.replace(self._id, "OWN")
                for error in post(place, "/v3/maintenance/status", {}).body["errors"]
            ],
        )
        self._note("health", get(place, "/health"))
        self._note("excluded", get(place, "/health?exclude=NOSPACE"))
        self._note("put", seen(put(place, b"small", b"")))
        self._note("txn", seen(post(place, "/v3/kv/txn", {"success": [DELETE], "failure": [PUT]})))
        self._note("deleting txn", seen(post(place, "/v3/kv/txn", {"failure": [DELETE]})))
        self._note("range", seen(post(place, "/v3/kv/range", KEY)))

    def _alarms(self, request: dict[str, str]) -> Any:
        answer = post(self._place, ALARM, request)
        return str(answer.body.get("alarms", answer.body if answer.status != 200 else [])).replace(
            self._id, "OWN"
        )

    def _size(self) -> int:
        return int(post(self._place, "/v3/maintenance/status", {}).body["dbSize"])

    def _note(self, step: str, answer: Any) -> None:
        self.told.append((step, answer))


def story_of(program: Sequence[str], folder: Path) -> list[tuple[str, Any]]:
    folder.mkdir()
    place = Place.free(folder)
    quota = {"quota_backend_bytes": str(QUOTA)}
    with running(program, place, [place], **quota):
        wait_healthy(place)
        story = Story(place)
        story.tell()
    with running(program, place, [place], **quota):
        wait_healthy(place)
        return story.tell_after_restart()


def test_the_quota_its_alarm_and_the_way_out_are_etcds(tmp_path: Path) -> None:
    wanted = story_of(ETCD, tmp_path / "etcd")
    assert story_of(RAFTKV, tmp_path / "raftkv") == wanted
    answers = dict(wanted)
    assert answers["fill"] == (429, 8, "etcdserver: mvcc: database space exceeded")
    assert answers["smaller"] is True
    assert answers["restarted"] == "[{'memberID': '5', 'alarm': 'NOSPACE'}]"
