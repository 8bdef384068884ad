"""Scripts that were made of failures by ``raftkv sim shrink``: each still tells a bug from its absence.

The third line of a script names the core with the bug, the second the check that found it. raftkv's own core
passes the same script.
"""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from raftkv.sim.cores import core_named
from raftkv.sim.run import run_scenario
from raftkv.sim.scenario import Scenario, format_scenario, parse_scenario

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.txt"))
HEADER = re.compile(r"# raftkv scenario 1\n# (?P<check>[^:]+): .*\n# from .*--core (?P<core>\S+)\n")


class Script(NamedTuple):
    """A script with the bug it was made of."""

    check: str
    core: str
    scenario: Scenario


def read(path: Path) -> Script:
    text = path.read_text(encoding="utf-8")
    header = HEADER.match(text)
    assert header is not None, f"{path.name} does not say which core it was made of"
    return Script(header["check"], header["core"], parse_scenario(text))


def by_name(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", SCRIPTS, ids=by_name)
def test_a_script_finds_the_bug_it_was_made_of(path: Path) -> None:
    script = read(path)
    result = run_scenario(script.scenario, core_named(script.core))
    assert result.check == script.check, result.detail


@pytest.mark.parametrize("path", SCRIPTS, ids=by_name)
def test_a_script_passes_without_the_bug(path: Path) -> None:
    result = run_scenario(read(path).scenario)
    assert result.passed, f"{result.check}: {result.detail}"


@pytest.mark.parametrize("path", SCRIPTS, ids=by_name)
def test_a_script_is_short_and_written_as_scenarios_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 25
    kept = [line for number, line in enumerate(text.splitlines()) if number not in (1, 2)]
    assert "\n".join(kept) + "\n" == format_scenario(read(path).scenario)


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 5
