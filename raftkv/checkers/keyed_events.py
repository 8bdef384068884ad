"""Events of operations on one key, as the formats write them: a name, a key and a value."""

from typing import Any

from raftkv.checkers.history import Event, HistoryError

TYPES = ("invoke", "ok", "fail", "info")
"""Types of events: the first begins an operation, the others complete it."""

_ARGUMENTS = {"read": 0, "get": 0, "write": 1, "put": 1, "append": 1, "cas": 2}
"""Operation -> how many arguments it has."""


def compared(event: Event) -> Event:
    """Turn a failed cas into an answer, for formats where that means "compared unequal" and nothing else."""
    if event.type == "fail" and event.input[0] == "cas":
        return event._replace(type="ok", output=False)
    return event


def keyed_event(place: str, process: int, event_type: str, parts: tuple[Any, Any, Any]) -> Event:
    """Make an event of ``parts``: the operation's name, the key and the value, an argument or an answer."""
    name, key, value = str(parts[0]).removeprefix(":"), frozen(parts[1]), frozen(parts[2])
    if event_type != "invoke":
        answers = {"cas": True, "read": value, "get": value} if event_type == "ok" else {}
        return Event(place, process, event_type, (name, key), answers.get(name))
    count = _ARGUMENTS.get(name, 0)
    arguments = () if count == 0 else (value,) if count == 1 else value
    if not isinstance(arguments, tuple) or len(arguments) != count:
        raise HistoryError(place, f"{name} takes [from to]: {value!r}")
    return Event(place, process, event_type, (name, key, *arguments))


def frozen(value: Any) -> Any:
    """Return a hashable copy, in which true and false differ from 1 and 0."""
    if isinstance(value, list | tuple):
        return tuple(frozen(one) for one in value)
    if isinstance(value, dict):
        return tuple(sorted(((frozen(key), frozen(one)) for key, one in value.items()), key=repr))
    return f"#{value}".lower() if isinstance(value, bool) else value
