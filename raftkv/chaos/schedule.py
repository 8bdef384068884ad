"""Which fault comes when, to whom and for how long: drawn from a seed.

There are three lanes (``Lane``); in each the kinds come one after the other, in an order that is drawn, and
when all have been there in another one; one that proved nothing comes twice. So faults of different lanes
overlap, and every kind comes at least once where there is time for it: what time is left is shared among
those that are still to come.
"""

import asyncio
from collections.abc import Callable, Sequence
from random import Random

from raftkv.chaos.cluster import Cluster
from raftkv.chaos.errors import ChaosError, NotNow
from raftkv.chaos.external import External
from raftkv.chaos.faults.catalogue import Kind, Lane, kinds_for
from raftkv.chaos.system import Effect, Fault, FaultRecord
from raftkv.errors import RaftKvError

LONGEST = 6.0
"""Seconds that a fault is left to itself at most."""

SHORTEST = 0.8
COMFORTABLE = 4.0
"""Seconds for one fault with all that belongs to it, where every kind has been there already."""

LONGEST_OUTAGE = 1.5
SHARE = 0.6
"""What of a fault's share of the time it has for itself; the rest is for its begin, its end, and a pause."""

PAUSE = 0.25
"""What of its time follows as a pause, in which all is well as far as this lane goes."""

BOLD = 0.15
"""How often a fault that takes nodes away comes although others have."""

PATIENCE = 3.0
"""Seconds that it waits for the others otherwise, less where many are still to come."""

FIRST_SECONDS = 60.0
"""How long faults that take nodes away for a second time wait for those that have not come at all."""

AGAIN_SECONDS = 0.2
HEAL_SECONDS = 60.0

Heard = Callable[[FaultRecord], None]


def unheard(record: FaultRecord) -> None:
    """Take a record and drop it."""


class Schedule:
    """The faults of one run. ``records`` are those that are over, ``active`` the names of those going on.

    ``faults``: the text of ``--faults``. ``clock``: the run's, in seconds. ``safe_revision`` returns up to
    which revision the run has seen everything: no compaction goes further. ``heard`` gets each record.
    Raises ``ConfigError`` for faults that the system can't have.
    """

    def __init__(
        self,
        system: Cluster | External,
        faults: str,
        seed: int,
        *,
        clock: Callable[[], float],
        safe_revision: Callable[[], int],
        heard: Heard = unheard,
    ) -> None:
        self.kinds: Sequence[Kind] = kinds_for(faults, system)
        self.records: list[FaultRecord] = []
        self.active: list[str] = []
        self._system = system
        self._seed = seed
        self._clock = clock
        if isinstance(system, Cluster):
            system.safe_revision = safe_revision
        self._heard = heard
        self._reserved: Lane | None = None
        self._begun = 0.0
        self._has_room: dict[Lane, bool] = {}

    @property
    def missed(self) -> list[str]:
        """Return the kinds that have not come yet, or that proved nothing."""
        proved = {record.kind for record in self.records if record.effects}
        return [kind.name for kind in self.kinds if kind.name not in proved]

    async def run(self, seconds: float) -> None:
        """Let faults come for so long, end those that are left, and wait until the system is whole.

        Raises ``ChaosError`` when it can't be made whole. When it is cancelled nothing is healed.
        """
        self._begun = self._clock()
        end = self._begun + seconds
        async with asyncio.TaskGroup() as lanes:
            for lane in Lane:
                kinds = [kind for kind in self.kinds if kind.lane == lane]
                if kinds:
                    lanes.create_task(self._run_lane(lane, kinds, end))
            await asyncio.sleep(seconds)
        await self.heal()

    async def heal(self) -> None:
        """Let every node run, and wait until all answer and follow one leader. Raises ``ChaosError``."""
        if not isinstance(self._system, Cluster):
            return
        cluster, end = self._system, self._clock() + HEAL_SECONDS
        cluster.note_crashes()
        for name in cluster.nodes:
            await cluster.launch(name)
        while True:
            states = await cluster.look()
            leaders = {state.leader for state in states if state.role}
            if len(leaders) == 1 and "" not in leaders and all(state.role for state in states):
                return
            if self._clock() > end:
                ill = "; ".join(f"{state.name}: {state.role or 'no answer'}" for state in states)
                raise ChaosError(f"{HEAL_SECONDS:g} s after the faults the cluster is not whole: {ill}")
            await asyncio.sleep(AGAIN_SECONDS)

    # ---------------------------------------------------------------- one lane

    async def _run_lane(self, lane: Lane, kinds: Sequence[Kind], end: float) -> None:
        random = Random(f"{self._seed}:faults:{lane}")  # noqa: S311  chance from a seed is the point
        first = True
        self._has_room[lane] = (end - self._clock()) / len(kinds) >= LONGEST
        while self._clock() < end:
            fitting = len(kinds) if first else max(1, int((end - self._clock()) / COMFORTABLE))
            deck = random.sample(kinds, len(kinds))
            deck.sort(key=lambda kind: kind.name not in self.missed)  # those that proved nothing come first
            first, deck = False, deck[:fitting]
            bold = {kind.name for kind in kinds if random.random() < BOLD}
            began, again = self._clock(), list(self.missed)
            while deck and self._clock() < end:
                kind = deck.pop(0)
                share = (end - self._clock()) / (len(deck) + 1)
                is_time = kind.name in bold or self._clock() > began + min(PATIENCE, share * PAUSE)
                may_come = not kind.impairs or self._may_impair(kind, is_time=is_time)
                came = may_come and await self._have(kind, random, min(share * SHARE, LONGEST), end)
                if came:
                    began = self._clock()
                    self._give_back(lane)
                    if kind.name not in again or kind.name not in self.missed:
                        continue
                    again.remove(kind.name)
                elif may_come and kind.needs_all:
                    self._reserved = lane
                deck.insert(0 if self._reserved is lane else len(deck), kind)
                await asyncio.sleep(AGAIN_SECONDS)
        self._give_back(lane)

    def _may_impair(self, kind: Kind, *, is_time: bool) -> bool:
        """Whether a fault may take nodes away: not while another lane waits for all, or for a turn."""
        if self._reserved not in (None, kind.lane) or self._others_first(kind):
            return False
        return is_time or self._can_bear_more()

    def _others_first(self, kind: Kind) -> bool:
        """Whether a kind has come already, and one of another lane has not for want of nodes."""
        come = {record.kind for record in self.records}
        waiting = [one for one in self.kinds if one.impairs and one.name not in {*come, *self.active}]
        is_first = self._clock() < self._begun + FIRST_SECONDS
        return is_first and kind.name in come and any(one.lane is not kind.lane for one in waiting)

    def _give_back(self, lane: Lane) -> None:
        """Let other lanes take nodes away again."""
        if self._reserved is lane:
            self._reserved = None

    def _can_bear_more(self) -> bool:
        """Whether a majority is left when one more node does not work."""
        if not isinstance(self._system, Cluster):
            return True
        return self._system.impaired < (len(self._system.nodes) - 1) // 2

    async def _have(self, kind: Kind, random: Random, seconds: float, end: float) -> bool:
        """Have one fault, and a pause; False when it is not possible now."""
        fault, begun = kind.make(), self._clock()
        try:
            targets, detail = await fault.begin(self._system, random)
        except NotNow:
            return False
        except RaftKvError as error:  # a request to the system failed: that is what faults are for
            self._note(FaultRecord(kind.name, kind.group, (), "", begun, self._clock(), error=str(error)))
            return False
        self.active.append(kind.name)
        most = min(seconds, LONGEST_OUTAGE) if kind.outage else seconds
        least = max(SHORTEST, kind.least, kind.long if self._has_room[kind.lane] else 0.0)
        lasting = max(least, random.uniform(0.7, 1.0) * most)
        await asyncio.sleep(max(0.0, min(lasting, end - self._clock())))
        effects, problem = await self._end(fault)
        self.active.remove(kind.name)
        self._note(
            FaultRecord(kind.name, kind.group, targets, detail, begun, self._clock(), tuple(effects), problem)
        )
        await asyncio.sleep(max(0.0, min(lasting * PAUSE, end - self._clock())))
        return True

    async def _end(self, fault: Fault) -> tuple[Sequence[Effect], str]:
        try:
            return await fault.end(), ""
        except RaftKvError as error:
            return (), str(error)

    def _note(self, record: FaultRecord) -> None:
        self.records.append(record)
        self._heard(record)
