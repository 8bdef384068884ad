"""Calls answered by many messages: one line of JSON each, as etcd's gateway streams them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any, TypeAlias

from aiohttp import web
from aiohttp.http import StreamWriter

from raftkv.api import replies
from raftkv.api.calls import Call
from raftkv.api.status import CANCELED, DEADLINE_EXCEEDED, Status, status_of
from raftkv.errors import NoLeader, RaftKvError
from raftkv.node.node import Node
from raftkv.schema import json_codec
from raftkv.schema.json_codec import quote

WRITE_SECONDS = 60.0
"""A client that takes no byte of a long reply for this long is dropped."""


LONGEST_CHUNK = 4 << 20
"""A line is one chunk, for there are clients that take each chunk for a message; a longer line is cut."""


Limit: TypeAlias = AbstractAsyncContextManager[Callable[[Exception], None]]
"""See ``limited``."""


SENT_AT_ONCE = 64 * 1024
"""Lines are sent when they have this many bytes together."""


class ClientGone(Exception):
    """The client closed the connection, or takes no bytes."""


async def write_chunk(reply: web.StreamResponse, chunk: bytes) -> None:
    """Send a piece of a reply, and let others run; raises ClientGone, at the latest after WRITE_SECONDS."""
    try:
        async with asyncio.timeout(WRITE_SECONDS):
            await reply.write(chunk)
    except (TimeoutError, ConnectionError):
        raise ClientGone from None
    # a client that reads fast never makes the write wait: let others run all the same
    await asyncio.sleep(0)


def drop(request: web.BaseRequest) -> None:
    """End the connection at once: a reply that was begun can't be taken back."""
    if request.transport is not None:
        request.transport.abort()


def drop_later(transport: asyncio.Transport | None) -> None:
    """Give a client WRITE_SECONDS to take what it was sent before its connection was closed, then drop it.

    When a call ends while a write waits for its client, aiohttp takes the next write for cancelled, and
    closes the connection once all is sent, which may be never.
    """

    def drop_what_is_left() -> None:
        if transport is not None and transport.is_closing():
            transport.abort()

    asyncio.get_running_loop().call_later(WRITE_SECONDS, drop_what_is_left)


def one_line(response: Any) -> Iterable[bytes]:
    """Return a response as etcd's gateway streams it."""
    return (b'{"result":%s}\n' % json_codec.encode(response),)


@asynccontextmanager
async def limited(
    node: Node, seconds: float | None, *, needs_leader: bool
) -> AsyncIterator[Callable[[Exception], None]]:
    """Let the body go on until it must end; what is given can be called to end it with an error.

    Raises that error, NoLeader, NodeStopped, and TimeoutError after ``seconds``.
    """
    if needs_leader and not node.has_leader:
        raise NoLeader
    ended: list[Exception] = []
    try:
        async with asyncio.timeout(seconds) as limit:

            def end(error: Exception) -> None:
                ended.append(error)
                if not limit.expired():
                    limit.reschedule(0.0)

            node.streams.add(end, needs_leader=needs_leader)
            try:
                yield end
            finally:
                node.streams.remove(end)
    except TimeoutError:
        if ended:
            raise ended[0] from None
        raise


async def answer_stream(
    request: web.BaseRequest,
    responses: AsyncGenerator[Any, None],
    limit: Limit,
    call: Call,
    encode: Callable[[Any], Iterable[bytes]] = one_line,
    *,
    patient: bool = False,
) -> web.StreamResponse:
    """Send each response as it comes, for as long as ``limit`` lets it go on, and count it.

    The status is sent with the first response, so an error before it has its own status, and a later one
    comes as the last line. When the client goes away ``responses`` is closed. ``encode`` is as in
    ``DuplexRoute``. A client that takes no bytes is dropped, unless the call is ``patient``.
    """
    reply = replies.message_stream()
    write = reply.write if patient else partial(write_chunk, reply)

    async def send(response: Any) -> None:
        writer = await reply.prepare(request)
        assert isinstance(writer, StreamWriter), "a reply without a body"
        await _Chunks(write, writer, call).send(encode(response))

    try:
        async with aclosing(responses):
            status = await _send_all(responses, send, limit)
        if status is not None and not reply.prepared:
            return refused(call.fail(status))
        if status is not None:
            drop_later(request.transport)
            await write_chunk(reply, error_body(call.fail(status)))
    except (ClientGone, ConnectionError):
        call.fail(CANCELED)
        drop(request)
        return reply
    return reply if reply.prepared else replies.no_messages()


async def _send_all(
    responses: AsyncGenerator[Any, None], send: Callable[[Any], Awaitable[None]], limit: Limit
) -> Status | None:
    """Send all responses; return with what the call failed, None if it did not."""
    try:
        async with limit:
            async for response in responses:
                await send(response)
    except (RaftKvError, TimeoutError) as error:
        return failure(error)
    return None


class _Chunks:
    """Sends text that comes in pieces, each line as one chunk; short lines go out together."""

    def __init__(self, write: Callable[[bytes], Awaitable[None]], writer: StreamWriter, call: Call) -> None:
        self._write = write
        self._writer = writer
        self._call = call
        self._waiting: list[bytes] = []

    async def send(self, pieces: Iterable[bytes]) -> None:
        line: list[bytes] = []
        size = 0
        for piece in pieces:
            line.append(piece)
            size += len(piece)
            if piece.endswith(b"\n") or size >= LONGEST_CHUNK:
                self._add(b"".join(line))
                line.clear()
                if size >= SENT_AT_ONCE:
                    await self._flush()
                    size = 0
            elif not piece:
                await asyncio.sleep(0)
        assert not line, "a response does not end with its line"
        await self._flush()
        # a client that reads fast never makes the write wait: let others run all the same
        await asyncio.sleep(0)

    def _add(self, chunk: bytes) -> None:
        self._call.answer_line(chunk)
        self._waiting.append(chunk)

    async def _flush(self) -> None:
        """Send what waits with one write to the socket, which costs more than all else."""
        chunks, self._waiting = self._waiting, []
        if len(chunks) < 2 or not self._writer.chunked:
            for chunk in chunks:
                await self._write(chunk)
            return
        self._writer.chunked = False  # they are framed here
        try:
            await self._write(b"".join([b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks]))
        finally:
            self._writer.chunked = True


def failure(error: RaftKvError | TimeoutError) -> Status:
    """Return what a client is told about what ended its stream."""
    return status_of(error) if isinstance(error, RaftKvError) else DEADLINE_EXCEEDED


def refused(status: Status) -> web.Response:
    """Answer a call for a stream that failed before its first response."""
    return replies.json(error_body(status), status.http)


def error_body(status: Status) -> bytes:
    """Return what a stream that failed ends with."""
    return b'{"error":{"grpc_code":%d,"http_code":%d,"message":%s,"http_status":%s}}' % (
        status.code,
        status.http,
        quote(status.text),
        quote(HTTPStatus(status.http).phrase),
    )
