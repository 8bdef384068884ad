"""The members of the cluster as the log tells of them: the same list on every member."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

import msgpack

from raftkv.errors import (
    FormatTooNew,
    MemberExist,
    MemberNotFound,
    MemberNotLearner,
    PeerProtocolError,
    PeerURLExist,
    TooManyLearners,
)
from raftkv.mvcc.commands import PublishMember, RequestId
from raftkv.mvcc.level import FIRST, LEVEL
from raftkv.mvcc.parts import CopiedDump

FORMAT_VERSION = 1


class MemberInfo(NamedTuple):
    """One member; ``name`` and ``client_urls`` are empty until it has started and said so."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    is_learner: bool


class ChangeOf(StrEnum):
    """What a change does to one member; the words are in every log and never change their meaning."""

    ADD = "add"
    PROMOTE = "promote"
    REMOVE = "remove"
    UPDATE = "update"


class MemberChange(NamedTuple):
    """One change of the members' list, and the request that it answers."""

    request_id: RequestId
    kind: ChangeOf
    member: MemberInfo


def encode_change(change: MemberChange) -> bytes:
    """Return the context of a configuration entry that changes one member."""
    packed: bytes = msgpack.packb([FORMAT_VERSION, change.request_id, str(change.kind), change.member])
    return packed


def encode_members(members: Iterable[MemberInfo]) -> bytes:
    """Return a list of all members, the same for the same members."""
    packed: bytes = msgpack.packb([FORMAT_VERSION, sorted(members)])
    return packed


def encode_bootstrap(members: Iterable[MemberInfo], level: int = LEVEL) -> bytes:
    """Return the context of a new cluster's first entry: its members, and the level that it begins at.

    All of them make the same entry, so they have to be of one level: a cluster of several is no new one.
    """
    packed: bytes = msgpack.packb([FORMAT_VERSION, sorted(members), level])
    return packed


def level_in(data: bytes) -> int:
    """Return the level that the context of a configuration entry gives the cluster."""
    match msgpack.unpackb(data, use_list=False):
        case (_, tuple(), int(level)):
            return level
    return FIRST


def decode_members(data: bytes) -> list[MemberInfo]:
    """Return the members in ``data``; raises FormatTooNew, PeerProtocolError."""
    decoded = decode_context(data)
    if isinstance(decoded, MemberChange):
        raise PeerProtocolError(f"not a list of members: {data[:40]!r}")
    return decoded


def decode_context(data: bytes) -> list[MemberInfo] | MemberChange:
    """Return what the context of a configuration entry says: all members, or one change.

    Raises FormatTooNew, PeerProtocolError.
    """
    try:
        values = msgpack.unpackb(data, use_list=False)
    except (ValueError, msgpack.UnpackException) as error:
        raise PeerProtocolError(f"not a list of members: {data[:40]!r}") from error
    match values:
        case (int(version), *_) if version > FORMAT_VERSION:
            raise FormatTooNew(f"the log holds members of format {version}; known here is {FORMAT_VERSION}")
        case (int(version), tuple(members)) | (int(version), tuple(members), int()) if (
            version == FORMAT_VERSION
        ):
            return [_member(fields) for fields in members]
        case (int(version), (int(), int(), int()) as request_id, str(kind), fields) if (
            version == FORMAT_VERSION and kind in list(ChangeOf)
        ):
            return MemberChange(RequestId(*request_id), ChangeOf(kind), _member(fields))
    raise PeerProtocolError(f"not a list of members: {data[:40]!r}")


def _member(fields: Any) -> MemberInfo:
    match fields:
        case (int(), str(), (*peer_urls,), (*client_urls,), bool()) if all(
            isinstance(url, str) for url in (*peer_urls, *client_urls)
        ):
            return MemberInfo(*fields)
    raise PeerProtocolError(f"not a member: {fields!r:.80}")


def check_change(members: Iterable[MemberInfo], kind: ChangeOf, told: MemberInfo, max_learners: int) -> None:
    """Refuse a change that does not fit the members, with etcd's errors in etcd's order."""
    by_id = {member.id: member for member in members}
    known = by_id.get(told.id)
    if kind is ChangeOf.ADD:
        if known is not None:
            raise MemberExist(f"member {told.id:x} is in the cluster already")
    elif known is None:
        raise MemberNotFound(f"member {told.id:x} is not in the cluster")
    elif kind is ChangeOf.PROMOTE and not known.is_learner:
        raise MemberNotLearner(f"member {told.id:x} is a voter already")
    if kind in (ChangeOf.ADD, ChangeOf.UPDATE):
        _check_urls(by_id.values(), told)
    learners = sum(member.is_learner for member in by_id.values())
    if kind is ChangeOf.ADD and told.is_learner and learners >= max_learners:
        raise TooManyLearners(f"{learners} learners are in the cluster already")


def _check_urls(members: Iterable[MemberInfo], told: MemberInfo) -> None:
    for member in members:
        for url in member.peer_urls:
            if member.id != told.id and url in told.peer_urls:
                raise PeerURLExist(f"{url} is that of member {member.id:x}")


class Membership:
    """The members' list."""

    name: ClassVar[str] = "members"
    version: ClassVar[int] = FORMAT_VERSION

    def __init__(self) -> None:
        self._members: dict[int, MemberInfo] = {}

    def members(self) -> list[MemberInfo]:
        """Return all members, sorted by id."""
        return sorted(self._members.values())

    def after(self, contexts: Iterable[bytes]) -> list[MemberInfo]:
        """Return what the members will be once the contexts of configuration entries are applied.

        Raises FormatTooNew, PeerProtocolError.
        """
        later = Membership()
        later._members = dict(self._members)
        for data in contexts:
            later.apply(data)
        return later.members()

    def apply_bootstrap(self, data: bytes) -> None:
        """Take over the members that the cluster starts with; raises what ``decode_members`` raises."""
        self._members = {member.id: member for member in decode_members(data)}

    def apply(self, data: bytes) -> RequestId | None:
        """Apply the context of a configuration entry; return the request that it answers, if one does.

        Raises FormatTooNew, PeerProtocolError, before anything is changed.
        """
        decoded = decode_context(data)
        if not isinstance(decoded, MemberChange):
            self._members = {member.id: member for member in decoded}
            return None
        self._change(decoded.kind, decoded.member)
        return decoded.request_id

    def _change(self, kind: ChangeOf, told: MemberInfo) -> None:
        known = self._members.get(told.id, told)
        match kind:
            case ChangeOf.ADD:
                self._members[told.id] = told
            case ChangeOf.PROMOTE:
                self._members[told.id] = known._replace(is_learner=False)
            case ChangeOf.REMOVE:
                self._members.pop(told.id, None)
            case ChangeOf.UPDATE:
                self._members[told.id] = known._replace(peer_urls=told.peer_urls)

    def publish(self, request: PublishMember) -> None:
        """Note a started member's name and client URLs; one that is no member (any more) is ignored."""
        member = self._members.get(request.id)
        if member is not None:
            urls = tuple(request.client_urls)
            self._members[request.id] = member._replace(name=request.name, client_urls=urls)

    def content(self) -> list[MemberInfo]:
        """See ``Part``."""
        return self.members()

    def dump(self) -> CopiedDump:
        """See ``Part``: one block, as in a bootstrap entry."""
        return CopiedDump([encode_members(self.members())])

    def load(self, data: bytes) -> None:
        """See ``Part``."""
        self.apply_bootstrap(data)

    def finish_load(self) -> bool:
        """See ``Part``: nothing is left to do."""
        return False
