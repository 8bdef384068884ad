"""``raftkv chaos`` as it is called: real processes, real faults, and the folder that is left."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from raftkv.cli.main import main

GROUPS = "kill,partition"


def chaos(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "raftkv", "chaos", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


def run_json(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return found


@pytest.mark.e2e
@pytest.mark.parametrize("system", ["raftkv", "etcd"])
def test_a_short_run_finds_nothing_and_can_be_checked_again(system: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = chaos(
        *("run", "--system", system, "--workload", "kv", "--faults", GROUPS, "--time", "8s", "--seed", "7"),
        *("--out", str(out), "--junit", str(tmp_path / "junit.xml"), "--json"),
    )
    said = json.loads(done.stdout)
    # how much happens in eight seconds is the machine's affair; a violation or an error never is
    assert said["verdict"] in ("passed", "weak"), done.stdout + done.stderr
    assert done.returncode == {"passed": 0, "weak": 7}[said["verdict"]]
    found = run_json(out)
    assert [one["verdict"] for one in found["findings"]] == ["valid"] * len(found["findings"])
    assert found["system"] == system
    assert found["figures"]["acknowledged"] > 0
    assert any(fault["effects"] for fault in found["faults_done"])
    names = {path.name for path in out.iterdir()}
    assert names >= {"operations.jsonl", "nodes.jsonl", "changes.jsonl", "report.html", "report.json", "logs"}
    assert {path.name for path in (out / "logs").iterdir()} >= {"n1.log", "n2.log", "n3.log"}
    assert (tmp_path / "junit.xml").read_bytes() == (out / "junit.xml").read_bytes()
    assert "led by" in done.stderr
    assert main(["chaos", "check", str(out)]) == done.returncode
    assert main(["history", "check", "--model", "mvcc-kv", str(out / "history-mvcc-kv.jsonl")]) == 0


@pytest.mark.e2e
def test_a_run_that_is_ended_tidies_up_and_leaves_its_folder(tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = ["run", "--workload", "register", "--faults", "none", "--time", "600s", "--out", str(out)]
    program = [sys.executable, "-m", "raftkv", "chaos", *command]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if "ops/s" in line)
        children = children_of(process.pid)
        assert children
        process.send_signal(signal.SIGINT)
        process.stderr.read()
        assert process.wait(60) == 130
    assert run_json(out)["verdict"] == "error"
    assert (out / "operations.jsonl").read_text()
    assert (out / "report.html").exists()
    deadline = time.monotonic() + 30
    while any(is_there(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)  # another process reaps them
    assert not [pid for pid in children if is_there(pid)]


def children_of(pid: int) -> list[int]:
    """Pids of all processes below one."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                stat = (folder / "stat").read_text()
            except OSError:
                continue
            parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [child for child, parent in parents.items() if parent == pid]
    return [*found, *(below for child in found for below in children_of(child))]


def is_there(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_somebody_elses_cluster_is_tested_where_it_runs(
    urls: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    endpoints = ["--system", "external", "--endpoints", ",".join(urls)]
    choices = ["--workload", "register", "--faults", "client-links", "--time", "3s", "--clients", "6"]
    code = main(["chaos", "run", *endpoints, *choices, "--out", str(out), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["verdict"] in ("passed", "weak")
    assert code == {"passed": 0, "weak": 7}[said["verdict"]]
    assert said["figures"]["acknowledged"] > 0
    assert run_json(out)["nodes"] == len(urls)


@pytest.mark.e2e
def test_the_time_without_a_leader_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chaos", "failover", "--runs", "1", "--systems", "raftkv", "--json"]) == 0
    [measured] = json.loads(capsys.readouterr().out)
    assert measured["system"] == "raftkv"
    assert measured["median"] == measured["worst"] == measured["seconds"][0] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workload", "nothing"], "there is no workload"),
        (["--faults", "rain"], "there are no faults"),
        (["--endpoints", "http://127.0.0.1:1"], "go together"),
        (["--system", "external"], "go together"),
        (["--time", "soon"], "--time"),
    ],
)
def test_what_can_t_be_run_is_refused_before_anything_starts(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chaos", "run", "--out", str(tmp_path / "run"), *words]) in (1, 2)
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_folder_in_which_something_is_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").touch()
    assert main(["chaos", "run", "--out", str(tmp_path)]) == 2
    assert "choose a new folder" in capsys.readouterr().err
