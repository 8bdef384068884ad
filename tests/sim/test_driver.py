"""Each fault does what its name says, and is counted as long as it lasts."""

from collections.abc import Iterator
from typing import Any

import pytest

from raftkv.checkers.history import Outcome
from raftkv.errors import ConfigError
from raftkv.sim.healing import choose_core
from raftkv.sim.network import CALM, Conditions
from raftkv.sim.scenario import Fault, Heal, Scenario
from tests.sim.stage import Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    one = Stage()
    one.leader()
    one.run(0.5)
    yield one
    one.close()


def follower(stage: Stage) -> int:
    return next(number for number in stage.world.members if number != stage.leader())


def is_paused(stage: Stage, number: int) -> bool:
    running = stage.member(number).running
    return running is not None and running.incarnation.paused


def test_a_fault_that_does_not_exist_is_named(stage: Stage) -> None:
    with pytest.raises(ConfigError, match="no fault 'earthquake'"):
        stage.driver.check((Fault(1, "earthquake"),))


def test_a_fault_of_nobody_is_an_error(stage: Stage) -> None:
    with pytest.raises(ConfigError, match="n9 is no member yet"):
        stage.play("crash n9 all")


@pytest.mark.parametrize(("line", "kept"), [("crash n{0} nothing", False), ("kill n{0}", True)])
def test_a_crash_loses_what_was_not_synced_and_a_kill_does_not(stage: Stage, line: str, kept: bool) -> None:
    number = follower(stage)
    disk = stage.member(number).disk
    inode = disk.names[max(name for name in disk.names if name.endswith(".wal"))]
    inode.write(0, b"not synced")
    stage.play(line.format(number))
    assert disk.fenced and stage.member(number).running is None
    after = stage.member(number).disk
    wal = after.content(max(name for name in after.names if name.endswith(".wal")))
    assert wal.startswith(b"not synced") is kept
    stage.run(1)
    stage.play(f"start n{number}")
    assert stage.driver.fault_seconds == pytest.approx(1.0)


def test_a_member_that_was_started_serves_again_with_what_it_had(stage: Stage) -> None:
    stage.play("c1 via n1 put k v")
    for number in (1, 2, 3):
        stage.play(f"crash n{number} sectors")
    stage.run(1)
    for number in (1, 2, 3):
        stage.play(f"start n{number}")
    stage.leader()
    stage.play("c1 via n2 get k")
    assert [one.outcome for one in stage.workload.sessions[0].history] == [Outcome.OK, Outcome.OK]
    read: Any = stage.workload.sessions[0].history[1].output
    assert read[1].value == "v"


def test_a_pause_holds_a_member_up_for_its_time(stage: Stage) -> None:
    number = stage.leader()
    stage.play(f"pause n{number} for 3")
    assert is_paused(stage, number)
    stage.run(2.9)
    assert is_paused(stage, number) and any(one != number for one in stage.leaders())
    stage.run(0.2)
    assert not is_paused(stage, number) and stage.driver.fault_seconds == pytest.approx(3.0)


def test_links_are_cut_for_their_time(stage: Stage) -> None:
    stage.play("cut n1>n2 n2>n1 for 2")
    assert stage.world.network.is_cut((1, 2)) and not stage.world.network.is_cut((1, 3))
    stage.run(2.1)
    assert not stage.world.network.is_partitioned


def test_a_leader_is_cut_off_from_one_other_member_only(stage: Stage) -> None:
    leader = stage.leader()
    stage.play("leader-cut one for 2")
    network, members = stage.world.network, list(stage.world.members)
    cut = [(one, other) for one in members for other in members if network.is_cut((one, other))]
    assert len(cut) == 2 and cut[0] == cut[1][::-1] and all(leader in link for link in cut)
    stage.run(1.9)
    assert stage.leader() == leader, "who still hears it does not vote against it"
    stage.run(0.2)
    assert not network.is_partitioned


def test_coups_cut_each_leader_off_and_let_the_one_before_back_in(stage: Stage) -> None:
    first = stage.leader()
    term = stage.world.observer.ledger.members[first].hard_state.term
    stage.play("coups both 10ms for 9", f"kill n{first}", f"start n{first}")
    stage.run(8.9)
    leaders = {one: who for one, who in stage.world.observer.ledger.leaders.items() if one > term}
    last = leaders[max(leaders)]
    assert len(leaders) >= 3
    assert all(stage.world.network.is_cut((last, other)) for other in stage.world.members if other != last)
    stage.run(0.2)
    assert not stage.world.network.is_partitioned
    stage.driver.stop_counting()
    assert stage.driver.fault_seconds == pytest.approx(9.0)
    led = max(stage.world.observer.ledger.leaders)
    stage.run(5)
    assert max(stage.world.observer.ledger.leaders) <= led + 1, "nobody is cut off any more"


def test_coups_cut_some_others_off_with_the_leader_where_the_rest_decides() -> None:
    stage = Stage(Scenario(nodes=5))
    first = stage.leader()
    stage.play("coups both 10ms for 20", f"kill n{first}", f"start n{first}")
    members, network = list(stage.world.members), stage.world.network
    away = set()
    for _ in range(190):
        stage.run(0.1)
        reach = {one: [other for other in members if not network.is_cut((one, other))] for one in members}
        few = tuple(len(reach[one]) for one in members if len(reach[one]) < 3)
        away.add(few)
        assert len(few) <= 2, "the rest decides"
    stage.close()
    assert (2, 2) in away, "a companion is with its leader"
    assert away & {(1, 1), (1, 2), (2, 1)}, "it is still away when the next leader is cut off"


@pytest.mark.parametrize("line", ["leader-cut oen for 1", "coups one 10ms for 1"])
def test_a_way_that_does_not_exist_is_named(stage: Stage, line: str) -> None:
    with pytest.raises(ConfigError, match=r"no way 'o(en|ne)' .* there are out, in, both"):
        stage.play(line)


def test_a_fault_without_an_end_counts_until_the_healing_and_two_at_once_count_once(stage: Stage) -> None:
    stage.play("cut n1>n2", "cut n2>n3 for 1")
    stage.run(3)
    stage.driver.stop_counting()
    stage.run(3)
    assert stage.world.network.is_cut((1, 2)) and stage.driver.fault_seconds == pytest.approx(3.0)


def test_weather_is_over_after_its_time(stage: Stage) -> None:
    stage.play("weather 5ms..100ms loss 10% reorder for 1")
    assert stage.world.network.conditions == Conditions(0.005, 0.1, 0.1, reordering=True)
    stage.run(1.1)
    assert stage.world.network.conditions == CALM


def test_bad_weather_does_not_come_back_after_the_healing(stage: Stage) -> None:
    """What a fault of weather ends with is the scenario's usual weather, which may lose messages too."""
    stage.play("weather 5ms..100ms for 1")
    stage.driver.healed_at = stage.loop.now
    stage.world.network.conditions = calm = Conditions(0.003, 0.003)
    stage.run(1.1)
    assert stage.world.network.conditions is calm


def test_a_slow_disk_takes_longer_to_sync(stage: Stage) -> None:
    delay = stage.member(1).disk.delay
    stage.play("slow-disk n1 100 for 1")
    assert delay("sync") == pytest.approx(0.1) and delay("write") < delay("sync")
    stage.run(1.1)
    assert delay("sync") == pytest.approx(0.001)


def test_a_full_disk_has_no_room_for_a_new_segment_until_it_is_over(stage: Stage) -> None:
    stage.play("full-disk n1 for 1")
    disk = stage.member(1).disk
    assert disk.capacity == sum(len(inode.live) for inode in disk.names.values())
    stage.run(1.1)
    assert disk.capacity is None


def test_a_disk_error_ends_a_member_at_its_next_sync(stage: Stage) -> None:
    number = stage.leader()
    stage.play(f"disk-error n{number}", f"c1 via n{number} put k v")
    stage.wait_for(lambda: stage.member(number).running is None)
    assert stage.world.broken == [] and not stage.member(number).gone
    stage.play(f"start n{number}")
    stage.wait_for(lambda: stage.member(number).node)


def test_a_disk_error_while_a_member_starts_is_not_the_end_of_it(stage: Stage) -> None:
    stage.play("kill n1", "start n1", "disk-error n1")
    stage.wait_for(lambda: stage.member(1).running is None)
    assert stage.world.broken == [] and not stage.member(1).gone
    stage.play("start n1")
    stage.wait_for(lambda: stage.member(1).node)


def test_rot_flips_a_bit_of_a_member_that_is_down_and_never_of_a_majority(stage: Stage) -> None:
    for number in range(400):
        stage.play(f"c1 via n1 put k{number % 7} v{number}")
    leader = stage.leader()
    one, other = [number for number in stage.world.members if number != leader]
    stage.play(f"rot n{one} wal")
    assert not stage.member(one).rotten, "a member that is up is left alone"
    for number in (one, other):
        stage.play(f"crash n{number} all")
    before = {name: bytes(inode.live) for name, inode in stage.member(one).disk.names.items()}
    stage.play(f"rot n{one} wal", f"rot n{other} wal")
    after = stage.member(one).disk.names
    flipped = [
        bin(old ^ new).count("1")
        for name in after
        for old, new in zip(before[name], after[name].live, strict=True)
        if old != new
    ]
    assert flipped == [1] and stage.member(one).rotten and not stage.member(other).rotten


def disk_of(stage: Stage, number: int) -> dict[str, bytes]:
    return {name: bytes(inode.live) for name, inode in stage.member(number).disk.names.items()}


def test_damage_hits_a_member_that_is_down_and_spares_a_majority(stage: Stage) -> None:
    before = disk_of(stage, 1)
    stage.play("damage n1 wal gone")
    assert not stage.member(1).rotten and disk_of(stage, 1).keys() == before.keys(), "it is up"
    stage.play("crash n1 all", "damage n1 wal gone", "crash n2 all", "damage n2 wal gone")
    assert [stage.member(number).rotten for number in (1, 2, 3)] == [True, False, False]
    assert len(disk_of(stage, 1)) < len(before)
    stage.play("start n1")
    stage.wait_for(lambda: stage.member(1).gone)
    assert "the segment is missing" in stage.member(1).gone and stage.world.broken == []


def test_damage_spares_who_will_be_needed_once_a_change_under_way_is_appended(stage: Stage) -> None:
    leader = stage.leader()
    one = leader % 3 + 1
    stage.play(f"pause n{leader} for 5", f"remove n{leader}")
    stage.play(f"crash n{one} all", f"damage n{one} wal gone")
    assert not stage.member(one).rotten, "two are left when the leader goes on, and need each other"
    stage.play(f"start n{one}")
    stage.wait_for(lambda: not stage.driver.electorates_under_way(), 20)
    assert stage.world.removed() == (), "the leader was replaced before it could commit that"
    stage.play(f"crash n{one} all", f"damage n{one} wal gone")
    assert stage.member(one).rotten and stage.world.broken == []


def test_damage_beyond_repair_spares_nobody() -> None:
    stage = Stage(Scenario(beyond_repair=True))
    stage.leader()
    for number in (1, 2, 3):
        stage.play(f"crash n{number} all", f"damage n{number} wal cut")
    assert all(stage.member(number).rotten for number in (1, 2, 3))
    stage.play("rot n1 snapshot")
    stage.close()


def test_of_a_member_that_is_up_only_a_snapshot_is_damaged_that_counts(stage: Stage) -> None:
    stage.play("damage n1 snapshot flip", "c1 via n1 put k v", "snapshot n1")
    assert not stage.member(1).rotten, "it has none yet"
    stage.run(1)
    before = disk_of(stage, 1)
    stage.play("damage n1 snapshot flip")
    after = disk_of(stage, 1)
    assert stage.member(1).rotten and stage.member(1).running is not None
    assert [name.rpartition(".")[2] for name in before if before[name] != after[name]] == ["snap"]


def test_a_clock_drifts_and_jumps_and_keeps_it_over_a_restart(stage: Stage) -> None:
    running = stage.member(1).running
    assert running is not None
    stage.play("drift n1 1.1", "jump n1 10")
    assert running.incarnation.drift == 1.1
    assert running.incarnation.local(stage.loop.now) == pytest.approx(stage.loop.now + 10)
    stage.play("kill n1", "start n1")
    again = stage.member(1).running
    assert again is not None and again.incarnation.drift == 1.1 and again.incarnation.offset == 10


def test_leadership_moves_to_whom_the_transfer_names(stage: Stage) -> None:
    target = follower(stage)
    stage.play(f"transfer n{target}")
    stage.wait_for(lambda: stage.leaders() == [target], 1.0)


def test_a_snapshot_is_taken_when_it_is_asked_for(stage: Stage) -> None:
    stage.play("c1 via n1 put k v", "snapshot n1")
    stage.run(1)
    assert any(name.endswith(".snap") for name in stage.member(1).disk.names)


def test_a_member_joins_is_promoted_and_removed(stage: Stage) -> None:
    stage.play("add n4")
    stage.run(2)
    assert stage.world.voters() == (1, 2, 3)
    stage.play("promote n4")
    stage.wait_for(lambda: stage.world.voters() == (1, 2, 3, 4))
    stage.play("remove n4")
    stage.wait_for(lambda: stage.world.voters() == (1, 2, 3))


def test_a_change_on_its_way_in_a_member_that_stands_still_counts_for_the_core(stage: Stage) -> None:
    """It is appended when the member goes on, and then two of three no longer decide: a false alarm once."""
    stage.play("add n4")
    stage.run(2)
    leader = stage.leader()
    stage.play(f"pause n{leader} for 5", "promote n4")
    stage.run(0.5)
    assert sorted(map(sorted, stage.driver.electorates_under_way())) == [[1, 2, 3, 4]]
    scenario = Scenario(heal=Heal(9.0, ("n1", "n2")))
    chosen = choose_core(stage.world, scenario, stage.driver.electorates_under_way())
    assert len(chosen) == 3
    assert len(choose_core(stage.world, scenario, [])) == 2
    stage.wait_for(lambda: stage.driver.electorates_under_way() == [], 30.0)


def test_the_leader_is_removed_whoever_it_is(stage: Stage) -> None:
    leader = stage.leader()
    stage.play("remove leader")
    stage.wait_for(lambda: leader not in stage.world.voters() and stage.leaders() not in ([], [leader]))


def test_nobody_is_removed_who_is_needed_in_place_of_the_rotten(stage: Stage) -> None:
    stage.member(1).rotten = True
    stage.play("remove n2")
    stage.run(1)
    assert stage.world.voters() == (1, 2, 3)


def test_a_request_to_a_member_that_is_down_fails_for_certain(stage: Stage) -> None:
    stage.play("kill n2", "c1 via n2 put k v")
    (operation,) = stage.workload.sessions[0].history
    assert operation.outcome is Outcome.FAIL


def test_a_request_under_way_to_a_member_that_crashes_has_an_unknown_outcome(stage: Stage) -> None:
    stage.play("cut n1>n2 n2>n1 n1>n3 n3>n1 n2>n3 n3>n2")
    stage.loop.call_later(0.5, stage.play, "crash n1 all")
    stage.play("c1 via n1 put k v")
    (operation,) = stage.workload.sessions[0].history
    assert operation.outcome is Outcome.UNKNOWN


def test_a_client_gives_up_when_no_answer_comes(stage: Stage) -> None:
    stage.play("pause n1", "c1 via n1 put k v")
    (operation,) = stage.workload.sessions[0].history
    assert operation.outcome is Outcome.UNKNOWN and operation.returned is None
