"""What makes a run weak, one figure after the other."""

import pytest

from raftkv.chaos.figures import Wanted, covered, leader_changes, measure, shortcomings, unavailable
from raftkv.chaos.record import Done, Look
from raftkv.chaos.system import Effect, FaultRecord, NodeState

WANTED = Wanted((("kill-all", "kill"), ("split", "partition")), 60.0)


def done(call: float, outcome: str = "ok") -> Done:
    returned = None if outcome == "unknown" else call + 0.01
    return Done(call, returned, 0, "n1", "kv", "get k1", outcome)


def fault(kind: str, group: str, begun: float, ended: float) -> FaultRecord:
    return FaultRecord(kind, group, ("n1",), "", begun, ended, (Effect("process ended", 1.0),))


def look(time: float, term: int, leader: str) -> Look:
    nodes = tuple(
        NodeState(name, True, "leader" if name == leader else "follower", term) for name in ("n1", "n2", "n3")
    )
    return Look(time, nodes)


OPERATIONS = [done(number / 250) for number in range(250 * 60)]
LOOKS = [look(0.0, 1, "n1"), look(10.0, 2, "n2"), look(20.0, 3, "n1"), look(30.0, 4, "n3")]
FAULTS = [
    fault("kill-one", "kill", 0.0, 20.0),
    fault("kill-all", "kill", 15.0, 30.0),
    fault("split", "partition", 40.0, 55.0),
]


def reasons(
    operations: list[Done] = OPERATIONS,
    looks: list[Look] = LOOKS,
    faults: list[FaultRecord] = FAULTS,
    wanted: Wanted = WANTED,
) -> list[str]:
    return shortcomings(measure(operations, looks, faults, wanted), wanted)


def only(found: list[str]) -> str:
    assert len(found) == 1, found
    return found[0]


def test_a_run_with_enough_of_everything_is_not_weak() -> None:
    assert reasons() == []


def test_too_few_acknowledged_operations() -> None:
    assert "199 acknowledged" in only(reasons(OPERATIONS[: 60 * 199]))
    assert reasons(OPERATIONS[: 60 * 200]) == []


def test_operations_that_wait_by_their_nature_may_be_fewer() -> None:
    wanted = WANTED._replace(workload="lock")
    assert reasons(OPERATIONS[::50], wanted=wanted) == []
    assert "4 acknowledged" in only(reasons(OPERATIONS[::60], wanted=wanted))


def test_operations_that_were_turned_down_do_not_count() -> None:
    refused = [done(one.call, "fail") for one in OPERATIONS]
    assert any("0 acknowledged" in reason for reason in reasons(refused))


def test_too_many_that_ended_unknown() -> None:
    unknown = [done(number / 100, "unknown") for number in range(3800)]
    assert "ended unknown" in only(reasons(OPERATIONS + unknown))
    assert reasons(OPERATIONS + unknown[:3700]) == []


def test_refusals_do_not_hide_what_is_unknown() -> None:
    unknown = [done(number / 100, "unknown") for number in range(3800)]
    refused = [done(number / 1000, "fail") for number in range(60_000)]
    assert "ended unknown" in only(reasons(OPERATIONS + unknown + refused))


def test_too_little_time_under_faults() -> None:
    faults = [*FAULTS[:2], FAULTS[2]._replace(ended=45.0)]
    assert "58% of the time" in only(reasons(faults=faults))


def test_a_kind_that_never_proved_anything() -> None:
    assert "split" in only(reasons(faults=[*FAULTS[:2], FAULTS[2]._replace(effects=())]))
    assert "split" in only(reasons(faults=[*FAULTS[:2], FAULTS[2]._replace(error="no")]))


def test_too_few_leader_changes() -> None:
    assert "2 leader changes" in only(reasons(looks=LOOKS[:3]))


def test_no_kill_of_the_whole_cluster() -> None:
    faults = [FAULTS[0], FAULTS[1]._replace(effects=()), FAULTS[2]]
    assert any("whole cluster" in reason for reason in reasons(faults=faults))
    others = Wanted((("kill-one", "kill"), ("split", "partition")), 60.0)
    assert reasons(faults=faults, wanted=others) == []
    early = WANTED._replace(seconds=29.0)
    assert not any("whole cluster" in reason for reason in reasons(faults=faults, wanted=early))


def test_without_faults_only_the_operations_count() -> None:
    wanted = WANTED._replace(kinds=())
    assert reasons(looks=[], faults=[], wanted=wanted) == []


def test_faults_that_end_no_leader_need_no_leader_changes() -> None:
    wanted = Wanted((("slow disk", "disk"),), 60.0)
    assert reasons(looks=LOOKS[:1], faults=[fault("slow disk", "disk", 0.0, 50.0)], wanted=wanted) == []


@pytest.mark.parametrize(("seconds", "changes"), [(10.0, 0), (20.0, 1), (40.0, 2), (60.0, 3), (600.0, 3)])
def test_a_short_run_needs_fewer_leader_changes(seconds: float, changes: int) -> None:
    wanted = Wanted((("kill-one", "kill"),), seconds)
    operations = [done(number / 250) for number in range(int(250 * seconds))]
    faults = [fault("kill-one", "kill", 0.0, seconds)]
    assert reasons(operations, LOOKS[: changes + 1], faults, wanted) == []
    if changes:
        assert "leader changes" in only(reasons(operations, LOOKS[:changes], faults, wanted))


def test_a_short_run_needs_fewer_kinds_and_always_one() -> None:
    kinds = tuple((f"kind {number}", "disk") for number in range(6))
    operations = OPERATIONS[: 250 * 20]
    wanted = Wanted(kinds, 20.0)
    two = [fault("kind 0", "disk", 0.0, 10.0), fault("kind 1", "disk", 10.0, 20.0)]
    assert reasons(operations, LOOKS, two, wanted) == []
    assert "at least 2" in only(reasons(operations, LOOKS, [two[0]._replace(ended=20.0)], wanted))
    short = Wanted(kinds, 5.0)
    none = [two[0]._replace(effects=())]
    assert "at least 1" in only(reasons(OPERATIONS[: 250 * 5], LOOKS, none, short))


def test_what_happened_behind_the_end_is_not_counted() -> None:
    found = measure([*OPERATIONS, done(61.0)], LOOKS, [fault("split", "partition", 50.0, 90.0)], WANTED)
    assert found.operations == len(OPERATIONS)
    assert found.fault_share == pytest.approx(10 / 60)


def test_faults_at_the_same_time_count_once() -> None:
    assert covered([(5.0, 9.0), (0.0, 2.0), (1.0, 3.0), (6.0, 7.0)], 8.0) == 6.0


def test_leaders_of_older_terms_and_looks_without_one_are_no_change() -> None:
    looks = [look(0, 2, "n1"), look(1, 1, "n2"), look(2, 2, ""), look(3, 2, "n1"), look(4, 3, "n1")]
    assert leader_changes(looks) == 1
    assert leader_changes([]) == 0


def test_a_second_without_an_answer_is_a_window() -> None:
    operations = [done(0.5), done(0.9), done(3.0), done(3.5, "unknown"), done(4.5, "fail")]
    assert unavailable(operations, 6.0) == [(0.91, 3.01), (3.01, 6.0)]
