"""The benchmark of reading a log still runs: on a small one, its figures not looked at."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_benchmark_reads_every_entry_it_wrote() -> None:
    program = [sys.executable, str(ROOT / "bench" / "wal_replay.py"), "--json"]
    options = ["--entries", "500", "--batches", "1", "16", "--runs", "1"]
    done = subprocess.run(
        program + options, capture_output=True, check=True, env={"PYTHONPATH": str(ROOT)}, timeout=60
    )
    rows = json.loads(done.stdout)
    assert [row["batch"] for row in rows] == [1, 16]
    assert all(row["entries_per_second"] > 0 for row in rows)
