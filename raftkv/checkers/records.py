"""Histories of list-append, bank, set and counter, read and written.

They are JSON, lines or one array of objects, with or without the header of ``history/1``; or EDN. An event
has ``process``, ``type`` (invoke, ok, fail or info), ``f`` and ``value``. Those of Jepsen's own processes,
which have names and no numbers, are passed over, and a read of null has seen nothing.

============  ====================================================================================
list-append   ``value`` is a list of ``["append", k, v]`` and ``["r", k, null]``, in an ok with the
              lists that were read; ``f`` is ``txn`` or left out
bank          ``transfer`` of ``{"from": a, "to": b, "amount": n}``; ``read`` gives ``{a: balance, ...}``
set           ``add`` of an element; ``read`` gives a list
counter       ``add`` of a number; ``read`` gives a number
============  ====================================================================================

The inputs and outputs of an ``Operation`` are the same as tuples: ``("txn", steps)`` (see ``transactions``),
``("transfer", a, b, n)``, ``("add", v)``, ``("read",)``. Accounts are strings, and a bank's read gives pairs,
sorted by account.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from raftkv.checkers import edn
from raftkv.checkers.history import Event, HistoryError, Operation, Outcome, pair_events
from raftkv.checkers.json_lines import FORMAT, no_json
from raftkv.checkers.json_writer import event_type, write_events
from raftkv.checkers.keyed_events import TYPES, frozen

LIST_APPEND, BANK, SET, COUNTER = "list-append", "bank", "set", "counter"

_JSON = re.compile(r'\s*(?P<array>\[)?\s*\{\s*"')
_BETWEEN = re.compile(r"[\s,]*")


class Records(NamedTuple):
    """A history from a text, and what its header says, if it has one."""

    operations: list[Operation]
    header: dict[str, Any]


def parse_records(text: str, model: str, name: str = "history") -> Records:
    """Read a history of one of these models from the text of a file called ``name``.

    Raises ``HistoryError`` with file and line for what is no such history.
    """
    if not text.strip():
        raise HistoryError(name, "the file is empty")
    header: dict[str, Any] = {}
    objects = _json_objects(text, name) if _JSON.match(text) else _edn_objects(text, name)
    try:
        operations = pair_events(_events(objects, model, header))
    except RecursionError:
        raise HistoryError(name, "values nest too deep") from None
    if model == LIST_APPEND:
        for operation in operations:
            _check_steps(operation, name)
    return Records(operations, header)


def _json_objects(text: str, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the values of JSON lines or of one array, each with its place."""
    decoder, line, counted = json.JSONDecoder(parse_constant=no_json), 1, 0
    array = _JSON.match(text)
    inside = array is not None and array["array"] is not None
    at = text.index("[") + 1 if inside else 0
    while (at := _end_of_gap(text, at)) < len(text):
        line, counted = line + text.count("\n", counted, at), at
        place = f"{name}:{line}"
        if inside and text[at] == "]":
            if text[at + 1 :].strip():
                raise HistoryError(place, "something follows the end of the array")
            return
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise HistoryError(place, f"no JSON: {error}") from None
        yield place, value
    if inside:
        raise HistoryError(f"{name}:{line}", "the text ends before ']'")


def _end_of_gap(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    return at if found is None else found.end()


def _edn_objects(text: str, name: str) -> Iterator[tuple[str, Any]]:
    try:
        for line, item in edn.Reader(text).items():
            yield f"{name}:{line}", _without_colons(item)
    except edn.EdnError as error:
        raise HistoryError(f"{name}:{error.line}", str(error)) from None


def _without_colons(value: Any) -> Any:
    """Return a value with keywords as strings."""
    if isinstance(value, str):
        return value.removeprefix(":")
    if isinstance(value, tuple):
        return tuple(map(_without_colons, value))
    if isinstance(value, dict):
        return {_without_colons(key): _without_colons(one) for key, one in value.items()}
    return value


def _events(objects: Iterable[tuple[str, Any]], model: str, header: dict[str, Any]) -> Iterator[Event]:
    """Turn objects into events; what a header in front of them says goes into ``header``."""
    shape = _SHAPES[model]
    for number, (place, item) in enumerate(objects):
        if not isinstance(item, dict):
            raise HistoryError(place, f"expected an event, an object: {str(item)[:40]!r}")
        if number == 0 and "format" in item:
            if item["format"] != FORMAT or item.get("model") != model:
                told = f"{item['format']} of {item.get('model')!r}"
                raise HistoryError(place, f"a history in {told}, not in {FORMAT} of {model!r}")
            header.update(item)
            continue
        process, kind = item.get("process"), item.get("type")
        if kind not in TYPES or process is None or isinstance(process, bool | float):
            raise HistoryError(place, "an event needs a process and a type of invoke, ok, fail or info")
        if isinstance(process, int):
            yield _event(place, (process, str(kind)), item, shape)


class _Shape(NamedTuple):
    """How the events of a model read. The functions raise ValueError and the like for another shape."""

    names: tuple[Any, ...]
    """What ``f`` may be."""
    request: Callable[[Any, Any], tuple[Any, ...]]
    """Takes f and the value of an invoke."""
    answer: Callable[[Any, Any], Any]
    """Takes f and the value of an ok."""


def _event(place: str, head: tuple[int, str], item: dict[str, Any], shape: _Shape) -> Event:
    (process, kind), name, value = head, item.get("f"), item.get("value")
    if name not in shape.names:
        raise HistoryError(place, f"the model has no operation {name!r}")
    if kind == "ok" and name == "read" and value is None:
        kind = "fail"
    try:
        if kind == "invoke":
            return Event(place, process, kind, shape.request(name, value))
        answer = shape.answer(name, value) if kind == "ok" else None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise HistoryError(place, f"the value has a wrong shape: {error!r}") from None
    return Event(place, process, kind, (name or "txn",), answer)


def _txn(_name: Any, steps: Any) -> tuple[Any, ...]:
    return ("txn", tuple(_step(name, key, value if name == "append" else None) for name, key, value in steps))


def _txn_answer(_name: Any, steps: Any) -> tuple[Any, ...]:
    return tuple(_step(name, key, (value or []) if name == "r" else value) for name, key, value in steps)


def _step(name: Any, key: Any, value: Any) -> tuple[Any, ...]:
    if name not in ("append", "r"):
        raise ValueError(f"no step {name!r}")
    plain = isinstance(value, list) and set(map(type, value)) <= {int, str}  # most lists, and long ones
    return (name, frozen(key), tuple(value) if plain else frozen(value))


def _check_steps(operation: Operation, name: str) -> None:
    """Refuse an answer whose steps are not those of the request."""
    if operation.outcome is Outcome.OK:
        told: Any = operation.output
        done = tuple((kind, key, value if kind == "append" else None) for kind, key, value in told)
        reads = (value for kind, _, value in told if kind == "r")
        if done != operation.input[1] or not all(isinstance(value, tuple) for value in reads):
            raise HistoryError(name, f"{operation.input[1]} was answered by {told}")


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"no whole number: {value!r}")
    return value


def _bank(name: Any, value: Any) -> tuple[Any, ...]:
    if name == "read":
        return ("read",)
    return ("transfer", str(value["from"]), str(value["to"]), _whole(value["amount"]))


def _bank_answer(name: Any, value: Any) -> Any:
    if name != "read":
        return None
    balances = {str(account): None if one is None else _whole(one) for account, one in value.items()}
    return tuple(sorted(balances.items()))


def _set(name: Any, value: Any) -> tuple[Any, ...]:
    return ("read",) if name == "read" else ("add", frozen(value))


def _set_answer(name: Any, value: Any) -> Any:
    return tuple(map(frozen, value)) if name == "read" else None


def _counter(name: Any, value: Any) -> tuple[Any, ...]:
    return ("read",) if name == "read" else ("add", _whole(value))


def _counter_answer(name: Any, value: Any) -> Any:
    return _whole(value) if name == "read" else None


_SHAPES = {
    LIST_APPEND: _Shape((None, "txn"), _txn, _txn_answer),
    BANK: _Shape(("read", "transfer"), _bank, _bank_answer),
    SET: _Shape(("read", "add"), _set, _set_answer),
    COUNTER: _Shape(("read", "add"), _counter, _counter_answer),
}


def write_records(operations: Sequence[Operation], model: str, **header: Any) -> Iterator[str]:
    """Yield the lines, without line ends, of a history of one of these models.

    ``header`` is what the model's check needs to know besides, such as ``total`` of a bank. Keys and elements
    must be what JSON has.
    """
    return write_events(
        operations, {"model": model, **header}, _described_balances if model == BANK else _described
    )


def _described(operation: Operation, *, completed: bool) -> dict[str, Any]:
    kind = event_type(operation, completed=completed)
    name, *arguments = operation.input
    value: Any = arguments[0] if arguments else None
    if kind == "ok" and name in ("txn", "read"):
        value = operation.output
    return {"type": kind, "f": name, "value": value}


def _described_balances(operation: Operation, *, completed: bool) -> dict[str, Any]:
    described = _described(operation, completed=completed)
    if operation.input[0] == "transfer":
        described["value"] = dict(zip(("from", "to", "amount"), operation.input[1:], strict=True))
    elif described["value"] is not None:
        described["value"] = dict(described["value"])
    return described
