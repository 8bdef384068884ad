"""A TCP proxy in front of one address of one node, in user space and in the harness's process."""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from raftkv.chaos.connection import Connection
from raftkv.chaos.link import Link
from raftkv.local.layout import HOST

BACKLOG = 512
MAX_CONNECTIONS = 4096
"""Connections of one proxy, those that hang included; further ones are broken off."""


class Ways(Protocol):
    """What a proxy asks about the ends of its connections; ends are names."""

    def identify(self, member: int, port: int) -> str:
        """Return who has a connection that says to be ``member`` (0: nothing) and comes from ``port``."""
        ...

    def link(self, source: str, target: str) -> Link:
        """Return the link from one end to another."""
        ...


class Proxy:
    """Listens at a port of this machine and passes on to ``host``:``port``, where the node ``target`` is.

    ``source``: who all connections come from; "": each says so itself.
    """

    def __init__(self, ways: Ways, target: str, host: str, port: int, source: str = "") -> None:
        self.connections: set[Connection] = set()
        self._ways = ways
        self._target = target
        self._address = (host, port)
        self._source = source
        self._server: asyncio.Server | None = None

    async def open(self, at: int) -> None:
        """Begin to listen at port ``at``; raises OSError when it is in use."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Near(self), HOST, at, backlog=BACKLOG)

    async def close(self) -> None:
        """Break every connection and listen no more."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.reset(lambda connection: True)
        await asyncio.sleep(0)  # in which the transports close

    def reset(self, chosen: Callable[[Connection], bool]) -> int:
        """Break the connections that are ``chosen``; return how many."""
        broken = [connection for connection in self.connections if chosen(connection)]
        for connection in broken:
            connection.abort()
        return len(broken)

    def accept(self, near: asyncio.Transport) -> Connection | None:
        """Take a connection, None when there are too many."""
        if self._server is None or len(self.connections) >= MAX_CONNECTIONS:
            return None
        port = cast("int", near.get_extra_info("peername")[1])
        connection = Connection(
            near,
            self._address,
            lambda member: self._ways.identify(member, port),
            lambda source: (self._ways.link(source, self._target), self._ways.link(self._target, source)),
            lambda: self.connections.discard(connection),
        )
        self.connections.add(connection)
        if self._source:
            connection.begin(self._source)
        return connection


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
