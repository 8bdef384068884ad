"""Readers of what Jepsen writes: its log, and EDN.

What is no event of a client (other log lines, the nemesis) is passed over.
"""

import re
from collections.abc import Iterator

from raftkv.checkers import edn
from raftkv.checkers.history import Event, HistoryError
from raftkv.checkers.keyed_events import TYPES, compared, keyed_event

_LOG_LINE = re.compile(r"\bjepsen\.util - (?P<process>\d+)\s+:(?P<type>invoke|ok|fail|info)\s+(?P<rest>.*)")


def is_log(text: str) -> bool:
    """Tell whether a text has a line of Jepsen's log that tells of a client."""
    return _LOG_LINE.search(text) is not None


def log_events(text: str, name: str) -> Iterator[Event]:
    """Read the log of one register: lines ``jepsen.util - PROCESS :TYPE :F VALUE``."""
    for number, line in enumerate(text.split("\n"), 1):
        if found := _LOG_LINE.search(line):
            place = f"{name}:{number}"
            try:
                values = [value for _, value in edn.Reader(found["rest"]).values()]
            except edn.EdnError as error:
                raise HistoryError(place, str(error)) from None
            if not values:
                raise HistoryError(place, "an event without an operation")
            function, value = values[0], (values[1] if len(values) > 1 else None)
            event = keyed_event(place, int(found["process"]), found["type"], (function, None, value))
            yield compared(event)


def edn_events(text: str, name: str) -> Iterator[Event]:
    """Read EDN by Knossos' conventions: ``:fail`` did not happen, and a read of nil has observed nothing."""
    try:
        for line, item in edn.Reader(text).items():
            place = f"{name}:{line}"
            if not isinstance(item, dict):
                raise HistoryError(place, f"expected an event, a map: {str(item)[:40]!r}")
            process, event_type = item.get(":process"), str(item.get(":type"))[1:]
            if event_type not in TYPES or process is None:
                raise HistoryError(place, "an event needs :process and a :type of invoke, ok, fail or info")
            if type(process) is int:  # the others are Jepsen's own, such as :nemesis
                function, value = item.get(":f"), item.get(":value")
                unread = event_type == "ok" and function == ":read" and value is None
                parts = (function, item.get(":key"), value)
                yield keyed_event(place, process, "fail" if unread else event_type, parts)
    except edn.EdnError as error:
        raise HistoryError(f"{name}:{error.line}", str(error)) from None
