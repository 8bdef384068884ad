"""What a simulated member serves to clients: its services, called as an adapter would call them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from raftkv.mvcc.store import Store
from raftkv.node.node import Node
from raftkv.schema.election import CampaignRequest, LeaderRequest, ProclaimRequest, ResignRequest
from raftkv.schema.kv import CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest, TxnRequest
from raftkv.schema.lease import (
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    LeaseLeasesRequest,
    LeaseRevokeRequest,
    LeaseTimeToLiveRequest,
)
from raftkv.schema.lock import LockRequest, UnlockRequest
from raftkv.schema.watch import WatchCreateRequest, WatchRequest, WatchResponse
from raftkv.service import ElectionService, Events, KvService, LeaseService, LockService, WatchService
from raftkv.service.watch_replies import FragmentSizes, WatchReply

Streamed = WatchCreateRequest | LeaderRequest
"""Requests that are answered by a stream."""

FRAGMENT_BYTES = 200
"""Small, so that little data comes in several pieces."""

WAITING = (LockRequest, CampaignRequest)
"""Requests that wait for others: who asked and is gone takes them back, as a lost connection does."""


class Services:
    """The services of one start of a member."""

    def __init__(self, node: Node) -> None:
        self._node = node
        kv, leases, events = KvService(node), LeaseService(node), Events(node)
        locks, elections = LockService(kv, leases, events), ElectionService(kv, leases, events)
        self._leases, self._elections = leases, elections
        self._watch = WatchService(node)
        self._methods: dict[type, Callable[[Any], Awaitable[Any]]] = {
            RangeRequest: kv.range,
            PutRequest: kv.put,
            DeleteRangeRequest: kv.delete_range,
            TxnRequest: kv.txn,
            CompactionRequest: kv.compact,
            LeaseGrantRequest: leases.grant,
            LeaseRevokeRequest: leases.revoke,
            LeaseKeepAliveRequest: self._keep_alive,
            LeaseTimeToLiveRequest: leases.time_to_live,
            LeaseLeasesRequest: leases.leases,
            LockRequest: locks.lock,
            UnlockRequest: locks.unlock,
            CampaignRequest: elections.campaign,
            ProclaimRequest: elections.proclaim,
            LeaderRequest: elections.leader,
            ResignRequest: elections.resign,
        }

    async def serve(self, message: Any) -> Any:
        """Answer a request."""
        return await self._methods[type(message)](message)

    async def _keep_alive(self, request: LeaseKeepAliveRequest) -> Any:
        async with aclosing(self._leases.keep_alive(_only(request))) as answers:
            return await anext(answers)

    async def feed(self, request: Streamed, send: Callable[[Any], Awaitable[None]]) -> None:
        """Send what a stream brings, for as long as it lasts."""
        if isinstance(request, LeaderRequest):
            async with aclosing(self._elections.observe(request)) as leaders:
                async for leader in leaders:
                    await send(leader)
            return
        create = WatchRequest(create_request=request)
        async with aclosing(self._watch.watch(_only(create))) as stream:
            async for replies in stream:
                for reply in replies:
                    for piece in _pieces(reply, self._node.machine.store):
                        await send(piece)


def _pieces(reply: WatchReply, store: Store) -> Iterator[WatchResponse]:
    """Yield a reply whole or, where its watch allows that, cut as a larger one would be."""
    response = reply.message(store)
    if reply.fragment and response.events:
        events = response.events
        sizes = FragmentSizes(replace(response, events=[]), FRAGMENT_BYTES)
        begin = 0
        for place, event in enumerate(events):
            if not sizes.fits(event):
                yield replace(response, events=events[begin:place], fragment=True)
                begin = place
        response = replace(response, events=events[begin:])
    yield response


async def _only(request: Any) -> AsyncIterator[Any]:
    yield request
