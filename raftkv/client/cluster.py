"""The members of a cluster: who they are, and changes of them."""

from collections.abc import Sequence

from raftkv.client.endpoint import Endpoint
from raftkv.client.http import Http
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
from raftkv.schema.maintenance import StatusRequest, StatusResponse


class Cluster:
    """The cluster behind a client: ``Client.cluster``. Changes raise as writes do."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def members(self, *, linearizable: bool = True) -> list[Member]:
        """Return the members; not linearizable: as the member that is asked knows them."""
        request = MemberListRequest(linearizable=linearizable)
        path = "/v3/cluster/member/list"
        return (await self._http.call(path, request, MemberListResponse, repeatable=True)).members

    async def add(self, peer_urls: Sequence[str], *, learner: bool = False) -> Member:
        """Add a member that will listen at ``peer_urls``; return it, with its id and without a name."""
        request = MemberAddRequest(peerURLs=list(peer_urls), isLearner=learner)
        path = "/v3/cluster/member/add"
        reply = await self._http.call(path, request, MemberAddResponse, repeatable=False)
        return reply.member or Member()

    async def remove(self, member_id: int) -> list[Member]:
        """Take a member out of the cluster for good; return those that are left."""
        request = MemberRemoveRequest(ID=member_id)
        path = "/v3/cluster/member/remove"
        return (await self._http.call(path, request, MemberRemoveResponse, repeatable=False)).members

    async def update(self, member_id: int, peer_urls: Sequence[str]) -> list[Member]:
        """Give a member other peer URLs; return all members."""
        request = MemberUpdateRequest(ID=member_id, peerURLs=list(peer_urls))
        path = "/v3/cluster/member/update"
        return (await self._http.call(path, request, MemberUpdateResponse, repeatable=False)).members

    async def promote(self, member_id: int) -> list[Member]:
        """Give a learner its vote; return all members."""
        request = MemberPromoteRequest(ID=member_id)
        path = "/v3/cluster/member/promote"
        return (await self._http.call(path, request, MemberPromoteResponse, repeatable=False)).members

    async def status(self, endpoint: str) -> StatusResponse:
        """Ask one member, by its client URL, for its state. It need not be one of the client's own."""
        where = Endpoint.parse(endpoint)
        return await self._http.ask(where, "/v3/maintenance/status", StatusRequest(), StatusResponse)
