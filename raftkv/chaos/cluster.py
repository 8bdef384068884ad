"""A cluster of real processes on this machine, with a proxy in front of every address."""

import asyncio
import secrets
import shutil
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from raftkv.chaos.api import Api
from raftkv.chaos.errors import ChaosError
from raftkv.chaos.guard import Guard
from raftkv.chaos.network import Network
from raftkv.chaos.programs import Place, Program, command
from raftkv.chaos.system import Can, NodeState
from raftkv.errors import RaftKvError
from raftkv.local import launch
from raftkv.local.layout import HOST
from raftkv.local.ports import free_ports, holder
from raftkv.local.processes import Process
from raftkv.local.verbs import FaultVerbs
from raftkv.schema.maintenance import StatusResponse

START_SECONDS = 90.0
GONE_SECONDS = 20.0
ASK_AGAIN_SECONDS = 0.1
LAST_LINES = 15


@dataclass(slots=True, eq=False)
class Node:
    """One node. ``member``: its id, 0 while it is not known. ``down``: whoever ended it meant to.

    ``cluster``: what it is told of the members, the same at each start, as in an operator's unit file.
    ``existing``: it joined a cluster that was there. ``joining``: it may end because it does not reach it.
    """

    place: Place
    process: Process | None = None
    member: int = 0
    stopped: bool = False
    down: bool = True
    existing: bool = False
    joining: bool = False
    cluster: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the node's name."""
        return self.place.name

    @property
    def runs(self) -> bool:
        """Whether its process is there, stopped or not."""
        return self.process is not None and self.process.is_alive()


class Cluster:
    """Implements ``System`` with processes of a program; more methods are for faults.

    ``crashes``: nodes that ended by themselves, each with the end of its log then. ``claims``: nodes whose
    process or membership a fault is busy with. ``cut_off``: those without the others. ``safe_revision``
    tells how far a compaction may go, ``compacted`` how far the last one went. Logs are
    ``folder/logs/NODE.log`` from the start. ``flags`` are added to each command line.
    """

    def __init__(
        self, program: Program, size: int, folder: Path, random: Random, flags: Sequence[str] = ()
    ) -> None:
        self.name = program.name
        self.version = program.version
        self.abilities: frozenset[Can] = program.abilities
        self.network = Network(random, self._owner)
        self.by_name: dict[str, Node] = {}
        self.crashes: list[tuple[str, str]] = []
        self.claims: set[str] = set()
        self.cut_off: list[str] = []
        self.compacted = 0
        self.safe_revision: Callable[[], int] = lambda: 0
        self._program = program
        self._size = size
        self._folder = folder
        self._flags = flags
        self._token = f"chaos-{secrets.token_hex(8)}"
        self._api: Api | None = None
        self._guard: Guard | None = None
        self._logs: dict[str, Path] = {}
        self._made = 0

    # ---------------------------------------------------------------- System

    @property
    def nodes(self) -> Sequence[str]:
        """See ``System``."""
        return tuple(self.by_name)

    async def start(self) -> None:
        """See ``System``."""
        assert self._guard is None, "a cluster is started once"
        (self._folder / "logs").mkdir(parents=True, exist_ok=True)
        try:
            self._guard = await Guard.open()
            for _ in range(self._size):
                self.lay_out()
            self._api = Api(self.direct_url(self.nodes[0]))
            await self._api.open()
            for name in self.nodes:
                await self.launch(name)
            await self._wait_for_leader()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """See ``System``."""
        guard, self._guard = self._guard, None
        api, self._api = self._api, None
        await self.network.end_tasks()
        if guard is not None:
            await guard.close()
        await self.network.close()
        if api is not None:
            await api.close()

    def client_url(self, node: str) -> str:
        """See ``System``."""
        return self.by_name[node].place.told_client_url

    def direct_url(self, node: str) -> str:
        """See ``System``."""
        return self.by_name[node].place.client_url

    async def look(self) -> Sequence[NodeState]:
        """See ``System``."""
        nodes = list(self.by_name.values())
        answers = await asyncio.gather(*map(self._status, nodes))
        return [self._seen(node, status) for node, status in zip(nodes, answers, strict=True)]

    def logs(self) -> Mapping[str, Path]:
        """See ``System``; nodes that were removed are still there."""
        return dict(self._logs)

    # ---------------------------------------------------------------- nodes

    @property
    def api(self) -> Api:
        """Return the requests of the harness itself."""
        assert self._api is not None, "the cluster is not started"
        return self._api

    @property
    def impaired(self) -> int:
        """Return how many nodes faults keep from working, or may."""
        return len(self.claims | set(self.cut_off))

    def node(self, name: str) -> Node:
        """Return a node by its name."""
        return self.by_name[name]

    def lay_out(self, *, joining: bool = False) -> Node:
        """Make a node with a name and proxies of its own; it is not started."""
        assert self._guard is not None
        self._made += 1
        name = f"n{self._made}"
        client, peer, told_client, told_peer = free_ports(4)
        place = Place(
            name,
            client_url=f"http://{HOST}:{client}",
            peer_url=f"http://{HOST}:{peer}",
            told_client_url=f"http://{HOST}:{told_client}",
            told_peer_url=f"http://{HOST}:{told_peer}",
            data=self._guard.folder / name,
            log=self._folder / "logs" / f"{name}.log",
        )
        self.network.add_clients_proxy(name, told_client, HOST, client)
        self.network.add_peers_proxy(name, told_peer, HOST, peer)
        self.network.node_is_gone(name)
        self._logs[name] = place.log
        self.by_name[name] = node = Node(place, existing=joining, joining=joining)
        return node

    async def launch(self, name: str) -> None:
        """Start a node's process; nothing if it runs. It is not waited for."""
        assert self._guard is not None
        node = self.node(name)
        if node.runs:
            return
        if node.joining or not node.cluster:
            node.cluster = {other.name: other.place.told_peer_url for other in self.by_name.values()}
        words = command(
            self._program, node.place, node.cluster, self._token, existing=node.existing, more=self._flags
        )
        node.process = await self._guard.start(words, node.place.log, self._program.environment)
        node.down = node.stopped = False

    async def end(self, names: Iterable[str], number: signal.Signals = signal.SIGKILL) -> int:
        """End processes with a signal, all at once, and wait until they are gone; return how many ran."""
        self.note_crashes()  # one that had ended by itself before was not ended by this
        nodes = [self.node(name) for name in names]
        ended = 0
        for node in nodes:
            node.down = True
            ended += node.process is not None and node.process.send(number)
        for node in nodes:
            if not await self.is_gone(node.name, GONE_SECONDS) and node.process is not None:
                node.process.send(signal.SIGKILL)  # it did not do what it was asked to
                await self.is_gone(node.name, GONE_SECONDS)
            node.stopped = False
            self.network.node_is_gone(node.name)
        return ended

    def pause(self, name: str) -> None:
        """Stop a process where it is (SIGSTOP)."""
        node = self.node(name)
        if node.process is not None and node.process.send(signal.SIGSTOP):
            node.stopped = True

    def stands_still(self, name: str) -> bool:
        """Tell whether a process is stopped, by what the system says."""
        process = self.node(name).process
        return process is not None and process.is_stopped()

    def resume(self, name: str) -> None:
        """Let a stopped process go on."""
        node = self.node(name)
        if node.process is not None:
            node.process.send(signal.SIGCONT)
        node.stopped = False

    async def forget(self, name: str) -> None:
        """Take a node away that was removed from the cluster: its process, proxies and data."""
        await self.end([name])
        await self.network.remove(name)
        node = self.by_name.pop(name)
        shutil.rmtree(node.place.data, ignore_errors=True)

    def note_crashes(self) -> list[str]:
        """Write down which nodes have ended by themselves since the last time; return their names."""
        nodes = self.by_name.values()
        found = [node.name for node in nodes if not (node.down or node.joining or node.runs)]
        for name in found:
            self.node(name).down = True
            self.crashes.append((name, self.last_lines(name)))
        return found

    def last_lines(self, name: str) -> str:
        """Return the end of a node's log."""
        return "\n".join(launch.tail(self._logs[name], LAST_LINES).lines)

    async def answers(self, name: str, seconds: float) -> bool:
        """Wait until a node answers; False when it does not in time, or has ended."""
        node = self.node(name)
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline and node.runs:
            if await self._status(node) is not None:
                return True
            await asyncio.sleep(ASK_AGAIN_SECONDS)
        return False

    async def is_gone(self, name: str, seconds: float) -> bool:
        """Wait until a node's process has ended; False when it has not in time."""
        node = self.node(name)
        deadline = asyncio.get_running_loop().time() + seconds
        while node.runs:
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    @property
    def takes_orders(self) -> bool:
        """Whether nodes of this program can be told to have faults."""
        return bool(self._program.token)

    def verbs(self, name: str) -> FaultVerbs:
        """Return the orders that a node takes, of a program that takes any."""
        return self.api.verbs(self.direct_url(name), self._program.token)

    # ---------------------------------------------------------------- inside

    async def _wait_for_leader(self) -> None:
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while True:
            states = await self.look()
            if all(state.role in ("leader", "follower") for state in states):
                return
            if self.note_crashes():
                name, lines = self.crashes[0]
                self.crashes.clear()  # what was never there is no system that failed
                raise ChaosError(f"{name} ended while it started\n{lines}")
            if asyncio.get_running_loop().time() > deadline:
                lines = self.last_lines(self.nodes[0])
                raise ChaosError(f"no leader that all follow after {START_SECONDS:g} s\n{lines}")
            await asyncio.sleep(ASK_AGAIN_SECONDS)

    async def _status(self, node: Node) -> StatusResponse | None:
        if node.stopped or not node.runs:
            return None
        try:
            status = await self.api.status(node.place.client_url)
        except RaftKvError:
            return None
        if status.header is not None:
            node.member = status.header.member_id
            self.network.name(node.member, node.name)
        return status

    def _seen(self, node: Node, status: StatusResponse | None) -> NodeState:
        up = node.runs and not node.stopped
        if status is None or status.header is None:
            return NodeState(node.name, up)
        names = {other.member: other.name for other in self.by_name.values()}
        role = "leader" if status.leader == node.member else "follower" if status.leader else "candidate"
        return NodeState(
            node.name,
            up,
            "learner" if status.isLearner else role,
            status.raftTerm,
            names.get(status.leader, ""),
            status.header.revision,
            status.raftAppliedIndex,
        )

    def _owner(self, port: int) -> str:
        pids = {node.process.pid: node.name for node in self.by_name.values() if node.process is not None}
        return pids.get(holder(port, pids) or 0, "")
