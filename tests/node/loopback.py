"""A cluster of real nodes in one event loop: real log, core and state machine; the network is a list.

Messages travel through the frame codec, one turn of the loop later, unless a link is cut.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

from raftkv.errors import PeerUnavailable, SnapshotGone
from raftkv.mvcc.level import LEVEL
from raftkv.mvcc.membership import MemberInfo, encode_bootstrap
from raftkv.node.config import Config
from raftkv.node.node import Identity, Node
from raftkv.node.restore import restore
from raftkv.node.transport import Connection, Receiver, SnapshotChunk
from raftkv.raft import HardState, Message, PeerEvent, Role, bootstrap_entry, make_core
from raftkv.raft.checked import CheckedCore
from raftkv.raft.codec import decode_message, encode_message
from raftkv.raft.messages import InstallSnapshot
from raftkv.storage.disk import Disk, FileDisk
from raftkv.storage.records import Metadata
from raftkv.storage.snapshots import SnapshotFolder
from raftkv.storage.wal import Recovered, Wal
from raftkv.trace import Event

CLUSTER_ID = 77


class Network:
    """Who is there, and which links are cut."""

    def __init__(self) -> None:
        self.receivers: dict[int, Receiver] = {}
        self.cut: set[tuple[int, int]] = set()
        self.isolated: set[int] = set()
        self.levels: dict[int, int] = {}
        self.offers: list[InstallSnapshot] = []
        self.fetched: list[tuple[int, int, int]] = []
        self.asked: list[tuple[int, int, bytes]] = []
        self.on_chunk: Callable[[SnapshotChunk], SnapshotChunk] = lambda chunk: chunk

    def isolate(self, member: int) -> None:
        """Cut every link of ``member``, also to members that come later."""
        self.isolated.add(member)

    def heal(self) -> None:
        """Restore every link."""
        self.cut.clear()
        self.isolated.clear()

    def deliver(self, frame: bytes, link: tuple[int, int]) -> None:
        """Hand a frame to its target, if it is there and the link is whole."""
        receiver = self.receivers.get(link[1])
        if receiver is not None and self.is_whole(link):
            message = decode_message(frame)
            if isinstance(message, InstallSnapshot):
                self.offers.append(message)
            receiver.receive(message)

    def is_whole(self, link: tuple[int, int]) -> bool:
        """Whether messages pass from the one to the other member."""
        return link not in self.cut and not self.isolated & set(link)

    async def fetch(self, link: tuple[int, int], index: int, term: int, offset: int) -> SnapshotChunk:
        """Let the second member of ``link`` serve the first; ``on_chunk`` may fail or change the answer."""
        await asyncio.sleep(0)
        receiver = self.receivers.get(link[1])
        if receiver is None or not self.is_whole(link) or not self.is_whole(link[::-1]):
            raise PeerUnavailable(f"no way from {link[0]} to {link[1]}")
        self.fetched.append((*link, offset))
        chunk = await receiver.serve_snapshot(index, term, offset)
        if chunk is None:
            receiver.peer_event(link[0], PeerEvent.SNAPSHOT_FAILED)
            raise SnapshotGone(f"{link[1]} has no snapshot {index}-{term} at {offset}")
        return self.on_chunk(chunk)

    async def ask(self, link: tuple[int, int], question: bytes) -> bytes:
        """Let the second member of ``link`` answer the first."""
        await asyncio.sleep(0)
        receiver = self.receivers.get(link[1])
        if receiver is None or not self.is_whole(link):
            raise PeerUnavailable(f"no way from {link[0]} to {link[1]}")
        self.asked.append((*link, question))
        answer = await receiver.answer(question)
        if not self.is_whole(link[::-1]):
            raise PeerUnavailable(f"no way from {link[1]} to {link[0]}")
        return answer


def info(member: int, *, is_learner: bool = False) -> MemberInfo:
    """Return what a configuration entry says of a member."""
    return MemberInfo(member, "", (f"http://n{member}:1",), (), is_learner)


class LoopbackTransport:
    """One member's side of the ``Network``."""

    def __init__(self, member: int, network: Network) -> None:
        self._member = member
        self._network = network
        self.peers: dict[int, Sequence[str]] = {}

    def start(self, receiver: Receiver) -> None:
        loop = asyncio.get_running_loop()
        for other in self._network.receivers.values():
            loop.call_soon(other.peer_event, self._member, PeerEvent.CONNECTED)
        self._network.receivers[self._member] = receiver

    def set_peers(self, peers: Mapping[int, Sequence[str]]) -> None:
        self.peers = dict(peers)

    def send(self, messages: Sequence[Message]) -> None:
        loop = asyncio.get_running_loop()
        for message in messages:
            link = (self._member, message.target)
            loop.call_soon(self._network.deliver, encode_message(message), link)

    async def fetch_snapshot(self, peer: int, index: int, term: int, offset: int) -> SnapshotChunk:
        return await self._network.fetch((self._member, peer), index, term, offset)

    def connection(self, peer: int) -> Connection | None:
        whole = peer in self._network.receivers and self._network.is_whole((self._member, peer))
        return Connection(since=0.0, level=self._network.levels.get(peer, LEVEL)) if whole else None

    async def ask(self, peer: int, question: bytes, seconds: float) -> bytes:
        return await self._network.ask((self._member, peer), question)

    async def close(self) -> None:
        self._network.receivers.pop(self._member, None)


class Running:
    """One node that runs, and how to end it."""

    def __init__(self, node: Node, events: list[Event], resources: AsyncExitStack) -> None:
        self.node = node
        self.events = events
        self._resources = resources
        self._task = asyncio.create_task(node.run())

    @property
    def ended(self) -> bool:
        """Whether the node has stopped by itself."""
        return self._task.done()

    def reason(self) -> BaseException | None:
        """Return why the node stopped; None where it was told to."""
        return None if self._task.cancelled() else self._task.exception()

    async def until_ended(self) -> None:
        """Wait until the node ends by itself; raises what ends it."""
        await asyncio.shield(self._task)

    async def end(self) -> None:
        """Cancel the node's tasks, as the end of its process would."""
        self._task.cancel()
        await asyncio.wait({self._task})
        await self._resources.aclose()


class LoopbackCluster:
    """Members 1..n over one ``Network``, each with a log of its own under ``root``."""

    segment_bytes = 1 << 20
    level = LEVEL

    def __init__(self, root: Path, size: int = 3, **settings: Any) -> None:
        self.root = root
        self.ids = range(1, size + 1)
        self.network = Network()
        self.running: dict[int, Running] = {}
        self._settings = {"heartbeat_interval": 10, "election_timeout": 100, **settings}

    async def __aenter__(self) -> "LoopbackCluster":
        for member in self.ids:
            await self.start(member)
        return self

    async def __aexit__(self, *_: object) -> None:
        for member in list(self.running):
            await self.stop(member)

    def node(self, member: int) -> Node:
        return self.running[member].node

    def open_disk(self, member: int) -> Disk:
        """Return the disk that a start of ``member`` uses."""
        return FileDisk()

    async def start(self, member: int) -> Node:
        """Start a member from its log, or from the beginning; when that fails nothing stays open."""
        async with AsyncExitStack() as resources:
            node, events = await self._build(member, resources)
            self.running[member] = Running(node, events, resources.pop_all())
        return node

    async def _open_log(self, member: int, disk: Disk) -> tuple[Wal, Recovered]:
        name = f"n{member}"
        directory = str(self.root / name / "wal")
        if await Wal.exists(disk, directory):
            return await Wal.open(disk, directory, segment_bytes=self.segment_bytes)
        hard_state, entries = HardState(), []
        if member in self.ids:  # others join with nothing
            members = [info(m) for m in self.ids]
            hard_state, entries = (
                HardState(1, 0, 1),
                [bootstrap_entry(self.ids, encode_bootstrap(members, self.level))],
            )
        metadata = Metadata(CLUSTER_ID, member, name)
        return await Wal.create(
            disk, directory, metadata, hard_state, entries, segment_bytes=self.segment_bytes
        )

    async def _build(self, member: int, resources: AsyncExitStack) -> tuple[Node, list[Event]]:
        name = f"n{member}"
        disk = self.open_disk(member)
        resources.push_async_callback(disk.close)
        wal, recovered = await self._open_log(member, disk)
        resources.push_async_callback(wal.close)
        events: list[Event] = []
        config = Config(
            name=name,
            initial_cluster={name: ("http://localhost:2380",)},
            advertise_client_urls=(f"http://{name}:2",),
            **self._settings,
        )
        folder = SnapshotFolder(disk, str(self.root / name / "snap"))
        restored = await restore(wal, recovered, folder, events.append)
        core = make_core(
            member,
            restored.entries,
            recovered.hard_state,
            rng=Random(member),
            snapshot=restored.snapshot,
            election_ticks=config.election_ticks,
            emit=events.append,
        )
        # Every rule about one member is checked at every call, in every test of the node.
        core = CheckedCore(core, recovered.hard_state, restored.entries, restored.snapshot)
        node = Node(
            config,
            Identity(member, CLUSTER_ID, recovered.boot),
            core=core,
            wal=wal,
            restored=restored,
            transport=LoopbackTransport(member, self.network),
            emit=events.append,
        )
        return node, events

    async def stop(self, member: int) -> None:
        """End a member; its log stays."""
        await self.running.pop(member).end()

    async def leader(self) -> int:
        """Wait for a member that leads and that a majority of those that run follows."""
        while True:
            leaders = [m for m, r in self.running.items() if r.node.status().role is Role.LEADER]
            for leader in leaders:
                followers = [r for r in self.running.values() if r.node.status().leader == leader]
                if len(followers) > len(self.ids) // 2:
                    return leader
            await asyncio.sleep(0.01)

    async def converged(self) -> None:
        """Wait until every running member has applied the same log to its end."""
        while True:
            states = [r.node.status() for r in self.running.values()]
            marks = {
                (s.log.last_index, s.commit_index, r.node.applied_index)
                for s, r in zip(states, self.running.values(), strict=True)
            }
            if len(marks) == 1 and len(set(next(iter(marks)))) == 1:
                return
            await asyncio.sleep(0.01)


__all__ = ["LoopbackCluster", "Network", "PeerEvent"]
