"""Whatever happens to the harness, nothing that it started is left."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from raftkv.chaos.errors import ChaosError
from raftkv.chaos.guard import Guard
from raftkv.local.processes import Process, wait_until
from tests.chaos.harness import WAITING
from tests.cli.command import environment

SECONDS = 60


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_all_is_gone_after_the_harness_was_ended(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chaos.harness", str(tmp_path / "log")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment()
    ) as harness:
        assert harness.stdout is not None
        said = json.loads(harness.stdout.readline())
        started, folder = [Process(pid, began, ()) for pid, began, _ in said["started"]], Path(said["folder"])
        assert [process.is_alive() for process in started] == [True] * 3
        assert wait_until(started[1].is_stopped, SECONDS)
        assert folder.exists()
        harness.send_signal(number)
        harness.wait(SECONDS)
    assert wait_until(lambda: not any(process.is_alive() for process in started), SECONDS)
    assert wait_until(lambda: not folder.exists(), SECONDS)


async def test_closing_ends_all_and_may_be_repeated(tmp_path: Path) -> None:
    guard = await Guard.open()
    process = await guard.start([sys.executable, "-c", WAITING], tmp_path / "log", {})
    assert process.is_alive()
    for _ in range(2):
        await guard.close()
    assert not process.is_alive()
    assert not guard.folder.exists()


async def test_a_program_that_is_not_there_is_an_error_and_others_can_be_started(tmp_path: Path) -> None:
    guard = await Guard.open()
    try:
        with pytest.raises(ChaosError, match="no-such-program"):
            await guard.start(["/no-such-program"], tmp_path / "log", {})
        process = await guard.start([sys.executable, "-c", WAITING], tmp_path / "log", {})
        assert process.is_alive()
    finally:
        await guard.close()


async def test_closing_ends_all_also_when_the_guardian_was_killed(tmp_path: Path) -> None:
    guard = await Guard.open()
    process = await guard.start([sys.executable, "-c", WAITING], tmp_path / "log", {})
    os.kill(guard.pid, signal.SIGKILL)
    with pytest.raises(ChaosError, match=f"the guardian of the run's processes ended .pid {guard.pid}."):
        await guard.start([sys.executable, "-c", WAITING], tmp_path / "log", {})
    await guard.close()
    assert not process.is_alive()
    assert not guard.folder.exists()
