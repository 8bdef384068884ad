"""How many puts a second a fresh cluster of three takes, and how long one put takes.

    .venv/bin/python bench/put.py [--seconds N] [--json]
    .venv/bin/python bench/put.py --idle [--json]

The cluster runs on free ports of this machine, in a folder below ``--folder``, whose disk is the one that is
measured; both are gone at the end, whatever ends the run. wrk makes the load. The figures mean something only
for writes that are on disk, so the run fails unless the members' own counters show one fsync for each batch
of their logs, and every committed entry durable on two of the three. A plain fsync loop on the same disk,
before the cluster starts, says what that disk can do.

Exit codes: 0 measured, also where a figure misses its goal; 1 the writes were not as safe as claimed, or a
request failed; 2 wrk is missing, or the folder can't be used.
"""

import argparse
import fcntl
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from raftkv.client import SyncClient
from raftkv.errors import RaftKvError
from raftkv.local import LocalCluster, free_ports

MEMBERS = 3
MAJORITY = 2
CONNECTIONS = 64
VALUE_BYTES = 256
WARM_UP_SECONDS = 1
SETTLE_SECONDS = 3
IDLE_SECONDS = 10
LOOP_WRITES = 1000
LOOP_FILE_BYTES = 8 << 20
LUA = Path(__file__).with_name("put.lua")

PUTS_GOAL = 3000.0
LATENCY_GOAL_MS = 2.0
IDLE_CPU_GOAL = 3.0
IDLE_RSS_GOAL_MB = 60.0


class BenchError(Exception):
    """The run says nothing about speed, for the reason given."""


class Load(NamedTuple):
    """What wrk measured. Latencies in milliseconds; ``acknowledged`` puts took ``seconds``."""

    name: str
    connections: int
    acknowledged: int
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Puts a second."""
        return self.acknowledged / self.seconds


class DiskLoop(NamedTuple):
    """A plain loop of small writes, each synced: syncs a second, and the median in milliseconds."""

    rate: float
    p50: float


class MemberUse(NamedTuple):
    """An idle member: its share of one core in per cent, and its resident memory in MB (10^6 bytes)."""

    name: str
    cpu: float
    rss: float


# ---------------------------------------------------------------- the cluster


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=".raftkv-bench-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def fresh_cluster(folder: Path) -> Iterator[LocalCluster]:
    cluster = LocalCluster.open_or_create(folder / "cluster", MEMBERS, free_ports(2 * MEMBERS))
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()


def urls(cluster: LocalCluster) -> list[str]:
    """Client URLs of all members, the leader's first."""
    view = cluster.wait_healthy()
    return [m.client_url for m in sorted(view.members, key=lambda m: m.name != view.leader)]


# ---------------------------------------------------------------- load


def put_load(name: str, endpoints: Sequence[str], connections: int, seconds: int, tag: str) -> Load:
    """Run one wrk for each endpoint, all at once, with the connections divided between them."""
    each, more = divmod(connections, len(endpoints))
    shares = [each + (place < more) for place in range(len(endpoints))]
    with ExitStack() as stack:
        runs = [
            stack.enter_context(running_wrk(url, share, seconds, f"{tag}{number:x}"))
            for number, (url, share) in enumerate(zip(endpoints, shares, strict=True))
        ]
        results = [wrk_result(run) for run in runs]
    failed = sum(result["failed"] + result["refused"] for result in results)
    if failed:
        raise BenchError(f"{name}: {failed} puts failed: {results}")
    return Load(
        name,
        connections,
        sum(result["requests"] for result in results),
        max(result["microseconds"] for result in results) / 1e6,
        # Of several processes the slowest: percentiles can't be added up.
        max(result["p50"] for result in results) / 1000,
        max(result["p99"] for result in results) / 1000,
    )


@contextmanager
def running_wrk(url: str, connections: int, seconds: int, tag: str) -> Iterator["subprocess.Popen[str]"]:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(LUA)]
    with subprocess.Popen(
        [*command, f"{url}/v3/kv/put", "--", tag], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wrk_result(process: "subprocess.Popen[str]") -> dict[str, int]:
    output, _ = process.communicate()
    lines = output.splitlines()
    if process.returncode or not lines or not lines[-1].startswith("{"):
        raise BenchError(f"wrk failed (exit code {process.returncode}):\n{output}")
    result: dict[str, int] = json.loads(lines[-1])
    return result


def fsync_loop(folder: Path) -> DiskLoop:
    """Write as a log does (in place, into a file that has its size) and sync after each write."""
    data = os.urandom(512)
    times: list[float] = []
    with (folder / "loop").open("wb", buffering=0) as file:
        file.write(bytes(LOOP_FILE_BYTES))
        os.fsync(file.fileno())
        for number in range(LOOP_WRITES):
            begin = time.perf_counter()
            os.pwrite(file.fileno(), data, number * len(data))
            sync(file.fileno())
            times.append(time.perf_counter() - begin)
    return DiskLoop(len(times) / sum(times), statistics.median(times) * 1000)


def sync(descriptor: int) -> None:
    """Make written bytes durable, with the same system call as a member's log."""
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(descriptor)


# ---------------------------------------------------------------- proof


def counters(endpoints: Sequence[str]) -> list[dict[str, Any]]:
    return [SyncClient([url]).get_json("/raftkv/v1/counters") for url in endpoints]


def check_durable(
    before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]], acknowledged: int
) -> None:
    """Raise BenchError unless the members' counters show every acknowledged put on a majority of disks."""
    for start, end in zip(before, after, strict=True):
        if end["fsyncs"] != end["batches"]:
            raise BenchError(f"{end['batches']} batches were written with {end['fsyncs']} fsyncs")
        if end["batches"] <= start["batches"]:
            raise BenchError("a member wrote nothing to its log")
    committed = max(end["commit_index"] for end in after)
    new = committed - max(start["commit_index"] for start in before)
    if new < acknowledged:
        raise BenchError(f"{acknowledged} puts were acknowledged, but only {new} entries committed")
    holders = sum(end["durable_index"] >= committed for end in after)
    if holders < MAJORITY:
        raise BenchError(f"entry {committed} is committed, but durable on {holders} of {len(after)} members")


def check_kept(url: str, acknowledged: int) -> None:
    """Raise BenchError when the store holds fewer keys than puts were acknowledged; each had its own."""
    everything = {"key": "AA==", "range_end": "AA==", "count_only": True}
    count = int(SyncClient([url]).post_json("/v3/kv/range", everything).get("count", 0))
    if count < acknowledged:
        raise BenchError(f"{acknowledged} puts were acknowledged, but the store holds {count} keys")


# ---------------------------------------------------------------- the two measurements


def measure_puts(folder: Path, seconds: int) -> dict[str, Any]:
    disk = fsync_loop(folder)
    with fresh_cluster(folder) as cluster:
        endpoints = urls(cluster)
        leader = endpoints[:1]
        before = counters(endpoints)
        warm_up = put_load("warm-up", leader, CONNECTIONS, WARM_UP_SECONDS, "AAA")
        loads = [
            put_load("all to the leader", leader, CONNECTIONS, seconds, "AAB"),
            put_load("spread over the members", endpoints, CONNECTIONS, seconds, "AAC"),
            put_load("one client, to the leader", leader, 1, seconds, "AAD"),
        ]
        cluster.wait_healthy()
        after = counters(endpoints)
        acknowledged = sum(load.acknowledged for load in (warm_up, *loads))
        check_durable(before, after, acknowledged)
        check_kept(endpoints[0], acknowledged)
    return {
        "cores": os.cpu_count(),
        "value_bytes": VALUE_BYTES,
        "fsync_loop": {"per_second": disk.rate, "p50_ms": disk.p50},
        "loads": [{**load._asdict(), "puts_per_second": load.rate} for load in loads],
        "acknowledged": acknowledged,
        "members": [
            {name: end[name] for name in ("fsyncs", "batches", "entries", "durable_index", "commit_index")}
            for end in after
        ],
        "goals": [
            goal("puts/s, all to the leader", loads[0].rate, PUTS_GOAL, at_least=True),
            goal("median ms, one client", loads[2].p50, LATENCY_GOAL_MS, at_least=False),
        ],
    }


def measure_idle(folder: Path) -> dict[str, Any]:
    if not Path("/proc/self/stat").exists():
        raise BenchError("--idle reads /proc, which this system does not have")
    with fresh_cluster(folder) as cluster:
        cluster.wait_healthy()
        time.sleep(SETTLE_SECONDS)
        processes = [(member.name, member.pid) for member in cluster.processes() if member.pid is not None]
        begin, used = time.perf_counter(), {name: cpu_seconds(pid) for name, pid in processes}
        time.sleep(IDLE_SECONDS)
        passed = time.perf_counter() - begin
        uses = [
            MemberUse(name, 100 * (cpu_seconds(pid) - used[name]) / passed, rss_megabytes(pid))
            for name, pid in processes
        ]
        if len(cluster.processes()) != len(uses):
            raise BenchError("a member ended while it was idle")
    return {
        "seconds": passed,
        "members": [use._asdict() for use in uses],
        "goals": [
            goal("% of a core, the cluster", sum(use.cpu for use in uses), IDLE_CPU_GOAL, at_least=False),
            goal("MB, the largest member", max(use.rss for use in uses), IDLE_RSS_GOAL_MB, at_least=False),
        ],
    }


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_megabytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def goal(what: str, value: float, limit: float, *, at_least: bool) -> dict[str, Any]:
    met = value >= limit if at_least else value < limit
    return {"what": what, "value": value, "limit": limit, "at_least": at_least, "met": met}


# ---------------------------------------------------------------- output


def print_puts(result: dict[str, Any]) -> None:
    print(f"3 members, {result['cores']} cores, values of {result['value_bytes']} bytes\n")
    print(f"{'load':28}{'connections':>12}{'puts/s':>10}{'p50 ms':>10}{'p99 ms':>10}")
    for load in result["loads"]:
        figures = f"{load['puts_per_second']:>10.0f}{load['p50']:>10.2f}{load['p99']:>10.2f}"
        print(f"{load['name']:28}{load['connections']:>12}{figures}")
    loop = result["fsync_loop"]
    print(
        f"{'fsync loop, no cluster':28}{'-':>12}{loop['per_second']:>10.0f}{loop['p50_ms']:>10.2f}{'-':>10}\n"
    )
    for number, member in enumerate(result["members"]):
        role = "leader" if number == 0 else "follower"
        print(
            f"{role:10}{member['entries']} entries in {member['batches']} batches, "
            f"{member['fsyncs']} fsyncs; "
            f"durable up to {member['durable_index']}, committed up to {member['commit_index']}"
        )
    print(f"every one of {result['acknowledged']} acknowledged puts is fsynced on a majority\n")


def print_idle(result: dict[str, Any]) -> None:
    print(f"idle for {result['seconds']:.0f} s\n\n{'member':10}{'% of a core':>12}{'MB':>8}")
    for member in result["members"]:
        print(f"{member['name']:10}{member['cpu']:>12.2f}{member['rss']:>8.1f}")
    print()


def print_goals(goals: Sequence[dict[str, Any]]) -> None:
    for entry in goals:
        limit = f"{'at least' if entry['at_least'] else 'below'} {entry['limit']:g}"
        print(f"{entry['what']}: {entry['value']:.2f}, goal {limit}: {'met' if entry['met'] else 'MISSED'}")


def parse_arguments() -> argparse.Namespace:
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=summary, allow_abbrev=False)
    parser.add_argument(
        "--seconds", type=int, default=10, metavar="N", help="time of each load (default: 10)"
    )
    parser.add_argument("--idle", action="store_true", help="measure an idle cluster instead")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path.cwd(),
        metavar="DIR",
        help="where the cluster's folder is made, on the disk to measure (default: the current folder)",
    )
    arguments = parser.parse_args()
    if arguments.seconds < 1:
        parser.error("--seconds has to be at least 1")
    if not arguments.folder.is_dir():
        parser.error(f"--folder {arguments.folder}: there is no such folder")
    if not arguments.idle and shutil.which("wrk") is None:
        parser.error("wrk, which makes the load, is missing; on Debian and Ubuntu: apt install wrk")
    return arguments


def interrupt(number: int, frame: object) -> None:
    """Unwind, so that the cluster ends with the run; a second signal does not disturb that."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    arguments = parse_arguments()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        with temporary_folder(arguments.folder) as folder:
            result = measure_idle(folder) if arguments.idle else measure_puts(folder, arguments.seconds)
    except (BenchError, RaftKvError) as error:
        print(f"put.py: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"put.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("put.py: interrupted; the cluster is ended and its folder removed", file=sys.stderr)
        return 130
    if arguments.json:
        print(json.dumps(result, indent=2))
        return 0
    (print_idle if arguments.idle else print_puts)(result)
    print_goals(result["goals"])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
