"""Requests over HTTP with aiohttp, one attempt after the other as ``rules`` has it."""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar
from weakref import WeakSet

import aiohttp

from raftkv.client.endpoint import Endpoint, Endpoints
from raftkv.client.outcome import LeaseLost, NoAnswer, Unreachable, WrongAnswer
from raftkv.client.replies import MAX_REPLY, OK, Lines, json_object, message, only_result, refusal, result_of
from raftkv.client.rules import CONNECT_SECONDS, Call, is_passing
from raftkv.errors import RaftKvError
from raftkv.schema import json_codec
from raftkv.schema.kv import RangeRequest, RangeResponse

M = TypeVar("M")
Read = Callable[[Endpoint, int, bytes, type[M]], M]

CHECK_SECONDS = 10.0
"""How often the member of a call that waits is asked whether it still serves, and how long it may take."""

_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""How a connection that may be silent is found to be broken: options of TCP, in seconds and in attempts. What
begins it is called TCP_KEEPALIVE on macOS."""

_HEADERS = {"Content-Type": "application/json"}
_LEADER_NEEDED = {"Grpc-Metadata-hasleader": "true"}
"""A member that is cut off from the others then ends its streams, instead of being silent."""


class Silent(NoAnswer):
    """Nothing came from a stream for a while, which may mean that nothing happened."""


class Http:
    """The connections of one client to all members. Used inside ``async with``."""

    def __init__(self, endpoints: Endpoints, timeout: float) -> None:
        self.endpoints = endpoints
        self.timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        self._streams: WeakSet[Stream[Any]] = WeakSet()

    async def open(self) -> None:
        """Make ready for requests; nothing is sent."""
        # without a limit: streams and locks hold a connection each for as long as they last
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
        for stream in tuple(self._streams):
            stream.close()  # who reads from it would wait for ever

    @property
    def closed(self) -> bool:
        """Whether it was open once and is no more."""
        return self._session is not None and self._session.closed

    async def call(
        self,
        path: str,
        request: Any,
        reply: type[M],
        *,
        repeatable: bool,
        timeout: float | None = None,  # noqa: ASYNC109  # of all attempts, which needs more than a scope
        streamed: bool = False,
    ) -> M:
        """Send a request until its answer comes, or until nothing more may be done.

        ``streamed``: the answer is a stream of one message. Raises what ``Call.after`` does.
        """
        clock = asyncio.get_running_loop().time
        body = json_codec.encode(request)
        read: Read[M] = only_result if streamed else message
        seconds = self.timeout if timeout is None else timeout
        call = Call(self.endpoints, clock() + seconds, repeatable=repeatable)
        while True:
            try:
                status, raw = await self._post(call.endpoint, path, body, call.patience(clock()))
                return read(call.endpoint, status, raw, reply)
            except RaftKvError as error:
                await asyncio.sleep(call.after(error, clock()))

    async def ask(
        self, endpoint: Endpoint, path: str, request: Any, reply: type[M], *, streamed: bool = False
    ) -> M:
        """Send a request to one member, once. ``streamed``: the answer is a stream of one message."""
        status, raw = await self._post(endpoint, path, json_codec.encode(request), self.timeout)
        read: Read[M] = only_result if streamed else message
        return read(endpoint, status, raw, reply)

    async def wait(self, path: str, request: Any, reply: type[M], lost: asyncio.Event) -> M:
        """Send a request whose answer may take for ever. It is not repeated once it may have arrived.

        Not even after an error with which other requests have certainly done nothing: this one may have
        waited before, and what it left behind may still be taken back. Raises OutcomeUnknown also when the
        member can no longer serve, and LeaseLost when ``lost`` is set.
        """
        clock = asyncio.get_running_loop().time
        body = json_codec.encode(request)
        call = Call(self.endpoints, clock() + self.timeout, repeatable=False)
        while True:
            try:
                status, raw = await self._patiently(call.endpoint, path, body, lost)
                return message(call.endpoint, status, raw, reply)
            except LeaseLost:
                raise
            except RaftKvError as error:
                pause = call.after(error, clock())
                if not isinstance(error, Unreachable):
                    raise
                await asyncio.sleep(pause)

    async def _patiently(
        self, endpoint: Endpoint, path: str, body: bytes, lost: asyncio.Event
    ) -> tuple[int, bytes]:
        answer = asyncio.ensure_future(self._post(endpoint, path, body, None))
        loss = asyncio.ensure_future(lost.wait())
        try:
            while not answer.done():
                await asyncio.wait({answer, loss}, timeout=CHECK_SECONDS, return_when="FIRST_COMPLETED")
                if loss.done():
                    raise LeaseLost("the lease ended while it was waited for")
                if not answer.done() and not await self.serves(endpoint):
                    raise NoAnswer(f"{endpoint.url}: it was asked to wait, and serves no more")
            return answer.result()
        finally:
            answer.cancel()
            loss.cancel()
            await asyncio.gather(answer, loss, return_exceptions=True)

    async def serves(self, endpoint: Endpoint) -> bool:
        """Tell whether a member answers reads, which takes a leader that it hears."""
        body = json_codec.encode(RangeRequest(key=b"\0", count_only=True))
        try:
            message(endpoint, *await self._post(endpoint, "/v3/kv/range", body, CHECK_SECONDS), RangeResponse)
        except RaftKvError as error:
            return not is_passing(error)
        return True

    async def _post(
        self, endpoint: Endpoint, path: str, body: bytes, patience: float | None
    ) -> tuple[int, bytes]:
        """Make one attempt; return status and body. Raises Unreachable, NoAnswer and WrongAnswer."""
        with _as_outcome(endpoint):
            async with asyncio.timeout(patience):
                async with self._request(endpoint, path, body, patience, _HEADERS) as response:
                    return response.status, await _content(endpoint, response)

    async def stream(
        self, endpoint: Endpoint, path: str, request: Any, reply: type[M], patience: float
    ) -> "Stream[M]":
        """Open a stream of replies; it begins with the first of them. Raises as its ``next`` does."""
        body, headers = json_codec.encode(request), _HEADERS | _LEADER_NEEDED
        with _as_outcome(endpoint):
            async with asyncio.timeout(patience):
                response = await self._request(endpoint, path, body, patience, headers)
                if response.status == OK:
                    _keep_alive(response)
                    stream = Stream(endpoint, response, reply)
                    self._streams.add(stream)
                    return stream
                async with response:
                    raw = await _content(endpoint, response)
        raise refusal(response.status, json_object(endpoint, response.status, raw))

    def _request(
        self,
        endpoint: Endpoint,
        path: str,
        body: bytes,
        patience: float | None,
        headers: dict[str, str],
    ) -> Any:
        if self._session is None or self._session.closed:
            raise RuntimeError("the client is not open: use it inside `async with`")
        connect = CONNECT_SECONDS if patience is None else min(CONNECT_SECONDS, patience * 0.9)
        limits = aiohttp.ClientTimeout(total=None, connect=connect)
        url = endpoint.url + path
        return self._session.post(url, data=body, headers=headers, timeout=limits, allow_redirects=False)


class Stream(Generic[M]):
    """An open stream of replies from one member."""

    def __init__(self, endpoint: Endpoint, response: aiohttp.ClientResponse, reply: type[M]) -> None:
        self._endpoint = endpoint
        self._response = response
        self._reply = reply
        self._lines = Lines(endpoint)
        self._ready: deque[bytes] = deque()

    async def next(self, patience: float) -> M:
        """Return the next reply.

        Raises Silent when none comes for ``patience`` seconds, NoAnswer when none comes any more, Refused and
        WrongAnswer.

        A call that is cancelled takes nothing away from the next one.
        """
        while not self._ready:
            with _as_outcome(self._endpoint):
                try:
                    async with asyncio.timeout(patience):
                        data = await self._response.content.readany()
                except TimeoutError:
                    raise Silent(f"{self._endpoint.url}: nothing came for {patience:g} s") from None
            self._ready.extend(self._lines.feed(data) if data else self._lines.end())
            if not data and not self._ready:
                raise NoAnswer(f"{self._endpoint.url}: the stream ended")
        return result_of(self._endpoint, self._ready.popleft(), self._reply)

    def close(self) -> None:
        """Drop the connection, which is how a member learns that nobody listens."""
        self._response.close()


def _keep_alive(response: aiohttp.ClientResponse) -> None:
    """Let the system look after a connection that may be silent for long."""
    transport = response.connection.transport if response.connection is not None else None
    found = transport.get_extra_info("socket") if transport is not None else None
    if found is None:
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):
            found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def _content(endpoint: Endpoint, response: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > MAX_REPLY:
            raise WrongAnswer(f"{endpoint.url}: the reply is larger than {MAX_REPLY} bytes", response.status)
    return b"".join(parts)


@contextlib.contextmanager
def _as_outcome(endpoint: Endpoint) -> Iterator[None]:
    """Say of aiohttp's errors what became of the request."""
    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise Unreachable(f"{endpoint.url}: {_reason(error)}") from error
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise NoAnswer(f"{endpoint.url}: no answer ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or str(error.os_error)
    return str(error) or type(error).__name__
