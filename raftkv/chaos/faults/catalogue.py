"""All kinds of faults: their groups, what they need of a system, and how they go together."""

from collections.abc import Callable
from enum import StrEnum
from random import Random
from typing import NamedTuple

from raftkv.chaos.faults import links, members, orders, partitions, targets, upkeep
from raftkv.chaos.faults.processes import Kill, Pause, RollingRestart
from raftkv.chaos.faults.torn import TornKill
from raftkv.chaos.link import Quality
from raftkv.chaos.system import Can, Fault, System
from raftkv.errors import ConfigError


class Lane(StrEnum):
    """Faults of one lane come one after the other, those of different lanes at the same time.

    Each has its share of what takes long, so that all kinds come within a minute.
    """

    COMINGS = "comings and goings"
    NETWORK = "network"
    REST = "rest"


class Kind(NamedTuple):
    """One kind. ``outage``: too few nodes are left to go on, so it has to be short.

    ``impairs``: some nodes do not work, or not with the others; two such faults together may be an outage.
    ``least``: seconds after which it has its effect at the earliest, however many others are to come;
    ``long``: the same where there is time enough for all of its lane to last long.
    """

    name: str
    group: str
    needs: Can
    lane: Lane
    make: Callable[[], Fault]
    outage: bool = False
    impairs: bool = True
    least: float = 0.0
    long: float = 0.0

    @property
    def needs_all(self) -> bool:
        """Whether no other fault may be busy with any node, so that it could wait for ever."""
        return self.outage or self.group == "members"


ELECTION_SECONDS = 3.0
"""How long a leader has to be without the others until they have certainly elected another one."""


TIME_OUT_SECONDS = 8.5
"""How long a node has to hear nothing until it tells clients that requests timed out, which others have done:
after 7 s, as etcd."""


def _kill(name: str, choose: targets.Choose, *, outage: bool = False) -> Kind:
    return Kind(name, "kill", Can.PROCESSES, Lane.COMINGS, lambda: Kill(name, choose), outage)


def _pause(name: str, choose: targets.Choose, *, outage: bool = False) -> Kind:
    return Kind(name, "pause", Can.PROCESSES, Lane.REST, lambda: Pause(name, choose), outage)


def _partition(name: str, draw: partitions.Draw, *, outage: bool = False) -> Kind:
    return Kind(name, "partition", Can.LINKS, Lane.NETWORK, lambda: partitions.Partition(name, draw), outage)


def _links(name: str, draw: Callable[[Random], Quality] | None) -> Kind:
    return _of_links(name, "links", Can.LINKS, links.among_nodes, draw)


def _client_links(name: str, draw: Callable[[Random], Quality] | None) -> Kind:
    return _of_links(name, "client-links", Can.CLIENT_LINKS, links.of_all_clients, draw)


def _of_links(
    name: str, group: str, needs: Can, choose: links.Choose, draw: Callable[[Random], Quality] | None
) -> Kind:
    def make() -> Fault:
        if draw is None:
            return links.FlappingLinks(name, group, needs, choose)
        return links.Degraded(name, group, needs, choose, draw)

    return Kind(name, group, needs, Lane.NETWORK, make, impairs=False)


def _order(name: str, group: str, needs: Can, make: Callable[[], Fault]) -> Kind:
    return Kind(name, group, needs, Lane.REST, make, impairs=False)


KINDS: tuple[Kind, ...] = (
    _kill("kill-one", targets.one),
    _kill("kill-leader", targets.the_leader),
    _kill("kill-minority", targets.minority),
    _kill("kill-majority", targets.majority, outage=True),
    _kill("kill-all", targets.everyone, outage=True),
    Kind("restart-rolling", "kill", Can.PROCESSES, Lane.COMINGS, RollingRestart),
    _pause("pause-leader", targets.the_leader)._replace(least=ELECTION_SECONDS),
    _pause("pause-follower", targets.a_follower),
    _pause("pause-majority", targets.majority, outage=True),
    _partition("partition-one", partitions.one_alone),
    _partition("partition-leader", partitions.leader_alone)._replace(least=ELECTION_SECONDS),
    _partition("partition-halves", partitions.halves),
    _partition("partition-deaf", partitions.deaf)._replace(long=TIME_OUT_SECONDS),
    _partition("partition-mute", partitions.mute),
    _partition("partition-bridge", partitions.bridge),
    _partition("partition-ring", partitions.ring, outage=True),
    Kind(
        "partition-flapping",
        "partition",
        Can.LINKS,
        Lane.NETWORK,
        lambda: partitions.FlappingPartition("partition-flapping", partitions.one_alone),
    ),
    _links("links-slow", links.slow),
    _links("links-lossy", links.lossy),
    _links("links-flapping", None),
    _client_links("clients-slow", links.slow),
    _client_links("clients-lossy", links.lossy),
    _client_links("clients-flapping", None),
    Kind("clients-cut", "client-links", Can.CLIENT_LINKS, Lane.NETWORK, links.ClientsCut, impairs=False),
    Kind("kill-torn", "torn", Can.DISKS, Lane.REST, lambda: TornKill(targets.one)),
    Kind("member-replace", "members", Can.MEMBERS, Lane.COMINGS, members.Replace),
    Kind("member-learner", "members", Can.MEMBERS, Lane.COMINGS, members.Learner),
    Kind("disk-eio", "disk", Can.DISKS, Lane.REST, lambda: orders.FailingDisk(targets.one)),
    _order("disk-slow", "disk", Can.DISKS, lambda: orders.SlowDisk(targets.some)),
    _order("disk-full", "disk", Can.DISKS, lambda: orders.FullDisk(targets.one)),
    _order("clock-wrong", "clock", Can.CLOCKS, lambda: orders.WrongClock(targets.some)),
    _order("transfer-leader", "transfer", Can.TRANSFER, upkeep.Transfer),
    _order("snapshot-forced", "snapshot", Can.SNAPSHOTS, upkeep.Snapshot),
    _order("compact", "compact", Can.PROCESSES, upkeep.Compact),
)

GROUPS = tuple(dict.fromkeys(kind.group for kind in KINDS))
"""The words of ``--faults``."""


def kinds_for(text: str, system: System) -> tuple[Kind, ...]:
    """Return the kinds that ``--faults TEXT`` means: ``all`` the system is able to have, ``none``, or groups.

    Raises ``ConfigError`` for a group that is none, or that the system can't have.
    """
    able = [kind for kind in KINDS if kind.needs in system.abilities]
    if text in ("all", "none"):
        return tuple(able) if text == "all" else ()
    groups = [word.strip() for word in text.split(",")]
    for group in groups:
        if group not in GROUPS:
            raise ConfigError(f"there are no faults {group!r}; choose of: all, none, {', '.join(GROUPS)}")
        if not any(kind.group == group for kind in able):
            raise ConfigError(f"{system.name} can't have faults of the group {group}")
    return tuple(kind for kind in able if kind.group in groups)
