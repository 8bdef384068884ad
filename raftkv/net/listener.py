"""The peer port's connections: how many at a time, and how long one may say nothing."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

MAX_CONNECTIONS: Final = 256
KEEP_ALIVE_S: Final = 10.0
LINGERING_S: Final = 1.0

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Listener(web.Server):
    """aiohttp's server, with a limit on connections and on the time to the first whole request head."""

    def __init__(self, handler: Handler, first_request_s: float) -> None:
        super().__init__(
            self._watched(handler),
            access_log=None,
            auto_decompress=False,
            handler_cancellation=True,
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=LINGERING_S,
            logger=_quiet_logger(),
        )
        self._first_request_s = first_request_s
        self._silent: dict[web.RequestHandler, asyncio.TimerHandle] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Take a connection, or drop it at once when there are too many."""
        super().connection_made(handler, transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        else:
            later = asyncio.get_running_loop().call_later
            self._silent[handler] = later(self._first_request_s, transport.abort)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Forget a connection."""
        self._has_spoken(handler)
        super().connection_lost(handler, exc)

    def _has_spoken(self, handler: web.RequestHandler) -> None:
        if (timer := self._silent.pop(handler, None)) is not None:
            timer.cancel()

    def _watched(self, handler: Handler) -> Handler:
        """Return the handler, with an own bug in it handed to the loop and not to aiohttp's log."""

        async def watched(request: web.BaseRequest) -> web.StreamResponse:
            self._has_spoken(request.protocol)
            try:
                return await handler(request)
            except OSError:  # the connection went away while the answer was written
                raise
            except Exception as error:
                context = {"message": "a request to the peer port failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)
                raise

        return watched


def _quiet_logger() -> logging.Logger:
    """Return a logger that keeps aiohttp from printing a traceback for each malformed request."""
    logger = logging.getLogger("raftkv.net.http")
    logger.setLevel(logging.CRITICAL)
    return logger
