"""What hunts came to: as JSON lines that can be kept and added to, and as the page ``docs/mutants.md``."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from statistics import median
from typing import Any, NamedTuple

from raftkv.errors import ConfigError
from raftkv.sim.mutants.catalogue import BLIND, CATALOGUE, REVIEW
from raftkv.sim.mutants.hunt import Found, Hunt
from raftkv.sim.mutants.mutant import Hardness, Mutant

_CLASS = {Hardness.EASY: "E", Hardness.MEDIUM: "M", Hardness.HARD: "H"}

_INTRODUCTION = """\
# Mutants: how soon the simulator finds a bug that is put in

A mutant is the program with one bug in it, most of them with a history in a public project. It lives in
`raftkv/sim/mutants/`, outside the program, as a patch of one rule or function. `raftkv sim mutants` looks for
each with the faults of the default campaign, from several base seeds, until a check fails. Clients are about
keys and revisions (`--profile kv`), for the rows T, Z and S6 about watches, leases or locks; for those
about lease reads that option is on. `raftkv sim mutants --json >> FILE` hunts, and
`raftkv sim mutants --read FILE --table docs/mutants.md` writes this page.

*Seeds* is the median of the seeds that the searches took. A search without a failure counts as longer than
any; where most ended so, ">" stands before what they ran. The goals are 20 seeds for class E, 500 for M and
5,000 for H. *Of its row* says whether every check that failed first is one of the kind the row asks for; a
rule of Raft is checked at every step, so it often speaks before harm is done. To see one again:
`raftkv sim replay SEED --profile kv --mutant ID`, with the seed of the table (`lease-reads` for R5 and R7,
`watch`, `lease` or `lock` for T, Z, S6 and S6b). Every fourth seed of a search has five members: add
`--nodes 5` where the seed divided by four leaves three. A seed holds for the state of the program that was
hunted; a later change moves what it draws or when.

*Seconds* are those of all searches together, on one core each. What the first search found was shrunk to a
script by itself: its lines, and the seconds that took.
"""

_BLIND = """
## Written blind

Twenty more were written from what goes wrong in such programs, without a look at which checks there are, and
hunted in the same way; "seconds" says for how long.
"""

_REVIEW = """
## From a review

A reviewer of the simulator tried these, and they were not found then: sizes that a run never reached, a disk
that was too kind, an answer that no client asked for. What was missing is drawn and checked now.
"""


_HARNESS = """
## Of the harness itself

These are put into the checks and the simulator, not into the program; tests put them in and see them.

| id | bug | test |
|---|---|---|
"""


class HarnessRow(NamedTuple):
    """A bug of the harness itself, and the tests that see it: ``FILE::FUNCTION``."""

    id: str
    text: str
    tests: tuple[str, ...]


HARNESS = (
    HarnessRow(
        "H1",
        "the checker leaves out operations without an answer",
        (
            "tests/checkers/test_mutants.py::"
            "test_a_checker_that_does_not_know_unknown_outcomes_fails_its_claim",
            "tests/checkers/test_mutants.py::test_recorded_histories_find_it_too",
        ),
    ),
    HarnessRow(
        "H2",
        "a time-out is taken for a failure",
        (
            "tests/checkers/test_mutants.py::"
            "test_a_checker_that_does_not_know_unknown_outcomes_fails_its_claim",
            "tests/checkers/test_mutants.py::test_recorded_histories_find_it_too",
        ),
    ),
    HarnessRow(
        "H3",
        "a kind of fault never happens",
        (
            "tests/sim/test_harness_mutants.py::test_a_kind_of_fault_that_is_never_drawn_is_told",
            "tests/sim/test_harness_mutants.py::test_a_fault_that_is_drawn_and_never_fired_is_told",
        ),
    ),
    HarnessRow(
        "H4",
        "a run depends on more than its seed",
        ("tests/sim/test_determinism.py::test_a_run_that_depends_on_more_than_its_seed_is_told",),
    ),
)


def as_object(hunt: Hunt) -> dict[str, Any]:
    """Return a hunt as a JSON object; ``from_lines`` reads it back."""
    return {
        "mutant": hunt.mutant,
        "seeds": hunt.median_seeds,
        "seconds": round(hunt.seconds, 1),
        "found": hunt.is_found,
        "checks": hunt.checks,
        "of_its_row": hunt.is_right,
        "goal_reached": hunt.reaches_goal,
        "lines": median(one.lines for one in hunt.shrunk) if hunt.shrunk else None,
        "searches": [asdict(one) for one in hunt.found],
    }


def from_lines(lines: Iterable[str]) -> dict[str, Hunt]:
    """Return the hunts in JSON lines by mutant; several of one mutant are one hunt. Raises ConfigError."""
    hunts: dict[str, Hunt] = {}
    for number, line in enumerate(lines, start=1):
        try:
            searches = [Found(**one) for one in json.loads(line).get("searches", [])]
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigError(f"line {number} is no result of a hunt: {error}") from error
        for found in searches:
            hunt = hunts.setdefault(found.mutant, Hunt(found.mutant, []))
            hunt.found = [one for one in hunt.found if one.first != found.first] + [found]
    return hunts


def line(hunt: Hunt) -> str:
    """Return what a hunt came to, for people."""
    checks = ", ".join(hunt.checks) or "nothing failed"
    right = "" if hunt.is_right else " (not of its row)"
    shrunk = "".join(f"; {one.lines} lines after {one.shrink_seconds:.0f} s" for one in hunt.shrunk)
    return f"{hunt.mutant:4} {_seeds(hunt):>6} seeds {hunt.seconds:8.1f} s  {checks}{right}{shrunk}"


def page(hunts: dict[str, Hunt]) -> str:
    """Return ``docs/mutants.md``."""
    parts = [_INTRODUCTION, *_table(CATALOGUE, hunts), "", *_by_class(CATALOGUE, hunts), _BLIND]
    parts += [*_table(BLIND, hunts), "", *_by_class(BLIND, hunts), _REVIEW, *_table(REVIEW, hunts)]
    return "\n".join(parts) + "\n" + _HARNESS + "".join(map(_harness_line, HARNESS))


def _harness_line(row: HarnessRow) -> str:
    tests = ", ".join(f"`{test.replace('::', ': ')}`" for test in row.tests)
    return f"| {row.id} | {row.text} | {tests} |\n"


def _by_class(mutants: Iterable[Mutant], hunts: dict[str, Hunt]) -> list[str]:
    """Return a table of what the rows of each class came to."""
    rows = ["| class | rows | found | goal reached | seeds, median of the rows | script, lines, median |"]
    rows.append("|---" * 6 + "|")
    known = [(mutant.hardness, hunts[mutant.id]) for mutant in mutants if mutant.id in hunts]
    for hardness, name in _CLASS.items():
        ours = [hunt for one, hunt in known if one is hardness]
        if not ours:
            continue
        lines = [one.lines for hunt in ours for one in hunt.shrunk]
        cells = (
            name,
            len(ours),
            sum(hunt.is_found for hunt in ours),
            sum(hunt.reaches_goal for hunt in ours),
            f"{median(hunt.median_seeds for hunt in ours):g}",
            f"{median(lines):g}" if lines else "",
        )
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return rows


def _table(mutants: Iterable[Mutant], hunts: dict[str, Hunt]) -> list[str]:
    columns = (
        "id | bug | class | seeds | searches | seconds | check that failed | of its row | seed | "
        "script, lines | to shrink, s"
    )
    rows = [f"| {columns} |", "|---" * len(columns.split("|")) + "|"]
    for mutant in mutants:
        hunt = hunts.get(mutant.id)
        known = _cells(hunt) if hunt is not None else ["not hunted yet", *[""] * 7]
        rows.append("| " + " | ".join([mutant.id, mutant.text, _CLASS[mutant.hardness], *known]) + " |")
        if mutant.remark:
            rows[-1] = rows[-1].replace(mutant.text, f"{mutant.text}. {mutant.remark}", 1)
    return rows


def _cells(hunt: Hunt) -> list[str]:
    failed = [one for one in hunt.found if one.check]
    return [
        _seeds(hunt),
        f"{len(failed)} of {len(hunt.found)}",
        f"{hunt.seconds:.0f}",
        ", ".join(hunt.checks),
        ("yes" if hunt.is_right else "no") if failed else "",
        str(failed[0].seed) if failed else "",
        f"{median(one.lines for one in hunt.shrunk):g}" if hunt.shrunk else "",
        f"{median(one.shrink_seconds for one in hunt.shrunk):.0f}" if hunt.shrunk else "",
    ]


def _seeds(hunt: Hunt) -> str:
    return f"{'' if hunt.is_found else '> '}{hunt.median_seeds:g}"
