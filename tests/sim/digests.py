"""The same seed gives the same run, in every process: digests of many seeds, and two lists of them compared.

``python -m tests.sim.digests 0..1000`` prints a line a seed. With ``--with PYTHON`` (once for each other
interpreter; the packages have to be there) it runs them twice, here and there, each process with a hash
seed of its own, and names every seed that differs; the exit code is 1 then.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

from raftkv.sim.draw import draw_scenario, profile_named
from raftkv.sim.run import run_scenario
from raftkv.sim.scenario import Heal, Scenario

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


def digests_elsewhere(python: str, seeds: range, hash_seed: int, *, short: bool = True) -> list[str]:
    """Return the lines of another process."""
    command = [python, "-m", "tests.sim.digests", f"{seeds.start}..{seeds.stop}", *(["--short"] * short)]
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout.splitlines()


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
    options = parser.parse_args(arguments)
    begin, end = map(int, options.seeds.split(".."))
    if not options.pythons:
        for seed in range(begin, end):
            sys.stdout.write(digest_of(seed, short=options.short) + "\n")
            sys.stdout.flush()
        return 0
    seeds = range(begin, end)
    own = digests_elsewhere(sys.executable, seeds, 1, short=options.short)
    found: list[str] = []
    for number, python in enumerate(options.pythons, start=2):
        other = digests_elsewhere(python, seeds, number, short=options.short)
        found += [f"{python}: {line}" for line in differences(own, other)]
    sys.stdout.write("".join(line + "\n" for line in found) + f"{len(seeds)} seeds, {len(found)} differ\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
