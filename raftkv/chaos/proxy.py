"""A TCP proxy in front of one address of one node, in user space and in the harness's process."""

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol, cast

from raftkv.chaos.connection import Connection
from raftkv.chaos.link import Link
from raftkv.local.layout import HOST

BACKLOG = 512
MAX_CONNECTIONS = 4096
"""Connections of one proxy, those that hang included; further ones are broken off."""

AGAIN_SECONDS = 0.05
"""How often a node that nobody can connect to is tried."""


class Ways(Protocol):
    """What a proxy asks about the ends of its connections; ends are names."""

    def identify(self, member: int, port: int) -> str:
        """Return who has a connection that says to be ``member`` (0: nothing) and comes from ``port``."""
        ...

    def link(self, source: str, target: str) -> Link:
        """Return the link from one end to another."""
        ...

    def holds(self, source: str, target: str) -> bool:
        """Whether some link between the two is held; ``source`` "": between ``target`` and another node."""
        ...


class Proxy:
    """Listens at a port of this machine and passes on to ``host``:``port``, where the node ``target`` is.

    ``source``: who all connections come from; "": each says so itself. As long as nobody listens at the node
    nobody listens here either: who connects is refused, and knows that nothing was sent. But when a link is
    held connections are taken, and hang, for a refusal would not come through either.
    """

    def __init__(self, ways: Ways, target: str, host: str, port: int, source: str = "") -> None:
        self.connections: set[Connection] = set()
        self._ways = ways
        self._target = target
        self._address = (host, port)
        self._source = source
        self._server: asyncio.Server | None = None
        self._at = 0
        self._socket: socket.socket | None = None
        self._opening: asyncio.Task[None] | None = None
        self._trying: asyncio.Task[None] | None = None

    def open(self, at: int) -> None:
        """Begin to listen at port ``at``; raises OSError when it is in use."""
        self._at, self._socket = at, _bound(at)
        self.regulate()

    async def close(self) -> None:
        """Break every connection and listen no more."""
        if self._trying is not None:
            self._trying.cancel()
        if self._opening is not None:
            await self._opening
        server, self._server = self._server, None
        if server is not None:
            server.close()
        elif self._socket is not None:
            self._socket.close()
        self._socket = None
        self.reset(lambda connection: True)
        await asyncio.sleep(0)  # in which the transports close

    def node_is_gone(self) -> None:
        """Take note that nobody listens at the node; that somebody does again is found out here."""
        if self._trying is None and self._socket is not None:
            self._trying = asyncio.get_running_loop().create_task(self._try())
            self.regulate()

    def regulate(self) -> None:
        """Listen or don't: asked whenever a link is held or free again."""
        if self._opening is not None or self._socket is None:
            return
        wanted = self._trying is None or self._ways.holds(self._source, self._target)
        if wanted and self._server is None:
            self._socket.listen(BACKLOG)
            self._opening = asyncio.get_running_loop().create_task(self._open(self._socket))
        elif not wanted and self._server is not None:
            server, self._server = self._server, None
            server.close()
            self._socket = _bound(self._at)  # not listening, and still nobody else's

    async def _open(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Near(self), sock=bound, backlog=BACKLOG)
        self._opening = None
        self.regulate()

    async def _try(self) -> None:
        """Connect to the node until that is not refused any more."""
        while True:
            try:
                _, writer = await asyncio.open_connection(*self._address)
            except ConnectionRefusedError:
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            except OSError:
                break  # whatever that is: who connects now finds out
            writer.close()
            break
        self._trying = None
        self.regulate()

    def reset(self, chosen: Callable[[Connection], bool]) -> int:
        """Break the connections that are ``chosen``; return how many."""
        broken = [connection for connection in self.connections if chosen(connection)]
        for connection in broken:
            connection.abort()
        return len(broken)

    def accept(self, near: asyncio.Transport) -> Connection | None:
        """Take a connection, None when there are too many."""
        if self._socket is None or len(self.connections) >= MAX_CONNECTIONS:
            return None
        port = cast("int", near.get_extra_info("peername")[1])
        connection = Connection(
            near,
            self._address,
            lambda member: self._ways.identify(member, port),
            lambda source: (self._ways.link(source, self._target), self._ways.link(self._target, source)),
            lambda: self._done(connection),
        )
        self.connections.add(connection)
        if self._source:
            connection.begin(self._source)
        return connection

    def _done(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if connection.refused:
            self.node_is_gone()


def _bound(port: int) -> socket.socket:
    """Return a socket that has a port, at which who connects is refused until it listens. Raises OSError."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
    except OSError:
        bound.close()
        raise
    return bound


class _Near(asyncio.Protocol):
    """The accepted end of a connection, as asyncio sees it."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._connection: Connection | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        near = cast("asyncio.Transport", transport)
        self._connection = self._proxy.accept(near)
        if self._connection is None:
            near.abort()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._connection is not None:
            self._connection.near_said(data)

    def eof_received(self) -> bool:
        """Stay open for the other direction."""
        if self._connection is not None:
            self._connection.near_ended()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        if self._connection is not None:
            self._connection.near_lost()

    def pause_writing(self) -> None:
        """See asyncio."""
        if self._connection is not None:
            self._connection.near_is_full(full=True)

    def resume_writing(self) -> None:
        """See asyncio."""
        if self._connection is not None:
            self._connection.near_is_full(full=False)
