"""etcd's Election service: one leader at a time by name, for as long as its lease lives."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from raftkv.errors import ElectionNoLeader, ElectionNotLeader, LeaderKeyMissing, RaftKvError
from raftkv.schema.election import (
    CampaignRequest,
    CampaignResponse,
    LeaderKey,
    LeaderRequest,
    LeaderResponse,
    ProclaimRequest,
    ProclaimResponse,
    ResignRequest,
    ResignResponse,
)
from raftkv.schema.kv import (
    KeyValue,
    PutRequest,
    RequestOp,
    ResponseHeader,
    TxnRequest,
    TxnResponse,
)
from raftkv.schema.watch import EventType
from raftkv.service.kv import KvService
from raftkv.service.lease import LeaseService
from raftkv.service.recipes import Events, Queue, created_at, header_of, lease_or_new


class ElectionService:
    """The election calls of one member."""

    def __init__(self, kv: KvService, leases: LeaseService, events: Events) -> None:
        self._kv = kv
        self._leases = leases
        self._events = events

    async def campaign(self, request: CampaignRequest) -> CampaignResponse:
        """Stand for election, and return once elected.

        A candidate that stands already gets the new proposal. Raises what kv and lease calls raise.
        """
        lease = await lease_or_new(request.lease, self._leases)
        queue = self._queue(request.name)
        place = await queue.enter(lease, request.value)
        leader = LeaderKey(request.name, place.key, place.revision, lease)
        if place.found is not None and place.found.value != request.value:
            try:
                await self._replace(leader, lease, request.value)
            except RaftKvError:
                await self._give_up(leader)
                raise
        await queue.wait_for_front(place)
        return CampaignResponse(place.header, leader)

    async def proclaim(self, request: ProclaimRequest) -> ProclaimResponse:
        """Replace a leader's proposal. Raises LeaderKeyMissing, ElectionNotLeader (it leads no more)."""
        if request.leader is None:
            raise LeaderKeyMissing
        lease = await lease_or_new(request.leader.lease, self._leases)
        return ProclaimResponse(await self._replace(request.leader, lease, request.value))

    async def leader(self, request: LeaderRequest) -> LeaderResponse:
        """Return who leads. Raises ElectionNoLeader."""
        first = await self._queue(request.name).first()
        if not first.kvs:
            raise ElectionNoLeader
        return LeaderResponse(first.header, first.kvs[0])

    async def observe(self, request: LeaderRequest) -> AsyncGenerator[LeaderResponse, None]:
        """Yield who leads, then every new proposal and every new leader; waits while there is none."""
        queue = self._queue(request.name)
        while True:
            header, kv = await self._next_leader(queue)
            yield LeaderResponse(header, kv)
            async with aclosing(self._events.of(kv.key, b"", header.revision + 1)) as events:
                async for changed, event in events:
                    if event.type == EventType.DELETE:
                        break
                    yield LeaderResponse(changed, event.kv)

    async def resign(self, request: ResignRequest) -> ResignResponse:
        """Give leadership up; without effect if it is lost already. Raises LeaderKeyMissing."""
        if request.leader is None:
            raise LeaderKeyMissing
        return ResignResponse(header_of(await self._give_up(request.leader)))

    async def _next_leader(self, queue: Queue) -> tuple[ResponseHeader, KeyValue]:
        first = await queue.first()
        if first.kvs:
            return header_of(first), first.kvs[0]
        revision = header_of(first).revision
        async with aclosing(self._events.of(queue.prefix, queue.end, revision)) as events:
            async for header, event in events:
                if event.type == EventType.PUT and event.kv is not None:
                    # what comes after this very put is told next
                    return replace(header, revision=event.kv.mod_revision), event.kv
        raise AssertionError("a watch ended without an error")

    async def _replace(self, leader: LeaderKey, lease: int, value: bytes) -> ResponseHeader:
        put = RequestOp(request_put=PutRequest(leader.key, value, lease))
        response = await self._kv.txn(TxnRequest([created_at(leader.key, leader.rev)], [put]))
        if not response.succeeded:
            raise ElectionNotLeader
        return header_of(response)

    async def _give_up(self, leader: LeaderKey) -> TxnResponse:
        return await self._queue(leader.name).take_back(leader.key, leader.rev)

    def _queue(self, name: bytes) -> Queue:
        return Queue(name, self._kv, self._events)
