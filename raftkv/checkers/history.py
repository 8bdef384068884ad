"""Histories: what clients asked for, when, and what they were told.

An ``Operation`` is one request of one client, from its call to its answer. Its outcome is one of three:

- ``OK``: it was answered, and the answer is an observation. "Compared unequal" is such an answer.
- ``FAIL``: it certainly did not take effect, and tells nothing.
- ``UNKNOWN``: no answer came, or one that leaves the effect open (time-out, connection lost, leader lost). It may take
  effect at any moment after its call, even long after the client gave up, or never.

The process of an operation without an answer is not used again, because nobody knows when that operation ends.
"""

from collections.abc import Hashable, Iterable
from enum import Enum
from typing import Any, NamedTuple

from raftkv.errors import RaftKvError


class HistoryError(RaftKvError):
    """A history can't be read: ``place`` (file and line) and what is wrong there."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


class Outcome(Enum):
    """What a client knows about its operation."""

    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Operation(NamedTuple):
    """One request of one client.

    ``call`` and ``returned`` are on one clock of any unit; operations that touch at one instant count as concurrent.
    ``returned`` of an unknown outcome is not used. ``input`` is a tuple that starts with the operation's name, ``output``
    the answer; their shapes are the model's, and both are hashable.
    """

    process: int
    call: float
    returned: float | None
    input: tuple[Any, ...]
    output: Hashable = None
    outcome: Outcome = Outcome.OK


class Event(NamedTuple):
    """One line of a recorded history. ``type`` is invoke, ok, fail or info; ``place`` is for messages."""

    place: str
    process: int
    type: str
    input: tuple[Any, ...]
    output: Hashable = None


def pair_events(events: Iterable[Event]) -> list[Operation]:
    """Make operations, in the order of their calls, out of events in real-time order.

    Times are positions in the sequence of events. An invocation without a completion has an unknown outcome.
    Raises ``HistoryError`` for a completion without an invocation, and for a process that goes on while its
    operation is open or after one whose outcome is unknown.
    """
    operations: list[Operation | None] = []
    opened: dict[int, tuple[int, int, Event]] = {}
    for position, event in enumerate(events):
        if event.type == "invoke":
            _check_free(opened, event)
            opened[event.process] = (len(operations), position, event)
            operations.append(None)
        else:
            if event.process not in opened or opened[event.process][2].type == "info":
                raise HistoryError(
                    event.place, f":{event.type} of process {event.process}, which has no open operation"
                )
            place, call, invocation = opened[event.process]
            operations[place] = _operation(invocation, call, position, event)
            if event.type == "info":
                opened[event.process] = (place, call, event)
            else:
                del opened[event.process]
    for place, call, event in opened.values():
        if event.type == "invoke":
            operations[place] = Operation(
                event.process, call, None, event.input, None, outcome_of("info", event.input)
            )
    return [operation for operation in operations if operation is not None]


def _check_free(opened: dict[int, tuple[int, int, Event]], event: Event) -> None:
    if event.process in opened:
        why = "is still open" if opened[event.process][2].type == "invoke" else "has an unknown outcome"
        raise HistoryError(
            event.place, f"process {event.process} starts an operation while its last one {why}"
        )


def _operation(invocation: Event, call: int, position: int, completion: Event) -> Operation:
    if completion.input[0] != invocation.input[0]:
        raise HistoryError(
            completion.place, f"completes {invocation.input[0]!r} of {invocation.place} as {completion.input[0]!r}"
        )
    outcome = outcome_of(completion.type, invocation.input)
    returned = None if outcome is Outcome.UNKNOWN else position
    return Operation(
        invocation.process, call, returned, invocation.input, completion.output, outcome
    )


def outcome_of(event_type: str, request: tuple[Any, ...]) -> Outcome:
    """Return the outcome that a completion of this type gives to a request.

    A cas that failed has compared unequal: an answer like any other, and an observation.
    """
    if event_type == "info":
        return Outcome.UNKNOWN
    if event_type == "ok" or (event_type == "fail" and request[0] == "cas"):
        return Outcome.OK
    return Outcome.FAIL
