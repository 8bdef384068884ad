"""The writer of ``history/1``; the format is described in ``json_lines``."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.json_lines import FORMAT
from raftkv.checkers.models import Model
from raftkv.checkers.mvcc_kv import MvccKv, done_requests, result_of, revision_of

_FOREVER = float("inf")


def write_history(operations: Sequence[Operation], model: Model) -> Iterator[str]:
    """Yield the lines, without line ends, of a history of this model.

    Keys and values must be what JSON has. An operation without an answer gets its info at the end. A cas that
    certainly did not happen is left out: in this format a cas that fails has compared unequal.
    """
    kept = [one for one in operations if one.outcome is not Outcome.FAIL or one.input[0] != "cas"]
    describe = _mvcc_event if isinstance(model, MvccKv) else _keyed_event
    return write_events(kept, {"model": model.name, **_initial(model)}, describe)


class Describe(Protocol):
    """Says what stands in the line of an operation's call or completion, besides time and process."""

    def __call__(self, operation: Operation, *, completed: bool) -> dict[str, Any]:
        """Return the fields, ``type`` among them."""


def write_events(
    operations: Sequence[Operation], header: dict[str, Any], describe: Describe
) -> Iterator[str]:
    """Yield a header and a line for each call and completion, in real-time order.

    Calls come before completions at the same time, so that what touches stays concurrent. A client that goes
    on at that instant has another process number there, for its last operation is still open.
    """
    processes = _processes(operations)
    moments: list[tuple[float, int, int]] = []
    for number, operation in enumerate(operations):
        unknown = operation.outcome is Outcome.UNKNOWN or operation.returned is None
        moments.append((operation.call, 0, number))
        moments.append((_FOREVER if unknown else operation.returned or 0, 1, number))
    last = max((time for time, _, _ in moments if time != _FOREVER), default=0)
    yield _line({"format": FORMAT, **header})
    for index, (time, completes, number) in enumerate(sorted(moments)):
        head = {"index": index, "time": min(time, last), "process": processes[number]}
        yield _line(head | describe(operations[number], completed=bool(completes)))


def _processes(operations: Sequence[Operation]) -> list[int]:
    """Return the process numbers of operations, new ones for those called when their last one returned."""
    processes = [operation.process for operation in operations]
    new = max(processes, default=0) + 1
    returned: dict[int, float | None] = {}
    for number in sorted(range(len(operations)), key=lambda number: _times(operations[number])):
        operation = operations[number]
        if returned.get(operation.process) == operation.call:
            processes[number], new = new, new + 1
        returned[operation.process] = operation.returned
    return processes


def _times(operation: Operation) -> tuple[float, float]:
    return operation.call, _FOREVER if operation.returned is None else operation.returned


def _initial(model: Model) -> dict[str, Any]:
    if isinstance(model, MvccKv):
        return {"initial_revision": model.initial_revision}
    return {"initial": model.initial}


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def event_type(operation: Operation, *, completed: bool) -> str:
    """Return invoke, ok, fail or info."""
    if not completed:
        return "invoke"
    return {Outcome.OK: "ok", Outcome.FAIL: "fail", Outcome.UNKNOWN: "info"}[operation.outcome]


def _keyed_event(operation: Operation, *, completed: bool) -> dict[str, Any]:
    name, key, *arguments = operation.input
    kind = event_type(operation, completed=completed)
    value: Any = arguments[0] if arguments else None
    if name == "cas":
        value = arguments
        kind = "fail" if kind == "ok" and not operation.output else kind
    elif kind == "ok" and not arguments:
        value = operation.output
    return {"type": kind, "f": name, "key": key, "value": value}


def _mvcc_event(operation: Operation, *, completed: bool) -> dict[str, Any]:
    event = {"type": event_type(operation, completed=completed), "op": _op(operation.input)}
    return event | {"result": _result(operation)} if event["type"] == "ok" else event


def _op(request: tuple[Any, ...]) -> list[Any]:
    if request[0] != "txn":
        return list(request)
    _, compares, then, orelse = request
    compared = compares[0] if len(compares) == 1 else (compares,)
    return ["txn", *compared, then, orelse]


def _result(operation: Operation) -> dict[str, Any]:
    revision, result = revision_of(operation), result_of(operation)
    if operation.input[0] == "txn":
        return {"rev": revision, "succeeded": result[0], "results": result[1]}
    [request] = done_requests(operation)
    named = {"get": "kv", "delete": "deleted"}.get(request[0])
    return {"rev": revision} if named is None else {"rev": revision, named: result}
