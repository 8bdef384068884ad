"""Shrinking: what fails stays, everything else goes, and the same check fails all along."""

from collections.abc import Callable
from functools import partial

import pytest

from raftkv.errors import ConfigError
from raftkv.sim import edits
from raftkv.sim.draw import draw_scenario, profile_named
from raftkv.sim.network import CALM, Conditions
from raftkv.sim.run import Result, run_scenario
from raftkv.sim.scenario import Fault, Heal, Operation, Scenario, format_scenario, parse_scenario
from raftkv.sim.shrink import Limits, NothingToShrink, Run, script_of, shrink
from tests.raft.overrides import AnswersAtOnce

NEEDED_FAULT = Fault(7.123, "crash", ("n2", "all"))
NEEDED_OPERATION = Operation(9.456, "c2", "n1", ("put", "k3", "c2.7"))


def large() -> Scenario:
    """Return a scenario with much in it, the needed fault and operation among the rest."""
    scenario = draw_scenario(3, profile_named("default"), 5)
    faults = (*scenario.faults, NEEDED_FAULT)
    operations = (*scenario.operations, NEEDED_OPERATION)
    network = Conditions(0.001, 0.02, loss=0.01)
    whole = Scenario(5, 3, scenario.options, network, scenario.disk, faults, operations, scenario.heal)
    return edits.in_order(whole)


def needs(scenario: Scenario) -> bool:
    """Whether the scenario holds what the made-up bug needs: a crash of n2, then a put."""
    crashes = [fault.at for fault in scenario.faults if fault.words == NEEDED_FAULT.words]
    puts = [one.at for one in scenario.operations if one.words[0] == "put"]
    return any(crash < put for crash in crashes for put in puts) and scenario.nodes >= 2


def judged(scenario: Scenario) -> Result:
    """Fail as the made-up bug does."""
    result = Result(scenario.seed, failed_at=24.0)
    if needs(scenario):
        result.check = "made up"
    return result


def test_only_what_the_failure_needs_is_left() -> None:
    shrunk = shrink(large(), judged)
    left = shrunk.scenario
    assert shrunk.complete
    assert [fault.words for fault in left.faults] == [NEEDED_FAULT.words]
    assert [one.words[0] for one in left.operations] == ["put"]
    assert (left.nodes, left.network, left.options) == (2, CALM, {})
    assert left.heal is not None and left.heal.at < 5
    assert len(format_scenario(left).splitlines()) == 6


def test_times_become_short_numbers() -> None:
    left = shrink(large(), judged).scenario
    assert all(len(f"{at:g}") <= 3 for at in edits.times_of(left))


def failing(bug: Callable[[Scenario], bool]) -> Run:
    """Return a run that fails when the scenario has what the bug needs."""
    return lambda scenario: Result(scenario.seed, "made up" if bug(scenario) else "", failed_at=24.0)


def test_requests_share_one_key_and_get_short_values() -> None:
    shrunk = shrink(large(), failing(lambda one: sum(o.words[0] == "put" for o in one.operations) >= 2))
    assert [one.words[2] for one in shrunk.scenario.operations] == ["v1", "v2"]
    assert len({one.words[1] for one in shrunk.scenario.operations}) == 1


def test_a_time_keeps_the_digits_it_needs() -> None:
    shrunk = shrink(large(), failing(lambda one: any(7.1 < fault.at < 7.2 for fault in one.faults)))
    [at] = edits.times_of(shrunk.scenario)
    assert 7.1 < at < 7.2 and round(at, 2) == at


def test_the_last_seconds_begin_anew_and_what_lasts_into_them_stays() -> None:
    cut, over = (Fault(at, "cut", ("n1>n2",), 5.0) for at in (6.0, 3.0))
    asked = tuple(Operation(at, "c1", "n1", ("get", "k1")) for at in (8.0, 9.5, 12.0))
    scenario = Scenario(faults=(over, cut), operations=asked, heal=Heal(11, ("n1", "n2")))
    last = edits.last_seconds(scenario, 11.0, 2.0, 1.0)
    assert last.faults == (Fault(1.0, "cut", ("n1>n2",), 2.0),)
    assert [one.at for one in last.operations] == [1.5]
    assert last.heal == Heal(3.0, ("n1", "n2"))


def test_a_failure_after_the_healing_is_looked_for_before_it() -> None:
    """No candidate heals before anybody has begun: a right core fails there too."""
    healings = []

    def run(scenario: Scenario) -> Result:
        assert scenario.heal is not None
        healings.append(scenario.heal.at)
        return Result(scenario.seed, "made up" if len(scenario.operations) > 3 else "", failed_at=44.0)

    shrunk = shrink(large(), run)
    assert len(shrunk.scenario.operations) == 4 and min(healings) > 0.0


def test_a_cause_near_the_failure_is_found_without_what_was_before() -> None:
    """The number of runs does not depend on how much happened before."""
    shrunk = shrink(large(), failing(lambda one: bool(one.operations)))
    assert len(shrunk.scenario.operations) == 1 and shrunk.runs < 100


def test_a_cut_keeps_the_links_it_needs() -> None:
    cut = Fault(2.0, "cut", ("n1>n2", "n2>n1", "n1>n3", "n3>n1"), 5.0)
    scenario = Scenario(faults=(cut,), heal=Heal(9, ("n1", "n2", "n3")))
    shrunk = shrink(scenario, failing(lambda one: any("n3>n1" in fault.words for fault in one.faults)))
    assert [fault.words for fault in shrunk.scenario.faults] == [("n3>n1",)]


def test_a_candidate_that_makes_no_sense_is_left() -> None:
    """A start of a member that was never added, say."""

    def run(scenario: Scenario) -> Result:
        if not any(one.client == "c1" for one in scenario.operations):
            raise ConfigError("c1 is needed")
        return judged(scenario)

    assert "c1" in {one.client for one in shrink(large(), run).scenario.operations}


def test_a_candidate_that_fails_another_check_is_not_taken() -> None:
    """Everything fails, but only what holds the needed fault and operation fails as the first did."""

    def run(scenario: Scenario) -> Result:
        return Result(scenario.seed, "made up" if needs(scenario) else "another", failed_at=24.0)

    shrunk = shrink(large(), run)
    assert shrunk.result.check == "made up"
    assert needs(shrunk.scenario)


def test_a_name_of_a_rule_is_part_of_the_check() -> None:
    result = run_scenario(draw_scenario(0, profile_named("calm")), AnswersAtOnce)
    assert result.check == "rule sent_term_is_durable"


def test_the_search_is_the_same_every_time() -> None:
    """The runs asked for, in order, and not only the result."""
    asked: list[list[str]] = [[], []]

    def noting(texts: list[str]) -> Run:
        def run(scenario: Scenario) -> Result:
            texts.append(format_scenario(scenario))
            return judged(scenario)

        return run

    for texts in asked:
        shrink(large(), noting(texts))
    assert asked[0] == asked[1]
    assert len(asked[0]) == len(set(asked[0])) > 50


@pytest.mark.parametrize("runs", [1, 2, 30])
def test_no_more_runs_are_made_than_allowed(runs: int) -> None:
    made = []

    def run(scenario: Scenario) -> Result:
        made.append(scenario)
        return judged(scenario)

    shrunk = shrink(large(), run, Limits(runs=runs))
    assert (len(made), shrunk.runs, shrunk.complete) == (runs, runs, False)
    assert needs(shrunk.scenario)


def test_the_time_is_bounded() -> None:
    shrunk = shrink(large(), judged, Limits(seconds=0.0))
    assert (shrunk.runs, shrunk.complete) == (1, False)


def test_what_passes_is_not_shrunk() -> None:
    with pytest.raises(NothingToShrink, match="seed 3 passes"):
        shrink(large(), lambda scenario: Result(scenario.seed))


def test_another_seed_is_tried_where_a_large_part_can_not_go_otherwise() -> None:
    """The story is kept, and not the number it came from."""

    def run(scenario: Scenario) -> Result:
        quiet = not scenario.operations
        fails = not quiet or scenario.seed == 5
        return Result(scenario.seed, "made up" if fails else "", failed_at=24.0)

    shrunk = shrink(large(), run)
    assert (shrunk.scenario.operations, shrunk.scenario.seed) == ((), 5)


def test_a_planted_bug_becomes_a_script_that_replays_bit_for_bit() -> None:
    run = partial(run_scenario, make=AnswersAtOnce)
    shrunk = shrink(draw_scenario(0, profile_named("default")), run)
    script = script_of(shrunk, "seed 0")
    assert len(script.splitlines()) <= 8
    assert script.splitlines()[1].startswith("# rule sent_term_is_durable: ")
    assert script.splitlines()[2] == "# from seed 0"
    again = run(parse_scenario(script))
    assert (again.check, again.digest) == (shrunk.result.check, shrunk.result.digest)
    assert run_scenario(parse_scenario(script)).passed


def test_fewer_nodes_take_their_faults_clients_and_links_along() -> None:
    scenario = Scenario(
        nodes=3,
        faults=(
            Fault(1, "crash", ("n3", "all")),
            Fault(2, "cut", ("n1>n2", "n1>n3"), 1.0),
            Fault(3, "cut", ("n3>n2",), 1.0),
            Fault(4, "weather", ("1ms..2ms",), 1.0),
        ),
        operations=(Operation(1, "c1", "n3", ("get", "k1")),),
        heal=Heal(5, ("n2", "n3")),
    )
    fewer = edits.with_nodes(scenario, 2)
    assert fewer.faults == (Fault(2, "cut", ("n1>n2",), 1.0), Fault(4, "weather", ("1ms..2ms",), 1.0))
    assert fewer.operations[0].via == "n1"
    assert fewer.heal == Heal(5, ("n2",))


@pytest.mark.parametrize(
    ("words", "renamed"),
    [
        (("put", "k2", "v"), ("put", "k1", "v")),
        (("scan", "k1", "k2", "k3"), ("scan", "k1", "k3")),
        (("move", "k1", "k2", "v"), ("cas", "k1", "v")),
        (("compact",), ("compact",)),
    ],
)
def test_requests_stay_possible_when_keys_are_renamed(
    words: tuple[str, ...], renamed: tuple[str, ...]
) -> None:
    scenario = Scenario(operations=(Operation(1, "c1", "n1", words),))
    assert edits.with_names(scenario, {"k2": "k1"}).operations[0].words == renamed


def test_later_events_move_together() -> None:
    scenario = Scenario(
        faults=(Fault(1, "kill", ("n1",)), Fault(9, "start", ("n1",))),
        operations=(Operation(9.5, "c1", "n1", ("get", "k1")),),
        heal=Heal(12, ("n1", "n2", "n3")),
    )
    moved = edits.sooner(scenario, 9, 7)
    assert edits.times_of(moved) == [1, 2, 2.5]
    assert moved.heal is not None and moved.heal.at == 5
