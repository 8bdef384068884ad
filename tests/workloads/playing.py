"""A workload played against a simulated cluster without faults, by way of ports that may lie."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from random import Random
from typing import Any

from raftkv.checkers import Validity
from raftkv.checkers.history import Outcome
from raftkv.schema.election import LeaderRequest, LeaderResponse
from raftkv.schema.watch import WatchCreateRequest, WatchResponse
from raftkv.sim.checks import Replay
from raftkv.sim.port import SimPort
from raftkv.sim.scenario import Scenario
from raftkv.workloads import make
from raftkv.workloads.outcomes import WrongAnswer
from raftkv.workloads.port import Finding, Port, Truth, Words, Workload
from tests.sim.stage import Stage


class Lens:
    """A port that passes everything on; a test bends it."""

    def __init__(self, port: Port) -> None:
        self.port = port

    def now(self) -> float:
        return self.port.now()

    async def sleep(self, seconds: float) -> None:
        await self.port.sleep(seconds)

    async def call(self, message: Any) -> Any:
        return await self.port.call(message)

    def watch(self, request: WatchCreateRequest) -> AbstractAsyncContextManager[AsyncIterator[WatchResponse]]:
        return self.port.watch(request)

    def observe(self, request: LeaderRequest) -> AbstractAsyncContextManager[AsyncIterator[LeaderResponse]]:
        return self.port.observe(request)


class Played:
    """What came of it. ``said``: the words of each client, in order, with their outcome.

    ``odd``: answers that were none to their request.
    """

    def __init__(
        self, workload: Workload, truth: Truth, said: list[tuple[int, Words, Outcome]], odd: list[str]
    ) -> None:
        self.workload = workload
        self.truth = truth
        self.said = said
        self.odd = odd

    def findings(self) -> list[Finding]:
        return self.workload.check(self.truth)

    def validity(self) -> Validity:
        found = [finding.verdict.validity for finding in self.findings()]
        bad = [one for one in found if one is not Validity.VALID]
        return bad[0] if bad else Validity.VALID

    def anomalies(self) -> set[str]:
        return {one.name for finding in self.findings() for one in finding.verdict.anomalies}

    def explained(self) -> str:
        return "; ".join(str(finding.verdict)[:600] for finding in self.findings())


def play(
    workload: str | Workload,
    *,
    seed: int = 1,
    clients: int = 4,
    words: int = 40,
    bend: Callable[[Port], Port] = lambda port: port,
    patience: float = 5.0,
    last: bool = True,
) -> Played:
    """Let clients do ``words`` things each, and their last words; all against three members."""
    stage = Stage(Scenario(seed=seed))
    try:
        stage.leader()
        if isinstance(workload, str):
            workload = make(workload, clients=clients, random=Random(f"{seed}:make"))
        said: list[tuple[int, Words, Outcome]] = []
        work = _Play(stage, workload, said, bend, patience)
        stage.loop.run_until_complete(work.all(seed, clients, words, last=last))
        ledger = stage.world.observer.ledger
        replay = Replay(ledger.committed, ledger.configuration_at)
        replay.run()
        return Played(workload, replay.truth, said, work.odd)
    finally:
        stage.close()


class _Play:
    def __init__(
        self,
        stage: Stage,
        workload: Workload,
        said: list[tuple[int, Words, Outcome]],
        bend: Callable[[Port], Port],
        patience: float,
    ) -> None:
        self._stage = stage
        self._workload = workload
        self._said = said
        self._bend = bend
        self._patience = patience
        self.odd: list[str] = []

    async def all(self, seed: int, clients: int, words: int, *, last: bool) -> None:
        await self._workload.prepare(SimPort(self._stage.world, self._stage.member(1)))
        made = [self._workload.client(number) for number in range(clients)]
        ports = [
            self._bend(SimPort(self._stage.world, self._stage.member(1 + number % 3)))
            for number in range(clients)
        ]
        drawing = Random(f"{seed}:draw")
        plans = [[self._workload.draw(drawing, number) for _ in range(words)] for number in range(clients)]

        async def live(number: int) -> None:
            pause = Random(f"{seed}:{number}")
            for one in plans[number]:
                await ports[number].sleep(pause.uniform(0, 0.05))
                await self._do(number, made[number], one, ports[number])

        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(live(number))
        if last:
            for number in range(clients):
                for one in self._workload.last_words(number):
                    attempts = 5
                    while attempts and not await self._do(number, made[number], one, ports[number]):
                        attempts -= 1

    async def _do(self, number: int, client: Any, words: Words, port: Port) -> bool:
        begun = port.now()
        try:
            async with asyncio.timeout(self._patience + 10.0):
                outcome = await client.run(words, port)
        except (TimeoutError, WrongAnswer) as error:
            client.give_up(words, begun)
            outcome = Outcome.UNKNOWN
            if isinstance(error, WrongAnswer):
                self.odd.append(str(error))
        self._said.append((number, words, outcome))
        return outcome is Outcome.OK
