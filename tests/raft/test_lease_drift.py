"""Lease reads under clocks that drift: never stale within the bound, and seen to be stale beyond it.

Time is continuous here, and every member ticks at a rate of its own. The slow one is made leader again and
again, and then it is cut off at a random moment, or paused, or its voter restarts, while the others go on
and it is asked for reads. The rule that looks at the reads (§6.4) knows nothing of clocks.
"""

from collections.abc import Callable, Sequence
from random import Random

import pytest

from raftkv.errors import ProposalDropped
from raftkv.raft import make_core
from raftkv.raft.core import Raft
from raftkv.raft.invariants import RuleViolated
from tests.raft.group import CoreMaker, Group
from tests.raft.mutants import R5, R7

SLOW, OTHERS = 1, (2, 3)
STEPS = 5
"""Moments in an interval at which something may happen."""

BOUND = 1.1
"""How much longer an interval may be by one clock than by another (docs/decisions/005-lease-reads.md)."""


class Clocks:
    """Three members; an interval of member 1 takes ``slowness`` times as long as those of the others."""

    def __init__(self, slowness: float, seed: int, make: CoreMaker = make_core) -> None:
        self.chance = Random(seed)
        self.group = Group(3, make=make, rng=Random(seed), lease_reads=True)
        self.period = {SLOW: slowness} | dict.fromkeys(OTHERS, 1.0)
        self.due = {node: self.chance.random() for node in self.period}
        self.now = 0.0
        self.paused = self.read_only = False
        self.served_alone = 0

    def pass_time(self, intervals: float) -> None:
        """Let time pass: clocks tick when they are due, and messages take up to some moments."""
        until = self.now + intervals
        while self.now < until:
            self.now += 1 / STEPS
            for node in [node for node, due in self.due.items() if due <= self.now]:
                self.due[node] += self.period[node]
                self.group.tick(node)
            for source, target in self.group.under_way():
                if self.chance.random() < 0.7 and not (self.paused and target == SLOW):
                    self.group.deliver(source, target)
            for node in self.group.leaders():
                if not (self.paused and node == SLOW):
                    self.ask(node)

    def ask(self, node: int) -> None:
        """Let clients write and read at a leader."""
        reads = self.group.members[node].reads
        before = len(reads)
        try:
            if self.chance.random() < 0.3 and not self.read_only:
                self.group.propose(node, b"x")
            self.group.read(node)
        except ProposalDropped:
            return
        self.served_alone += node == SLOW and bool(self.group.cut) and len(reads) > before

    def let_slow_one_lead(self) -> None:
        """Hand leadership over to the slow member, which would seldom win it."""
        for _ in range(50):
            self.pass_time(3)
            if SLOW in self.group.leaders():
                return
            for node in self.group.leaders():
                if not self.group.members[node].status.transferee:
                    self.group.transfer(node, SLOW)
        raise AssertionError("the slow member does not come to lead")

    def cut_off(self) -> None:
        """Let the leader be alone, for longer than an election takes."""
        self.group.partition([SLOW], OTHERS)
        self.pass_time(20)

    def pause(self) -> None:
        """Stop the leader's process for longer than an election takes; then it is told how long it was."""
        self.group.partition([SLOW], OTHERS)
        self.paused, due = True, self.due[SLOW]
        self.due[SLOW] = float("inf")
        self.pass_time(20)
        self.paused = False
        passed = 1 + int((self.now - due) / self.period[SLOW])
        self.due[SLOW] = due + passed * self.period[SLOW]
        self.group.wake(SLOW, passed)
        self.pass_time(5)

    def restart_voter(self) -> None:
        """Let a member that hears no leader, but has the whole log, ask one that has just forgotten it."""
        self.read_only = True
        self.pass_time(2)
        self.group.partition([SLOW], OTHERS[1:])
        self.pass_time(20)
        self.read_only = False
        self.group.partition([SLOW], OTHERS)
        self.group.crash(OTHERS[0])
        self.group.restart(OTHERS[0])
        self.pass_time(10)

    def run(self, faults: Sequence["Fault"]) -> None:
        """Let some of ``faults`` happen to a leader with a lease, each followed by a quiet time."""
        for _ in range(4):
            self.let_slow_one_lead()
            self.pass_time(5 + 3 * self.chance.random())
            self.chance.choice(faults)(self)
            self.group.heal()


Fault = Callable[[Clocks], None]
FAULTS = (Clocks.cut_off, Clocks.pause, Clocks.restart_voter)


def stale_read(slowness: float, make: CoreMaker = make_core, faults: Sequence[Fault] = FAULTS) -> bool:
    """Whether one of a hundred runs serves a read that is stale."""
    for seed in range(100):
        try:
            Clocks(slowness, seed, make).run(faults)
        except RuleViolated as error:
            assert error.violation.rule.name == "read_is_fresh", str(error)
            return True
    return False


@pytest.mark.parametrize("slowness", [1 / BOUND, 1.0, BOUND])
def test_within_the_bound_no_read_is_stale(slowness: float, long: bool) -> None:
    """And the leader serves by its lease while it is alone: the runs come near the edge."""
    for seed in range(300 if long else 10):
        clocks = Clocks(slowness, seed)
        clocks.run(FAULTS)
        assert clocks.served_alone > 0


@pytest.mark.parametrize("slowness", [2.5, 3.0])
def test_beyond_the_bound_stale_reads_are_seen(slowness: float) -> None:
    """The control: in the same runs a clock that is far too slow does break the rule."""
    assert stale_read(slowness)


@pytest.mark.parametrize(("mutant", "fault"), [(R5, Clocks.pause), (R7, Clocks.restart_voter)])
def test_a_lease_that_forgets_is_seen_at_equal_clocks(mutant: type[Raft], fault: Fault) -> None:
    """A pause that does not count, and a voter that forgets what it promised."""
    assert stale_read(1.0, mutant, [fault])
