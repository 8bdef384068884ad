"""What a workload is, and what its clients run on: the simulator's world or real processes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from random import Random
from typing import Any, NamedTuple, Protocol

from raftkv.checkers.changes import Change
from raftkv.checkers.history import Outcome
from raftkv.checkers.verdict import Verdict
from raftkv.schema.election import LeaderRequest, LeaderResponse
from raftkv.schema.watch import WatchCreateRequest, WatchResponse

__all__ = ["Change", "Client", "Finding", "Port", "Truth", "Words", "Workload"]

Words = tuple[str, ...]
"""One thing for a client to do, as it stands in a scenario or a schedule."""


class Port(Protocol):
    """One client's way to one member, and its clock."""

    def now(self) -> float:
        """Return the seconds on the clock of the run, one for all clients."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...

    async def call(self, message: Any) -> Any:
        """Send a request of the API once, whatever service it belongs to, and return its response.

        Raises what ``is_definite`` tells apart: errors after which the request certainly had no effect, and
        others. The streamed keepalive of a lease is one request and one response here.
        """
        ...

    def watch(self, request: WatchCreateRequest) -> AbstractAsyncContextManager[AsyncIterator[WatchResponse]]:
        """Open a watch at the member; leaving the context ends it. The created response comes first.

        The iterator ends or raises when the stream does; it is not opened again.
        """
        ...

    def observe(self, request: LeaderRequest) -> AbstractAsyncContextManager[AsyncIterator[LeaderResponse]]:
        """Open the stream of an election's leaders (Election.Observe); otherwise as ``watch``."""
        ...


class Truth(NamedTuple):
    """What the system itself says that happened: ``changes`` is the whole list, by revision.

    In the simulator it comes from the committed log; elsewhere from witnesses, who watch every member from
    the first revision on and have to agree. ``compacted``: the highest revision that anybody but the clients
    asked to be compacted. ``slack``: how many seconds a lease may end too early, by what was done to clocks.
    """

    changes: Sequence[Change]
    compacted: int = 0
    slack: float = 0.0


class Client(Protocol):
    """One client of a workload: it does one thing at a time and writes down what it was told."""

    async def run(self, words: Words, port: Port) -> Outcome:
        """Do one thing. Raises ``WrongAnswer`` for a response that is not one to its request at all.

        What the port raises ends here: it is the outcome.
        """
        ...

    def give_up(self, words: Words, begun: float) -> None:
        """Write down that ``words``, begun then, were given up: ``run`` was cancelled by who ran it."""
        ...

    def answer(self) -> object:
        """Return what the last thing done was told, as in the history; None: nothing was written down."""
        ...


class Finding(NamedTuple):
    """What one checker says of one history: the verdict of ``model`` over ``operations`` of them."""

    model: str
    verdict: Verdict
    operations: int


class Workload(Protocol):
    """A set of clients with one purpose, and the check of what they wrote down.

    All randomness comes from the ``Random`` handed in, all time from the port: the same calls in the same
    order do the same thing.
    """

    name: str

    def client(self, number: int) -> Client:
        """Make a client; numbers are from 0 and below ``clients`` of the constructor."""
        ...

    def draw(self, random: Random, number: int) -> Words:
        """Return what client ``number`` does next."""
        ...

    async def prepare(self, port: Port) -> None:
        """Write what has to be there before the clients begin (accounts, say); may be repeated."""
        ...

    def last_words(self, number: int) -> Sequence[Words]:
        """Return what client ``number`` still has to do after all faults are over, each until it is OK."""
        ...

    def check(self, truth: Truth | None) -> list[Finding]:
        """Check what the clients wrote down; without ``truth`` by the answers alone."""
        ...

    def histories(self, truth: Truth | None = None) -> dict[str, Sequence[str]]:
        """Return, by the name of its model, each history as lines that ``raftkv history check`` reads.

        Some models need ``truth``: that of watches holds every answer against it, and where several workloads
        share a store it says what the others wrote.
        """
        ...
