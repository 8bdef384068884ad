"""Which test finds which bug: ``python -m tests.raft.matrix [NAME ...]`` prints the table.

Each mutant of ``tests.raft.mutants`` runs against the claims of the paper, the scenarios and random
schedules; the claim that is named for it in docs/claims.md comes first. Then come the rows of the catalogue
that live elsewhere, with the test that finds each. The exit status is 1 when a mutant survives.

``python -m tests.raft.matrix --claims`` looks from the other side: for each claim, which of the mutants and
of the wrong rules of ``tests.raft.overrides`` fail it, those first that fail the fewest others. One that
fails more than a third of all claims (a leader that never leads) tells nothing about each of them and
does not count. The exit status is 1 when a claim is never hit.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from time import perf_counter

from tests.raft.claims import ALSO_FOUND_BY, ELSEWHERE, FOUND_BY, claims
from tests.raft.group import CoreMaker
from tests.raft.mutants import CATALOGUE, FURTHER
from tests.raft.overrides import OVERRIDES
from tests.raft.schedules import Schedule, play, random_choices
from tests.raft.story import perform

HERE = Path(__file__).parent
SEEDS = 100
PROCESSES = 2
TIMEOUT = 60
"""Seconds for all claims on one override: one that never comes to rest is an error of ours."""
NAMES = {**CATALOGUE, **FURTHER, **OVERRIDES}
FAILED = re.compile(r"^FAILED \S+?::(\w+)", re.M)


def failing_claims(name: str) -> list[str]:
    """Return the claims of the thesis that fail on a mutant or override."""
    file = "overrides.py" if name in OVERRIDES else "mutants.py"
    options = ["-q", "--tb=no", "-rf", "-p", "no:cacheprovider", f"--core={HERE / file}:{name}"]
    files = map(str, sorted(HERE.glob("test_paper*.py")))
    command = [sys.executable, "-m", "pytest", *files, *options]
    root = HERE.parent.parent
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    return list(dict.fromkeys(FAILED.findall(run.stdout)))


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
    named = FOUND_BY.get(name)
    paper = sorted(failing_claims(name), key=lambda claim: claim != named)
    return [*paper, *failing_stories(core), *([schedule] if schedule else [])]


def failed_by(names: list[str]) -> dict[str, list[str]]:
    """Return what fails each claim, the sharpest first, of those that are sharp enough to count."""
    with ThreadPoolExecutor(PROCESSES) as pool:
        fails = dict(zip(names, pool.map(failing_claims, names), strict=True))
    hits: dict[str, list[str]] = {claim.name: [] for claim in claims()}
    for name in sorted(names, key=lambda name: len(fails[name])):
        for claim in fails[name] if 3 * len(fails[name]) <= len(hits) else []:
            hits[claim].append(name)
    return hits


def main_claims() -> int:
    """Print what fails each claim; return 1 if one is never hit."""
    begin = perf_counter()
    hits = failed_by([*NAMES])
    for claim, names in hits.items():
        sys.stdout.write(f"{claim}\n    {len(names):3} {', '.join(names[:6]) or 'NONE'}\n")
    never = sum(not names for names in hits.values())
    idle = sorted(set(NAMES).difference(*hits.values()))
    sys.stdout.write(
        f"{len(hits)} claims, {len(NAMES)} overrides ({len(idle)} that fail no claim, or too many:"
        f" {', '.join(idle)}), never hit: {never}, {perf_counter() - begin:.0f} s\n"
    )
    return 1 if never else 0


def main(names: list[str]) -> int:
    """Print the table; return 1 if a mutant survives."""
    if names == ["--claims"]:
        return main_claims()
    survivors = 0
    for name in names or [*CATALOGUE, *FURTHER]:
        tests = found_by(name)
        survivors += not tests
        doc = {**CATALOGUE, **FURTHER}[name].__doc__
        lines = [f"{name:20} {doc}", f"{'':20} found by {len(tests)}: {tests[0] if tests else 'NONE'}"]
        also = [ALSO_FOUND_BY[name]] if name in ALSO_FOUND_BY else []
        lines += [f"{'':20} {'':10} {test}" for test in [*tests[1:3], *also]]
        sys.stdout.write("\n".join(lines) + "\n")
    for name, what, where in [] if names else ELSEWHERE:
        sys.stdout.write(f"{name:20} {what}\n{'':20} lives elsewhere: {where}\n")
    sys.stdout.write(f"survivors: {survivors}\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
