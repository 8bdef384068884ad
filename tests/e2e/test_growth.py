"""The benchmark of growth runs at sizes that say nothing, and its figures are what they say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.processes import environment

GROWTH = Path(__file__).parents[2] / "bench" / "growth.py"
KEYS = 300


@pytest.mark.e2e
def test_the_benchmark_measures_both_systems_and_leaves_nothing_behind(tmp_path: Path) -> None:
    figures, folder = tmp_path / "figures.json", tmp_path / "disk"
    folder.mkdir()
    sizes = ["--quick", "--keys", str(KEYS), "--parts", "restart,join", "--folder", str(folder)]
    done = subprocess.run(
        [sys.executable, str(GROWTH), *sizes, "--json", str(figures)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(figures.read_text(encoding="utf-8"))
    for system in ("raftkv", "etcd"):
        assert 0 < result["restart"][system]["restart_seconds"] < 60
        assert 1 < result["restart"][system]["restarted_mb"] < 1000
    assert result["join"]["failed"] == 0
    assert f"{KEYS:,} keys of 256 bytes" in done.stdout
    assert "seconds until an empty follower has caught up: " in done.stdout
    assert list(folder.iterdir()) == []
