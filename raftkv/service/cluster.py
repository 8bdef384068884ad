"""etcd's Cluster service: who the members are, and changes of that."""

import asyncio
from collections.abc import Callable, Iterable

from raftkv.errors import (
    ChangeRefused,
    ConfigError,
    LearnerNotReady,
    MemberBadURLs,
    NoLeader,
    RequestTimedOut,
)
from raftkv.mvcc.membership import MemberInfo
from raftkv.node.config import check_url, member_id
from raftkv.node.node import Node
from raftkv.raft import ChangeKind
from raftkv.schema.cluster import (
    Member,
    MemberAddRequest,
    MemberAddResponse,
    MemberListRequest,
    MemberListResponse,
    MemberPromoteRequest,
    MemberPromoteResponse,
    MemberRemoveRequest,
    MemberRemoveResponse,
    MemberUpdateRequest,
    MemberUpdateResponse,
)
from raftkv.schema.kv import ResponseHeader
from raftkv.service.header import complete
from raftkv.service.reconfiguration import check_addition, check_promotion, check_removal

AGAIN_SECONDS = 0.05
"""The pause before a change that has to wait for another one is tried once more."""


class ClusterService:
    """The membership calls of one member. As in etcd the headers of their replies carry no revision.

    Changes raise RequestError (they do not fit the members, or are not safe now), LearnerNotReady,
    RequestTimedOut and NodeStopped (outcome unknown). ``clock`` tells the seconds since 1970.
    """

    def __init__(self, node: Node, clock: Callable[[], float]) -> None:
        self._node = node
        self._clock = clock

    async def member_list(self, request: MemberListRequest) -> MemberListResponse:
        """List the members sorted by id; ``linearizable`` waits for a read barrier first.

        Otherwise a change that is in force here counts although it is not committed yet.
        """
        if request.linearizable:
            await self._node.read_barrier()
            members = self._node.machine.membership.members()
        else:
            members = self._node.members()
        return MemberListResponse(self._header(), [_shown(member) for member in members])

    async def member_add(self, request: MemberAddRequest) -> MemberAddResponse:
        """Add a member, which is to be started after the answer.

        Its id follows from its peer URLs and the time, so that it can come back as another member.
        """
        urls = usable_peer_urls(request.peerURLs)
        if self._node.config.strict_reconfig_check:
            check_addition(self._node, is_learner=request.isLearner)
        new_id = member_id(urls, str(int(self._clock())))
        added = MemberInfo(new_id, "", urls, (), request.isLearner)
        kind = ChangeKind.ADD_LEARNER if request.isLearner else ChangeKind.ADD_VOTER
        members = await self._change(kind, added)
        return MemberAddResponse(self._header(), _shown(added), members)

    async def member_remove(self, request: MemberRemoveRequest) -> MemberRemoveResponse:
        """Remove a member for good; it stops by itself when it hears of it."""
        if self._node.config.strict_reconfig_check:
            check_removal(self._node, request.ID)
        members = await self._change(ChangeKind.REMOVE, _known_by_id(request.ID))
        return MemberRemoveResponse(self._header(), members)

    async def member_update(self, request: MemberUpdateRequest) -> MemberUpdateResponse:
        """Replace a member's peer URLs; etcd takes any, and none, and stops for ever on the former."""
        urls = usable_peer_urls(request.peerURLs)
        told = _known_by_id(request.ID)._replace(peer_urls=urls)
        members = await self._change(ChangeKind.UPDATE, told)
        return MemberUpdateResponse(self._header(), members)

    async def member_promote(self, request: MemberPromoteRequest) -> MemberPromoteResponse:
        """Let a learner vote that holds nine tenths of the leader's log."""
        if self._node.config.strict_reconfig_check:
            check_promotion(self._node)
        members = await self._change(ChangeKind.PROMOTE, _known_by_id(request.ID))
        return MemberPromoteResponse(self._header(), members)

    async def _change(self, kind: ChangeKind, member: MemberInfo) -> list[Member]:
        """Make a change, after others that are under way; return all members."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._node.config.request_timeout
        while True:
            try:
                members = await self._node.change_members(kind, member)
            except LearnerNotReady:
                raise
            except ChangeRefused as refused:
                if loop.time() >= until:
                    raise RequestTimedOut(str(refused)) from refused
                await asyncio.sleep(AGAIN_SECONDS)
            except NoLeader as error:
                if kind is ChangeKind.PROMOTE:
                    raise
                raise RequestTimedOut(str(error)) from error  # as etcd, whose proposals wait for a leader
            else:
                return [_shown(one) for one in members]

    def _header(self) -> ResponseHeader:
        header = ResponseHeader()
        complete(header, self._node)
        return header


def usable_peer_urls(given: Iterable[str]) -> tuple[str, ...]:
    """Return a member's peer URLs in order, without white space around them. Raises MemberBadURLs."""
    urls = sorted(url.strip() for url in given)
    if not urls:
        raise MemberBadURLs("no peer URL was given")
    for url in urls:
        try:
            check_url("peer-urls", url)
        except ConfigError as error:
            raise MemberBadURLs(str(error)) from error
    return tuple(urls)


def _known_by_id(member_id: int) -> MemberInfo:
    return MemberInfo(member_id, "", (), (), is_learner=False)


def _shown(member: MemberInfo) -> Member:
    return Member(
        ID=member.id,
        name=member.name,
        peerURLs=list(member.peer_urls),
        clientURLs=list(member.client_urls),
        isLearner=member.is_learner,
    )
