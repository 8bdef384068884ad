"""A port that lies is found out: each lie is one that a broken store would tell."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from raftkv.checkers import Validity
from raftkv.client.outcome import OutcomeUnknown
from raftkv.errors import ProposalDropped
from raftkv.schema.election import CampaignRequest, CampaignResponse, LeaderKey, LeaderResponse
from raftkv.schema.kv import (
    DeleteRangeRequest,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    TxnRequest,
    TxnResponse,
)
from raftkv.schema.lease import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseKeepAliveRequest,
    LeaseRevokeRequest,
)
from raftkv.schema.lock import LockRequest, LockResponse
from raftkv.schema.watch import WatchCreateRequest, WatchResponse
from raftkv.workloads import NAMES
from raftkv.workloads.lock import LockWorkload
from raftkv.workloads.port import Port
from tests.workloads.playing import Lens, play


def writes(message: Any) -> bool:
    """Whether a request changes something."""
    puts = (PutRequest, DeleteRangeRequest)
    if isinstance(message, TxnRequest):
        return any(one.request_put or one.request_delete_range for one in message.success)
    return isinstance(message, puts)


class Now(Lens):
    """Lies from the n-th request of a kind on, ``every`` so often."""

    every = 5

    def __init__(self, port: Port) -> None:
        super().__init__(port)
        self.count = 0

    def turn(self) -> bool:
        self.count += 1
        return self.count % self.every == 0


class LostWrites(Now):
    """Acknowledges writes that it does not pass on: as an earlier one was answered."""

    last: Any = None

    async def call(self, message: Any) -> Any:
        if writes(message):
            if self.turn() and self.last is not None and self.fits(message):
                return self.last[1]
            answer = await self.port.call(message)
            if not isinstance(answer, TxnResponse) or answer.succeeded:
                self.last = message, answer
            return answer
        return await self.port.call(message)

    def fits(self, message: Any) -> bool:
        """Whether the answer before has the shape of one to this."""
        before = self.last[0]
        if type(before) is not type(message) or not isinstance(message, TxnRequest):
            return type(before) is type(message)

        def shape(one: TxnRequest) -> list[tuple[bool, bool]]:
            return [(op.request_put is None, op.request_range is None) for op in one.success]

        return shape(before) == shape(message)


class StaleReads(Now):
    """Answers reads as it did some time ago."""

    every = 3

    def __init__(self, port: Port) -> None:
        super().__init__(port)
        self.answers: dict[str, Any] = {}

    async def call(self, message: Any) -> Any:
        reads = isinstance(message, RangeRequest) or (isinstance(message, TxnRequest) and not writes(message))
        if not reads:
            return await self.port.call(message)
        key = repr(message)
        if self.turn() and key in self.answers:
            return self.answers[key]
        answer = await self.port.call(message)
        if self.count % 7 == 1 or key not in self.answers:
            self.answers[key] = answer
        return answer


class DoneTwice(Now):
    """Passes writes without a guard on twice, and what was said to have failed as well."""

    async def call(self, message: Any) -> Any:
        answer = await self.port.call(message)
        if isinstance(message, PutRequest) and self.turn():
            await self.port.sleep(0.02)
            await self.port.call(message)
        return answer


class FalseFailures(Now):
    """Says of writes that they certainly had no effect, though they had."""

    every = 3

    async def call(self, message: Any) -> Any:
        answer = await self.port.call(message)
        if writes(message) and self.turn():
            raise ProposalDropped("it was not")
        return answer


class Unguarded(Lens):
    """Ignores the guards of txns."""

    async def call(self, message: Any) -> Any:
        if isinstance(message, TxnRequest) and writes(message):
            await self.port.sleep(0.005)
            message = replace(message, compare=[])
        return await self.port.call(message)


class TornReads(Lens):
    """Reads the keys of a txn, and of a range, one after the other."""

    async def call(self, message: Any) -> Any:
        if isinstance(message, TxnRequest) and not writes(message) and len(message.success) > 1:
            first = await self.port.call(replace(message, success=message.success[:1]))
            await self.port.sleep(0.01)
            rest = await self.port.call(replace(message, success=message.success[1:]))
            return replace(rest, responses=[*first.responses, *rest.responses])
        if isinstance(message, RangeRequest) and message.range_end:
            first = await self.port.call(message)
            await self.port.sleep(0.01)
            second = await self.port.call(message)
            half = len(first.kvs) // 2
            return replace(second, kvs=[*first.kvs[:half], *second.kvs[half:]])
        return await self.port.call(message)


def is_found(name: str, lie: Callable[[Port], Port], seeds: tuple[int, ...] = (1, 2, 3), **how: int) -> bool:
    """Whether one of some runs is invalid; most are."""
    runs = (play(name, bend=lie, seed=seed, **how) for seed in seeds)
    return any(run.validity() is Validity.INVALID for run in runs)


@pytest.mark.parametrize(
    ("name", "lie"),
    [
        ("kv", LostWrites),
        ("kv", StaleReads),
        ("kv", FalseFailures),
        ("kv", DoneTwice),
        ("kv", Unguarded),
        ("kv", TornReads),
        ("register", LostWrites),
        ("register", StaleReads),
        ("register", FalseFailures),
        ("register", Unguarded),
        ("append", LostWrites),
        ("append", StaleReads),
        ("append", FalseFailures),
        ("append", Unguarded),
        ("append", TornReads),
        ("set", LostWrites),
        ("set", StaleReads),
        ("set", FalseFailures),
        ("bank", Unguarded),
        ("bank", TornReads),
        ("counter", LostWrites),
        ("counter", StaleReads),
        ("counter", FalseFailures),
        ("counter", Unguarded),
    ],
)
def test_a_lie_is_found(name: str, lie: Callable[[Port], Port]) -> None:
    assert is_found(name, lie)


@pytest.mark.parametrize("lie", [LostWrites, StaleReads, Unguarded])
def test_a_lie_is_found_in_a_mixed_run(lie: Callable[[Port], Port]) -> None:
    assert is_found("mixed", lie, clients=12, words=30)


@pytest.mark.parametrize("lie", [StaleReads, LostWrites, FalseFailures])
def test_the_keys_of_a_mixed_run_are_held_against_revisions_that_others_made(
    lie: Callable[[Port], Port],
) -> None:
    """The answers to its own keys alone are bent, and its own check says so."""

    class KeysOnly(lie):  # type: ignore[misc, valid-type]
        async def call(self, message: Any) -> Any:
            if "key=b'k" in repr(message):
                return await super().call(message)
            return await self.port.call(message)

    wrong = set()
    for seed in (1, 2, 3):
        one = play("mixed", bend=KeysOnly, seed=seed, clients=12, words=40)
        wrong |= {f.model for f in one.findings() if f.verdict.validity is Validity.INVALID}
    assert wrong == {"mvcc-kv"}


def test_without_the_list_of_changes_the_keys_of_a_mixed_run_are_never_passed() -> None:
    found = {finding.model: finding.verdict for finding in play("mixed", clients=12).workload.check(None)}
    assert found["mvcc-kv"].validity is Validity.UNKNOWN
    assert found["watch"].validity is Validity.UNKNOWN
    assert found["bank"].validity is Validity.VALID


# ---------------------------------------------------------------- unknown outcomes


class Doubtful(Now):
    """Says of some requests that nobody knows, some of which were done."""

    every = 4

    async def call(self, message: Any) -> Any:
        if not self.turn():
            return await self.port.call(message)
        if self.count % 8 == 0:
            await self.port.call(message)
        raise OutcomeUnknown("the connection is lost")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "unfenced"])
def test_what_nobody_knows_is_no_contradiction(name: str) -> None:
    found = play(name, bend=Doubtful)
    assert found.validity() is Validity.VALID, found.explained()


# ---------------------------------------------------------------- watches


class BentWatch(Lens):
    """Bends what watches bring."""

    async def bent(self, responses: AsyncIterator[WatchResponse]) -> AsyncIterator[WatchResponse]:
        raise NotImplementedError
        yield

    @asynccontextmanager
    async def watch(self, request: WatchCreateRequest) -> AsyncIterator[AsyncIterator[WatchResponse]]:
        async with self.port.watch(request) as responses:
            yield self.bent(responses)


class DoubledEvents(BentWatch):
    async def bent(self, responses: AsyncIterator[WatchResponse]) -> AsyncIterator[WatchResponse]:
        async for one in responses:
            yield one
            if len(one.events) == 1:
                yield one


class LostEvents(BentWatch):
    async def bent(self, responses: AsyncIterator[WatchResponse]) -> AsyncIterator[WatchResponse]:
        count = 0
        async for one in responses:
            count += bool(one.events)
            if not one.events or count % 3:
                yield one


class SplitRevisions(BentWatch):
    async def bent(self, responses: AsyncIterator[WatchResponse]) -> AsyncIterator[WatchResponse]:
        async for one in responses:
            for at in range(len(one.events)):
                yield replace(one, events=one.events[at : at + 1])
            if not one.events:
                yield one


class EarlyNotes(BentWatch):
    async def bent(self, responses: AsyncIterator[WatchResponse]) -> AsyncIterator[WatchResponse]:
        async for one in responses:
            if one.events:
                yield replace(one, events=[])
            yield one


class WrongPairsBefore(BentWatch):
    async def bent(self, responses: AsyncIterator[WatchResponse]) -> AsyncIterator[WatchResponse]:
        async for one in responses:
            yield replace(one, events=[replace(event, prev_kv=event.kv) for event in one.events])


class DeafWatch(BentWatch):
    """Brings what is there, and nothing that comes later."""

    async def bent(self, responses: AsyncIterator[WatchResponse]) -> AsyncIterator[WatchResponse]:
        async for one in responses:
            if one.created:
                yield one


@pytest.mark.parametrize(
    ("lie", "names"),
    [
        (DoubledEvents, {"unique"}),
        (LostEvents, {"reliable", "resumable", "bookmarkable"}),
        (SplitRevisions, {"atomic"}),
        (EarlyNotes, {"bookmarkable"}),
        (WrongPairsBefore, {"prev_kv"}),
        (DeafWatch, {"converged"}),
    ],
)
def test_a_bent_watch_is_found(lie: Callable[[Port], Port], names: set[str]) -> None:
    found = play("watch", bend=lie, words=30)
    assert found.anomalies() & names, found.explained()


# ---------------------------------------------------------------- leases, locks, elections


class EndsLeases(Lens):
    """Ends a lease half way."""

    async def call(self, message: Any) -> Any:
        answer = await self.port.call(message)
        if isinstance(message, LeaseKeepAliveRequest) and message.ID % 3 == 0:
            await self.port.call(LeaseRevokeRequest(ID=message.ID))
        return answer


class LongLeases(Lens):
    """Gives more time than it says."""

    async def call(self, message: Any) -> Any:
        if isinstance(message, LeaseGrantRequest):
            answer: LeaseGrantResponse = await self.port.call(replace(message, TTL=600))
            return replace(answer, TTL=message.TTL)
        return await self.port.call(message)


class LooseLock(Lens):
    """Gives the lock to everybody at once."""

    async def call(self, message: Any) -> Any:
        if not isinstance(message, LockRequest):
            return await self.port.call(message)
        key = message.name + b"/%x" % message.lease
        put = await self.port.call(PutRequest(key=key, lease=message.lease))
        return LockResponse(put.header, key)


class LooseElection(Lens):
    """Elects everybody at once."""

    async def call(self, message: Any) -> Any:
        if not isinstance(message, CampaignRequest):
            return await self.port.call(message)
        key = message.name + b"/%x" % message.lease
        put = await self.port.call(PutRequest(key=key, value=message.value, lease=message.lease))
        return CampaignResponse(put.header, LeaderKey(message.name, key, put.header.revision, message.lease))


class OldLeaders(StaleReads):
    """Says who led some time ago."""

    async def call(self, message: Any) -> Any:
        answer = await self.port.call(message)
        if isinstance(answer, LeaderResponse):
            if self.turn() and "led" in self.answers:
                return replace(answer, kv=self.answers["led"])
            self.answers.setdefault("led", answer.kv)
        return answer


@pytest.mark.parametrize(
    ("name", "lie"),
    [
        ("lease", EndsLeases),
        ("lease", LongLeases),
        ("lease", StaleReads),
        ("lease", LostWrites),
        ("lock", LooseLock),
        ("election", LooseElection),
        ("election", OldLeaders),
    ],
)
def test_what_leases_stand_for_is_seen_to(name: str, lie: Callable[[Port], Port]) -> None:
    assert is_found(name, lie)


def test_a_lock_whose_guards_are_ignored_is_found() -> None:
    found = play(LockWorkload(4, longest_pause=5.0), bend=Unguarded, words=30)
    assert found.validity() is Validity.INVALID, found.explained()


class Confused(Now):
    """Does what it is asked for, and answers some requests with what is no answer to them."""

    every = 4

    async def call(self, message: Any) -> Any:
        answer = await self.port.call(message)
        if not self.turn():
            return answer
        return PutResponse(header=answer.header) if isinstance(answer, RangeResponse) else RangeResponse()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "unfenced"])
def test_what_was_answered_by_no_answer_may_have_happened(name: str) -> None:
    found = play(name, bend=Confused)
    assert found.odd
    assert found.validity() is Validity.VALID, found.explained()
