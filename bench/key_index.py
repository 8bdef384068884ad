"""The ordered key index against sortedcontainers, and what the store built on it costs.

    .venv/bin/python bench/key_index.py [--keys N] [--json]

First part: raftkv's blocked list and two ways to use sortedcontainers (needed for this bench only, and left
out where it is not installed) hold N keys and do the same work. Second part: raftkv's ``Store`` with N keys
and values of 256 bytes does what it must do in one step when an entry is applied, and what it does in slices.
Each candidate runs in a process of its own, so that memory can be told apart. Averages are of wall time;
"longest" is processor time, so that other programs on the machine don't pass for a long step. The first part
runs with the garbage collector off, the second both with the thresholds that a member sets and without it.
The decision that rests on these figures: docs/decisions/002-key-index.md.
"""

import argparse
import gc
import importlib.util
import json
import multiprocessing
import random
import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Protocol

from raftkv.mvcc.commands import RequestId, decode_command, encode_command
from raftkv.mvcc.key_index import KeyIndex
from raftkv.mvcc.scan import RangeScan
from raftkv.mvcc.store import Store
from raftkv.schema.kv import (
    CompactionRequest,
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    SortOrder,
    SortTarget,
    TxnRequest,
)
from raftkv.server import GC_THRESHOLDS

KEYS = 1_000_000
VALUE_BYTES = 256
RANGE_KEYS = 100
SAMPLES = 20_000
COUNTS = 1_000
LEAST_KEYS = 2 * COUNTS
SLICE = 1_000
COMPACT_SLICE = 500
SEED = 1
EVERYTHING = (b"\x00", b"\x00")
BY_VALUE = {"sort_order": SortOrder.DESCEND, "sort_target": SortTarget.VALUE}
LOAD = "load in random order, µs a key"
NO_COLLECTION = (0, 0, 0)
Figures = dict[str, float]


class Index(Protocol):
    """What the store asks of its index."""

    def add(self, key: bytes, value: int) -> None: ...
    def get(self, key: bytes) -> int | None: ...
    def replace(self, key: bytes, value: int) -> None: ...
    def remove(self, key: bytes) -> None: ...
    def slice(self, start: bytes, end: bytes | None, limit: int) -> list[int]: ...
    def count(self, start: bytes, end: bytes | None) -> int: ...


class SortedListAndDict:
    """A dict for the values, a SortedList for the order; ranges the quickest way its documentation offers."""

    def __init__(self, items: Iterable[tuple[bytes, int]] = ()) -> None:
        from sortedcontainers import SortedList

        self.values: Any = dict(items)
        self.keys: Any = SortedList(self.values)

    def add(self, key: bytes, value: int) -> None:
        self.values[key] = value
        self.keys.add(key)

    def get(self, key: bytes) -> int | None:
        found: int | None = self.values.get(key)
        return found

    def replace(self, key: bytes, value: int) -> None:
        self.values[key] = value

    def remove(self, key: bytes) -> None:
        del self.values[key]
        self.keys.remove(key)

    def slice(self, start: bytes, end: bytes | None, limit: int) -> list[int]:
        keys = islice(self.keys.irange(start, end, (True, False)), limit)
        return list(map(self.values.__getitem__, keys))

    def count(self, start: bytes, end: bytes | None) -> int:
        last = len(self.keys) if end is None else self.keys.bisect_left(end)
        return int(max(last - self.keys.bisect_left(start), 0))


class SortedDictAlone(SortedListAndDict):
    """The same by sortedcontainers' own union of the two."""

    def __init__(self, items: Iterable[tuple[bytes, int]] = ()) -> None:
        from sortedcontainers import SortedDict

        self.values = self.keys = SortedDict(items)

    def add(self, key: bytes, value: int) -> None:
        self.values[key] = value

    def remove(self, key: bytes) -> None:
        del self.values[key]


CANDIDATES: dict[str, Callable[..., Index]] = {
    "KeyIndex": KeyIndex,
    "SortedDict": SortedDictAlone,
    "SortedList and dict": SortedListAndDict,
}


def numbered(count: int) -> list[bytes]:
    """Return ascending keys of 16 bytes, as an application with a prefix and a number has them."""
    return [b"app/%012d" % (number * 7) for number in range(count)]


def peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def each(work: Callable[[Any], object], arguments: Sequence[Any]) -> float:
    """Return the microseconds that ``work`` takes on average with each of ``arguments``."""
    start = time.perf_counter()
    for argument in arguments:
        work(argument)
    return (time.perf_counter() - start) / len(arguments) * 1e6


def longest(work: Callable[[Any], object], arguments: Sequence[Any]) -> float:
    """Return the microseconds of processor time of the slowest call."""
    clock, most = time.thread_time, 0.0
    for argument in arguments:
        start = clock()
        work(argument)
        most = max(most, clock() - start)
    return most * 1e6


def measure_index(name: str, count: int) -> Figures:
    gc.disable()
    make, chance = CANDIDATES[name], random.Random(SEED)
    ascending = numbered(count)
    shuffled = chance.sample(ascending, count)
    before = peak_bytes()
    index = make()
    figures = {LOAD: load(index, shuffled)}
    figures["memory beside keys and values, bytes a key"] = (peak_bytes() - before) / count
    figures |= measure_reads(index, shuffled)
    figures |= measure_changes(index, shuffled)
    figures["load in ascending order, µs a key"] = load(make(), ascending)
    figures["longest single insert of a random load, µs"] = longest_insert(make(), shuffled)
    pairs = [(key, 1) for key in ascending]
    figures["build from sorted pairs, µs a key"] = each(make, [pairs]) / count
    return figures


def load(index: Index, keys: Sequence[bytes]) -> float:
    return each(lambda key: index.add(key, 1), keys)


def longest_insert(index: Index, keys: Sequence[bytes]) -> float:
    return longest(lambda key: index.add(key, 1), keys)


def measure_reads(index: Index, shuffled: list[bytes]) -> Figures:
    picked = shuffled[:SAMPLES]
    ranges = [sorted(shuffled[number : number + 2]) for number in range(COUNTS)]

    def insert_and_count(span: list[bytes]) -> None:
        index.add(span[0] + span[1], 1)
        index.count(*span)

    return {
        "get, µs": each(index.get, picked),
        "range of 100 from a key, µs": each(lambda key: index.slice(key, None, RANGE_KEYS), picked),
        "count of a range (a third of all), µs": each(lambda span: index.count(*span), ranges),
        "insert and count of a range, µs": each(insert_and_count, ranges),
    }


def measure_changes(index: Index, shuffled: list[bytes]) -> Figures:
    return {
        "replace, µs": each(lambda key: index.replace(key, 2), shuffled[:SAMPLES]),
        "insert into the full index, µs": load(index, [key + b"+" for key in shuffled[-SAMPLES:]]),
        "delete all in random order, µs a key": each(index.remove, shuffled),
    }


def measure_store(count: int, thresholds: tuple[int, int, int]) -> Figures:
    gc.set_threshold(*thresholds)
    keys = random.Random(SEED).sample(numbered(count), count)
    store, before = Store(), peak_bytes()
    figures = {"put of a new key, µs": each(lambda key: store.put(fresh_put(key)), keys)}
    figures["memory of a key of 16 bytes with a value of 256, bytes"] = (peak_bytes() - before) / count
    figures |= measure_puts(store, keys)
    figures |= measure_slices(store)
    figures |= measure_atomic(store)
    figures |= measure_deletion(store, keys)
    return figures


def fresh_put(key: bytes) -> PutRequest:
    """Return a put whose key and value are objects of their own, as one decoded from the log has them."""
    return PutRequest(b"".join((key[:4], key[4:])), bytes(VALUE_BYTES))


def measure_puts(store: Store, keys: list[bytes]) -> Figures:
    again = [PutRequest(key, b"v") for key in keys[:SAMPLES]]
    new = [PutRequest(put.key + b"+", b"v") for put in again]
    data = [encode_command(RequestId(1, 1, number), put) for number, put in enumerate(again)]
    return {
        "put of a new key into the full store, µs": each(store.put, new),
        "put of an existing key, µs": each(store.put, again),
        "longest of such puts, µs": longest(store.put, again),
        "decoding the command of a put, µs": each(decode_command, data),
    }


def longest_slice(scan: RangeScan) -> float:
    """Return the milliseconds of processor time of the longest slice of 1,000 keys."""
    most, done = 0.0, False
    with scan:
        while not done:
            start = time.thread_time()
            done = scan.step(SLICE)
            most = max(most, time.thread_time() - start)
    return most * 1e3


def measure_slices(store: Store) -> Figures:
    reads = {
        "longest slice of a range of everything": RangeRequest(*EVERYTHING),
        "longest slice of it sorted by value": RangeRequest(*EVERYTHING, **BY_VALUE),
        "count of everything, one slice": RangeRequest(*EVERYTHING, count_only=True),
        "longest slice of a count at an old revision": RangeRequest(*EVERYTHING, count_only=True, revision=2),
    }
    return {f"{name}, ms": longest_slice(store.open_range(read)) for name, read in reads.items()}


def milliseconds(work: Callable[[Any], object], argument: object) -> float:
    return each(work, [argument]) / 1e3


def measure_atomic(store: Store) -> Figures:
    """Measure what can't be sliced, because an entry is applied as a whole."""
    write = RequestOp(request_put=PutRequest(b"other", b"v"))
    compare = Compare(CompareResult.GREATER, CompareTarget.VERSION, EVERYTHING[0], range_end=EVERYTHING[1])
    reads = {
        "range over everything": RangeRequest(*EVERYTHING),
        "range over everything, limit 100": RangeRequest(*EVERYTHING, limit=100),
        "range over everything, sorted by value": RangeRequest(*EVERYTHING, **BY_VALUE),
        "count of everything": RangeRequest(*EVERYTHING, count_only=True),
        "count of everything at an old revision": RangeRequest(*EVERYTHING, revision=2, count_only=True),
    }
    figures = {
        f"txn: {name}, ms": milliseconds(store.txn, TxnRequest([], [write, RequestOp(request_range=read)]))
        for name, read in reads.items()
    }
    figures["txn: compare over everything, ms"] = milliseconds(store.txn, TxnRequest([compare], [write]))
    return figures


def measure_deletion(store: Store, keys: list[bytes]) -> Figures:
    """Delete everything, put it anew, delete it without prev_kv, and remove what all that left behind."""
    everything = DeleteRangeRequest(*EVERYTHING)
    figures = {
        "deleterange of everything with prev_kv, ms": milliseconds(
            store.delete_range, DeleteRangeRequest(*EVERYTHING, prev_kv=True)
        )
    }
    for key in keys:
        store.put(PutRequest(key, b"v"))
    figures["deleterange of everything, ms"] = milliseconds(store.delete_range, everything)
    store.compact(CompactionRequest(store.revision))
    most, start, more = 0.0, time.perf_counter(), True
    while more:
        began = time.thread_time()
        more = store.compact_step(COMPACT_SLICE)
        most = max(most, time.thread_time() - began)
    figures["compaction of all that, all slices, ms"] = (time.perf_counter() - start) * 1e3
    figures["longest slice of the compaction, ms"] = most * 1e3
    return figures


def in_own_process(work: Callable[..., Figures], *arguments: object) -> Figures:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def table(columns: dict[str, Figures]) -> str:
    """Return a Markdown table: a row a figure, a column a candidate."""
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for name in next(iter(columns.values())):
        lines.append(f"| {name} | " + " | ".join(f"{one[name]:,.2f}" for one in columns.values()) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keys", type=int, default=KEYS, help="how many keys (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    options = parser.parse_args()
    if options.keys < LEAST_KEYS:
        parser.error(f"--keys must be at least {LEAST_KEYS}")
    names = list(CANDIDATES) if importlib.util.find_spec("sortedcontainers") else ["KeyIndex"]
    indexes = {name: in_own_process(measure_index, name, options.keys) for name in names}
    store = {
        "Store": in_own_process(measure_store, options.keys, GC_THRESHOLDS),
        "collector off": in_own_process(measure_store, options.keys, NO_COLLECTION),
    }
    if options.json:
        print(json.dumps({"keys": options.keys, **indexes, **store}, ensure_ascii=False, indent=1))
    else:
        print(f"{options.keys:,} keys\n\n{table(indexes)}\n\n{table(store)}")


if __name__ == "__main__":
    main()
