"""Every file of ``scenarios/`` is a story whose full output is what the cores do (see ``story``)."""

from pathlib import Path

import pytest

from tests.raft.group import CoreMaker
from tests.raft.story import perform

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path, make: CoreMaker, rewrite: bool) -> None:
    expected = path.read_text(encoding="utf-8")
    actual = perform(expected, make)
    if rewrite:
        path.write_text(actual, encoding="utf-8")
    else:
        assert actual == expected


def test_there_are_enough_stories() -> None:
    assert len(SCENARIOS) >= 60
