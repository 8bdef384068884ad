"""The project's own format, ``history/1``: JSON lines, a header and then an event a line, in real-time order.

Header: ``{"format": "history/1", "model": NAME, ...}`` with ``initial`` or ``initial_revision``. An event
has ``process`` and ``type`` (invoke, ok, fail or info), and either ``f``, ``key`` and ``value`` or, for
mvcc-kv, ``op`` and ``result``:

- ``["get", k]`` -> ``kv``: ``[value, create_revision, mod_revision, version]`` or null
- ``["put", k, v]``
- ``["delete", k]`` -> ``deleted``
- ``["txn", k, mod_revision, then, else]``, or with compares ``["txn", [[k, mod_revision], ...], then, else]``
  -> ``succeeded`` and ``results``: a kv for a get, a number for a delete, null for a put

each with ``rev``, the store's revision after the operation. ``index`` and ``time`` are for people.
"""

import json
from collections.abc import Iterator
from typing import Any

from raftkv.checkers.history import Event, HistoryError
from raftkv.checkers.keyed_events import TYPES, compared, frozen, keyed_event
from raftkv.checkers.mvcc_kv import Kv

FORMAT = "history/1"


def json_events(text: str, model: str, name: str) -> tuple[Iterator[Event], dict[str, Any]]:
    """Return the events of a history of a model, and its header. Raises ``HistoryError``."""
    lines = ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())
    number, line = next(lines)
    header = json_object(line, f"{name}:{number}")
    if header.get("format") != FORMAT:
        raise HistoryError(f"{name}:{number}", f'the first line must be a header with "format":"{FORMAT}"')
    if header.get("model") != model:
        raise HistoryError(f"{name}:{number}", f"a history of {header.get('model')!r}, not of {model!r}")
    return _json_events(lines, name), header


def no_json(name: str) -> None:
    """Refuse NaN and Infinity, which Python reads: nothing compares with them as it has to."""
    raise ValueError(f"{name} is not JSON")


def json_object(line: str, place: str) -> dict[str, Any]:
    """Return the object that a line is; raises ``HistoryError``."""
    try:
        value = json.loads(line, parse_constant=no_json)
    except (ValueError, RecursionError) as error:
        raise HistoryError(place, f"no JSON: {error}") from None
    if not isinstance(value, dict):
        raise HistoryError(place, "expected a JSON object")
    return value


def _json_events(lines: Iterator[tuple[int, str]], name: str) -> Iterator[Event]:
    for number, line in lines:
        place = f"{name}:{number}"
        item = json_object(line, place)
        process, event_type = item.get("process"), item.get("type")
        if event_type not in TYPES or type(process) is not int:
            raise HistoryError(
                place, "an event needs a numeric process and a type of invoke, ok, fail or info"
            )
        if "op" not in item:
            parts = (item.get("f"), item.get("key"), item.get("value"))
            yield compared(keyed_event(place, process, event_type, parts))
            continue
        try:
            request = _request(item["op"])
            output = _answer(request, item["result"]) if event_type == "ok" else None
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise HistoryError(place, f"op or result has a wrong shape: {error!r}") from None
        yield Event(place, process, event_type, request, output)


def _request(op: Any) -> tuple[Any, ...]:
    """Read an operation of mvcc-kv; a txn compares one key, or a list of [key, mod_revision]."""
    if op[0] != "txn":
        return _simple(op)
    if isinstance(op[1], list):
        compares, then, orelse = op[1:]
    else:
        key, mod, then, orelse = op[1:]
        compares = [[key, mod]]
    pairs = tuple((frozen(key), _whole(mod)) for key, mod in compares)
    return ("txn", pairs, tuple(map(_simple, then)), tuple(map(_simple, orelse)))


def _simple(op: Any) -> tuple[Any, ...]:
    if op[0] == "put":
        name, key, value = op
        return (name, frozen(key), frozen(value))
    name, key = op
    if name not in ("get", "delete"):
        raise ValueError(f"no operation {name!r}")
    return (name, frozen(key))


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"no whole number: {value!r}")
    return value


def _answer(request: tuple[Any, ...], result: Any) -> tuple[Any, Any]:
    """Read the answer of a request, in the shape that the model gives it."""
    revision = None if result.get("rev") is None else _whole(result["rev"])
    if request[0] != "txn":
        told = {"get": "kv", "delete": "deleted"}.get(request[0])
        return revision, None if told is None else _result(request, result[told])
    succeeded = bool(result["succeeded"])
    branch = request[2] if succeeded else request[3]
    results = tuple(_result(one, told) for one, told in zip(branch, result["results"], strict=True))
    return revision, (succeeded, results)


def _result(request: tuple[Any, ...], told: Any) -> Any:
    if request[0] == "get" and told is not None:
        value, create, mod, version = told
        return Kv(frozen(value), _whole(create), _whole(mod), _whole(version))
    return _whole(told) if request[0] == "delete" else None
