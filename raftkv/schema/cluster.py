"""etcd's Cluster messages, names and numbers as in its 3.5 wire format."""

from dataclasses import dataclass

from raftkv.schema.base import Kind, bool_, message, repeated, string, uint64
from raftkv.schema.kv import ResponseHeader


@dataclass(slots=True)
class Member:
    """One member of the cluster; ``name`` and ``clientURLs`` are empty until it has started."""

    ID: int = uint64(1)
    name: str = string(2)
    peerURLs: list[str] = repeated(3, Kind.STRING)
    clientURLs: list[str] = repeated(4, Kind.STRING)
    isLearner: bool = bool_(5)


@dataclass(slots=True)
class MemberListRequest:
    """Ask for the members; ``linearizable`` False = as this member knows them."""

    linearizable: bool = bool_(1)


@dataclass(slots=True)
class MemberListResponse:
    """All members, sorted by id; the header carries no revision."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    members: list[Member] = repeated(2, Member)


@dataclass(slots=True)
class MemberAddRequest:
    """Add a member that will listen at ``peerURLs``, as a learner or with a vote."""

    peerURLs: list[str] = repeated(1, Kind.STRING)
    isLearner: bool = bool_(2)


@dataclass(slots=True)
class MemberAddResponse:
    """The new member, and all members with it."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    member: Member | None = message(2, Member)
    members: list[Member] = repeated(3, Member)


@dataclass(slots=True)
class MemberRemoveRequest:
    """Take a member out of the cluster for good."""

    ID: int = uint64(1)


@dataclass(slots=True)
class MemberRemoveResponse:
    """The members that are left."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    members: list[Member] = repeated(2, Member)


@dataclass(slots=True)
class MemberUpdateRequest:
    """Give a member other peer URLs."""

    ID: int = uint64(1)
    peerURLs: list[str] = repeated(2, Kind.STRING)


@dataclass(slots=True)
class MemberUpdateResponse:
    """All members, with the new URLs."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    members: list[Member] = repeated(2, Member)


@dataclass(slots=True)
class MemberPromoteRequest:
    """Give a learner its vote."""

    ID: int = uint64(1)


@dataclass(slots=True)
class MemberPromoteResponse:
    """All members, the learner a voter now."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    members: list[Member] = repeated(2, Member)
