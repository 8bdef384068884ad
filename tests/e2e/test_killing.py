"""A short run of the killing; ``python -m tests.e2e.killing`` does long ones."""

import sys
from pathlib import Path

import pytest

from tests.e2e.killing import run
from tests.e2e.verdict import shown

RESTARTS = 8


@pytest.mark.e2e
def test_killed_members_lose_double_and_reorder_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summaries: list[str] = []
    found = run(tmp_path, RESTARTS, seed=7, say=summaries.append)
    with capsys.disabled():
        sys.stdout.write(f"\n{summaries[0]}\n")
    assert found == [], shown(found)
