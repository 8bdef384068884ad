"""etcd's Maintenance messages, names and numbers as in its 3.5 wire format."""

from dataclasses import dataclass
from enum import IntEnum

from raftkv.schema.base import Kind, bool_, bytes_, enum, int64, message, repeated, string, uint32, uint64
from raftkv.schema.kv import ResponseHeader


class AlarmType(IntEnum):
    """What is wrong with a member; NONE asks for all."""

    NONE = 0
    NOSPACE = 1
    CORRUPT = 2


class AlarmAction(IntEnum):
    """AlarmRequest.AlarmAction."""

    GET = 0
    ACTIVATE = 1
    DEACTIVATE = 2


class DowngradeAction(IntEnum):
    """DowngradeRequest.DowngradeAction."""

    VALIDATE = 0
    ENABLE = 1
    CANCEL = 2


@dataclass(slots=True)
class StatusRequest:
    """Ask one member for its own state."""


@dataclass(slots=True)
class StatusResponse:
    """One member's own state."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    version: str = string(2)
    dbSize: int = int64(3)
    leader: int = uint64(4)
    raftIndex: int = uint64(5)
    raftTerm: int = uint64(6)
    raftAppliedIndex: int = uint64(7)
    errors: list[str] = repeated(8, Kind.STRING)
    dbSizeInUse: int = int64(9)
    isLearner: bool = bool_(10)


@dataclass(slots=True)
class AlarmRequest:
    """List alarms, or raise or clear the alarm of exactly one member (0 is a member too, not all)."""

    action: int = enum(1, AlarmAction)
    memberID: int = uint64(2)
    alarm: int = enum(3, AlarmType)


@dataclass(slots=True)
class AlarmMember:
    """An alarm that is raised."""

    memberID: int = uint64(1)
    alarm: int = enum(2, AlarmType)


@dataclass(slots=True)
class AlarmResponse:
    """The alarms raised, or the one that was changed."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    alarms: list[AlarmMember] = repeated(2, AlarmMember)


@dataclass(slots=True)
class DefragmentRequest:
    """Let one member give up the room that it does not need."""


@dataclass(slots=True)
class DefragmentResponse:
    """Done; as in etcd the header is never filled."""

    header: ResponseHeader | None = message(1, ResponseHeader)


@dataclass(slots=True)
class SnapshotRequest:
    """Ask one member for all its data."""


@dataclass(slots=True)
class SnapshotResponse:
    """One piece of a backup, at most 32 KiB; the last one is the SHA-256 of all pieces before it."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    remaining_bytes: int = uint64(2)
    blob: bytes = bytes_(3)


@dataclass(slots=True)
class HashRequest:
    """Ask one member for a hash of everything it stores."""


@dataclass(slots=True)
class HashResponse:
    """The hash of one member's whole storage: for tests of one member, not for comparing two."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    hash: int = uint32(2)


@dataclass(slots=True)
class HashKVRequest:
    """Ask for a hash of the keys and their history up to ``revision`` (0: now)."""

    revision: int = int64(1)


@dataclass(slots=True)
class HashKVResponse:
    """The hash: equal on all members at an equal revision and compact revision."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    hash: int = uint32(2)
    compact_revision: int = int64(3)


@dataclass(slots=True)
class MoveLeaderRequest:
    """Ask the leader to hand leadership to ``targetID``."""

    targetID: int = uint64(1)


@dataclass(slots=True)
class MoveLeaderResponse:
    """Done; as in etcd the header is never filled."""

    header: ResponseHeader | None = message(1, ResponseHeader)


@dataclass(slots=True)
class DowngradeRequest:
    """Check, begin or give up a downgrade of the cluster to ``version``."""

    action: int = enum(1, DowngradeAction)
    version: str = string(2)


@dataclass(slots=True)
class DowngradeResponse:
    """The cluster's version."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    version: str = string(2)
