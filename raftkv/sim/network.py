"""The simulated network: directed links that delay, lose, double and cut.

Messages travel as frames of the real codec. A link keeps their order, as a stream does, unless the
conditions say that it may not. What is sent into a cut link, or to a member that is down, is lost; the
sender is told so now and then, as a broken stream would tell it.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from raftkv.errors import PeerUnavailable, SnapshotGone
from raftkv.mvcc.level import LEVEL
from raftkv.node.transport import Connection, Receiver, SnapshotChunk
from raftkv.raft import Message, PeerEvent
from raftkv.raft.codec import decode_message, encode_message
from raftkv.sim.loop import SimLoop
from raftkv.sim.watch import NOBODY, Link, Watcher

Serve = Callable[[int, int, int, int], Awaitable[SnapshotChunk | None]]
"""Lets a member serve a piece of a snapshot: member, index, term, offset. Raises PeerUnavailable."""

Answer = Callable[[int, bytes], Awaitable[bytes]]
"""Lets a member answer another one's question. Raises PeerUnavailable."""

ANSWER_SECONDS = 1.0
"""How long the link that a message came by can carry an answer."""

RECONNECT_SECONDS = 0.05
"""How long after a link is whole again its stream is up."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """The weather on every link. Delays in seconds; ``loss``, ``duplication``: chance for a message.

    ``reordering``: whether a message may overtake another on the same link.
    """

    shortest: float = 0.001
    longest: float = 0.001
    loss: float = 0.0
    duplication: float = 0.0
    reordering: bool = False


CALM = Conditions()


class SimNetwork:
    """Every link between the members of one cluster."""

    def __init__(
        self,
        loop: SimLoop,
        random: Random,
        witness: Callable[[int, int, bytes], None],
        watcher: Watcher = NOBODY,
    ) -> None:
        """``witness(source, target, frame)`` sees every frame when it arrives."""
        self.conditions = CALM
        self.serve: Serve = _nobody_serves
        self.answer: Answer = _nobody_answers
        self.counts: Counter[str] = Counter()
        self.on_send: list[Callable[[Message], None]] = []
        self.on_arrival: list[Callable[[Message], None]] = []
        self._loop = loop
        self._random = random
        self._witness = witness
        self._watcher = watcher
        self._receivers: dict[int, Receiver] = {}
        self._peers: dict[int, tuple[int, ...]] = {}
        self._cut: dict[Link, int] = {}
        self._cut_for_good: dict[Link, None] = {}
        self._down: dict[Link, None] = {}
        self._last_arrival: dict[Link, float] = {}

    # ---------------------------------------------------------------- for the members' transports

    def attach(self, member: int, receiver: Receiver) -> None:
        """Let a member that has started receive."""
        self._receivers[member] = receiver

    def detach(self, member: int) -> None:
        """Take a member that has ended off the net."""
        self._receivers.pop(member, None)
        self._peers.pop(member, None)

    def set_peers(self, member: int, peers: Sequence[int]) -> None:
        """Connect a member's streams."""
        self._peers[member] = tuple(peers)
        for peer in peers:
            self._connect((member, peer))

    def send(self, source: int, message: Message) -> None:
        """Send a message; the conditions decide when and whether it arrives."""
        link = (source, message.target)
        self.counts["sent"] += 1
        for listener in self.on_send:
            listener(message)
        if message.target not in self._peers.get(source, ()) and not self._may_answer(link):
            self.counts["to no peer"] += 1
            return
        if self.is_cut(link) or message.target not in self._receivers:
            self._watcher.lost(self._loop.now, self._watcher.sent(self._loop.now, message), "no way")
            self._lose(link)
            return
        weather, random = self.conditions, self._random
        if weather.loss and random.random() < weather.loss:
            self.counts["lost"] += 1
            self._watcher.lost(self._loop.now, self._watcher.sent(self._loop.now, message), "lost")
            return
        frame = encode_message(message)
        self._carry(link, frame, self._watcher.sent(self._loop.now, message))
        if weather.duplication and random.random() < weather.duplication:
            self.counts["doubled"] += 1
            self._carry(link, frame, self._watcher.sent(self._loop.now, message))

    @property
    def is_partitioned(self) -> bool:
        """Whether any link is cut."""
        return bool(self._cut or self._cut_for_good)

    def _may_answer(self, link: Link) -> bool:
        """Whether the target was heard a moment ago: an answer needs no address of its own."""
        return self._loop.now - self._last_arrival.get(link[::-1], -1.0) < ANSWER_SECONDS

    def is_cut(self, link: Link) -> bool:
        """Whether nothing passes a link."""
        return link in self._cut or link in self._cut_for_good

    async def fetch(self, link: Link, index: int, term: int, offset: int) -> SnapshotChunk:
        """Bring a piece of the second member's snapshot to the first; see ``Transport.fetch_snapshot``."""
        await self._request_passes(link)
        chunk = await self.serve(link[1], index, term, offset)
        await self._answer_passes(link)
        if chunk is None:
            self._tell(link[::-1], PeerEvent.SNAPSHOT_FAILED, 0.0)
            raise SnapshotGone(f"{link[1]} has no snapshot {index}-{term} at {offset}")
        self.counts["chunks"] += 1
        return chunk

    async def ask(self, link: Link, question: bytes) -> bytes:
        """Bring the second member's answer to a question of the first; see ``Transport.ask``."""
        await self._request_passes(link)
        self._witness(*link, question)
        self.counts["questions"] += 1
        answer = await self.answer(link[1], question)
        await self._answer_passes(link)
        self._witness(*link[::-1], answer)
        return answer

    def connection(self, link: Link) -> Connection | None:
        """See ``Transport.connection``; a link that is whole has always been."""
        is_up = not self.is_cut(link) and link not in self._down and link[1] in self._receivers
        return Connection(since=0.0, level=LEVEL) if is_up else None

    async def _request_passes(self, link: Link) -> None:
        await asyncio.sleep(self.conditions.longest)
        if self.is_cut(link) or self.is_cut(link[::-1]) or link[1] not in self._receivers:
            raise PeerUnavailable(f"no way from {link[0]} to {link[1]}")

    async def _answer_passes(self, link: Link) -> None:
        await asyncio.sleep(self.conditions.longest)
        if self.is_cut(link[::-1]):
            raise PeerUnavailable(f"no way from {link[1]} to {link[0]}")

    # ---------------------------------------------------------------- for the faults

    def cut(self, links: Iterable[Link]) -> None:
        """Cut links; cut twice, a link has to be mended twice."""
        for link in links:
            if link not in self._cut:
                self._watcher.cut(self._loop.now, link)
            self._cut[link] = self._cut.get(link, 0) + 1

    def cut_for_good(self, links: Iterable[Link]) -> None:
        """Cut links that nothing mends any more."""
        for link in links:
            if not self.is_cut(link):
                self._watcher.cut(self._loop.now, link)
            self._cut_for_good[link] = None

    def mend(self, links: Iterable[Link]) -> None:
        """Take back one ``cut`` of each link."""
        for link in links:
            left = self._cut.get(link, 0) - 1
            if left > 0:
                self._cut[link] = left
            elif link in self._cut:
                del self._cut[link]
                self._mended(link)

    def mend_all(self) -> None:
        """Take back every cut."""
        links, self._cut = list(self._cut), {}
        for link in links:
            self._mended(link)

    def _mended(self, link: Link) -> None:
        if not self.is_cut(link):
            self._watcher.mended(self._loop.now, link)
            self._connect(link)

    # ---------------------------------------------------------------- inside

    def _carry(self, link: Link, frame: bytes, number: int) -> None:
        weather = self.conditions
        delay = weather.shortest
        if weather.longest > weather.shortest:
            delay += self._random.random() * (weather.longest - weather.shortest)
        arrival = self._loop.now + delay
        if not weather.reordering:
            arrival = max(arrival, self._last_arrival.get(link, 0.0))
        self._last_arrival[link] = arrival
        self._loop.call_world_at(arrival, self._arrive, link, frame, number)

    def _arrive(self, link: Link, frame: bytes, number: int) -> None:
        receiver = self._receivers.get(link[1])
        if receiver is None or self.is_cut(link):
            self._watcher.lost(self._loop.now, number, "nobody is there" if receiver is None else "no way")
            self._lose(link)
            return
        self._watcher.arrived(self._loop.now, number)
        self.counts["arrived"] += 1
        self._witness(*link, frame)
        message = decode_message(frame)
        for listener in self.on_arrival:
            listener(message)
        receiver.receive(message)

    def _lose(self, link: Link) -> None:
        """Drop a message, and tell its sender once an outage."""
        self.counts["cut off"] += 1
        if link not in self._down:
            self._down[link] = None
            self._tell(link, PeerEvent.UNREACHABLE, RECONNECT_SECONDS)

    def _connect(self, link: Link) -> None:
        self._loop.call_world_at(self._loop.now + RECONNECT_SECONDS, self._connected, link)

    def _connected(self, link: Link) -> None:
        if not self.is_cut(link) and link[1] in self._receivers:
            self._down.pop(link, None)
            self._tell(link, PeerEvent.CONNECTED, 0.0)

    def _tell(self, link: Link, event: PeerEvent, delay: float) -> None:
        self._loop.call_world_at(self._loop.now + delay, self._told, link, event)

    def _told(self, link: Link, event: PeerEvent) -> None:
        source, peer = link
        if (receiver := self._receivers.get(source)) is not None and peer in self._peers.get(source, ()):
            receiver.peer_event(peer, event)


async def _nobody_serves(member: int, index: int, term: int, offset: int) -> SnapshotChunk | None:
    raise PeerUnavailable(f"member {member} serves nothing")


async def _nobody_answers(member: int, question: bytes) -> bytes:
    raise PeerUnavailable(f"member {member} answers nothing")


class SimTransport:
    """One member's side of the network; see ``raftkv.node.transport.Transport``."""

    def __init__(self, member: int, network: SimNetwork) -> None:
        self._member = member
        self._network = network

    def start(self, receiver: Receiver) -> None:
        """See the port."""
        self._network.attach(self._member, receiver)

    def set_peers(self, peers: Mapping[int, Sequence[str]]) -> None:
        """See the port."""
        self._network.set_peers(self._member, tuple(peers))

    def send(self, messages: Sequence[Message]) -> None:
        """See the port."""
        for message in messages:
            self._network.send(self._member, message)

    async def fetch_snapshot(self, peer: int, index: int, term: int, offset: int) -> SnapshotChunk:
        """See the port."""
        return await self._network.fetch((self._member, peer), index, term, offset)

    def connection(self, peer: int) -> Connection | None:
        """See the port."""
        return self._network.connection((self._member, peer))

    async def ask(self, peer: int, question: bytes, seconds: float) -> bytes:
        """See the port."""
        try:
            async with asyncio.timeout(seconds):
                return await self._network.ask((self._member, peer), question)
        except TimeoutError:
            raise PeerUnavailable(f"no answer of {peer} within {seconds} s") from None

    async def close(self) -> None:
        """See the port."""
        self._network.detach(self._member)
