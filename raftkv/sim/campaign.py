"""Many seeds, on whatever runs functions: this process, a pool of processes, or a cluster of machines.

A seed is a job of its own: its scenario is drawn where it runs, so a job is four short words and its result
some numbers. Results come in the order in which they are done.
"""

import multiprocessing
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from raftkv.errors import RaftKvError
from raftkv.sim.cores import core_named
from raftkv.sim.draw import draw_scenario, profile_named
from raftkv.sim.marks import MARKS
from raftkv.sim.run import Result, run_scenario
from raftkv.sim.scenario import Scenario

FAULT = "fault "
"""What the marks of faults begin with in ``Result.marks``."""


class WorkersLost(RaftKvError):
    """What ran the seeds has ended."""


class Job(NamedTuple):
    """How a seed becomes a run; ``core`` as ``--core`` has it, "" = raftkv's own.

    ``mutant``: the bug that is in the program meanwhile, for who is told how to see it again.
    """

    profile: str = "default"
    nodes: int = 3
    core: str = ""
    mutant: str = ""

    def scenario(self, seed: int) -> Scenario:
        """Return the scenario of a seed; raises ConfigError."""
        return draw_scenario(seed, profile_named(self.profile), self.nodes)

    def options(self) -> list[str]:
        """Return the options of the command line that say the same."""
        core = ["--core", self.core] if self.core else []
        mutant = ["--mutant", self.mutant] if self.mutant else []
        return ["--profile", self.profile, "--nodes", str(self.nodes), *core, *mutant]


def run_seed(job: Job, seed: int) -> Result:
    """Run one seed here."""
    return run_scenario(job.scenario(seed), core_named(job.core))


class InThisThread(Executor):
    """Runs each function at once, so that one job needs no other process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """See ``Executor``."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - the future carries it, as any executor's would
            future.set_exception(error)
        return future


def local_executor(jobs: int) -> Executor:
    """Return what runs ``jobs`` seeds at once on this machine."""
    if jobs == 1:
        return InThisThread()
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_leave_interrupts_to_the_parent)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run_seeds(
    job: Job,
    seeds: Iterator[int],
    executor: Executor,
    in_flight: int,
    *,
    keep_going: bool = False,
) -> Iterator[Result]:
    """Yield the results of seeds as they are done; at most ``in_flight`` are under way.

    Stops after the first failure, unless ``keep_going``. A seed whose run raises is a failure of the check
    "simulator". Raises WorkersLost.
    """
    pending: dict[Future[Result], int] = {}
    try:
        while True:
            while len(pending) < in_flight and (seed := next(seeds, None)) is not None:
                pending[executor.submit(run_seed, job, seed)] = seed
            if not pending:
                return
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in sorted(done, key=pending.__getitem__):
                result = _result_of(future, pending.pop(future))
                yield result
                if not (result.passed or keep_going):
                    return
    finally:
        for future in pending:
            future.cancel()


def _result_of(future: "Future[Result]", seed: int) -> Result:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, BrokenExecutor):
        raise WorkersLost(f"what runs the seeds has ended: {error}") from error
    return Result(seed, check="simulator", detail=f"{type(error).__name__}: {error}")


@dataclass(slots=True)
class Totals:
    """Sums over the results of a campaign. All times in seconds; ``elapsed`` is that of the wall."""

    seeds: int = 0
    failed: dict[int, str] = field(default_factory=dict)
    operations: int = 0
    completed: int = 0
    simulated: float = 0.0
    fault_seconds: float = 0.0
    run_seconds: float = 0.0
    elapsed: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    coverage: Counter[str] = field(default_factory=Counter)
    check_seconds: Counter[str] = field(default_factory=Counter)

    def add(self, result: Result) -> None:
        """Take in one result."""
        self.seeds += 1
        if not result.passed:
            self.failed[result.seed] = result.check
        self.operations += result.operations
        self.completed += result.completed
        self.simulated += result.simulated
        self.fault_seconds += result.fault_seconds
        self.run_seconds += result.seconds
        for name, count in result.marks.items():
            if name.startswith(FAULT):
                self.faults[name.removeprefix(FAULT)] += count
            else:
                self.events[name] += count
        self.messages.update(result.messages)
        self.coverage.update(result.coverage)
        for check, seconds in result.check_seconds.items():
            self.check_seconds[check] += seconds  # type: ignore[assignment]  # counters count seconds as well

    @property
    def never_hit(self) -> list[str]:
        """Names of the marks that no run hit."""
        return [mark for mark in MARKS if not self.coverage[mark]]

    @property
    def check_shares(self) -> dict[str, float]:
        """Share of the time of the runs that each check took, largest first; 0 to 1."""
        whole = self.run_seconds or 1.0
        return {check: seconds / whole for check, seconds in self.check_seconds.most_common()}

    def rates(self) -> dict[str, float]:
        """Return seeds a second, and simulated seconds a second, both of the wall; operations a seed."""
        elapsed, seeds = self.elapsed or 1.0, self.seeds or 1
        return {
            "seeds_per_second": self.seeds / elapsed,
            "simulated_per_real": self.simulated / elapsed,
            "completed_per_seed": self.completed / seeds,
            "fault_share": self.fault_seconds / (self.simulated or 1.0),
        }
