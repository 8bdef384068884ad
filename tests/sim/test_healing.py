"""What is healed, and how: nothing that struck before the healing ends a member after it."""

import pytest

from raftkv.errors import StorageError
from raftkv.sim.healing import choose_core, heal
from raftkv.sim.scenario import Heal, Scenario
from tests.sim.stage import Stage


def test_a_member_whose_disk_has_failed_without_its_notice_is_started_anew(stage: Stage) -> None:
    """A sync that failed in the background ends a member at its next save: a false alarm of seed 210349."""
    member = stage.member(2)
    before = member.running
    member.disk.fail_next("sync", StorageError("Input/output error"), "background")

    async def fail() -> None:
        file = await member.disk.create("data/background")
        with pytest.raises(StorageError):
            await file.sync()

    stage.loop.run_until_complete(fail())
    assert member.disk.has_failed and member.running is before
    heal(stage.world, list(stage.world.members.values()))
    assert member.running is not before and not member.disk.has_failed
    stage.wait_for(lambda: member.node)


def test_a_sound_member_goes_on(stage: Stage) -> None:
    before = [member.running for member in stage.world.members.values()]
    heal(stage.world, list(stage.world.members.values()))
    assert [member.running for member in stage.world.members.values()] == before


def test_who_reads_a_damaged_disk_at_the_healing_is_not_counted_on(stage: Stage) -> None:
    """It was taken for one that is up, and refused what it read: a false alarm of seed 402796."""
    member = stage.member(2)
    stage.world.crash(member, "all")
    member.rotten = True
    stage.world.start(member)
    assert member.running is not None and member.node is None
    assert [one.number for one in choose_core(stage.world, Scenario(), ())] == [1, 3]
    stage.wait_for(lambda: member.node)
    assert [one.number for one in choose_core(stage.world, Scenario(), ())] == [1, 2, 3]


def test_a_change_that_leaves_nobody_hides_no_other(stage: Stage) -> None:
    """The last voter was to be removed, and another promoted meanwhile: a false alarm of seed 601338."""
    scenario = Scenario(heal=Heal(1.0, ("n1",)))
    assert [one.number for one in choose_core(stage.world, scenario, [()])] == [1, 2]
    assert [one.number for one in choose_core(stage.world, scenario, [(), (3,)])] == [1, 2, 3]


@pytest.mark.parametrize(
    ("others", "cut"),
    [
        ("cut", {(1, 3), (2, 3), (3, 1), (3, 2)}),
        ("deaf", {(1, 3), (2, 3)}),
        ("mute", {(3, 1), (3, 2)}),
    ],
)
def test_who_is_left_up_is_cut_off_for_good(stage: Stage, others: str, cut: set[tuple[int, int]]) -> None:
    """Whatever ends later, and whoever leads: the rest goes on without it."""
    stage.wait_for(stage.driver._leader)
    stage.play("cut n1>n3 n3>n1 n2>n3 n3>n2 for 2")
    heal(stage.world, [stage.member(1), stage.member(2)], others)
    stage.run(5)
    assert stage.member(3).running is not None
    links = {(one, other) for one in (1, 2, 3) for other in (1, 2, 3) if one != other}
    assert {link for link in links if stage.world.network.is_cut(link)} == cut
    terms = [stage.member(number).node.term for number in (1, 2)]  # type: ignore[union-attr]
    stage.run(5)
    assert [stage.member(number).node.term for number in (1, 2)] == terms  # type: ignore[union-attr]


def test_who_is_not_healed_is_switched_off_if_nothing_else_is_said(stage: Stage) -> None:
    heal(stage.world, [stage.member(1), stage.member(2)])
    assert stage.member(3).running is None and not stage.world.network.is_cut((1, 3))
