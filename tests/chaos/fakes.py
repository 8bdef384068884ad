"""A system whose nodes run in this process, and faults that stop and start them."""

import asyncio
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from raftkv.chaos.runner import Clock, State
from raftkv.chaos.system import Can, Effect, FaultRecord, NodeState
from raftkv.client.endpoint import Endpoint, Endpoints
from raftkv.client.http import Http
from raftkv.errors import RaftKvError
from raftkv.local import free_ports
from raftkv.node.config import Config
from raftkv.schema.maintenance import StatusRequest, StatusResponse
from raftkv.server import EventLog, Server, build


class InProcess:
    """Nodes of raftkv in this loop; nobody is between them and their clients."""

    name = "in process"
    version = "of this tree"
    abilities = frozenset({Can.PROCESSES})

    def __init__(self, folder: Path, nodes: int = 3) -> None:
        ports = free_ports(2 * nodes)
        self._urls = {f"n{i + 1}": f"http://127.0.0.1:{ports[i]}" for i in range(nodes)}
        peers = {f"n{i + 1}": f"http://127.0.0.1:{ports[nodes + i]}" for i in range(nodes)}
        self._configs = {name: self._config(folder, name, peers) for name in peers}
        self._running: dict[str, tuple[Server, asyncio.Task[None], io.StringIO]] = {}
        self.folder = folder
        self.asked_for = dict(self._urls)

    def _config(self, folder: Path, name: str, peers: dict[str, str]) -> Config:
        flags = {
            "name": name,
            "data_dir": str(folder / name),
            "listen_client_urls": self._urls[name],
            "advertise_client_urls": self._urls[name],
            "listen_peer_urls": peers[name],
            "initial_advertise_peer_urls": peers[name],
            "initial_cluster": ",".join(f"{one}={url}" for one, url in peers.items()),
            "heartbeat_interval": "20",
            "election_timeout": "200",
        }
        return Config.from_flags(flags)

    @property
    def nodes(self) -> Sequence[str]:
        return tuple(self._configs)

    async def start(self) -> None:
        for name in self._configs:
            await self.start_node(name)
        while not any(node.role == "leader" for node in await self.look()):
            await asyncio.sleep(0.02)

    async def start_node(self, name: str) -> None:
        config, lines = self._configs[name], io.StringIO()
        server = await build(config, EventLog(config, lines))
        self._running[name] = (server, asyncio.create_task(server.run()), lines)

    async def stop_node(self, name: str) -> None:
        server, task, _ = self._running.pop(name)
        server.stop()
        await task

    async def stop(self) -> None:
        for name in list(self._running):
            await self.stop_node(name)

    def client_url(self, node: str) -> str:
        return self.asked_for[node]

    def direct_url(self, node: str) -> str:
        return self._urls[node]

    async def look(self) -> Sequence[NodeState]:
        return await asyncio.gather(*map(self._look_at, self._configs))

    async def _look_at(self, name: str) -> NodeState:
        http = Http(Endpoints([self._urls[name]]), 0.5)
        await http.open()
        try:
            where = Endpoint.parse(self._urls[name])
            status = await http.ask(where, "/v3/maintenance/status", StatusRequest(), StatusResponse)
        except RaftKvError:
            return NodeState(name, name in self._running)
        finally:
            await http.close()
        assert status.header is not None
        role = "leader" if status.leader == status.header.member_id else "follower"
        return NodeState(name, True, role, status.raftTerm, str(status.leader), status.header.revision)

    def logs(self) -> dict[str, Path]:
        return {}


class Kind(NamedTuple):
    name: str
    group: str


class Quiet:
    """No faults at all."""

    kinds: Sequence[Kind] = ()
    active: Sequence[str] = ()

    def __init__(self) -> None:
        self.records: list[FaultRecord] = []

    async def run(self, seconds: float) -> None:
        return


class Stops(Quiet):
    """One node after the other is stopped, and started again."""

    kinds = (Kind("stop", "restart"),)

    def __init__(self, system: InProcess, clock: Clock) -> None:
        super().__init__()
        self._system = system
        self._clock = clock

    async def run(self, seconds: float) -> None:
        while self._clock() < seconds:
            for name in self._system.nodes:
                begun = self._clock()
                await self._system.stop_node(name)
                await self._system.start_node(name)
                effects = (Effect("node stopped", 1.0),)
                record = FaultRecord("stop", "restart", (name,), "", begun, self._clock(), effects)
                self.records.append(record)


def unheard(state: State) -> None:
    """Take how far a run is, and tell nobody."""
