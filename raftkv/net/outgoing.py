"""What this member sends to one peer: a stream that is opened again whenever it breaks.

One task a peer holds the stream. While a stream is up there is an ``Outbox`` and messages go there;
while none is up they are dropped, for Raft sends again what still matters.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final, NamedTuple

import aiohttp

from raftkv.net.handshake import STREAM_PATH, Hello, Refused, check_hello, printable, read_hello
from raftkv.net.local import Local, Refusals
from raftkv.net.outbox import Outbox
from raftkv.node.transport import Connection
from raftkv.raft.codec import encode_message
from raftkv.raft.messages import Message
from raftkv.raft.types import PeerEvent
from raftkv.trace import PeerDown, PeerUp

MAX_REASON_BYTES: Final = 1024
_TCP_USER_TIMEOUT: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux only


class Way(NamedTuple):
    """How to reach a member: its ``urls``, and whether only because it sends to this one, as a guest."""

    urls: tuple[str, ...]
    is_guest: bool = False


class Outgoing:
    """The sending side towards one peer.

    A guest is not told this member's own URLs: it would be reached for its answers, and for theirs, for ever.
    """

    def __init__(
        self,
        local: Local,
        peer: int,
        way: Way,
        session: aiohttp.ClientSession,
        report: Callable[[int, PeerEvent], None],
    ) -> None:
        self.way = way
        self._local = local
        self._peer = peer
        self._session = session
        self._report = report
        self._refusals = Refusals(local.emit)
        self._traffic = local.traffic.of(peer)
        self._outbox: Outbox | None = None
        self._connection: Connection | None = None
        self._arrived = asyncio.Event()
        self._told_down = False
        self._lost = False
        self._overflowed = False

    @property
    def connection(self) -> Connection | None:
        """What is known of the stream to the peer; None while none is up."""
        return self._connection if self._outbox is not None else None

    @property
    def waiting_bytes(self) -> int:
        """How much waits to be written."""
        return self._outbox.waiting_bytes if self._outbox is not None else 0

    def send(self, message: Message) -> None:
        """Queue a message, or drop it and let the receiver know soon."""
        if self._outbox is None:
            self._lost = True
            self._traffic.dropped += 1
        elif not self._outbox.put(encode_message(message)):
            self._traffic.dropped += 1
            if not self._overflowed:
                self._overflowed = True
                asyncio.get_running_loop().call_soon(self._report_overflow)

    def peer_arrived(self) -> None:
        """Take note that the peer is alive, for it just connected to us: do not wait any longer."""
        if self._outbox is None:
            self._arrived.set()

    async def run(self) -> None:
        """Hold a stream to the peer until cancelled."""
        failures = 0
        while True:
            url = self.way.urls[failures % len(self.way.urls)]
            began = asyncio.get_running_loop().time()
            reason = await self._try_stream(url)
            was_up, self._outbox = self._outbox is not None, None
            self._tell_down(reason, was_up=was_up)
            lasted = asyncio.get_running_loop().time() - began
            failures = 0 if was_up and lasted > self._local.timing.backoff_most else failures + 1
            await self._pause(failures)

    async def _try_stream(self, url: str) -> str:
        """Hold a stream while it lasts; return why it ended, "" if that has been told as a refusal."""
        try:
            reason = await self._hold_stream(url)
        except Refused as refused:
            self._refusals.tell(self._peer, refused.reason)
            return refused.reason if self._outbox is not None else ""
        if self._outbox is not None:
            self._refusals.forget(self._peer)
        return reason

    async def _hold_stream(self, url: str) -> str:
        """Open a stream and keep it while it lasts; return why it ended, or raise Refused."""
        outbox = Outbox(self._local.queue_bytes, self._traffic)
        hello = self._local.hello(self._peer, () if self.way.is_guest else self._local.urls())
        try:
            async with asyncio.timeout(self._local.timing.connect):
                response = await self._session.post(
                    url + STREAM_PATH,
                    data=outbox,
                    headers=hello.headers(),
                    allow_redirects=False,
                )
        except TimeoutError:
            return f"{url}: no answer within {self._local.timing.connect} s"
        except (aiohttp.ClientError, OSError) as error:
            return f"{url}: {_error_text(error)}"
        try:
            hello = await self._check_answer(url, response)
            self._set_up(response, outbox, hello)
            return await self._watch(response, outbox)
        except aiohttp.ClientPayloadError:
            return "the peer closed the connection"
        except (aiohttp.ClientError, OSError) as error:
            return f"the stream broke: {_error_text(error)}"
        finally:
            _abort(response)

    async def _check_answer(self, url: str, response: aiohttp.ClientResponse) -> Hello:
        """Return what the peer says; raise Refused unless it took the stream and is the one meant."""
        if response.status != 200:
            async with asyncio.timeout(self._local.timing.connect):
                text = _readable(await response.content.read(MAX_REASON_BYTES))
            raise Refused(response.status, f"{url} answered {response.status}: {text}", self._peer)
        hello = read_hello(response.headers)
        check_hello(hello, self._local.cluster_id, self._local.member_id)
        if hello.source != self._peer:
            raise Refused(412, f"{url} is member {hello.source:x}, not {self._peer:x}", self._peer)
        return hello

    def _set_up(self, response: aiohttp.ClientResponse, outbox: Outbox, hello: Hello) -> None:
        connection = response.connection
        if connection is not None and connection.transport is not None and _TCP_USER_TIMEOUT is not None:
            milliseconds = int(self._local.timing.stall * 1000)
            connection.transport.get_extra_info("socket").setsockopt(
                socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, milliseconds
            )
        self._outbox = outbox
        self._traffic.connected = True
        self._connection = Connection(asyncio.get_running_loop().time(), hello.level)
        self._told_down = self._lost = False
        self._arrived.clear()
        self._local.emit(PeerUp(self._peer))
        self._report(self._peer, PeerEvent.CONNECTED)

    async def _watch(self, response: aiohttp.ClientResponse, outbox: Outbox) -> str:
        """Return when the stream ends or its writing stalls; keep an idle one from looking dead."""
        while True:
            takes = outbox.takes
            try:
                async with asyncio.timeout(self._local.timing.stall):
                    farewell = await response.content.read(MAX_REASON_BYTES)
            except TimeoutError:
                if outbox.takes != takes:
                    continue
                if outbox.waiting_bytes:
                    return f"nothing could be written for {self._local.timing.stall} s"
                outbox.put_sign_of_life()
            else:
                if farewell:
                    raise Refused(response.status, f"the peer ended the stream: {_readable(farewell)}")
                return "the peer closed the stream"

    async def _pause(self, failures: int) -> None:
        """Wait before the next attempt: longer each time, shorter when the peer is seen alive."""
        timing = self._local.timing
        longest = min(timing.backoff_most, timing.backoff_first * 2 ** min(failures, 16))
        await asyncio.sleep(timing.backoff_first)
        try:
            async with asyncio.timeout(longest * self._local.rng.uniform(0.5, 1.0)):
                await self._arrived.wait()
        except TimeoutError:
            return
        self._arrived.clear()

    def _tell_down(self, reason: str, *, was_up: bool) -> None:
        if reason and not self._told_down:
            self._told_down = True
            self._local.emit(PeerDown(self._peer, reason))
        self._traffic.connected = False
        self._traffic.disconnects += was_up
        if was_up or self._lost:
            self._lost = False
            self._report(self._peer, PeerEvent.UNREACHABLE)

    def _report_overflow(self) -> None:
        self._overflowed = False
        self._report(self._peer, PeerEvent.UNREACHABLE)


def _abort(response: aiohttp.ClientResponse) -> None:
    """Close a response's connection without waiting for what a peer that does not read left in it."""
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()
    response.close()


def _error_text(error: Exception) -> str:
    return printable(str(error) or type(error).__name__, MAX_REASON_BYTES)


def _readable(text: bytes) -> str:
    return printable(" ".join(text.decode("ascii", "backslashreplace").split()), MAX_REASON_BYTES)
