"""Crash the script of ``logs`` at an I/O call, start again, and compare; also used on mutants."""

from raftkv.errors import StorageError
from raftkv.storage.wal import Recovered, Wal
from tests.storage.logs import DIRECTORY, SEGMENT, Run, abandon, held
from tests.storage.simdisk import DiskCrashed, Outcome, SimDisk

OUTCOMES = [
    (Outcome.NOTHING, 0),
    (Outcome.ALL, 0),
    *((Outcome.PREFIX, seed) for seed in range(2)),
    *((Outcome.TORN, seed) for seed in range(3)),
    *((Outcome.SECTORS, seed) for seed in range(4)),
]


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


async def all_crash_points(stride: int = 1) -> list[tuple[SimDisk, Run]]:
    crashes: list[tuple[SimDisk, Run]] = []
    while True:
        disk, run, ended = await crashed_run(1 + stride * len(crashes))
        if ended:
            return crashes
        crashes.append((disk, run))


async def check_power_losses(crashes: list[tuple[SimDisk, Run]]) -> tuple[int, int]:
    """Try each crash with each outcome; return how many tails were torn and how many saves survived.

    Raises AssertionError when something acknowledged is missing or something else was found.
    """
    torn = survived = 0
    for disk, run in crashes:
        for outcome, seed in OUTCOMES:
            try:
                recovered = await recover(disk.power_loss(outcome, seed), run)
            except (AssertionError, StorageError) as error:
                place = f"{outcome.value}, {seed}, at step {len(disk.steps)} ({disk.steps[-1]})"
                raise AssertionError(place) from error
            if recovered is not None:
                torn += recovered.torn is not None
                survived += held(recovered) == run.submitted != run.acknowledged
    return torn, survived


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
