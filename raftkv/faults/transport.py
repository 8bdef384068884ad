"""A transport whose links fail when they are told to; else the transport behind it.

What leaves goes through the link from this member to the target, what arrives through the link from its
source to this member. Streams stay up, as they do for a while when a cable is cut: nobody is told.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Final, TypeVar

from raftkv.errors import PeerUnavailable
from raftkv.faults.links import FaultyLink
from raftkv.faults.orders import LinkFault
from raftkv.node.transport import Connection, Receiver, SnapshotChunk, Transport
from raftkv.raft.messages import Message
from raftkv.raft.types import PeerEvent

FETCH_SECONDS: Final = 5.0
"""How long a chunk of a snapshot may take over a faulty link."""

Ends = tuple[int, int]
"""Ids of who sends and who receives."""

T = TypeVar("T")


class FaultyTransport:
    """Implements ``raftkv.node.transport.Transport`` over another one, for member ``member_id``.

    ``links`` has every link that was ever told a fault. Each id comes from an order that was checked.
    """

    def __init__(self, transport: Transport, member_id: int, random: Random) -> None:
        self.links: dict[Ends, FaultyLink] = {}
        self._transport = transport
        self._member_id = member_id
        self._random = random
        self._receiver: Receiver | None = None

    def set(self, ends: Ends, fault: LinkFault) -> None:
        """Let a link, one of whose ends is this member, have a fault in place of the one before."""
        link = self.links.get(ends)
        if link is not None:
            link.set(fault)
            return
        leaves = ends[0] == self._member_id
        self.links[ends] = FaultyLink(fault, self._random, self._send if leaves else self._receive)

    # ---------------------------------------------------------------- the port

    def start(self, receiver: Receiver) -> None:
        """See ``Transport``."""
        self._receiver = receiver
        self._transport.start(_FaultyReceiver(receiver, self))

    def set_peers(self, peers: Mapping[int, Sequence[str]]) -> None:
        """See ``Transport``."""
        self._transport.set_peers(peers)

    def send(self, messages: Sequence[Message]) -> None:
        """See ``Transport``."""
        for message in messages:
            link = self.links.get((self._member_id, message.target))
            if link is None:
                self._send(message)
            else:
                link.carry(message)

    async def fetch_snapshot(self, peer: int, index: int, term: int, offset: int) -> SnapshotChunk:
        """See ``Transport``."""
        deadline = asyncio.get_running_loop().time() + FETCH_SECONDS
        return await self._request(
            peer, deadline, lambda _: self._transport.fetch_snapshot(peer, index, term, offset)
        )

    def connection(self, peer: int) -> Connection | None:
        """See ``Transport``."""
        return self._transport.connection(peer)

    async def ask(self, peer: int, question: bytes, seconds: float) -> bytes:
        """See ``Transport``."""
        deadline = asyncio.get_running_loop().time() + seconds
        return await self._request(peer, deadline, lambda left: self._transport.ask(peer, question, left))

    async def close(self) -> None:
        """See ``Transport``."""
        self._receiver = None
        for link in self.links.values():
            link.drop_held()
        await self._transport.close()

    # ----------------------------------------------------------------

    def arrived(self, message: Message) -> None:
        """Take a message that a peer sent."""
        link = self.links.get((message.source, self._member_id))
        if link is None:
            self._receive(message)
        else:
            link.carry(message)

    def _send(self, message: Message) -> None:
        self._transport.send((message,))

    def _receive(self, message: Message) -> None:
        if self._receiver is not None:
            self._receiver.receive(message)

    async def _request(self, peer: int, deadline: float, call: Callable[[float], Awaitable[T]]) -> T:
        """Make a request over the way there, and take its answer over the way back.

        ``call`` is told how many seconds are left when it begins.
        """
        await self._pass((self._member_id, peer), peer, deadline)
        answer = await call(deadline - asyncio.get_running_loop().time())
        await self._pass((peer, self._member_id), peer, deadline)
        return answer

    async def _pass(self, ends: Ends, peer: int, deadline: float) -> None:
        """Pass a link in time. Raises PeerUnavailable, and counts that."""
        if (link := self.links.get(ends)) is None:
            return
        try:
            async with asyncio.timeout_at(deadline):
                await link.passable()
        except TimeoutError:
            link.effects.requests_failed += 1
            raise PeerUnavailable(f"member {peer:x} does not answer (a fault that was ordered)") from None


class _FaultyReceiver:
    """What the transport behind calls: the node, but for messages, which go through their link."""

    def __init__(self, receiver: Receiver, transport: FaultyTransport) -> None:
        self._receiver = receiver
        self._transport = transport

    def receive(self, message: Message) -> None:
        self._transport.arrived(message)

    def peer_event(self, peer: int, event: PeerEvent) -> None:
        self._receiver.peer_event(peer, event)

    async def serve_snapshot(self, index: int, term: int, offset: int) -> SnapshotChunk | None:
        return await self._receiver.serve_snapshot(index, term, offset)

    async def answer(self, question: bytes) -> bytes:
        return await self._receiver.answer(question)
