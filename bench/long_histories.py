"""How long the checkers take for histories as long as those of an hour under load.

    .venv/bin/python bench/long_histories.py [--transactions N] [--operations N] [--json]

Processor time of one core, of the check alone and of reading the history from its file. The list-append
transactions are of 10 clients on 10 lists at a time, each list with 64 elements in the end, on a store that
is right, on one that is but a snapshot store (it loses no update, but has write skew), and on the right one
with one stale read; 2 % are never answered. The operations on the multi-version store are those of
bench/checkers.py, with the same share of unknown outcomes. Sought: 10,000 transactions in 2 s, 100,000
operations in 5 s.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

from checkers import make

from raftkv.checkers import (
    MvccKv,
    Operation,
    Outcome,
    Validity,
    Verdict,
    check,
    check_list_append,
    parse_history,
    parse_records,
    write_history,
    write_records,
)

CLIENTS = 10
LISTS = 10
LENGTH = 64
UNKNOWN = 0.02
Lists = dict[int, tuple[int, ...]]
Figures = dict[str, float]


class ListStore:
    """Lists with transactions on them; a list that is long enough makes room for a new one."""

    def __init__(self, chance: random.Random) -> None:
        self.lists: Lists = {}
        self._chance = chance
        self._keys = list(range(LISTS))

    def draw(self, element: int) -> tuple[Any, ...]:
        """Draw the steps of a transaction; its elements count up from ``element``."""
        steps = []
        for number in range(self._chance.randint(1, 4)):
            place = self._chance.randrange(LISTS)
            key = self._keys[place]
            if self._chance.random() < 0.5:
                steps.append(("append", key, element + number))
                if len(self.lists.get(key, ())) >= LENGTH:
                    self._keys[place] = max(self._keys) + 1
            else:
                steps.append(("r", key, None))
        return tuple(steps)

    def do(self, steps: tuple[Any, ...], view: Lists) -> tuple[Any, ...] | None:
        """Do a transaction that sees ``view``; None if another one has appended to its lists since."""
        if any(name == "append" and view.get(key) != self.lists.get(key) for name, key, _ in steps):
            return None
        told, view = [], dict(view)
        for name, key, element in steps:
            if name == "append":
                view[key] = self.lists[key] = (*view.get(key, ()), element)
            told.append((name, key, element if name == "append" else view.get(key, ())))
        return tuple(told)


def make_transactions(count: int, *, snapshots: bool) -> list[Operation]:
    """Make the transactions of a store; with ``snapshots`` each sees the state at its start."""
    chance = random.Random(count)
    store, moments, process = ListStore(chance), [], CLIENTS
    free = dict.fromkeys(range(CLIENTS), 0.0)
    for number in range(count):
        client = min(free, key=lambda one: free[one])
        call = free.pop(client) + 0.01 + chance.random() * 0.2
        start = call + chance.random() * 0.2
        commit = start + chance.random() * 0.4
        returned = commit + chance.random() * 0.2
        lost = chance.random() < UNKNOWN
        moments += [(start, number, False, (client, call, returned, lost)), (commit, number, True, ())]
        client, process = (process, process + 1) if lost else (client, process)
        free[client] = returned
    history: list[Operation] = []
    begun: dict[int, Any] = {}
    for _, number, commits, drawn in sorted(moments):
        if not commits:
            begun[number] = (store.draw(10 * number), dict(store.lists), drawn)
            continue
        steps, view, (client, call, returned, lost) = begun.pop(number)
        told = store.do(steps, view if snapshots else store.lists)
        known = Outcome.FAIL if told is None else Outcome.OK
        outcome = Outcome.UNKNOWN if lost else known
        answer = told if outcome is Outcome.OK else None
        history.append(Operation(client, call, None if lost else returned, ("txn", steps), answer, outcome))
    return history


def with_stale_read(history: list[Operation]) -> list[Operation]:
    """Let the first read in the last quarter that saw more than two elements miss the last two."""
    for place in range(len(history) * 3 // 4, len(history)):
        told: Any = history[place].output or ()
        for number, (name, key, elements) in enumerate(told):
            if name == "r" and len(elements) > 2 and len(told) == 1:
                stale = (*told[:number], (name, key, elements[:-2]))
                return [*history[:place], history[place]._replace(output=stale), *history[place + 1 :]]
    sys.exit("no transaction reads one list and nothing else")


def measure(name: str, judge: Callable[[], Verdict], wanted: Validity) -> Figures:
    start = time.process_time()
    verdict = judge()
    seconds = time.process_time() - start
    if verdict.validity is not wanted:
        sys.exit(f"{name}: {verdict.validity.value} {verdict.reason}")
    return {f"{name}: check, s": seconds}


def measure_reading(name: str, lines: list[str], read: Callable[[str], Any]) -> Figures:
    text = "\n".join(lines)
    start = time.process_time()
    read(text)
    return {f"{name}: read, s": time.process_time() - start, f"{name}: file, MB": len(text) / 1e6}


def measure_all(transactions: int, operations: int) -> Figures:
    right = make_transactions(transactions, snapshots=False)
    skewed = make_transactions(transactions, snapshots=True)
    name = f"{transactions:,} list-append transactions"
    figures = measure(f"{name}, right", lambda: check_list_append(right), Validity.VALID)
    figures |= measure(f"{name}, write skew", lambda: check_list_append(skewed), Validity.INVALID)
    stale = with_stale_read(right)
    figures |= measure(f"{name}, a stale read", lambda: check_list_append(stale), Validity.INVALID)
    lines = list(write_records(right, "list-append"))
    figures |= measure_reading(name, lines, lambda text: parse_records(text, "list-append"))
    store = make(1, MvccKv(), UNKNOWN, clients=CLIENTS, count=operations)
    name = f"{operations:,} operations with revisions"
    figures |= measure(name, lambda: check(store, MvccKv()), Validity.VALID)
    lines = list(write_history(store, MvccKv()))
    return figures | measure_reading(name, lines, lambda text: parse_history(text, "mvcc-kv"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--transactions", type=int, default=10_000, help="default %(default)s")
    parser.add_argument("--operations", type=int, default=100_000, help="default %(default)s")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    options = parser.parse_args()
    figures = measure_all(options.transactions, options.operations)
    if options.json:
        print(json.dumps(figures, indent=1))
    else:
        print("\n".join(f"{name:60} {value:9,.2f}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
