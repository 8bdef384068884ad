"""Bugs that are put in are found, by a check of their kind; the whole table is a command's work."""

import json
from pathlib import Path

import pytest

from raftkv.cli.main import main
from raftkv.errors import ConfigError
from raftkv.raft.core import Raft
from raftkv.raft.quorum import majority
from raftkv.sim.draw import draw_scenario, profile_named
from raftkv.sim.mutants import report
from raftkv.sim.mutants.catalogue import BLIND, BY_ID, CATALOGUE, REVIEW, mutant_named
from raftkv.sim.mutants.hunt import Found, Hunt, Search, search
from raftkv.sim.mutants.mutant import Mutant, Patch, installed
from raftkv.sim.run import run_scenario

QUICK = ("E2", "E11", "L9", "L10", "L11", "K1", "T7", "Z4", "Z5")
"""Mutants that the first few seeds find within seconds."""


@pytest.mark.parametrize("mutant", BY_ID.values(), ids=lambda mutant: mutant.id)
def test_a_mutant_changes_something_and_leaves_nothing_behind(mutant: Mutant) -> None:
    """What it is a mutant of is there; afterwards it is as it was."""
    changed: list[tuple[object, str, object]] = []

    class Noting(Patch):
        def set(self, owner: object, name: str, value: object) -> None:
            changed.append((owner, name, vars(owner)[name]))
            super().set(owner, name, value)

    patch = Noting()
    mutant.apply(patch)
    assert changed
    assert any(vars(owner)[name] is not before for owner, name, before in changed)
    patch.restore()
    for owner, name, before in changed:
        assert vars(owner)[name] is before


@pytest.mark.parametrize("name", QUICK)
def test_the_default_campaign_finds_it_soon(name: str) -> None:
    found = search(Search(name, 0, 4, 60.0))
    assert found.check, f"{name} was not found in {found.seeds} seeds"
    assert found.is_right, f"{name} was found by {found.check}: {found.detail}"


@pytest.mark.parametrize("name", ["W1", "W2"])
def test_beyond_repair_it_is_found_as_what_it_is_wrong_data(name: str) -> None:
    with installed(mutant_named(name)):
        results = (run_scenario(draw_scenario(seed, profile_named("beyond"))) for seed in range(11, 40))
        found = next(result for result in results if not result.passed)
    # A sound member that refuses its own log was sent what nobody ever wrote.
    assert found.check in ("rule committed_is_the_same", "rule restart_recovers", "refused start")


def test_a_search_is_the_same_each_time() -> None:
    """So the seed of the table shows the bug again."""
    first, second = (search(Search("E11", 0, 1, 60.0)) for _ in range(2))
    assert (first.seed, first.check, first.detail) == (second.seed, second.check, second.detail)


def test_a_bug_is_gone_when_the_search_ends_in_an_error() -> None:
    before = vars(Raft)["grant_vote"]
    with pytest.raises(ZeroDivisionError), installed(mutant_named("E1")):
        raise ZeroDivisionError
    assert vars(Raft)["grant_vote"] is before


def test_what_is_not_there_can_not_be_replaced() -> None:
    """A mutant of something that has moved is an error, never a mutant that does nothing."""
    with pytest.raises(AttributeError, match="has no such_rule of its own"):
        Patch().set(Raft, "such_rule", majority)


def test_an_unknown_mutant_is_named() -> None:
    with pytest.raises(ConfigError, match="there is no mutant 'E99'"):
        mutant_named("E99")


def _found(first: int, seeds: int, check: str) -> Found:
    return Found("E1", first, seeds, 1.0, first + seeds - 1, check, "seen")


def test_a_hunt_is_judged_by_its_median_and_by_the_kind_of_check() -> None:
    searches = [_found(0, 3, "rule vote_stays"), _found(100, 30, "rule vote_stays"), _found(200, 40, "")]
    one = Hunt("E1", searches)
    assert (one.is_found, one.is_right, one.median_seeds, one.reaches_goal) == (True, True, 30, False)
    short = [_found(0, 3, "rule vote_stays"), _found(100, 15, "rule vote_stays"), _found(200, 9, "")]
    assert Hunt("E1", short).median_seeds == 15, "the one that found nothing did not take 9 seeds"
    assert Hunt("E1", [_found(0, 3, "rule vote_stays"), _found(1, 9, ""), _found(2, 7, "")]).median_seeds == 8
    assert not Hunt("E1", [_found(0, 3, "bounds")]).is_right
    assert not Hunt("E1", [_found(0, 3, ""), _found(100, 3, "")]).is_found


def test_hunts_that_were_kept_are_read_back_and_make_the_page(tmp_path: Path) -> None:
    """Later lines take the place of earlier ones of the same search."""
    kept = [Hunt("E1", [_found(0, 9, "")]), Hunt("E1", [_found(0, 4, "rule vote_stays")])]
    lines = tmp_path / "hunts.jsonl"
    lines.write_text("".join(f"{json.dumps(report.as_object(one))}\n" for one in kept))
    table = tmp_path / "mutants.md"
    assert main(["sim", "mutants", "--read", str(lines), "--table", str(table)]) == 0
    rows = [row for row in table.read_text().splitlines() if row.startswith(("| E1 ", "| L1 "))]
    assert "| 4 | 1 of 1 | 1 | rule vote_stays | yes | 3 |" in rows[0]
    assert "not hunted yet" in rows[1]
    assert "| E | 1 | 1 | 1 | 4 |  |" in table.read_text()


def test_what_was_found_first_is_shrunk_apart() -> None:
    found = search(Search("L9", 0, 1, 60.0, shrink=20.0))
    assert found.check and 0 < found.lines <= 25 and found.shrink_seconds > 0
    assert f"; {found.lines} lines after" in report.line(Hunt("L9", [found]))


def test_the_command_hunts_for_one_and_says_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "mutants", "--only", "L9", "--searches", "1"]) == 0
    assert "rule acknowledged_is_durable" in capsys.readouterr().out


def test_a_seed_shows_a_mutant_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "replay", "0", "--mutant", "L9"]) == 1
    told = capsys.readouterr().out
    assert "rule acknowledged_is_durable" in told
    assert "replay it: raftkv sim replay 0 --profile default --nodes 3 --mutant L9\n" in told


def test_ids_are_unique() -> None:
    assert len(BY_ID) == len(CATALOGUE) + len(BLIND) + len(REVIEW)
