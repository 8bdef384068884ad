"""``raftkv sim``: campaigns of seeds, replay of one, and the way from a seed to a short script."""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from raftkv.cli.exits import Exit
from raftkv.cli.output import say
from raftkv.cli.progress import Progress
from raftkv.cli.sim_report import print_failure, print_note, print_summary, summary_of
from raftkv.cli.times import parse_seconds
from raftkv.errors import ConfigError
from raftkv.sim.campaign import Job, Totals, local_executor, run_seeds
from raftkv.sim.cores import core_named
from raftkv.sim.draw import profile_named
from raftkv.sim.run import Result, run_scenario
from raftkv.sim.scenario import Scenario, parse_scenario

DEFAULT_SEEDS = (0, 100)


def run(verb: str, arguments: argparse.Namespace) -> int:
    """Run one of the verbs and return its exit code."""
    verbs = {"run": _run, "replay": _replay, "shrink": _shrink, "mutants": _mutants}
    if getattr(arguments, "mutant", None):
        from raftkv.sim.mutants.catalogue import mutant_named
        from raftkv.sim.mutants.mutant import installed

        with installed(mutant_named(arguments.mutant)):
            return verbs[verb](arguments)
    return verbs[verb](arguments)


def _mutants(arguments: argparse.Namespace) -> int:
    from raftkv.cli import sim_mutants

    shrink = parse_seconds(arguments.shrink, "--shrink", none_too=True)
    return sim_mutants.run(arguments, parse_seconds(arguments.time), shrink)


# ---------------------------------------------------------------- sim run


def _run(arguments: argparse.Namespace) -> int:
    job = _job(arguments)
    seconds = parse_seconds(arguments.time) if arguments.time else None
    first, end = parse_seeds(arguments.seeds) if arguments.seeds else DEFAULT_SEEDS
    seeds: Iterator[int] = count(first) if seconds and not arguments.seeds else iter(range(first, end))
    totals, begun = Totals(), time.perf_counter()
    whole = None if seconds and not arguments.seeds else end - first
    with ExitStack() as resources:
        executor, in_flight = _executor(arguments, resources)
        bar = resources.enter_context(Progress(sys.stderr, whole, seconds))
        timely = until(seeds, seconds, time.perf_counter)
        results = run_seeds(job, timely, executor, in_flight, keep_going=arguments.keep_going)
        for result in results:
            totals.add(result)
            bar.show(totals.seeds, f"{len(totals.failed)} failed")
            _tell(result, job, bar, as_json=arguments.json)
        totals.elapsed = time.perf_counter() - begun
    if arguments.json:
        print(json.dumps(summary_of(totals)))
    else:
        print_summary(totals, job)
    return Exit.FAILED if totals.failed else Exit.OK


def until(seeds: Iterator[int], seconds: float | None, clock: Callable[[], float]) -> Iterator[int]:
    """Yield seeds until the time is up."""
    end = None if seconds is None else clock() + seconds
    for seed in seeds:
        if end is not None and clock() >= end:
            return
        yield seed


def _executor(arguments: argparse.Namespace, resources: ExitStack) -> tuple[Executor, int]:
    """Return what runs the seeds, and how many are to be under way at once."""
    if arguments.dask:
        from raftkv.sim.dask import cluster_executor

        return resources.enter_context(cluster_executor(arguments.dask))
    executor = resources.enter_context(local_executor(arguments.jobs))
    return executor, 1 if arguments.jobs == 1 else arguments.jobs + 1


def _tell(result: Result, job: Job, bar: Progress, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_as_object(result)), flush=True)
    elif not result.passed:
        bar.clear()
        print_failure(result, str(result.seed), job)


def _as_object(result: Result) -> dict[str, Any]:
    verdict = {
        "seed": result.seed,
        "verdict": "pass" if result.passed else "fail",
        "digest": result.digest,
        "seconds": round(result.seconds, 3),
    }
    failure = {"check": result.check, "detail": result.detail, "at": round(result.failed_at, 6)}
    noted = {"note": result.note} if result.note else {}
    return {**verdict, **noted} if result.passed else {**verdict, **failure}


# ---------------------------------------------------------------- sim replay


def _replay(arguments: argparse.Namespace) -> int:
    if (arguments.record is None) == (arguments.target is None):
        raise ConfigError("name a seed, a script, or --record FILE")
    if arguments.record is not None:
        return _replay_record(arguments)
    job = _job(arguments)
    scenario = _scenario(arguments.target, job)
    result = _run_once(scenario, job, arguments.html)
    if arguments.json:
        print(json.dumps({**_as_object(result), **_more(result)}))
    elif result.passed:
        print(f"{arguments.target} passed: digest {result.digest}, {result.completed} operations completed")
        print_note(result)
    else:
        print_failure(result, arguments.target, job)
    return Exit.OK if result.passed else Exit.FAILED


def _run_once(scenario: Scenario, job: Job, page: str | None) -> Result:
    """Run a scenario, and draw it where a page is wanted."""
    if page is None:
        return run_scenario(scenario, core_named(job.core))
    from raftkv.sim.picture import write_page

    result = write_page(scenario, Path(page), core_named(job.core))
    say(f"wrote {page}")
    return result


def _more(result: Result) -> dict[str, Any]:
    """Return what else is known of a single run."""
    known = asdict(result)
    names = ("simulated", "operations", "completed", "fault_seconds", "marks", "messages", "coverage")
    return {name: known[name] for name in names}


def _replay_record(arguments: argparse.Namespace) -> int:
    """Feed the recorded calls of a live member's core to a new core, and compare bit for bit."""
    from raftkv.raft.record_file import read_records
    from raftkv.raft.recorded import replay

    try:
        with Path(arguments.record).open("rb") as file:
            done = replay(read_records(file), core_named(arguments.core))
    except OSError as error:
        raise ConfigError(f"{arguments.record}: {error.strerror or error}") from error
    same = done.difference is None
    if arguments.json:
        verdict = {"verdict": "pass" if same else "fail", "replayed": done.replayed, "skipped": done.skipped}
        print(json.dumps(verdict if same else {**verdict, "difference": str(done.difference)}))
    elif same:
        print(f"{arguments.record}: all {done.replayed} calls replayed, bit for bit as recorded")
    else:
        print(f"{arguments.record}: {done.replayed} calls replayed as recorded; then {done.difference}")
    return Exit.OK if same else Exit.FAILED


# ---------------------------------------------------------------- sim shrink


def _shrink(arguments: argparse.Namespace) -> int:
    from raftkv.sim.shrink import Limits, script_of, shrink

    job = _job(arguments)
    scenario = _scenario(arguments.target, job)
    limits = Limits(arguments.runs, parse_seconds(arguments.time))
    with Progress(sys.stderr, arguments.runs, None) as bar:
        run_it = partial(run_scenario, make=core_named(job.core))
        early = partial(run_it, safety_only=True)
        shrunk = shrink(scenario, run_it, limits, lambda runs, lines: bar.show(runs, f"{lines} lines"), early)
    named = "seed " * arguments.target.isdecimal() + arguments.target
    script = script_of(shrunk, " ".join([named, *map(shlex.quote, job.options())]))
    lines = len(script.splitlines())
    if arguments.output:
        Path(arguments.output).write_text(script, encoding="utf-8")
    if arguments.json:
        facts = {"lines": lines, "runs": shrunk.runs, "seconds": round(shrunk.seconds, 1)}
        print(
            json.dumps({"check": shrunk.result.check, **facts, "complete": shrunk.complete, "script": script})
        )
        return Exit.OK
    if not arguments.output:
        print(script, end="")
    rest = "" if shrunk.complete else "; a limit was reached, --runs and --time allow more"
    say(f"{shrunk.result.check}: {lines} lines after {shrunk.runs} runs in {shrunk.seconds:.1f} s{rest}")
    return Exit.OK


# ---------------------------------------------------------------- words of the command line


def _job(arguments: argparse.Namespace) -> Job:
    """Return the job that the options mean; a name that does not exist is found out now."""
    profile_named(arguments.profile)
    core_named(arguments.core)
    return Job(arguments.profile, arguments.nodes, arguments.core, getattr(arguments, "mutant", None) or "")


def _scenario(target: str, job: Job) -> Scenario:
    """Return the scenario of a seed or of a script."""
    if target.isdecimal():
        return job.scenario(int(target))
    try:
        return parse_scenario(Path(target).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{target}: no seed, and no script: {error.strerror or error}") from error
    except (ConfigError, UnicodeDecodeError) as error:
        raise ConfigError(f"{target}: {error}") from error


def parse_seeds(text: str) -> tuple[int, int]:
    """Return the first seed and the one after the last of ``A..B``; one number is one seed."""
    first, dots, end = text.partition("..")
    if not first.isdecimal() or not (end.isdecimal() if dots else True):
        raise ConfigError(f"--seeds {text}: use A..B, the seeds from A to before B")
    begin = int(first)
    stop = int(end) if dots else begin + 1
    if stop <= begin:
        raise ConfigError(f"--seeds {text}: there are none")
    return begin, stop
