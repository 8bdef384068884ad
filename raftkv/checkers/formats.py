"""Readers of recorded histories: Jepsen's log, EDN, and the JSON lines of ``history/1``; a writer of the last.

All formats hold one event a line or item, in real-time order. What is no event of a client (other log
lines, the nemesis) is passed over in the first two; anything that is not understood is an error with file and line.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from raftkv.checkers import edn
from raftkv.checkers.history import Event, HistoryError, Operation, pair_events
from raftkv.checkers.models import CasRegister, KvAppend, Model
from raftkv.checkers.mvcc_kv import Kv, MvccKv

FORMAT = "history/1"
MODELS = (CasRegister.name, KvAppend.name, MvccKv.name)
_TYPES = ("invoke", "ok", "fail", "info")
_LOG_LINE = re.compile(r"\bjepsen\.util - (?P<process>\d+)\s+:(?P<type>invoke|ok|fail|info)\s+(?P<rest>.*)")
_ARGUMENTS = {"read": 0, "get": 0, "write": 1, "put": 1, "append": 1, "cas": 2}
"""Operation on one key -> how many arguments it has."""


class Recorded(NamedTuple):
    """A history from a file, and the model to hold it against, with the initial state that the file names."""

    operations: list[Operation]
    model: Model


def read_history(path: Path, model: str) -> Recorded:
    """Read a file in any of the formats, which its content tells.

    ``model`` is the name of the model the history is meant for: cas-register, kv-append or mvcc-kv. Raises
    ``HistoryError`` with file and line for what is no such history, ``OSError`` when the file can't be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise HistoryError(str(path), f"no text in UTF-8: {error.reason} at byte {error.start}") from None
    return parse_history(text, model, str(path))


def parse_history(text: str, model: str, name: str = "history") -> Recorded:
    """Read a history from the text of a file called ``name``; see ``read_history``."""
    header: dict[str, Any] = {}
    if text.lstrip().startswith('{"'):
        events, header = _json_lines(text, model, name)
    elif model == MvccKv.name:
        raise HistoryError(f"{name}:1", f"histories of {model} are JSON lines that start with a header")
    elif _LOG_LINE.search(text):
        events = _log_events(text, name)
    else:
        events = _edn_events(text, name)
    return Recorded(pair_events(_known(events, model)), make_model(model, header, f"{name}:1"))


def make_model(name: str, header: dict[str, Any], place: str = "header") -> Model:
    """Return a model with the initial state that a file's header tells, or the usual one."""
    if name == CasRegister.name:
        return CasRegister(_frozen(header.get("initial")))
    if name == KvAppend.name:
        return KvAppend(header.get("initial", ""))
    revision = header.get("initial_revision", 1)
    if not isinstance(revision, int):
        raise HistoryError(place, f"initial_revision is no whole number: {revision!r}")
    return MvccKv(revision)


def _known(events: Iterator[Event], model: str) -> Iterator[Event]:
    """Pass on the events, refusing those that the model has no rule for."""
    names = {CasRegister.name: CasRegister, KvAppend.name: KvAppend, MvccKv.name: MvccKv}[model].operations
    for event in events:
        if event.input[0] not in names:
            raise HistoryError(event.place, f"{model} has no operation {event.input[0]!r}")
        if model == KvAppend.name and not all(isinstance(value, str) for value in event.input[2:]):
            raise HistoryError(event.place, f"{model} takes strings: {event.input[2]!r}")
        yield event


# Jepsen's log and EDN


def _log_events(text: str, name: str) -> Iterator[Event]:
    for number, line in enumerate(text.splitlines(), 1):
        if found := _LOG_LINE.search(line):
            place = f"{name}:{number}"
            try:
                values = [value for _, value in edn.Reader(found["rest"]).values()]
            except edn.EdnError as error:
                raise HistoryError(place, str(error)) from None
            if not values:
                raise HistoryError(place, "an event without an operation")
            function, value = values[0], (values[1] if len(values) > 1 else None)
            event = _keyed_event(place, int(found["process"]), found["type"], (function, None, value))
            yield _compared(event)


def _edn_events(text: str, name: str) -> Iterator[Event]:
    """Read EDN by Knossos' conventions: ``:fail`` did not happen, and a read of nil has observed nothing."""
    try:
        for line, item in edn.Reader(text).items():
            place = f"{name}:{line}"
            if not isinstance(item, dict):
                raise HistoryError(place, f"expected an event, a map: {str(item)[:40]!r}")
            process, event_type = item.get(":process"), str(item.get(":type"))[1:]
            if event_type not in _TYPES or process is None:
                raise HistoryError(place, "an event needs :process and a :type of invoke, ok, fail or info")
            if isinstance(process, int):  # the others are Jepsen's own, such as :nemesis
                function, value = item.get(":f"), item.get(":value")
                unread = event_type == "ok" and function == ":read" and value is None
                parts = (function, item.get(":key"), value)
                yield _keyed_event(place, process, "fail" if unread else event_type, parts)
    except edn.EdnError as error:
        raise HistoryError(f"{name}:{error.line}", str(error)) from None


def _compared(event: Event) -> Event:
    """Turn the failure of a cas into what it is where nothing else is called so: "compared unequal", an answer."""
    if event.type == "fail" and event.input[0] == "cas":
        return event._replace(type="ok", output=False)
    return event


def _keyed_event(place: str, process: int, event_type: str, parts: tuple[Any, Any, Any]) -> Event:
    """Make an event of ``parts``: the operation's name, the key and the value, an argument or an answer."""
    name, key, value = str(parts[0]).removeprefix(":"), _frozen(parts[1]), _frozen(parts[2])
    if event_type != "invoke":
        return Event(place, process, event_type, (name, key), True if name == "cas" else value)
    count = _ARGUMENTS.get(name, 0)
    arguments = () if count == 0 else (value,) if count == 1 else value
    if not isinstance(arguments, tuple) or len(arguments) != count:
        raise HistoryError(place, f"{name} takes [from to]: {value!r}")
    return Event(place, process, event_type, (name, key, *arguments))


def _frozen(value: Any) -> Any:
    """Return a hashable copy, in which true and false differ from 1 and 0."""
    if isinstance(value, list | tuple):
        return tuple(_frozen(one) for one in value)
    if isinstance(value, dict):
        return tuple(sorted(((_frozen(key), _frozen(one)) for key, one in value.items()), key=repr))
    return f"#{value}".lower() if isinstance(value, bool) else value


# JSON lines


def _json_lines(text: str, model: str, name: str) -> tuple[Iterator[Event], dict[str, Any]]:
    lines = ((number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip())
    number, line = next(lines)
    header = _json_object(line, f"{name}:{number}")
    if header.get("format") != FORMAT:
        raise HistoryError(f"{name}:{number}", f'the first line must be a header with "format":"{FORMAT}"')
    if header.get("model") != model:
        raise HistoryError(f"{name}:{number}", f"a history of {header.get('model')!r}, not of {model!r}")
    return _json_events(lines, name), header


def _json_object(line: str, place: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise HistoryError(place, f"no JSON: {error}") from None
    if not isinstance(value, dict):
        raise HistoryError(place, "expected a JSON object")
    return value


def _json_events(lines: Iterator[tuple[int, str]], name: str) -> Iterator[Event]:
    for number, line in lines:
        place = f"{name}:{number}"
        item = _json_object(line, place)
        process, event_type = item.get("process"), item.get("type")
        if event_type not in _TYPES or not isinstance(process, int):
            raise HistoryError(place, "an event needs a numeric process and a type of invoke, ok, fail or info")
        if "op" not in item:
            parts = (item.get("f"), item.get("key"), item.get("value"))
            yield _compared(_keyed_event(place, process, event_type, parts))
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
    pairs = tuple((key, int(mod)) for key, mod in compares)
    return ("txn", pairs, tuple(map(_simple, then)), tuple(map(_simple, orelse)))


def _simple(op: Any) -> tuple[Any, ...]:
    if op[0] == "put":
        name, key, value = op
        return (name, key, _frozen(value))
    name, key = op
    return (str(name), key)


def _answer(request: tuple[Any, ...], result: Any) -> tuple[Any, Any]:
    """Read the answer of a request, in the shape that the model gives it."""
    revision = result.get("rev")
    if revision is not None and not isinstance(revision, int):
        raise ValueError(f"rev is no whole number: {revision!r}")
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
        return Kv(_frozen(value), int(create), int(mod), int(version))
    return int(told) if request[0] == "delete" else None
