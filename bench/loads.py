"""Loads on a member, made by processes of their own, and what they measured."""

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

from systems import BenchError

STEADY = Path(__file__).with_name("steady.py")
LUA = Path(__file__).with_name("overwrite.lua")
CONNECTIONS = 64
LOAD_SECONDS = 900
WATCH_SECONDS = 0.005
QUIET_SECONDS = 2.0


class Samples(NamedTuple):
    """Puts: when each was due (monotonic seconds) and how many milliseconds later it was answered.

    ``failed``: puts without an answer 200. ``behind``: by how many seconds the load itself was late at most.
    """

    puts: list[tuple[float, float]]
    failed: int
    behind: float

    def __bool__(self) -> bool:
        return bool(self.puts)

    @property
    def begin(self) -> float:
        """When the first put was due."""
        return min(due for due, _ in self.puts)

    def where(self, chosen: Callable[[float], bool]) -> "Samples":
        """Return the puts whose due moment is chosen."""
        return self._replace(puts=[put for put in self.puts if chosen(put[0])])

    def quantile(self, share: float) -> float:
        """Milliseconds within which this share of the puts was answered."""
        if not self.puts:
            raise BenchError("no put was measured")
        ordered = sorted(latency for _, latency in self.puts)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def worst(self) -> float:
        """Milliseconds of the put that waited longest."""
        return max(latency for _, latency in self.puts)


def load_keys(url: str, first: int, keys: int) -> float:
    """Write the keys from number ``first`` up to ``keys``; return the seconds it took."""
    command = [sys.executable, str(STEADY), url, "--load", "--first", str(first), "--keys", str(keys)]
    with tempfile.NamedTemporaryFile() as out:
        command += ["--out", out.name]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LOAD_SECONDS, check=False)
        if done.returncode:
            raise BenchError(f"the load failed: {done.stderr.strip() or done.returncode}")
        seconds: float = json.load(out)["seconds"]
        return seconds


def steady_puts(url: str, keys: int, rate: float, seconds: float) -> Samples:
    """Put at ``rate`` for ``seconds``. Raises BenchError when a put failed."""
    with background_load(url, keys, rate, seconds) as load:
        samples = load.result()
    if samples.failed:
        raise BenchError(f"{samples.failed} puts failed")
    return samples


class BackgroundLoad:
    """A steady load under way."""

    def __init__(self, process: "subprocess.Popen[str]", out: Path) -> None:
        self._process = process
        self._out = out

    def stop(self) -> Samples:
        """End the load and return what it measured."""
        self._process.send_signal(signal.SIGTERM)
        return self.result()

    def result(self) -> Samples:
        """Wait for the end."""
        _, errors = self._process.communicate()
        if self._process.returncode:
            raise BenchError(f"the load failed: {errors.strip() or self._process.returncode}")
        fields: dict[str, Any] = json.loads(self._out.read_text(encoding="utf-8"))
        puts = [(due, seconds * 1000) for due, seconds in fields["samples"]]
        return Samples(puts, fields["failed"], fields["behind"])


@contextmanager
def background_load(
    url: str, keys: int, rate: float, seconds: float = 0, *, stamp: bool = False
) -> Iterator[BackgroundLoad]:
    """Keep putting at ``rate``, for ``seconds`` or until ``stop``; ended with the block.

    ``stamp``: values begin with the time of their put, see ``steady.py``.
    """
    command = [sys.executable, str(STEADY), url, "--keys", str(keys), "--rate", str(rate)]
    command += ["--seconds", str(seconds), "--connections", str(CONNECTIONS)]
    command += ["--stamp"] * stamp
    with tempfile.NamedTemporaryFile() as out:
        command += ["--out", out.name]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield BackgroundLoad(process, Path(out.name))
            finally:
                process.kill()


def fast_puts(url: str, keys: int, seconds: int, seed: int) -> float:
    """Put on existing keys as fast as 64 connections are answered; return puts a second."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(LUA), f"{url}/v3/kv/put", "--"]
    done = subprocess.run([*command, str(keys), str(seed)], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode or not lines or not lines[-1].startswith("{"):
        raise BenchError(f"wrk failed (exit code {done.returncode}):\n{done.stdout}{done.stderr}")
    result: dict[str, int] = json.loads(lines[-1])
    if result["failed"] or result["refused"]:
        raise BenchError(f"puts failed: {result}")
    return result["requests"] / result["microseconds"] * 1e6


class Window(NamedTuple):
    """A snapshot, seen from outside: monotonic seconds."""

    begin: float
    end: float


class SnapshotWatch:
    """Notes when the members' snapshots are written, by looking for unfinished files in their folders."""

    def __init__(self, data_folders: Sequence[Path]) -> None:
        self.windows: list[Window] = []
        self._folders = [folder / "member" / "snap" for folder in data_folders]
        self._begun: dict[Path, float] = {}
        self._quiet_since = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="snapshot-watch")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        now = time.monotonic()
        self.windows += [Window(begin, now) for begin in self._begun.values()]

    def wait_quiet(self) -> None:
        """Return when no member has written a snapshot for two seconds."""
        while time.monotonic() - self._quiet_since < QUIET_SECONDS:
            time.sleep(0.1)

    def _run(self) -> None:
        while not self._ended.wait(WATCH_SECONDS):
            now = time.monotonic()
            there = {path for folder in self._folders if folder.is_dir() for path in folder.glob("*.draft")}
            for path in there - self._begun.keys():
                self._begun[path] = now
            for path in self._begun.keys() - there:
                self.windows.append(Window(self._begun.pop(path), now))
            if there:
                self._quiet_since = now
