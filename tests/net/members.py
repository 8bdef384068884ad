"""Members on loopback for the tests of the transport: a PeerTransport each, and what it told."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

from raftkv.mvcc.level import LEVEL
from raftkv.mvcc.membership import MemberInfo
from raftkv.net.local import Timing
from raftkv.net.transport import PeerTransport
from raftkv.node.transport import SnapshotChunk
from raftkv.raft.messages import AppendEntries, Heartbeat, Message
from raftkv.raft.types import Entry, PeerEvent
from raftkv.trace import Event

CLUSTER = 0xC0FFEE
QUICK = Timing(connect=5.0, stall=0.2, backoff_first=0.01, backoff_most=0.05)
PATIENT = QUICK._replace(stall=30.0)
GIVE_UP_S = 20.0
N1 = MemberInfo(1, "n1", ("http://127.0.0.1:2380",), ("http://127.0.0.1:2379",), False)
CHUNK = 1000
UNSTARTED = MemberInfo(2, "", ("http://127.0.0.1:22380",), (), True)


class Member:
    """One transport, and everything it delivered, reported and emitted."""

    def __init__(
        self, member_id: int, cluster_id: int = CLUSTER, timing: Timing = QUICK, **options: Any
    ) -> None:
        self.member_id = member_id
        self.messages: list[Message] = []
        self.reports: list[tuple[int, PeerEvent]] = []
        self.trace: list[Event] = []
        self.urls: list[str] = []
        self.snapshots: dict[tuple[int, int], bytes] = {}
        self.asked: list[tuple[int, int, int]] = []
        self.questions: list[bytes] = []
        self.answering = asyncio.Event()
        self.answering.set()
        self._changed = asyncio.Event()
        self.transport = PeerTransport(
            member_id,
            cluster_id,
            self.emit,
            random.Random(member_id),
            members=lambda: [N1, UNSTARTED],
            version=lambda: {"etcdserver": "3.5.1", "etcdcluster": "3.5.0"},
            urls=lambda: self.urls,
            cluster_level=lambda: LEVEL,
            timing=timing,
            **options,
        )

    def receive(self, message: Message) -> None:
        self.messages.append(message)
        self._changed.set()

    def peer_event(self, peer: int, event: PeerEvent) -> None:
        self.reports.append((peer, event))
        self._changed.set()

    async def serve_snapshot(self, index: int, term: int, offset: int) -> SnapshotChunk | None:
        self.asked.append((index, term, offset))
        file = self.snapshots.get((index, term))
        if file is None or offset >= len(file):
            return None
        data = file[offset : offset + CHUNK]
        return SnapshotChunk(len(file), sha256(file).digest(), offset, data)

    async def answer(self, question: bytes) -> bytes:
        self.questions.append(question)
        self._changed.set()
        await self.answering.wait()
        return b"answer to " + question

    def emit(self, event: Event) -> None:
        self.trace.append(event)
        self._changed.set()

    def traced(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.trace if type(event) is kind]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something this member was told makes the condition true."""
        async with asyncio.timeout(GIVE_UP_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def connected(self, *peers: int) -> None:
        await self.until(lambda: set(peers) <= set(self.transport.connected_peers()))

    async def start(self, urls: Sequence[str] = ("http://127.0.0.1:0",)) -> None:
        self.urls = await self.transport.listen(urls)
        self.transport.start(self)


@asynccontextmanager
async def running(*members: Member) -> AsyncIterator[None]:
    """Start the members, introduce them to each other, and close them at the end."""
    try:
        for member in members:
            await member.start()
        for member in members:
            others = {other.member_id: other.urls for other in members if other is not member}
            member.transport.set_peers(others)
        yield
    finally:
        for member in members:
            await member.transport.close()


def heartbeat(source: int, target: int, number: int = 0) -> Heartbeat:
    return Heartbeat(source, target, term=1, commit=0, round=number)


def append(source: int, target: int, size: int) -> AppendEntries:
    return AppendEntries(source, target, 1, 0, 0, (Entry(1, 1, 0, bytes(size)),), 0)
