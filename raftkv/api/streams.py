"""Calls answered by many messages: one line of JSON each, as etcd's gateway streams them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus
from typing import Any

from aiohttp import web

from raftkv.api import replies
from raftkv.api.status import DEADLINE_EXCEEDED, Status, status_of
from raftkv.errors import RaftKvError
from raftkv.schema import json_codec
from raftkv.schema.json_codec import quote

WRITE_SECONDS = 60.0
"""A client that takes no byte of a long reply for this long is dropped."""


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


async def answer_stream(
    request: web.BaseRequest, responses: AsyncGenerator[Any, None], seconds: float | None
) -> web.StreamResponse:
    """Send each response as it comes, for ``seconds`` at most (None: as long as it takes).

    The status is sent with the first response, so an error before it has its own status, and a later one
    comes as the last line. When the client goes away ``responses`` is closed.
    """
    reply = replies.message_stream()
    try:
        async with aclosing(responses):
            status = await _send_all(request, reply, responses, seconds)
        if status is not None and not reply.prepared:
            return refused(status)
        if status is not None:
            await write_chunk(reply, _error_body(status))
    except (ClientGone, ConnectionError):
        drop(request)
    return reply


async def _send_all(
    request: web.BaseRequest,
    reply: web.StreamResponse,
    responses: AsyncGenerator[Any, None],
    seconds: float | None,
) -> Status | None:
    """Send all responses; return with what the call failed, None if it did not."""
    try:
        async with asyncio.timeout(seconds):
            async for response in responses:
                if not reply.prepared:
                    await reply.prepare(request)
                await write_chunk(reply, b'{"result":%s}\n' % json_codec.encode(response))
    except RaftKvError as error:
        return status_of(error)
    except TimeoutError:
        return DEADLINE_EXCEEDED
    return None


def refused(status: Status) -> web.Response:
    """Answer a call for a stream that failed before its first response."""
    return replies.json(_error_body(status), status.http)


def _error_body(status: Status) -> bytes:
    return b'{"error":{"grpc_code":%d,"http_code":%d,"message":%s,"http_status":%s}}' % (
        status.code,
        status.http,
        quote(status.text),
        quote(HTTPStatus(status.http).phrase),
    )
