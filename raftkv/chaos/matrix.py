"""Many runs, one after the other: every workload under every group of faults."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from raftkv.chaos.faults.catalogue import kinds_for
from raftkv.chaos.order import Order, carry_out
from raftkv.chaos.record import Record, RunVerdict
from raftkv.chaos.runner import State
from raftkv.chaos.systems import make_system
from raftkv.errors import ConfigError
from raftkv.workloads import NAMES
from raftkv.workloads.lock import UNFENCED

HEADER = ("WORKLOAD", "FAULTS", "VERDICT", "OPS/S", "UNKNOWN", "FAULTS FIRED", "LEADERS", "FOUND")

WORST_FIRST = (RunVerdict.FAILED, RunVerdict.ERROR, RunVerdict.WEAK, RunVerdict.PASSED)


class Cell(NamedTuple):
    """One combination."""

    workload: str
    faults: str


class Result(NamedTuple):
    """What came of one run."""

    order: Order
    record: Record


def cells(workloads: str, faults: str, system: str) -> list[Cell]:
    """Return the combinations. ``workloads``: all or names, ``faults``: each or groups, with commas between.

    ``all``: all but the lock without fencing, of which it is known that it fails under pauses. ``each``:
    every group that the system can have, and all of them together. Raises ``ConfigError``.
    """
    names = [name for name in NAMES if name != UNFENCED] if workloads == "all" else workloads.split(",")
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise ConfigError(f"there is no workload {unknown[0]!r}; there are {', '.join(NAMES)}")
    endpoints = ["http://127.0.0.1:2379"]  # nobody is asked: only what can be done counts
    tested = make_system(system, 3, Path(), endpoints=endpoints)
    groups = faults.split(",")
    if faults == "each":
        groups = [*dict.fromkeys(kind.group for kind in kinds_for("all", tested)), "all"]
    for group in groups:
        kinds_for(group, tested)
    return [Cell(name, group) for name in names for group in groups]


async def run_all(
    orders: Iterable[Order], tell: Callable[[State], None], done: Callable[[Result], None]
) -> list[Result]:
    """Carry orders out, one after the other; ``done`` hears of each."""
    results = []
    for order in orders:
        result = Result(order, await carry_out(order, tell))
        results.append(result)
        done(result)
        await asyncio.sleep(0)
    return results


def worst(verdicts: Iterable[RunVerdict]) -> RunVerdict:
    """Return the worst verdict; of none at all, that nothing was shown."""
    found = set(verdicts)
    return next((verdict for verdict in WORST_FIRST if verdict in found), RunVerdict.WEAK)


def rows(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """Return the rows of the table."""
    return [_row(one) for one in results]


def _row(result: Result) -> tuple[str, ...]:
    record, figures = result.record, result.record.figures
    found = [one.model for one in record.findings if one.verdict.reason]
    why = ", ".join(found) or record.error or "; ".join(record.reasons)
    return (
        result.order.workload,
        result.order.faults,
        record.verdict.value,
        f"{figures['per_second']:.0f}",
        f"{figures['unknown_share']:.1%}",
        str(sum(figures["fired"].values())),
        str(figures["leader_changes"]),
        why.partition("\n")[0][:100],
    )


def as_markdown(results: Sequence[Result]) -> str:
    """Return the table for a document."""
    lines = [HEADER, tuple("---" for _ in HEADER), *rows(results)]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)
