"""All kinds of faults: their groups, what they need of a system, and how they go together."""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from raftkv.chaos.errors import ChaosError
from raftkv.chaos.faults import targets
from raftkv.chaos.faults.processes import Kill, Pause, RollingRestart
from raftkv.chaos.system import Can, Fault, System


class Lane(StrEnum):
    """Faults of one lane come one after the other, those of different lanes at the same time."""

    NODES = "nodes"
    NETWORK = "network"
    ORDERS = "orders"


class Kind(NamedTuple):
    """One kind. ``outage``: too few nodes are left to go on, so it has to be short."""

    name: str
    group: str
    needs: Can
    lane: Lane
    make: Callable[[], Fault]
    outage: bool = False


def _kill(name: str, choose: targets.Choose, *, outage: bool = False) -> Kind:
    return Kind(name, "kill", Can.PROCESSES, Lane.NODES, lambda: Kill(name, choose), outage)


def _pause(name: str, choose: targets.Choose, *, outage: bool = False) -> Kind:
    return Kind(name, "pause", Can.PROCESSES, Lane.NODES, lambda: Pause(name, choose), outage)


KINDS: tuple[Kind, ...] = (
    _kill("kill-one", targets.one),
    _kill("kill-leader", targets.the_leader),
    _kill("kill-minority", targets.minority),
    _kill("kill-majority", targets.majority, outage=True),
    _kill("kill-all", targets.everyone, outage=True),
    Kind("restart-rolling", "kill", Can.PROCESSES, Lane.NODES, RollingRestart),
    _pause("pause-leader", targets.the_leader),
    _pause("pause-follower", targets.a_follower),
    _pause("pause-majority", targets.majority, outage=True),
)

GROUPS = tuple(dict.fromkeys(kind.group for kind in KINDS))
"""The words of ``--faults``."""


def kinds_for(text: str, system: System) -> tuple[Kind, ...]:
    """Return the kinds that ``--faults TEXT`` means: ``all`` the system is able to have, ``none``, or groups.

    Raises ``ChaosError`` for a group that is none, or that the system can't have.
    """
    able = [kind for kind in KINDS if kind.needs in system.abilities]
    if text in ("all", "none"):
        return tuple(able) if text == "all" else ()
    groups = [word.strip() for word in text.split(",")]
    for group in groups:
        if group not in GROUPS:
            raise ChaosError(f"there are no faults {group!r}; choose of: all, none, {', '.join(GROUPS)}")
        if not any(kind.group == group for kind in able):
            raise ChaosError(f"{system.name} can't have faults of the group {group}")
    return tuple(kind for kind in able if kind.group in groups)
