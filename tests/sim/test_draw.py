"""Drawing scenarios: each seed another mix, the same each time, and never more than a cluster survives."""

from collections import Counter
from dataclasses import replace
from statistics import mean

import pytest

from raftkv.errors import ConfigError
from raftkv.sim.damage import WAYS
from raftkv.sim.draw import DEFAULT_KINDS, draw_scenario, profile_named
from raftkv.sim.driver import Driver
from raftkv.sim.loop import SimLoop
from raftkv.sim.scenario import OFF, OTHERS, SAFETY_END, Scenario, format_scenario, parse_scenario
from raftkv.sim.world import World

DEFAULT = profile_named("default")
BEYOND = profile_named("beyond")
SCENARIOS = [draw_scenario(seed, DEFAULT, nodes) for seed in range(150) for nodes in (3, 5)]


def kinds_of(scenario: Scenario) -> frozenset[str]:
    return frozenset(fault.kind for fault in scenario.faults)


def test_a_seed_gives_the_same_scenario_each_time_and_another_seed_another() -> None:
    assert draw_scenario(7, DEFAULT) == draw_scenario(7, DEFAULT)
    assert len({format_scenario(scenario) for scenario in SCENARIOS}) == len(SCENARIOS)


def test_every_scenario_can_be_written_down_and_played_again() -> None:
    driver = Driver(World(Scenario(), loop := SimLoop()))
    for scenario in SCENARIOS:
        driver.check(scenario.faults)
        assert parse_scenario(format_scenario(scenario)) == scenario
    loop.close()


def test_each_seed_has_a_mix_of_its_own_in_which_many_kinds_are_off() -> None:
    count = Counter(kind for scenario in SCENARIOS for kind in kinds_of(scenario))
    assert all(0.05 < found / len(SCENARIOS) < 0.95 for found in count.values()), count
    assert len({kinds_of(scenario) for scenario in SCENARIOS}) > len(SCENARIOS) / 4


@pytest.mark.parametrize("kind", DEFAULT_KINDS)
def test_each_kind_can_be_drawn_alone_and_happens(kind: str) -> None:
    """A kind that never gives a fault would be a hole in every campaign."""
    alone = replace(DEFAULT, kinds={kind: 1.0})
    faults = [fault for seed in range(20) for fault in draw_scenario(seed, alone).faults]
    assert faults and all(fault.at < SAFETY_END for fault in faults)


def test_without_kinds_there_are_no_faults() -> None:
    assert all(draw_scenario(seed, profile_named("calm")).faults == () for seed in range(20))


def test_a_kind_that_is_off_changes_nothing_but_the_faults() -> None:
    """Each aspect draws from a stream of its own."""
    calm, faulty = (draw_scenario(5, profile_named(name)) for name in ("calm", "default"))
    assert (calm.operations, calm.network, calm.disk, calm.heal) == (
        faulty.operations,
        faulty.network,
        faulty.disk,
        faulty.heal,
    )


def test_what_rots_is_always_the_same_minority() -> None:
    for scenario in SCENARIOS:
        rotten = {fault.words[0] for fault in scenario.faults if fault.kind == "rot"}
        assert len(rotten) <= (scenario.nodes - 1) // 2


def test_beyond_damages_any_number_of_disks_in_every_way_and_says_so() -> None:
    """On top of a share of the usual faults, which are drawn as ever."""
    scenarios = [draw_scenario(seed, BEYOND, nodes) for seed in range(60) for nodes in (3, 5)]
    damages = [[fault for fault in one.faults if fault.kind == "damage"] for one in scenarios]
    most = Counter(
        (len({fault.words[0] for fault in found}), one.nodes)
        for found, one in zip(damages, scenarios, strict=True)
    )
    assert {(1, 3), (2, 3), (3, 3), (2, 5), (5, 5)} <= most.keys() and min(map(len, damages)) > 0
    ways = {fault.words[1:] for found in damages for fault in found}
    assert ways == {(where, way) for where in ("wal", "snapshot") for way in WAYS}
    usual = {fault.kind for one in scenarios for fault in one.faults} - {"damage", "crash", "kill", "start"}
    assert len(usual) > 10 and "rot" not in usual
    for scenario in scenarios:
        assert scenario.beyond_repair and parse_scenario(format_scenario(scenario)) == scenario
    assert not any(scenario.beyond_repair for scenario in SCENARIOS)


def test_who_is_healed_is_a_majority() -> None:
    for scenario in SCENARIOS:
        assert scenario.heal is not None
        core = scenario.heal.core
        assert len(set(core)) == len(core) > scenario.nodes // 2 and set(core) <= set(scenario.members)


def test_who_is_not_healed_is_left_to_rot_in_every_way() -> None:
    count = Counter(one.heal.others for one in SCENARIOS if one.heal and len(one.heal.core) < one.nodes)
    assert set(count) == set(OTHERS) and min(count.values()) > 10
    assert {one.heal.others for one in SCENARIOS if one.heal and len(one.heal.core) == one.nodes} == {OFF}


def test_faults_and_requests_are_in_order_and_enough() -> None:
    for scenario in SCENARIOS:
        assert list(scenario.faults) == sorted(scenario.faults, key=lambda fault: fault.at)
        assert list(scenario.operations) == sorted(scenario.operations, key=lambda one: one.at)
    assert mean(len(scenario.operations) for scenario in SCENARIOS) > 1250


def test_clients_come_in_bursts_in_some_runs() -> None:
    moments = [len({one.at for one in scenario.operations}) for scenario in SCENARIOS]
    assert min(moments) < 60 and max(moments) > 1000


def test_a_profile_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigError, match="there are default, calm"):
        profile_named("wild")
