"""A run from its begin to its verdict, with nodes in this process."""

import asyncio
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from raftkv.chaos import runner
from raftkv.chaos.crowd import OPERATION_SECONDS
from raftkv.chaos.errors import ChaosError
from raftkv.chaos.folder import Folder, write_folder
from raftkv.chaos.record import Record, RunVerdict
from raftkv.chaos.runner import Clock, Parts, Run, Settings
from raftkv.chaos.truth import Witness
from raftkv.checkers.registry import MODELS, examine_file
from raftkv.checkers.verdict import Validity
from raftkv.node.config import Config
from raftkv.workloads import make
from tests.chaos.fakes import InProcess, Quiet, Stops, unheard
from tests.client.fake import Member, answers

SETTINGS = Settings(seconds=1.0, seed=7, clients=6)


def a_run(
    system: InProcess,
    workload: str = "kv",
    faults: Callable[[InProcess, Clock], Any] = lambda system, clock: Quiet(),
    settings: Settings = SETTINGS,
) -> Run:
    clock = Clock()
    made = make(workload, clients=settings.clients, random=Random(settings.seed))
    parts = Parts(system, made, faults(system, clock), clock, unheard)
    facts = {"system": "raftkv", "nodes": 3, "workload": workload, "seed": settings.seed}
    return Run(parts, settings, Record(facts))


@pytest.mark.parametrize("workload", ["kv", "register"])
@pytest.mark.parametrize("through", ["http", "client"])
async def test_a_sound_system_has_no_finding_and_its_histories_say_so_again(
    workload: str, through: str, tmp_path: Path
) -> None:
    run = a_run(InProcess(tmp_path), workload, settings=SETTINGS._replace(through=through))
    await run.run()
    record = run.record
    assert record.verdict in (RunVerdict.PASSED, RunVerdict.WEAK), record.findings
    assert not record.error
    assert {one.model for one in record.findings} >= {"witnesses", "answers", "last words", "convergence"}
    assert all(one.verdict.validity is Validity.VALID for one in record.findings)
    assert sum(one.outcome == "ok" for one in record.operations) > 20
    assert len({line["revision"] for line in record.changes}) == record.ends[0].revision - 1
    assert {tuple(line["nodes"]) for line in record.changes} == {("n1", "n2", "n3")}
    write_folder(tmp_path / "run", record)
    for model, file in Folder(tmp_path / "run").histories().items():
        assert model in MODELS
        assert examine_file(file, model).verdict.validity is Validity.VALID


async def test_a_node_that_comes_and_goes_is_survived(tmp_path: Path) -> None:
    run = a_run(InProcess(tmp_path), faults=Stops, settings=SETTINGS._replace(seconds=2.0))
    await run.run()
    assert run.record.verdict in (RunVerdict.PASSED, RunVerdict.WEAK), run.record.findings
    assert run.record.figures["fired"]["stop"] >= 1
    assert run.record.faults[0].targets == ("n1",)
    assert run.record.looks


async def test_a_run_that_is_interrupted_ends_its_system_and_keeps_what_it_has(tmp_path: Path) -> None:
    system = InProcess(tmp_path)
    run = a_run(system, settings=SETTINGS._replace(seconds=600.0))
    task = asyncio.create_task(run.run())
    while len(run.record.operations) < 20:
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert run.record.verdict is RunVerdict.ERROR
    assert len(run.record.operations) >= 20
    assert not [node for node in await system.look() if node.up]
    write_folder(tmp_path / "run", run.record)
    found = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (found["verdict"], found["error"]) == ("error", "it was interrupted")
    assert Folder(tmp_path / "run").record().operations == run.record.operations


async def test_a_system_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    class Broken(InProcess):
        async def start(self) -> None:
            raise ChaosError("n1 ended at once")

    run = a_run(Broken(tmp_path))
    with pytest.raises(ChaosError):
        await run.run()
    assert run.record.verdict is RunVerdict.ERROR
    assert run.record.error == "n1 ended at once"


async def test_what_breaks_beside_the_clients_breaks_the_run(tmp_path: Path) -> None:
    class Blind(InProcess):
        looks = 0

        async def look(self) -> Any:
            self.looks += 1
            if self.looks > 30:
                raise ValueError("no eyes")
            return await super().look()

    run = a_run(Blind(tmp_path), settings=SETTINGS._replace(seconds=600.0))
    with pytest.raises(ChaosError, match="no eyes"):
        await run.run()
    assert run.record.verdict is RunVerdict.ERROR


async def test_some_clients_wait_until_a_node_itself_says_that_the_time_is_over(tmp_path: Path) -> None:
    run = a_run(InProcess(tmp_path), "register", settings=SETTINGS._replace(seconds=0.3))
    way, patience = run._crowd.way, list[float]()

    def noting(node: str, seconds: float) -> Any:
        patience.append(seconds)
        return way(node, seconds)

    run._crowd.way = noting
    await run.run()
    assert max(patience) > Config().request_timeout > min(patience)
    assert max(patience) < OPERATION_SECONDS


async def test_clients_that_get_garbage_have_found_something(tmp_path: Path) -> None:
    system = InProcess(tmp_path)
    run = a_run(system)
    async with Member(answers('{"header": 7}')).serving() as member:
        system.asked_for["n3"] = member.url
        await run.run()
    assert run.record.verdict is RunVerdict.FAILED
    [found] = [one for one in run.record.findings if one.model == "answers"]
    assert found.verdict.validity is Validity.INVALID


async def test_a_node_that_does_not_tell_its_witness_all_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def says_nothing(self: Witness, url: Callable[[], str]) -> None:
        await (asyncio.Event().wait() if self.name == "n2" else watch(self, url))

    watch = Witness.watch
    monkeypatch.setattr(Witness, "watch", says_nothing)
    monkeypatch.setattr(runner, "WITNESS_SECONDS", 0.5)
    run = a_run(InProcess(tmp_path))
    await run.run()
    assert run.record.verdict is RunVerdict.FAILED
    [found] = [one for one in run.record.findings if one.verdict.validity is not Validity.VALID]
    assert found.model == "watching"
    assert "a watch at n2 was told all up to 1" in found.verdict.reason


async def test_a_witness_that_breaks_breaks_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(self: Witness, response: Any) -> None:
        raise ValueError("no ears")

    monkeypatch.setattr(Witness, "take", breaks)
    run = a_run(InProcess(tmp_path), settings=SETTINGS._replace(seconds=600.0))
    with pytest.raises(ChaosError, match="no ears"):
        await run.run()
    assert run.record.verdict is RunVerdict.ERROR


@pytest.mark.parametrize("part", ["client", "check"])
async def test_what_breaks_in_the_harness_itself_is_an_error_and_says_what(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any) -> Any:
        raise ValueError("no hands")

    run = a_run(InProcess(tmp_path), settings=SETTINGS._replace(seconds=0.3))
    monkeypatch.setattr(run._parts.workload, {"client": "draw", "check": "check"}[part], breaks)
    with pytest.raises(ValueError, match="no hands"):
        await run.run()
    assert run.record.verdict is RunVerdict.ERROR
    assert "no hands" in run.record.error


def test_the_clock_never_tells_the_same_time_twice() -> None:
    clock = Clock()
    before = [clock() for _ in range(1000)]
    assert before[-1] < 0
    clock.begin()
    times = [*before, *(clock() for _ in range(10_000))]
    assert all(one < other for one, other in pairwise(times))
    assert 0 < times[-1] < 60
