"""What one node asks another, beside Raft's messages, and the bytes of it.

A question is a msgpack array ``[kind, fields...]``, its answer ``[0, value]`` or ``[1, error, argument]``.
A kind that the other does not know, because it is an older version, is refused as NotCapable.
"""

from typing import Any, NamedTuple, TypeAlias

import msgpack

from raftkv import errors
from raftkv.errors import PeerProtocolError, RaftKvError
from raftkv.raft import ChangeKind


class ChangeMembers(NamedTuple):
    """Append a change of the members; the asking node waits for it to be applied. No value."""

    change: ChangeKind
    member: int
    context: bytes


class KeepAlive(NamedTuple):
    """Let a lease begin anew. Value: its seconds, 0 = there is no such lease. May be repeated."""

    lease: int


class TimeToLive(NamedTuple):
    """How long does a lease last? Value: [seconds left, seconds granted], -1 left = there is no such lease.

    May be repeated.
    """

    lease: int


Question: TypeAlias = ChangeMembers | KeepAlive | TimeToLive

_KINDS: dict[int, type[Question]] = {1: ChangeMembers, 2: KeepAlive, 3: TimeToLive}
"""The numbers are spoken between versions and never change their meaning."""

_NUMBERS = {cls: number for number, cls in _KINDS.items()}

_CHANGES = [change.value for change in ChangeKind]

_REFUSALS: dict[str, type[RaftKvError]] = {
    cls.__name__: cls
    for cls in (
        errors.NotLeader,
        errors.NoLeader,
        errors.LeaderMoving,
        errors.ChangeRefused,
        errors.LearnerNotReady,
        errors.MemberExist,
        errors.MemberNotEnoughStarted,
        errors.MemberNotFound,
        errors.MemberNotLearner,
        errors.PeerURLExist,
        errors.TooManyLearners,
        errors.TooManyRequests,
        errors.RequestTimedOut,
        errors.NotCapable,
    )
}
"""What a node may answer instead of a value, by name."""


def encode_question(question: Question) -> bytes:
    """Return the bytes of a question."""
    fields: list[Any] = list(question)
    if isinstance(question, ChangeMembers):
        fields[0] = question.change.value
    packed: bytes = msgpack.packb([_NUMBERS[type(question)], *fields])
    return packed


def decode_question(data: bytes) -> Question:
    """Return the question in ``data``; raises NotCapable (a kind of a newer version), PeerProtocolError."""
    match _unpack(data):
        case [int(number), *_] if number not in _KINDS:
            raise errors.NotCapable(f"question {number} is not known to this version")
        case [1, str(change), int(member), bytes(context)] if change in _CHANGES:
            return ChangeMembers(ChangeKind(change), member, context)
        case [2, int(lease)]:
            return KeepAlive(lease)
        case [3, int(lease)]:
            return TimeToLive(lease)
    raise PeerProtocolError(f"not a question: {data[:40]!r}")


def encode_answer(value: Any) -> bytes:
    """Return the bytes of an answer."""
    packed: bytes = msgpack.packb([0, value])
    return packed


def encode_refusal(error: RaftKvError) -> bytes:
    """Return the bytes of a refusal; an error of another kind goes as a time-out: outcome unknown."""
    name = type(error).__name__
    if name not in _REFUSALS:
        name, error = "RequestTimedOut", errors.RequestTimedOut(f"the leader failed: {error}")
    arguments = [error.leader] if isinstance(error, errors.NotLeader) else [str(error)]
    packed: bytes = msgpack.packb([1, name, *arguments])
    return packed


def decode_answer(data: bytes) -> Any:
    """Return the value in an answer, or raise the refusal that it is; raises PeerProtocolError."""
    match _unpack(data):
        case [0, value]:
            return value
        case [1, "NotLeader", int(leader)]:
            raise errors.NotLeader(leader)
        case [1, str(name), str(text)] if name in _REFUSALS and name != "NotLeader":
            raise _REFUSALS[name](text)
    raise PeerProtocolError(f"not an answer: {data[:40]!r}")


def _unpack(data: bytes) -> Any:
    try:
        return msgpack.unpackb(data)
    except (ValueError, msgpack.UnpackException) as error:
        raise PeerProtocolError(f"neither question nor answer: {data[:40]!r}") from error
