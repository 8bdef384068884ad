"""All links of a run: between nodes, and between the clients and each node, through proxies."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import fields
from random import Random

from raftkv.chaos.connection import Connection
from raftkv.chaos.link import Counters, Link, Quality
from raftkv.chaos.proxy import Proxy

CLIENTS = "clients"
"""The name of the end of a link that all clients are at."""

UNKNOWN = ""
"""The name of the end of a connection between nodes of which nobody knows who opened it."""

Way = tuple[str, str]
"""A direction: from one end to another."""

Owner = Callable[[int], str]


class Hold:
    """Links that are held together, and what they had counted before."""

    def __init__(self, links: Sequence[Link]) -> None:
        self.links = links
        self.before = total(links)


class Network:
    """Names of ends are those of nodes, and ``CLIENTS``. Implements ``Ways`` for the proxies.

    ``owner`` returns the node whose process has the local port of a connection, "" when it is not known; it
    is asked where a connection does not say who opened it.
    """

    def __init__(self, random: Random, owner: Owner) -> None:
        self._random = random
        self._owner = owner
        self._links: dict[Way, Link] = {}
        self._proxies: dict[str, list[Proxy]] = {}
        self._names: dict[int, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add_clients_proxy(self, node: str, at: int, host: str, port: int) -> None:
        """Put a proxy between the clients and a node; it listens at port ``at``."""
        self._add(Proxy(self, node, host, port, CLIENTS), node, at)

    def add_peers_proxy(self, node: str, at: int, host: str, port: int) -> None:
        """Put a proxy between the other nodes and a node; it listens at port ``at``."""
        self._add(Proxy(self, node, host, port, UNKNOWN), node, at)

    def _add(self, proxy: Proxy, node: str, at: int) -> None:
        proxy.open(at)
        self._proxies.setdefault(node, []).append(proxy)

    def node_is_gone(self, node: str) -> None:
        """Let the proxies of a node whose process is not there refuse connections, until it listens again."""
        for proxy in self._proxies.get(node, ()):
            proxy.node_is_gone()

    async def remove(self, node: str) -> None:
        """Take the proxies of a node away."""
        for proxy in self._proxies.pop(node, ()):
            await proxy.close()

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Let the work of a fault go on in a task, until it ends, or ``end_tasks``."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def end_tasks(self) -> None:
        """End the work of all faults: the run is over, and nothing is to be healed."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """End all work and take all proxies away."""
        await self.end_tasks()
        for node in list(self._proxies):
            await self.remove(node)

    def waiting_bytes(self) -> int:
        """Return how many bytes wait in all proxies."""
        proxies = (proxy for proxies in self._proxies.values() for proxy in proxies)
        return sum(connection.waiting_bytes for proxy in proxies for connection in proxy.connections)

    def name(self, member: int, node: str) -> None:
        """Take note of a member's id. Connections of it that were taken for a stranger's are broken."""
        if self._names.get(member) != node:
            self._names[member] = node
            self._reset(lambda connection: connection.source == UNKNOWN and connection.member == member)

    # ---------------------------------------------------------------- for the proxies

    def identify(self, member: int, port: int) -> str:
        """See ``Ways``."""
        known = self._names.get(member, UNKNOWN)
        if known:
            return known
        owner = self._owner(port)
        if owner and member:
            self._names[member] = owner
        return owner

    def link(self, source: str, target: str) -> Link:
        """See ``Ways``."""
        way = (source, target)
        if way not in self._links:
            self._links[way] = Link(source, target, self._random)
        return self._links[way]

    def holds(self, source: str, target: str) -> bool:
        """See ``Ways``."""
        ends = (source,) if source else [node for node in self._proxies if node != target]
        ways = [way for end in ends for way in ((end, target), (target, end))]
        return any(way in self._links and self._links[way].is_held for way in ways)

    # ---------------------------------------------------------------- faults

    def hold(self, ways: Iterable[Way]) -> Hold:
        """Let nothing pass these ways until ``release``; connections that are opened hang."""
        hold = Hold(self._with_strangers(ways))
        for link in hold.links:
            link.hold(hold)
        self._regulate()
        return hold

    def release(self, hold: Hold, *, reset: bool) -> None:
        """End a hold. What was held arrives now; ``reset``: its connections break instead."""
        if reset:
            links = {(link.source, link.target): link for link in hold.links}
            self._reset_stuck(links)
        for link in hold.links:
            link.release(hold)
        self._regulate()

    def counted(self, ways: Iterable[Way]) -> Hold:
        """Return these ways with what they have counted; nothing is done to them."""
        return Hold(self._with_strangers(ways))

    def degrade(self, ways: Iterable[Way], quality: Quality) -> Hold:
        """Let these ways be of a quality until ``restore``."""
        links = self._with_strangers(ways)
        for link in links:
            link.add(quality)
        return Hold(links)

    def restore(self, hold: Hold, quality: Quality) -> None:
        """Take a quality away again."""
        for link in hold.links:
            link.remove(quality)

    def _with_strangers(self, ways: Iterable[Way]) -> list[Link]:
        """Return the links; with all ways to a node, or from it, come those of strangers."""
        chosen = dict.fromkeys(ways)
        for node in self._proxies:
            others = [other for other in self._proxies if other != node]
            if others and all((other, node) in chosen for other in others):
                chosen[UNKNOWN, node] = None
            if others and all((node, other) in chosen for other in others):
                chosen[node, UNKNOWN] = None
        return [self.link(*way) for way in chosen]

    def _reset_stuck(self, links: dict[Way, Link]) -> None:
        for node, proxies in self._proxies.items():
            for proxy in proxies:
                for connection in [one for one in proxy.connections if one.is_stuck]:
                    for way in ((connection.source, node), (node, connection.source)):
                        if way in links:
                            links[way].counters.resets += 1
                            connection.abort()
                            break

    def _regulate(self) -> None:
        for proxies in self._proxies.values():
            for proxy in proxies:
                proxy.regulate()

    def _reset(self, chosen: Callable[[Connection], bool]) -> None:
        for proxies in self._proxies.values():
            for proxy in proxies:
                proxy.reset(chosen)


def total(links: Iterable[Link]) -> Counters:
    """Add up what links have counted."""
    listed = list(links)
    return Counters(
        **{one.name: sum(getattr(link.counters, one.name) for link in listed) for one in fields(Counters)}
    )


def since(hold: Hold) -> Counters:
    """Return what the links of a hold have counted since it began."""
    now = total(hold.links)
    return Counters(
        **{one.name: getattr(now, one.name) - getattr(hold.before, one.name) for one in fields(now)}
    )
