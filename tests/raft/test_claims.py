"""The page of claims is current, and what it says of known bugs is so."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest

from raftkv.raft.core import Raft
from tests.raft.claims import ALSO_FOUND_BY, ELSEWHERE, FOUND_BY, MODULES, PAGE, claims, main, page
from tests.raft.mutants import CATALOGUE

FUNCTIONS: dict[str, Callable[..., None]] = {
    claim.name: next(vars(module)[claim.name] for module in MODULES if claim.name in vars(module))
    for claim in claims()
}


def cases(function: Callable[..., None]) -> Iterator[dict[str, Any]]:
    """Yield the arguments that pytest would call a claim with, but for the core."""
    marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
    choices: list[list[dict[str, Any]]] = []
    for mark in marks:
        names = mark.args[0].split(",") if isinstance(mark.args[0], str) else mark.args[0]
        rows = [row if len(names) > 1 else (row,) for row in mark.args[1]]
        choices.append([dict(zip(names, row, strict=True)) for row in rows])
    for chosen in product(*choices):
        yield {name: value for case in chosen for name, value in case.items()}


def check(name: str, core: type[Raft]) -> None:
    """Make a claim of a core."""
    for case in cases(FUNCTIONS[name]):
        FUNCTIONS[name](make=core, **case)


def test_the_page_is_current() -> None:
    """docs/claims.md is what ``python -m tests.raft.claims --write`` writes."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_the_command_tells_an_old_page(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.raft.claims.PAGE", tmp_path / "claims.md")
    assert main([]) == 1
    assert main(["--write"]) == 0
    assert main([]) == 0
    assert capsys.readouterr().out.splitlines() == ["claims.md is out of date", "claims.md is current"]


def test_every_bug_of_the_catalogue_that_lives_in_the_core_is_on_the_page() -> None:
    assert list(FOUND_BY) == list(CATALOGUE)


@pytest.mark.parametrize("name", FOUND_BY)
def test_the_claim_named_for_a_bug_fails_on_it_and_holds_without_it(name: str) -> None:
    check(FOUND_BY[name], Raft)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check(FOUND_BY[name], CATALOGUE[name])


def test_tests_named_for_bugs_are_there() -> None:
    root = PAGE.parent.parent
    places = [*ALSO_FOUND_BY.values(), *(where for _, _, where in ELSEWHERE)]
    named = [where.split(": ") for where in places if where.startswith("tests/")]
    assert [
        f"{file}: {test}" for file, test in named if f"def {test}(" not in (root / file).read_text()
    ] == []
