"""One member in a picture: finds out what each step of its core has changed."""

from collections.abc import Callable
from typing import Any

from raftkv.raft import Entry, Message, Status
from raftkv.raft.ledger import (
    ChangeProposed,
    Compacted,
    Persisted,
    Proposed,
    ReadAsked,
    Received,
    Reported,
    Started,
    Step,
    Ticked,
    TransferAsked,
)
from raftkv.raft.messages import Heartbeat, HeartbeatReply
from raftkv.sim.wording import member_name

MOST_WAITING = 1000
"""Messages that have arrived and were not taken yet; older ones never will."""

DRAMATIC = ("role", "term", "vote", "snapshot")
"""A step that changes one of these matters by itself."""


class Lane:
    """What the steps so far say of one member. ``number`` is its position among the lanes.

    ``told``: texts of events since the last step. ``known``: the values of ``set`` in a document's steps.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.known: dict[str, Any] = {}
        self.told: list[str] = []
        self._log: dict[int, Entry] = {}
        self._last_event: object = None
        self._waiting: list[tuple[Message, int]] = []

    def arrived(self, message: Message, number: int) -> None:
        """Take note of a message that the core has not taken yet."""
        self._waiting = [*self._waiting[-MOST_WAITING:], (message, number)]

    def ended(self) -> None:
        """Take note that the member is down."""
        self._waiting.clear()
        self.told.clear()
        self._last_event = None

    def set(self, **values: Any) -> dict[str, Any]:
        """Take new values; return those that are different."""
        different = {name: value for name, value in values.items() if self.known.get(name) != value}
        self.known |= different
        return different

    def taken(self, step: Step, place: Callable[[Entry], int]) -> dict[str, Any] | None:
        """Return a step of a document without its time, or None when there is nothing to see.

        ``place`` gives the position of an entry in the document.
        """
        added = self._new_entries(step.after)
        different = self.set(**_values(step.after))
        is_new = step.event is not self._last_event
        self._last_event = step.event
        if not (different or added or self.told or (is_new and isinstance(step.event, Received))):
            return None
        found: dict[str, Any] = {"lane": self.number, "text": self._text(step)}
        if (weight := _weight(step, different, told=bool(self.told))) != 1:
            found["weight"] = weight
        if is_new and (number := self._message(step)) is not None:
            found["message"] = number
        if different:
            found["set"] = different
        if added:
            found["add"] = [place(entry) for entry in added]
        self.told = []
        return found

    def _new_entries(self, after: Status) -> list[Entry]:
        """Return the entries that are not as they were; forget what is gone."""
        log, fresh = after.log, []
        for index in range(log.last_index, log.first_index - 1, -1):
            entry = log.slice(index, index)[0]
            if self._log.get(index) == entry:
                break
            fresh.append(entry)
        for index in range(log.last_index + 1, self.known.get("last", 0) + 1):
            self._log.pop(index, None)
        self._log |= {entry.index: entry for entry in fresh}
        return fresh[::-1]

    def _text(self, step: Step) -> str:
        text = _event_text(step)
        if self.told:
            return f"{text}: {'; '.join(self.told)}"
        return text

    def _message(self, step: Step) -> int | None:
        """Return the number of the message that a step takes, and forget those before it."""
        if not isinstance(step.event, Received):
            return None
        for place, (message, number) in enumerate(self._waiting):
            if message == step.event.message:
                del self._waiting[place]
                return number
        return None


def _values(after: Status) -> dict[str, Any]:
    return {
        "role": after.role.value,
        "term": after.term,
        "vote": member_name(after.vote),
        "leader": member_name(after.leader),
        "commit": after.commit_index,
        "applied": after.applied_index,
        "durable": after.durable_index,
        "first": after.log.first_index,
        "last": after.log.last_index,
        "snapshot": after.snapshot.index if after.snapshot is not None else 0,
    }


def _weight(step: Step, different: dict[str, Any], *, told: bool) -> int:
    if any(name in different for name in DRAMATIC):
        return 2
    beat = isinstance(step.event, Received) and isinstance(step.event.message, Heartbeat | HeartbeatReply)
    quiet = beat or isinstance(step.event, Reported | Ticked)
    return 0 if quiet and not told and not set(different) - {"applied"} else 1


def _event_text(step: Step) -> str:
    match step.event:
        case Started():
            return f"starts with its log to {step.after.log.last_index} and term {step.after.term}"
        case Received(message):
            return f"takes {type(message).__name__} of {member_name(message.source)}"
        case Proposed():
            return "a command is proposed"
        case ReadAsked():
            return "a read is asked for"
        case ChangeProposed(change):
            return f"a change is proposed: {change.kind.value} {member_name(change.member)}"
        case TransferAsked(target):
            return f"is to hand leadership to {member_name(target)}"
        case Compacted(snapshot, _):
            return f"has a snapshot at {snapshot.index}"
        case Reported(peer):
            return f"hears about the link to {member_name(peer)}"
        case Persisted():
            return f"its log is on disk to {step.after.durable_index}"
        case _:
            return "time passes"
