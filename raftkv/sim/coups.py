"""A fault that follows the leadership: each leader is cut off soon after it begins to lead.

The one before it is let back in at that moment. So leader follows leader, each with entries of its own that
nobody else or only some have: logs come apart as in the thesis' figures 3.6 and 3.7. Where the rest still
decides, some others may be cut off together with the leader, and take its entries; they are let back in one
leader later than it.
"""

from collections.abc import Callable, Sequence
from random import Random

from raftkv.errors import ConfigError
from raftkv.sim.network import SimNetwork
from raftkv.sim.watch import Link
from raftkv.sim.world import World
from raftkv.trace import Event, RoleChanged


class Coups:
    """Cuts leaders off until it is ``over`` or all is healed, each within ``longest`` seconds."""

    def __init__(self, world: World, way: str, longest: float, is_healed: Callable[[], bool]) -> None:
        """``way``: ``out`` = nobody hears the leader, ``in`` = it hears nobody, ``both``.

        Raises ConfigError for another way, now and not at the first strike.
        """
        links_between((), (), way)
        self._world = world
        self._is_healed = is_healed
        self._way = way
        self._longest = longest
        self._random = Random(f"{world.random.random()}:coups")
        self._back_next: list[Link] = []
        self._back_later: list[Link] = []
        self._is_over = False
        world.listeners.append(self._told)

    def over(self) -> None:
        """Let the last one back in, and leave the leaders alone."""
        self._is_over = True
        self._world.listeners.remove(self._told)
        self._network.mend(self._back_next + self._back_later)

    @property
    def _network(self) -> SimNetwork:
        return self._world.network

    def _told(self, _now: float, name: str, event: Event) -> None:
        if isinstance(event, RoleChanged) and event.role == "leader":
            self._world.loop.call_world_at(
                self._world.loop.now + self._random.random() * self._longest, self._strike, int(name[1:])
            )

    def _strike(self, leader: int) -> None:
        if self._is_over or self._is_healed():
            return
        companions = [] if self._back_later else self._companions(leader)
        outside = [other for other in self._world.members if other not in (leader, *companions)]
        back = self._back_next
        self._back_next = self._cut([leader], outside) + self._back_later
        self._back_later = self._cut(companions, outside)
        self._network.mend(back)

    def _companions(self, leader: int) -> list[int]:
        """Return some others, at most so many that a majority stays outside."""
        others = [other for other in self._world.voters() if other != leader]
        most = max(0, len(others) // 2 - 1)
        return self._random.sample(others, self._random.randint(0, most)) if most else []

    def _cut(self, party: Sequence[int], outside: Sequence[int]) -> list[Link]:
        links = links_between(party, outside, self._way)
        self._network.cut(links)
        return links


def links_between(party: Sequence[int], others: Sequence[int], way: str) -> list[Link]:
    """Return the links of some members to others, the way that is named. Raises ConfigError."""
    outward = [(one, other) for one in party for other in others]
    inward = [(other, one) for one in party for other in others]
    links = {"out": outward, "in": inward, "both": outward + inward}
    if way not in links:
        ways = f"{', '.join(links)}, and for leader-cut one"
        raise ConfigError(f"there is no way {way!r} to cut a leader off; there are {ways}")
    return links[way]
