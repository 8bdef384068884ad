"""The benchmark of the core runs, and what it measures is what it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "bench" / "core.py"


@pytest.mark.parametrize("extra", [[], ["--recorded"]])
def test_the_benchmark_prints_a_row_for_each_batch_and_length(extra: list[str]) -> None:
    """Small enough to say nothing about speed; every entry is applied by all members, or it fails."""
    sizes = ["--entries", "640", "--runs", "1", "--batches", "16", "64", "--lengths", "10", "500"]
    command = [sys.executable, str(BENCHMARK), *sizes, *extra, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    rows = json.loads(done.stdout)["rows"]
    assert [(row["batch"], row["log_length"]) for row in rows] == [(16, 10), (64, 10), (16, 500), (64, 500)]
    assert all(row["entries_per_second"] > 0 for row in rows)


def test_the_profile_names_the_functions_of_the_core() -> None:
    sizes = ["--entries", "160", "--runs", "1", "--batches", "16", "--lengths", "10"]
    command = [sys.executable, str(BENCHMARK), *sizes, "--profile"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "entries/s; the goal is 20,000" in done.stdout
    assert "core.py" in done.stdout and "codec.py" in done.stdout
