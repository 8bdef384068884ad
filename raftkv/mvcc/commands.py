"""Commands: what an entry of the log says, and its bytes.

A command is encoded once, by the member that proposes it, and stays the same bytes in every log. It
is a msgpack array::

    [VERSION, member, boot, sequence, kind, user, auth_revision, fields]

``fields`` is the request in the positional form of ``raftkv.schema.packed``. A member that meets a
version or kind it does not know stops before it applies the entry: skipping it would make its content
differ from the others'.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple, TypeAlias

import msgpack

from raftkv.errors import FormatTooNew, PeerProtocolError
from raftkv.mvcc.level import FIRST, LEVEL, check_known
from raftkv.schema.kv import CompactionRequest, DeleteRangeRequest, PutRequest, TxnRequest
from raftkv.schema.lease import LeaseCheckpoint, LeaseGrantRequest, LeaseRevokeRequest
from raftkv.schema.maintenance import AlarmRequest
from raftkv.schema.packed import pack, unpack

FORMAT_VERSION = 1


class RequestId(NamedTuple):
    """Who asked: a member, which start of it (a number that grows), and the how-manieth request."""

    member: int
    boot: int
    sequence: int


class CommandKind(IntEnum):
    """What a command does; the numbers are in every log and never change their meaning."""

    PUT = 1
    DELETE_RANGE = 2
    TXN = 3
    COMPACT = 4
    ALARM = 5
    LEASE_GRANT = 6
    LEASE_REVOKE = 7
    LEASE_CHECKPOINT = 8
    LEASE_EXPIRE = 9
    PUBLISH_MEMBER = 16
    RAISE_LEVEL = 17


@dataclass(slots=True)
class PublishMember:
    """A member that has started tells its name and where clients reach it."""

    id: int = 0
    name: str = ""
    client_urls: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ExpireLease:
    """A leader revokes a lease because its time is over by the leader's clock, in ``term`` only.

    ``seen``: the index up to which the leader had applied. A lease that was granted after it has but the same
    id.
    """

    term: int
    id: int
    seen: int


@dataclass(slots=True)
class CheckpointLeases:
    """A leader keeps for the next one how long leases have left, in ``term`` only; ``seen`` as above."""

    term: int
    checkpoints: list[LeaseCheckpoint]
    seen: int


@dataclass(slots=True)
class RaiseLevel:
    """A leader lets the cluster use what all its members understand, in ``term`` only."""

    term: int
    level: int


CommandRequest: TypeAlias = (
    PutRequest
    | DeleteRangeRequest
    | TxnRequest
    | CompactionRequest
    | AlarmRequest
    | LeaseGrantRequest
    | LeaseRevokeRequest
    | ExpireLease
    | CheckpointLeases
    | RaiseLevel
    | PublishMember
)

_CLASSES: dict[int, type[CommandRequest]] = {
    CommandKind.PUT: PutRequest,
    CommandKind.DELETE_RANGE: DeleteRangeRequest,
    CommandKind.TXN: TxnRequest,
    CommandKind.COMPACT: CompactionRequest,
    CommandKind.ALARM: AlarmRequest,
    CommandKind.LEASE_GRANT: LeaseGrantRequest,
    CommandKind.LEASE_REVOKE: LeaseRevokeRequest,
    CommandKind.LEASE_CHECKPOINT: CheckpointLeases,
    CommandKind.LEASE_EXPIRE: ExpireLease,
    CommandKind.RAISE_LEVEL: RaiseLevel,
    CommandKind.PUBLISH_MEMBER: PublishMember,
}
_FIRST_KINDS = frozenset(
    {
        CommandKind.PUT,
        CommandKind.DELETE_RANGE,
        CommandKind.TXN,
        CommandKind.COMPACT,
        CommandKind.ALARM,
        CommandKind.PUBLISH_MEMBER,
    }
)
"""What every version knows; the others came with level 2."""

_KINDS = {cls: int(kind) for kind, cls in _CLASSES.items()}

_ENVELOPE: list[type] = [int, int, int, int, int, str, int]


class Command(NamedTuple):
    """A decoded command. ``user`` and ``auth_revision`` are who asked, for checks when it is applied."""

    request_id: RequestId
    kind: int
    user: str
    auth_revision: int
    request: CommandRequest


def level_of(request: CommandRequest) -> int:
    """Return the cluster's level from which on all members understand ``request``.

    By its kind: no field of a kind is newer than the kind so far. A put with a lease is not, for without a
    lease every version refuses it alike.
    """
    return FIRST if _KINDS[type(request)] in _FIRST_KINDS else LEVEL


def encode_command(
    request_id: RequestId, request: CommandRequest, user: str = "", auth_revision: int = 0
) -> bytes:
    """Return the bytes of a command; its kind follows from the class of ``request``."""
    kind = _KINDS[type(request)]
    packed: bytes = msgpack.packb(
        (FORMAT_VERSION, *request_id, kind, user, auth_revision, _fields_of(request))
    )
    return packed


def _fields_of(request: CommandRequest) -> list[Any]:
    match request:
        case PublishMember():
            return [request.id, request.name, request.client_urls]
        case ExpireLease():
            return [request.term, request.id, request.seen]
        case RaiseLevel():
            return [request.term, request.level]
        case CheckpointLeases():
            return [request.term, [pack(checkpoint) for checkpoint in request.checkpoints], request.seen]
        case _:
            return pack(request)


def decode_command(data: bytes) -> Command:
    """Return the command in ``data``.

    Raises FormatTooNew for a version or kind that is not known here, and PeerProtocolError for bytes
    that no proposer of this version writes.
    """
    values = _unpack_array(data)
    if values[0] != FORMAT_VERSION:
        raise FormatTooNew(f"the log holds a command of format {values[0]!r}; known here is {FORMAT_VERSION}")
    if [type(value) for value in values[:7]] != _ENVELOPE or len(values) != 8:
        raise PeerProtocolError(f"not a command: {data[:40]!r}")
    _, member, boot, sequence, kind, user, auth_revision, fields = values
    cls = _CLASSES.get(kind)
    if cls is None:
        raise FormatTooNew(f"the log holds a command of kind {kind}, which is not known here")
    try:
        request = _request(cls, fields)
    except ValueError as error:
        raise PeerProtocolError(f"a command of kind {kind} can't be decoded: {error}") from error
    return Command(RequestId(member, boot, sequence), kind, user, auth_revision, request)


def is_command(data: bytes) -> bool:
    """Whether ``data`` is a command that is known here, so that it may enter a log."""
    try:
        decode_command(data)
    except (FormatTooNew, PeerProtocolError):
        return False
    return True


def _unpack_array(data: bytes) -> list[Any]:
    try:
        values = msgpack.unpackb(data)
    except (ValueError, msgpack.UnpackException) as error:
        raise PeerProtocolError(f"not a command: {data[:40]!r}") from error
    if not isinstance(values, list) or not values:
        raise PeerProtocolError(f"not a command: {data[:40]!r}")
    return values


def _request(cls: type[CommandRequest], fields: Any) -> CommandRequest:
    if cls is PublishMember:
        return _publish_member(fields)
    if cls is ExpireLease:
        return _expire_lease(fields)
    if cls is RaiseLevel:
        return _raise_level(fields)
    if cls is CheckpointLeases:
        return _checkpoint_leases(fields)
    return unpack(cls, fields)


def _publish_member(fields: Any) -> PublishMember:
    match fields:
        case [int(member_id), str(name), [*urls]] if all(isinstance(url, str) for url in urls):
            return PublishMember(member_id, name, urls)
    raise ValueError("not a member's id, name and client URLs")


def _expire_lease(fields: Any) -> ExpireLease:
    match fields:
        case [int(term), int(lease), int(seen)]:
            return ExpireLease(term, lease, seen)
    raise ValueError("not a term, a lease and an index")


def _raise_level(fields: Any) -> RaiseLevel:
    match fields:
        case [int(term), int(level)]:
            check_known(level)
            return RaiseLevel(term, level)
    raise ValueError("not a term and a level")


def _checkpoint_leases(fields: Any) -> CheckpointLeases:
    match fields:
        case [int(term), [*checkpoints], int(seen)]:
            return CheckpointLeases(term, [unpack(LeaseCheckpoint, one) for one in checkpoints], seen)
    raise ValueError("not a term, checkpoints and an index")
