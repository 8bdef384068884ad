"""Candidates, leaders and observers of one election (model ``election``).

====================  ===================================================
``campaign V TTL``    stand with a proposal and a new lease, until elected
``proclaim V``        replace the proposal, while this client leads
``keep``              keep the lease alive
``resign``            give leadership up, and the lease
``leader``            ask who leads
``observe SECONDS``   follow who leads
====================  ===================================================
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Any

from raftkv.checkers.election import ElectionRun
from raftkv.checkers.election_checks import check_elections
from raftkv.checkers.history import Outcome
from raftkv.checkers.run_files import write_elections
from raftkv.client.outcome import Refused
from raftkv.errors import ConfigError, ElectionNoLeader, ElectionNotLeader, RaftKvError
from raftkv.schema.election import (
    CampaignRequest,
    CampaignResponse,
    LeaderKey,
    LeaderRequest,
    LeaderResponse,
    ProclaimRequest,
    ProclaimResponse,
    ResignRequest,
    ResignResponse,
)
from raftkv.schema.kv import KeyValue
from raftkv.schema.lease import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseRevokeRequest,
)
from raftkv.workloads.messages import clear, only, revision_of, token_of
from raftkv.workloads.outcomes import WrongAnswer, is_definite, left_nothing
from raftkv.workloads.port import Finding, Port, Truth, Words
from raftkv.workloads.record import Group, Recorder, Request

NAME = b"election"

LONGEST_TTL = 3


class ElectionClient(Recorder):
    """One client: a candidate, a leader, or somebody who looks on."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self._leads: LeaderKey | None = None

    async def run(self, words: Words, port: Port) -> Outcome:
        """See ``Client``."""
        try:
            match words:
                case ("campaign", value, ttl):
                    return await self._campaign(value.encode(), int(ttl), port)
                case ("proclaim", value):
                    return await self._proclaim(value.encode(), port)
                case ("keep",):
                    return await self._keep(port)
                case ("resign",):
                    return await self._resign(port)
                case ("leader",):
                    return await self._leader(port)
                case ("observe", seconds):
                    return await self._observe(float(seconds), port)
        except RaftKvError as error:  # of what decides nothing
            return Outcome.FAIL if is_definite(error) else Outcome.UNKNOWN
        raise ConfigError(f"no client can do {' '.join(words)!r}")

    async def _campaign(self, value: bytes, ttl: int, port: Port) -> Outcome:
        """Stand for election, and look at the key again once elected.

        As etcd's, a campaign also ends when its own key is gone, with its lease, before it ever led.
        """
        await self._resign(port)
        begun = port.now()
        granted = only(LeaseGrantResponse, await port.call(LeaseGrantRequest(TTL=ttl)))
        request = ("campaign", NAME, value)
        self._sent, self._told = request, None
        try:
            answer = only(CampaignResponse, await port.call(CampaignRequest(NAME, granted.ID, value)))
        except RaftKvError as error:
            outcome = Outcome.FAIL if left_nothing(error) else Outcome.UNKNOWN
            return self.write_down(request, begun, port.now(), None, outcome)
        leader = answer.leader
        if leader is None:
            raise WrongAnswer(f"elected without a key: {answer}")
        token = await token_of(port, leader.key)
        if token != leader.rev:
            return self.write_down(request, begun, port.now(), None, Outcome.UNKNOWN)
        self._leads = leader
        return self.write_down(request, begun, port.now(), (leader.key, leader.rev), Outcome.OK)

    async def _proclaim(self, value: bytes, port: Port) -> Outcome:
        if self._leads is None:
            return Outcome.FAIL
        leader = self._leads
        request, message = ("proclaim", NAME, leader.rev, value), ProclaimRequest(leader, value)
        outcome = await self._ask(port, request, message, _proclaimed)
        if self._told == NOT_LEADER:
            self._leads = None
        return outcome

    async def _keep(self, port: Port) -> Outcome:
        if self._leads is None:
            return Outcome.FAIL
        answer = await port.call(LeaseKeepAliveRequest(ID=self._leads.lease))
        if only(LeaseKeepAliveResponse, answer).TTL <= 0:
            self._leads = None
        return Outcome.OK

    async def _resign(self, port: Port) -> Outcome:
        leader, self._leads = self._leads, None
        if leader is None:
            return Outcome.OK
        outcome = await self._ask(port, ("resign", NAME, leader.rev), ResignRequest(leader), _resigned)
        if outcome is Outcome.OK:
            with suppress(RaftKvError):  # it ends by itself as well
                await port.call(LeaseRevokeRequest(ID=leader.lease))
        return outcome

    async def _leader(self, port: Port) -> Outcome:
        return await self._ask(port, ("leader", NAME), LeaderRequest(NAME), _led)

    async def _ask(self, port: Port, request: Request, message: Any, read: Any) -> Outcome:
        """Ask something of which an error may be an answer."""
        begun = port.now()
        self._sent, self._told = request, None
        try:
            output = read(await port.call(message))
        except RaftKvError as error:
            output = _told_by(error)
            if output is None:
                outcome = Outcome.FAIL if is_definite(error) else Outcome.UNKNOWN
                return self.write_down(request, begun, port.now(), None, outcome)
        return self.write_down(request, begun, port.now(), output, Outcome.OK)

    async def _observe(self, seconds: float, port: Port) -> Outcome:
        """Follow the leaders for some time, and write down what came, however the stream ended.

        A stream that was not there before the time was over is no answer.
        """
        begun, seen, outcome = port.now(), [], Outcome.UNKNOWN
        try:
            async with asyncio.timeout(seconds), port.observe(LeaderRequest(NAME)) as leaders:
                outcome = Outcome.OK
                async for answer in leaders:
                    seen.append(_kv(only(LeaderResponse, answer).kv))
        except TimeoutError:
            pass
        except RaftKvError as error:
            if not seen:
                outcome = Outcome.FAIL if is_definite(error) else Outcome.UNKNOWN
        if outcome is Outcome.OK:
            return self.write_down(("observe", NAME), begun, port.now(), tuple(seen), Outcome.OK)
        return outcome


NOT_LEADER = (0, False)
NO_LEADER = (0, None)


def _told_by(error: RaftKvError) -> tuple[Any, ...] | None:
    """Return the answer that an error is; None: it is none."""
    text = str(error) if isinstance(error, Refused) else ""
    if isinstance(error, ElectionNotLeader) or text == "election: not leader":
        return NOT_LEADER
    if isinstance(error, ElectionNoLeader) or text == "election: no leader":
        return NO_LEADER
    return None


def _proclaimed(response: Any) -> tuple[Any, ...]:
    return revision_of(only(ProclaimResponse, response)), True


def _resigned(response: Any) -> tuple[Any, ...]:
    return (revision_of(only(ResignResponse, response)),)


def _led(response: Any) -> tuple[Any, ...]:
    return revision_of(response), _kv(only(LeaderResponse, response).kv)


def _kv(kv: KeyValue | None) -> tuple[bytes, int, int, bytes]:
    if kv is None:
        raise WrongAnswer("a leader without a key")
    return kv.key, kv.create_revision, kv.mod_revision, kv.value


class ElectionWorkload(Group[ElectionClient]):
    """Clients of one election: two of three stand for it, the others look on."""

    name = "election"

    def __init__(self, clients: int, *, seconds: float = 1.0) -> None:
        super().__init__(clients, ElectionClient)
        self._seconds = seconds
        self._drawn = 0
        self._left: dict[int, int] = {}

    @staticmethod
    def drawn(clients: int, random: Random) -> "ElectionWorkload":
        """Make one with choices of its own."""
        return ElectionWorkload(clients, seconds=random.choice((0.2, 1.0, 2.0)))

    def draw(self, random: Random, number: int) -> Words:
        """See ``Workload``."""
        self._drawn += 1
        value, left = f"c{number}.{self._drawn}", self._left.get(number, 0)
        if number % 3 == 2 or (left == 0 and random.random() < 0.3):
            if random.random() < 0.7:
                return ("leader",)
            return ("observe", f"{round(random.uniform(0.05, self._seconds), 3):g}")
        if left == 0:
            self._left[number] = random.randint(1, 5)
            return ("campaign", value, str(random.randint(1, LONGEST_TTL)))
        self._left[number] = left - 1
        if left == 1:
            return ("resign",) if random.random() < 0.8 else ("keep",)
        return ("keep",) if random.random() < 0.25 else ("proclaim", value)

    async def prepare(self, port: Port) -> None:
        """See ``Workload``: begin without candidates."""
        await clear(port, NAME.decode())

    def last_words(self, number: int) -> Sequence[Words]:
        """See ``Workload``."""
        return [("resign",)]

    def check(self, truth: Truth | None) -> list[Finding]:
        """See ``Workload``."""
        run = self._run(truth)
        return [Finding(self.name, check_elections(run), len(run.operations))]

    def histories(self, truth: Truth | None = None) -> dict[str, Sequence[str]]:
        """See ``Workload``."""
        return {self.name: list(write_elections(self._run(truth)))}

    def _run(self, truth: Truth | None) -> ElectionRun:
        return ElectionRun(self.written_down(), truth.changes if truth is not None else None)
