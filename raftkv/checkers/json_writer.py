"""The writer of ``history/1``; the format is described in ``json_lines``."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

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

    Calls come before completions at the same time, so that what touches stays concurrent. Where a process
    goes on at the instant of its last answer that answer comes first. Of two processes that do so at one
    instant only one can: what the other goes on with is concurrent with both, and gets a new process number.
    """
    goes_on = _GoesOn(operations)
    moments: list[_Moment] = []
    for number in range(len(operations)):
        moments += [goes_on.call(number), goes_on.completion(number)]
    last = max((one.time for one in moments if one.time != _FOREVER), default=0)
    yield _line({"format": FORMAT, **header})
    for index, one in enumerate(sorted(moments)):
        head = {"index": index, "time": min(one.time, last), "process": goes_on.processes[one.number]}
        yield _line(head | describe(operations[one.number], completed=one.completes))


class _Moment(NamedTuple):
    """A call or a completion, in the order of the file. ``rank``: 0 calls, 1 who goes on, 2 completions.

    ``turn``: in what order those are that go on.
    """

    time: float
    rank: int
    turn: int
    completes: bool
    number: int


class _GoesOn:
    """Which operations follow others of their process at one instant. ``processes``: their numbers."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.processes = [operation.process for operation in operations]
        self._operations = operations
        self._turns: dict[int, int] = {}
        self._followed: set[int] = set()
        self._following: set[int] = set()
        new = max(self.processes, default=0) + 1
        owners: dict[float, int] = {}
        last: dict[int, int] = {}
        ordered = sorted(range(len(operations)), key=lambda number: _times(operations[number]))
        for turn, number in enumerate(ordered):
            self._turns[number] = turn
            call, process = operations[number].call, operations[number].process
            before, last[process] = last.get(process), number
            if before is None or operations[before].returned != call:
                continue
            if _is_answered(operations[before]) and owners.setdefault(call, process) == process:
                self._followed.add(before)
                self._following.add(number)
            else:
                self.processes[number], new = new, new + 1

    def call(self, number: int) -> _Moment:
        """Return where an operation's call is."""
        follows = number in self._following
        turn = self._turns[number] if follows else 0
        return _Moment(self._operations[number].call, int(follows), turn, completes=False, number=number)

    def completion(self, number: int) -> _Moment:
        """Return where an operation's completion is; one without an answer gets its info at the end."""
        operation, followed = self._operations[number], number in self._followed
        time = (operation.returned or 0) if _is_answered(operation) else _FOREVER
        turn = self._turns[number] if followed else 0
        return _Moment(time, 1 if followed else 2, turn, completes=True, number=number)


def _is_answered(operation: Operation) -> bool:
    return operation.outcome is not Outcome.UNKNOWN and operation.returned is not None


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
