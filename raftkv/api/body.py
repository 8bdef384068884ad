"""Reading a request's body: bounded in bytes and in time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, nullcontext

from aiohttp import StreamReader, web

from raftkv.api.json_values import JsonValues
from raftkv.errors import InvalidRequest, MessageTooLarge, TooManyRequests

BUDGET_BYTES = 256 * 1024 * 1024
"""Unfinished bodies of all connections together; more are refused until some are done."""

BODY_SECONDS = 60.0
"""A body that is not complete after this long ends the request."""


class BodyBudget:
    """How much of unfinished bodies is held in memory now, on all connections together."""

    def __init__(self, limit: int = BUDGET_BYTES) -> None:
        self.limit = limit
        self.held = 0

    def take(self, size: int) -> None:
        """Take note of ``size`` more bytes; raises TooManyRequests when that is too much."""
        if self.held + size > self.limit:
            raise TooManyRequests(f"{self.held} bytes of unfinished requests are held")
        self.held += size


class BodyTooSlow(Exception):
    """The client did not send the whole body in time."""


async def read_body(request: web.BaseRequest, limit: int, message_limit: int, budget: BodyBudget) -> bytes:
    """Return the whole body, at most ``limit`` bytes.

    Raises MessageTooLarge (against ``message_limit``, the size of a decoded message) as soon as more is
    announced or has come, InvalidRequest for a malformed chunk, BodyTooSlow after BODY_SECONDS,
    TooManyRequests when all unfinished bodies together exceed the ``budget``.
    """
    content = request.content
    if (request.content_length or 0) > limit:
        raise MessageTooLarge(request.content_length or 0, message_limit)
    if content.is_eof() and content.exception() is None:
        return content.read_nowait()
    await _let_go_on(request)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read_pieces(content, limit, message_limit, budget)
    except TimeoutError:
        raise BodyTooSlow from None


async def _let_go_on(request: web.BaseRequest) -> None:
    """Tell a client that asks for it that it may send the body."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # what counts as written output would stop an error reply later
        request.writer.output_size = 0


async def body_values(
    request: web.BaseRequest, limit: int, message_limit: int, budget: BodyBudget
) -> AsyncGenerator[bytes, None]:
    """Yield the JSON values of a body as they come, for as long as the client keeps it open.

    Each is at most ``limit`` bytes. What is left at the end of the body is the last one. Raises
    MessageTooLarge, InvalidRequest (a malformed chunk, or a value of too many parts), BodyTooSlow (a value
    that was begun is not complete after BODY_SECONDS), TooManyRequests.
    """
    if not request.content.is_eof():
        await _let_go_on(request)
    values, held = JsonValues(), 0
    try:
        while True:
            while (value := values.next()) is not None:
                yield value
            if values.held > limit:
                raise MessageTooLarge(values.held, message_limit)
            budget.held, held = budget.held - held, 0
            budget.take(values.held)
            held = values.held
            piece = await _next_piece(request.content, begun=values.held > 0)
            if not piece:
                break
            values.feed(piece)
        if rest := values.rest():
            yield rest
    finally:
        budget.held -= held


async def _next_piece(content: StreamReader, *, begun: bool) -> bytes:
    limited: AbstractAsyncContextManager[object] = asyncio.timeout(BODY_SECONDS) if begun else nullcontext()
    try:
        async with limited:
            return await content.readany()
    except TimeoutError:
        raise BodyTooSlow from None
    except web.RequestPayloadError:
        raise InvalidRequest("malformed chunked encoding") from None


async def _read_pieces(content: StreamReader, limit: int, message_limit: int, budget: BodyBudget) -> bytes:
    pieces: list[bytes] = []
    size = 0
    try:
        while piece := await content.readany():
            if size + len(piece) > limit:
                raise MessageTooLarge(size + len(piece), message_limit)
            budget.take(len(piece))
            size += len(piece)
            pieces.append(piece)
    except web.RequestPayloadError:
        raise InvalidRequest("malformed chunked encoding") from None
    finally:
        budget.held -= size
    return b"".join(pieces)
