"""A rule that is not asked about a step has nothing to say about it: the aspects leave nothing unseen."""

from random import Random

import pytest

from raftkv.errors import RaftKvError
from raftkv.raft.aspects import ALL, aspects_of
from raftkv.raft.core import Raft
from raftkv.raft.invariants import RULES, Observer, RuleViolated, Violation
from raftkv.raft.ledger import Step
from tests.raft import group
from tests.raft.group import CoreMaker
from tests.raft.mutants import CATALOGUE, FURTHER
from tests.raft.schedules import Schedule, play, random_choices


class Unseen(Exception):
    """A rule had something to say about a step that does not concern it."""


class AsksAll(Observer):
    """Asks every rule, and fails when one complains of a step that does not concern it."""

    skipped = 0

    def observe(self, step: Step) -> None:
        self.ledger.record(step)
        aspects = aspects_of(step, self.ledger.members[step.node_id], self.ledger)
        broken = [(rule, detail) for rule in self.rules if (detail := rule.check(step, self.ledger))]
        unseen = [rule.name for rule, _ in broken if not rule.concerns & aspects]
        if unseen:
            raise Unseen(f"{unseen} would not have been asked about {step}")
        if broken:
            rule, detail = broken[0]
            raise RuleViolated(Violation(rule, step.node_id, detail))
        AsksAll.skipped += sum(not rule.concerns & aspects for rule in self.rules)


def play_some(make: CoreMaker, monkeypatch: pytest.MonkeyPatch, seeds: range) -> None:
    monkeypatch.setattr(group, "Observer", AsksAll)
    for seed in seeds:
        schedule = Schedule(3, slow_disks=seed % 2 == 0, seed=seed, make=make)
        try:
            play(schedule, random_choices(Random(seed), 200))
        except (AssertionError, RaftKvError):
            continue  # what a bug of the core may well lead to


def test_the_reference_core_breaks_no_rule_that_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    before = AsksAll.skipped
    play_some(Raft, monkeypatch, range(20))
    assert AsksAll.skipped > before, "nothing was left out, so nothing was shown"


@pytest.mark.parametrize("mutant", [*CATALOGUE.values(), *FURTHER.values()], ids=lambda core: core.__name__)
def test_no_bug_breaks_a_rule_that_is_not_asked(mutant: type[Raft], monkeypatch: pytest.MonkeyPatch) -> None:
    play_some(mutant, monkeypatch, range(4))


def test_every_rule_concerns_something() -> None:
    assert all(0 < rule.concerns <= ALL for rule in RULES)
