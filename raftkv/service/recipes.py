"""What locks and elections have in common: keys in a queue, the oldest of which owns.

As in etcd both are recipes over keys, leases and watches (its package ``concurrency``): whoever wants the
lock puts a key of its own, ``NAME/`` and its lease's id in hexadecimal, under its lease, and owns from the
moment on at which no older key is left there. So an owner that is gone loses the lock with its lease.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import NamedTuple

from raftkv.errors import Compacted, RaftKvError
from raftkv.node.node import Node
from raftkv.schema.kv import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRangeRequest,
    KeyValue,
    PutRequest,
    RangeRequest,
    RangeResponse,
    RequestOp,
    ResponseHeader,
    SortOrder,
    SortTarget,
    TxnRequest,
    TxnResponse,
)
from raftkv.schema.lease import LeaseGrantRequest
from raftkv.schema.watch import Event, EventType, WatchCreateRequest, WatchRequest, WatchResponse
from raftkv.service.kv import KvService
from raftkv.service.lease import LeaseService
from raftkv.service.watch import WatchService

SESSION_TTL = 60
"""Seconds of the lease that a request without one is given; nobody keeps it alive."""


class Place(NamedTuple):
    """A place in a queue: its key, the key's create revision, and the header of what put it there.

    ``found``: the key as it was, when it was there before.
    """

    key: bytes
    revision: int
    header: ResponseHeader
    found: KeyValue | None


class Seen(NamedTuple):
    """A look at a queue: the youngest key that is older than a place's, and whether that place stands."""

    header: ResponseHeader
    older: KeyValue | None
    stands: bool


class Front(NamedTuple):
    """The end of a wait: nobody is before. ``header``: of the look that told so.

    It is not that of what put the key: who was before may have gone between the two.
    ``stands``: it is still the key that was put; without it nothing is owned.
    """

    header: ResponseHeader
    stands: bool


class Events:
    """Changes as they happen, for a call that waits for one."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._service = WatchService(node)

    async def of(
        self, key: bytes, range_end: bytes, start_revision: int
    ) -> AsyncGenerator[tuple[ResponseHeader, Event], None]:
        """Yield every change of a range from a revision on, with the header of its reply.

        Never ends by itself. Raises Compacted.
        """
        create = WatchRequest(WatchCreateRequest(key, range_end, start_revision))
        async with aclosing(self._service.watch(_only(create))) as stream:
            async for replies in stream:
                for reply in replies:
                    if reply.response.canceled:
                        raise Compacted
                    header = header_of(reply.response)
                    for event in reply.events(lambda: self._node.machine.store):
                        yield header, event


async def _only(request: WatchRequest) -> AsyncIterator[WatchRequest]:
    yield request


class Queue:
    """The keys below ``NAME/``, oldest first by their create revisions."""

    def __init__(self, name: bytes, kv: KvService, events: Events) -> None:
        self._kv = kv
        self._events = events
        self.prefix = name + b"/"
        self.end = name + bytes([ord("/") + 1])

    async def enter(self, lease: int, value: bytes) -> Place:
        """Put the key of a lease, unless it is there."""
        key = self.prefix + b"%x" % lease
        response = await self._kv.txn(
            TxnRequest(
                compare=[created_at(key, 0)],
                success=[RequestOp(request_put=PutRequest(key, value, lease))],
                failure=[RequestOp(request_range=RangeRequest(key))],
            )
        )
        header = header_of(response)
        if response.succeeded:
            return Place(key, header.revision, header, None)
        there = response.responses[0].response_range
        assert there is not None, "a range is answered by a range"
        return Place(key, there.kvs[0].create_revision, header, there.kvs[0])

    async def wait_for_front(self, place: Place) -> Front:
        """Return once no older key is left, and whether the place was still there then.

        A wait that is given up, or fails, takes the key back: the one of this place, and not another that
        was put since under the same lease, which may own by now.
        """
        try:
            seen = await self._look(place)
            while seen.older is not None:
                await self._wait_deleted(seen.older.key, seen.older.mod_revision + 1)
                seen = await self._look(place)
        except (asyncio.CancelledError, RaftKvError):
            with suppress(RaftKvError):
                await self.take_back(place.key, place.revision)
            raise
        return Front(seen.header, seen.stands)

    async def take_back(self, key: bytes, revision: int) -> TxnResponse:
        """Delete a key if it is the one that was created at ``revision``."""
        delete = RequestOp(request_delete_range=DeleteRangeRequest(key))
        return await self._kv.txn(TxnRequest([created_at(key, revision)], [delete]))

    async def first(self) -> RangeResponse:
        """Return the oldest key, if there is one."""
        return await self._kv.range(self._by_age(SortOrder.ASCEND))

    async def _look(self, place: Place) -> Seen:
        """Read what is before a place, and whether it stands, both at one moment."""
        before = self._by_age(SortOrder.DESCEND)
        before.max_create_revision = place.revision - 1
        reads = [RequestOp(request_range=before), RequestOp(request_range=RangeRequest(place.key))]
        response = await self._kv.txn(TxnRequest(success=reads))
        older, own = (op.response_range.kvs if op.response_range else [] for op in response.responses)
        stands = bool(own) and own[0].create_revision == place.revision
        return Seen(header_of(response), older[0] if older else None, stands)

    def _by_age(self, order: SortOrder) -> RangeRequest:
        return RangeRequest(self.prefix, self.end, limit=1, sort_order=order, sort_target=SortTarget.CREATE)

    async def _wait_deleted(self, key: bytes, revision: int) -> None:
        with suppress(Compacted):  # then it is looked at anew
            async with aclosing(self._events.of(key, b"", revision)) as events:
                async for _, event in events:
                    if event.type == EventType.DELETE:
                        return


async def lease_or_new(lease: int, leases: LeaseService) -> int:
    """Return the lease that a request names, or a new one."""
    return lease or (await leases.grant(LeaseGrantRequest(TTL=SESSION_TTL))).ID


def created_at(key: bytes, revision: int) -> Compare:
    """Return the guard that ``key`` was created at ``revision``; 0: that it is not there."""
    return Compare(CompareResult.EQUAL, CompareTarget.CREATE, key, create_revision=revision)


def header_of(response: TxnResponse | RangeResponse | WatchResponse) -> ResponseHeader:
    """Return the header, which every reply of a service has."""
    assert response.header is not None, "a reply without a header"
    return response.header
