"""All workloads in one run, each on keys of its own.

The words of a client begin with the name of the workload that the rest is for: ``bank transfer b1 b2 5``.
"""

from collections.abc import Callable, Sequence
from random import Random

from raftkv.checkers.history import Outcome
from raftkv.checkers.mvcc_kv import MvccKv
from raftkv.errors import ConfigError
from raftkv.workloads.append import AppendWorkload
from raftkv.workloads.bank import BankWorkload
from raftkv.workloads.compactions import Compactions
from raftkv.workloads.counter import CounterWorkload
from raftkv.workloads.election import ElectionWorkload
from raftkv.workloads.elements import SetWorkload
from raftkv.workloads.kv import KvWorkload
from raftkv.workloads.lease import LeaseWorkload
from raftkv.workloads.lock import LockWorkload
from raftkv.workloads.port import Client, Finding, Port, Truth, Words, Workload
from raftkv.workloads.record import NO_TRUTH
from raftkv.workloads.register import RegisterWorkload
from raftkv.workloads.watch import WatchWorkload

TURNS = (
    "kv", "watch", "append", "lease", "register", "lock", "bank", "election", "kv", "set", "watch", "counter",
)  # fmt: skip
"""Whose words clients say, one client after the other."""


class MixedClient:
    """One client of all workloads."""

    def __init__(self, client: Callable[[str], Client]) -> None:
        self._make = client
        self._clients: dict[str, Client] = {}
        self._last: Client | None = None

    async def run(self, words: Words, port: Port) -> Outcome:
        """See ``Client``."""
        return await self._client(words).run(words[1:], port)

    def give_up(self, words: Words, begun: float) -> None:
        """See ``Client``."""
        self._client(words).give_up(words[1:], begun)

    def answer(self) -> object:
        """See ``Client``."""
        return self._last.answer() if self._last is not None else None

    def _client(self, words: Words) -> Client:
        name = words[0]
        if name not in self._clients:
            self._clients[name] = self._make(name)
        self._last = self._clients[name]
        return self._last


class MixedWorkload:
    """Clients of all workloads: of each at least one, and each client of few."""

    name = "mixed"

    def __init__(self, clients: int, random: Random) -> None:
        self.clients = clients
        compactions = Compactions()
        parts: list[Workload] = [
            KvWorkload.drawn(clients, random, compactions),
            RegisterWorkload.drawn(clients, random),
            AppendWorkload.drawn(clients, random),
            SetWorkload.drawn(clients, random),
            BankWorkload.drawn(clients, random),
            CounterWorkload.drawn(clients, random),
            WatchWorkload.drawn(clients, random, compactions),
            LeaseWorkload.drawn(clients, random),
            LockWorkload.drawn(clients, random),
            ElectionWorkload.drawn(clients, random),
        ]
        self._parts = {part.name: part for part in parts}
        self._used: dict[str, dict[int, None]] = {}

    def client(self, number: int) -> MixedClient:
        """See ``Workload``."""
        return MixedClient(lambda name: self._client_of(name, number))

    def _client_of(self, name: str, number: int) -> Client:
        if name not in self._parts:
            raise ConfigError(f"{name!r} is no part of a mixed workload: use {', '.join(self._parts)}")
        self._used.setdefault(name, {})[number] = None
        return self._parts[name].client(number)

    def _turns(self, number: int) -> Sequence[str]:
        """Return whose words a client says."""
        if self.clients >= len(TURNS):
            return (TURNS[number % len(TURNS)],)
        return TURNS[number % self.clients :: self.clients]

    def draw(self, random: Random, number: int) -> Words:
        """See ``Workload``."""
        name = random.choice(self._turns(number))
        return (name, *self._parts[name].draw(random, number))

    async def prepare(self, port: Port) -> None:
        """See ``Workload``."""
        for part in self._parts.values():
            await part.prepare(port)

    def last_words(self, number: int) -> Sequence[Words]:
        """See ``Workload``."""
        names = [name for name, numbers in self._used.items() if number in numbers]
        return [(name, *words) for name in names for words in self._parts[name].last_words(number)]

    def check(self, truth: Truth | None) -> list[Finding]:
        """See ``Workload``; without a list of changes nothing can be said of keys with revisions."""
        found = [finding for name in self._used for finding in self._parts[name].check(truth)]
        if truth is not None:
            return found
        return [one._replace(verdict=NO_TRUTH) if one.model == MvccKv.name else one for one in found]

    def histories(self, truth: Truth | None = None) -> dict[str, Sequence[str]]:
        """See ``Workload``."""
        found: dict[str, Sequence[str]] = {}
        for name in self._used:
            found |= self._parts[name].histories(truth)
        return found
