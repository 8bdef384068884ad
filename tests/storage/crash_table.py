"""What a crash and what a flipped bit do to a log, as tables: ``python -m tests.storage.crash_table``.

    python -m tests.storage.crash_table [--seeds 20]

The first table: a run with everything that a log does is cut off at each of its I/O calls, and each time
the disk is left in each way in which a power loss may leave it; ``--seeds`` is how often those that have
chance in them are drawn. The second: one bit of each byte of a small log is flipped, of one that is whole
and of one that has lost its first segments. A case that loses anything acknowledged, or finds what
never was, ends the program with an error.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Iterable, Iterator

from raftkv.sim.disk import CHANGES, LOOKS, Outcome
from tests.storage.crashes import Table, all_crash_points, check_power_losses
from tests.storage.damage import RELEASED_STEPS, STEPS, check_everywhere, flip

OUTCOMES = {
    Outcome.NOTHING: "nothing",
    Outcome.ALL: "all",
    Outcome.PREFIX: "prefix",
    Outcome.TORN: "torn",
    Outcome.SECTORS: "subset",
}
FINDINGS = ("as acknowledged", "one step more", "no log yet", "with a torn tail")
RESULTS = ("refused", "cut", "harmless")


def crash_rows(table: Table) -> Iterator[str]:
    """Yield a row for each kind of I/O call."""
    yield _crash_row("I/O call", "points", OUTCOMES.values(), FINDINGS)
    for kind in CHANGES + LOOKS:
        cases = [table.cases[kind, outcome] for outcome in OUTCOMES]
        yield _crash_row(kind, table.points[kind], cases, [table.findings[kind, name] for name in FINDINGS])
    cases = [sum(table.cases[kind, outcome] for kind in table.points) for outcome in OUTCOMES]
    findings = [sum(table.findings[kind, name] for kind in table.points) for name in FINDINGS]
    yield _crash_row("all", table.points.total(), cases, findings)


def _crash_row(kind: str, points: object, cases: Iterable[object], findings: Iterable[object]) -> str:
    left = "".join(f"{case:>9}" for case in cases)
    return f"{kind:16}{points:>7}{left} |" + "".join(f"{count:>17}" for count in findings)


def flip_rows(title: str, found: Counter[tuple[str, str]]) -> Iterator[str]:
    """Yield a row for each part of the log."""
    yield f"\n{title:24}" + "".join(f"{name:>10}" for name in RESULTS)
    for region in sorted({region for region, _ in found}):
        yield f"{region:24}" + "".join(f"{found[region, name]:10}" for name in RESULTS)


async def main(seeds: int) -> None:
    """Try everything and print it."""
    rows = [*crash_rows(await check_power_losses(await all_crash_points(), seeds))]
    rows += flip_rows("flips in a whole log", await check_everywhere(flip, 1, STEPS))
    rows += flip_rows("flips after a release", await check_everywhere(flip, 1, RELEASED_STEPS))
    sys.stdout.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Crash points and flipped bits of the log, as tables.")
    parser.add_argument("--seeds", type=int, default=3, help="draws of each outcome with chance in it")
    asyncio.run(main(parser.parse_args().seeds))
