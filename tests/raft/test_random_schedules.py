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
from tests.raft.mutants import E1, R2, TermOfOldAnswers
from tests.raft.schedules import KINDS, Choice, Schedule, play, play_around, random_choices
from tests.raft.story import Story


class Drawn:
    """Choices that a report leaves out: the story says more."""

    def __init__(self, choices: list[Choice]) -> None:
        self.choices = choices

    def __repr__(self) -> str:
        return "Drawn(...)"


def choices(least: int, most: int) -> st.SearchStrategy[Drawn]:
    """Draw schedules of so many steps."""
    one = st.builds(Choice, st.integers(0, len(KINDS) - 1), st.integers(0, 59), st.integers(0, 59))
    return st.lists(one, min_size=least, max_size=most).map(Drawn)


def try_schedules(
    make: CoreMaker, examples: int, steps: st.SearchStrategy[Drawn], *, derandomize: bool = True
) -> None:
    """Let Hypothesis draw schedules and shrink one that fails; its story is a note of the error."""
    budget = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=derandomize,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    drawn = given(st.sampled_from([3, 1, 2, 4, 5]), st.booleans(), st.integers(0, 9), steps)
    budget(drawn(lambda size, slow, seed, choices: run_schedule(make, size, slow, seed, choices)))()


def run_schedule(make: CoreMaker, size: int, slow_disks: bool, seed: int, drawn: Drawn) -> None:
    schedule = Schedule(size, slow_disks=slow_disks, seed=seed, make=make, parts=parts_of(make))
    try:
        play(schedule, drawn.choices)
    except BaseException:
        note(schedule.as_story())
        raise


def test_random_schedules_keep_all_rules_and_end_in_progress(make: CoreMaker, long: bool) -> None:
    """Hypothesis draws (and would shrink) the schedules; ``--long`` draws others each time."""
    try_schedules(make, 5000 if long else 250, choices(150, 300), derandomize=not long)


def test_a_failure_is_shrunk_to_a_few_commands_that_show_it_again() -> None:
    """What is printed with the error is a story; played again, it breaks the same rule."""
    with pytest.raises(RuleViolated) as broken:
        try_schedules(E1, 300, choices(10, 60))
    lines = [line for note in broken.value.__notes__ for line in note.splitlines()]
    begin = next(number for number, line in enumerate(lines) if line.startswith("cluster "))
    commands = lines[begin:]
    done = [command for command in commands if not command.startswith("tick ")]  # those that end a schedule
    assert len(done) <= 12, "that is not shrunk"
    replay = Story(E1)
    with pytest.raises(RuleViolated) as again:
        for command in commands:
            replay.tell(command)
    assert again.value.violation == broken.value.violation


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
