"""A cluster that somebody else runs: only the links between clients and its endpoints are ours to harm."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from raftkv.chaos.api import Api
from raftkv.chaos.errors import ChaosError
from raftkv.chaos.network import Network
from raftkv.chaos.system import Can, NodeState
from raftkv.client.endpoint import Endpoint
from raftkv.errors import ConfigError, RaftKvError
from raftkv.local.layout import HOST
from raftkv.local.ports import free_ports
from raftkv.schema.maintenance import StatusResponse


class External:
    """Implements ``System`` for clusters whose processes are not the harness's. Nodes are e1, e2, ..."""

    name = "external"
    abilities = frozenset({Can.CLIENT_LINKS})

    def __init__(self, endpoints: Sequence[str], random: Random) -> None:
        """Take client URLs; raises ``ConfigError`` for one that is none."""
        try:
            parsed = [Endpoint.parse(url) for url in endpoints]
        except ValueError as error:
            raise ConfigError(str(error)) from error
        if not parsed:
            raise ConfigError("an external system needs its endpoints")
        self.version = ""
        self.network = Network(random, lambda port: "")
        self._direct = {f"e{number}": endpoint for number, endpoint in enumerate(parsed, 1)}
        self._told: dict[str, str] = {}
        self._members: dict[int, str] = {}
        self._api = Api(parsed[0].url)

    @property
    def nodes(self) -> Sequence[str]:
        """See ``System``."""
        return tuple(self._direct)

    async def start(self) -> None:
        """Put proxies in front of the endpoints and ask them; raises ``ChaosError`` when none answers."""
        await self._api.open()
        for name, endpoint in self._direct.items():
            port = free_ports(1)[0]
            self.network.add_clients_proxy(name, port, endpoint.host, endpoint.port)
            self._told[name] = f"http://{HOST}:{port}"
        states = await self.look()
        if not any(state.role for state in states):
            raise ChaosError(
                f"none of {', '.join(endpoint.url for endpoint in self._direct.values())} answers"
            )

    async def stop(self) -> None:
        """See ``System``; the cluster is left as it is."""
        await self.network.close()
        await self._api.close()

    def client_url(self, node: str) -> str:
        """See ``System``."""
        return self._told[node]

    def direct_url(self, node: str) -> str:
        """See ``System``."""
        return self._direct[node].url

    async def look(self) -> Sequence[NodeState]:
        """See ``System``; ``up`` here means that a node answers."""
        answers = await asyncio.gather(*map(self._status, self.nodes))
        for name, status in zip(self.nodes, answers, strict=True):
            if status is not None and status.header is not None:
                self._members[status.header.member_id] = name
                self.version = self.version or status.version
        return [self._seen(name, status) for name, status in zip(self.nodes, answers, strict=True)]

    def logs(self) -> Mapping[str, Path]:
        """See ``System``: there are none."""
        return {}

    async def _status(self, name: str) -> StatusResponse | None:
        try:
            return await self._api.status(self.direct_url(name))
        except RaftKvError:
            return None

    def _seen(self, name: str, status: StatusResponse | None) -> NodeState:
        if status is None or status.header is None:
            return NodeState(name, up=False)
        leader = self._members.get(status.leader, "")
        role = "leader" if leader == name else "follower" if status.leader else "candidate"
        return NodeState(
            name,
            up=True,
            role="learner" if status.isLearner else role,
            term=status.raftTerm,
            leader=leader,
            revision=status.header.revision,
            applied=status.raftAppliedIndex,
        )
