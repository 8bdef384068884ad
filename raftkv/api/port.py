"""The port clients connect to: one for HTTP/1.1 and, later, gRPC over HTTP/2.

Each connection starts as a ``FirstBytes``, which waits until it can tell the protocol. HTTP/1.1 goes on
as an ``HttpConnection`` (aiohttp's parser). The number of connections, the size of heads, and the time a
request may take to come in are bounded here.
"""

import asyncio
import logging
import resource
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, cast
from urllib.parse import urlsplit

from aiohttp import web

from raftkv.api import replies
from raftkv.errors import ConfigError

HEAD_SECONDS = 20.0
"""A request whose head is not complete after this long ends its connection."""

IDLE_SECONDS = 3600.0
SWEEP_SECONDS = 1.0
LINGER_SECONDS = 5.0
MAX_HEAD_LINE = 64 * 1024
STOP_SECONDS = 1.0
BACKLOG = 1024
HTTP_PORT = 80

RESERVED_FILES = 128
"""File descriptors kept for the log, peers and everything else that is not a client."""

HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# an empty SETTINGS frame, then GOAWAY: last stream 0, HTTP_1_1_REQUIRED (RFC 9113 §6.5, §6.8, §7)
HTTP2_REFUSAL = b"\0\0\0\x04\0\0\0\0\0" + b"\0\0\x08\x07\0\0\0\0\0" + b"\0\0\0\0" + b"\0\0\0\x0d"

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
_log = logging.getLogger("raftkv.api")


def connection_limit() -> int:
    """Return how many client connections this process can take without starving its own files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, min(soft, 65_536) - RESERVED_FILES)


class HttpConnection(web.RequestHandler):
    """An HTTP/1.1 connection; ``waiting_since`` is when an unfinished head began to come in."""

    def __init__(self, manager: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            manager,
            loop=loop,
            keepalive_timeout=IDLE_SECONDS,
            access_log=None,  # type: ignore[arg-type]  # None is how aiohttp's own server turns it off
            logger=_log,
            max_line_size=MAX_HEAD_LINE,
            max_field_size=MAX_HEAD_LINE,
            lingering_time=LINGER_SECONDS,
            auto_decompress=False,
        )
        self.now = loop.time
        self.waiting_since: float | None = None
        self.serving = False

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self.waiting_since is None and not self.serving:
            self.waiting_since = self.now()
        super().data_received(data)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is not HTTP with one line; what is a bug of ours is logged by the base class."""
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        return replies.bare_error(status, "Bad Request")


class FirstBytes(asyncio.Protocol):
    """A connection that has not said yet which protocol it speaks."""

    def __init__(self, port: "ClientPort", now: float) -> None:
        self._port = port
        self._data = b""
        self.opened = now
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first bytes, unless there are too many connections."""
        # no isinstance: uvloop's transports do not derive from asyncio's
        self.transport = cast("asyncio.Transport", transport)
        if not self._port.admit(self):
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._port.forget(self)

    def data_received(self, data: bytes) -> None:
        """Collect bytes until they tell the protocol, then hand over."""
        self._data += data
        if len(self._data) < len(HTTP2_PREFACE) and HTTP2_PREFACE.startswith(self._data):
            return
        self._port.forget(self)
        assert self.transport is not None
        if self._data.startswith(HTTP2_PREFACE):
            self.transport.write(HTTP2_REFUSAL)
            self.transport.close()
            return
        self._port.serve_http(self.transport, self._data)


class ClientPort:
    """Listens on the client URLs and hands each request to ``handler``."""

    def __init__(self, handler: Handler, max_connections: int | None = None) -> None:
        self._handler = handler
        self._max_connections = max_connections or connection_limit()
        self._servers: list[asyncio.Server] = []
        self._undecided: dict[FirstBytes, None] = {}
        self._http: web.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses bound, as (host, port)."""
        return [socket.getsockname()[:2] for server in self._servers for socket in server.sockets]

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._undecided) + (len(self._http.connections) if self._http is not None else 0)

    async def start(self, urls: Sequence[str], flag: str = "listen-client-urls") -> None:
        """Listen on ``urls`` (``http://HOST:PORT``), which ``flag`` gave.

        Raises ConfigError if one can't be bound.
        """
        self._http = web.Server(self._serve, handler_cancellation=True)
        for url in urls:
            try:
                self._servers.append(await self._listen(url))
            except OSError as error:
                await self.stop()
                raise ConfigError(f"--{flag} {url}: {error.strerror or error}") from error
        self._sweeper = asyncio.create_task(self._sweep(), name="client-port-sweeper")

    async def _listen(self, url: str) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        parts = urlsplit(url)
        return await loop.create_server(
            lambda: FirstBytes(self, loop.time()),
            parts.hostname,
            HTTP_PORT if parts.port is None else parts.port,
            backlog=BACKLOG,
        )

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Accept no more, let requests under way finish for up to ``seconds``, then close everything."""
        for server in self._servers:
            server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeper
        for waiting in list(self._undecided):
            if waiting.transport is not None:
                waiting.transport.abort()
        if self._http is not None:
            self._http.pre_shutdown()
            await self._http.shutdown(seconds)
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()

    # ---------------------------------------------------------------- for FirstBytes

    def admit(self, connection: FirstBytes) -> bool:
        """Count a new connection in, or return False if there are too many."""
        if self.connections >= self._max_connections:
            return False
        self._undecided[connection] = None
        return True

    def forget(self, connection: FirstBytes) -> None:
        """Count a connection out that is closed or has told its protocol."""
        self._undecided.pop(connection, None)

    def serve_http(self, transport: asyncio.Transport, data: bytes) -> None:
        """Let a connection go on as HTTP/1.1; ``data`` has come in already."""
        assert self._http is not None
        connection = HttpConnection(self._http, asyncio.get_running_loop())
        transport.set_protocol(connection)
        connection.connection_made(transport)
        connection.data_received(data)

    # ----------------------------------------------------------------

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        connection: Any = request.protocol
        connection.waiting_since = None
        connection.serving = True
        try:
            return await self._handler(request)
        finally:
            connection.serving = False

    async def _sweep(self) -> None:
        """Close what takes too long to say what it wants."""
        now = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for undecided in list(self._undecided):
                if now() - undecided.opened > IDLE_SECONDS and undecided.transport is not None:
                    undecided.transport.abort()
            assert self._http is not None
            for connection in self._http.connections:
                assert isinstance(connection, HttpConnection)
                since = connection.waiting_since
                if since is not None and now() - since > HEAD_SECONDS and connection.transport is not None:
                    connection.transport.abort()
