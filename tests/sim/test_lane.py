"""What a lane makes of the steps of one core: only what has changed, and every message once."""

from random import Random
from typing import Any

import pytest

from raftkv.raft import Entry, EntryKind, HardState, Message, bootstrap_entry, make_core
from raftkv.raft.ledger import Event, Received, Started, Step, Ticked
from raftkv.raft.messages import AppendEntries, Heartbeat
from raftkv.sim.lane import Lane

FIRST = bootstrap_entry((1, 2, 3), b"")


class Member:
    """A follower, its lane and the entries that were named so far."""

    def __init__(self) -> None:
        self.core = make_core(1, [FIRST], HardState(term=1, commit=1), rng=Random(1))
        self.lane = Lane(0)
        self.entries: list[Entry] = []

    def show(self, event: Event) -> dict[str, Any] | None:
        """Return what the lane makes of an event that the core has taken."""
        return self.lane.taken(Step(1, None, event, self.core.status(), (), ()), self.place)

    def place(self, entry: Entry) -> int:
        if entry not in self.entries:
            self.entries.append(entry)
        return self.entries.index(entry)

    def take(self, message: Message, number: int) -> dict[str, Any] | None:
        """Let a message arrive and be taken."""
        self.lane.arrived(message, number)
        self.core.step(message)
        return self.show(Received(message))


@pytest.fixture
def member() -> Member:
    member = Member()
    assert member.show(Started(HardState(term=1, commit=1), [FIRST])) == {
        "lane": 0,
        "text": "starts with its log to 1 and term 1",
        "weight": 2,
        "set": {
            "role": "follower",
            "term": 1,
            "vote": "",
            "leader": "",
            "commit": 1,
            "applied": 0,
            "durable": 1,
            "first": 1,
            "last": 1,
            "snapshot": 0,
        },
        "add": [0],
    }
    return member


def append(source: int, term: int, prev: tuple[int, int], *terms: int) -> AppendEntries:
    entries = tuple(
        Entry(one, prev[0] + place, EntryKind.NOOP, b"") for place, one in enumerate(terms, start=1)
    )
    return AppendEntries(source, 1, term, prev[0], prev[1], entries, 1)


def test_new_entries_and_what_else_has_changed_are_told(member: Member) -> None:
    assert member.take(append(2, 2, (1, 1), 2, 2), 7) == {
        "lane": 0,
        "text": "takes AppendEntries of n2",
        "weight": 2,
        "message": 7,
        "set": {"term": 2, "leader": "n2", "last": 3},
        "add": [1, 2],
    }


def test_entries_that_replace_others_are_told_and_the_rest_is_not(member: Member) -> None:
    member.take(append(2, 2, (1, 1), 2, 2, 2), 0)
    found = member.take(append(3, 3, (2, 2), 3), 1)
    assert found is not None
    assert found["set"] == {"term": 3, "leader": "n3", "last": 3}
    assert [member.entries[place] for place in found["add"]] == [Entry(3, 3, EntryKind.NOOP, b"")]


def test_an_entry_that_came_back_after_a_truncation_is_told_again(member: Member) -> None:
    member.take(append(2, 2, (1, 1), 2, 2, 2), 0)
    member.take(append(3, 3, (1, 1), 3), 1)
    found = member.take(append(3, 3, (2, 3), 2, 2), 2)
    assert found is not None
    assert [member.entries[place].index for place in found["add"]] == [3, 4]


def test_a_heartbeat_that_changes_nothing_matters_least(member: Member) -> None:
    beat = Heartbeat(2, 1, 1, 1, 1)
    member.take(beat, 0)
    assert member.take(beat, 1) == {"lane": 0, "text": "takes Heartbeat of n2", "weight": 0, "message": 1}


def test_effects_of_the_same_call_that_change_nothing_are_no_step(member: Member) -> None:
    beat = Heartbeat(2, 1, 1, 1, 1)
    member.core.step(beat)
    event = Received(beat)
    assert member.show(event) is not None
    assert member.show(event) is None


def test_time_that_changes_nothing_is_no_step(member: Member) -> None:
    member.core.tick()
    assert member.show(Ticked()) is None


def test_what_the_core_told_is_part_of_its_next_step(member: Member) -> None:
    member.lane.told.append("became leader")
    assert member.show(Ticked()) == {"lane": 0, "text": "time passes: became leader"}
    assert member.show(Ticked()) is None


def test_a_member_that_went_down_takes_nothing_that_came_before(member: Member) -> None:
    beat = Heartbeat(2, 1, 1, 1, 1)
    member.lane.arrived(beat, 3)
    member.lane.told.append("was about to say")
    member.lane.ended()
    found = member.show(Received(beat))
    assert found is not None
    assert "message" not in found
    assert found["text"] == "takes Heartbeat of n2"
