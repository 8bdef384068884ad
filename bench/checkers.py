"""How fast the linearizability checker is.

    .venv/bin/python bench/checkers.py [--histories N] [--json]

Processor time of one core. The recorded sets are those in tests/checkers/histories: the time of the check
alone and of reading the files. The made histories are of a store that is right and of one that once answered
wrongly: with revisions, 1,200 operations of 10 clients each, as a simulated run of 30 seconds has them;
without, 1,700 appends and gets of 50 clients, which can only be searched.
"""

import argparse
import json
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from raftkv.checkers import KvAppend, Model, MvccKv, Operation, Outcome, Validity, check, read_history
from raftkv.checkers.mvcc_kv import apply

ROOT = Path(__file__).parent.parent
HISTORIES = ROOT / "tests" / "checkers" / "histories"
OPERATIONS = 1_200
CLIENTS = 10
KEYS = 6
Figures = dict[str, float]


def measure_recorded(folder: str) -> Figures:
    """Check every history of a folder; a wrong verdict ends the program."""
    reading = checking = 0.0
    count = files = steps = 0
    for known in json.loads((HISTORIES / folder / "verdicts.json").read_text(encoding="utf-8")):
        start = time.process_time()
        operations, model = read_history(HISTORIES / folder / known["file"], known["model"])
        read = time.process_time()
        verdict = check(operations, model)
        checking += time.process_time() - read
        reading += read - start
        count, files, steps = count + len(operations), files + 1, steps + verdict.steps
        if (verdict.validity is Validity.VALID) != known["linearizable"]:
            sys.exit(f"{known['file']}: {verdict.validity.value}")
    return {
        f"{folder}: files": files,
        f"{folder}: operations": count,
        f"{folder}: search steps": steps,
        f"{folder}: check, ms": checking * 1e3,
        f"{folder}: read, ms": reading * 1e3,
    }


class Store:
    """Answers requests one at a time."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.keys: dict[Any, Any] = {}
        self.revision = 1

    def do(self, request: tuple[Any, ...]) -> Any:
        if isinstance(self.model, MvccKv):
            changes, result = apply(self.keys.get, self.revision + 1, request)
            self.keys.update(changes)
            self.revision += bool(changes)
            return self.revision, result
        held = self.keys.get(request[1], "")
        if request[0] != "get":
            self.keys[request[1]] = held + request[2]
        return held if request[0] == "get" else None

    def draw(self, chance: random.Random, number: int) -> tuple[Any, ...]:
        """Draw a request with a value of its own."""
        key, kind = f"k{chance.randrange(KEYS)}", chance.random()
        if kind < 0.45:
            return ("get", key)
        if not isinstance(self.model, MvccKv):
            return ("append", key, f"x {number} y")
        if kind < 0.75:
            return ("put", key, number)
        if kind < 0.85:
            return ("delete", key)
        held = self.keys.get(key)
        mod = held.mod_revision if held is not None and kind < 0.95 else 0
        return ("txn", ((key, mod),), (("put", key, number),), (("get", key),))


def make(
    seed: int, model: Model, unknown: float, clients: int = CLIENTS, count: int = OPERATIONS
) -> list[Operation]:
    """Make a right history: each client waits for an answer, then starts the next operation."""
    chance, store, history = random.Random(seed), Store(model), []
    calls = {client: chance.random() for client in range(clients)}
    moments = sorted((calls[client] + chance.random(), client) for client in calls)
    process = clients
    for number in range(count):
        moment, client = moments.pop(0)
        request, returned = store.draw(chance, number), moment + chance.random()
        lost = chance.random() < unknown
        output = None if lost and chance.random() < 0.5 else store.do(request)
        if lost:
            history.append(Operation(client, calls.pop(client), None, request, None, Outcome.UNKNOWN))
            client, process = process, process + 1
        else:
            history.append(Operation(client, calls[client], returned, request, output))
        calls[client] = returned
        moments.append((returned + chance.random(), client))
        moments.sort()
    return history


def make_wrong(history: list[Operation], chance: random.Random) -> list[Operation]:
    """Give one read the answer that another read of its key got much earlier."""
    reads = [
        place for place, one in enumerate(history) if one.input[0] == "get" and one.outcome is Outcome.OK
    ]
    late = chance.choice(reads[len(reads) // 2 :])
    early = next(place for place in reads if history[place].input == history[late].input)
    changed = history[late]._replace(output=history[early].output)
    return [changed if place == late else one for place, one in enumerate(history)]


def measure_made(name: str, histories: list[list[Operation]], model: Model) -> Figures:
    seconds, verdicts = [], []
    for history in histories:
        start = time.process_time()
        verdicts.append(check(history, model).validity)
        seconds.append(time.process_time() - start)
    operations = sum(map(len, histories))
    return {
        f"{name}: operations/s": operations / sum(seconds),
        f"{name}: median, ms": statistics.median(seconds) * 1e3,
        f"{name}: longest, ms": max(seconds) * 1e3,
        f"{name}: not decided": verdicts.count(Validity.UNKNOWN),
    }


def measure(count: int) -> Figures:
    figures = measure_recorded("porcupine") | measure_recorded("synthetic")
    for unknown in (0.0, 0.02, 0.1):
        right = [make(seed, MvccKv(), unknown) for seed in range(count)]
        wrong = [make_wrong(history, random.Random(seed)) for seed, history in enumerate(right)]
        figures |= measure_made(f"mvcc-kv, {unknown:.0%} unanswered, right", right, MvccKv())
        figures |= measure_made(f"mvcc-kv, {unknown:.0%} unanswered, wrong", wrong, MvccKv())
    appends = [make(seed, KvAppend(), 0.0, clients=50, count=1_700) for seed in range(count)]
    figures |= measure_made("kv-append, 50 clients, right", appends, KvAppend())
    broken = [make_wrong(history, random.Random(seed)) for seed, history in enumerate(appends)]
    return figures | measure_made("kv-append, 50 clients, wrong", broken, KvAppend())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--histories", type=int, default=30, help="made histories of a kind (default %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    options = parser.parse_args()
    figures = measure(options.histories)
    if options.json:
        print(json.dumps(figures, indent=1))
    else:
        print("\n".join(f"{name:50} {value:12,.1f}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
