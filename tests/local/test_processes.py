"""A process is told from every other one, also from a later one with its pid."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from raftkv.local import processes
from raftkv.local.processes import Process, wait_until

WAITING = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
SECONDS = 20


@pytest.fixture
def process(tmp_path: Path) -> "processes.Process":
    """A process that says "up" and waits; ended by every test that uses it."""
    return processes.start(WAITING, tmp_path / "log", {})


def wait_for_log(log: Path, text: str) -> None:
    assert wait_until(lambda: text in log.read_text(), SECONDS)


def test_output_goes_to_the_log_which_is_kept_and_private(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for text in ("first", "second"):
        code = f"import sys; print('{text}'); print('{text} error', file=sys.stderr)"
        process = processes.start([sys.executable, "-c", code], log, {})
        assert process.wait_gone(SECONDS)
    assert sorted(log.read_text().split("\n")) == ["", "first", "first error", "second", "second error"]
    assert log.stat().st_mode & 0o777 == 0o600


def test_it_has_its_own_session_and_inherits_no_open_file(tmp_path: Path) -> None:
    """A lock or a pipe of the calling script must not stay open for as long as a member lives."""
    log = tmp_path / "log"
    with (tmp_path / "lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        code = (
            "import os; print(os.getsid(0) == os.getpid()); "
            "found = [f'/proc/self/fd/{n}' for n in os.listdir('/proc/self/fd')]; "
            "print(*{os.readlink(path) for path in found if os.path.exists(path)}, sep='|')"
        )
        assert processes.start([sys.executable, "-c", code], log, {}).wait_gone(SECONDS)
    session, files = log.read_text().splitlines()
    assert session == "True"
    assert set(files.split("|")) == {os.devnull, str(log)}


def test_a_process_is_alive_until_it_has_ended(process: Process, tmp_path: Path) -> None:
    wait_for_log(tmp_path / "log", "up")
    assert process.is_alive()
    assert not process.wait_gone(0.05)
    uptime = process.uptime()
    assert uptime is not None
    assert 0 <= uptime < 60
    assert process.send(signal.SIGKILL)
    assert process.wait_gone(SECONDS)
    assert not process.send(signal.SIGKILL)


def test_the_same_pid_with_another_start_or_command_is_another_process(
    process: Process, tmp_path: Path
) -> None:
    wait_for_log(tmp_path / "log", "up")
    boot, _, ticks = process.started.partition(":")
    others = [
        process._replace(started=f"{boot}:{int(ticks) - 1}"),
        process._replace(started=f"another-boot:{ticks}"),
        process._replace(started=""),
        process._replace(command=(*process.command, "--more")),
    ]
    for other in others:
        assert not other.is_alive()
        assert not other.send(signal.SIGKILL)
    assert process.is_alive()
    process.send(signal.SIGKILL)
    assert process.wait_gone(SECONDS)


def test_without_handles_for_processes_it_still_signals_only_the_right_one(
    process: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_handle(pid: int) -> int:
        raise PermissionError(1, "filtered")

    wait_for_log(tmp_path / "log", "up")
    monkeypatch.setattr(os, "pidfd_open", no_handle)
    assert not process._replace(started="another").send(signal.SIGKILL)
    assert process.send(signal.SIGKILL)
    assert process.wait_gone(SECONDS)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    process = Process(4711, "boot:17", ("/bin/python", "-m", "raftkv"))
    processes.save(process, tmp_path / "process.json")
    assert processes.load(tmp_path / "process.json") == process
    assert [path.name for path in tmp_path.iterdir()] == ["process.json"]


@pytest.mark.parametrize(
    "fields",
    [
        {"pid": 1, "started": "x", "command": []},
        {"pid": -1, "started": "x", "command": []},
        {"pid": "4711", "started": "x", "command": []},
        {"pid": 4711, "started": None, "command": []},
        {"pid": 4711, "started": "x", "command": "sh"},
        {"pid": 4711},
        [4711],
        None,
    ],
)
def test_a_record_that_makes_no_sense_names_no_process(tmp_path: Path, fields: object) -> None:
    """A pid of 1, 0 or below would reach the system's first process or whole groups."""
    path = tmp_path / "process.json"
    assert processes.load(path) is None
    path.write_text(json.dumps(fields))
    assert processes.load(path) is None
    path.write_text("{")
    assert processes.load(path) is None


def test_a_command_line_is_readable_and_absent_for_a_pid_that_is_gone(tmp_path: Path) -> None:
    process = processes.start([sys.executable, "-c", "pass"], tmp_path / "log", {})
    assert process.wait_gone(SECONDS)
    assert processes.command_line(process.pid) is None
    own = processes.command_line(os.getpid())
    assert own is not None
    assert "python" in own or "pytest" in own


def test_waiting_ends_with_the_condition_or_with_the_time() -> None:
    answers = iter([False, False, True])
    assert wait_until(lambda: next(answers), 60, 0.001)
    assert not wait_until(lambda: False, 0.01, 0.001)
