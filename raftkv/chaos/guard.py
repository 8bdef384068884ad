"""The harness's side of the guardian."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from raftkv.chaos import guardian
from raftkv.chaos.errors import ChaosError
from raftkv.local import launch
from raftkv.local.processes import Process

_START_SECONDS = 60.0


class Guard:
    """A run's guardian process, ``pid``. ``folder``: a new one, gone with the guardian."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()
        self._started: list[Process] = []
        self.folder = Path()

    @classmethod
    async def open(cls) -> Self:
        """Start a guardian; raises ``ChaosError``."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            guardian.__name__,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            env=launch.environment(os.environ),
        )
        guard = cls(process)
        try:
            guard.folder = Path((await guard._answer())["folder"])
        except BaseException:
            await guard.close()
            raise
        return guard

    @property
    def pid(self) -> int:
        """Return the guardian's process id."""
        return self._process.pid

    async def start(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Process:
        """Start a process with its output appended to ``log``; raises ``ChaosError``."""
        order = {"command": list(command), "log": str(log), "environment": dict(environment)}
        answer = await asyncio.shield(self._ask(order))  # an answer left unread would be the next one's
        if "error" in answer:
            raise ChaosError(f"{command[0]}: {answer['error']}")
        self._started.append(Process(answer["pid"], answer["started"], tuple(answer["command"])))
        return self._started[-1]

    async def close(self) -> None:
        """End every process that was started and remove the folder; may be called repeatedly."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        guardian.end_all(self._started)  # nothing is left to do, unless somebody killed the guardian
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)

    async def _ask(self, order: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        async with self._turn:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            return await self._answer()

    async def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), _START_SECONDS)
        if not line:
            raise ChaosError(f"the guardian of the run's processes ended (pid {self._process.pid})")
        return json.loads(line)
