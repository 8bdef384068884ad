"""etcd's Lease messages, names and numbers as in its 3.5 wire format."""

from dataclasses import dataclass

from raftkv.schema.base import Kind, bool_, int64, message, repeated, string
from raftkv.schema.kv import ResponseHeader


@dataclass(slots=True)
class LeaseGrantRequest:
    """Make a lease of ``TTL`` seconds; ``ID`` 0: the server picks one."""

    TTL: int = int64(1)
    ID: int = int64(2)


@dataclass(slots=True)
class LeaseGrantResponse:
    """The lease, and the seconds granted; ``error`` is never set."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    ID: int = int64(2)
    TTL: int = int64(3)
    error: str = string(4)


@dataclass(slots=True)
class LeaseRevokeRequest:
    """End a lease and delete its keys."""

    ID: int = int64(1)


@dataclass(slots=True)
class LeaseRevokeResponse:
    """The revision after the deletion."""

    header: ResponseHeader | None = message(1, ResponseHeader)


@dataclass(slots=True)
class LeaseCheckpoint:
    """The seconds that a lease has left (only in the log)."""

    ID: int = int64(1)
    remaining_TTL: int = int64(2)


@dataclass(slots=True)
class LeaseCheckpointRequest:
    """Keep for the next leader how long leases have left (only in the log)."""

    checkpoints: list[LeaseCheckpoint] = repeated(1, LeaseCheckpoint)


@dataclass(slots=True)
class LeaseCheckpointResponse:
    """Kept."""

    header: ResponseHeader | None = message(1, ResponseHeader)


@dataclass(slots=True)
class LeaseKeepAliveRequest:
    """Let a lease begin anew."""

    ID: int = int64(1)


@dataclass(slots=True)
class LeaseKeepAliveResponse:
    """The lease's new seconds; ``TTL`` 0: there is no such lease. The header is from before."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    ID: int = int64(2)
    TTL: int = int64(3)


@dataclass(slots=True)
class LeaseTimeToLiveRequest:
    """Ask how long a lease has left, and for its keys."""

    ID: int = int64(1)
    keys: bool = bool_(2)


@dataclass(slots=True)
class LeaseTimeToLiveResponse:
    """Whole seconds left, rounded down; ``TTL`` -1: there is no such lease."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    ID: int = int64(2)
    TTL: int = int64(3)
    grantedTTL: int = int64(4)
    keys: list[bytes] = repeated(5, Kind.BYTES)


@dataclass(slots=True)
class LeaseLeasesRequest:
    """Ask for the ids of all leases."""


@dataclass(slots=True)
class LeaseStatus:
    """One lease of a list."""

    ID: int = int64(1)


@dataclass(slots=True)
class LeaseLeasesResponse:
    """All leases."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    leases: list[LeaseStatus] = repeated(2, LeaseStatus)
