"""Partitions: ways between nodes on which nothing passes. The names are Jepsen's where it has one."""

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from raftkv.chaos.cluster import Cluster
from raftkv.chaos.errors import NotNow
from raftkv.chaos.faults.targets import leader_of
from raftkv.chaos.faults.tasks import ended
from raftkv.chaos.network import Hold, Network, Way, since
from raftkv.chaos.system import Can, Effect


class Cut(NamedTuple):
    """Which ways are held, whom that is about, and a sentence about it."""

    ways: tuple[Way, ...]
    targets: tuple[str, ...]
    detail: str


Draw = Callable[[Random, Sequence[str], str], Cut]
"""Draws a cut among nodes, of which the last argument leads."""


def both_ways(side: Sequence[str], other: Sequence[str]) -> tuple[Way, ...]:
    """Return the ways between two groups, in both directions."""
    return tuple(way for a in side for b in other for way in ((a, b), (b, a)))


def one_alone(random: Random, nodes: Sequence[str], leader: str) -> Cut:
    """Cut any node off from all others."""
    return _alone(random.choice(nodes), nodes)


def leader_alone(random: Random, nodes: Sequence[str], leader: str) -> Cut:
    """Cut the leader off: it goes on to believe that it leads."""
    return _alone(leader, nodes)


def halves(random: Random, nodes: Sequence[str], leader: str) -> Cut:
    """Split the nodes in two; the larger side goes on."""
    shuffled = random.sample(nodes, len(nodes))
    half = len(nodes) // 2
    small, large = shuffled[:half], shuffled[half:]
    return Cut(both_ways(small, large), tuple(small), f"{', '.join(small)} | {', '.join(large)}")


def deaf(random: Random, nodes: Sequence[str], leader: str) -> Cut:
    """Let one hear nothing, and be heard."""
    target, others = _some(random, nodes, leader)
    return Cut(tuple((other, target) for other in others), (target,), f"{target} hears nothing and is heard")


def mute(random: Random, nodes: Sequence[str], leader: str) -> Cut:
    """Let one not be heard, and hear."""
    target, others = _some(random, nodes, leader)
    return Cut(tuple((target, other) for other in others), (target,), f"{target} hears and is not heard")


def bridge(random: Random, nodes: Sequence[str], leader: str) -> Cut:
    """Split in two, but for one follower that both sides reach: between followers nothing would be held."""
    between = random.choice([node for node in nodes if node != leader])
    sides = [node for node in random.sample(nodes, len(nodes)) if node != between]
    left, right = sides[: len(nodes) // 2], sides[len(nodes) // 2 :]
    detail = f"{', '.join(left)} | {', '.join(right)}, and {between} reaches both"
    return Cut(both_ways(left, right), tuple(left), detail)


def ring(random: Random, nodes: Sequence[str], leader: str) -> Cut:
    """Let each node reach its two neighbours only; of three nodes, let each hear one other one only."""
    order = random.sample(nodes, len(nodes))
    following = list(zip(order, [*order[1:], order[0]], strict=True))
    near = set(following) | (set() if len(nodes) == 3 else {(b, a) for a, b in following})
    ways = tuple((a, b) for a in order for b in order if a != b and (a, b) not in near)
    arrow = " -> " if len(nodes) == 3 else " - "
    return Cut(ways, tuple(order), f"only {arrow.join([*order, order[0]])}")


def _alone(target: str, nodes: Sequence[str]) -> Cut:
    others = [node for node in nodes if node != target]
    return Cut(both_ways([target], others), (target,), f"{target} | {', '.join(others)}")


def _some(random: Random, nodes: Sequence[str], leader: str) -> tuple[str, list[str]]:
    target = leader if random.random() < 0.5 else random.choice(nodes)
    return target, [node for node in nodes if node != target]


def proof(hold: Hold) -> list[Effect]:
    """Return what a hold did: bytes held back, connections that hung and that broke at its end."""
    counted = since(hold)
    found = {
        "bytes held": counted.held,
        "connections hung": counted.hung,
        "connections reset": counted.resets,
    }
    return [Effect(what, amount) for what, amount in found.items() if amount]


class CutOff:
    """Nodes that can't count on the others, for whoever asks how many are left; until ``end``."""

    def __init__(self, cluster: Cluster, names: Sequence[str]) -> None:
        self._cluster = cluster
        self._names = list(names)
        cluster.cut_off.extend(names)

    def end(self) -> None:
        """Let them be counted again."""
        for name in self._names:
            self._cluster.cut_off.remove(name)


class Partition:
    """A cut for as long as it lasts; what it held back arrives then, or its connections break."""

    group = "partition"
    needs = Can.LINKS

    def __init__(self, kind: str, draw: Draw) -> None:
        self.kind = kind
        self._draw = draw

    async def begin(self, system: Cluster, random: Random) -> tuple[tuple[str, ...], str]:
        """See ``Fault``."""
        cut = await draw_among_all(self._draw, system, random)
        self._network = system.network
        self._reset = random.random() < 0.5
        self._cut_off = CutOff(system, cut.targets)
        self._hold = system.network.hold(cut.ways)
        return cut.targets, cut.detail + (", connections break at the end" if self._reset else "")

    async def end(self) -> Sequence[Effect]:
        """See ``Fault``."""
        self._network.release(self._hold, reset=self._reset)
        self._cut_off.end()
        return proof(self._hold)


class Flapping:
    """Ways that are held and whole in turn, for moments."""

    def __init__(self, random: Random, network: Network, ways: Sequence[Way]) -> None:
        self._random = random
        self._network = network
        self._ways = ways
        self._whole = network.counted(ways)
        self._task = network.spawn(self._flap())
        self.times = 0

    async def end(self) -> Sequence[Effect]:
        """End it, the ways whole; return what it did."""
        await ended(self._task)
        return [Effect("times cut", self.times), *proof(self._whole)] if proof(self._whole) else []

    async def _flap(self) -> None:
        while True:
            hold = self._network.hold(self._ways)
            self.times += 1
            try:
                await asyncio.sleep(self._random.uniform(0.05, 0.6))
            finally:
                self._network.release(hold, reset=self._random.random() < 0.3)
            await asyncio.sleep(self._random.uniform(0.05, 0.6))


class FlappingPartition:
    """A cut that comes and goes."""

    group = "partition"
    needs = Can.LINKS

    def __init__(self, kind: str, draw: Draw) -> None:
        self.kind = kind
        self._draw = draw

    async def begin(self, system: Cluster, random: Random) -> tuple[tuple[str, ...], str]:
        """See ``Fault``."""
        cut = await draw_among_all(self._draw, system, random)
        self._flapping = Flapping(Random(random.random()), system.network, cut.ways)  # noqa: S311
        self._cut_off = CutOff(system, cut.targets)
        return cut.targets, f"{cut.detail}, again and again"

    async def end(self) -> Sequence[Effect]:
        """See ``Fault``."""
        self._cut_off.end()
        return await self._flapping.end()


async def draw_among_all(draw: Draw, cluster: Cluster, random: Random) -> Cut:
    """Draw a cut among all nodes there are; raises ``NotNow`` when none leads or there are too few."""
    if len(cluster.nodes) < 3:
        raise NotNow("of two nodes no majority is left")
    return draw(random, cluster.nodes, await leader_of(cluster))
