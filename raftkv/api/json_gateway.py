"""etcd's JSON gateway: one POST with a request message in JSON, answered by one or many messages.

Behaviour follows grpc-gateway v1.16 as etcd 3.5.1 runs it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from itertools import chain
from typing import Any, NamedTuple

from aiohttp import web

from raftkv.api import replies, streams
from raftkv.api.body import BodyBudget, BodyTooSlow, read_body
from raftkv.api.call_options import check_begins, requires_leader, timeout_of
from raftkv.api.calls import Call, CallCounts, Calls
from raftkv.api.duplex import DuplexCalls, DuplexRoute, is_upgrade
from raftkv.api.recipes import recipe, recipe_stream
from raftkv.api.status import DEADLINE_EXCEEDED, status_of
from raftkv.api.watch_text import WatchText
from raftkv.errors import NoLeader, RaftKvError
from raftkv.node.node import Node
from raftkv.schema import json_codec
from raftkv.schema.cluster import (
    MemberAddRequest,
    MemberListRequest,
    MemberPromoteRequest,
    MemberRemoveRequest,
    MemberUpdateRequest,
)
from raftkv.schema.election import CampaignRequest, LeaderRequest, ProclaimRequest, ResignRequest
from raftkv.schema.json_decode import MAX_PARTS
from raftkv.schema.kv import (
    CompactionRequest,
    DeleteRangeRequest,
    DeleteRangeResponse,
    PutRequest,
    RangeRequest,
    RangeResponse,
    ResponseOp,
    TxnRequest,
    TxnResponse,
)
from raftkv.schema.lease import (
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    LeaseLeasesRequest,
    LeaseLeasesResponse,
    LeaseRevokeRequest,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)
from raftkv.schema.lock import LockRequest, UnlockRequest
from raftkv.schema.maintenance import (
    AlarmRequest,
    DefragmentRequest,
    DowngradeRequest,
    HashKVRequest,
    HashRequest,
    MoveLeaderRequest,
    SnapshotRequest,
    StatusRequest,
)
from raftkv.schema.watch import WatchRequest
from raftkv.service import (
    ClusterService,
    ElectionService,
    Events,
    KvService,
    LeaseService,
    LockService,
    MaintenanceService,
    WatchService,
)
from raftkv.service.learner import check_learner
from raftkv.service.limits import MESSAGE_OVERHEAD_BYTES

SMALL_RANGE = 16
"""A response of so few pairs is encoded at once."""

PARTS_PER_OPERATION = 16
"""Members and elements that one operation of a txn may have in JSON."""


class Route(NamedTuple):
    """One call: the class of its request and what answers it, with one response."""

    request: type
    call: Callable[[Any], Awaitable[Any]]
    counts: CallCounts = CallCounts()


class StreamRoute(NamedTuple):
    """One call that is answered with many responses."""

    request: type
    call: Callable[[Any], AsyncGenerator[Any, None]]
    counts: CallCounts = CallCounts()


class JsonGateway:
    """The calls under ``/v3/``; ``clock`` tells the seconds since 1970."""

    def __init__(self, node: Node, clock: Callable[[], float]) -> None:
        kv, cluster, maintenance = KvService(node), ClusterService(node, clock), MaintenanceService(node)
        self._node = node
        self.calls = Calls(node.tally.now)
        self._bodies = BodyBudget()
        self._message_limit = node.config.max_request_bytes + MESSAGE_OVERHEAD_BYTES
        # base64 makes four bytes of three; the rest is room for names, escapes and white space
        self._body_limit = 2 * self._message_limit
        self._max_parts = max(MAX_PARTS, PARTS_PER_OPERATION * node.config.max_txn_ops)
        self._duplex = DuplexCalls(
            node,
            self.calls,
            self._bodies,
            limit=self._body_limit,
            message_limit=self._message_limit,
            max_parts=self._max_parts,
        )
        lease = LeaseService(node)
        watch_text = WatchText(lambda: node.machine.store, self._message_limit)
        routes: dict[str, Route | StreamRoute | DuplexRoute] = {
            "/v3/kv/range": Route(RangeRequest, kv.range),
            "/v3/kv/put": Route(PutRequest, kv.put),
            "/v3/kv/deleterange": Route(DeleteRangeRequest, kv.delete_range),
            "/v3/kv/txn": Route(TxnRequest, kv.txn),
            "/v3/kv/compaction": Route(CompactionRequest, kv.compact),
            "/v3/lease/grant": Route(LeaseGrantRequest, lease.grant),
            "/v3/lease/revoke": Route(LeaseRevokeRequest, lease.revoke),
            "/v3/lease/timetolive": Route(LeaseTimeToLiveRequest, lease.time_to_live),
            "/v3/lease/leases": Route(LeaseLeasesRequest, lease.leases),
            "/v3/lease/keepalive": DuplexRoute(LeaseKeepAliveRequest, lease.keep_alive),
            "/v3/cluster/member/list": Route(MemberListRequest, cluster.member_list),
            "/v3/cluster/member/add": Route(MemberAddRequest, cluster.member_add),
            "/v3/cluster/member/remove": Route(MemberRemoveRequest, cluster.member_remove),
            "/v3/cluster/member/update": Route(MemberUpdateRequest, cluster.member_update),
            "/v3/cluster/member/promote": Route(MemberPromoteRequest, cluster.member_promote),
            "/v3/maintenance/alarm": Route(AlarmRequest, maintenance.alarm),
            "/v3/maintenance/status": Route(StatusRequest, maintenance.status),
            "/v3/maintenance/defragment": Route(DefragmentRequest, maintenance.defragment),
            "/v3/maintenance/hash": Route(HashRequest, maintenance.hash),
            "/v3/maintenance/hashkv": Route(HashKVRequest, maintenance.hash_kv),
            "/v3/maintenance/transfer-leadership": Route(MoveLeaderRequest, maintenance.move_leader),
            "/v3/maintenance/downgrade": Route(DowngradeRequest, maintenance.downgrade),
            "/v3/maintenance/snapshot": StreamRoute(SnapshotRequest, maintenance.snapshot),
            "/v3/watch": DuplexRoute(WatchRequest, WatchService(node).watch, watch_text.lines),
        }
        routes |= self._recipe_routes(kv, lease)
        for name in ("revoke", "timetolive", "leases"):
            routes[f"/v3/kv/lease/{name}"] = routes[f"/v3/lease/{name}"]
        self.routes = {path: route._replace(counts=self.calls.of(path)) for path, route in routes.items()}

    def _recipe_routes(
        self, kv: KvService, leases: LeaseService
    ) -> dict[str, Route | StreamRoute | DuplexRoute]:
        events = Events(self._node)
        lock, election = LockService(kv, leases, events), ElectionService(kv, leases, events)
        return {
            "/v3/lock/lock": Route(LockRequest, recipe(lock.lock)),
            "/v3/lock/unlock": Route(UnlockRequest, recipe(lock.unlock)),
            "/v3/election/campaign": Route(CampaignRequest, recipe(election.campaign)),
            "/v3/election/proclaim": Route(ProclaimRequest, recipe(election.proclaim)),
            "/v3/election/leader": Route(LeaderRequest, recipe(election.leader)),
            "/v3/election/observe": StreamRoute(LeaderRequest, recipe_stream(election.observe)),
            "/v3/election/resign": Route(ResignRequest, recipe(election.resign)),
        }

    async def handle(
        self, request: web.BaseRequest, route: Route | StreamRoute | DuplexRoute
    ) -> web.StreamResponse:
        """Answer one call."""
        if isinstance(route, StreamRoute) and is_upgrade(request):
            route = DuplexRoute(route.request, self._answer_first(route), counts=route.counts)
        if request.method != "POST" and not isinstance(route, DuplexRoute):
            return replies.not_allowed()
        try:
            if isinstance(route, DuplexRoute):
                return await self._duplex.answer(request, route)
            timeout = timeout_of(request.headers)
            body = await read_body(request, self._body_limit, self._message_limit, self._bodies)
            message: Any = json_codec.decode(route.request, body, self._max_parts)
        except RaftKvError as error:
            return replies.error(status_of(error))
        except TimeoutError:
            return replies.error(DEADLINE_EXCEEDED)
        except BodyTooSlow:
            return replies.bare_error(408, "Request Timeout")
        is_stream = isinstance(route, StreamRoute)
        with self.calls.begin(route.counts, request.headers, stream=is_stream) as call:
            call.receive(len(body))
            if isinstance(route, StreamRoute):
                return await self._stream(request, route, message, timeout, call)
            return await self._unary(request, route, message, timeout, call)

    def _answer_first(self, route: StreamRoute) -> Callable[[AsyncIterator[Any]], AsyncGenerator[Any, None]]:
        """Return a call of one request as one of a stream of them, of which the first is answered."""

        async def answer(messages: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
            async for message in messages:
                check_learner(self._node, message)
                async with aclosing(route.call(message)) as responses:
                    async for response in responses:
                        yield response
                return

        return answer

    async def _unary(
        self, request: web.BaseRequest, route: Route, message: Any, seconds: float | None, call: Call
    ) -> web.StreamResponse:
        try:
            check_learner(self._node, message)
            if requires_leader(request.headers) and not self._node.has_leader:
                raise NoLeader
            response = await _within(seconds, route.call, message)
        except RaftKvError as error:
            return replies.error(call.fail(status_of(error)))
        except TimeoutError:
            return replies.error(call.fail(DEADLINE_EXCEEDED))
        return await _answer(request, response, call)

    async def _stream(
        self, request: web.BaseRequest, route: StreamRoute, message: Any, seconds: float | None, call: Call
    ) -> web.StreamResponse:
        try:
            check_begins(seconds)
            check_learner(self._node, message)
        except TimeoutError:
            return replies.error(call.fail(DEADLINE_EXCEEDED))
        except RaftKvError as error:
            return streams.refused(call.fail(status_of(error)))
        limit = streams.limited(self._node, seconds, needs_leader=requires_leader(request.headers))
        return await streams.answer_stream(request, route.call(message), limit, call)


async def _within(seconds: float | None, call: Callable[[Any], Awaitable[Any]], message: Any) -> Any:
    if seconds is None:
        return await call(message)
    check_begins(seconds)
    async with asyncio.timeout(seconds):
        return await call(message)


def pairs_in(response: Any) -> int:
    """Return how many key-value pairs, keys, leases or operations a response holds."""
    match response:
        case RangeResponse():
            return len(response.kvs)
        case DeleteRangeResponse():
            return len(response.prev_kvs)
        case TxnResponse():
            return sum(1 + pairs_in(op) for op in response.responses)
        case ResponseOp():
            answers = (response.response_range, response.response_delete_range, response.response_txn)
            return sum(map(pairs_in, answers))
        case LeaseTimeToLiveResponse():
            return len(response.keys)
        case LeaseLeasesResponse():
            return len(response.leases)
        case _:
            return 0


async def _answer(request: web.BaseRequest, response: Any, call: Call) -> web.StreamResponse:
    if pairs_in(response) <= SMALL_RANGE:
        body = json_codec.encode(response)
        call.answer(len(body))
        return replies.message(body)
    chunks = json_codec.encode_chunks(response)
    first = next(chunks)
    second = next(chunks, None)
    call.answer(len(first))
    if second is None:
        return replies.message(first)
    reply = replies.message_stream()
    await reply.prepare(request)
    try:
        await streams.write_chunk(reply, first)
        for chunk in chain((second,), chunks):
            call.answer_more(len(chunk))
            await streams.write_chunk(reply, chunk)
    except streams.ClientGone:
        streams.drop(request)
    return reply
