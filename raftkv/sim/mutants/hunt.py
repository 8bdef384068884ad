"""Looks for mutants: how many seeds of a campaign until a check fails, and which check it is."""

import time
from collections.abc import Iterator
from concurrent.futures import Executor, wait
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import NamedTuple

from raftkv.sim.draw import draw_scenario, profile_named
from raftkv.sim.mutants.catalogue import mutant_named
from raftkv.sim.mutants.mutant import installed
from raftkv.sim.run import run_scenario
from raftkv.sim.scenario import Scenario, format_scenario
from raftkv.sim.shrink import Limits, shrink

BASE_SEEDS = (0, 1_000_000, 2_000_000, 3_000_000, 4_000_000)
"""Where the searches for one mutant begin."""


MOST_SHRINK_RUNS = 5000

NODES = (3, 3, 3, 5)
"""How many members the seeds of a search have, by turns."""


class Search(NamedTuple):
    """One search: which mutant, from which seed on, how many seeds and seconds at most.

    ``shrink``: seconds to make what failed shorter, 0 = leave it.
    """

    mutant: str
    first: int
    most: int
    seconds: float
    shrink: float = 0.0


@dataclass(slots=True)
class Found:
    """What came of the search from ``first`` on.

    ``seeds``: how many it took; ``check`` "" = nothing failed in all of them. ``lines``: of the script that
    the failure was shrunk to, 0 = it was not; ``shrink_seconds``: what that took beyond ``seconds``.
    """

    mutant: str
    first: int
    seeds: int
    seconds: float
    seed: int = 0
    check: str = ""
    detail: str = ""
    lines: int = 0
    shrink_seconds: float = 0.0

    @property
    def is_right(self) -> bool:
        """Whether the check that failed is one that the mutant is to be caught by, if it has a row at all."""
        names = mutant_named(self.mutant).caught_by
        return not names or any(self.check.startswith(name) for name in names)


def search(order: Search) -> Found:
    """Run seeds of the mutated program until a check fails. To be run in any process."""
    mutant = mutant_named(order.mutant)
    begun = time.perf_counter()
    profile = profile_named(mutant.profile)
    done = 0
    with installed(mutant):
        while done < order.most and (done == 0 or time.perf_counter() - begun < order.seconds):
            scenario = draw_scenario(order.first + done, profile, NODES[done % len(NODES)])
            result = run_scenario(scenario)
            done += 1
            if not result.passed:
                spent = time.perf_counter() - begun
                found = Found(mutant.id, order.first, done, spent, result.seed, result.check, result.detail)
                return _shrunk(found, scenario, order.shrink) if order.shrink else found
    return Found(mutant.id, order.first, done, time.perf_counter() - begun)


def _shrunk(found: Found, scenario: Scenario, seconds: float) -> Found:
    limits = Limits(runs=MOST_SHRINK_RUNS, seconds=seconds)
    shrunk = shrink(scenario, limits=limits, early=partial(run_scenario, safety_only=True))
    lines = len(format_scenario(shrunk.scenario).splitlines())
    return replace(found, lines=lines, shrink_seconds=shrunk.seconds)


@dataclass(slots=True)
class Hunt:
    """The searches for one mutant."""

    mutant: str
    found: list[Found]

    @property
    def is_found(self) -> bool:
        """Whether most of the searches ended with a failure."""
        return sum(bool(one.check) for one in self.found) * 2 > len(self.found)

    @property
    def median_seeds(self) -> float:
        """Seeds to the first failure; a search without one took more. Where most did: what they ran."""
        took = sorted(one.seeds for one in self.found if one.check)
        if not self.is_found:
            return median(one.seeds for one in self.found if not one.check)
        middle = len(self.found) // 2
        return median(took[middle - 1 : middle + 1]) if len(self.found) % 2 == 0 else took[middle]

    @property
    def seconds(self) -> float:
        """Seconds of all searches together."""
        return sum(one.seconds for one in self.found)

    @property
    def shrunk(self) -> list[Found]:
        """The searches whose failure was shrunk."""
        return [one for one in self.found if one.lines]

    @property
    def checks(self) -> dict[str, int]:
        """How often each check was the first to fail."""
        names = [one.check for one in self.found if one.check]
        return {name: names.count(name) for name in sorted(set(names))}

    @property
    def is_right(self) -> bool:
        """Whether every failure was one of a check of the mutant's row."""
        return all(one.is_right for one in self.found if one.check)

    @property
    def reaches_goal(self) -> bool:
        """Whether it was found as soon as its class asks for."""
        return self.is_found and self.median_seeds <= mutant_named(self.mutant).hardness.value


def run(
    names: list[str],
    executor: Executor,
    *,
    bases: tuple[int, ...] = BASE_SEEDS,
    most: int | None = None,
    seconds: float = 600.0,
    shrink_seconds: float = 0.0,
) -> Iterator[Hunt]:
    """Hunt for the mutants named, one after the other; at most ``seconds`` for each.

    ``most``: seeds a search; by default twice what the mutant's class allows. ``shrink_seconds``: how long
    the failure of the first search may be shrunk, 0 = not at all.
    """
    for name in names:
        limit = most if most is not None else 2 * mutant_named(name).hardness.value
        share = seconds / len(bases)
        orders = [Search(name, base, limit, share, shrink_seconds * (base == bases[0])) for base in bases]
        futures = [executor.submit(search, order) for order in orders]
        wait(futures)
        yield Hunt(name, [future.result() for future in futures])
