"""etcd's Lease service: grant, revoke, keep alive, ask for the time left, list.

Grants and revocations go through the log. How long a lease has left only the leader knows: the other
members ask it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from raftkv.mvcc import validate
from raftkv.node.node import Node
from raftkv.node.questions import KeepAlive, TimeToLive
from raftkv.schema.kv import ResponseHeader
from raftkv.schema.lease import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseLeasesRequest,
    LeaseLeasesResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
    LeaseStatus,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)
from raftkv.service.header import complete
from raftkv.service.learner import check_learner

LISTED_AT_ONCE = 2000
"""Leases put into a list between two turns of the event loop: about a millisecond."""


class LeaseService:
    """The lease calls of one member.

    All raise NodeStopped. ``grant`` and ``revoke`` raise RequestError (refused, nothing done),
    RequestTimedOut (outcome unknown), NoSpace and TooManyRequests (certainly not done); ``keep_alive`` and
    ``time_to_live`` raise NoLeader and RequestTimedOut.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    async def grant(self, request: LeaseGrantRequest) -> LeaseGrantResponse:
        """Make a lease, of the least seconds at least; without an id it gets one picked here."""
        if not self._node.quota.admits(request):
            await self._node.quota.refuse()
        self._node.machine.alarms.check(request)  # an alarm is told first, as by etcd
        validate.check_grant(request)
        seconds = max(request.TTL, self._node.config.min_lease_ttl)
        lease = request.ID or self._node.new_lease_id()
        response: LeaseGrantResponse = await self._node.propose(LeaseGrantRequest(seconds, lease))
        complete(response.header, self._node)
        return response

    async def revoke(self, request: LeaseRevokeRequest) -> LeaseRevokeResponse:
        """End a lease and delete its keys."""
        response: LeaseRevokeResponse = await self._node.propose(request)
        complete(response.header, self._node)
        return response

    async def keep_alive(
        self, requests: AsyncIterator[LeaseKeepAliveRequest]
    ) -> AsyncGenerator[LeaseKeepAliveResponse, None]:
        """Let leases begin anew. One that is not there, or is over, gets no seconds and is no error.

        As in etcd a header is from before, so that a lease that is seen revoked at a revision was not kept
        alive after it.
        """
        async for request in requests:
            check_learner(self._node, request)
            header = self._header()
            seconds = await self._node.ask_leader_again(KeepAlive(request.ID))
            yield LeaseKeepAliveResponse(header, request.ID, seconds)

    async def time_to_live(self, request: LeaseTimeToLiveRequest) -> LeaseTimeToLiveResponse:
        """Tell how many seconds a lease has left and, if asked, which keys are attached to it."""
        left, granted = await self._node.ask_leader_again(TimeToLive(request.ID))
        keys: list[bytes] = []
        if request.keys and granted:
            await self._node.read_barrier()
            keys = self._node.machine.store.table.attachments.unsorted_keys_of(request.ID)
        return LeaseTimeToLiveResponse(self._header(), request.ID, left, granted, keys)

    async def leases(self, request: LeaseLeasesRequest) -> LeaseLeasesResponse:
        """List the leases that this member knows; the leader lists first what is over first."""
        leases = await self._node.leases_in_order()
        listed: list[LeaseStatus] = []
        for start in range(0, len(leases), LISTED_AT_ONCE):
            listed += [LeaseStatus(lease) for lease in leases[start : start + LISTED_AT_ONCE]]
            await asyncio.sleep(0)
        return LeaseLeasesResponse(self._header(), listed)

    def _header(self) -> ResponseHeader:
        header = ResponseHeader(revision=self._node.machine.store.revision)
        complete(header, self._node)
        return header
