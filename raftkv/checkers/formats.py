"""Reading a recorded history, whatever its format."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from raftkv.checkers.history import Event, HistoryError, Operation, pair_events
from raftkv.checkers.jepsen import edn_events, is_log, log_events
from raftkv.checkers.json_lines import json_events
from raftkv.checkers.keyed_events import frozen
from raftkv.checkers.models import CasRegister, KvAppend, Model
from raftkv.checkers.mvcc_kv import MvccKv

_OPERATIONS = {model.name: model.operations for model in (CasRegister, KvAppend, MvccKv)}


class Recorded(NamedTuple):
    """A history from a file, and the model to hold it against, with its initial state."""

    operations: list[Operation]
    model: Model


def read_history(path: Path, model: str) -> Recorded:
    """Read a file in any of the formats, which its content tells: Jepsen's log, EDN, or JSON lines.

    ``model`` is the name of the model that the history is meant for: cas-register, kv-append or mvcc-kv.
    Raises ``HistoryError`` with file and line for what is no such history, ``OSError`` when the file can't
    be read.
    """
    return parse_history(read_text(path), model, str(path))


def read_text(path: Path) -> str:
    """Read a file. Raises ``HistoryError`` for what is no text, ``OSError`` when the file can't be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise HistoryError(str(path), f"no text in UTF-8: {error.reason} at byte {error.start}") from None


def parse_history(text: str, model: str, name: str = "history") -> Recorded:
    """Read a history from the text of a file called ``name``; see ``read_history``.

    A register's initial value is what the header of JSON lines says, else nil; in EDN, which has no header,
    0, as Knossos' own tests have it.
    """
    header: dict[str, Any] = {}
    if not text.strip():
        raise HistoryError(name, "the file is empty")
    if re.match(r'\s*\{\s*"', text):
        events, header = json_events(text, model, name)
    elif model == MvccKv.name:
        raise HistoryError(f"{name}:1", f"histories of {model} are JSON lines that start with a header")
    elif is_log(text):
        events = log_events(text, name)
    else:
        events, header = edn_events(text, name), ({"initial": 0} if model == CasRegister.name else {})
    try:
        return Recorded(pair_events(_known(events, model)), _model(model, header, f"{name}:1"))
    except RecursionError:
        raise HistoryError(name, "values nest too deep") from None


def _model(name: str, header: dict[str, Any], place: str) -> Model:
    if name == MvccKv.name:
        revision = header.get("initial_revision", 1)
        if type(revision) is not int:
            raise HistoryError(place, f"initial_revision is no whole number: {revision!r}")
        return MvccKv(revision)
    if name == CasRegister.name:
        return CasRegister(frozen(header.get("initial")))
    initial = header.get("initial", "")
    if not isinstance(initial, str):
        raise HistoryError(place, f"initial is no string: {initial!r}")
    return KvAppend(initial)


def _known(events: Iterable[Event], model: str) -> Iterator[Event]:
    """Pass the events on, refusing those that the model has no rule for."""
    for event in events:
        if event.input[0] not in _OPERATIONS[model]:
            raise HistoryError(event.place, f"{model} has no operation {event.input[0]!r}")
        if model == KvAppend.name and not all(isinstance(value, str) for value in event.input[2:]):
            raise HistoryError(event.place, f"{model} takes strings: {event.input[2]!r}")
        yield event
