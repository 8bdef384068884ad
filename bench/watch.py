"""How fast changes reach many watchers, beside a real etcd, and what a watcher that sees nothing costs.

    .venv/bin/python bench/watch.py [--watchers N] [--rate R] [--seconds S] [--members M] [--rounds K]
    .venv/bin/python bench/watch.py --idle [--watchers N] [--json]

The first: K rounds in turn with raftkv and etcd, a fresh cluster each; N streams on one member watch all
keys over the JSON gateway, and another process puts at R a second on the same member. Reported are events
a second over all watchers, the lag of an event from the sending of its put to its reading (p50, p99), and
the ratios of the medians over the rounds. A round counts only if every watcher got exactly one event a put.

The second: the memory of one raftkv member before and with N idle watches, 100 on a stream, as clients that
share a stream make them, and then one on a stream, as plain HTTP clients do.
"""

import argparse
import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from loads import background_load, load_keys
from systems import BenchError, Member, System, running

WATCHERS = Path(__file__).with_name("watchers.py")
KEYS = 1000
IDLE_GOAL_BYTES = 10_000
IDLE_KINDS = {"100 on a stream": 100, "one on a stream": 1}
SETTLE_SECONDS = 3.0
SYSTEMS: tuple[System, ...] = ("raftkv", "etcd")


class Round(NamedTuple):
    """One round. Lags in milliseconds; ``events`` a second over all watchers."""

    system: str
    puts: int
    events_per_second: float
    p50: float
    p99: float
    put_p99: float


class Watching:
    """The process with all the watchers."""

    def __init__(self, process: "subprocess.Popen[str]", out: Path) -> None:
        self._process = process
        self._out = out

    def stop(self) -> dict[str, Any]:
        """End the process; return what it saw."""
        self._process.send_signal(signal.SIGTERM)
        _, errors = self._process.communicate(timeout=60)
        if self._process.returncode:
            raise BenchError(f"the watchers failed: {errors.strip()}")
        seen: dict[str, Any] = json.loads(self._out.read_text(encoding="utf-8"))
        return seen


@contextmanager
def watching(member: Member, watchers: int, folder: Path, each: int = 1) -> Iterator[Watching]:
    """Watch all keys from now on, with ``each`` watches on a stream; ended with the block."""
    out = folder / "watchers"
    command = [sys.executable, str(WATCHERS), member.url, "--watchers", str(watchers), "--each", str(each)]
    command += ["--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                _, errors = process.communicate()
                raise BenchError(f"the watchers failed: {errors.strip()}")
            yield Watching(process, out)
        finally:
            process.kill()


def fan_out(system: System, folder: Path, arguments: argparse.Namespace) -> Round:
    with running(system, folder / system, arguments.members) as cluster:
        member = cluster.leader()
        load_keys(member.url, 0, KEYS)
        with watching(member, arguments.watchers, folder) as watchers:
            with background_load(member.url, KEYS, arguments.rate, arguments.seconds, stamp=True) as load:
                puts = load.result()
            if puts.failed:
                raise BenchError(f"{system}: {puts.failed} puts failed")
            seen = watchers.stop()
    count = len(puts.puts)
    wrong = [events for events in seen["events"] if events != count]
    if wrong:
        raise BenchError(
            f"{system}: {len(wrong)} watchers got {min(wrong)} to {max(wrong)} events of {count}"
        )
    lags = sorted(seen["lags"])
    return Round(
        system,
        count,
        sum(seen["events"]) / (seen["last"] - seen["first"]),
        1000 * lags[len(lags) // 2],
        1000 * lags[int(0.99 * len(lags))],
        puts.quantile(0.99),
    )


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    rounds = [fan_out(system, folder, arguments) for _ in range(arguments.rounds) for system in SYSTEMS]
    medians = {
        system: {
            name: statistics.median(getattr(r, name) for r in rounds if r.system == system)
            for name in ("events_per_second", "p50", "p99", "put_p99")
        }
        for system in SYSTEMS
    }
    ratios = {name: medians["raftkv"][name] / medians["etcd"][name] for name in medians["raftkv"]}
    return {"rounds": [r._asdict() for r in rounds], "medians": medians, "ratios": ratios}


def measure_idle(folder: Path, watchers: int) -> dict[str, Any]:
    found = {name: idle_bytes(folder, watchers, each) for name, each in IDLE_KINDS.items()}
    return {
        "watchers": watchers,
        "bytes_each": found,
        "goal": IDLE_GOAL_BYTES,
        "met": {name: each <= IDLE_GOAL_BYTES for name, each in found.items()},
    }


def idle_bytes(folder: Path, watchers: int, each: int) -> float:
    """Return the memory that a member takes for each idle watch, with ``each`` of them on a stream."""
    with running("raftkv", folder / "idle", 1) as cluster:
        member = cluster.members[0]
        time.sleep(SETTLE_SECONDS)
        before = member.memory().anonymous
        with watching(member, watchers, folder, each):
            time.sleep(SETTLE_SECONDS)
            return (member.memory().anonymous - before) * 1e6 / watchers


def print_rounds(result: dict[str, Any], arguments: argparse.Namespace) -> None:
    print(f"{arguments.watchers} watchers, {arguments.rate:g} puts/s, {arguments.members} members\n")
    print(f"{'':10}{'puts':>8}{'events/s':>12}{'lag p50 ms':>12}{'lag p99 ms':>12}{'put p99 ms':>12}")
    for row in result["rounds"]:
        print(
            f"{row['system']:10}{row['puts']:>8}{row['events_per_second']:>12.0f}"
            f"{row['p50']:>12.2f}{row['p99']:>12.2f}{row['put_p99']:>12.2f}"
        )
    for name, ratio in result["ratios"].items():
        print(f"ratio of the medians, raftkv to etcd, {name}: {ratio:.2f}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--watchers", type=int, help="streams (default: 100; 10,000 with --idle)")
    parser.add_argument("--rate", type=float, default=1000.0, help="puts a second (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each round (default %(default)s)")
    parser.add_argument("--members", type=int, default=1, help="of each cluster (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of each system (default %(default)s)")
    parser.add_argument("--idle", action="store_true", help="measure the memory of idle watches instead")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if arguments.watchers is None:
        arguments.watchers = 10_000 if arguments.idle else 100
    return arguments


def main() -> int:
    arguments = parse_arguments()
    folder = Path(tempfile.mkdtemp(prefix=".raftkv-bench-", dir=Path.cwd()))
    try:
        result = measure_idle(folder, arguments.watchers) if arguments.idle else measure(folder, arguments)
    except BenchError as error:
        print(f"watch.py: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if arguments.json:
        print(json.dumps(result, indent=2))
    elif arguments.idle:
        for name, each in result["bytes_each"].items():
            verdict = "met" if result["met"][name] else "MISSED"
            goal = f"goal at most {result['goal']}: {verdict}"
            print(f"{result['watchers']} idle watches, {name}: {each:.0f} bytes each, {goal}")
    else:
        print_rounds(result, arguments)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
