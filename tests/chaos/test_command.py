"""``raftkv chaos`` as it is called: real processes, real faults, and the folder that is left."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from raftkv.chaos import programs
from raftkv.cli.main import main
from raftkv.local import free_ports

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
@pytest.mark.parametrize(
    ("phase", "number"), [("start", signal.SIGTERM), ("run", signal.SIGINT), ("heal", signal.SIGTERM)]
)
def test_a_run_that_is_ended_tidies_up_and_leaves_its_folder(
    phase: str, number: signal.Signals, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    seconds = "2s" if phase == "heal" else "600s"
    command = ["run", "--workload", "lease", "--faults", "none", "--time", seconds, "--out", str(out)]
    program = [sys.executable, "-m", "raftkv", "chaos", *command]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        if phase != "start":
            wanted = "run:" if phase == "run" else "last words:"
            next(line for line in process.stderr if wanted in line)
        while len(children := children_of(process.pid)) < 2 and process.poll() is None:
            time.sleep(0.01)
        assert children
        process.send_signal(number)
        process.stderr.read()
        assert process.wait(60) == 130
    assert run_json(out)["verdict"] == "error"
    assert bool((out / "operations.jsonl").read_text()) == (phase != "start")
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
        (["--system", "external", "--endpoints", "nonsense"], "endpoint 'nonsense'"),
        (["--system", "etcd", "--faults", "kill,torn"], "etcd can't have faults of the group torn"),
        (["--time", "soon"], "--time"),
        (["--time", "0"], "--time"),
        (["--junit", "/nowhere/junit.xml"], "no such folder"),
    ],
)
def test_what_can_t_be_run_is_refused_before_anything_starts(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chaos", "run", "--out", str(tmp_path / "run"), *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_many_runs_with_a_wrong_word_among_them_do_not_begin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chaos", "matrix", "--out", str(tmp_path / "runs"), "--faults", "kill,rain"]) == 2
    assert "there are no faults 'rain'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "choose a new folder"),
        ("mine", "File exists"),
        ("mine/run", "Not a directory"),
        ("mine/a/b", "Not a directory"),
    ],
)
@pytest.mark.parametrize("action", ["run", "matrix"])
def test_what_can_t_be_a_new_folder_is_refused(
    action: str, name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").touch()
    assert main(["chaos", action, "--out", str(tmp_path / name)]) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_where_nothing_can_be_written_nothing_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # whoever is root may write anywhere
    assert main(["chaos", "run", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"raftkv: --out {tmp_path}: nothing can be written there\n"


ENDS = """#!/bin/sh
[ "$1" = --version ] && echo "etcd Version: 3.9.9" && exit
echo "no room on this ship"
exit 3
"""


def test_a_system_that_does_not_start_is_an_error_and_leaves_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    binary, out = tmp_path / "bin" / "etcd", tmp_path / "run"
    binary.parent.mkdir()
    binary.write_text(ENDS)
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", str(binary.parent), prepend=os.pathsep)
    before = set(children_of(os.getpid()))
    assert main(["chaos", "run", "--system", "etcd", "--time", "2s", "--out", str(out)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "error: mixed on etcd, seed 0; nothing was done"
    assert said[1] == "  it broke off: n1 ended while it started"
    assert not any("weak" in line for line in said)
    assert "no room on this ship" in (out / "logs" / "n1.log").read_text()
    assert run_json(out)["verdict"] == "error"
    assert set(children_of(os.getpid())) == before


def test_a_system_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "find_spec", lambda name: None)
    assert main(["chaos", "run", "--system", "etcd", "--out", str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err.startswith("raftkv: there is no etcd on PATH; install one, or ")
    assert list(tmp_path.iterdir()) == []


def test_endpoints_at_which_nobody_answers_are_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    urls = [f"http://127.0.0.1:{port}" for port in free_ports(2)]
    where = ["--system", "external", "--endpoints", ",".join(urls)]
    assert main(["chaos", "run", *where, "--out", str(out)]) == 1
    assert f"it broke off: none of {', '.join(urls)} answers" in capsys.readouterr().out
    assert run_json(out)["verdict"] == "error"
