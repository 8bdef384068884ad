"""What many leases cost: granted, kept alive, and ending all at once.

    .venv/bin/python bench/lease.py [--leases N] [--ending E] [--members M] [--json]

N leases are granted to a cluster of raftkv over the JSON gateway and each is kept alive once, with 64
connections. Then E leases with a key each are granted that end at the same moment, while another process
puts 100 times a second; reported are the longest step that held the leader's event loop meanwhile, by its
own count, the slowest put, and how long after their time the last key was gone.
"""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop
from loads import background_load, load_keys
from steady import Connection, request
from systems import BenchError, Member, running

CONNECTIONS = 64
LONG_TTL = 3600
SHORT_TTL = 20
FIRST_ENDING = 1 << 40
KEYS = 1000
PUT_RATE = 100.0
PREFIX = b"ending/"
STEP_GOAL_MS = 50.0
PATIENCE_SECONDS = 120.0


async def send_all(member: Member, path: str, bodies: Iterable[str]) -> float:
    """Send every request, some at a time; return the seconds it took. Raises BenchError."""
    parts = urlsplit(member.url)
    host, port = str(parts.hostname), int(parts.port or 0)
    waiting = iter(bodies)
    begin, loop = time.perf_counter(), asyncio.get_running_loop()

    async def worker() -> None:
        _, connection = await loop.create_connection(Connection, host, port)
        try:
            for body in waiting:
                if not await connection.send(request(f"{host}:{port}", path, body)):
                    raise BenchError(f"{path} {body} was not answered with 200")
        finally:
            connection.close()

    await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))
    return time.perf_counter() - begin


def timed(member: Member, path: str, bodies: Iterable[str]) -> float:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(send_all(member, path, bodies))


def grant(first: int, count: int, ttl: int) -> Iterable[str]:
    return (f'{{"ID":"{number}","TTL":"{ttl}"}}' for number in range(first, first + count))


def attach(first: int, count: int) -> Iterable[str]:
    for number in range(first, first + count):
        key = b64encode(PREFIX + b"%d" % number).decode()
        yield f'{{"key":"{key}","value":"QQ==","lease":"{number}"}}'


def keep(first: int, count: int) -> Iterable[str]:
    return (f'{{"ID":"{number}"}}' for number in range(first, first + count))


def keys_left(member: Member) -> int:
    end = PREFIX[:-1] + bytes([PREFIX[-1] + 1])
    body = {"key": b64encode(PREFIX).decode(), "range_end": b64encode(end).decode(), "count_only": True}
    return int(member.post("/v3/kv/range", body).get("count", 0))


def ending(member: Member, count: int) -> dict[str, Any]:
    """Let ``count`` leases end at once under a steady load; return what that cost."""
    timed(member, "/v3/lease/grant", grant(FIRST_ENDING, count, SHORT_TTL))
    timed(member, "/v3/kv/put", attach(FIRST_ENDING, count))
    timed(member, "/v3/lease/keepalive", keep(FIRST_ENDING, count))
    kept_at = time.monotonic()
    if keys_left(member) != count:
        raise BenchError("leases ended before the measurement began: grant fewer with --ending")
    before = member.counters()["steps"]
    with background_load(member.url, KEYS, PUT_RATE) as load:
        while keys_left(member):
            if time.monotonic() - kept_at > SHORT_TTL + PATIENCE_SECONDS:
                raise BenchError(f"{keys_left(member)} keys are there long after their leases' end")
            time.sleep(0.05)
        gone_at = time.monotonic()
        puts = load.stop()
    after = member.counters()
    steps = {bound: after["steps"][bound] - before[bound] for bound in before}
    return {
        "leases": count,
        "late_seconds": gone_at - kept_at - SHORT_TTL,
        "slowest_put_ms": puts.worst(),
        "failed_puts": puts.failed,
        "steps": steps,
        "longest_step": after["longest_step"],
    }


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    with running("raftkv", folder / "cluster", arguments.members) as cluster:
        member = cluster.leader()
        load_keys(member.url, 0, KEYS)
        empty = member.memory().anonymous
        granted = timed(member, "/v3/lease/grant", grant(1, arguments.leases, LONG_TTL))
        full = member.memory().anonymous
        kept = timed(member, "/v3/lease/keepalive", keep(1, arguments.leases))
        result = ending(member, arguments.ending)
        if cluster.leader() is not member:
            raise BenchError("the leader changed during the run")
    return {
        "members": arguments.members,
        "leases": arguments.leases,
        "grants_per_second": arguments.leases / granted,
        "keepalives_per_second": arguments.leases / kept,
        "bytes_each": (full - empty) * 1e6 / arguments.leases,
        "ending": result,
    }


def print_result(result: dict[str, Any]) -> None:
    end = result["ending"]
    over = sum(count for bound, count in end["steps"].items() if bound == "more" or float(bound) > 0.05)
    longest = end["longest_step"]
    print(f"{result['members']} members, {result['leases']} leases")
    print(f"  granted {result['grants_per_second']:.0f} a second, {result['bytes_each']:.0f} bytes each")
    print(f"  kept alive {result['keepalives_per_second']:.0f} a second")
    print(f"{end['leases']} leases ending at once, with a key each")
    print(f"  the last key went {end['late_seconds']:.2f} s after its time")
    print(f"  slowest put meanwhile {end['slowest_put_ms']:.1f} ms, {end['failed_puts']} failed")
    print(f"  steps above {STEP_GOAL_MS:.0f} ms meanwhile: {over}, goal 0: {'MISSED' if over else 'met'}")
    print(f"  longest step since the start: {1000 * longest['seconds']:.1f} ms ({longest['name']})")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--leases", type=int, default=100_000, help="default %(default)s")
    parser.add_argument("--ending", type=int, default=10_000, help="default %(default)s")
    parser.add_argument("--members", type=int, default=3, help="default %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix=".raftkv-bench-", dir=Path.cwd()))
    try:
        result = measure(folder, arguments)
    except BenchError as error:
        print(f"lease.py: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result, indent=2)) if arguments.json else print_result(result)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
