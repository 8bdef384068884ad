"""What a snapshot of many keys costs: the cut, each slice of the dump, the file, and loading it.

    .venv/bin/python bench/snapshot.py [--keys N] [--versions V] [--compact] [--directory DIR] [--json]

One process builds a store of N keys with V versions each and values of 256 bytes in random order of keys,
cuts it and writes the snapshot file; a second one reads the file as a member does at its start. The first
runs with the garbage collector as a member sets it, the second without, as a start does, and then with it, as
a member that receives a snapshot while it runs. "Longest" is processor time, so that other programs on the
machine don't pass for a long step; totals are wall time.
"""

import argparse
import asyncio
import gc
import json
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from typing import TypeVar

from raftkv.mvcc.commands import RequestId
from raftkv.mvcc.loading import MachineLoader
from raftkv.mvcc.machine import Machine
from raftkv.raft.types import Configuration, Snapshot
from raftkv.schema.kv import CompactionRequest, PutRequest
from raftkv.server import GC_THRESHOLDS
from raftkv.storage.disk import FileDisk
from raftkv.storage.snapshot_format import Block, SnapshotMeta, SnapshotRef
from raftkv.storage.snapshots import SnapshotFolder

KEYS = 1_000_000
VALUE_BYTES = 256
NO_COLLECTION = (0, 0, 0)
BOOTS = 12
SEED = 1
T = TypeVar("T")
Figures = dict[str, float]


class Steps:
    """Runs steps and remembers how long the longest took, in seconds of processor time."""

    def __init__(self) -> None:
        self.count = 0
        self.longest = 0.0
        self.total = 0.0

    def run(self, work: Callable[[], T]) -> T:
        start = time.thread_time()
        result = work()
        took = time.thread_time() - start
        self.count += 1
        self.total += took
        self.longest = max(self.longest, took)
        return result


def resident_bytes() -> int:
    """Return the memory in use now where /proc tells it, the most there was elsewhere."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - no file
            return int(file.read().split()[1]) * resource.getpagesize()
    except FileNotFoundError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def built(keys: int, versions: int, *, compacted: bool) -> Machine:
    machine = Machine()
    machine.applied_index = 7
    chance = random.Random(SEED)
    order = list(range(keys))
    for _ in range(versions):
        chance.shuffle(order)
        for number in order:
            machine.store.put(PutRequest(b"app/%012d" % (number * 7), chance.randbytes(VALUE_BYTES)))
    for number in range(BOOTS):
        machine.sessions.admit(RequestId(number % 3, number // 3, 70_000))
    if compacted:
        machine.store.compact(CompactionRequest(machine.store.revision))
        while machine.store.compact_step(500):
            pass
    return machine


async def write(machine: Machine, directory: str) -> tuple[Figures, SnapshotRef]:
    cutting, reading = Steps(), Steps()
    disk = FileDisk()
    folder = SnapshotFolder(disk, directory)
    cut = cutting.run(machine.cut)
    start = time.perf_counter()
    configuration = Configuration((1, 2, 3))
    snapshot = Snapshot(cut.index, 1, configuration)
    draft = await folder.create(SnapshotMeta(1, snapshot, cut.revision, cut.compact_revision, cut.keys))
    blocks = cut.blocks()
    while (block := reading.run(lambda: next(blocks, None))) is not None:
        await draft.write(Block(*block))
    await draft.finish()
    ref = await folder.publish(draft)
    took = time.perf_counter() - start
    cut.close()
    await disk.close()
    figures = {
        "cut, ms": cutting.total * 1e3,
        "slices of the dump": reading.count,
        "longest slice, ms": reading.longest * 1e3,
        "all slices, s": reading.total,
        "dump to a durable file, s": took,
        "file, MB": ref.size / 1e6,
    }
    return figures, ref


def measure_dump(keys: int, versions: int, compacted: bool, directory: str) -> tuple[Figures, SnapshotRef]:  # noqa: FBT001
    machine = built(keys, versions, compacted=compacted)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    return asyncio.run(write(machine, directory))


async def read(ref: SnapshotRef, directory: str) -> tuple[Figures, MachineLoader]:
    adding, finishing = Steps(), Steps()
    disk = FileDisk()
    loader = MachineLoader()
    before, start = resident_bytes(), time.perf_counter()
    async for part, version, data in SnapshotFolder(disk, directory).read(ref):
        adding.run(lambda: loader.add(part, version, data))  # noqa: B023 - called at once
    while finishing.run(loader.finish_step):
        pass
    took = time.perf_counter() - start
    await disk.close()
    figures = {
        "load, s": took,
        "of it: all blocks added, s": adding.total,
        "of it: all steps of the end, s": finishing.total,
        "longest block added, ms": adding.longest * 1e3,
        "longest step of the end, ms": finishing.longest * 1e3,
        "memory, bytes a key": (resident_bytes() - before) / max(1, loader.content.store.live_keys),
    }
    return figures, loader


def measure_load(ref: SnapshotRef, directory: str, thresholds: tuple[int, int, int]) -> Figures:
    gc.collect()
    gc.freeze()
    gc.set_threshold(*thresholds)
    figures, loader = asyncio.run(read(ref, directory))
    machine, adopting, discarding = Machine(), Steps(), Steps()
    adopting.run(lambda: machine.adopt(loader))
    loader.content.exchange(machine)  # free what was loaded, as the next snapshot would
    while discarding.run(loader.discard_step):
        pass
    return {
        **figures,
        "adopt, ms": adopting.total * 1e3,
        "free it in slices, s": discarding.total,
        "longest of them, ms": discarding.longest * 1e3,
    }


def in_own_process(work: Callable[..., T], *arguments: object) -> T:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keys", type=int, default=KEYS, help="how many keys (default %(default)s)")
    parser.add_argument(
        "--versions", type=int, default=1, help="how many versions each (default %(default)s)"
    )
    parser.add_argument("--compact", action="store_true", help="compact to the newest revision first")
    parser.add_argument("--directory", help="where the file is written (default: a new folder)")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        dump, ref = in_own_process(measure_dump, options.keys, options.versions, options.compact, directory)
        start = in_own_process(measure_load, ref, directory, NO_COLLECTION)
        running = in_own_process(measure_load, ref, directory, GC_THRESHOLDS)
    parts = {"dump": dump, "load at a start": start, "load while running": running}
    if options.json:
        print(json.dumps({"keys": options.keys, **parts}, ensure_ascii=False, indent=1))
        return
    for title, figures in parts.items():
        print(f"\n{title}, {options.keys:,} keys")
        for name, value in figures.items():
            print(f"  {name:32} {value:12,.2f}")


if __name__ == "__main__":
    main()
