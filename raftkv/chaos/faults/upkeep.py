"""What operators do to a cluster that runs: leadership handed over, snapshots taken, history let go.

Each goes on, again and again, for as long as it lasts.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from random import Random

import aiohttp

from raftkv.chaos.cluster import Cluster
from raftkv.chaos.errors import NotNow
from raftkv.chaos.faults.targets import leader_of
from raftkv.chaos.faults.tasks import ended
from raftkv.chaos.system import Can, Effect
from raftkv.errors import RaftKvError


class _Again(ABC):
    """Something done every so often; a time that fails does not count."""

    kind = ""
    group = ""
    needs = Can.PROCESSES
    what = ""
    detail = ""
    pause = 0.5

    async def begin(self, system: Cluster, random: Random) -> tuple[tuple[str, ...], str]:
        """See ``Fault``."""
        self._cluster = system
        self._random = Random(random.random())  # noqa: S311  chance from a seed is the point
        self._amount = 0.0
        self._task = system.network.spawn(self._go_on())
        return tuple(system.nodes), self.detail

    async def end(self) -> Sequence[Effect]:
        """See ``Fault``."""
        await ended(self._task)
        return [Effect(self.what, self._amount)] if self._amount else []

    @abstractmethod
    async def once(self) -> float:
        """Do it; return how much that was. What it raises of raftkv's errors is expected now and then."""

    async def _go_on(self) -> None:
        while True:
            # nobody leads, or a node is down: that is the work of other faults
            with suppress(RaftKvError, aiohttp.ClientError, TimeoutError):
                self._amount += await self.once()
            await asyncio.sleep(self._random.uniform(0.5, 1.5) * self.pause)


class Transfer(_Again):
    """Leadership is handed to another member."""

    kind = "transfer-leader"
    group = "transfer"
    needs = Can.TRANSFER
    what = "leaderships handed over"
    detail = "leadership goes from one to another"
    pause = 1.0

    async def once(self) -> float:
        """Hand it over once."""
        leader = await leader_of(self._cluster)
        others = [state for state in await self._cluster.look() if state.role == "follower"]
        if not others:
            raise NotNow("nobody follows")
        target = self._cluster.node(self._random.choice(others).name)
        await self._cluster.api.transfer(self._cluster.direct_url(leader), target.member)
        return 1


class Snapshot(_Again):
    """A node rewrites what it stores: in raftkv a snapshot, in etcd the database."""

    kind = "snapshot-forced"
    group = "snapshot"
    needs = Can.SNAPSHOTS
    what = "stores rewritten"
    detail = "nodes take snapshots"

    async def once(self) -> float:
        """Let one node do it."""
        name = self._random.choice(self._cluster.nodes)
        if self._cluster.takes_orders:
            await self._cluster.verbs(name).snapshot()
        else:
            await self._cluster.api.defragment(self._cluster.direct_url(name))
        return 1


class Compact(_Again):
    """History is let go, up to what the run has seen of it."""

    kind = "compact"
    group = "compact"
    needs = Can.PROCESSES
    what = "revisions let go"
    detail = "history is compacted"

    async def once(self) -> float:
        """Let go of what is safe to let go."""
        safe, last = self._cluster.safe_revision(), self._cluster.compacted
        if safe <= max(last, 1):
            return 0
        url = self._cluster.direct_url(self._random.choice(self._cluster.nodes))
        await self._cluster.api.compact(url, safe)
        self._cluster.compacted = safe
        return safe - last
