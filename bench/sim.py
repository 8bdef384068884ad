"""How many simulated runs a second one core does, and what the checks cost.

::

    python bench/sim.py 0..20                 seconds of this process for a seed, operations, share of faults
    python bench/sim.py 0..20 --ablation      also without the rules of Raft, and without clients

Each seed is run ``--repeat`` times and the fastest counts: what other processes take from a shared machine
is not ours. A run has all checks on; ``--ablation`` is the only way to leave one out, and only here.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from raftkv.sim.checks import TimedObserver
from raftkv.sim.draw import draw_scenario, profile_named
from raftkv.sim.run import run_scenario
from raftkv.sim.scenario import SAFETY_END, Scenario
from raftkv.sim.watch import NOBODY, Watcher


class Measured(NamedTuple):
    """Averages a seed: seconds of this process, completed operations, seconds with a fault, messages."""

    seconds: float
    completed: float
    fault_seconds: float
    messages: float
    failed: list[int]


class NoRules(Watcher):
    """Lets the ledger follow every step, and asks no rule."""

    def observer(self, clock: Callable[[], float]) -> TimedObserver:
        """See ``Watcher``."""
        observer = TimedObserver()
        observer.rules = ()
        return observer


def measure(scenarios: Sequence[Scenario], repeat: int, watcher: Watcher = NOBODY) -> Measured:
    """Run each scenario ``repeat`` times; the fastest counts."""
    seconds, completed, faults, messages = 0.0, 0, 0.0, 0
    failed = []
    for scenario in scenarios:
        times = []
        for _ in range(repeat):
            begun = time.process_time()
            result = run_scenario(scenario, watcher=watcher)
            times.append(time.process_time() - begun)
        seconds += min(times)
        completed += result.completed
        faults += result.fault_seconds
        messages += result.messages["sent"]
        if not result.passed:
            failed.append(scenario.seed)
    size = len(scenarios)
    return Measured(seconds / size, completed / size, faults / size, messages / size, failed)


def line(name: str, found: Measured) -> str:
    """Return a line of the report."""
    return (
        f"{name:24} {found.seconds:6.3f} s a seed  {1 / found.seconds:5.2f} seeds/s  "
        f"{found.completed:6.0f} operations  fault {found.fault_seconds / SAFETY_END:4.0%}  "
        f"{found.messages:6.0f} messages  failed {found.failed}\n"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("seeds", help="A..B, without B")
    parser.add_argument("--profile", default="default")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--ablation", action="store_true")
    options = parser.parse_args(arguments)
    begin, end = map(int, options.seeds.split(".."))
    profile = profile_named(options.profile)
    scenarios = [draw_scenario(seed, profile) for seed in range(begin, end)]
    sys.stdout.write(line("all checks", measure(scenarios, options.repeat)))
    if options.ablation:
        sys.stdout.write(line("no rule asked", measure(scenarios, options.repeat, NoRules())))
        idle = [replace(scenario, operations=()) for scenario in scenarios]
        sys.stdout.write(line("no clients", measure(idle, options.repeat)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
