"""Whom a fault is for."""

from collections.abc import Awaitable, Callable
from random import Random

from raftkv.chaos.cluster import Cluster
from raftkv.chaos.errors import NotNow

Choose = Callable[[Cluster, Random], Awaitable[list[str]]]
"""Chooses nodes; raises ``NotNow`` when there are none."""


async def leader_of(cluster: Cluster) -> str:
    """Return who leads in the newest term, by its own word; raises ``NotNow`` when nobody does."""
    leaders = [state for state in await cluster.look() if state.role == "leader"]
    if not leaders:
        raise NotNow("nobody leads")
    return max(leaders, key=lambda state: state.term).name


async def the_leader(cluster: Cluster, random: Random) -> list[str]:
    """Choose the leader."""
    return [await leader_of(cluster)]


async def a_follower(cluster: Cluster, random: Random) -> list[str]:
    """Choose one that follows."""
    followers = [state.name for state in await cluster.look() if state.role == "follower"]
    if not followers:
        raise NotNow("nobody follows")
    return [random.choice(followers)]


async def one(cluster: Cluster, random: Random) -> list[str]:
    """Choose any node."""
    return [random.choice(cluster.nodes)]


async def some(cluster: Cluster, random: Random) -> list[str]:
    """Choose any number of nodes."""
    return random.sample(cluster.nodes, random.randint(1, len(cluster.nodes)))


async def minority(cluster: Cluster, random: Random) -> list[str]:
    """Choose as many as can be gone while the others go on."""
    return random.sample(cluster.nodes, (len(cluster.nodes) - 1) // 2)


async def majority(cluster: Cluster, random: Random) -> list[str]:
    """Choose so many that the others can't go on."""
    return random.sample(cluster.nodes, len(cluster.nodes) // 2 + 1)


async def everyone(cluster: Cluster, random: Random) -> list[str]:
    """Choose all nodes."""
    return list(cluster.nodes)


def claim(cluster: Cluster, names: list[str]) -> None:
    """Let no other fault be busy with these nodes until ``release``; raises ``NotNow`` when one is."""
    taken = [name for name in names if name in cluster.claims or name not in cluster.by_name]
    if taken:
        raise NotNow(f"another fault is busy with {', '.join(taken)}")
    cluster.claims.update(names)


def release(cluster: Cluster, names: list[str]) -> None:
    """Let other faults have these nodes."""
    cluster.claims.difference_update(names)
