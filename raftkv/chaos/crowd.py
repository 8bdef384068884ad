"""The clients of a run: each does one thing after the other at its node, and all of it is written down."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from random import Random
from typing import Protocol

from raftkv.chaos.client_port import ClientPort
from raftkv.chaos.errors import ChaosError
from raftkv.chaos.http_port import CALL_SECONDS, HttpPort
from raftkv.chaos.record import Done
from raftkv.chaos.system import System
from raftkv.chaos.wire import Seen
from raftkv.checkers.history import Outcome
from raftkv.checkers.verdict import Anomaly, Validity, Verdict
from raftkv.workloads.outcomes import WrongAnswer
from raftkv.workloads.port import Client, Finding, Port, Words, Workload

MODEL = "answers"
"""The name of the check that every response is one to its request."""

LIVENESS = "last words"
"""The name of the check that clients are served again once all faults are over."""

OPERATION_SECONDS = 8.0
"""How long one thing may take, waiting for a lock included; then it is given up, and its outcome unknown."""

PATIENT_SECONDS = 7.5
"""How long every fourth client waits for one answer: etcd's nodes say "timed out" after 7 s, and what they
say then has to be heard by somebody."""

REST_SECONDS = 0.05
LONGEST_REST = 1.0
"""How long a client waits after a failed operation: doubled for each failure in a row, up to this."""

THINKING_SECONDS = 0.004
"""Most that a client waits between two operations: without a pause the clients would take all processors."""

EVERY = 1000
"""The distance between the numbers of one client's processes: an unknown outcome takes one with it."""

LONGEST_ANSWER = 200


class OwnPort(Port, Protocol):
    """A client's port, which also keeps the text of the last error of a call."""

    failure: str


Way = Callable[[str, float], AbstractAsyncContextManager[OwnPort]]
"""Makes a client's port, which asks the node of this name (first) and waits so many seconds for an answer."""


def through(name: str, system: System, clock: Callable[[], float], seen: Seen) -> Way:
    """Return how clients reach the system: ``http``, one node each, or ``client``, raftkv's own client."""
    if name == "http":
        return lambda node, patience: HttpPort(system.client_url(node), clock, patience, seen)

    def by_client(node: str, patience: float) -> ClientPort:
        others = [other for other in system.nodes if other != node]
        return ClientPort([system.client_url(one) for one in (node, *others)], clock, patience, seen)

    return by_client


class Crowd:
    """All clients of a run. ``operations`` is what they did, ``odd`` the answers that were none."""

    def __init__(self, system: System, workload: Workload, way: Way, clock: Callable[[], float]) -> None:
        self.operations: list[Done] = []
        self.odd: list[str] = []
        self.unserved: list[str] = []
        self.system = system
        self.workload = workload
        self.way = way
        self.clock = clock

    async def prepare(self, seconds: float) -> None:
        """Let the workload write what its clients need; raises ``ChaosError``, and what the port raises."""
        try:
            async with asyncio.timeout(seconds), self.way(self.system.nodes[0], CALL_SECONDS) as port:
                await self.workload.prepare(port)
        except TimeoutError:
            raise ChaosError(f"what clients need could not be written in {seconds:g} s") from None
        except WrongAnswer as wrong:
            raise ChaosError(f"what clients need could not be written: {wrong}") from wrong

    async def work(self, count: int, seed: int, until: float) -> None:
        """Let so many clients work until the run's clock says ``until``; then end what they still do."""
        self._count = count
        members = [_Member(self, self.workload.client(number), number) for number in range(count)]
        self._members = members
        tasks = [asyncio.create_task(one.work(Random(f"{seed}/{one.number}"), until)) for one in members]  # noqa: S311
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def last_words(self, seconds: float) -> None:
        """Let each client do what it still has to, until it succeeds; what never does is ``unserved``."""
        until = self.clock() + seconds
        await asyncio.gather(*(one.last_words(until) for one in self._members))

    def findings(self) -> list[Finding]:
        """Return what is wrong whatever the workload is."""
        count = len(self.operations)
        return [
            _finding(MODEL, "wrong answer", self.odd, count),
            _finding(LIVENESS, "liveness", self.unserved, count),
        ]

    def node_of(self, number: int) -> str:
        """Return the node that a client asks now; one that was removed is nobody's."""
        nodes = self.system.nodes
        return nodes[number % len(nodes)]


def _finding(model: str, name: str, texts: list[str], count: int) -> Finding:
    if not texts:
        return Finding(model, Verdict(Validity.VALID, count), count)
    verdict = Verdict(Validity.INVALID, count, texts[0], anomalies=(Anomaly(name, texts[0]),))
    return Finding(model, verdict, count)


def _rest(failures: int) -> float:
    """Return how long to wait after so many failures in a row."""
    return min(REST_SECONDS * 2.0 ** min(failures - 1, 10), LONGEST_REST) if failures else 0.0


class _Member:
    """One client of the crowd, and its connection."""

    def __init__(self, crowd: Crowd, client: Client, number: int) -> None:
        self.number = number
        self._crowd = crowd
        self._client = client
        self._process = number
        self._patience = PATIENT_SECONDS if number % 4 == 1 else CALL_SECONDS

    async def work(self, random: Random, until: float) -> None:
        crowd = self._crowd
        failures = 0
        async with _Connection(crowd, self._patience) as connection:
            while crowd.clock() < until:
                words = crowd.workload.draw(random, self.number)
                node = crowd.node_of(self.number)
                outcome = await self._do(words, node, await connection.to(node))
                failures = 0 if outcome is Outcome.OK else failures + 1
                await asyncio.sleep(random.uniform(0.0, THINKING_SECONDS) + _rest(failures))

    async def last_words(self, until: float) -> None:
        crowd = self._crowd
        async with _Connection(crowd, self._patience) as connection:
            for words in crowd.workload.last_words(self.number):
                attempts = self.number
                while True:
                    node = crowd.node_of(attempts)
                    if await self._do(words, node, await connection.to(node)) is Outcome.OK:
                        break
                    if crowd.clock() >= until:
                        crowd.unserved.append(f"client {self.number}: {' '.join(words)!r} never succeeded")
                        return
                    attempts += 1
                    await asyncio.sleep(REST_SECONDS)

    async def _do(self, words: Words, node: str, port: OwnPort) -> Outcome:
        port.failure, begun, error = "", port.now(), ""
        try:
            async with asyncio.timeout(OPERATION_SECONDS):
                outcome = await self._client.run(words, port)
        except TimeoutError:
            outcome, error = Outcome.UNKNOWN, "given up"
            self._client.give_up(words, begun)
        except WrongAnswer as wrong:
            outcome, error = Outcome.UNKNOWN, str(wrong)
            self._client.give_up(words, begun)
            self._crowd.odd.append(f"{node}: {wrong}")
        except asyncio.CancelledError:
            self._client.give_up(words, begun)
            self._write_down(words, node, begun, Outcome.UNKNOWN, "the run ended")
            raise
        error = error or ("" if outcome is Outcome.OK else port.failure)
        self._write_down(words, node, begun, outcome, error)
        return outcome

    def _write_down(self, words: Words, node: str, begun: float, outcome: Outcome, error: str) -> None:
        ended = None if outcome is Outcome.UNKNOWN else self._crowd.clock()
        answer = self._client.answer() if outcome is Outcome.OK else None
        told = "" if answer is None else str(answer)[:LONGEST_ANSWER]
        name = self._crowd.workload.name
        done = Done(
            begun,
            ended,
            self._process,
            node,
            name,
            " ".join(words),
            outcome.value,
            error[:LONGEST_ANSWER],
            told,
        )
        self._crowd.operations.append(done)
        if outcome is Outcome.UNKNOWN:
            self._process += EVERY


class _Connection:
    """The port to the node that a client asks; another one when that changes."""

    def __init__(self, crowd: Crowd, patience: float) -> None:
        self._crowd = crowd
        self._patience = patience
        self._node = ""
        self._stack = AsyncExitStack()
        self._port: OwnPort | None = None

    async def __aenter__(self) -> "_Connection":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def to(self, node: str) -> OwnPort:
        if self._port is None or node != self._node:
            port = self._crowd.way(node, self._patience)
            await self._stack.aclose()
            self._node, self._port = node, await self._stack.enter_async_context(port)
        assert self._port is not None
        return self._port
