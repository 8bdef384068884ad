"""One connection through a proxy, between who opened it (near) and the node (far)."""

import asyncio
from collections.abc import Callable

from raftkv.chaos import first_bytes
from raftkv.chaos.link import Link
from raftkv.chaos.pipe import Pipe


class Connection:
    """Bytes both ways. Until its source is known and both directions are free it hangs, connected to nobody.

    ``identify`` returns the name of who says to be this member (0: it does not say), ``link`` the link from
    the near to the far end and the one back. ``done`` is called at the end. ``refused``: nobody listened at
    the node.
    """

    def __init__(
        self,
        near: asyncio.Transport,
        address: tuple[str, int],
        identify: Callable[[int], str],
        links: Callable[[str], tuple[Link, Link]],
        done: Callable[[], None],
    ) -> None:
        self.refused = False
        self.member = 0
        self.source = ""
        self._near: asyncio.Transport | None = near
        self._far: asyncio.Transport | None = None
        self._address = address
        self._identify = identify
        self._links_of = links
        self._done = done
        self._head = bytearray()
        self._ended = 0
        self._links: tuple[Link, Link] | None = None
        self._forward: Pipe | None = None
        self._backward: Pipe | None = None
        self._connecting: asyncio.Task[None] | None = None

    @property
    def is_stuck(self) -> bool:
        """Whether something of it is held back: bytes, an end, or all of it."""
        if self._links is None or self._forward is None or self._backward is None:
            return False
        if self._far is None and self._connecting is None and self._near is not None:
            return True
        return self._forward.is_held or self._backward.is_held

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait here, both ways."""
        pipes = (self._forward, self._backward)
        return len(self._head) + sum(pipe.waiting_bytes for pipe in pipes if pipe is not None)

    def abort(self) -> None:
        """Break both ends off, with what waits."""
        self._close_pipes()
        if self._connecting is not None:
            self._connecting.cancel()
        for side in (self._near, self._far):
            if side is not None:
                side.abort()

    # ---------------------------------------------------------------- the near end

    def begin(self, source: str) -> None:
        """Go on, from now on as a connection from ``source``."""
        assert self._near is not None
        self.source = source
        self._links = forward, backward = self._links_of(source)
        self._forward, self._backward = Pipe(forward, self.abort), Pipe(backward, self.abort)
        self._forward.read_from(self._near)
        self._backward.write_to(self._near)
        for link in self._links:
            link.subscribe(id(self), self._connect)
        if forward.is_held or backward.is_held:
            (forward if forward.is_held else backward).counters.hung += 1
        if self._head:
            head, self._head = bytes(self._head), bytearray()
            self._forward.feed(head)
        self._connect()

    def near_said(self, data: bytes) -> None:
        """Take bytes of who opened the connection."""
        if self._forward is not None:
            self._forward.feed(data)
            return
        self._head += data
        if first_bytes.is_whole(bytes(self._head)):
            self.member = first_bytes.source_of(bytes(self._head))
            self.begin(self._identify(self.member))

    def near_ended(self) -> None:
        """Take note that who opened the connection has nothing more to say."""
        if self._forward is None:
            self.abort()
        else:
            self._forward.end(lambda: self._end(self._far))

    def near_lost(self) -> None:
        """Take note that who opened the connection is gone."""
        self._near = None
        if self._backward is not None:
            self._backward.close()
        if self._far is None or self._forward is None:
            self._finish()
        else:
            self._forward.end(self._far.abort)

    def near_is_full(self, full: bool) -> None:  # noqa: FBT001  one door for asyncio's two calls
        """Take note of whether the near end takes more."""
        if self._backward is not None:
            self._backward.sink_is_full(full)

    # ---------------------------------------------------------------- the far end

    def _connect(self) -> None:
        if self._links is None or any(link.is_held for link in self._links):
            return
        for link in self._links:
            link.unsubscribe(id(self))
        if self._connecting is None and self._far is None and self._near is not None:
            self._connecting = asyncio.get_running_loop().create_task(self._open_far())

    async def _open_far(self) -> None:
        try:
            far, _ = await asyncio.get_running_loop().create_connection(lambda: _Far(self), *self._address)
        except OSError as error:
            self.refused = isinstance(error, ConnectionRefusedError)
            self.abort()  # who connects next is refused at once
            return
        self._far = far
        if self._near is None or self._forward is None or self._backward is None:
            self._far.abort()
            return
        self._backward.read_from(self._far)
        self._forward.write_to(self._far)

    def far_said(self, data: bytes) -> None:
        """Take bytes of the node."""
        if self._backward is not None:
            self._backward.feed(data)

    def far_ended(self) -> None:
        """Take note that the node has nothing more to say."""
        if self._backward is not None:
            self._backward.end(lambda: self._end(self._near))

    def far_lost(self) -> None:
        """Take note that the node is gone."""
        self._far = None
        if self._forward is not None:
            self._forward.close()
        if self._near is None or self._backward is None:
            self._finish()
        else:
            self._backward.end(self._near.abort)

    def far_is_full(self, full: bool) -> None:  # noqa: FBT001  as above
        """Take note of whether the node takes more."""
        if self._forward is not None:
            self._forward.sink_is_full(full)

    # ---------------------------------------------------------------- the end

    def _end(self, side: asyncio.Transport | None) -> None:
        """Pass the end of one direction on; with the second one the connection is over."""
        if side is None or side.is_closing():
            return
        other = self._near if side is self._far else self._far
        try:
            side.write_eof()
        except OSError:  # it broke at its other end, and is about to be reported as lost
            side.abort()
            return
        self._ended += 1
        if self._ended == 2 and other is not None:
            side.close()
            other.close()

    def _close_pipes(self) -> None:
        for pipe in (self._forward, self._backward):
            if pipe is not None:
                pipe.close()
        for link in self._links or ():
            link.unsubscribe(id(self))

    def _finish(self) -> None:
        self._close_pipes()
        if self._connecting is not None and self._far is None:
            self._connecting.cancel()
        self._done()


class _Far(asyncio.Protocol):
    """The end towards the node, as asyncio sees it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._connection.far_said(data)

    def eof_received(self) -> bool:
        """Stay open for the other direction."""
        self._connection.far_ended()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._connection.far_lost()

    def pause_writing(self) -> None:
        """See asyncio."""
        self._connection.far_is_full(full=True)

    def resume_writing(self) -> None:
        """See asyncio."""
        self._connection.far_is_full(full=False)
