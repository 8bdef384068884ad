"""Transactions over lists: each appends elements, unique for a list, and reads whole lists.

The input of an operation is ``("txn", (step, ...))`` with steps ``("append", key, element)`` and
``("r", key, None)``; the output of an answered one is the tuple of its steps, the reads with what they read:
``("r", key, (element, ...))``.

``collect`` takes a history apart by keys. What a transaction saw that contradicts its own steps is found on
the way (*internal*).
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

from raftkv.checkers.history import HistoryError, Operation, Outcome
from raftkv.checkers.verdict import Anomaly

Elements = tuple[Hashable, ...]
Step = tuple[str, Hashable, Any]


class Read(NamedTuple):
    """What a transaction, given by its number, read of a key; the last ``own`` elements it had appended."""

    reader: int
    elements: Elements
    own: int


class Transactions(NamedTuple):
    """A history by keys. A transaction's number is its place in ``operations``, which is sorted by calls."""

    operations: list[Operation]
    appends: list[dict[Hashable, list[Hashable]]]
    """Number -> key -> the elements that it appends, in its order."""
    writers: dict[Hashable, dict[Hashable, int]]
    """Key -> element -> who appends it."""
    reads: dict[Hashable, list[Read]]
    internal: list[Anomaly]


def collect(history: Iterable[Operation]) -> Transactions:
    """Sort a history by keys. Raises ``HistoryError`` when two transactions append the same element."""
    operations = sorted(history, key=lambda operation: operation.call)
    found = Transactions(operations, [], {}, {}, [])
    for number, operation in enumerate(operations):
        appends: dict[Hashable, list[Hashable]] = {}
        found.appends.append(appends)
        if operation.outcome is Outcome.OK:
            steps: Any = operation.output
            _collect_answered(found, number, steps)
        else:
            steps = operation.input[1]
        for name, key, element in steps:
            if name == "append":
                appends.setdefault(key, []).append(element)
                _set_writer(found, number, key, element)
    return found


def _set_writer(found: Transactions, number: int, key: Hashable, element: Hashable) -> None:
    elements = found.writers.setdefault(key, {})
    if element in elements:
        first = found.operations[elements[element]]
        place = f"transactions called at {first.call} and {found.operations[number].call}"
        raise HistoryError(place, f"both append {element} to {key}: nobody can tell the two apart")
    elements[element] = number


def _collect_answered(found: Transactions, number: int, steps: Sequence[Step]) -> None:
    """Write down what a transaction read, each list once unless it changed behind its back."""
    known: dict[Hashable, Elements] = {}
    own: dict[Hashable, Elements] = {}
    for name, key, value in steps:
        if name == "append":
            own[key] = (*own.get(key, ()), value)
            if key in known:
                known[key] = (*known[key], value)
            continue
        appended = own.get(key, ())
        fits = value[len(value) - len(appended) :] == appended if appended else True
        if key in known:
            fits = fits and value == known[key]
        if not fits:
            found.internal.append(_internal(found, number, (key, value), known.get(key), appended))
        if key not in known or not fits:
            found.reads.setdefault(key, []).append(Read(number, value, len(appended) if fits else 0))
        known[key] = value


def _internal(
    found: Transactions, number: int, read: tuple[Hashable, Elements], known: Elements | None, own: Elements
) -> Anomaly:
    key, value = read
    wanted = f"{listed(known)}" if known is not None else f"a list that ends in {listed(own)}"
    text = f"T1 read {key} as {listed(value)}, but by its own steps it had to be {wanted}"
    return anomaly("internal", [text], [found.operations[number]])


def anomaly(name: str, sentences: Sequence[str], operations: Sequence[Operation]) -> Anomaly:
    """Return an anomaly whose text begins with its transactions, called T1, T2 and so on in the sentences."""
    lines = [f"T{number} is {described(one)}" for number, one in enumerate(operations, 1)]
    return Anomaly(name, "\n".join([*lines, *sentences]), tuple(operations))


def described(operation: Operation) -> str:
    """Return a transaction in words."""
    answered = operation.outcome is Outcome.OK
    steps: Any = operation.output if answered else operation.input[1]
    words = ", ".join(
        f"append {value} to {key}"
        if name == "append"
        else f"read {key}{' ' + listed(value) if answered else ''}"
        for name, key, value in steps
    )
    end = f"answered at {operation.returned}" if answered else "never answered"
    if operation.outcome is Outcome.FAIL:
        end = "failed"
    return f"process {operation.process}: {words}; called at {operation.call}, {end}"


_SHOWN = 8


def listed(elements: Elements) -> str:
    """Return a list in words, of a long one the end."""
    dots = ["..."] if len(elements) > _SHOWN else []
    return f"[{' '.join([*dots, *map(str, elements[-_SHOWN:])])}]"
