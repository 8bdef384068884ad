"""What becomes of streams that break: a watch that was there is no operation of which nobody knows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from raftkv.checkers.history import Outcome
from raftkv.client.outcome import OutcomeUnknown
from raftkv.errors import NoLeader, RaftKvError
from raftkv.schema.election import LeaderRequest, LeaderResponse
from raftkv.schema.kv import KeyValue, ResponseHeader
from raftkv.schema.watch import WatchCreateRequest, WatchResponse
from raftkv.workloads.compactions import Compactions
from raftkv.workloads.election import ElectionClient
from raftkv.workloads.outcomes import NotSent
from raftkv.workloads.port import Words
from raftkv.workloads.watch import WatchClient

HEADER = ResponseHeader(revision=7)
CREATED = WatchResponse(HEADER, created=True)
LEADER = LeaderResponse(HEADER, KeyValue(key=b"election/1", create_revision=5, mod_revision=5, value=b"v"))
LOST = OutcomeUnknown("the connection is lost")
WATCH = ("watch", "w1", "now", "0.05")
OBSERVE = ("observe", "0.05")


class Streams:
    """A port whose streams do not open, or bring something and then break or are silent."""

    def __init__(
        self, responses: list[Any], *, opens: RaftKvError | bool = True, ends: RaftKvError | None = None
    ) -> None:
        self._responses = responses
        self._opens = opens
        self._ends = ends

    def now(self) -> float:
        return 1.0

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    async def call(self, message: Any) -> Any:
        raise NotImplementedError

    @asynccontextmanager
    async def watch(self, request: WatchCreateRequest) -> AsyncIterator[AsyncIterator[Any]]:
        if isinstance(self._opens, RaftKvError):
            raise self._opens
        if not self._opens:
            await asyncio.Event().wait()
        yield self._bring()

    def observe(self, request: LeaderRequest) -> Any:
        return self.watch(WatchCreateRequest())

    async def _bring(self) -> AsyncIterator[Any]:
        for response in self._responses:
            yield response
        if self._ends is not None:
            raise self._ends
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("port", "outcome"),
    [
        pytest.param(Streams([CREATED], ends=LOST), Outcome.OK, id="it breaks"),
        pytest.param(Streams([CREATED], ends=NoLeader()), Outcome.OK, id="the member ends it"),
        pytest.param(Streams([CREATED]), Outcome.OK, id="its time is over"),
        pytest.param(Streams([]), Outcome.UNKNOWN, id="nothing comes"),
        pytest.param(Streams([], opens=False), Outcome.UNKNOWN, id="it hangs"),
        pytest.param(Streams([], opens=LOST), Outcome.UNKNOWN, id="lost before"),
        pytest.param(Streams([], ends=LOST), Outcome.UNKNOWN, id="lost before it is created"),
        pytest.param(Streams([], opens=NotSent("refused")), Outcome.FAIL, id="refused"),
        pytest.param(Streams([], ends=NoLeader()), Outcome.FAIL, id="turned down"),
    ],
)
async def test_a_watch_counts_as_answered_once_it_was_created(port: Streams, outcome: Outcome) -> None:
    client = WatchClient(0, Compactions())
    assert await client.run(WATCH, port) is outcome
    assert len(client.tapes) == (outcome is Outcome.OK)


@pytest.mark.parametrize(
    ("port", "outcome"),
    [
        pytest.param(Streams([LEADER], ends=LOST), Outcome.OK, id="it breaks"),
        pytest.param(Streams([LEADER], ends=NoLeader()), Outcome.OK, id="the member ends it"),
        pytest.param(Streams([LEADER]), Outcome.OK, id="its time is over"),
        pytest.param(Streams([]), Outcome.OK, id="nobody leads"),
        pytest.param(Streams([], opens=False), Outcome.UNKNOWN, id="it hangs"),
        pytest.param(Streams([], opens=LOST), Outcome.UNKNOWN, id="lost before"),
        pytest.param(Streams([], ends=LOST), Outcome.UNKNOWN, id="lost before anything came"),
        pytest.param(Streams([], opens=NotSent("refused")), Outcome.FAIL, id="refused"),
    ],
)
async def test_leaders_that_were_seen_are_written_down_however_it_ended(
    port: Streams, outcome: Outcome
) -> None:
    client = ElectionClient(0)
    assert await client.run(OBSERVE, port) is outcome
    assert len(client.history) == (outcome is Outcome.OK)


async def test_who_catches_up_goes_on_after_a_stream_that_broke() -> None:
    class Written(Streams):
        async def call(self, message: Any) -> Any:
            return WatchResponse(HEADER)

    client = WatchClient(0, Compactions())
    words: Words = ("catch-up", "w1")
    assert await client.run(words, Written([CREATED], ends=LOST)) is Outcome.UNKNOWN
    assert not client.tapes[0].waited_in_vain
    assert await client.run(words, Written([CREATED, WatchResponse(HEADER)], ends=LOST)) is Outcome.OK
