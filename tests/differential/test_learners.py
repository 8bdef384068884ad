"""Learners, of a real etcd and of raftkv: the same story told by both."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from raftkv.local.processes import wait_until
from tests.differential.calls import call, compact, everything, get, op_put, op_range, put, range_, txn
from tests.differential.cases.members import LIST, add, promote
from tests.differential.cases.services import move
from tests.differential.steps import Call
from tests.differential.story import Story, Told, check_alike
from tests.differential.systems import SECONDS
from tests.e2e.members import Place, running, wait_healthy

pytestmark = pytest.mark.e2e

LINES = "4.8.learner 3.learner 4.8.promote 4.8.join"
NEW = "http://127.0.0.1:1"


def story_of_a_learner(program: Sequence[str], folder: Path) -> list[Told]:
    folder.mkdir()
    first, second = places = [Place.free(folder, name) for name in ("n1", "n2")]
    with ExitStack() as stack:
        stack.enter_context(running(program, first, [first]))
        wait_healthy(first)
        story = Story(places)
        stack.callback(story.close)
        story.learn_ids()
        story.ask("n1", put("a", "1"))
        story.ask("n1", add(second.peer_url, isLearner=True))
        assert joins_with(program, second, [second]) != 0
        stack.enter_context(running(program, second, places, initial_cluster_state="existing"))
        story.until("n1", LIST, lambda found: all("name" in member for member in found["members"]))
        ids = story.learn_ids()
        learner = range_("a", serializable=True)
        assert wait_until(lambda: b'"kvs"' in answer(story, learner), SECONDS)
        for request in LEARNERS:
            story.ask("n2", request)
        story.ask("n1", LIST)
        story.ask_until("n1", promote(ids["n2"]), 200)
        story.until("n2", LIST, lambda found: "isLearner" not in str(found))
        story.ask("n2", put("b", "2"))
        story.ask("n1", everything())
        return story.told


def answer(story: Story, request: Call) -> bytes:
    """What the learner answers; empty while it does not serve yet."""
    try:
        return json.dumps(story.peek("n2", request)).encode()
    except OSError:
        return b""


def joins_with(program: Sequence[str], place: Place, cluster: Sequence[Place]) -> int:
    """Start a member with a list of members that is not the cluster's; return its exit code."""
    with running(program, place, cluster, initial_cluster_state="existing") as process:
        return process.wait(SECONDS)


LEARNERS = [
    range_("a", serializable=True),
    range_("a"),
    put("b", "1"),
    txn(then=(op_range("a", serializable=True),)),
    txn(then=(op_put("b"),)),
    compact(1),
    LIST,
    call("maintenance/alarm"),
    call("maintenance/hash"),
    call("maintenance/defragment"),
    add(NEW),
    move("5"),
    get("/health"),
]


def test_a_learner_tells_the_same_story(tmp_path: Path) -> None:
    check_alike(story_of_a_learner, tmp_path)
