"""One run: a system is started, clients work, faults happen, all is healed, and what was told is checked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple, Protocol

from raftkv.chaos.convergence import converge
from raftkv.chaos.crowd import Crowd, through
from raftkv.chaos.errors import ChaosError
from raftkv.chaos.figures import Wanted, measure, shortcomings
from raftkv.chaos.record import Look, Record, RunVerdict
from raftkv.chaos.system import FaultRecord, System
from raftkv.chaos.truth import FIRST_REVISION, Told, Witness, agreement, as_line, left_out, told_by, truth_of
from raftkv.checkers.registry import MODELS
from raftkv.checkers.verdict import Anomaly, Validity, Verdict
from raftkv.workloads.port import Finding, Truth, Workload

HEALING = "healing"
"""The name of the check that the system is whole again after the last fault."""

WATCHING = "watching"
"""The name of the check that each node in the end has told a watch of all keys everything."""

LEAST_STEP = 1e-7
"""Seconds between two readings of the clock."""

UNTOLD = "nobody told all changes, so answers were only held against each other"
"""Why a run is weak without the whole list of changes."""

CRASHES = "crashes"
"""The name of the check that no node ends by itself."""

LOOK_SECONDS = 0.1
HEAL_SECONDS = 60.0
"""How long a healed system may take to serve every client again, and then to be equal on all nodes."""

PREPARE_SECONDS = 30.0
WITNESS_SECONDS = 60.0
"""The same for what a node holds and a watch of all keys has not told yet."""


class FaultKind(Protocol):
    """One kind of fault that may happen, and its group."""

    @property
    def name(self) -> str:
        """Return its name."""
        ...

    @property
    def group(self) -> str:
        """Return its word of ``--faults``."""
        ...


class Faults(Protocol):
    """What is done to the system: ``Schedule``, or none."""

    @property
    def kinds(self) -> Sequence[FaultKind]:
        """Return the kinds that may happen."""
        ...

    @property
    def records(self) -> Sequence[FaultRecord]:
        """Return what was done so far."""
        ...

    @property
    def active(self) -> Sequence[str]:
        """Return the kinds that are under way now."""
        ...

    async def run(self, seconds: float) -> None:
        """Let faults happen for so long, end them, and wait until the system is whole.

        Raises ``ChaosError`` when that does not come about.
        """
        ...


class Settings(NamedTuple):
    """How a run is made. ``seconds``: of the clients' work; ``through``: http or client."""

    seconds: float
    seed: int
    clients: int
    through: str = "http"


class State(NamedTuple):
    """How far a run is, for people who wait; ``acknowledged``: operations of the last second."""

    phase: str
    time: float
    acknowledged: int
    faults: Sequence[str]
    leader: str


class Clock:
    """The run's clock, in seconds: 0 when the clients begin. Before that it is negative.

    No two calls return the same, so that a client's answer is always before its next call. The time of the
    event loop is not good enough for that: uvloop's has milliseconds.
    """

    def __init__(self) -> None:
        self._zero = perf_counter() + 3600.0
        self._last = -7200.0

    def begin(self) -> None:
        """Begin to count."""
        self._zero = perf_counter()

    def __call__(self) -> float:
        """Return the time."""
        self._last = max(perf_counter() - self._zero, self._last + LEAST_STEP)
        return self._last


@dataclass
class Parts:
    """What a run is made of. ``crashes`` returns the nodes that ended by themselves, and their last words."""

    system: System
    workload: Workload
    faults: Faults
    clock: Clock
    tell: Callable[[State], None]
    crashes: Callable[[], Sequence[tuple[str, str]]] = tuple


class Run:
    """One run, whose ``record`` is there also when it breaks."""

    def __init__(self, parts: Parts, settings: Settings, record: Record) -> None:
        self.record = record
        self._parts = parts
        self._settings = settings
        self._witnesses: dict[str, Witness] = {}
        way = through(settings.through, parts.system, parts.clock, self.seen)
        self._crowd = Crowd(parts.system, parts.workload, way, parts.clock)
        record.operations = self._crowd.operations
        self._phase = "start"

    async def run(self) -> None:
        """Do all of it. Raises what the harness itself can't do; what the system does wrong is a finding."""
        try:
            await self._work()
        except asyncio.CancelledError:
            self.record.error = "it was interrupted"
            raise
        except BaseException as error:
            self.record.error = str(error) or type(error).__name__
            raise
        finally:
            try:
                await self._parts.system.stop()
            finally:
                self._check_all()

    async def _work(self) -> None:
        parts, settings = self._parts, self._settings
        await parts.system.start()
        self.record.facts["version"] = parts.system.version
        self.record.facts["node_names"] = list(parts.system.nodes)
        self._phase = "prepare"
        async with _beside(self._watch_nodes), _beside(self._look):
            await self._crowd.prepare(PREPARE_SECONDS)
            parts.clock.begin()
            self.record.looks.clear()
            async with _beside(self._report):
                self._phase = "run"
                faults = asyncio.create_task(parts.faults.run(settings.seconds))
                try:
                    await self._crowd.work(settings.clients, settings.seed, settings.seconds)
                    self._phase = "heal"
                    await self._healed(faults)
                finally:
                    faults.cancel()
                    await asyncio.gather(faults, return_exceptions=True)
                await self._settle()

    async def _healed(self, faults: "asyncio.Task[None]") -> None:
        """Wait until the system is whole. That it does not become so is a finding."""
        try:
            await faults
        except ChaosError as error:
            self.record.findings.append(found_one(HEALING, "liveness", str(error)))

    async def _settle(self) -> None:
        """Let clients have their last words, nodes become equal, and witnesses see it all."""
        self._phase = "last words"
        await self._crowd.last_words(HEAL_SECONDS)
        self._phase = "converge"
        ends, finding = await converge(self._parts.system, HEAL_SECONDS)
        self.record.ends = ends
        self.record.findings.append(finding)
        if ends and finding.verdict.validity is Validity.VALID:
            await self._hear_witnesses(ends[0].revision)
        self._phase = "check"

    def seen(self) -> int:
        """Return up to which revision some witness has seen everything."""
        return max((one.position for one in self._witnesses.values()), default=0)

    async def _hear_witnesses(self, revision: int) -> None:
        """Wait until all witnesses of nodes that are there have seen all up to a revision.

        All nodes are there and hold it: that one does not tell it is a finding.
        """
        until = self._parts.clock() + WITNESS_SECONDS
        while late := self._late_witnesses(revision):
            if self._parts.clock() >= until:
                text = f"{WITNESS_SECONDS:g} s after all nodes held revision {revision}: {'; '.join(late)}"
                self.record.findings.append(found_one(WATCHING, "liveness", text))
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _late_witnesses(self, revision: int) -> list[str]:
        """Say which nodes have not told their witnesses all up to a revision."""
        found = {name: self._witnesses.get(name) for name in self._parts.system.nodes}
        heard = {name: one.position if one is not None else 0 for name, one in found.items()}
        return [
            f"a watch at {name} was told all up to {position}"
            for name, position in heard.items()
            if position < revision
        ]

    # ---------------------------------------------------------------- beside the work

    async def _watch_nodes(self) -> None:
        """Keep a witness at each node there is."""
        system, tasks = self._parts.system, dict[str, asyncio.Task[None]]()
        try:
            while True:
                for task in tasks.values():
                    if task.done():
                        task.result()  # a witness goes on for ever, so it broke
                for name in [name for name in tasks if name not in system.nodes]:
                    tasks.pop(name).cancel()
                for name in [name for name in system.nodes if name not in tasks]:
                    witness = self._witnesses.setdefault(name, Witness(name))
                    tasks[name] = asyncio.create_task(witness.watch(_url_of(system, name)))
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _look(self) -> None:
        """Look at the nodes ten times a second."""
        clock, looks = self._parts.clock, self.record.looks
        while True:
            begun = clock()
            nodes = await self._parts.system.look()
            looks.append(Look(begun, tuple(nodes)))
            await asyncio.sleep(max(0.0, LOOK_SECONDS - (clock() - begun)))

    async def _report(self) -> None:
        """Tell once a second how far it is."""
        told = 0
        while True:
            await asyncio.sleep(1.0)
            new = self._crowd.operations[told:]
            told += len(new)
            acknowledged = sum(one.outcome == "ok" for one in new)
            leader = self.record.looks[-1].nodes if self.record.looks else ()
            names = [node.name for node in leader if node.role == "leader"]
            active = tuple(self._parts.faults.active)
            self._parts.tell(
                State(self._phase, self._parts.clock(), acknowledged, active, " ".join(names) or "nobody")
            )

    # ---------------------------------------------------------------- the verdict

    def _check_all(self) -> None:
        """Check what is there; what breaks in that is why the run has no verdict."""
        try:
            self._check()
        except BaseException as error:
            self.record.error = f"the check broke: {error!r}"
            self.record.verdict = RunVerdict.ERROR
            raise

    def _check(self) -> None:
        """Check what is there; after a run that broke, as far as it came."""
        record, workload = self.record, self._parts.workload
        told = told_by({name: one.seen for name, one in self._witnesses.items()})
        odd = [text for one in self._witnesses.values() for text in one.odd]
        odd += left_out(self._witnesses.values())
        truth, crashes = self._truth(told), self._parts.crashes()
        record.operations.sort(key=lambda done: done.call)
        record.faults = list(self._parts.faults.records)
        record.changes = [as_line(one) for one in told]
        record.histories = workload.histories(truth)
        record.findings = [
            *workload.check(truth),
            agreement(told, odd),
            *self._crowd.findings(),
            *(found_one(CRASHES, "crash", f"{name} ended by itself:\n{end}") for name, end in crashes[:1]),
            *record.findings,
        ]
        judge(record, self.wanted())

    def _truth(self, told: Sequence[Told]) -> Truth | None:
        """Return the list of changes if it is whole: up to where the nodes ended, without a hole."""
        truth = truth_of(told)
        last = self.record.ends[0].revision if self.record.ends else 0
        known = truth.changes[-1].revision if truth is not None and truth.changes else FIRST_REVISION
        if truth is None or not last or known < last:
            self.record.reasons.append(UNTOLD)
            return None
        return truth._replace(compacted=max(end.compact_revision for end in self.record.ends))

    def wanted(self) -> Wanted:
        """Return what the figures are held against."""
        kinds = tuple((kind.name, kind.group) for kind in self._parts.faults.kinds)
        return Wanted(kinds, self._settings.seconds, self._parts.workload.name)


def found_one(model: str, name: str, text: str) -> Finding:
    """Return what is wrong with a system, where it is one thing and of no history."""
    return Finding(model, Verdict(Validity.INVALID, 1, text, anomalies=(Anomaly(name, text),)), 1)


def _url_of(system: System, name: str) -> Callable[[], str]:
    return lambda: system.direct_url(name)


def judge(record: Record, wanted: Wanted) -> None:
    """Put figures, reasons and verdict into a record that has its findings."""
    figures = measure(record.operations, record.looks, record.faults, wanted)
    record.figures = figures.as_object()
    record.reasons += shortcomings(figures, wanted)
    record.reasons += unchecked(record.findings)
    record.reasons += [
        f"{one.model}: the check found no answer: {one.verdict.reason}"
        for one in record.findings
        if one.verdict.validity is Validity.UNKNOWN
    ]
    record.verdict = verdict_of(record.findings, record.error, record.reasons)


def unchecked(findings: Sequence[Finding]) -> list[str]:
    """Say which history there was nothing in to check: an empty one is right whatever the system does."""
    of_histories = [one for one in findings if one.model in MODELS]
    if not of_histories:
        return ["no history of what clients were told was checked"]
    return [f"{one.model}: there was nothing to check" for one in of_histories if not one.operations]


def verdict_of(findings: Sequence[Finding], error: str, reasons: Sequence[str]) -> RunVerdict:
    """Return how a run ended: what was found counts more than that it broke off."""
    if any(one.verdict.validity is Validity.INVALID for one in findings):
        return RunVerdict.FAILED
    if error:
        return RunVerdict.ERROR
    return RunVerdict.WEAK if reasons else RunVerdict.PASSED


@asynccontextmanager
async def _beside(work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Let something go on while a block runs. What breaks in it breaks the block."""
    block = asyncio.current_task()
    assert block is not None
    broken: list[BaseException] = []

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            broken.append(error)
            block.cancel()

    task = asyncio.ensure_future(work())
    task.add_done_callback(ended)
    try:
        yield
    except asyncio.CancelledError:
        if broken:
            raise ChaosError(f"the harness broke: {broken[0]!r}") from broken[0]
        raise
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
