"""What the harness itself asks of nodes, by their direct URLs: their state, and changes that are faults."""

import asyncio
from typing import Any, TypeVar

import aiohttp

from raftkv.client.endpoint import Endpoint, Endpoints
from raftkv.client.http import Http
from raftkv.local.verbs import FaultVerbs
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
)
from raftkv.schema.kv import CompactionRequest, CompactionResponse
from raftkv.schema.maintenance import (
    DefragmentRequest,
    DefragmentResponse,
    MoveLeaderRequest,
    MoveLeaderResponse,
    StatusRequest,
    StatusResponse,
)

LOOK_SECONDS = 0.5
CHANGE_SECONDS = 5.0

M = TypeVar("M")


class Api:
    """Requests to one node, sent once. All raise what ``raftkv.client`` raises; see ``Client``."""

    def __init__(self, url: str) -> None:
        self._looking = Http(Endpoints([url]), LOOK_SECONDS)
        self._changing = Http(Endpoints([url]), CHANGE_SECONDS)
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make ready; nothing is sent."""
        await asyncio.gather(self._looking.open(), self._changing.open())
        self._session = aiohttp.ClientSession()

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(self._looking.close(), self._changing.close())
        if self._session is not None:
            await self._session.close()

    def verbs(self, url: str, token: str) -> FaultVerbs:
        """Return the orders that a raftkv node with ``--chaos`` takes."""
        assert self._session is not None, "it is not open"
        return FaultVerbs(self._session, url, token)

    async def status(self, url: str) -> StatusResponse:
        """Ask a node for its state, for half a second at most."""
        where = Endpoint.parse(url)
        return await self._looking.ask(where, "/v3/maintenance/status", StatusRequest(), StatusResponse)

    async def members(self, url: str) -> list[Member]:
        """Return the members as a node knows them."""
        request = MemberListRequest(linearizable=False)
        return (await self._change(url, "/v3/cluster/member/list", request, MemberListResponse)).members

    async def add(self, url: str, peer_url: str, *, learner: bool) -> int:
        """Add a member and return its id."""
        request = MemberAddRequest(peerURLs=[peer_url], isLearner=learner)
        reply = await self._change(url, "/v3/cluster/member/add", request, MemberAddResponse)
        return reply.member.ID if reply.member is not None else 0

    async def remove(self, url: str, member: int) -> None:
        """Take a member out of the cluster."""
        request = MemberRemoveRequest(ID=member)
        await self._change(url, "/v3/cluster/member/remove", request, MemberRemoveResponse)

    async def promote(self, url: str, member: int) -> None:
        """Give a learner its vote."""
        request = MemberPromoteRequest(ID=member)
        await self._change(url, "/v3/cluster/member/promote", request, MemberPromoteResponse)

    async def transfer(self, url: str, member: int) -> None:
        """Let the leader at ``url`` hand leadership to ``member``."""
        request = MoveLeaderRequest(targetID=member)
        await self._change(url, "/v3/maintenance/transfer-leadership", request, MoveLeaderResponse)

    async def defragment(self, url: str) -> None:
        """Let a node rewrite what it stores; raftkv's takes a snapshot and cuts its log."""
        await self._change(url, "/v3/maintenance/defragment", DefragmentRequest(), DefragmentResponse)

    async def compact(self, url: str, revision: int) -> None:
        """Let history before ``revision`` go."""
        request = CompactionRequest(revision=revision, physical=True)
        await self._change(url, "/v3/kv/compaction", request, CompactionResponse)

    async def _change(self, url: str, path: str, request: Any, reply: type[M]) -> M:
        return await self._changing.ask(Endpoint.parse(url), path, request, reply)
