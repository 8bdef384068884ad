"""Links that are slow, lossy or come and go: between nodes, and between the clients and nodes."""

from collections.abc import Callable, Sequence
from random import Random

from raftkv.chaos.cluster import Cluster
from raftkv.chaos.external import External
from raftkv.chaos.faults.partitions import Flapping, both_ways, proof
from raftkv.chaos.link import Quality
from raftkv.chaos.network import CLIENTS, Hold, Way, since
from raftkv.chaos.system import Can, Effect

Choose = Callable[[Random, Sequence[str]], tuple[tuple[str, ...], tuple[Way, ...]]]
"""Chooses whom it is about, and the ways."""


def among_nodes(random: Random, nodes: Sequence[str]) -> tuple[tuple[str, ...], tuple[Way, ...]]:
    """Choose the links of one node to all others, or all links."""
    chosen = random.choice(nodes)
    targets = (chosen,) if random.random() < 0.5 else tuple(nodes)
    ways = [way for a in targets for b in nodes if a != b for way in ((a, b), (b, a))]
    return targets, tuple(dict.fromkeys(ways))


def of_clients(random: Random, nodes: Sequence[str]) -> tuple[tuple[str, ...], tuple[Way, ...]]:
    """Choose the clients' links to some nodes, and not to all."""
    targets = random.sample(nodes, random.randint(1, max(1, len(nodes) - 1)))
    return tuple(targets), both_ways([CLIENTS], targets)


def of_all_clients(random: Random, nodes: Sequence[str]) -> tuple[tuple[str, ...], tuple[Way, ...]]:
    """Choose the clients' links to some nodes, or to all."""
    if random.random() < 0.5:
        return of_clients(random, nodes)
    return tuple(nodes), both_ways([CLIENTS], nodes)


def slow(random: Random) -> Quality:
    """Draw a slow link, or a thin one."""
    if random.random() < 0.3:
        return Quality(rate=random.uniform(20_000, 100_000))
    delay = random.uniform(0.02, 0.15)
    return Quality(delay=delay, jitter=delay * random.random())


def lossy(random: Random) -> Quality:
    """Draw a link that loses some, and breaks connections now and then."""
    return Quality(loss=random.uniform(0.02, 0.15), reset=random.choice((0.0, 0.002, 0.01)))


def in_words(quality: Quality) -> str:
    """Return a quality for people."""
    words = [
        f"{quality.delay * 1000:.0f} ms +- {quality.jitter * 1000:.0f}" if quality.delay else "",
        f"{quality.rate / 1000:.0f} kB/s" if quality.rate else "",
        f"{quality.loss:.0%} lost at first" if quality.loss else "",
        f"{quality.reset:.1%} break the connection" if quality.reset else "",
    ]
    return ", ".join(word for word in words if word)


class Degraded:
    """Links of a worse quality."""

    def __init__(
        self, kind: str, group: str, needs: Can, choose: Choose, draw: Callable[[Random], Quality]
    ) -> None:
        self.kind = kind
        self.group = group
        self.needs = needs
        self._choose = choose
        self._draw = draw

    async def begin(self, system: Cluster | External, random: Random) -> tuple[tuple[str, ...], str]:
        """See ``Fault``."""
        targets, ways = self._choose(random, system.nodes)
        self._network, self._quality = system.network, self._draw(random)
        self._hold: Hold = system.network.degrade(ways, self._quality)
        return targets, f"{in_words(self._quality)}: {', '.join(targets)}"

    async def end(self) -> Sequence[Effect]:
        """See ``Fault``."""
        self._network.restore(self._hold, self._quality)
        counted = since(self._hold)
        found = {
            "bytes delayed": counted.delayed,
            "pieces lost at first": counted.stalls,
            "connections reset": counted.resets,
        }
        return [Effect(what, amount) for what, amount in found.items() if amount]


class FlappingLinks:
    """Links that come and go."""

    def __init__(self, kind: str, group: str, needs: Can, choose: Choose) -> None:
        self.kind = kind
        self.group = group
        self.needs = needs
        self._choose = choose

    async def begin(self, system: Cluster | External, random: Random) -> tuple[tuple[str, ...], str]:
        """See ``Fault``."""
        targets, ways = self._choose(random, system.nodes)
        self._flapping = Flapping(Random(random.random()), system.network, ways)  # noqa: S311
        return targets, f"links that come and go: {', '.join(targets)}"

    async def end(self) -> Sequence[Effect]:
        """See ``Fault``."""
        return await self._flapping.end()


class ClientsCut:
    """Clients reach some nodes no more, or are not answered: requests get no answer for so long."""

    kind = "clients-cut"
    group = "client-links"
    needs = Can.CLIENT_LINKS

    async def begin(self, system: Cluster | External, random: Random) -> tuple[tuple[str, ...], str]:
        """See ``Fault``."""
        targets, ways = of_clients(random, system.nodes)
        direction = random.choice(("both ways", "requests", "answers"))
        chosen = [
            way
            for way in ways
            if direction == "both ways" or (way[0] == CLIENTS) == (direction == "requests")
        ]
        self._network = system.network
        self._reset = random.random() < 0.5
        self._hold = system.network.hold(chosen)
        return targets, f"nothing between clients and {', '.join(targets)} ({direction})"

    async def end(self) -> Sequence[Effect]:
        """See ``Fault``."""
        self._network.release(self._hold, reset=self._reset)
        return proof(self._hold)
