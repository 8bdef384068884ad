"""Processes that are killed, restarted and stopped."""

import asyncio
import signal
from collections.abc import Sequence
from random import Random

from raftkv.chaos.cluster import Cluster
from raftkv.chaos.errors import ChaosError
from raftkv.chaos.faults.nodes import OfNodes
from raftkv.chaos.faults.targets import Choose, claim, release
from raftkv.chaos.system import Can, Effect

BACK_SECONDS = 10.0
"""How long a node that was started again is waited for; with too few others it may not answer yet then."""


async def bring_back(cluster: Cluster, names: Sequence[str]) -> None:
    """Start nodes and wait until they answer; raises ``ChaosError`` when one of them ends by itself."""
    for name in names:
        await cluster.launch(name)
    await asyncio.gather(*(cluster.answers(name, BACK_SECONDS) for name in names))
    if crashed := [name for name in cluster.note_crashes() if name in names]:
        raise ChaosError(f"{', '.join(crashed)} ended when it was started again")


class Kill(OfNodes):
    """SIGKILL to the chosen ones at once: what was not written is lost. At the end they are started again."""

    group = "kill"
    needs = Can.PROCESSES

    def __init__(self, kind: str, choose: Choose) -> None:
        super().__init__(choose)
        self.kind = kind
        self._killed = 0

    async def _strike(self, random: Random) -> str:
        self._killed = await self._cluster.end(self._names)
        return f"kill -9 of {', '.join(self._names)}"

    async def _mend(self) -> Sequence[Effect]:
        await bring_back(self._cluster, self._names)
        return [Effect("processes killed", self._killed)]


class RollingRestart:
    """SIGTERM to one after the other, each started again before the next one goes."""

    kind = "restart-rolling"
    group = "kill"
    needs = Can.PROCESSES

    async def begin(self, system: Cluster, random: Random) -> tuple[tuple[str, ...], str]:
        """See ``Fault``."""
        self._cluster = system
        self._names = random.sample(system.nodes, len(system.nodes))
        claim(system, self._names)
        self._restarted = 0
        self._rolling = system.network.spawn(self._roll())
        return tuple(self._names), f"stopped and started: {', '.join(self._names)}"

    async def end(self) -> Sequence[Effect]:
        """See ``Fault``."""
        try:
            await self._rolling
        finally:
            release(self._cluster, self._names)
        return [Effect("processes restarted", self._restarted)]

    async def _roll(self) -> None:
        for name in self._names:
            self._restarted += await self._cluster.end([name], signal.SIGTERM)
            await bring_back(self._cluster, [name])


class Pause(OfNodes):
    """SIGSTOP: the chosen ones stand still, connections and all, and go on later as if nothing had been."""

    group = "pause"
    needs = Can.PROCESSES

    def __init__(self, kind: str, choose: Choose) -> None:
        super().__init__(choose)
        self.kind = kind

    async def _strike(self, random: Random) -> str:
        self._begun = asyncio.get_running_loop().time()
        for name in self._names:
            self._cluster.pause(name)
        return f"SIGSTOP to {', '.join(self._names)}"

    async def _mend(self) -> Sequence[Effect]:
        stopped = sum(self._cluster.stands_still(name) for name in self._names)
        for name in self._names:
            self._cluster.resume(name)
        seconds = asyncio.get_running_loop().time() - self._begun
        return [Effect("seconds stopped", seconds * stopped)] if stopped else []
