"""A look at a log from outside changes nothing, and a member that writes meanwhile does not look damaged."""

import pytest

from raftkv.sim.disk import CHANGES, Outcome, SimDisk
from raftkv.storage.inspection import ATTEMPTS, Inspection, inspect
from raftkv.storage.records import Snapshots
from raftkv.storage.segments import segment_name
from tests.storage.damage import MARKED_STEPS, flip, killed_log
from tests.storage.logs import DIRECTORY, ref

SNAPSHOTS = "data/snap"


class BusyDisk(SimDisk):
    """A disk on which the first segment reads as damaged the first ``bad`` times that somebody looks."""

    def __init__(self, bad: int) -> None:
        super().__init__()
        self.bad = bad

    async def list(self, directory: str) -> list[str]:
        names = await super().list(directory)
        if directory == DIRECTORY and self.bad >= 0:
            content = self.content(f"{directory}/{names[0]}")
            if self.bad == 0:
                flip(content, 300)  # back to what it was
            self.bad -= 1
        return names


async def look(disk: SimDisk, *, written: bool = False, records: bool = False) -> Inspection:
    return await inspect(disk, DIRECTORY, SNAPSHOTS, records=records, written=written)


async def marked_disk(disk: SimDisk) -> SimDisk:
    """Put a log on ``disk``."""
    log = await killed_log(MARKED_STEPS)
    after = log.disk.power_loss(Outcome.ALL)
    disk.names, disk.durable_names = after.names, after.durable_names
    return disk


async def test_a_look_makes_no_call_that_changes_anything() -> None:
    disk = await marked_disk(SimDisk())
    found = await look(disk, records=True)
    assert found.damage is None
    assert {step.split()[0] for step in disk.steps} & {kind.split()[0] for kind in CHANGES} == set()


async def test_records_are_kept_only_when_they_are_asked_for() -> None:
    disk = await marked_disk(SimDisk())
    with_records = await look(disk, records=True)
    without = await look(disk)
    assert [b.offset for b in with_records.batches] == [b.offset for b in without.batches]
    assert not any(batch.records for batch in without.batches)
    assert Snapshots((ref(13, 4),), reset=False) in [r for b in with_records.batches for r in b.records]


async def test_a_snapshot_whose_file_is_missing_is_told_and_the_log_is_still_read() -> None:
    found = await look(await marked_disk(SimDisk()))
    assert list(found.bad_snapshots) == [ref(13, 4)]
    assert not found.is_sound
    assert found.log.replay.last_index == 24


async def test_what_was_read_before_the_damage_is_shown() -> None:
    log = await killed_log(MARKED_STEPS)
    disk = log.disk.power_loss(Outcome.ALL)
    first, second = list(log.ends)[:2]
    flip(disk.content(second), 90)
    found = await look(disk)
    assert found.damage is not None
    assert found.damage.path == second
    assert {segment_name(batch.segment) for batch in found.batches} == {first.rpartition("/")[2]}


async def busy_disk(bad: int) -> SimDisk:
    disk = await marked_disk(BusyDisk(bad))
    flip(disk.content(sorted(disk.names)[0]), 300)
    return disk


@pytest.mark.parametrize("bad", [1, ATTEMPTS])
async def test_a_log_that_is_written_to_is_read_again_before_it_is_called_damaged(bad: int) -> None:
    assert (await look(await busy_disk(bad), written=True)).damage is None


async def test_a_log_that_stays_damaged_is_called_so_even_when_it_is_written_to() -> None:
    assert (await look(await busy_disk(ATTEMPTS + 1), written=True)).damage is not None


async def test_a_log_that_nobody_writes_to_is_read_once() -> None:
    assert (await look(await busy_disk(1))).damage is not None
