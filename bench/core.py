"""The consensus core alone: three members in one process, every message through the real codec.

    python bench/core.py [--entries 20000] [--size 256] [--batches 16 64] [--lengths 1000 100000 1000000]
                         [--runs 3] [--json] [--profile] [--recorded]

A batch of commands is proposed to the leader; then messages are encoded, carried, decoded and stepped until
nothing is under way, so that all three members have committed and applied it. Disks are instant: a Write
is acknowledged at once, and none of its cost is in the figures. There are no sockets, no tasks and
no state machine either. The figure of a row is the median of its runs.

``--lengths`` are entries already in the log when the measurement begins: cost per entry must not depend on
it. ``--profile`` shows where the time goes, in a run of its own. ``--recorded`` puts the recorder around
each core, to see what it costs.
"""

import argparse
import cProfile
import gc
import json
import platform
import pstats
import sys
from collections.abc import Callable
from functools import partial
from random import Random
from statistics import median
from time import perf_counter
from typing import NamedTuple

from raftkv.raft import Consensus, Entry, EntryKind, HardState, Message, Role, bootstrap_entry, make_core
from raftkv.raft.codec import decode_message, encode_message
from raftkv.raft.core import Raft
from raftkv.raft.recorded import RecordedCore
from raftkv.trace import Recorder

VOTERS = (1, 2, 3)
GOAL = 20_000
"""Entries a second the core is to reach, with batches of 16 and of 64."""


class Row(NamedTuple):
    """One measurement: ``entries_per_second`` is the median of the runs, the others their range."""

    batch: int
    log_length: int
    entries_per_second: int
    slowest: int
    fastest: int
    microseconds_per_entry: float


class Cluster:
    """Three cores that exchange bytes."""

    def __init__(self, log_length: int, *, recorded: bool = False) -> None:
        make: Callable[..., Consensus] = make_core
        if recorded:
            make = partial(RecordedCore, Raft, Recorder(100_000))
        filler = bytes(8)
        entries = [bootstrap_entry(VOTERS, b"")]
        entries += [Entry(1, index, EntryKind.COMMAND, filler) for index in range(2, log_length + 1)]
        hard_state = HardState(1, 0, log_length)
        self.cores: dict[int, Consensus] = {
            node: make(node, entries, hard_state, rng=Random(node)) for node in VOTERS
        }
        self.under_way: list[bytes] = []
        self.applied = dict.fromkeys(VOTERS, 0)
        self.messages = 0
        self.leader = self.elect()

    def elect(self) -> Consensus:
        """Let member 1 win an election, and everything before the measurement be applied."""
        self.settle()
        leader = self.cores[1]
        while leader.status().role is not Role.LEADER:
            leader.tick()
            self.settle()
        return leader

    def settle(self) -> None:
        """Carry out effects and messages until there are no more."""
        for node in VOTERS:
            self.carry_out(node)
        while self.under_way:
            arrived, self.under_way = self.under_way, []
            self.messages += len(arrived)
            for data in arrived:
                message = decode_message(data)
                self.cores[message.target].step(message)
            for node in VOTERS:
                self.carry_out(node)

    def carry_out(self, node: int) -> None:
        """Do what a host does with the effects of one member; its disk is instant."""
        core = self.cores[node]
        while (ready := core.ready()) is not None:
            self.send(ready.messages)
            if ready.write is not None:
                core.persisted(ready.write.number)
                self.send(ready.write.after)
            if ready.committed:
                self.applied[node] = ready.committed[-1].index
                core.applied(self.applied[node])

    def send(self, messages: tuple[Message, ...]) -> None:
        """Put messages under way as bytes."""
        self.under_way += [encode_message(message) for message in messages]


def run(cluster: Cluster, entries: int, batch: int, size: int) -> float:
    """Commit ``entries`` commands of ``size`` bytes on all members; return the seconds it took."""
    first = cluster.leader.status().log.last_index
    data = bytes(size)
    began = perf_counter()
    for _ in range(entries // batch):
        for _ in range(batch):
            cluster.leader.propose(data)
        cluster.settle()
    cluster.leader.tick()  # the last commit index reaches the others with a heartbeat at the latest
    cluster.settle()
    seconds = perf_counter() - began
    last = first + entries // batch * batch
    assert all(applied == last for applied in cluster.applied.values()), f"{cluster.applied}, not {last}"
    return seconds


def measure(
    lengths: list[int], batches: list[int], entries: int, size: int, runs: int, *, recorded: bool
) -> list[Row]:
    """Return a row for each batch size and log length."""
    rows = []
    for length in lengths:
        cluster = Cluster(length, recorded=recorded)
        gc.collect()
        gc.freeze()  # the entries made beforehand are not garbage of the measurement
        for batch in batches:
            run(cluster, entries // 10, batch, size)
            done = entries // batch * batch
            rates = sorted(done / run(cluster, entries, batch, size) for _ in range(runs))
            middle = median(rates)
            rows.append(Row(batch, length, round(middle), round(rates[0]), round(rates[-1]), 1e6 / middle))
        gc.unfreeze()
    return rows


def table(rows: list[Row]) -> str:
    """Return the rows as text."""
    lines = [
        f"{'batch':>5} {'log before':>10} {'entries/s':>10} {'slowest':>9} {'fastest':>9} {'us/entry':>9}"
    ]
    lines += [
        f"{row.batch:5} {row.log_length:10,} {row.entries_per_second:10,} {row.slowest:9,} {row.fastest:9,} "
        f"{row.microseconds_per_entry:9.1f}"
        for row in sorted(rows)
    ]
    worst = min(row.entries_per_second for row in rows)
    lines.append(
        f"at least {worst:,} entries/s; the goal is {GOAL:,}: {'met' if worst >= GOAL else 'MISSED'}"
    )
    return "\n".join(lines)


def profile(batch: int, entries: int, size: int) -> None:
    """Print where the time of a run goes, by own time."""
    cluster = Cluster(1000)
    gc.collect()
    profiler = cProfile.Profile()
    profiler.enable()
    run(cluster, entries, batch, size)
    profiler.disable()
    print(f"\nprofile: batches of {batch}, {entries:,} entries, {cluster.messages:,} messages")
    pstats.Stats(profiler, stream=sys.stdout).strip_dirs().sort_stats("tottime").print_stats(22)


def main() -> int:
    """Measure and print; the exit status is 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description="Measure the consensus core alone.")
    parser.add_argument("--entries", type=int, default=20_000, help="entries a run (default %(default)s)")
    parser.add_argument("--size", type=int, default=256, help="bytes of a command (default %(default)s)")
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 64], help="default 16 64")
    parser.add_argument(
        "--lengths", type=int, nargs="+", default=[1_000, 100_000, 1_000_000], help="default 1k, 100k and 1M"
    )
    parser.add_argument("--runs", type=int, default=3, help="default %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--profile", action="store_true", help="show where the time goes as well")
    parser.add_argument("--recorded", action="store_true", help="record every call of every core")
    options = parser.parse_args()
    rows = measure(
        options.lengths,
        options.batches,
        options.entries,
        options.size,
        options.runs,
        recorded=options.recorded,
    )
    if options.json:
        where = f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}"
        print(json.dumps({"where": where, "size": options.size, "rows": [row._asdict() for row in rows]}))
    else:
        print(table(rows))
    if options.profile:
        for batch in options.batches:
            profile(batch, options.entries, options.size)
    return 0 if min(row.entries_per_second for row in rows) >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
