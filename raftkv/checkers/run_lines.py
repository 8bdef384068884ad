"""Histories of leases, locks and elections as JSON lines.

The header, ``{"format": "history/1", "model": NAME, ...}``, has the parameters of the run by their names.
Where the true list of changes is known, ``{"persisted": [...]}`` comes next. Then an operation a line::

    {"process": 3, "call": 1.25, "returned": 1.31, "outcome": "ok", "op": ["grant", 7, 5], "result": [12, 5]}

``op`` and ``result`` are the operation and its answer in the shape of the model, with text for bytes. Without
an answer, ``returned`` and ``result`` are null. The file of watches begins in the same way.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from raftkv.checkers.change_lines import as_bytes, as_text, change_object, changes_of, whole
from raftkv.checkers.changes import Change
from raftkv.checkers.history import HistoryError, Operation, Outcome
from raftkv.checkers.json_lines import FORMAT, json_object
from raftkv.checkers.shapes import Shapes, fits

WRONG = (KeyError, IndexError, TypeError, ValueError, AttributeError)
"""What reading a value of a wrong shape raises."""


class Lines(NamedTuple):
    """The file of a run: its header, the changes, None if they are not known, and the rest with places."""

    header: dict[str, Any]
    changes: list[Change] | None
    rest: list[tuple[str, dict[str, Any]]]


def read_lines(text: str, model: str, name: str) -> Lines:
    """Read a file of a model, called ``name``. Raises ``HistoryError``."""
    lines = [(f"{name}:{at}", line) for at, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise HistoryError(name, "the file is empty")
    objects = [(place, json_object(line, place)) for place, line in lines]
    place, header = objects.pop(0)
    if header.get("format") != FORMAT:
        raise HistoryError(place, f'the first line must be a header with "format":"{FORMAT}"')
    if header.get("model") != model:
        raise HistoryError(place, f"a history of {header.get('model')!r}, not of {model!r}")
    if not objects or "persisted" not in objects[0][1]:
        return Lines(header, None, objects)
    place, persisted = objects.pop(0)
    try:
        return Lines(header, changes_of(persisted["persisted"]), objects)
    except WRONG as error:
        raise HistoryError(place, f"no list of changes: {error!r}") from None


def read_operations(lines: Lines, shapes: Shapes) -> list[Operation]:
    """Return the operations of a file. Raises ``HistoryError``."""
    return [_operation(item, place, shapes) for place, item in lines.rest]


def parameter(lines: Lines, name: str, default: float | None) -> Any:
    """Return a number of the header, or the default where it is not there. Raises ``HistoryError``."""
    found = lines.header.get(name, default)
    if found is not None and (isinstance(found, bool) or not isinstance(found, int | float)):
        raise HistoryError("header", f"{name} is no number: {found!r}")
    return found


def write_lines(
    model: str, header: dict[str, Any], changes: Sequence[Change] | None, rest: Iterable[dict[str, Any]]
) -> Iterator[str]:
    """Yield the lines, without line ends, of a file."""
    yield _line({"format": FORMAT, "model": model, **header})
    if changes is not None:
        yield _line({"persisted": [change_object(change) for change in changes]})
    yield from map(_line, rest)


def operation_object(operation: Operation) -> dict[str, Any]:
    """Return an operation for JSON."""
    answered = operation.outcome is not Outcome.UNKNOWN
    return {
        "process": operation.process,
        "call": operation.call,
        "returned": operation.returned if answered else None,
        "outcome": operation.outcome.value,
        "op": _texts(operation.input),
        "result": _texts(operation.output) if operation.outcome is Outcome.OK else None,
    }


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


def _operation(item: dict[str, Any], place: str, shapes: Shapes) -> Operation:
    try:
        outcome, name, arguments = Outcome(item["outcome"]), item["op"][0], _values(item["op"][1:])
        call, ended = _time(item["call"]), item["returned"]
        returned = None if outcome is Outcome.UNKNOWN else _time(ended)
        process, result = whole(item["process"]), _values(item["result"])
        wanted, answer = shapes[name]
    except WRONG as error:
        raise HistoryError(place, f"no operation of the model: {error!r}") from None
    if not fits(arguments, wanted):
        raise HistoryError(place, f"{name} does not take {item['op'][1:]}")
    if outcome is Outcome.OK and not fits(result, answer):
        raise HistoryError(place, f"{name} is not answered with {item['result']}")
    if returned is not None and returned < call:
        raise HistoryError(place, f"{name} returned before it was called")
    output = result if outcome is Outcome.OK else None
    return Operation(process, call, returned, (name, *arguments), output, outcome)


def _time(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"no time: {value!r}")
    return value


def _values(value: Any) -> Any:
    """Make of JSON what the models have: tuples and bytes."""
    if isinstance(value, list):
        return tuple(map(_values, value))
    return as_bytes(value) if isinstance(value, str) else value


def _texts(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_texts(one) for one in value]
    return as_text(value) if isinstance(value, bytes) else value
