"""Makes a failing scenario shorter, as long as the same check fails.

The way is delta debugging (Zeller and Hildebrandt 2002): leave out large parts first, then smaller ones.
What makes a run noisy goes first (the end after the failure, the weather, the disks' delays), because every
draw that is left in ties the rest together: without it, a request can be left out and the others arrive as
before. Where a large part can't be left out, the same scenario with another seed is tried as well: it is the
story that is to be kept, not the number it came from.

The search depends on the scenario and the core alone, unless ``Limits.seconds`` ends it.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from raftkv.errors import ConfigError
from raftkv.sim import edits
from raftkv.sim.network import CALM
from raftkv.sim.run import Result, run_scenario
from raftkv.sim.scenario import FAST, OFF, SAFETY_END, Heal, Scenario, format_scenario

T = TypeVar("T")

Run = Callable[[Scenario], Result]
"""Runs a scenario: ``run_scenario``, with the core that is asked."""

FRESH_SEEDS = 3
"""Other seeds to try for a part that can't be left out otherwise."""

MORE_SEEDS = 7
"""So many for a small part of the operations, which takes little time to run."""

THINNER = (32, 16, 8, 4, 2)
"""Of so many operations one is kept, fewest first."""

LARGE_PART = 8
"""Faults or operations from which on a part is worth other seeds."""

SNAPSHOT_COUNTS = (1, 3, 10)
"""Small ones, so that fewer requests lead to a snapshot."""

DIGITS = (0, 1, 2)
"""Digits behind the point to try for a time, fewest first."""

GAPS_SECONDS = (0.5, 1.0, 2.0)
"""What to leave of a longer time without events; the next thing to try is its half."""


LAST_SECONDS = (1.0, 2.0, 4.0, 8.0, 12.0)
"""How much before a failure to try to keep alone, least first."""

BEGIN = 1.0
"""When what is kept then begins: somebody leads by that time."""


class Limits(NamedTuple):
    """When to stop: after so many runs, or so many seconds of real time."""

    runs: int = 600
    seconds: float = 300.0


LIMITS = Limits()


@dataclass(slots=True)
class Shrunk:
    """A scenario that fails as the first one did, ``result`` its run.

    ``runs``, ``seconds``: what it took. ``complete``: nothing more can be left out; else a limit was reached.
    """

    scenario: Scenario
    result: Result
    runs: int
    seconds: float
    complete: bool


class NothingToShrink(ConfigError):
    """The scenario passes."""


class LimitReached(Exception):
    """No more runs are allowed."""


def shrink(
    scenario: Scenario,
    run: Run = run_scenario,
    limits: Limits = LIMITS,
    progress: Callable[[int, int], None] = lambda runs, lines: None,
    early: Run | None = None,
) -> Shrunk:
    """Return a shorter scenario that fails the same check when it is ``run``.

    ``early`` runs one up to its healing: enough where the failure comes before that, and much quicker.
    ``progress`` hears after each run how many there were, and how many lines the scenario has.
    Raises NothingToShrink.
    """
    result = run(scenario)
    if result.passed:
        raise NothingToShrink(f"seed {scenario.seed} passes: there is nothing to shrink")
    search = _Search(scenario, result, early if early and result.early else run, limits, progress)
    complete = True
    try:
        search.to_the_end()
        search.run_whole(run)  # of what is left, more may go: it may fail as well after an earlier healing
    except LimitReached:
        complete = False
    return Shrunk(search.best, search.result, search.runs, search.spent, complete)


def script_of(shrunk: Shrunk, origin: str) -> str:
    """Return a shrunk scenario as a script that says what it shows; ``origin`` is where it came from."""
    first, _, rest = format_scenario(shrunk.scenario).partition("\n")
    detail = " ".join(shrunk.result.detail.split())
    return f"{first}\n# {shrunk.result.check}: {detail:.300}\n# from {origin}\n{rest}"


class _Search:
    """The shortest failing scenario so far, and the ways to a shorter one."""

    def __init__(
        self,
        scenario: Scenario,
        result: Result,
        run: Run,
        limits: Limits,
        progress: Callable[[int, int], None],
    ) -> None:
        self.best = scenario
        self.result = result
        self.runs = 1
        self._run = run
        self._limits = limits
        self._progress = progress
        self._begun = time.perf_counter()
        self._tried: dict[str, None] = {}

    @property
    def spent(self) -> float:
        """Seconds of real time since the beginning."""
        return time.perf_counter() - self._begun

    def to_the_end(self) -> None:
        """Try everything, until nothing helps any more. Raises LimitReached."""
        self._end_sooner()
        self._begin_later()
        self._quieten()
        while True:
            before = format_scenario(self.best)
            self._leave_out_faults()
            self._leave_out_operations()
            self._use_fewer_nodes()
            self._quieten()
            self._end_sooner()
            if format_scenario(self.best) == before:
                break
        self._use_fewer_keys()
        self._close_gaps()
        self._round_times()
        self._leave_out_faults()
        self._leave_out_operations()
        self._end_sooner()

    def run_whole(self, run: Run) -> None:
        """Try everything again with another way to run, if it is another one. Raises LimitReached."""
        if run is not self._run:
            self._run = run
            self._tried.clear()
            self.to_the_end()

    def _try(self, candidate: Scenario, seeds: int = 0) -> bool:
        """Take a candidate if it fails as it should, perhaps with another seed."""
        if candidate == self.best:
            return False
        for offset in range(seeds + 1):
            if self._fails(replace(candidate, seed=candidate.seed + offset)):
                return True
        return False

    def _first_of(self, candidates: Iterable[Scenario]) -> bool:
        """Take the first candidate that fails as it should."""
        return any(self._try(candidate) for candidate in candidates)

    def _fails(self, candidate: Scenario) -> bool:
        text = format_scenario(candidate)
        if text in self._tried:
            return False
        if self.runs >= self._limits.runs or self.spent > self._limits.seconds:
            raise LimitReached
        self.runs += 1
        self._tried[text] = None
        try:
            result = self._run(candidate)
        except ConfigError:
            return False  # a fault whose member has been left out
        if result.check != self.result.check:
            return False
        self.best, self.result = candidate, result
        self._progress(self.runs, len(text.splitlines()))
        return True

    # ---------------------------------------------------------------- what is around the events

    def _end_sooner(self) -> None:
        """Leave out what comes after the failure, and heal there."""
        best = self.best
        heal = best.heal or Heal(SAFETY_END, best.members)
        last = max(edits.times_of(best), default=0.0)
        ends = [self.result.failed_at, *(last + seconds for seconds in (0.1, 1.0, 2.0, 5.0))]
        for end in [edits.rounded_up(end) for end in ends if edits.rounded_up(end) < heal.at]:
            faults = tuple(fault for fault in best.faults if fault.at < end)
            operations = tuple(one for one in best.operations if one.at < end)
            candidate = replace(best, faults=faults, operations=operations, heal=heal._replace(at=end))
            if self._try(candidate):
                break
        heal = self.best.heal or heal
        whole = heal._replace(core=self.best.members, others=OFF)
        self._first_of(replace(self.best, heal=one) for one in (whole, heal._replace(others=OFF)))

    def _begin_later(self) -> None:
        """Leave out all but the last seconds before the failure: most of them have their cause nearby."""
        best = self.best
        end = edits.rounded_up(self.result.failed_at) + 0.1
        if best.heal is not None:
            end = min(end, best.heal.at)  # what fails later began before the healing, too
        for seconds in LAST_SECONDS:
            if seconds < end and self._try(edits.last_seconds(best, end, seconds, BEGIN), FRESH_SEEDS):
                self._end_sooner()
                return

    def _quieten(self) -> None:
        """Let the network, the disks and the options be as they are without being told."""
        best = self.best
        self._try(replace(best, network=CALM, disk=FAST, options={}), FRESH_SEEDS)
        self._try(replace(self.best, beyond_repair=False))
        self._try(replace(self.best, network=CALM), FRESH_SEEDS)
        network = self.best.network
        self._try(replace(self.best, network=replace(network, reordering=False)))
        self._try(replace(self.best, network=replace(network, loss=0.0, duplication=0.0)))
        self._try(replace(self.best, disk=FAST), FRESH_SEEDS)
        for name in sorted(self.best.options):
            options = {other: value for other, value in self.best.options.items() if other != name}
            if not self._try(replace(self.best, options=options), FRESH_SEEDS) and name == "snapshot-count":
                counts = [str(count) for count in SNAPSHOT_COUNTS if count < int(self.best.options[name])]
                self._first_of(replace(self.best, options={**options, name: count}) for count in counts)

    # ---------------------------------------------------------------- the events

    def _leave_out_faults(self) -> None:
        for kind in sorted({fault.kind for fault in self.best.faults}):
            kept = tuple(fault for fault in self.best.faults if fault.kind != kind)
            self._try(replace(self.best, faults=kept), FRESH_SEEDS)
        self._minimize(lambda: self.best.faults, lambda kept: replace(self.best, faults=kept))
        for number in range(len(self.best.faults)):
            self._take_links_off(number)

    def _take_links_off(self, number: int) -> None:
        """Cut fewer links."""
        position = 0
        while True:
            fault = self.best.faults[number]
            if fault.kind != "cut" or len(fault.words) < 2 or position >= len(fault.words):
                return
            words = fault.words[:position] + fault.words[position + 1 :]
            position += not self._try(edits.with_fault(self.best, number, fault._replace(words=words)))

    def _leave_out_operations(self) -> None:
        self._try(replace(self.best, operations=()), FRESH_SEEDS)
        self._thin_out()
        for client in sorted({one.client for one in self.best.operations}):
            kept = tuple(one for one in self.best.operations if one.client != client)
            self._try(replace(self.best, operations=kept), FRESH_SEEDS)
        self._minimize(lambda: self.best.operations, lambda kept: replace(self.best, operations=kept))

    def _thin_out(self) -> None:
        """Keep one operation of so many: load is often needed, and which one is a matter of chance."""
        for one_of in THINNER:
            for first in (0, 1):
                kept = self.best.operations[first::one_of]
                if len(kept) >= LARGE_PART // 2 and self._try(
                    replace(self.best, operations=kept), MORE_SEEDS
                ):
                    return

    def _minimize(
        self, items: Callable[[], tuple[T, ...]], with_items: Callable[[tuple[T, ...]], Scenario]
    ) -> None:
        """Leave out halves, quarters ... single items, as long as that helps."""
        size = len(items()) // 2
        while size >= 1:
            start, helped = 0, False
            while start < len(items()):
                kept = items()[:start] + items()[start + size :]
                if self._try(with_items(kept), FRESH_SEEDS if size >= LARGE_PART else 0):
                    helped = True
                else:
                    start += size
            if not helped or size > 1:
                size //= 2

    # ---------------------------------------------------------------- nodes and keys

    def _use_fewer_nodes(self) -> None:
        for nodes in range(1, self.best.nodes):
            if self._try(edits.with_nodes(self.best, nodes), FRESH_SEEDS):
                return

    def _use_fewer_keys(self) -> None:
        """Let requests for one key go to another one, and give values short names."""
        keys = sorted({word for one in self.best.operations for word in one.words[1:] if word[0] == "k"})
        for old in keys[1:]:
            if self._try(edits.with_names(self.best, {old: keys[0]})):
                continue
        values = [word for one in self.best.operations for word in one.words[1:] if word[0] == "c"]
        self._try(
            edits.with_names(self.best, {old: f"v{i}" for i, old in enumerate(dict.fromkeys(values), 1)})
        )

    # ---------------------------------------------------------------- times

    def _close_gaps(self) -> None:
        """Let the later events follow the earlier ones sooner."""
        position = 0
        while position < len(times := edits.times_of(self.best)):
            gap = times[position] - (times[position - 1] if position else 0.0)
            for left in [left for left in (*GAPS_SECONDS, round(gap / 2, 1)) if left < gap]:
                if self._try(edits.sooner(self.best, times[position], gap - left)):
                    break
            position += 1

    def _round_times(self) -> None:
        """Write times and durations in few digits."""
        if self._first_of(edits.rounded(self.best, digits) for digits in DIGITS):
            return
        for number in range(len(self.best.faults)):
            fault = self.best.faults[number]
            self._first_of(edits.with_fault(self.best, number, one) for one in edits.rounder_faults(fault))
        for number in range(len(self.best.operations)):
            one = self.best.operations[number]
            rounder = [one._replace(at=round(one.at, digits)) for digits in DIGITS]
            self._first_of(edits.with_operation(self.best, number, other) for other in rounder)
