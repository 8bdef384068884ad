"""What is healed, and how: nothing that struck before the healing ends a member after it."""

import pytest

from raftkv.errors import StorageError
from raftkv.sim.healing import heal
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
