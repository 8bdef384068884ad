"""``raftkv sim mutants``: puts known bugs in, one at a time, and sees whether the simulator finds them."""

import argparse
import json
import sys
from pathlib import Path

from raftkv.cli.exits import Exit
from raftkv.cli.progress import Progress
from raftkv.errors import ConfigError
from raftkv.sim.campaign import local_executor
from raftkv.sim.mutants import hunt, report
from raftkv.sim.mutants.catalogue import BLIND, CATALOGUE, mutant_named


def run(arguments: argparse.Namespace, seconds: float, shrink_seconds: float) -> int:
    """Hunt, or read what hunts came to; at most ``seconds`` for a mutant. 1 if one was not found.

    What the first search finds is shrunk for ``shrink_seconds``.
    """
    if arguments.read is not None:
        return _write_table(arguments)
    if arguments.table is not None:
        raise ConfigError("--table needs --read: hunts are kept as JSON lines first")
    names = _names(arguments)
    bases = hunt.BASE_SEEDS[: arguments.searches]
    missed = 0
    with local_executor(arguments.jobs) as executor, Progress(sys.stderr, len(names), None) as bar:
        hunts = hunt.run(
            names,
            executor,
            bases=bases,
            most=arguments.most,
            seconds=seconds,
            shrink_seconds=shrink_seconds,
        )
        for number, one in enumerate(hunts, start=1):
            missed += not one.is_found
            bar.clear()
            print(json.dumps(report.as_object(one)) if arguments.json else report.line(one), flush=True)
            bar.show(number, one.mutant)
    if not arguments.json:
        print(f"{len(names) - missed} of {len(names)} mutants found")
    return Exit.FAILED if missed else Exit.OK


def _names(arguments: argparse.Namespace) -> list[str]:
    if arguments.only:
        return [mutant_named(name).id for name in arguments.only.split(",")]
    return [mutant.id for mutant in (BLIND if arguments.blind else CATALOGUE)]


def _write_table(arguments: argparse.Namespace) -> int:
    kept = Path(arguments.read).read_text(encoding="utf-8")
    hunts = report.from_lines(kept.splitlines())
    if arguments.table is None:
        for one in hunts.values():
            print(report.line(one))
    else:
        Path(arguments.table).write_text(report.page(hunts), encoding="utf-8")
    return Exit.OK
