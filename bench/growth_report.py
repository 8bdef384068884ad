"""The figures of growth.py as text, and what they are held against."""

from collections.abc import Iterator
from statistics import median
from typing import Any, NamedTuple

JOIN_GOAL_S = 60.0
EXCESS_GOAL_MS = 25.0
THROUGHPUT_GOAL = 0.9


class Goal(NamedTuple):
    """A figure and its limit."""

    what: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def text(self) -> str:
        """One line."""
        limit = f"{'at least' if self.at_least else 'at most'} {self.limit:g}"
        return f"{self.what}: {self.value:.2f}, goal {limit}: {'met' if self.met else 'MISSED'}"


def goals(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every figure that has a goal, as far as it was measured."""
    return [{**goal._asdict(), "met": goal.met, "text": goal.text()} for goal in _goals(result)]


def _goals(result: dict[str, Any]) -> Iterator[Goal]:
    if "restart" in result:
        ours, theirs = result["restart"]["raftkv"], result["restart"]["etcd"]
        ratio = ours["restart_seconds"] / theirs["restart_seconds"]
        yield Goal("restart to serving, as a multiple of etcd's", ratio, 1.0)
        for name, field in (("the load", "loaded_mb"), ("a restart", "restarted_mb")):
            ratio = ours[field] / theirs[field]
            yield Goal(f"memory after {name}, as a multiple of etcd's", ratio, 1.0)
    if "sizes" in result:
        ratio = throughput_ratio(result["sizes"]["raftkv"])
        yield Goal(
            "puts/s with all keys, as a share of those with fewest", ratio, THROUGHPUT_GOAL, at_least=True
        )
    if "snapshot" in result:
        excess = result["snapshot"]["raftkv"]["worst_excess_ms"]
        yield Goal("ms a put waits beyond the usual p99 during a snapshot", excess, EXCESS_GOAL_MS)
    if "join" in result:
        join = result["join"]
        yield Goal("seconds until an empty follower has caught up", join["seconds"], JOIN_GOAL_S)
        ratio = join["during_p99_ms"] / join["before_p99_ms"]
        yield Goal("p99 while it joins, as a multiple of before", ratio, 2.0)


def throughput_ratio(rows: list[dict[str, Any]]) -> float:
    """Return puts a second at the largest size against the smallest, the median of the rounds."""
    large: list[float] = rows[-1]["puts_per_second"]
    small: list[float] = rows[0]["puts_per_second"]
    return median(many / few for many, few in zip(large, small, strict=True))


def markdown(result: dict[str, Any]) -> str:
    """Return all figures as tables."""
    parts = [f"{result['keys']:,} keys of 256 bytes, {result['cores']} cores, medians of {result['rounds']}"]
    for name, section in SECTIONS.items():
        if name in result:
            parts.append("\n".join(section(result[name])))
    parts.append("\n".join(f"- {goal['text']}" for goal in result["goals"]))
    loads = [f"{ran['machine_load_before']:.1f} before {part}" for part, ran in result["ran"].items()]
    parts.append(f"Load average of the machine: {', '.join(loads)} (the last minute's: what ran besides).")
    return "\n\n".join(parts) + "\n"


def restart(part: dict[str, Any]) -> Iterator[str]:
    ours, theirs = part["raftkv"], part["etcd"]
    yield from header("one member", "raftkv", "etcd", "ratio")
    for what, field in (
        ("load of all keys, s", "load_seconds"),
        ("restart to serving, s", "restart_seconds"),
        ("memory empty, MB", "empty_mb"),
        ("memory after the load, MB", "loaded_mb"),
        ("of it not mapped from files, MB", "loaded_anonymous_mb"),
        ("memory after a restart, MB", "restarted_mb"),
        ("memory per key, bytes", "bytes_per_key"),
        ("disk, MB", "disk_mb"),
    ):
        yield row(
            what, *(f"{side[field]:,.2f}" for side in (ours, theirs)), f"{ours[field] / theirs[field]:.2f}"
        )


def sizes(part: dict[str, Any]) -> Iterator[str]:
    yield from header("three members", "keys", "puts/s", "p50 ms", "p99 ms", "worst ms", "leader MB")
    for system, rows in part.items():
        for size in rows:
            figures = [median(size[field]) for field in ("puts_per_second", "p50_ms", "p99_ms")]
            figures += [max(size["worst_ms"]), size["leader_mb"]]
            yield row(system, f"{size['keys']:,}", f"{figures[0]:,.0f}", *(f"{f:,.2f}" for f in figures[1:]))
    yield ""
    for size in part["raftkv"]:
        yield f"- the leader with {size['keys']:,} keys: {loop_text(size['loop'])}"


def snapshot(part: dict[str, Any]) -> Iterator[str]:
    ours, theirs = part["raftkv"], part["etcd"]
    yield from header("puts at a steady rate", "p99 ms", "worst ms", "puts")
    for what, prefix in (("no snapshot under way", "usual"), ("while a snapshot is taken", "during")):
        yield row(
            what,
            f"{ours[prefix + '_p99_ms']:.2f}",
            f"{ours[prefix + '_worst_ms']:.2f}",
            ours["puts_" + prefix],
        )
    yield row("etcd, all the time", f"{theirs['usual_p99_ms']:.2f}", f"{theirs['usual_worst_ms']:.2f}", "")
    yield ""
    yield f"- {ours['snapshots']} snapshots, the longest {ours['longest_snapshot_s']:.2f} s"
    yield f"- the load itself was at most {ours['behind_ms']:.2f} ms late"
    yield f"- the leader: {loop_text(ours['loop'])}"


def join(part: dict[str, Any]) -> Iterator[str]:
    yield from header("an empty follower joins", "p99 ms", "worst ms")
    for what in ("before", "during"):
        yield row(what, f"{part[what + '_p99_ms']:.2f}", f"{part[what + '_worst_ms']:.2f}")
    yield ""
    yield f"- caught up after {part['seconds']:.2f} s; it takes {part['member_mb']:,.0f} MB"
    yield f"- {part['failed']} puts failed"
    yield f"- the leader: {loop_text(part['loop'])}"
    yield f"- the follower: {loop_text(part['loop_joining'])}"


def loop_text(loop: dict[str, Any]) -> str:
    over = ", ".join(f"{loop[name]} {name.replace('_', ' ')}" for name in loop if name.startswith("over_"))
    longest = f"the longest {loop['longest_ms']:.1f} ms ({loop['longest']})"
    collections = ", ".join(
        f"generation {g} {loop[f'gc_{g}']} times (longest {loop[f'gc_{g}_longest_ms']:.1f} ms)"
        for g in (1, 2)
    )
    return f"{loop['steps']:,} steps of the event loop, {over}, {longest}; collections of {collections}"


def header(*names: str) -> Iterator[str]:
    yield row(*names)
    yield row("---", *("---:" for _ in names[1:]))


def row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


SECTIONS = {"restart": restart, "sizes": sizes, "snapshot": snapshot, "join": join}
