"""etcd's Election messages (v3electionpb), names and numbers as in its 3.5 wire format."""

from dataclasses import dataclass

from raftkv.schema.base import bytes_, int64, message
from raftkv.schema.kv import KeyValue, ResponseHeader


@dataclass(slots=True)
class LeaderKey:
    """What a leader of an election holds: its key, that key's create revision ``rev``, its lease."""

    name: bytes = bytes_(1)
    key: bytes = bytes_(2)
    rev: int = int64(3)
    lease: int = int64(4)


@dataclass(slots=True)
class CampaignRequest:
    """Stand in the election ``name`` with a proposal, and wait until elected."""

    name: bytes = bytes_(1)
    lease: int = int64(2)
    value: bytes = bytes_(3)


@dataclass(slots=True)
class CampaignResponse:
    """Elected."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    leader: LeaderKey | None = message(2, LeaderKey)


@dataclass(slots=True)
class ProclaimRequest:
    """Replace the leader's proposal without another election."""

    leader: LeaderKey | None = message(1, LeaderKey)
    value: bytes = bytes_(2)


@dataclass(slots=True)
class ProclaimResponse:
    """Replaced."""

    header: ResponseHeader | None = message(1, ResponseHeader)


@dataclass(slots=True)
class LeaderRequest:
    """Ask who leads (or, in a stream, who leads from now on)."""

    name: bytes = bytes_(1)


@dataclass(slots=True)
class LeaderResponse:
    """The leader's key and proposal."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    kv: KeyValue | None = message(2, KeyValue)


@dataclass(slots=True)
class ResignRequest:
    """Give leadership up."""

    leader: LeaderKey | None = message(1, LeaderKey)


@dataclass(slots=True)
class ResignResponse:
    """Given up."""

    header: ResponseHeader | None = message(1, ResponseHeader)
