"""Histories: what clients asked for, when, and what they were told.

An ``Operation`` is one request of one client, from its call to its answer. Its outcome is one of three:

- ``OK``: it was answered, and the answer is an observation. "Compared unequal" is such an answer.
- ``FAIL``: it certainly did not take effect, and tells nothing.
- ``UNKNOWN``: no answer came, or one that leaves the effect open (time-out, lost connection). It may take
  effect at any moment after its call, even long after the client gave up, or never.

The process of an operation without an answer is not used again, because nobody knows when that operation
ends.
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

    ``call`` and ``returned`` are on one clock of any unit; operations that touch at one instant count as
    concurrent. ``returned`` of an unknown outcome is not used. ``input`` is a tuple that starts with the
    operation's name, ``output`` the answer; their shapes are the model's, and both are hashable.
    """

    process: int
    call: float
    returned: float | None
    input: tuple[Any, ...]
    output: Hashable = None
    outcome: Outcome = Outcome.OK


class Event(NamedTuple):
    """One line of a recorded history; ``place`` is for messages.

    ``type`` is invoke, ok (answered), fail (no effect, and nothing observed) or info (nobody knows).
    ``input`` is the request, in a completion perhaps only the start of it; ``output`` the answer in an ok.
    """

    place: str
    process: int
    type: str
    input: tuple[Any, ...]
    output: Hashable = None


class _Open(NamedTuple):
    """The last operation of a process, as long as its end is not known."""

    number: int
    position: int
    invocation: Event
    given_up: bool = False


def pair_events(events: Iterable[Event]) -> list[Operation]:
    """Make operations, in the order of their calls, out of events in real-time order.

    Times are positions in the sequence of events. An invocation without a completion has an unknown outcome.
    Raises ``HistoryError`` for a completion without an invocation, and for a process that goes on while its
    operation is open or after one whose outcome is unknown.
    """
    operations: list[Operation] = []
    processes: dict[int, _Open] = {}
    for position, event in enumerate(events):
        last = processes.get(event.process)
        if event.type == "invoke":
            _check_free(last, event)
            processes[event.process] = _Open(len(operations), position, event)
            # Until a completion says otherwise, and it may never come.
            operations.append(Operation(event.process, position, None, event.input, None, Outcome.UNKNOWN))
        elif last is None or last.given_up:
            raise HistoryError(event.place, f"process {event.process} completes an operation, but has none")
        elif event.type == "info":
            processes[event.process] = last._replace(given_up=True)
        else:
            operations[last.number] = _completed(last, position, event)
            del processes[event.process]
    return operations


def _check_free(last: _Open | None, event: Event) -> None:
    if last is not None:
        why = "has an unknown outcome" if last.given_up else "is still open"
        raise HistoryError(
            event.place, f"process {event.process} starts an operation while its last one {why}"
        )


def _completed(opened: _Open, position: int, completion: Event) -> Operation:
    request = opened.invocation.input
    if request[: len(completion.input)] != completion.input:
        began = f"{request} of {opened.invocation.place}"
        raise HistoryError(completion.place, f"{completion.input} completes {began}")
    outcome = Outcome.OK if completion.type == "ok" else Outcome.FAIL
    return Operation(completion.process, opened.position, position, request, completion.output, outcome)
