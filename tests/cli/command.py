"""Runs the real command in a folder of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from raftkv.local.processes import wait_until

ROOT = Path(__file__).parent.parent.parent
SECONDS = 40
"""Longest wait for anything here."""


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without a developer's settings, and with ``variables``."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("RAFTKV_", "PYTHONOPT"))
    }
    return {**kept, "PYTHONPATH": str(ROOT), **variables}


class Started(NamedTuple):
    """A command under way, and the file of its stdout and stderr."""

    process: "subprocess.Popen[bytes]"
    output: Path

    def wait_for(self, text: str) -> None:
        """Wait until ``text`` was printed."""
        assert wait_until(lambda: text in self.text(), SECONDS), f"no {text!r} in: {self.text()}"

    def text(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def signal(self, number: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


class Command:
    """``raftkv`` as a user calls it in ``folder``; its cluster lives in ``folder/.raftkv``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / ".raftkv"

    def __call__(
        self, *words: str, stdin: str | None = None, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "raftkv", *words],
            cwd=self.folder,
            env=environment(**variables),
            input="" if stdin is None else stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    @contextmanager
    def started(self, *words: str, **variables: str) -> Iterator["Started"]:
        """Start the command without waiting for its end; it is ended with the block."""
        with (self.folder / "output").open("w", encoding="utf-8") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "raftkv", *words],
                cwd=self.folder,
                env=environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        with process:
            try:
                yield Started(process, self.folder / "output")
            finally:
                process.kill()

    def json(self, *words: str) -> Any:
        """Run a verb with ``--json`` and return what it printed."""
        return json.loads(self(*words, "--json").stdout)

    def pids(self) -> dict[str, int | None]:
        """The pid of each member, None when it does not run."""
        return {member["name"]: member["pid"] for member in self.json("ps")}

    def end(self) -> None:
        """Stop whatever a test left running."""
        if (self.root / "raftkv-cluster.json").exists():
            self("down")


def ports_text(ports: list[int]) -> str:
    return ",".join(map(str, ports))
