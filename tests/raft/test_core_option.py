"""``pytest tests/raft --core FILE.py:CLASS``: what another core is asked."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUBCLASS = "from raftkv.raft.core import Raft\n\nclass MyRaft(Raft):\n    pass\n"


def pytest_on(core: str, *options: str, where: str = "tests/raft") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pytest", where, "-p", "no:cacheprovider", f"--core={core}", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def test_a_subclass_is_asked_all_claims_stories_and_schedules(tmp_path: Path) -> None:
    """And nothing that is about something else."""
    (tmp_path / "my_raft.py").write_text(SUBCLASS, encoding="utf-8")
    run = pytest_on(f"{tmp_path / 'my_raft.py'}:MyRaft", "--collect-only", "-q")
    files = set(re.findall(r"^tests/raft/(\w+)\.py::", run.stdout, re.M))
    assert files >= {"test_paper", "test_paper_leadership", "test_scenarios", "test_random_schedules"}
    assert not files & {"test_codec", "test_log", "test_mutants", "test_quorum", "test_recorded"}


def test_a_core_with_fewer_parts_is_told_what_it_is_not_asked() -> None:
    """Stories show the messages of the reference core, so they are no measure of one that sends others."""
    run = pytest_on("raftkv/raft/figure2.py:Figure2", "--collect-only")
    assert "parts it does without: check-quorum, " in run.stdout
    assert "stories: left out" in run.stdout
    assert "test_scenarios.py" not in run.stdout and "test_paper.py" in run.stdout


@pytest.mark.parametrize(
    ("core", "reason"),
    [
        ("my_raft", "give FILE.py:CLASS"),
        ("nowhere.py:MyRaft", "give FILE.py:CLASS"),
        ("raftkv/raft/core.py:MyRaft", "there is no MyRaft in raftkv/raft/core.py"),
    ],
)
def test_a_core_that_is_not_there_is_named(core: str, reason: str) -> None:
    run = pytest_on(core, "--collect-only")
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"--core {core}: {reason}" in run.stderr + run.stdout
    assert "INTERNALERROR" not in run.stdout
