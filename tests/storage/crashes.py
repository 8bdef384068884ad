"""Crash the script of ``logs`` at an I/O call, start again, and compare; also used on mutants."""

from collections import Counter
from typing import NamedTuple

from raftkv.errors import StorageError
from raftkv.sim.disk import DiskCrashed, Outcome, SimDisk
from raftkv.storage.wal import Recovered, Wal
from tests.storage.logs import DIRECTORY, SEGMENT, Run, abandon, held


def outcomes(seeds: int) -> list[tuple[Outcome, int]]:
    """Return every outcome of a crash, those with chance in them ``seeds`` times."""
    sure = [(outcome, 0) for outcome in (Outcome.NOTHING, Outcome.ALL)]
    chance = (Outcome.PREFIX, Outcome.TORN, Outcome.SECTORS)
    return sure + [(outcome, seed) for outcome in chance for seed in range(seeds)]


OUTCOMES = outcomes(3)


class Crash(NamedTuple):
    """A run that ended at an I/O call of the kind ``action``."""

    disk: SimDisk
    run: Run

    @property
    def action(self) -> str:
        """The kind of I/O call in place of which the crash came."""
        return self.disk.steps[-1].rpartition(" ")[0]


async def crashed_run(crash_at: int) -> tuple[SimDisk, Run, bool]:
    """Play the script up to a crash; return also whether it ended before."""
    disk, run = SimDisk(), Run()
    disk.crash_at = crash_at
    try:
        await run.play(disk)
    except DiskCrashed:
        ended = False
    except StorageError:
        assert disk.fenced, "only the crash may make it fail"
        ended = False
    else:
        ended = True
    disk.crash()
    await abandon(run.wal)
    return disk, run, ended


async def recover(disk: SimDisk, run: Run) -> Recovered | None:
    """Open what a crash left and compare; None when the log had not been created."""
    if not await Wal.exists(disk, DIRECTORY):
        assert run.acknowledged is None, "a created log is gone"
        return None
    wal, recovered = await Wal.open(disk, DIRECTORY, segment_bytes=SEGMENT)
    try:
        assert held(recovered) in (run.acknowledged, run.submitted), "neither acknowledged nor submitted"
        assert recovered.boot > run.boot, "a boot number came twice"
    finally:
        await abandon(wal)
    return recovered


async def all_crash_points(stride: int = 1) -> list[Crash]:
    crashes: list[Crash] = []
    while True:
        disk, run, ended = await crashed_run(1 + stride * len(crashes))
        if ended:
            return crashes
        crashes.append(Crash(disk, run))


class Table(NamedTuple):
    """The crash points by kind of I/O call, the cases by kind and outcome, and what each case found."""

    points: Counter[str]
    cases: Counter[tuple[str, Outcome]]
    findings: Counter[tuple[str, str]]


async def check_power_losses(crashes: list[Crash], seeds: int = 3) -> Table:
    """Try each crash with each outcome and count.

    Raises AssertionError when something acknowledged is missing or something else was found.
    """
    table = Table(Counter(crash.action for crash in crashes), Counter(), Counter())
    for crash in crashes:
        for outcome, seed in outcomes(seeds):
            try:
                recovered = await recover(crash.disk.power_loss(outcome, seed), crash.run)
            except (AssertionError, StorageError) as error:
                steps = crash.disk.steps
                raise AssertionError(
                    f"{outcome.value}, {seed}, at step {len(steps)} ({steps[-1]})"
                ) from error
            table.cases[crash.action, outcome] += 1
            table.findings[crash.action, finding(recovered, crash.run)] += 1
            if recovered is not None and recovered.torn is not None:
                table.findings[crash.action, "with a torn tail"] += 1
    return table


def finding(recovered: Recovered | None, run: Run) -> str:
    """Say in short what a start after a crash has found."""
    if recovered is None:
        return "no log yet"
    return "as acknowledged" if held(recovered) == run.acknowledged else "one step more"


async def crash_while_recovering(disk: SimDisk, run: Run, outcome: Outcome, seed: int) -> None:
    crash_at = 0
    ended = False
    while not ended:
        crash_at += 1
        again = disk.power_loss(outcome, seed)
        again.crash_at = crash_at
        seen = Run(run.acknowledged, run.submitted, run.boot)
        try:
            if (recovered := await recover(again, run)) is not None:
                seen = Run(held(recovered), held(recovered), recovered.boot)
        except StorageError:
            assert again.fenced, "only the crash may make it fail"
        ended = len(again.steps) < crash_at
        again.crash()
        for second in (Outcome.NOTHING, Outcome.ALL, Outcome.SECTORS):
            await recover(again.power_loss(second, crash_at), seen)
