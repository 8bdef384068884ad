"""Three real members on this machine, killed and started by the test that owns them."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp

from raftkv.local import free_ports

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"
START_SECONDS = 60.0
MIB = 1 << 20


class Member:
    """One member: its folder, its ports, its process."""

    def __init__(self, name: str, folder: Path, client: int, peer: int) -> None:
        self.name = name
        self.folder = folder
        self.url = f"http://{HOST}:{client}"
        self.peer_url = f"http://{HOST}:{peer}"
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def snapshots(self) -> Path:
        return self.data / "member" / "snap"

    @property
    def segments(self) -> Path:
        return self.data / "member" / "wal"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        return "\n".join([f"{self.name}, the end of its log:", *lines])

    def events(self, name: str) -> int:
        """How often an event was logged."""
        return self.log.read_text(encoding="utf-8", errors="replace").count(f'"event": "{name}"')


class Processes:
    """A cluster whose members end with it; sizes of its logs as ``tests.e2e.member`` takes them."""

    def __init__(
        self, folder: Path, flags: Iterable[str], segment_bytes: int, tail_entries: int, size: int = 3
    ) -> None:
        ports = free_ports(2 * size)
        self.folder = folder
        self.members = [
            Member(f"n{n + 1}", folder / f"n{n + 1}", ports[2 * n], ports[2 * n + 1]) for n in range(size)
        ]
        self._flags = [*flags, "--log-format", "json"]
        self._small = (str(segment_bytes), str(tail_entries))

    def start(self, member: Member) -> None:
        """Start a member; it is not yet ready."""
        assert not member.runs
        member.folder.mkdir(parents=True, exist_ok=True)
        with member.log.open("ab") as log:
            member.process = subprocess.Popen(
                self.command(member),
                cwd=self.folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        member.starts += 1

    def command(self, member: Member) -> list[str]:
        return [
            *(sys.executable, "-m", "tests.e2e.member", *self._small, "serve"),
            *("--name", member.name),
            *("--data-dir", str(member.data)),
            *("--listen-client-urls", member.url),
            *("--advertise-client-urls", member.url),
            *("--listen-peer-urls", member.peer_url),
            *("--initial-advertise-peer-urls", member.peer_url),
            *("--initial-cluster", ",".join(f"{m.name}={m.peer_url}" for m in self.members)),
            *self._flags,
        ]

    def kill(self, members: Iterable[Member]) -> None:
        """SIGKILL to all of them at once; a member that had ended by itself is a failure."""
        chosen = list(members)
        for member in chosen:
            self.check_runs(member)
            assert member.process is not None
            member.process.kill()
        for member in chosen:
            assert member.process is not None
            member.process.wait()

    def check_runs(self, member: Member) -> None:
        """Raise AssertionError when the process is gone although nobody killed it."""
        assert member.process is not None
        assert member.runs, f"ended by itself with {member.process.poll()}; {member.last_words()}"

    def end(self) -> None:
        """Kill whatever runs."""
        for member in self.members:
            if member.process is not None:
                member.process.kill()
                member.process.wait()

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAFTKV_")}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def now() -> float:
    return time.monotonic()


async def post(
    session: aiohttp.ClientSession, member: Member, path: str, body: dict[str, Any]
) -> tuple[int, dict[str, Any]]:
    """Send a request to a member; return status and answer. Raises aiohttp.ClientError, TimeoutError."""
    async with session.post(member.url + path, json=body) as reply:
        return reply.status, await reply.json(content_type=None)
