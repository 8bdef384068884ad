"""What ``raftkv sim`` prints of a failure and of a campaign."""

import shlex
from collections.abc import Iterable
from typing import Any

from raftkv.sim.campaign import Job, Totals
from raftkv.sim.marks import MARKS
from raftkv.sim.run import Result

LONGEST_DETAIL = 600


def print_failure(result: Result, target: str, job: Job) -> None:
    """Print what failed, and the commands that show it again; ``target``: the seed or the script."""
    named = f"seed {target}" if target.isdecimal() else target
    print(f"{named} failed: {result.check}, at {result.failed_at:.3f} s")
    print(f"  {' '.join(result.detail.split())[:LONGEST_DETAIL]}")
    words = [target, *job.options()]
    script = f"seed-{target}.txt" if target.isdecimal() else "shorter.txt"
    print(f"  replay it: {shlex.join(['raftkv', 'sim', 'replay', *words])}")
    print(f"  shrink it: {shlex.join(['raftkv', 'sim', 'shrink', *words, '-o', script])}", flush=True)


def print_note(result: Result) -> None:
    """Print what else there is to know of a run that passed."""
    if result.note:
        print(f"  {' '.join(result.note.split())[:LONGEST_DETAIL]}")


def summary_of(totals: Totals) -> dict[str, Any]:
    """Return a campaign's sums as a JSON object."""
    return {
        "seeds": totals.seeds,
        "passed": totals.seeds - len(totals.failed),
        "failed": {str(seed): check for seed, check in sorted(totals.failed.items())},
        "operations": totals.operations,
        "completed": totals.completed,
        "seconds": round(totals.elapsed, 3),
        **{name: round(value, 4) for name, value in totals.rates().items()},
        "faults": dict(sorted(totals.faults.items())),
        "events": dict(sorted(totals.events.items())),
        "messages": dict(sorted(totals.messages.items())),
        "check_shares": {check: round(share, 4) for check, share in totals.check_shares.items()},
        "coverage": {mark: totals.coverage[mark] for mark in MARKS},
        "never_hit": totals.never_hit,
    }


def print_summary(totals: Totals, job: Job) -> None:
    """Print a campaign's sums for people."""
    rates = totals.rates()
    print(
        f"{totals.seeds} seeds of {job.profile} with {job.nodes} nodes: "
        f"{totals.seeds - len(totals.failed)} passed, {len(totals.failed)} failed"
    )
    print(
        f"time        {totals.elapsed:.1f} s, {rates['seeds_per_second']:.2f} seeds/s, "
        f"{rates['simulated_per_real']:.0f} x real time"
    )
    print(
        f"operations  {totals.operations}, {totals.completed} completed, {rates['completed_per_seed']:.0f} a "
        f"seed; a fault was active {rates['fault_share']:.0%} of the time"
    )
    print(f"faults      {_counts(totals.faults.most_common())}")
    print(f"messages    {_counts(totals.messages.most_common())}")
    shares = [f"{check} {share:.1%}" for check, share in totals.check_shares.items()]
    print(f"checks      {', '.join(shares) or 'none'} of the time")
    hit = [(mark, totals.coverage[mark]) for mark in MARKS if totals.coverage[mark]]
    print(f"marks hit   {_counts(hit)}")
    print(f"never hit   {', '.join(totals.never_hit) or 'none'}")


def _counts(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts) or "none"
