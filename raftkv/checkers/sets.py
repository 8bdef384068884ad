"""Whether a set that only grows keeps what was added: each element is added once, reads give all of it."""

from collections.abc import Hashable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from raftkv.checkers.history import HistoryError, Operation, Outcome
from raftkv.checkers.verdict import Anomaly, Validity, Verdict, one_of_each

_NEVER = float("inf")


class _Read(NamedTuple):
    operation: Operation
    elements: frozenset[Hashable]


class _Set(NamedTuple):
    """A history: who added which element, and the answered reads in the order of their calls."""

    adds: dict[Hashable, Operation]
    reads: list[_Read]


def check_set(history: Sequence[Operation]) -> Verdict:
    """Say whether adds and reads (shape: ``records``) are linearizable, in Jepsen's words where not.

    ``lost``: acknowledged or read once, and missed by all later reads; ``stale``: missed by a read called
    after that, but there later; ``unexpected``: nobody can have added it by then; ``duplicated``: twice in
    one read. The verdict is ``UNKNOWN`` when no read was answered. Steps are elements of reads. Raises
    ``HistoryError`` when an element is added twice.
    """
    found = _collect(history)
    steps = sum(len(read.elements) for read in found.reads)
    if not found.reads:
        return Verdict(Validity.UNKNOWN, 0, "no read was answered")
    anomalies = [*_duplicated(found), *_unexpected(found), *_missed(found)]
    return one_of_each(anomalies or [*_incomparable(found)] or [*_out_of_order(found)], steps)


def count_set(history: Sequence[Operation]) -> dict[str, int]:
    """Return how many adds were acknowledged, came to light by a read only, and were never read."""
    found = _collect(history)
    read = frozenset[Hashable]().union(*(one.elements for one in found.reads))
    outcomes = {element: add.outcome for element, add in found.adds.items()}
    return {
        "acknowledged": sum(one is Outcome.OK for one in outcomes.values()),
        "recovered": sum(one is Outcome.UNKNOWN and element in read for element, one in outcomes.items()),
        "never_read": sum(one is Outcome.OK and element not in read for element, one in outcomes.items()),
    }


def _collect(history: Sequence[Operation]) -> _Set:
    adds: dict[Hashable, Operation] = {}
    reads = []
    for operation in history:
        if operation.input[0] == "add":
            element = operation.input[1]
            if element in adds:
                place = f"adds called at {adds[element].call} and {operation.call}"
                raise HistoryError(place, f"both add {element}: nobody can tell the two apart")
            adds[element] = operation
        elif operation.outcome is Outcome.OK:
            output: Any = operation.output
            reads.append(_Read(operation, frozenset(output)))
    return _Set(adds, sorted(reads, key=lambda read: read.operation.call))


def _said(operation: Operation) -> str:
    what = "read" if operation.input[0] == "read" else f"add of {operation.input[1]}"
    end = f"answered at {operation.returned}" if operation.outcome is Outcome.OK else "never answered"
    return f"the {what} of process {operation.process} (called at {operation.call}, {end})"


def _duplicated(found: _Set) -> Iterator[Anomaly]:
    for read in found.reads:
        output: Any = read.operation.output
        if len(output) > len(read.elements):
            twice = next(one for place, one in enumerate(output) if one in output[:place])
            yield Anomaly("duplicated", f"{_said(read.operation)} saw {twice} twice", (read.operation,))
            return


def _unexpected(found: _Set) -> Iterator[Anomaly]:
    """Yield elements that were read, but never added, not yet, or by an add that failed."""
    checked: set[Hashable] = set()
    for read in sorted(found.reads, key=lambda read: _returned(read.operation)):
        output: Any = read.operation.output
        for element in output if len(read.elements - checked) else ():
            add = found.adds.get(element)
            if add is None:
                text = f"{_said(read.operation)} saw {element}, which nobody added"
                yield Anomaly("unexpected", text, (read.operation,))
            elif add.outcome is Outcome.FAIL:
                text = f"{_said(read.operation)} saw {element}, but its add failed"
                yield Anomaly("unexpected", text, (read.operation, add))
            elif add.call > _returned(read.operation):
                text = f"{_said(read.operation)} saw {element} before {_said(add)}"
                yield Anomaly("unexpected", text, (read.operation, add))
        checked |= read.elements


def _returned(operation: Operation) -> float:
    """Return when an operation was answered."""
    if operation.returned is None or operation.outcome is not Outcome.OK:
        return _NEVER
    return operation.returned


def _missed(found: _Set) -> Iterator[Anomaly]:
    """Yield elements that a read missed though something that was over before its call has them."""
    witnesses = [
        _Read(add, frozenset([element])) for element, add in found.adds.items() if add.outcome is Outcome.OK
    ]
    witnesses = sorted([*witnesses, *found.reads], key=lambda witness: _returned(witness.operation))
    known: dict[Hashable, Operation] = {}
    missed: dict[Hashable, _Read] = {}
    told = 0
    for read in found.reads:
        while told < len(witnesses) and _returned(witnesses[told].operation) < read.operation.call:
            operation, elements = witnesses[told]
            known.update((element, operation) for element in elements - known.keys())
            told += 1
        missed.update((element, read) for element in known.keys() - read.elements)
    for element in (one for one in found.adds if one in missed):
        read, witness = missed[element], known[element]
        later = next((one for one in reversed(found.reads) if element in one.elements), None)
        text = f"{_said(read.operation)} missed {element}, known since {_said(witness)}"
        if later is not None and later.operation.call > read.operation.call:
            text += f"; {_said(later.operation)} saw it"
            yield Anomaly("stale", text, (read.operation, witness, later.operation))
        else:
            yield Anomaly("lost", f"{text}; no later read saw it", (read.operation, witness))


def _incomparable(found: _Set) -> Iterator[Anomaly]:
    for less, more in pairwise(sorted(found.reads, key=lambda read: len(read.elements))):
        if not less.elements <= more.elements:
            pair = (less.operation, more.operation)
            text = f"{_said(pair[0])} and {_said(pair[1])} each saw something that the other did not"
            yield Anomaly("incompatible-order", text, pair)
            return


def _out_of_order(found: _Set) -> Iterator[Anomaly]:
    """Yield an add that a read saw without another one, which was over before it was called.

    The reads are comparable here, so they tell in which order the elements came.
    """
    seen: set[Hashable] = set()
    latest: Operation | None = None
    everything = frozenset(element for element, add in found.adds.items() if add.outcome is Outcome.OK)
    last = _Read(Operation(0, 0, None, ("read",)), everything)
    for read in [*sorted(found.reads, key=lambda read: len(read.elements)), last]:
        new = read.elements - seen
        added = [add for element, add in found.adds.items() if element in new]
        for add in added:
            if latest is not None and _returned(add) < latest.call:
                text = (
                    f"a read saw the later one of {_said(add)} and {_said(latest)}, but not the earlier one"
                )
                yield Anomaly("out-of-order", text, (add, latest))
                return
        latest = max([*added, *([latest] if latest else [])], key=lambda add: add.call, default=None)
        seen |= read.elements
