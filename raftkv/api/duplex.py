"""Calls with many requests and many responses: both go on at the same time, over HTTP/1.1 or a WebSocket.

Over HTTP the requests are the JSON values of the body, and the responses begin while it still comes. Over
a WebSocket each message holds requests and each response is a message, as etcd's own proxy does it.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from typing import Any, NamedTuple

from aiohttp import WSMsgType, web

from raftkv.api import replies, streams
from raftkv.api.access import is_foreign
from raftkv.api.body import BodyBudget, BodyTooSlow, Unfinished, body_values
from raftkv.api.call_options import check_begins, requires_leader, timeout_of
from raftkv.api.calls import Call, CallCounts, Calls
from raftkv.api.json_values import JsonValues
from raftkv.api.status import CANCELED, UNKNOWN_CODE, Status
from raftkv.errors import InvalidRequest, RaftKvError
from raftkv.node.node import Node
from raftkv.schema import json_codec

BEARER = "Bearer"
"""The sub-protocol that a WebSocket client names to send its token as the next one."""

# it warns of clients that name other sub-protocols: no event of this member's
logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)

CLOSE_SECONDS = 1.0
"""How long a WebSocket client may take to say good-bye as well."""


class DuplexRoute(NamedTuple):
    """One call: the class of its requests, and what turns a stream of them into one of responses.

    ``encode`` gives the text of a response in pieces: lines, each of them one ``{"result":...}``. An empty
    piece is a moment to let others run, and none holds the end of one line and the beginning of another.
    """

    request: type
    call: Callable[[AsyncIterator[Any]], AsyncGenerator[Any, None]]
    encode: Callable[[Any], Iterable[bytes]] = streams.one_line
    counts: CallCounts = CallCounts()


def is_upgrade(request: web.BaseRequest) -> bool:
    """Whether a client asks for a WebSocket."""
    return request.headers.get("Upgrade", "").lower() == "websocket"


class Undecodable(Exception):
    """The first request of a stream is nonsense; the text says why."""


class DuplexCalls:
    """Answers such calls. Requests take at most ``limit`` bytes each."""

    def __init__(
        self, node: Node, calls: Calls, budget: BodyBudget, *, limit: int, message_limit: int, max_parts: int
    ) -> None:
        self._node = node
        self._calls = calls
        self._budget = budget
        self._limit = limit
        self._message_limit = message_limit
        self._max_parts = max_parts

    async def answer(self, request: web.BaseRequest, route: DuplexRoute) -> web.StreamResponse:
        """Answer one call. Raises RaftKvError, TimeoutError and BodyTooSlow if it failed before it began."""
        upgrade = is_upgrade(request)
        if request.method != ("GET" if upgrade else "POST"):
            return replies.not_allowed()
        if upgrade and is_foreign(request):
            return replies.text_error(403, "Forbidden")
        seconds = timeout_of(request.headers)
        check_begins(seconds)
        limit = streams.limited(self._node, seconds, needs_leader=requires_leader(request.headers))
        with self._calls.begin(route.counts, request.headers, stream=True) as call:
            if upgrade:
                return await self._serve_socket(request, route, limit, call)
            return await self._serve_body(request, route, limit, call)

    async def _serve_body(
        self, request: web.BaseRequest, route: DuplexRoute, limit: streams.Limit, call: Call
    ) -> web.StreamResponse:
        """Take the requests of a body, and answer them while it still comes."""
        values = body_values(request, self._limit, self._message_limit, self._budget)
        try:
            async with aclosing(values):
                responses = self._responses(route, values, call)
                return await streams.answer_stream(
                    request, responses, limit, call, route.encode, patient=True
                )
        except Undecodable as error:
            return replies.error(call.fail(Status(UNKNOWN_CODE, 500, str(error))))

    async def _responses(
        self, route: DuplexRoute, values: AsyncGenerator[bytes, None], call: Call
    ) -> AsyncGenerator[Any, None]:
        """Yield the responses to the requests in ``values``; raises Undecodable for the first of these."""
        try:
            value = await anext(values, None)
            first = None if value is None else self._decode(route, value, call)
        except InvalidRequest as error:
            raise Undecodable(str(error)) from None
        requests = self._requests(route, first, values, call)
        async with aclosing(requests), aclosing(route.call(requests)) as responses:
            async for response in responses:
                yield response

    async def _requests(
        self, route: DuplexRoute, first: Any, values: AsyncGenerator[bytes, None], call: Call
    ) -> AsyncGenerator[Any, None]:
        """Yield the requests; one that can't be decoded is the end of them, and the responses go on."""
        if first is None:
            return
        yield first
        try:
            async for value in values:
                yield self._decode(route, value, call)
        except (InvalidRequest, BodyTooSlow):
            return

    def _decode(self, route: DuplexRoute, value: bytes, call: Call) -> Any:
        request: Any = json_codec.decode(route.request, value, self._max_parts)
        call.receive(len(value))
        return request

    async def _serve_socket(
        self, request: web.BaseRequest, route: DuplexRoute, limit: streams.Limit, call: Call
    ) -> web.StreamResponse:
        """Let a WebSocket client send requests and take responses, one a message."""
        socket = web.WebSocketResponse(
            timeout=CLOSE_SECONDS,
            protocols=(BEARER,),
            autoping=False,
            compress=False,
            max_msg_size=self._limit,
        )
        try:
            await socket.prepare(request)
        except web.HTTPException:
            return replies.text_error(400, "Bad Request", **{"Sec-WebSocket-Version": "13"})
        transport = request.transport
        try:
            last = await self._talk(socket, route, limit, call)
            async with asyncio.timeout(streams.WRITE_SECONDS):
                if last is not None:
                    await socket.send_frame(last, WSMsgType.TEXT)
                await socket.close()
        except (streams.ClientGone, ConnectionError, TimeoutError):
            call.fail(CANCELED)
            streams.drop(request)
        except asyncio.CancelledError:
            streams.drop_later(transport)
            raise
        return socket

    async def _talk(
        self, socket: web.WebSocketResponse, route: DuplexRoute, limit: streams.Limit, call: Call
    ) -> bytes | None:
        """Send responses until the call ends; return the text of what it failed with. Raises ClientGone."""
        try:
            async with limit as end:
                values = self._messages(socket, end)
                async with aclosing(values), aclosing(self._responses(route, values, call)) as responses:
                    async for response in responses:
                        await _send_messages(socket, route.encode(response), call)
        except Undecodable as error:
            return replies.error_body(call.fail(Status(UNKNOWN_CODE, 500, str(error))))
        except (RaftKvError, TimeoutError) as error:
            return streams.error_body(call.fail(streams.failure(error)))
        return None

    async def _messages(
        self, socket: web.WebSocketResponse, end: Callable[[Exception], None]
    ) -> AsyncGenerator[bytes, None]:
        """Yield the JSON values of a client's messages; when it has gone, or is too slow, the call ends."""
        values, unfinished = JsonValues(), Unfinished(self._limit, self._message_limit, self._budget)
        try:
            while (data := await _next_message(socket, unfinished.deadline)) is not None:
                # etcd's proxy ends each message with a newline, so a number is complete with its message
                values.feed(data + b"\n")
                while (value := values.next()) is not None:
                    yield value
                    unfinished.completed()
                unfinished.note(values.held)
            end(streams.ClientGone())
        finally:
            unfinished.release()


async def _next_message(socket: web.WebSocketResponse, deadline: float | None) -> bytes | None:
    """Return what a client sends next, None if it has gone or sends nothing until ``deadline``."""
    try:
        async with asyncio.timeout_at(deadline):
            while True:
                # messages that came together are there at once: let others run between them
                await asyncio.sleep(0)
                message = await socket.receive()
                match message.type:
                    case WSMsgType.PING:
                        await socket.pong(message.data)
                    case WSMsgType.PONG:
                        pass
                    case WSMsgType.TEXT | WSMsgType.BINARY:
                        data: str | bytes = message.data
                        return data.encode() if isinstance(data, str) else data
                    case _:
                        return None
    except TimeoutError:
        return None


async def _send_messages(socket: web.WebSocketResponse, pieces: Iterable[bytes], call: Call) -> None:
    """Send text that comes in pieces, each line as one message."""
    line: list[bytes] = []
    for piece in pieces:
        line.append(piece)
        call.answer_line(piece)
        if piece.endswith(b"\n"):
            await socket.send_frame(b"".join(line).rstrip(b"\n"), WSMsgType.TEXT)
            line.clear()
        elif not piece:
            await asyncio.sleep(0)
    # a client that reads fast never makes the write wait: let others run all the same
    await asyncio.sleep(0)
