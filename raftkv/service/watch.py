"""etcd's Watch service: streams of requests in, replies out, each about one of the stream's watches.

A stream holds a bounded queue of live replies. A watch that finds it full reads history instead, when
the client has taken what was there: what a slow client costs is bounded, and it loses nothing that is not
compacted. Replies are made when somebody asks for the next ones, in the caller's own task.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from itertools import islice
from typing import TypeAlias

from raftkv.errors import Compacted, NotSupportedForLearner
from raftkv.mvcc.bounds import FROM_KEY, bounds
from raftkv.mvcc.store import Store
from raftkv.mvcc.versions import KEY, VALUE
from raftkv.mvcc.watch import Changes, Watcher
from raftkv.node.node import Node
from raftkv.schema.kv import ResponseHeader
from raftkv.schema.watch import (
    FilterType,
    WatchCancelRequest,
    WatchCreateRequest,
    WatchRequest,
    WatchResponse,
)
from raftkv.service.header import complete
from raftkv.service.watch_replies import WatchReply

QUEUED_REPLIES = 128
"""Replies that wait for a slow client, on each stream; as in etcd."""

QUEUED_BYTES = 4 << 20
"""Keys and values in these together. One larger reply is taken all the same, but then no other."""

COUNTED = 1000
"""A reply of more changes is large without being measured."""

PAST_WATCHES = 16
"""Watches of a stream that read history in turn before it gives way to others."""

PAST_CHANGES = 250
"""Changes that each of them looks at then: all together some two milliseconds."""

CLOSED_AT_ONCE = 1000
"""Watches that end in one step: three milliseconds."""

NO_WATCH = -1
"""The id in a reply that is about all watches of a stream, or about none."""

EMPTY_RANGE = "mvcc: watcher range is empty"
DUPLICATE_ID = "mvcc: duplicate watch ID provided on the WatchStream"

JITTER = 0.1
"""Part of the interval by which streams differ in when they notify, so that not all do it at once."""

GOLDEN_RATIO = 0.6180339887498949
"""Multiples of it are spread evenly modulo 1, without chance."""


class Watch(Watcher):
    """One watch of a stream. ``quiet``: it had no event since the last tick of the progress notifications."""

    __slots__ = ("fragment", "id", "is_over", "notified", "prev_kv", "quiet", "stream")

    def __init__(
        self, stream: "WatchStream", watch_id: int, request: WatchCreateRequest, start_revision: int
    ) -> None:
        super().__init__(
            bounds(request.key, request.range_end),
            start_revision,
            hides_puts=FilterType.NOPUT in request.filters,
            hides_deletes=FilterType.NODELETE in request.filters,
        )
        self.stream = stream
        self.id = watch_id
        self.prev_kv = request.prev_kv
        self.fragment = request.fragment
        self.notified = request.progress_notify
        self.quiet = True
        self.is_over = False

    def take(self, changes: Changes) -> bool:
        """See ``Watcher``."""
        return self.stream.take(self, changes)

    def fall_behind(self) -> None:
        """See ``Watcher``."""
        self.stream.fall_behind(self)


Queued: TypeAlias = tuple[Watch, Changes] | WatchResponse


class WatchService:
    """The watch streams of one member."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._opened = 0

    async def watch(self, requests: AsyncIterator[WatchRequest]) -> AsyncGenerator[list[WatchReply], None]:
        """Serve one stream: yield the replies that are there, as soon as there are any, until it is closed.

        It goes on when ``requests`` have ended. Raises NotSupportedForLearner, and what ``requests`` raise.
        """
        if self._node.member_id in self._node.status().configuration.learners:
            raise NotSupportedForLearner
        stream = WatchStream(self._node, self.next_interval())
        self._node.tally.watch_streams[stream] = None
        reader = asyncio.create_task(stream.read(requests), name="watch-requests")
        reader.add_done_callback(stream.requests_ended)
        try:
            while True:
                yield await stream.replies()
        finally:
            del self._node.tally.watch_streams[stream]
            try:
                reader.cancel()
                await asyncio.wait({reader})
            finally:
                await stream.close()

    def next_interval(self) -> float:
        """Return the seconds between two progress notifications of the next stream."""
        self._opened += 1
        return self._node.config.progress_interval * (1 + JITTER * (self._opened * GOLDEN_RATIO % 1))


class WatchStream:
    """The watches of one client stream."""

    def __init__(self, node: Node, progress_interval: float) -> None:
        self._node = node
        self._loop = asyncio.get_running_loop()
        self._interval = progress_interval
        self._watches: dict[int, Watch] = {}
        self._next_id = 0
        self._queue: list[Queued] = []  # an empty deque takes ten times as much
        self._queued_bytes = 0
        self._behind: dict[Watch, None] = {}
        self._waiting: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._ticking: asyncio.TimerHandle | None = None
        self._error: BaseException | None = None

    @property
    def _store(self) -> Store:
        return self._node.machine.store

    # ---------------------------------------------------------------- requests

    async def read(self, requests: AsyncIterator[WatchRequest]) -> None:
        """Carry out requests in their order, as fast as their answers are taken."""
        async for request in requests:
            while len(self._queue) >= QUEUED_REPLIES:
                self._room = self._loop.create_future()
                await self._room
            await self._carry_out(request)
            await asyncio.sleep(0)  # a body full of requests is there at once

    def requests_ended(self, reader: "asyncio.Task[None]") -> None:
        """Go on without requests, or fail with what the reading of them failed with."""
        if not reader.cancelled() and (error := reader.exception()) is not None:
            self._error = error
            self._wake()

    async def _carry_out(self, request: WatchRequest) -> None:
        if request.create_request is not None:
            self._create(request.create_request)
        elif request.cancel_request is not None:
            self._cancel(request.cancel_request)
        elif request.progress_request is not None:
            await self._report_progress()

    def _create(self, request: WatchCreateRequest) -> None:
        request.key = request.key or FROM_KEY
        revision = self._store.revision
        reason = self._refusal(request)
        if reason:
            self._answer(
                revision, WatchResponse(watch_id=NO_WATCH, created=True, canceled=True, cancel_reason=reason)
            )
            return
        start = request.start_revision if request.start_revision > 0 else revision + 1
        watch = Watch(self, request.watch_id or self._free_id(), request, start)
        self._watches[watch.id] = watch
        self._answer(revision, WatchResponse(watch_id=watch.id, created=True))
        self._node.watches.add(watch)
        if watch.notified and self._ticking is None:
            self._ticking = self._loop.call_later(self._interval, self._tick)

    def _refusal(self, request: WatchCreateRequest) -> str:
        start, end = bounds(request.key, request.range_end)
        if end is not None and end <= start:
            return EMPTY_RANGE
        return DUPLICATE_ID if request.watch_id and request.watch_id in self._watches else ""

    def _free_id(self) -> int:
        while self._next_id in self._watches:
            self._next_id += 1
        self._next_id += 1
        return self._next_id - 1

    def _cancel(self, request: WatchCancelRequest) -> None:
        watch = self._watches.pop(request.watch_id, None)
        if watch is None:
            return
        self._node.watches.remove(watch)
        self._behind.pop(watch, None)
        self._answer(self._store.revision, WatchResponse(watch_id=watch.id, canceled=True))

    async def _report_progress(self) -> None:
        """Tell how far all watches are, unless one of them is not at the present."""
        watches, revision = self._node.watches, self._store.revision
        while watches.delivered < revision:
            watches.step()
            await asyncio.sleep(0)
        going_on = [watch for watch in self._watches.values() if not watch.is_over]
        if going_on and all(map(self._is_at_present, going_on)):
            self._answer(watches.delivered, WatchResponse(watch_id=NO_WATCH))

    def _is_at_present(self, watch: Watch) -> bool:
        return watch.live and watch.start_revision <= self._node.watches.delivered + 1

    def _tick(self) -> None:
        """Tell watches that asked for it, and had nothing since the last tick, how far they are."""
        notified = [watch for watch in self._watches.values() if watch.notified]
        self._ticking = self._loop.call_later(self._interval, self._tick) if notified else None
        for watch in notified:
            if watch.quiet and self._is_at_present(watch) and len(self._queue) < QUEUED_REPLIES:
                self._answer(self._node.watches.delivered, WatchResponse(watch_id=watch.id))
                # to the end of the line: where there is not room for all, others have it at the next tick
                self._watches[watch.id] = self._watches.pop(watch.id)
            watch.quiet = True

    def _answer(self, revision: int, response: WatchResponse) -> None:
        response.header = self._header(revision)
        self._queue.append(response)
        self._wake()

    def _header(self, revision: int) -> ResponseHeader:
        header = ResponseHeader(revision=revision)
        complete(header, self._node)
        return header

    @property
    def watching(self) -> int:
        """See ``WatchCounts``."""
        return len(self._watches)

    @property
    def behind(self) -> int:
        """See ``WatchCounts``."""
        return len(self._behind)

    @property
    def queued(self) -> int:
        """See ``WatchCounts``."""
        return len(self._queue)

    # ---------------------------------------------------------------- for the watches

    def take(self, watch: Watch, changes: Changes) -> bool:
        """Queue a live reply; return False if there is no room for it."""
        size = size_of(changes)
        full = len(self._queue) >= QUEUED_REPLIES or self._queued_bytes + size > QUEUED_BYTES
        if full and self._queue:
            return False
        self._queue.append((watch, changes))
        self._queued_bytes += size
        watch.quiet = False
        self._wake()
        return True

    def fall_behind(self, watch: Watch) -> None:
        """Let a watch read history."""
        self._behind[watch] = None
        self._wake()

    # ---------------------------------------------------------------- replies

    async def replies(self) -> list[WatchReply]:
        """Wait for the next replies and return those there are. Raises what the requests failed with."""
        while True:
            if self._error is not None:
                raise self._error
            found = self._take_queued()
            if self._behind:
                found += self._read_past()
            if found:
                return found
            if self._behind:
                await asyncio.sleep(0)
            else:
                self._waiting = self._loop.create_future()
                await self._waiting

    async def close(self) -> None:
        """End all watches, letting others run now and then; at once when it is cancelled."""
        if self._ticking is not None:
            self._ticking.cancel()
        try:
            while self._watches:
                self._remove(CLOSED_AT_ONCE)
                await asyncio.sleep(0)
        finally:
            self._remove(len(self._watches))
            self._behind.clear()
            self._queue.clear()

    def _remove(self, count: int) -> None:
        for number in list(islice(reversed(self._watches), count)):
            self._node.watches.remove(self._watches.pop(number))

    def _take_queued(self) -> list[WatchReply]:
        queue, self._queue = self._queue, []
        self._queued_bytes = 0
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        return [
            WatchReply(item) if isinstance(item, WatchResponse) else self._with_events(*item)
            for item in queue
        ]

    def _with_events(self, watch: Watch, changes: Changes) -> WatchReply:
        self._node.tally.events += len(changes.versions)
        response = WatchResponse(self._header(changes.revision), watch.id)
        return WatchReply(response, changes, watch.prev_kv, watch.fragment)

    def _read_past(self) -> list[WatchReply]:
        """Let some of the watches that are behind read on, in turn."""
        found = []
        for watch in list(islice(self._behind, PAST_WATCHES)):
            del self._behind[watch]
            try:
                changes = self._node.watches.catch_up(watch, PAST_CHANGES)
            except Compacted:
                watch.is_over = True
                found.append(WatchReply(self._compacted(watch)))
                continue
            if not watch.live:
                self._behind[watch] = None
            if changes is not None:
                watch.quiet = False
                found.append(self._with_events(watch, changes))
        return found

    def _compacted(self, watch: Watch) -> WatchResponse:
        return WatchResponse(
            self._header(0), watch.id, canceled=True, compact_revision=self._store.compact_revision
        )

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def size_of(changes: Changes) -> int:
    """Return about how many bytes of keys and values a reply keeps."""
    versions = changes.versions
    if len(versions) > COUNTED:
        return QUEUED_BYTES
    return sum([len(version[KEY]) + len(version[VALUE]) for version in versions])
