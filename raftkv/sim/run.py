"""One run: a scenario, from the first start to the last check.

Safety phase: faults and clients. Then the core members are healed for good, the others are left to rot, and
the core has to elect, agree and serve within a bound: what works only when everybody is back does not work.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from raftkv.checkers.verdict import Validity
from raftkv.errors import ConfigError, RaftKvError
from raftkv.raft import Role, make_core
from raftkv.sim import checks, healing
from raftkv.sim.claims import Claims
from raftkv.sim.clients import slack_of
from raftkv.sim.disk import SimDisk
from raftkv.sim.driver import PROBES, Driver
from raftkv.sim.loop import Deadlock, Livelock, SimLoop, bury
from raftkv.sim.marks import Coverage
from raftkv.sim.members import CoreFactory, Member
from raftkv.sim.scenario import OFF, SAFETY_END, Operation, Scenario, member_number
from raftkv.sim.watch import NOBODY, Watcher
from raftkv.sim.world import Broken, Told, World
from raftkv.workloads.port import Finding, Truth

T = TypeVar("T")

LIVENESS_SECONDS = 20.0
"""How long the healed core may take to elect, catch up, install what is missing and serve."""

LAST_SECONDS = 60.0
"""How long clients may take for their last words, in which they wait for leases to end."""

LAST_PATIENCE = 15.0
"""How long a client waits for an answer when no fault is left: longer than for a watch to catch up."""

CALM_SECONDS = 4.0
"""How long leader and term have to stay, at the end: twice the longest election time-out."""

EARLIEST_HEALING = 0.05
"""Seconds without which no member has begun, so that nobody could be healed."""

POLL_SECONDS = 0.05

LONGEST_POLL_SECONDS = 2.0
"""How long a client pauses at most that is refused at once again and again: all of them together are many."""

MAX_SET_ASIDE = 150_000
"""Objects that may stay set aside from the collector, as members set aside what they load at their start."""


@dataclass(slots=True)
class Result:
    """What came of a run. ``check``: the first check that failed, "" = none; ``detail``: what it saw.

    ``note``: what else there is to know of it, "" = nothing. ``failed_at``: when it failed; all times in
    seconds on the simulated clock, but for ``seconds``. ``early``: the check failed before the healing.
    """

    seed: int
    check: str = ""
    detail: str = ""
    note: str = ""
    failed_at: float = 0.0
    early: bool = False
    digest: str = ""
    seconds: float = 0.0
    simulated: float = 0.0
    operations: int = 0
    completed: int = 0
    fault_seconds: float = 0.0
    marks: dict[str, int] = field(default_factory=dict)
    messages: dict[str, int] = field(default_factory=dict)
    coverage: dict[str, int] = field(default_factory=dict)
    check_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every check held."""
        return not self.check


def run_scenario(
    scenario: Scenario,
    make: CoreFactory = make_core,
    listener: Told | None = None,
    watcher: Watcher = NOBODY,
    *,
    safety_only: bool = False,
) -> Result:
    """Run a scenario in this thread. Raises ConfigError when it makes no sense.

    ``safety_only`` ends it at the healing: who looks for a failure before that need not wait for the rest.
    """
    begun = time.perf_counter()
    collecting = gc.isenabled()
    gc.disable()  # finalizers would run at other places in another run
    try:
        result = _play(scenario, make, listener, watcher, safety_only=safety_only)
    finally:
        if collecting:
            _collect()
            gc.enable()
    result.seconds = time.perf_counter() - begun
    return result


def _collect() -> None:
    """Free what a run has left: what is young, and now and then what its members set aside for good."""
    if gc.get_freeze_count() > MAX_SET_ASIDE:
        gc.unfreeze()
        gc.collect()
    else:
        gc.collect(0)


def _play(
    scenario: Scenario, make: CoreFactory, listener: Told | None, watcher: Watcher, *, safety_only: bool
) -> Result:
    loop = SimLoop()
    try:
        run = _Run(scenario, loop, make, watcher)
    except BaseException:
        loop.close()
        raise
    if listener is not None:
        run.world.listeners.append(listener)
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(run.play(safety_only=safety_only))
    except (Deadlock, Livelock) as error:  # raised by the loop itself: no task sees it
        run.fail("progress", str(error), loop.now)
    finally:
        run.bury()
        asyncio.set_event_loop(None)
        loop.close()
    return run.result


class _Run:
    def __init__(self, scenario: Scenario, loop: SimLoop, make: CoreFactory, watcher: Watcher) -> None:
        self.scenario = scenario
        self.loop = loop
        self.world = World(scenario, loop, make, watcher)
        self.driver = Driver(self.world)
        self.workload = self.driver.workload
        self.driver.check(scenario.faults)
        if scenario.heal is not None and scenario.heal.at < EARLIEST_HEALING:
            raise ConfigError(f"heal at {scenario.heal.at:g}: members need {EARLIEST_HEALING:g} s to start")
        self.coverage = Coverage(self.world)
        self.claims = Claims(self.world)
        self.snapshots = checks.SnapshotWitness(self._disk_of)
        self.world.listeners.append(self.snapshots.take)
        self.result = Result(scenario.seed)
        self._healed: list[Member] = []

    def _disk_of(self, name: str) -> SimDisk:
        return self.world.members[member_number(name)].disk

    @property
    def core(self) -> list[Member]:
        """The healed members that still vote: the removal of one may have been under way."""
        voters = self.world.voters()
        return [member for member in self._healed if member.number in voters]

    async def play(self, *, safety_only: bool) -> None:
        """Play all phases; stop at the first check that fails."""
        try:
            await self._safety_phase()
            self._stop_if_broken()
            if not safety_only:
                await self._later_phases()
        except Broken as broken:
            self.fail(broken.check, broken.detail, self.loop.now if broken.at is None else broken.at)
        else:
            self._sum_up()

    async def _later_phases(self) -> None:
        if await self._heal():
            await self._liveness_phase()
        else:
            await self._refusal_phase()
        self._stop_if_broken()
        self._final_checks()

    def fail(self, check: str, detail: str, at: float) -> None:
        """End the run with a check that failed."""
        self.result.check, self.result.detail, self.result.failed_at = check, detail, at
        self.result.early = self.driver.healed_at is None
        self._sum_up()

    async def _safety_phase(self) -> None:
        for name in self.scenario.members:
            self.world.start(self.world.members[member_number(name)])
        clients: dict[str, list[Operation]] = {}
        for operation in self.scenario.operations:
            clients.setdefault(operation.client, []).append(operation)
        if self.driver.probes is not self.workload:
            self.driver.prepared = asyncio.create_task(self.driver.prepare())
        tasks = [
            asyncio.create_task(self.driver.client(name, todo)) for name, todo in sorted(clients.items())
        ]
        end = self.scenario.heal.at if self.scenario.heal is not None else SAFETY_END
        for fault in self.scenario.faults:
            if fault.at < end:
                await self._until(fault.at)
                self.driver.let_happen(fault)
        await self._until(end)
        self.driver.stop_counting()
        self._tasks = tasks

    async def _until(self, at: float) -> None:
        """Let time pass, looking now and then whether a check has failed."""
        while self.loop.now < at:
            await asyncio.sleep(min(1.0, at - self.loop.now))
            self._stop_if_broken()

    def _stop_if_broken(self) -> None:
        if self.world.broken:
            raise self.world.broken[0]
        for owner, context in self.loop.failures:
            error = context.get("exception")
            if not isinstance(error, RaftKvError):
                whose = owner.name if owner is not None else "the world"
                raise Broken("callback", f"{whose}: {context['message']}: {type(error).__name__}: {error}")
        for owner, context in self.loop.failures:
            who = owner.name if owner is not None else "the world"
            raise Broken("loose end", f"{who}: {context.get('message')}: {context.get('exception')!r}")

    # ---------------------------------------------------------------- healing

    async def _heal(self) -> bool:
        """Heal a core that can go on, and end all others for good; False: too few members can be healed."""
        world = self.world
        world.note("heal")
        self.driver.healed_at = self.loop.now
        if self.scenario.beyond_repair:
            await healing.start_whoever_can(world)
            self._stop_if_broken()
        self._healed = healing.choose_core(world, self.scenario, self.driver.electorates_under_way())
        goes_on = healing.can_go_on(world, self.scenario, self._healed)
        world.watcher.healed(self.loop.now, [member.name for member in self._healed])
        healing.heal(world, self._healed, self.scenario.heal.others if self.scenario.heal else OFF)
        return goes_on

    async def _refusal_phase(self) -> None:
        """Let those that are up be asked, though they are too few: no answer is right, a wrong one is not."""
        self.coverage.nobody_serves()
        self.result.note = f"too few disks are sound to serve: {healing.gone(self.world)}"
        self.driver.serving = list  # what clients still have to ask would take their patience each time
        await self._in_time("clients", asyncio.gather(*self._tasks))
        for member in self._healed:
            for client, words in self._last_requests(member.number):
                await self._ask(client, member, words)
        self._stop_if_broken()

    # ---------------------------------------------------------------- liveness

    async def _liveness_phase(self) -> None:
        """Wait until the core agrees and serves; then let the clients end."""
        deadline = self.loop.now + LIVENESS_SECONDS
        self.driver.serving = lambda: self.core
        while not self._agrees():
            self._stop_if_broken()
            if self.loop.now > deadline:
                raise Broken("liveness of elections", self._why_not())
            await asyncio.sleep(POLL_SECONDS)
        await self._in_time("clients", asyncio.gather(*self._tasks))
        await self._in_time("requests", self._probe())
        if self.driver.probes is not self.workload:
            try:
                await self._in_time("last words", self._last_words(), LAST_SECONDS)
            except Broken as never_ended:
                raise self._wrong_answers(self._replay_all()) or never_ended from None
            deadline = max(deadline, self.loop.now)
        while not self._agrees() or not self._idle():
            self._stop_if_broken()
            if self.loop.now > deadline + 2 * LIVENESS_SECONDS:
                raise Broken("liveness of replication", self._why_not())
            await asyncio.sleep(POLL_SECONDS)
        await self._stays_calm()
        while not self._idle():  # a lease may end at any time
            self._stop_if_broken()
            await asyncio.sleep(POLL_SECONDS)

    async def _stays_calm(self) -> None:
        """See that nobody disturbs a leader that all of a healed core follow."""
        before = self._leadership()
        await asyncio.sleep(CALM_SECONDS)
        self._stop_if_broken()
        if (after := self._leadership()) != before:
            raise Broken("disruption", f"leader and term {before} became {after} without a fault")

    def _leadership(self) -> list[tuple[int, int]]:
        states = [member.node.status() for member in self.core if member.node is not None]
        return [(state.leader, state.term) for state in states]

    async def _in_time(self, what: str, work: Awaitable[Any], seconds: float = LIVENESS_SECONDS) -> None:
        try:
            async with asyncio.timeout(seconds):
                await work
        except TimeoutError:
            self._stop_if_broken()
            raise Broken(f"liveness of {what}", self._why_not()) from None
        self._stop_if_broken()

    async def _probe(self) -> None:
        """Write at each core member, and read everything at each: what was lost shows in the history.

        A request may still be lost or end with an unknown outcome, when a snapshot stands for its entry, say.
        """
        for number, member in enumerate(self.core):
            for client, words in self._last_requests(number):
                while not await self._ask(client, member, words):
                    self._stop_if_broken()
                    await asyncio.sleep(POLL_SECONDS)

    def _last_requests(self, number: int) -> Iterator[tuple[str, tuple[str, ...]]]:
        yield from zip(PROBES, self.driver.probes.last_words(number), strict=True)

    async def _last_words(self) -> None:
        """Let all clients say what they have to say at last, at the members of the core."""
        clients = [name for name in self.driver.sessions if name not in PROBES]
        await asyncio.gather(*map(self._end_client, clients))

    async def _end_client(self, client: str) -> None:
        number = int(client[1:])
        for words in self.workload.last_words(number):
            turn, pause = number, POLL_SECONDS
            while not await self._ask(client, self.core[turn % len(self.core)], words, LAST_PATIENCE):
                self._stop_if_broken()
                await asyncio.sleep(pause)
                turn, pause = turn + 1, min(2 * pause, LONGEST_POLL_SECONDS)

    async def _ask(self, client: str, member: Member, words: tuple[str, ...], patience: float = 0.0) -> bool:
        session = self.driver.sessions.get(client) or self.driver.new_session(client)
        operation = Operation(self.loop.now, client, member.name, words)
        return await self.driver.request(session, operation, patience)

    def _agrees(self) -> bool:
        """Whether one member leads and all of the core follow it."""
        nodes = [member.node for member in self.core]
        if any(node is None for node in nodes):
            return False
        states = [node.status() for node in nodes if node is not None]
        leaders = [state.node_id for state in states if state.role is Role.LEADER]
        return len(leaders) == 1 and all(state.leader == leaders[0] for state in states)

    def _idle(self) -> bool:
        """Whether all of the core have applied the same log to its end."""
        states = [member.node.status() for member in self.core if member.node is not None]
        marks = {(state.log.last_index, state.commit_index, state.applied_index) for state in states}
        return len(marks) == 1 and len(set(next(iter(marks)))) == 1

    def _why_not(self) -> str:
        parts = []
        for member in self.core:
            if member.node is None:
                parts.append(f"{member.name} is not up {member.gone}")
                continue
            state = member.node.status()
            parts.append(
                f"{member.name} is {state.role.value} of n{state.leader} in term {state.term}, log to "
                f"{state.log.last_index}, commit {state.commit_index}, applied {state.applied_index}"
            )
        return "; ".join(parts)

    # ---------------------------------------------------------------- checks

    def _final_checks(self) -> None:
        replay = self._replay_all()
        nodes = {member.name: member.node for member in self._last_up() if member.node is not None}
        count = int(self.scenario.options.get("snapshot-count", "100000"))
        if (wrong := self._wrong_answers(replay)) is not None:
            raise wrong
        self._demand("snapshot content", lambda: self.snapshots.compare(replay.snapshots))
        for name, node in nodes.items():
            known = self._replay_to(node.applied_index) if self.result.note else replay
            self._demand("equal content", partial(checks.equal_content, {name: node}, known))
            self._demand("bounds", partial(checks.bounded, node, count))

    def _replay_all(self) -> checks.Replay:
        ledger = self.world.observer.ledger
        replay = checks.Replay(ledger.committed, ledger.configuration_at)
        self._timed("replay", lambda: replay.run(self.snapshots.taken))
        return replay

    def _wrong_answers(self, replay: checks.Replay) -> Broken | None:
        """Return what contradicts what clients were told."""
        for finding in self._timed("answers", lambda: self._findings(replay.truth)):
            if (found := checks.contradiction(finding)) is not None:
                check, seen = found
                return Broken(check, *seen)
        return None

    def _findings(self, truth: Truth) -> list[Finding]:
        """Check what clients were told; where too few members serve, nobody may have been told anything."""
        known = truth._replace(slack=slack_of(self.scenario))
        found = self.workload.check(known)
        if self.driver.probes is not self.workload:
            found += self.driver.probes.check(known)
        silent = bool(self.result.note)
        return [one for one in found if not (silent and one.verdict.validity is Validity.UNKNOWN)]

    def _last_up(self) -> list[Member]:
        """Return whose content has to be right: the core, or all that are up where they are too few."""
        return self._healed if self.result.note else self.core

    def _replay_to(self, index: int) -> checks.Replay:
        """Return the content at ``index``: where nobody leads, each member is as far as it was."""
        ledger = self.world.observer.ledger
        replay = checks.Replay(ledger.committed[:index], ledger.configuration_at)
        self._timed("replay", replay.run)
        return replay

    def _timed(self, name: str, work: Callable[[], T]) -> T:
        begun = time.perf_counter()
        found = work()
        spent = self.result.check_seconds
        spent[name] = spent.get(name, 0.0) + time.perf_counter() - begun
        return found

    def _demand(self, check: str, work: Callable[[], checks.Seen | str | None]) -> None:
        found = self._timed(check, work)
        if isinstance(found, checks.Seen):
            raise Broken(check, *found)
        if found is not None:
            raise Broken(check, found)

    # ---------------------------------------------------------------- the end

    def _sum_up(self) -> None:
        for member in self.world.members.values():
            self.coverage.look_at_disk(member)
            self.coverage.look_back(member)
        result = self.result
        result.operations = self.driver.operations
        result.completed = self.driver.completed
        result.digest = self.world.digest
        result.simulated = self.loop.now
        result.fault_seconds = self.driver.fault_seconds
        result.marks = dict(sorted(self.world.marks.items()))
        result.messages = dict(sorted(self.world.network.counts.items()))
        result.coverage = dict(sorted(self.coverage.counts.items()))
        result.check_seconds["rules"] = self.world.observer.seconds

    def bury(self) -> None:
        """End what still runs, so that nothing of it is left and no ``finally`` block does anything."""
        for member in self.world.members.values():
            member.disk.crash()
            if member.running is not None:
                self.loop.end(member.running.incarnation)
                self.world.graveyard.append(member.running.incarnation)
        for incarnation in self.world.graveyard:
            bury(incarnation)
