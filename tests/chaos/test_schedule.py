"""Which faults come when: in virtual time, with faults that do nothing."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from raftkv.chaos.errors import NotNow
from raftkv.chaos.faults.catalogue import (
    ELECTION_SECONDS,
    GROUPS,
    KINDS,
    TIME_OUT_SECONDS,
    Kind,
    Lane,
    kinds_for,
)
from raftkv.chaos.schedule import HEAL_SECONDS, LONGEST_OUTAGE, Schedule
from raftkv.chaos.system import Can, Effect, FaultRecord
from raftkv.errors import ConfigError, RequestTimedOut
from raftkv.node.config import Config
from raftkv.sim.loop import SimLoop


class Nothing:
    """A system that has every ability, and no nodes."""

    name = "nothing"
    abilities = frozenset(Can)


class Told:
    """A fault that takes some time to begin and to end. ``proves`` may change from one to the next."""

    def __init__(self, kind: Kind, times: dict[str, int]) -> None:
        self.kind, self.group, self.needs = kind.name, kind.group, kind.needs
        self.times = times

    async def begin(self, system: Any, random: Random) -> tuple[tuple[str, ...], str]:
        self.times[self.kind] = self.times.get(self.kind, 0) + 1
        await asyncio.sleep(0.1)
        return (random.choice(("n1", "n2", "n3")),), "nothing"

    async def end(self) -> Sequence[Effect]:
        await asyncio.sleep(0.3)
        return [Effect("nothing", 1)]


class Shy(Told):
    """Not possible at the first two attempts."""

    async def begin(self, system: Any, random: Random) -> tuple[tuple[str, ...], str]:
        begun = await super().begin(system, random)
        if self.times[self.kind] <= 2:
            raise NotNow("later")
        return begun


class Vain(Told):
    """Proves nothing the first time."""

    async def end(self) -> Sequence[Effect]:
        return await super().end() if self.times[self.kind] > 1 else []


class Crowded(Told):
    """Takes a node, or all of them, and is not possible while another one has what it needs."""

    async def begin(self, system: Any, random: Random) -> tuple[tuple[str, ...], str]:
        wanted = 3 if self.kind in ALL_NODES else 1
        if self.times.get("taken", 0) + wanted > 3:
            if self.kind in ALL_NODES:
                REFUSED.append(self.kind)
            raise NotNow("taken")
        if REFUSED:
            assert self.kind == REFUSED[0], f"{self.kind} takes a node that {REFUSED[0]} waits for"
            REFUSED.clear()
        self.wanted = wanted
        self.times["taken"] = self.times.get("taken", 0) + wanted
        return await super().begin(system, random)

    async def end(self) -> Sequence[Effect]:
        self.times["taken"] -= self.wanted
        return await super().end()


class Narrow(Told):
    """Not possible while another one is there."""

    async def begin(self, system: Any, random: Random) -> tuple[tuple[str, ...], str]:
        if self.times.get("there", 0):
            raise NotNow("another one is there")
        self.times["there"] = 1
        return await super().begin(system, random)

    async def end(self) -> Sequence[Effect]:
        self.times["there"] = 0
        return await super().end()


REFUSED: list[str] = []
"""Who waits for all nodes, once for each attempt."""

ALL_NODES = {kind.name for kind in KINDS if kind.needs_all}


class Failing(Told):
    """Can't be ended."""

    async def end(self) -> Sequence[Effect]:
        raise RequestTimedOut("no answer")


@pytest.fixture
def loop() -> Iterator[SimLoop]:
    loop = SimLoop()
    asyncio.set_event_loop(loop)
    yield loop
    asyncio.set_event_loop(None)
    loop.close()


def schedule(loop: SimLoop, seed: int, kinds: Sequence[Kind] = KINDS, fault: type[Told] = Told) -> Schedule:
    made = Schedule(Nothing(), "all", seed, clock=loop.time, safe_revision=lambda: 0)  # type: ignore[arg-type]
    times: dict[str, int] = {}
    made.kinds = [kind._replace(make=lambda kind=kind: fault(kind, times)) for kind in kinds]  # type: ignore[misc]
    return made


def run(loop: SimLoop, made: Schedule, seconds: float) -> list[FaultRecord]:
    begun = loop.time()
    loop.run_until_complete(made.run(seconds))
    assert begun + seconds <= loop.time() + 0.01 < begun + seconds + HEAL_SECONDS
    assert made.active == []
    return made.records


@pytest.mark.parametrize("seed", range(5))
def test_in_a_minute_every_kind_comes_and_most_of_the_time_something_is_wrong(
    loop: SimLoop, seed: int
) -> None:
    made = schedule(loop, seed)
    records = run(loop, made, 60)
    assert made.missed == []
    moments = [number / 10 for number in range(600)]
    active = [sum(one.begun <= moment < one.ended for one in records) for moment in moments]
    assert sum(count > 0 for count in active) >= 0.6 * len(moments)
    assert max(active) == len(Lane)


def test_faults_of_one_lane_do_not_overlap_and_outages_are_short(loop: SimLoop) -> None:
    records = run(loop, schedule(loop, 1), 60)
    by_name = {kind.name: kind for kind in KINDS}
    for lane in Lane:
        inside = [one for one in records if by_name[one.kind].lane == lane]
        assert all(one.ended <= two.begun for one, two in pairwise(inside))
    assert all(one.ended - one.begun <= LONGEST_OUTAGE + 0.5 for one in records if by_name[one.kind].outage)


def test_a_node_hears_nothing_until_requests_time_out_where_there_is_time(loop: SimLoop) -> None:
    partitions = [kind for kind in KINDS if kind.group == "partition"]
    lasted = [
        max(one.ended - one.begun for one in records if one.kind == "partition-deaf")
        for records in (run(loop, schedule(loop, 4, partitions), 60), run(loop, schedule(loop, 4), 60))
    ]
    assert lasted[0] >= TIME_OUT_SECONDS > Config().request_timeout > lasted[1]


@pytest.mark.parametrize("group", ["partition", "pause"])
def test_in_a_short_run_too_a_leader_is_alone_until_another_one_is_elected(loop: SimLoop, group: str) -> None:
    records = run(loop, schedule(loop, 3, [kind for kind in KINDS if kind.group == group]), 20)
    lasted = {one.kind: one.ended - one.begun for one in reversed(records)}
    assert lasted[f"{group}-leader"] >= ELECTION_SECONDS
    assert set(lasted) == {kind.name for kind in KINDS if kind.group == group}


def test_the_seed_says_what_comes(loop: SimLoop) -> None:
    def plan(seed: int) -> list[tuple[str, tuple[str, ...], float]]:
        start = loop.time()
        return [
            (one.kind, one.targets, round(one.begun - start, 6))
            for one in run(loop, schedule(loop, seed), 30)
        ]

    assert plan(1) == plan(1) != plan(2)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_alone_fills_its_time(loop: SimLoop, group: str) -> None:
    kinds = [kind for kind in KINDS if kind.group == group]
    records = run(loop, schedule(loop, 3, kinds), 60)
    assert {one.kind for one in records} == {kind.name for kind in kinds}
    assert sum(one.ended - one.begun for one in records) >= 0.6 * 60


def test_what_is_not_possible_now_comes_later(loop: SimLoop) -> None:
    made = schedule(loop, 1, KINDS[:4], Shy)
    run(loop, made, 60)
    assert made.missed == []


def test_what_needs_all_nodes_gets_them(loop: SimLoop) -> None:
    kinds = [kind for kind in KINDS if kind.impairs and kind.lane is not Lane.NETWORK]
    made = schedule(loop, 1, kinds, Crowded)
    REFUSED.clear()
    run(loop, made, 60)
    assert made.missed == []


@pytest.mark.parametrize("seed", range(5))
def test_none_comes_twice_while_one_of_another_lane_has_not_come(loop: SimLoop, seed: int) -> None:
    """Two partitions never came in a minute, as kills and pauses came for a second time."""
    kinds = [kind for kind in KINDS if kind.impairs]
    records = run(loop, schedule(loop, seed, kinds, Narrow), 60)
    lanes = {kind.name: kind.lane for kind in kinds}
    come: list[str] = []
    for record in sorted(records, key=lambda one: one.begun):
        if record.kind in come:
            assert {lanes[name] for name in lanes.keys() - set(come)} <= {lanes[record.kind]}
        come.append(record.kind)


def test_what_proved_nothing_comes_again(loop: SimLoop) -> None:
    made = schedule(loop, 1, KINDS[:4], Vain)
    records = run(loop, made, 30)
    assert made.missed == []
    assert {one.kind for one in records if not one.effects} == {kind.name for kind in KINDS[:4]}


def test_a_fault_that_fails_is_in_the_record_and_proves_nothing(loop: SimLoop) -> None:
    made = schedule(loop, 1, KINDS[:2], Failing)
    assert {one.error for one in run(loop, made, 10)} == {"no answer"}
    assert made.missed == [kind.name for kind in KINDS[:2]]


def test_no_faults_are_no_faults(loop: SimLoop) -> None:
    made = Schedule(Nothing(), "none", 1, clock=loop.time, safe_revision=lambda: 0)  # type: ignore[arg-type]
    assert run(loop, made, 10) == []


def test_groups_are_chosen_by_name_and_by_what_a_system_can() -> None:
    system: Any = Nothing()
    assert {kind.group for kind in kinds_for("kill, pause", system)} == {"kill", "pause"}
    assert kinds_for("all", system) == KINDS
    system.abilities = frozenset({Can.CLIENT_LINKS})
    assert {kind.group for kind in kinds_for("all", system)} == {"client-links"}
    with pytest.raises(ConfigError, match="nothing can't have faults of the group kill"):
        kinds_for("kill", system)
    with pytest.raises(ConfigError, match="choose of: all, none, kill, pause, partition"):
        kinds_for("killing", system)


def test_every_kind_makes_a_fault_of_its_own_name() -> None:
    for kind in KINDS:
        fault = kind.make()
        assert (fault.kind, fault.group, fault.needs) == (kind.name, kind.group, kind.needs)
    assert len({kind.name for kind in KINDS}) == len(KINDS)
