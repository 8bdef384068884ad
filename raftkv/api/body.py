"""Reading a request's body: bounded in bytes and in time."""

import asyncio

from aiohttp import StreamReader, web

from raftkv.errors import InvalidRequest, MessageTooLarge

BODY_SECONDS = 60.0
"""A body that is not complete after this long ends the request."""


class BodyTooSlow(Exception):
    """The client did not send the whole body in time."""


async def read_body(request: web.BaseRequest, limit: int, message_limit: int) -> bytes:
    """Return the whole body, at most ``limit`` bytes.

    Raises MessageTooLarge (against ``message_limit``, the size of a decoded message) as soon as more is
    announced or has come, InvalidRequest for a malformed chunk, BodyTooSlow after BODY_SECONDS.
    """
    content = request.content
    if (request.content_length or 0) > limit:
        raise MessageTooLarge(request.content_length or 0, message_limit)
    if content.is_eof() and content.exception() is None:
        return content.read_nowait()
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # what counts as written output would stop an error reply later
        request.writer.output_size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read_pieces(content, limit, message_limit)
    except TimeoutError:
        raise BodyTooSlow from None


async def _read_pieces(content: StreamReader, limit: int, message_limit: int) -> bytes:
    body = bytearray()
    try:
        while piece := await content.readany():
            body += piece
            if len(body) > limit:
                raise MessageTooLarge(len(body), message_limit)
    except web.RequestPayloadError:
        raise InvalidRequest("malformed chunked encoding") from None
    return bytes(body)
