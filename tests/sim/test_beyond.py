"""Beyond repair: who can't serve refuses, who can serves, and nobody is wrong."""

from dataclasses import replace

import pytest

from raftkv.mvcc.machine import Machine
from raftkv.sim import healing
from raftkv.sim.draw import draw_scenario, profile_named
from raftkv.sim.edits import in_order
from raftkv.sim.healing import can_go_on
from raftkv.sim.mutants.catalogue import mutant_named
from raftkv.sim.mutants.mutant import installed
from raftkv.sim.run import Result, run_scenario
from raftkv.sim.scenario import Heal, Operation, Scenario, format_scenario, parse_scenario
from raftkv.sim.shrink import Limits, shrink
from raftkv.sim.world import Broken
from tests.sim.stage import Stage

CLIENTS = tuple(
    Operation(
        1.0 + number / 20, f"c{number % 3 + 1}", f"n{number % 3 + 1}", ("put", f"k{number % 4}", f"v{number}")
    )
    for number in range(40)
)
LATE = tuple(Operation(4.5, f"c{number}", f"n{number}", ("get", "k1")) for number in (1, 2, 3))


def scenario(*lines: str, beyond: bool = True) -> Scenario:
    text = "\n".join(("# raftkv scenario 1", "seed 3", *(["beyond repair"] * beyond), *lines))
    one = replace(parse_scenario(text), operations=(*CLIENTS, *LATE), heal=Heal(6.0, ("n1", "n2", "n3")))
    return in_order(one)


def damaged(*numbers: int) -> list[str]:
    return [
        line
        for number in numbers
        for line in (
            f"at 3.5 crash n{number} all",
            f"at 3.6 damage n{number} wal gone",
            f"at 4 start n{number}",
        )
    ]


def hit(result: Result) -> dict[str, int]:
    return {mark: count for mark, count in result.coverage.items() if "disk" in mark}


def test_where_all_disks_are_damaged_the_cluster_refuses_and_the_run_passes() -> None:
    result = run_scenario(scenario(*damaged(1, 2, 3)))
    assert result.passed, result.detail
    assert hit(result) == {"damaged disk refused": 3, "too few sound disks": 1}
    assert result.note.startswith("too few disks are sound to serve: n1: data/wal/") and "n3: " in result.note


def test_who_is_left_is_asked_and_does_not_serve() -> None:
    result = run_scenario(scenario(*damaged(1, 2)))
    assert result.passed, result.detail
    assert hit(result) == {"damaged disk refused": 2, "too few sound disks": 1}
    assert result.operations > result.completed > 0


def test_where_a_majority_can_start_it_has_to_serve() -> None:
    result = run_scenario(scenario(*damaged(2)))
    assert result.passed, result.detail
    assert hit(result) == {"damaged disk refused": 1} and result.note == ""


def test_a_damaged_member_that_was_not_started_again_is_tried_at_the_end() -> None:
    """Its spare snapshot is no loss: with it there is a majority, which must serve."""
    down = [line for line in damaged(1) if "start" not in line]
    spare = ["at 2 snapshot n2", "at 3.5 crash n2 all", "at 3.6 damage n2 snapshot flip"]
    result = run_scenario(scenario(*down, *spare))
    assert result.passed, result.detail
    assert hit(result) == {"damaged disk refused": 1, "damaged disk survived": 1} and result.note == ""


def test_without_the_line_a_majority_is_spared() -> None:
    result = run_scenario(scenario(*damaged(1, 2, 3), beyond=False))
    assert result.passed and hit(result) == {"damaged disk refused": 1}


def test_a_scenario_beyond_repair_is_replayed_from_its_text() -> None:
    one = draw_scenario(1, profile_named("beyond"))
    first, again = run_scenario(one), run_scenario(parse_scenario(format_scenario(one)))
    assert (first.digest, first.note) == (again.digest, again.note)


def test_those_that_can_not_go_on_must_lack_the_damaged_ones() -> None:
    """Only damage excuses standing still."""
    stage = Stage(Scenario(beyond_repair=True))
    stage.leader()
    members = [stage.member(number) for number in (1, 2, 3)]
    members[0].gone = members[1].gone = "refused"
    with pytest.raises(Broken, match="no majority of") as broken:
        can_go_on(stage.world, stage.world.scenario, members[2:])
    assert broken.value.check == "liveness of members" and "n2: refused" in broken.value.detail
    members[0].rotten = True
    assert not can_go_on(stage.world, stage.world.scenario, members[2:])
    assert can_go_on(stage.world, stage.world.scenario, members[1:])
    stage.close()


def test_a_member_that_neither_comes_up_nor_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healing, "START_SECONDS", -1.0)
    result = run_scenario(scenario("at 3.5 crash n1 all"))
    assert result.check == "liveness of members" and result.detail == "n1 neither came up nor refused"


def test_who_is_left_must_have_the_right_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that nobody can ask any more is still looked at."""
    honest = Machine.digest
    seen: list[Machine] = []

    def digest(self: Machine) -> bytes:
        seen.append(self)
        return honest(self) if len(seen) % 2 else b"another"

    monkeypatch.setattr(Machine, "digest", digest)
    result = run_scenario(scenario(*damaged(1, 2)))
    assert result.check == "equal content" and result.detail.startswith("the content of n3 at ")


def test_shrinking_keeps_the_mode_only_where_it_is_needed() -> None:
    """The bug needs one damaged disk, not several."""
    with installed(mutant_named("W2")):
        failing = scenario("at 3.5 crash n1 all", "at 3.6 damage n1 wal flip", "at 4 start n1")
        shrunk = shrink(failing, limits=Limits(runs=60))
    assert shrunk.result.check == "rule restart_recovers" and not shrunk.scenario.beyond_repair
    assert [fault.kind for fault in shrunk.scenario.faults] == ["crash", "damage", "start"]
