"""Streams that outlive a connection: opened anew at another member, from where the last one ended."""

import asyncio
import math
from collections import deque
from typing import Any, Generic, Protocol, Self, TypeVar

from raftkv.client.http import Http, Silent, Stream
from raftkv.client.rules import LONGEST_WAIT, Call
from raftkv.errors import RaftKvError

M_contra = TypeVar("M_contra", contravariant=True)
M = TypeVar("M")
T = TypeVar("T")

START_SECONDS = 10.0
"""How long a member may take to say that a stream has begun."""

SILENCE_SECONDS = 60.0
"""After so long without a reply the member is asked whether it still serves: one that is gone says nothing
either."""

LONGEST_SILENCES = 12
"""After so many of these in a row the stream is opened anew all the same. By default members tell how far
they are every 10 or 11 minutes: a stream that is opened anew more often would never hear of it, and a watch
of keys that do not change would be left behind what is compacted."""


class Source(Protocol[M_contra, T]):
    """What is wanted of the stream, and how far it has come: the part without input or output."""

    @property
    def started(self) -> bool:
        """Whether the current stream has begun, so that silence means that nothing happens."""

    def request(self) -> Any:
        """Begin a stream; return the request that goes on where the last one ended."""

    def take(self, reply: M_contra) -> list[T]:
        """Return what a reply brings. Raises an error of ``outcome`` when the stream is over."""


class Subscription(Generic[M, T]):
    """An asynchronous iterator over what a stream brings, for one task.

    Inside ``async with`` it has begun when the block does, and its connection is closed with it. Without,
    it begins with the first item and ends with ``close``, with the client, or when nobody refers to it.

    A lost connection, a member that stops or is cut off: it goes on at the next member, for as long as it
    takes; only its very first connection has to come about within the client's timeout. What lasts is raised.
    """

    def __init__(self, http: Http, path: str, reply: type[M], source: Source[M, T]) -> None:
        self._http = http
        self._path = path
        self._reply = reply
        self._source = source
        self._stream: Stream[M] | None = None
        self._items: deque[T] = deque()
        self._call: Call | None = None
        self._has_begun = False
        self._opened_at = 0.0
        self._closed = False

    async def __aenter__(self) -> Self:
        await self._first_call()
        while not self._has_begun:
            await self._advance()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self._drop()  # a loop was left with break; aiohttp would warn of a connection left open

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._closed or self._http.closed:
                raise StopAsyncIteration
            await self._advance()
        return self._items.popleft()

    def close(self) -> None:
        """End the stream. What it has already brought can still be taken."""
        self._closed = True
        self._drop()

    async def _prepare(self) -> None:
        """Do what has to be done before the first stream."""

    async def _first_call(self) -> Call:
        if self._call is None:
            await self._prepare()
            now = asyncio.get_running_loop().time()
            deadline = math.inf if self._has_begun else now + self._http.timeout
            self._call = Call(self._http.endpoints, deadline, repeatable=True)
        return self._call

    async def _advance(self) -> None:
        """Take one reply, or one step on the way to a stream that gives one. Raises what lasts."""
        call, clock = await self._first_call(), asyncio.get_running_loop().time
        try:
            self._items.extend(await self._receive(call))
        except RaftKvError as error:
            self._drop()
            if not self._closed and not self._http.closed:
                await asyncio.sleep(self._wait(call, error))
        else:
            if self._source.started:
                # streams that begin and end at once are failures too: they must not follow without a pause
                if not self._has_begun or clock() - self._opened_at >= LONGEST_WAIT:
                    call.begin_anew(math.inf)
                self._has_begun = True

    async def _receive(self, call: Call) -> list[T]:
        if self._stream is None:
            request = self._source.request()
            self._opened_at = asyncio.get_running_loop().time()
            self._stream = await self._http.stream(
                call.endpoint, self._path, request, self._reply, self._patience()
            )
        return self._source.take(await self._next(self._stream, call))

    async def _next(self, stream: Stream[M], call: Call) -> M:
        """Wait for the next reply, through silences as well while the member serves others."""
        silences = 0
        while True:
            try:
                return await stream.next(self._patience())
            except Silent:
                silences += 1
                if not self._source.started or silences == LONGEST_SILENCES:
                    raise
                if not await self._http.serves(call.endpoint):
                    raise

    def _patience(self) -> float:
        return SILENCE_SECONDS if self._source.started else START_SECONDS

    def _wait(self, call: Call, error: RaftKvError) -> float:
        try:
            return call.after(error, asyncio.get_running_loop().time())
        except RaftKvError:
            self._closed = True
            raise

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = None
