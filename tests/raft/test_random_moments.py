"""Removals, transfers and snapshots at random moments end as they should, without a look inside.

Each is checked by what a group does in the end, and seen to fail on the bug that it is there for.
"""

from collections.abc import Callable
from random import Random

import pytest

from raftkv.raft import Change, ChangeKind, Part
from raftkv.raft.core import PATIENCE
from tests.raft.group import ELECTION_TICKS, CoreMaker, Group, parts_of
from tests.raft.mutants import M6, M8, S4

SEEDS = range(25)


class Moments:
    """A group of three to five with a leader and some entries; some members may be behind."""

    def __init__(self, seed: int, make: CoreMaker) -> None:
        self.chance = Random(seed)
        self.size = self.chance.randrange(3, 6)
        self.group = Group(self.size, make=make, rng=Random(seed))
        self.group.timeout(1)
        self.group.stabilize()
        self.write()

    def write(self) -> None:
        """Let clients write a few entries, and let them be committed."""
        for _ in range(self.chance.randrange(1, 6)):
            self.group.propose(self.leader, b"x")
        self.pass_time(1)

    @property
    def leader(self) -> int:
        (leader,) = self.group.leaders()
        return leader

    def other(self) -> int:
        """Return a member that does not lead."""
        return self.chance.choice([node for node in self.group.running() if node != self.leader])

    def cut_off(self, node: int) -> None:
        self.group.partition([node], [other for other in self.group.members if other != node])

    def pass_time(self, intervals: int) -> None:
        for _ in range(intervals):
            for node in self.group.running():
                if node in self.group.running():  # it may have been told that it is removed
                    self.group.tick(node)
            self.group.stabilize()


def removed_member_stops(seed: int, make: CoreMaker) -> None:
    """Who is removed while it is away learns that when it is back, and disturbs nobody.

    It gets the change itself from a leader that still waits for it, and is told by one that does not.
    """
    moments = Moments(seed, make)
    group, gone = moments.group, moments.other()
    moments.cut_off(gone)
    group.change(moments.leader, Change(ChangeKind.REMOVE, gone))
    moments.write()
    if seed % 3 == 0:
        group.snapshot(moments.leader)
    waited = seed % 2 == 1
    moments.pass_time(PATIENCE * ELECTION_TICKS + 1 if waited else 5)
    term = group.members[moments.leader].status.term
    group.heal()
    moments.pass_time(60)
    assert group.members[gone].removed == waited
    assert waited or gone in group.members[gone].status.configuration.removed
    assert group.members[moments.leader].status.term == term, "the group was disturbed"


def target_leads(seed: int, make: CoreMaker) -> None:
    """A transfer gives leadership to its target though that lacks entries; what was taken stays."""
    moments = Moments(seed, make)
    group, target = moments.group, moments.other()
    moments.cut_off(target)
    moments.write()
    group.heal()
    before = group.members[moments.leader].applied[:]
    group.transfer(moments.leader, target)
    group.tick(moments.leader)
    group.stabilize()
    assert group.leaders() == [target]
    assert group.members[target].applied[: len(before)] == before


def change_survives_snapshot(seed: int, make: CoreMaker) -> None:
    """Who gets a change of the members in a snapshot only goes by it, also as the leader, and restarted."""
    moments = Moments(seed, make)
    group, behind = moments.group, moments.other()
    moments.cut_off(behind)
    others = [node for node in group.running() if node not in (behind, moments.leader)]
    changes = [Change(ChangeKind.REMOVE, others[0])] if moments.size > 3 else []
    for change in (*changes, Change(ChangeKind.ADD_LEARNER, 9)):
        group.change(moments.leader, change)
        moments.write()
    group.snapshot(moments.leader)
    group.heal()
    moments.pass_time(20)
    group.crash(behind)
    group.restart(behind)
    moments.pass_time(5)
    wanted = group.members[moments.leader].status.configuration
    assert group.members[behind].status.configuration == wanted
    assert 9 in wanted.learners


Check = Callable[[int, CoreMaker], None]
CHECKS: list[tuple[Check, Part]] = [
    (removed_member_stops, Part.MEMBERSHIP),
    (target_leads, Part.TRANSFER),
    (change_survives_snapshot, Part.SNAPSHOTS),
]


@pytest.mark.parametrize(("check", "part"), CHECKS, ids=[check.__name__ for check, _ in CHECKS])
def test_it_ends_as_it_should(check: Check, part: Part, make: CoreMaker) -> None:
    if {part, Part.MEMBERSHIP} <= parts_of(make):
        for seed in SEEDS:
            check(seed, make)


@pytest.mark.parametrize(
    ("check", "mutant"),
    [
        (removed_member_stops, M6),
        (target_leads, M8),
        (change_survives_snapshot, S4),
    ],
)
def test_a_bug_put_in_shows(check: Check, mutant: CoreMaker) -> None:
    with pytest.raises(AssertionError):
        for seed in SEEDS:
            check(seed, mutant)
