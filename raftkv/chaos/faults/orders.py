"""Faults that a raftkv node has because it is told to (``serve --chaos``): of disks and its wall clock."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import Any

import aiohttp

from raftkv.chaos.cluster import Cluster
from raftkv.chaos.errors import NotNow
from raftkv.chaos.faults.nodes import OfNodes
from raftkv.chaos.faults.processes import bring_back
from raftkv.chaos.faults.targets import Choose
from raftkv.chaos.faults.tasks import ended
from raftkv.chaos.system import Can, Effect
from raftkv.faults.orders import LOG, SNAPSHOTS, ClockFault, DiskFault, Orders
from raftkv.local.verbs import VerbRefused

LIMIT_SECONDS = 30.0
"""After so long a node ends a fault by itself, if nobody could tell it to."""

DIES_SECONDS = 5.0
WATCH_SECONDS = 0.3
EFFECTS = {
    "fsyncs_delayed": "fsyncs delayed",
    "fsyncs_failed": "fsyncs failed",
    "refused": "writes refused",
    "reads": "times told wrong",
}
_NO_ANSWER = (VerbRefused, aiohttp.ClientError, TimeoutError)


class Ordered(ABC):
    """An order to some nodes, and another one that ends it. One that was restarted meanwhile has no fault."""

    group = ""
    kind = ""
    needs = Can.DISKS

    def __init__(self, choose: Choose) -> None:
        self._choose = choose

    @abstractmethod
    def draw(self, random: Random) -> tuple[Orders, str]:
        """Draw what is ordered, and say it in words."""

    def over(self) -> Orders:
        """Return the order that ends it."""
        return Orders(disks={LOG: DiskFault(), SNAPSHOTS: DiskFault()})

    async def begin(self, system: Cluster, random: Random) -> tuple[tuple[str, ...], str]:
        """See ``Fault``."""
        self._cluster = system
        self._last: dict[str, dict[str, float]] = {}
        self._done = dict.fromkeys(EFFECTS, 0.0)
        orders, detail = self.draw(random)
        for name in await self._choose(system, random):
            try:
                self._last[name] = counted(await system.verbs(name).order(orders))
            except _NO_ANSWER:
                continue  # another fault has it
        if not self._last:
            raise NotNow("no node took the order")
        self._watching = system.network.spawn(self._watch())
        return tuple(self._last), f"{detail}: {', '.join(self._last)}"

    async def end(self) -> Sequence[Effect]:
        """See ``Fault``."""
        await ended(self._watching)
        for name in self._last:
            if name in self._cluster.by_name:
                with suppress(*_NO_ANSWER):
                    self._note(name, await self._cluster.verbs(name).order(self.over()))
        return [Effect(EFFECTS[what], amount) for what, amount in self._done.items() if amount]

    async def _watch(self) -> None:
        """Note effects now and then: a node that is killed takes its counts with it."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            for name in self._last:
                if name in self._cluster.by_name:
                    with suppress(*_NO_ANSWER):
                        self._note(name, await self._cluster.verbs(name).look())

    def _note(self, name: str, answer: Mapping[str, Any]) -> None:
        now, last = counted(answer), self._last[name]
        for what, amount in now.items():
            self._done[what] += amount - last[what] if amount >= last[what] else amount
        self._last[name] = now


class SlowDisk(Ordered):
    """Each fsync takes longer."""

    kind = "disk-slow"
    group = "disk"

    def draw(self, random: Random) -> tuple[Orders, str]:
        """See ``Ordered``."""
        fault = DiskFault(slow_fsync_ms=random.choice((10.0, 50.0, 200.0)), seconds=LIMIT_SECONDS)
        return Orders(disks={LOG: fault, SNAPSHOTS: fault}), f"fsyncs take {fault.slow_fsync_ms:g} ms more"


class FullDisk(Ordered):
    """ENOSPC: no file gets longer."""

    kind = "disk-full"
    group = "disk"

    def draw(self, random: Random) -> tuple[Orders, str]:
        """See ``Ordered``."""
        fault = DiskFault(full=True, seconds=LIMIT_SECONDS)
        return Orders(disks={LOG: fault, SNAPSHOTS: fault}), "the disk is full"

    async def begin(self, system: Cluster, random: Random) -> tuple[tuple[str, ...], str]:
        """See ``Fault``. A snapshot is wished for too: what the log has reserved would last a while."""
        begun = await super().begin(system, random)
        self._snapshots = system.network.spawn(self._take_snapshots(begun[0]))
        return begun

    async def end(self) -> Sequence[Effect]:
        """See ``Fault``."""
        effects = await super().end()
        await ended(self._snapshots)
        return effects

    async def _take_snapshots(self, names: Sequence[str]) -> None:
        for name in names:
            with suppress(*_NO_ANSWER):
                await self._cluster.verbs(name).snapshot()


class WrongClock(Ordered):
    """The wall clock jumps, or runs at another speed."""

    kind = "clock-wrong"
    group = "clock"
    needs = Can.CLOCKS

    def draw(self, random: Random) -> tuple[Orders, str]:
        """See ``Ordered``."""
        jump = random.choice((-1, 1)) * 10 ** random.uniform(2, 8)
        drift = random.choice((0.0, random.uniform(-500_000, 500_000)))
        clock = ClockFault(round(jump), round(drift), LIMIT_SECONDS)
        return Orders(clock=clock), f"the wall clock is {jump / 1000:+.1f} s off, and gains {drift:.0f} ppm"

    def over(self) -> Orders:
        """See ``Ordered``."""
        return Orders(clock=ClockFault())


class FailingDisk(OfNodes):
    """EIO: an fsync of the log fails, after which the node ends. At the end it is started again."""

    kind = "disk-eio"
    group = "disk"
    needs = Can.DISKS

    async def _strike(self, random: Random) -> str:
        orders = Orders(disks={LOG: DiskFault(fail_fsyncs=1, seconds=LIMIT_SECONDS)})
        try:
            for name in self._names:
                self._cluster.node(name).down = True  # it is to end, and by itself
                await self._cluster.verbs(name).order(orders)
        except _NO_ANSWER as error:
            raise NotNow(f"no node took the order: {error}") from error
        return f"the next fsync of the log fails: {', '.join(self._names)}"

    async def _mend(self) -> Sequence[Effect]:
        cluster = self._cluster
        gone = [name for name in self._names if await cluster.is_gone(name, DIES_SECONDS)]
        await cluster.end(self._names)
        await bring_back(cluster, self._names)
        return [Effect("nodes ended by a failed fsync", len(gone))] if gone else []


def counted(answer: Mapping[str, Any]) -> dict[str, float]:
    """Return what faults have done so far, of a node's answer."""
    places = [*answer["disk"].values(), answer["clock"]]
    return {what: sum(float(place["effects"].get(what, 0)) for place in places) for what in EFFECTS}
