"""A client's way to one node: the JSON gateway at its URL, one attempt a request, and what came of it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from raftkv.chaos.wire import Seen, as_workloads_have_it, everything, until_seen, way_of
from raftkv.client.endpoint import Endpoint, Endpoints
from raftkv.client.http import Http, Stream
from raftkv.client.outcome import NoAnswer
from raftkv.errors import RaftKvError
from raftkv.schema.election import LeaderRequest, LeaderResponse
from raftkv.schema.watch import WatchCreateRequest, WatchRequest, WatchResponse

M = TypeVar("M")

CALL_SECONDS = 3.0
"""How long an answer is waited for, by default. One that comes later is of no use: the outcome is unknown."""

WAIT_SECONDS = 7.0
"""The same for what waits for others: a lock, or to be elected."""


class HttpPort:
    """The ``Port`` of one client, with connections of its own. Used inside ``async with``.

    It asks the one node at ``url`` and no other, and nothing twice. A request that could not be sent raises
    ``NotSent``; one that was refused before it could do anything an error that ``is_definite``; everything
    else leaves the outcome open. ``WrongAnswer``: the answer is none to the request. ``failure`` is the text
    of the last error of a call, or of a stream that was not opened.
    """

    def __init__(
        self,
        url: str,
        clock: Callable[[], float],
        seconds: float = CALL_SECONDS,
        seen: Seen = everything,
    ) -> None:
        """``clock``: the run's, in seconds; ``seconds``: how long one answer is waited for.

        ``seen``: no compaction goes further than what it returns.
        """
        self._seen = seen
        self.failure = ""
        self._http = Http(Endpoints([url]), seconds)
        self._patient = Http(Endpoints([url]), WAIT_SECONDS)
        self._clock = clock

    async def __aenter__(self) -> Self:
        await asyncio.gather(self._http.open(), self._patient.open())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(self._http.close(), self._patient.close())

    def now(self) -> float:
        """Return the seconds on the clock of the run."""
        return self._clock()

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    async def call(self, message: Any) -> Any:
        """Send a request once, and return its response."""
        way = way_of(message)
        await until_seen(message, self._seen)
        try:
            http = self._patient if way.waits else self._http
            return await http.ask(self._node, way.path, message, way.reply, streamed=way.streamed)
        except RaftKvError as error:
            self.failure = str(error)
            raise as_workloads_have_it(error) from error

    @asynccontextmanager
    async def watch(self, request: WatchCreateRequest) -> AsyncIterator[AsyncIterator[WatchResponse]]:
        """Open a watch at the node; its responses come as they are, the created one first."""
        message = WatchRequest(create_request=request)
        async with self._stream("/v3/watch", message, WatchResponse) as responses:
            yield _until_canceled(responses)

    @asynccontextmanager
    async def observe(self, request: LeaderRequest) -> AsyncIterator[AsyncIterator[LeaderResponse]]:
        """Open the stream of an election's leaders at the node."""
        async with self._stream("/v3/election/observe", request, LeaderResponse) as responses:
            yield responses

    @asynccontextmanager
    async def _stream(self, path: str, message: Any, reply: type[M]) -> AsyncIterator[AsyncIterator[M]]:
        try:
            stream = await self._http.stream(self._node, path, message, reply, self._http.timeout)
        except RaftKvError as error:
            self.failure = str(error)
            raise as_workloads_have_it(error) from error
        try:
            yield _responses(stream)
        finally:
            stream.close()

    @property
    def _node(self) -> Endpoint:
        return self._http.endpoints.all[0]


async def _responses(stream: Stream[M]) -> AsyncGenerator[M, None]:
    """Yield what a stream brings until it ends; a wrong line raises ``WrongAnswer``."""
    while True:
        try:
            response = await stream.next(patience=float("inf"))
        except NoAnswer:
            return
        except RaftKvError as error:
            raise as_workloads_have_it(error) from error
        yield response


async def _until_canceled(responses: AsyncIterator[WatchResponse]) -> AsyncGenerator[WatchResponse, None]:
    async for response in responses:
        yield response
        if response.canceled:
            return
