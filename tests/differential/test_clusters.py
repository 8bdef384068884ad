"""Clusters of three, of a real etcd and of raftkv: the same story told by both."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.differential.calls import everything, put, range_
from tests.differential.cases.lease import grant, keep, left, revoke
from tests.differential.cases.members import LIST, STATUS, add, remove
from tests.differential.cases.services import move
from tests.differential.story import Story, Told, by_role, check_alike
from tests.e2e.members import Place, running, wait_healthy

pytestmark = pytest.mark.e2e

LINES = "3.unhealthy 4.8.connected 1.members-order 3.not-leader 4.8.move 4.7.new-leader"
NEW = "http://127.0.0.1:1"


def story_of_three(program: Sequence[str], folder: Path) -> list[Told]:
    folder.mkdir()
    places = [Place.free(folder, name) for name in ("n1", "n2", "n3")]
    with ExitStack() as stack:
        processes = [stack.enter_context(running(program, place, places)) for place in places]
        wait_healthy(*places)
        story = Story(places)
        stack.callback(story.close)
        story.until("n1", LIST, lambda found: all("name" in member for member in found["members"]))
        ids = story.learn_ids()
        names = {number: name for name, number in ids.items()}
        listed = [int(member["ID"]) for member in story.peek("n1", LIST)["members"]]
        assert listed == sorted(listed)
        before = names[story.peek("n1", STATUS)["leader"]]
        others = [name for name in ids if name != before]
        story.ask(before, put("a", "1"))
        for target in (ids[before], "5"):
            story.ask(others[0], move(target))
            story.ask(before, move(target))
        story.ask(before, move(ids[others[0]]))
        story.until(before, STATUS, lambda found: found.get("leader") == ids[others[0]])
        story.ask(before, everything())
        story.ask(others[1], range_("a"))
        gone = processes[places.index(next(place for place in places if place.name == others[1]))]
        gone.kill()
        gone.wait()
        story.ask(before, add(NEW, isLearner=True))
        story.ask(before, put("a", "2"))
        story.ask_until(before, remove(ids[others[1]]), 200)
        story.until(others[0], LIST, lambda found: len(found["members"]) == 2)
        story.ask(before, put("a", "3"))
        return by_role(story.told, dict(zip((before, *others), ("OLD", "NEXT", "GONE"), strict=True)))


def story_of_leases(program: Sequence[str], folder: Path) -> list[Told]:
    """Any member grants, keeps alive and revokes; a new leader gives all seconds again."""
    folder.mkdir()
    places = [Place.free(folder, name) for name in ("n1", "n2", "n3")]
    with ExitStack() as stack:
        for place in places:
            stack.enter_context(running(program, place, places))
        wait_healthy(*places)
        story = Story(places)
        stack.callback(story.close)
        story.until("n1", LIST, lambda found: all("name" in member for member in found["members"]))
        ids = story.learn_ids()
        names = {number: name for name, number in ids.items()}
        before = names[story.peek("n1", STATUS)["leader"]]
        others = [name for name in ids if name != before]
        for lease, name in enumerate((before, *others), start=7):
            story.ask(name, grant(lease, 60))
            story.ask(name, put(f"k{lease}", "1", lease=lease))
        for name in (before, *others):
            story.peek(name, everything())  # so that its revision is the newest one
            story.ask(name, keep('{"ID":"7"}{"ID":"8"}{"ID":"9"}{"ID":"10"}'))
        story.until(others[0], left(7), lambda found: int(found["TTL"]) < 58)
        story.ask(before, move(ids[others[0]]))
        story.until(before, left(7), lambda found: int(found["TTL"]) >= 59)
        for name in (before, *others):
            story.ask(name, keep('{"ID":"7"}'))
        story.ask(before, revoke(7))
        story.ask(others[1], revoke(8))
        for name in (before, *others):
            story.ask(name, everything())
            story.ask(name, keep('{"ID":"7"}'))
            story.ask(name, left(7))
        return by_role(story.told, dict(zip((before, *others), ("OLD", "NEXT", "THIRD"), strict=True)))


def test_three_members_tell_the_same_story_of_leases(tmp_path: Path) -> None:
    check_alike(story_of_leases, tmp_path)


def test_three_members_tell_the_same_story(tmp_path: Path) -> None:
    check_alike(story_of_three, tmp_path)
