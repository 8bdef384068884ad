"""Members that go and come: replaced by empty ones, and grown from learners.

A member is taken out of the cluster before its data is wiped, so no data is lost that Raft has promised to
keep, whatever happens to the others meanwhile. A request whose outcome is not known is looked after until
it is.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from raftkv.chaos.cluster import Cluster, Node
from raftkv.chaos.errors import ChaosError, NotNow
from raftkv.chaos.faults.targets import claim, leader_of, release
from raftkv.chaos.system import Can, Effect
from raftkv.errors import RaftKvError

STEP_SECONDS = 60.0
JOIN_SECONDS = 10.0
AGAIN_SECONDS = 0.2


class _Change(ABC):
    """A change of the members that goes on until it is done, as a task of its own."""

    group = "members"
    needs = Can.MEMBERS
    kind = ""

    async def begin(self, system: Cluster, random: Random) -> tuple[tuple[str, ...], str]:
        """See ``Fault``. Begins only when all nodes are there and follow a leader."""
        self._cluster = system
        self._old = random.choice(system.nodes)
        self._claimed = [self._old]
        self._done = 0
        states = await system.look()
        if system.claims or not all(state.role in ("leader", "follower") for state in states):
            raise NotNow("not all nodes are there to change the members")
        claim(system, self._claimed)
        self._task = system.network.spawn(self._change())
        return (self._old,), self._plan()

    async def end(self) -> Sequence[Effect]:
        """See ``Fault``."""
        try:
            await self._task
        finally:
            release(self._cluster, self._claimed)
        return [Effect("members changed", self._done)]

    @abstractmethod
    def _plan(self) -> str:
        """Say what will be done."""

    @abstractmethod
    async def _change(self) -> None:
        """Do it."""

    async def _remove(self, node: Node) -> None:
        """Take a member out and, once it certainly is, end its process and wipe its data."""
        node.down = True  # it ends by itself when it hears of its removal

        async def gone() -> bool:
            url = await self._url(without=node)
            if all(node.member != member.ID for member in await self._cluster.api.members(url)):
                return True
            await self._cluster.api.remove(url, node.member)
            return True

        await self._until(gone, f"{node.name} is removed")
        await self._cluster.forget(node.name)
        self._done += 1

    async def _add(self, *, learner: bool) -> Node:
        """Add a member with nothing on its disk, start it, and wait until it answers."""
        cluster = self._cluster
        node = cluster.lay_out(joining=True)
        claim(cluster, [node.name])
        self._claimed.append(node.name)
        told = node.place.told_peer_url

        async def added() -> bool:
            url = await self._url(without=node)
            found = [member for member in await cluster.api.members(url) if told in member.peerURLs]
            node.member = found[0].ID if found else await cluster.api.add(url, told, learner=learner)
            return True

        await self._until(added, f"{node.name} is added")
        cluster.network.name(node.member, node.name)

        async def answering() -> bool:
            await cluster.launch(node.name)  # again, where it could not hear of the cluster and gave up
            return await cluster.answers(node.name, JOIN_SECONDS)

        await self._until(answering, f"{node.name} has joined")
        node.joining = False
        self._done += 1
        return node

    async def _promote(self, node: Node) -> None:
        async def promoted() -> bool:
            url = await self._url(without=node)
            members = await self._cluster.api.members(url)
            if any(node.member == member.ID and not member.isLearner for member in members):
                return True
            await self._cluster.api.promote(url, node.member)
            return True

        await self._until(promoted, f"{node.name} votes")
        self._done += 1

    async def _url(self, without: Node) -> str:
        """Return where to ask: the leader, or, where it is the one that it is about, another member."""
        leader = await leader_of(self._cluster)
        others = [name for name in self._cluster.nodes if name != without.name]
        return self._cluster.direct_url(leader if leader in others else others[0])

    async def _until(self, step: Callable[[], Awaitable[bool]], what: str) -> None:
        """Try a step until it is done; raises ``ChaosError`` when it is not in time."""
        clock = asyncio.get_running_loop().time
        deadline, reason = clock() + STEP_SECONDS, ""
        while clock() < deadline:
            try:
                if await step():
                    return
            except RaftKvError as error:
                reason = str(error)
            await asyncio.sleep(AGAIN_SECONDS)
        raise ChaosError(f"after {STEP_SECONDS:g} s not yet: {what}; {reason}")


class Replace(_Change):
    """One member is removed and its data wiped; an empty one of another name joins in its place."""

    kind = "member-replace"

    def _plan(self) -> str:
        return f"{self._old} is removed and wiped, an empty member joins"

    async def _change(self) -> None:
        await self._remove(self._cluster.node(self._old))
        await self._add(learner=False)


class Learner(_Change):
    """An empty member joins as a learner and is promoted; then an old one is removed."""

    kind = "member-learner"

    def _plan(self) -> str:
        return f"a learner joins and is promoted, {self._old} is removed"

    async def _change(self) -> None:
        node = await self._add(learner=True)
        await self._promote(node)
        await self._remove(self._cluster.node(self._old))
