"""How fast a log is read at a start: entries a second, from a file in the page cache.

    python bench/wal_replay.py [--entries 400000] [--size 256] [--batches 1 16 64] [--runs 3]
                               [--json] [--profile]

A log of ``--entries`` commands is written through the real code, ``--batches`` of them to a save, and
opened again: every checksum verified, every entry decoded and in memory. With one entry to a save most
of the time is spent on batch headers. The figure of a row is the median of its runs. Syncs are left out
while the log is made, because only its content matters here. ``--profile`` shows where the time goes, in a
run of its own.
"""

import argparse
import asyncio
import cProfile
import gc
import json
import pstats
import sys
import tempfile
from statistics import median
from time import perf_counter
from typing import NamedTuple
from unittest import mock

from raftkv.raft import Entry, HardState
from raftkv.raft.ready import Write
from raftkv.storage.disk import FileDisk
from raftkv.storage.records import Metadata
from raftkv.storage.wal import Wal

GOAL = 200_000
"""Entries a second that reading is to reach."""


class Row(NamedTuple):
    """One measurement: ``entries_per_second`` is the median of the runs, the others their range."""

    batch: int
    size: int
    entries_per_second: int
    slowest: int
    fastest: int
    megabytes_per_second: int


async def make_log(directory: str, entries: int, size: int, batch: int) -> None:
    disk = FileDisk()
    wal, _ = await Wal.create(disk, directory, Metadata(1, 1, "bench"), HardState(1, 1, 0), [])
    data = bytes(range(256)) * (size // 256 + 1)
    for first in range(1, entries + 1, batch):
        last = min(first + batch, entries + 1)
        entries_now = tuple(Entry(1, index, 0, data[:size]) for index in range(first, last))
        await wal.save([Write(1, None, 0, entries_now, ())])
    await wal.close()
    await disk.close()


async def open_log(directory: str, entries: int, profile: cProfile.Profile | None = None) -> float:
    disk = FileDisk()
    gc.disable()  # as at a start
    if profile is not None:
        profile.enable()
    begin = perf_counter()
    wal, recovered = await Wal.open(disk, directory)
    seconds = perf_counter() - begin
    if profile is not None:
        profile.disable()
    gc.enable()
    assert len(recovered.entries) == entries
    await wal.close()
    await disk.close()
    return seconds


async def measure(entries: int, size: int, batch: int, runs: int) -> Row:
    with tempfile.TemporaryDirectory() as directory:
        with mock.patch("raftkv.storage.disk._sync_data", lambda _: None):
            await make_log(directory, entries, size, batch)
        rates = sorted([entries / await open_log(directory, entries) for _ in range(runs)])
    middle = median(rates)
    return Row(batch, size, int(middle), int(rates[0]), int(rates[-1]), int(middle * size / 1e6))


async def profile(entries: int, size: int, batch: int) -> None:
    watch = cProfile.Profile()
    with tempfile.TemporaryDirectory() as directory:
        with mock.patch("raftkv.storage.disk._sync_data", lambda _: None):
            await make_log(directory, entries, size, batch)
        await open_log(directory, entries, watch)
    pstats.Stats(watch, stream=sys.stdout).sort_stats("tottime").print_stats(12)


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast a log is read at a start.")
    parser.add_argument("--entries", type=int, default=400_000)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--profile", action="store_true")
    flags = parser.parse_args()
    if flags.profile:
        asyncio.run(profile(flags.entries, flags.size, flags.batches[0]))
        return
    rows = [asyncio.run(measure(flags.entries, flags.size, batch, flags.runs)) for batch in flags.batches]
    if flags.json:
        print(json.dumps([row._asdict() for row in rows], indent=2))
        return
    print(f"{'batch':>6} {'bytes':>6} {'entries/s':>10} {'slowest':>10} {'fastest':>10} {'MB/s':>6}")
    for row in rows:
        print("{:6} {:6} {:10,} {:10,} {:10,} {:6,}".format(*row))
    print(f"goal: {GOAL:,} entries/s")


if __name__ == "__main__":
    main()
