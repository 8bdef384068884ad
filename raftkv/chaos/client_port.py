"""A client's way to the cluster through ``raftkv.client``: with its retries, its failover and its watches."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import singledispatchmethod
from types import TracebackType
from typing import Any, Self

from raftkv.chaos.http_port import CALL_SECONDS, WAIT_SECONDS, HttpPort
from raftkv.chaos.wire import Seen, as_workloads_have_it, everything, until_seen, way_of
from raftkv.client import Client, Watch, results
from raftkv.client import watch as client_watch
from raftkv.client.endpoint import Endpoints
from raftkv.client.http import Http
from raftkv.client.outcome import Compacted, NoAnswer, WatchCanceled
from raftkv.errors import RaftKvError
from raftkv.schema import kv, lease
from raftkv.schema.election import LeaderRequest, LeaderResponse
from raftkv.schema.watch import Event, FilterType, WatchCreateRequest, WatchResponse

REPEATABLE = (
    lease.LeaseKeepAliveRequest,
    lease.LeaseTimeToLiveRequest,
    lease.LeaseLeasesRequest,
    LeaderRequest,
)
"""Requests beside the keys' that the client sends again when no answer comes."""

FIRST_REVISION = 1
"""The least that any response can have in its header."""


class ClientPort:
    """The ``Port`` of one client that uses the package's own ``Client``. Used inside ``async with``.

    Keys, txns and watches go through its public methods. Leases, locks and elections are objects there that
    do more than one request each; a workload wants the single requests, so these go through its connections,
    with the same rules of what may be repeated. ``failure`` is the text of the last error of a call.
    """

    def __init__(
        self,
        urls: Sequence[str],
        clock: Callable[[], float],
        seconds: float = CALL_SECONDS,
        seen: Seen = everything,
    ) -> None:
        """``urls``: of all nodes, the one to be asked first in front; ``seconds``: for all attempts.

        ``seen``: no compaction goes further than what it returns.
        """
        self._seen = seen
        self.failure = ""
        self._client = Client(urls, timeout=seconds)
        self._http = Http(Endpoints(urls), seconds)
        self._clock = clock

    async def __aenter__(self) -> Self:
        await self._http.open()
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()
        await self._http.close()

    def now(self) -> float:
        """Return the seconds on the clock of the run."""
        return self._clock()

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    async def call(self, message: Any) -> Any:
        """Let the client do a request, and return what it says as a response."""
        await until_seen(message, self._seen)
        try:
            return await self._do(message)
        except RaftKvError as error:
            self.failure = str(error)
            raise as_workloads_have_it(error) from error

    @singledispatchmethod
    async def _do(self, message: Any) -> Any:
        way = way_of(message)
        repeatable = isinstance(message, REPEATABLE)
        if way.waits:
            waiting: Coroutine[Any, Any, Any] = self._http.wait(way.path, message, way.reply, asyncio.Event())
            try:
                return await asyncio.wait_for(waiting, WAIT_SECONDS)
            except TimeoutError:
                raise NoAnswer(f"no answer in {WAIT_SECONDS:g} s") from None
        return await self._http.call(
            way.path, message, way.reply, repeatable=repeatable, streamed=way.streamed
        )

    @_do.register
    async def _(self, message: kv.RangeRequest) -> Any:
        options = {
            name: getattr(message, name)
            for name in ("limit", "revision", "serializable", "keys_only", "count_only")
        }
        end = message.range_end or message.key + b"\0"
        found = await self._client.get_range(message.key, end, **options)
        return _range(found)

    @_do.register
    async def _(self, message: kv.PutRequest) -> Any:
        written = await self._client.put(
            message.key, message.value, lease=message.lease, prev_kv=message.prev_kv
        )
        return _put(written)

    @_do.register
    async def _(self, message: kv.DeleteRangeRequest) -> Any:
        end = message.range_end or message.key + b"\0"
        return _deleted(await self._client.delete_range(message.key, end, prev_kv=message.prev_kv))

    @_do.register
    async def _(self, message: kv.TxnRequest) -> Any:
        txn = self._client.txn().when(*message.compare).then(*message.success).otherwise(*message.failure)
        return _txn(await txn.commit())

    @_do.register
    async def _(self, message: kv.CompactionRequest) -> Any:
        revision = await self._client.compact(message.revision, physical=message.physical)
        return kv.CompactionResponse(header=_header(revision))

    @asynccontextmanager
    async def watch(self, request: WatchCreateRequest) -> AsyncIterator[AsyncIterator[WatchResponse]]:
        """Open the client's watch, which goes on at other nodes; each revision is one response."""
        end = request.range_end or None
        watch = self._client.watch(
            request.key,
            end,
            start_revision=request.start_revision,
            prev_kv=request.prev_kv,
            filters=[FilterType(one) for one in request.filters],
        )
        try:
            async with watch:
                yield _responses(watch)
        except RaftKvError as error:
            self.failure = str(error)
            raise as_workloads_have_it(error) from error

    @asynccontextmanager
    async def observe(self, request: LeaderRequest) -> AsyncIterator[AsyncIterator[LeaderResponse]]:
        """Open the stream of an election's leaders at the first node: the client's own leaves doubles out."""
        first = HttpPort(self._http.endpoints.all[0].url, self.now, self._http.timeout)
        async with first as port, port.observe(request) as responses:
            yield responses


async def _responses(watch: Watch) -> AsyncGenerator[WatchResponse, None]:
    """Yield a created response, and then the events of each revision together."""
    yield WatchResponse(header=_header(max(watch.next_revision - 1, FIRST_REVISION)), created=True)
    held: list[Event] = []
    try:
        async for event in watch:
            held.append(_event(event))
            if watch.next_revision > event.revision:  # nothing of this revision is left
                yield WatchResponse(header=_header(event.revision), events=held)
                held = []
    except (Compacted, WatchCanceled) as error:
        compacted = error.revision if isinstance(error, Compacted) else 0
        header = _header(max(watch.next_revision - 1, compacted))
        yield WatchResponse(header, canceled=True, compact_revision=compacted, cancel_reason=str(error))


def _event(event: client_watch.Event) -> Event:
    return Event(type=event.type, kv=event.kv, prev_kv=event.prev_kv)


def _header(revision: int) -> kv.ResponseHeader:
    return kv.ResponseHeader(revision=revision)


def _range(found: results.Found) -> kv.RangeResponse:
    return kv.RangeResponse(header=_header(found.revision), kvs=found.kvs, more=found.more, count=found.count)


def _put(written: results.Written) -> kv.PutResponse:
    return kv.PutResponse(header=_header(written.revision), prev_kv=written.prev_kv)


def _deleted(deleted: results.Deleted) -> kv.DeleteRangeResponse:
    header = _header(deleted.revision)
    return kv.DeleteRangeResponse(header=header, deleted=deleted.deleted, prev_kvs=deleted.prev_kvs)


def _txn(committed: results.Committed) -> kv.TxnResponse:
    responses = [_response(one) for one in committed.results]
    return kv.TxnResponse(
        header=_header(committed.revision), succeeded=committed.succeeded, responses=responses
    )


def _response(result: results.Result) -> kv.ResponseOp:
    match result:
        case results.Found():
            return kv.ResponseOp(response_range=_range(result))
        case results.Written():
            return kv.ResponseOp(response_put=_put(result))
        case results.Deleted():
            return kv.ResponseOp(response_delete_range=_deleted(result))
    return kv.ResponseOp(response_txn=_txn(result))
