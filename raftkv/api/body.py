"""Reading a request's body: bounded in bytes and in time."""

import asyncio
from collections.abc import AsyncGenerator

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


class Unfinished:
    """What is held of a value that is not complete: bounded, counted in the budget, and to end in time.

    ``deadline`` is when it must be complete, by the loop's clock; None while nothing is held.
    """

    def __init__(self, limit: int, message_limit: int, budget: BodyBudget) -> None:
        self.deadline: float | None = None
        self._limit = limit
        self._message_limit = message_limit
        self._budget = budget
        self._held = 0

    def note(self, size: int) -> None:
        """Take note that ``size`` bytes are held now. Raises MessageTooLarge, TooManyRequests."""
        if size > self._limit:
            raise MessageTooLarge(size, self._message_limit)
        self.release()
        self._budget.take(size)
        self._held = size
        if not size:
            self.deadline = None
        elif self.deadline is None:
            self.deadline = asyncio.get_running_loop().time() + BODY_SECONDS

    def completed(self) -> None:
        """Take note that a value is complete: what is held is of the next one."""
        self.deadline = None

    def release(self) -> None:
        """Give back what was taken of the budget."""
        self._budget.held -= self._held
        self._held = 0


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
    values, unfinished = JsonValues(), Unfinished(limit, message_limit, budget)
    try:
        while True:
            while (value := values.next()) is not None:
                yield value
                unfinished.completed()
            unfinished.note(values.held)
            piece = await _next_piece(request.content, unfinished.deadline)
            if not piece:
                break
            values.feed(piece)
        if rest := values.rest():
            yield rest
    finally:
        unfinished.release()


async def _next_piece(content: StreamReader, deadline: float | None) -> bytes:
    try:
        async with asyncio.timeout_at(deadline):
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
