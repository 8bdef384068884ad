"""Campaigns: every seed once, bounded, stopped by a failure, the same wherever they run."""

from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from itertools import count
from typing import Any

import pytest
from distributed import LocalCluster

from raftkv.errors import ConfigError
from raftkv.sim import campaign
from raftkv.sim.campaign import InThisThread, Job, Totals, WorkersLost, local_executor, run_seeds
from raftkv.sim.cores import core_named
from raftkv.sim.dask import cluster_executor
from raftkv.sim.marks import MARKS
from raftkv.sim.run import Result

BROKEN = "tests.raft.overrides:AnswersAtOnce"
FAST = Job("calm", core=BROKEN)
"""A job whose runs fail within milliseconds."""


class Delayed(Executor):
    """Gives results only when it is told to, in the order it is told."""

    def __init__(self, outcome: Callable[[int], Result]) -> None:
        self.outcome = outcome
        self.submitted: list[tuple[int, Future[Result]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self.submitted.append((args[1], future))
        under_way = sum(not future.done() for _, future in self.submitted)
        if under_way == 3:  # as many as the tests allow: the last one is done first
            self.finish()
        return future

    def finish(self) -> None:
        seed, future = next((seed, one) for seed, one in reversed(self.submitted) if not one.done())
        future.set_result(self.outcome(seed))


def seeds_of(results: Iterator[Result]) -> list[int]:
    return [result.seed for result in results]


def test_results_come_as_they_are_done_and_no_more_are_under_way_than_allowed() -> None:
    executor = Delayed(Result)
    results = run_seeds(FAST, count(), executor, 3)
    assert next(results).seed == 2
    assert [seed for seed, _ in executor.submitted] == [0, 1, 2]
    assert [next(results).seed for _ in range(2)] == [3, 4]
    results.close()  # type: ignore[attr-defined]
    assert all(future.done() for _, future in executor.submitted), "what was not begun is called off"


def test_every_seed_is_run_once() -> None:
    assert seeds_of(run_seeds(FAST, iter(range(5)), InThisThread(), 1, keep_going=True)) == [0, 1, 2, 3, 4]


def test_the_first_failure_ends_the_campaign() -> None:
    assert seeds_of(run_seeds(FAST, count(7), InThisThread(), 1)) == [7]


def test_a_campaign_that_keeps_going_tells_every_failure() -> None:
    results = list(run_seeds(FAST, iter(range(3)), InThisThread(), 1, keep_going=True))
    assert [result.check for result in results] == ["rule sent_term_is_durable"] * 3


def test_a_run_that_raises_is_a_failure_of_its_seed() -> None:
    """An own bug of the simulator must not hide which seed shows it."""
    broken = Job("calm", core="tests.raft.overrides:OVERRIDES_THAT_ARE_NOT")
    (result,) = run_seeds(broken, iter([4]), InThisThread(), 1)
    assert (result.seed, result.check) == (4, "simulator")
    assert result.detail.startswith("ConfigError: --core ")


def test_workers_that_are_lost_end_the_campaign() -> None:
    class Lost(Executor):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
            future: Future[Any] = Future()
            future.set_exception(BrokenExecutor("killed"))
            return future

    with pytest.raises(WorkersLost, match="killed"):
        next(run_seeds(FAST, count(), Lost(), 1))


def test_other_processes_come_to_the_same_results() -> None:
    """Each has a hash seed of its own."""
    here = {one.seed: one.digest for one in run_seeds(Job(), iter(range(2)), InThisThread(), 1)}
    with local_executor(2) as pool:
        there = {one.seed: one.digest for one in run_seeds(Job(), iter(range(2)), pool, 3)}
    assert here == there
    assert len(set(here.values())) == 2


def test_a_dask_cluster_comes_to_the_same_results() -> None:
    """Two workers, each a process of its own."""
    here = {
        one.seed: one.digest for one in run_seeds(FAST, iter(range(4)), InThisThread(), 1, keep_going=True)
    }
    with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        cluster_executor(cluster.scheduler_address) as (executor, in_flight),
    ):
        assert in_flight == 4
        results = run_seeds(FAST, iter(range(4)), executor, in_flight, keep_going=True)
        assert {one.seed: one.digest for one in results} == here


def test_a_dask_cluster_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raftkv.sim.dask.CONNECT_SECONDS", 1)
    with (
        pytest.raises(ConfigError, match=r"--dask tcp://127\.0\.0\.1:1"),
        cluster_executor("tcp://127.0.0.1:1"),
    ):
        pass


def test_totals_are_sums() -> None:
    totals = Totals(elapsed=4.0)
    totals.add(
        Result(
            1,
            operations=10,
            completed=9,
            seconds=2.0,
            simulated=20.0,
            fault_seconds=5.0,
            marks={"fault crash": 2, "VoteCast": 3},
            messages={"sent": 7},
            coverage={"torn tail cut": 1},
            check_seconds={"rules": 0.5},
        )
    )
    totals.add(
        Result(
            2, "liveness of clients", operations=1, seconds=2.0, simulated=20.0, check_seconds={"rules": 1.5}
        )
    )
    assert (totals.seeds, totals.failed) == (2, {2: "liveness of clients"})
    assert (totals.operations, totals.completed) == (11, 9)
    assert (totals.faults, totals.events) == ({"crash": 2}, {"VoteCast": 3})
    assert totals.check_shares == {"rules": 0.5}
    assert totals.rates() == {
        "seeds_per_second": 0.5,
        "simulated_per_real": 10.0,
        "completed_per_seed": 4.5,
        "fault_share": 0.125,
    }


def test_a_mark_that_was_never_hit_is_named() -> None:
    totals = Totals()
    totals.add(Result(1, coverage={"torn tail cut": 1}))
    assert "torn tail cut" not in totals.never_hit
    assert len(totals.never_hit) == len(MARKS) - 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("my_raft", "use FILE.py:CLASS"),
        ("nowhere.py:Raft", "there is no file nowhere.py"),
        ("no.such.module:Raft", "No module named 'no'"),
        ("raftkv.raft.core:Fart", "there is no class Fart"),
    ],
)
def test_a_core_that_can_not_be_found_is_named(name: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"--core {name}: .*{reason}"):
        core_named(name)


def test_a_job_says_itself_on_the_command_line() -> None:
    assert Job("calm", 5, "x.py:C").options() == ["--profile", "calm", "--nodes", "5", "--core", "x.py:C"]
    assert campaign.Job().options() == ["--profile", "default", "--nodes", "3"]
