"""Which test finds which bug: ``python -m tests.raft.matrix [NAME ...]`` prints the table.

Each mutant of ``tests.raft.mutants`` runs against the claims of the paper, the scenarios and random
schedules. The exit status is 1 when one survives all of them.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tests.raft.group import CoreMaker
from tests.raft.mutants import CATALOGUE, FURTHER
from tests.raft.schedules import Schedule, play, random_choices
from tests.raft.story import perform

HERE = Path(__file__).parent
SEEDS = 100


def failing_claims(mutant: str) -> list[str]:
    """Return the claims of the thesis that fail on a mutant."""
    core = f"{HERE / 'mutants.py'}:{mutant}"
    options = ["-q", "--tb=no", "-rf", "-p", "no:cacheprovider"]
    files = map(str, sorted(HERE.glob("test_paper*.py")))
    command = [sys.executable, "-m", "pytest", *files, f"--core={core}", *options]
    run = subprocess.run(command, cwd=HERE.parent.parent, capture_output=True, text=True, check=False)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    failed = [line.split()[1] for line in run.stdout.splitlines() if line.startswith("FAILED ")]
    return [nodeid.rpartition("::")[2] for nodeid in failed]


def failing_stories(core: CoreMaker) -> Iterator[str]:
    """Yield the scenarios that go otherwise, or break a rule, on a mutant."""
    for path in sorted((HERE / "scenarios").glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        try:
            if perform(text, core) != text:
                yield path.stem
        except (AssertionError, IndexError):  # a broken rule, or a message that never came
            yield path.stem


def failing_schedule(core: CoreMaker) -> str | None:
    """Return what the first random schedule that fails on a mutant shows."""
    for seed in range(SEEDS):
        size, lease_reads = 1 + seed % 5, seed % 4 == 3
        schedule = Schedule(size, slow_disks=seed % 3 > 0, seed=seed, make=core, lease_reads=lease_reads)
        try:
            play(schedule, random_choices(Random(seed), 300))
        except AssertionError as error:
            return f"schedule {seed}: {error}"
    return None


def found_by(name: str) -> list[str]:
    """Return the tests that find a mutant, the claims first."""
    core = {**CATALOGUE, **FURTHER}[name]
    schedule = failing_schedule(core)
    return [*failing_claims(name), *failing_stories(core), *([schedule] if schedule else [])]


def main(names: list[str]) -> int:
    """Print the table; return 1 if a mutant survives."""
    survivors = 0
    for name in names or [*CATALOGUE, *FURTHER]:
        tests = found_by(name)
        survivors += not tests
        doc = {**CATALOGUE, **FURTHER}[name].__doc__
        lines = [f"{name:20} {doc}", f"{'':20} found by {len(tests)}: {tests[0] if tests else 'NONE'}"]
        lines += [f"{'':20} {'':10} {test}" for test in tests[1:3]]
        sys.stdout.write("\n".join(lines) + "\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
