"""What faults have in common that are busy with whole nodes."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from random import Random

from raftkv.chaos.cluster import Cluster
from raftkv.chaos.faults.targets import Choose, claim, release
from raftkv.chaos.system import Effect
from raftkv.errors import RaftKvError


class OfNodes(ABC):
    """A fault of chosen nodes, with which no other one is busy until it is over."""

    def __init__(self, choose: Choose) -> None:
        self._choose = choose

    async def begin(self, system: Cluster, random: Random) -> tuple[tuple[str, ...], str]:
        """See ``Fault``. One that fails half-way is ended, and raises what made it fail."""
        self._cluster = system
        self._names = await self._choose(system, random)
        claim(system, self._names)
        try:
            return tuple(self._names), await self._strike(random)
        except RaftKvError:
            await self.end()
            raise

    async def end(self) -> Sequence[Effect]:
        """See ``Fault``."""
        try:
            return await self._mend()
        finally:
            release(self._cluster, self._names)

    @abstractmethod
    async def _strike(self, random: Random) -> str:
        """Do it to ``_names``; say in words what was done."""

    @abstractmethod
    async def _mend(self) -> Sequence[Effect]:
        """Let these nodes be well again, and return the proof. Also called when ``_strike`` failed."""
