"""Random schedules: all rules after every step, and progress once the faults end.

A failure is shrunk and printed as a scenario: put into a file of ``scenarios/`` it can be played again.
"""

from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from raftkv.raft import Part
from raftkv.raft.invariants import RuleViolated
from tests.raft.group import CoreMaker, parts_of
from tests.raft.mutants import R2, TermOfOldAnswers
from tests.raft.schedules import KINDS, Choice, Schedule, play, play_around, random_choices
from tests.raft.story import Story


class Drawn:
    """Choices that a report leaves out: the story says more."""

    def __init__(self, choices: list[Choice]) -> None:
        self.choices = choices

    def __repr__(self) -> str:
        return "Drawn(...)"


CHOICES = st.lists(
    st.builds(Choice, st.integers(0, len(KINDS) - 1), st.integers(0, 59), st.integers(0, 59)),
    min_size=150,
    max_size=300,
).map(Drawn)


def run_schedule(make: CoreMaker, size: int, slow_disks: bool, seed: int, drawn: Drawn) -> None:
    schedule = Schedule(size, slow_disks=slow_disks, seed=seed, make=make, parts=parts_of(make))
    try:
        play(schedule, drawn.choices)
    except BaseException:
        note(schedule.as_story())
        raise


def test_random_schedules_keep_all_rules_and_end_in_progress(make: CoreMaker, long: bool) -> None:
    """Hypothesis draws (and would shrink) the schedules; ``--long`` draws others each time."""
    budget = settings(
        max_examples=5000 if long else 250,
        deadline=None,
        database=None,
        derandomize=not long,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    drawn = given(st.sampled_from([3, 1, 2, 4, 5]), st.booleans(), st.integers(0, 9), CHOICES)
    budget(drawn(lambda size, slow, seed, choices: run_schedule(make, size, slow, seed, choices)))()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_seeded_schedules_keep_all_rules_and_end_in_progress(size: int, make: CoreMaker, long: bool) -> None:
    """The same from plain seeds: many more steps in the same time, without shrinking."""
    parts = parts_of(make)
    for seed in range(6000 if long else 120):
        lease_reads = Part.LEASE_READS in parts and seed % 4 == 3
        schedule = Schedule(
            size,
            slow_disks=seed % 3 > 0,
            seed=seed,
            make=make,
            lease_reads=lease_reads,
            parts=parts,
        )
        try:
            play(schedule, random_choices(Random(seed), 300))
        except BaseException as error:
            error.add_note(f"seed {seed}, as a scenario:\n{schedule.as_story()}")
            raise


@pytest.mark.needs(Part.PRE_VOTE, Part.CHECK_QUORUM)
@pytest.mark.parametrize("size", [3, 4, 5])
def test_a_member_that_is_half_cut_off_does_not_disturb_the_others(
    size: int, make: CoreMaker, long: bool
) -> None:
    """§4.2.3, §6.2, §9.6: some of its links lose everything in one direction, or both, for good."""
    for seed in range(1000 if long else 12):
        schedule = Schedule(size, slow_disks=seed % 2 > 0, seed=seed, make=make, parts=parts_of(make))
        try:
            play_around(schedule, random_choices(Random(seed), 200), seed)
        except BaseException as error:
            error.add_note(f"seed {seed}, as a scenario:\n{schedule.as_story()}")
            raise


@pytest.mark.parametrize("mutant", [R2, TermOfOldAnswers])
def test_a_failing_schedule_is_a_story_that_shows_the_fault_again(mutant: CoreMaker) -> None:
    """The printed commands, played again, break the same rule in the same way."""
    schedule, broken = first_failure(mutant)
    replay = Story(mutant)
    with pytest.raises(RuleViolated) as again:
        for command in schedule.commands:
            replay.tell(command)
    assert again.value.violation == broken


def first_failure(mutant: CoreMaker) -> tuple[Schedule, object]:
    for seed in range(100):
        schedule = Schedule(3, slow_disks=True, seed=seed, make=mutant)
        try:
            play(schedule, random_choices(Random(seed), 300))
        except RuleViolated as error:
            return schedule, error.violation
    raise AssertionError("a hundred schedules find nothing")
