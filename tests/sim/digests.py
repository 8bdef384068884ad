"""The same seed gives the same run, in every process: digests of many seeds, and two lists of them compared.

``python -m tests.sim.digests 0..1000`` prints a line a seed. With ``--with PYTHON`` (once for each other
interpreter; the packages have to be there) it runs them here and there, each process with a hash seed of
its own, and names every seed that differs; the exit code is 1 then. ``--installed`` compares with a second
process of this Python and with each other one that is installed, and brings the packages.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from raftkv.sim.draw import draw_scenario, profile_named
from raftkv.sim.run import run_scenario
from raftkv.sim.scenario import Heal, Scenario
from tests.sim.pythons import Python, installed_pythons, this_python, versions

ROOT = Path(__file__).parent.parent.parent

SHORT_SECONDS = 4.0
"""When a short run heals."""


def scenario_of(seed: int, *, short: bool) -> Scenario:
    """Return the scenario of a seed, or its first seconds."""
    scenario = draw_scenario(seed, profile_named("default"))
    if not short or scenario.heal is None:
        return scenario
    return replace(
        scenario,
        faults=tuple(fault for fault in scenario.faults if fault.at < SHORT_SECONDS),
        operations=tuple(one for one in scenario.operations if one.at < SHORT_SECONDS),
        heal=Heal(SHORT_SECONDS, scenario.heal.core),
    )


def digest_of(seed: int, *, short: bool = True) -> str:
    """Run a seed and return what stands for all that happened, and what came of it."""
    result = run_scenario(scenario_of(seed, short=short))
    return f"{seed} {result.digest} {result.check or 'passed'}"


def digests_elsewhere(python: Python, seeds: range, hash_seed: int, *, short: bool = True) -> list[str]:
    """Return the lines of another process."""
    command = [python.executable, "-m", "tests.sim.digests", f"{seeds.start}..{seeds.stop}"]
    environment = {**python.environment(), "PYTHONHASHSEED": str(hash_seed)}
    done = subprocess.run(
        [*command, *(["--short"] * short)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"Python {python.version} ({python.executable}) failed:\n{done.stderr[-3000:]}")
    return done.stdout.splitlines()


def compare(seeds: range, pythons: Sequence[Python], *, short: bool = True) -> list[str]:
    """Return what differs from the first interpreter; each has a hash seed of its own: 1, 2, and so on."""
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        run = partial(digests_elsewhere, short=short)
        numbers = range(1, len(pythons) + 1)
        first, *others = workers.map(run, pythons, [seeds] * len(pythons), numbers)
    assert len(first) == len(seeds), f"{len(first)} lines for {len(seeds)} seeds"
    return [
        f"Python {python.version}: {one}"
        for python, lines in zip(pythons[1:], others, strict=True)
        for one in differences(first, lines)
    ]


def differences(some: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return what differs between two lists of lines."""
    assert len(some) == len(others), f"{len(some)} seeds and {len(others)}"
    return [f"{one}, and then {other}" for one, other in zip(some, others, strict=True) if one != other]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", help="A..B, without B")
    parser.add_argument("--short", action="store_true", help=f"heal after {SHORT_SECONDS} s")
    parser.add_argument("--with", action="append", dest="pythons", metavar="PYTHON", default=[])
    parser.add_argument("--installed", action="store_true", help="compare with every installed Python")
    options = parser.parse_args(arguments)
    begin, end = map(int, options.seeds.split(".."))
    seeds = range(begin, end)
    if not options.pythons and not options.installed:
        for seed in seeds:
            sys.stdout.write(digest_of(seed, short=options.short) + "\n")
            sys.stdout.flush()
        return 0
    with tempfile.TemporaryDirectory() as folder:
        pythons = [Python(name, shutil.which(name) or name) for name in options.pythons]
        if options.installed:
            pythons += [this_python(), *installed_pythons(Path(folder))]
        found = compare(seeds, [this_python(), *pythons], short=options.short)
    said = f"{len(seeds)} seeds, compared with {versions(pythons)}: {len(found)} differ\n"
    sys.stdout.write("".join(line + "\n" for line in found) + said)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
