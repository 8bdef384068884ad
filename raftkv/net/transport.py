"""The transport of a real cluster: peers over HTTP."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import aiohttp

from raftkv.errors import PeerUnavailable
from raftkv.net.handshake import Hello
from raftkv.net.incoming import Members, PeerPort, Version
from raftkv.net.local import DEFAULT_TIMING, Local, Timing
from raftkv.net.outbox import DEFAULT_LIMIT_BYTES
from raftkv.net.outgoing import Outgoing, Way
from raftkv.net.ping import ping
from raftkv.net.questions import ask
from raftkv.net.requests import PeerRequests
from raftkv.net.snapshots import Wanted, fetch
from raftkv.node.tally import Traffic
from raftkv.node.transport import Connection, Receiver, SnapshotChunk
from raftkv.raft.messages import Message
from raftkv.trace import Emit


class PeerTransport:
    """Implements ``raftkv.node.transport.Transport``.

    ``await listen(urls)`` binds the peer port, before the node is started; streams are refused until
    ``start``. ``members``, ``cluster_level`` and ``version`` give what /members and /version answer. One
    task a peer sends, one a peer's stream receives; a task that dies of an own bug goes to the loop's
    exception handler.

    A *guest* is who sends to this member without being reached by it: one that this member, lagging
    behind, has not heard of, or one that was removed. It is answered at the ``urls`` that it says to have,
    as long as its stream is up (thesis §4.1, §4.2.3); ``urls`` are those of this member.
    """

    def __init__(
        self,
        member_id: int,
        cluster_id: int,
        emit: Emit,
        rng: random.Random,
        *,
        members: Members,
        version: Version,
        urls: Callable[[], Sequence[str]],
        cluster_level: Callable[[], int],
        timing: Timing = DEFAULT_TIMING,
        queue_bytes: int = DEFAULT_LIMIT_BYTES,
    ) -> None:
        self.traffic = Traffic()
        self._local = Local(member_id, cluster_id, emit, rng, self.traffic, timing, queue_bytes, urls)
        self._port = PeerPort(self._local, members, version, cluster_level)
        self._urls: dict[int, tuple[str, ...]] = {}
        self._guests: dict[int, tuple[str, ...]] = {}
        self._peers: dict[int, Outgoing] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._receiver: Receiver | None = None
        self._session: aiohttp.ClientSession | None = None
        self._requests: PeerRequests | None = None
        self._prober: asyncio.Task[None] | None = None

    async def listen(self, urls: Sequence[str]) -> list[str]:
        """Bind the peer port; return the URLs, with the port where it was 0. OSError if in use."""
        return await self._port.listen(urls)

    def start(self, receiver: Receiver) -> None:
        """Begin to deliver and to connect."""
        assert self._session is None, "a transport is started once"
        self._receiver = receiver
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        self._requests = PeerRequests(self._local)
        self._prober = asyncio.get_running_loop().create_task(self._probe_all(), name="prober")
        self._prober.add_done_callback(_surface_failure)
        self._port.start(receiver, self._peer_arrived, self._peer_left)
        self._connect_peers()

    def set_peers(self, peers: Mapping[int, Sequence[str]]) -> None:
        """Replace the set of peers; see the port."""
        assert self._local.member_id not in peers, "a member is not its own peer"
        self._urls = {peer: tuple(urls) for peer, urls in peers.items() if urls}
        if self._session is not None:
            self._connect_peers()

    def send(self, messages: Sequence[Message]) -> None:
        """Queue messages; see the port."""
        for message in messages:
            if (peer := self._peers.get(message.target)) is not None:
                peer.send(message)

    async def fetch_snapshot(self, peer: int, index: int, term: int, offset: int) -> SnapshotChunk:
        """Bring a piece of a peer's snapshot file; see the port."""
        requests, urls = self._way_to(peer)
        return await fetch(requests, peer, urls, Wanted(index, term, offset), self._local.timing.stall)

    def connection(self, peer: int) -> Connection | None:
        """Return what is known of the stream to a peer; see the port."""
        outgoing = self._peers.get(peer)
        return None if outgoing is None else outgoing.connection

    async def ask(self, peer: int, question: bytes, seconds: float) -> bytes:
        """Bring the answer of a peer's node; see the port."""
        requests, urls = self._way_to(peer)
        return await ask(requests, peer, urls, question, seconds)

    def _way_to(self, peer: int) -> tuple[PeerRequests, tuple[str, ...]]:
        way = self._wanted().get(peer)
        if self._requests is None or way is None:
            raise PeerUnavailable(f"no way to member {peer:x} is known")
        return self._requests, way.urls

    def connected_peers(self) -> list[int]:
        """Return the ids of the peers to which a stream is up, in ascending order."""
        return sorted(peer for peer, outgoing in self._peers.items() if outgoing.connection)

    def guests(self) -> list[int]:
        """Return the ids of those that send to this member and say where they are, in ascending order."""
        return sorted(self._guests)

    def waiting_bytes(self, peer: int) -> int:
        """Return how much waits to be written to a peer; 0 for one without a stream."""
        outgoing = self._peers.get(peer)
        return 0 if outgoing is None else outgoing.waiting_bytes

    async def close(self) -> None:
        """End every stream and task."""
        self._guests = {}
        self.set_peers({})
        if self._prober is not None:
            self._prober.cancel()
            await asyncio.wait({self._prober})
        await self._port.close()
        await asyncio.gather(*self._ending, return_exceptions=True)
        session, self._session = self._session, None
        requests, self._requests = self._requests, None
        if session is not None:
            await session.close()
        if requests is not None:
            await requests.close()

    async def _probe_all(self) -> None:
        """Measure round trips to the peers that are connected, now and then."""
        while True:
            await asyncio.sleep(self._local.timing.probe)
            await asyncio.gather(*map(self._probe, self.connected_peers()))

    async def _probe(self, peer: int) -> None:
        with suppress(PeerUnavailable):
            requests, urls = self._way_to(peer)
            seconds = await ping(requests, peer, urls, self._local.timing.stall)
            self.traffic.of(peer).round_trips.observe(seconds)

    def _wanted(self) -> dict[int, Way]:
        """Return whom to reach where; what is known of a peer that moved may be behind what it says."""
        wanted = {peer: Way(urls, is_guest=True) for peer, urls in self._guests.items()}
        for peer, urls in self._urls.items():
            more = (url for url in self._guests.get(peer, ()) if url not in urls)
            wanted[peer] = Way((*urls, *more))
        return wanted

    def _connect_peers(self) -> None:
        wanted = self._wanted()
        for peer, outgoing in list(self._peers.items()):
            if wanted.get(peer) != outgoing.way:
                self._disconnect(peer)
        for peer, way in wanted.items():
            if peer not in self._peers:
                self._connect(peer, way)

    def _connect(self, peer: int, way: Way) -> None:
        assert self._session is not None
        assert self._receiver is not None
        outgoing = Outgoing(self._local, peer, way, self._session, self._receiver.peer_event)
        self._peers[peer] = outgoing
        self._tasks[peer] = asyncio.get_running_loop().create_task(outgoing.run(), name=f"peer {peer:x}")
        self._tasks[peer].add_done_callback(_surface_failure)

    def _disconnect(self, peer: int) -> None:
        del self._peers[peer]
        self.traffic.of(peer).connected = False
        task = self._tasks.pop(peer)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        task.cancel()

    def _peer_arrived(self, hello: Hello) -> None:
        if hello.urls:
            self._guests[hello.source] = hello.urls
            self._connect_peers()
        if (outgoing := self._peers.get(hello.source)) is not None:
            outgoing.peer_arrived()

    def _peer_left(self, peer: int) -> None:
        if self._guests.pop(peer, None) is not None and self._session is not None:
            self._connect_peers()


def _surface_failure(task: asyncio.Task[None]) -> None:
    """Hand an own bug in a peer's task to the loop's exception handler: it must not go unseen."""
    if not task.cancelled() and (error := task.exception()) is not None:
        task.get_loop().call_exception_handler(
            {"message": f"task {task.get_name()} failed", "exception": error, "task": task}
        )
