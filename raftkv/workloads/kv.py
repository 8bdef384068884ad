"""Keys, revisions and transactions, and what was told of them held against the model ``mvcc-kv``.

Its requests are words, so that they can stand in a scenario:

====================  ==================================================================================
``get K``             read a key
``put K V``           write a key
``delete K``          delete a key
``cas K V``           write a key if it is still as this client saw it last
``move K L V``        delete K and write L, if K is still as this client saw it last; else read both
``scan K...``         read all keys in one txn
``list K...``         read all keys in one range
``past K``            read a key at a revision that this client saw some time ago
``compact``           forget the history below what this client saw
====================  ==================================================================================

A value ``V*900`` is V, filled up to 900 characters.
"""

from collections import deque
from collections.abc import Sequence
from random import Random
from typing import Any

from raftkv.checkers.history import Outcome
from raftkv.checkers.json_writer import write_history
from raftkv.checkers.mvcc_kv import MvccKv
from raftkv.errors import ConfigError, RaftKvError
from raftkv.schema.kv import RangeRequest
from raftkv.workloads.compactions import Compactions
from raftkv.workloads.kv_checks import PastRead, judge, with_others
from raftkv.workloads.kv_messages import ALL_KEYS, as_txn, filled, fits, result_of, to_message
from raftkv.workloads.messages import clear, found_in, revision_of
from raftkv.workloads.outcomes import WrongAnswer, is_definite
from raftkv.workloads.port import Finding, Port, Truth, Words
from raftkv.workloads.record import Group, Recorder, Request

REMEMBERED = 5
"""How many answers ago the revision was seen that ``past`` reads at."""

KEYS = 6

PREFIX = "k"

SIZES = ("", "", "", "*100", "*900")
"""How values are filled up: large ones fill the log, messages and disks sooner."""

STYLES = ("register", "mixed", "mixed")


class Session(Recorder):
    """One client: what it has seen of each key, and what it did."""

    def __init__(self, number: int, compactions: Compactions) -> None:
        super().__init__(number)
        self._compactions = compactions
        self.seen: dict[str, int] = {}
        self._revision = 1
        self._revisions = deque([1], maxlen=REMEMBERED)
        self.past: list[PastRead] = []

    async def run(self, words: Words, port: Port) -> Outcome:
        """See ``Client``."""
        if words[0] == "compact":
            return await self._compact(port)
        if words[0] == "past":
            return await self._read_past(words[1], port)
        request, begun = self._request(words), port.now()
        message = ALL_KEYS if words[0] == "list" else to_message(request)
        response = await self.attempt(port, message, request, begun)
        if isinstance(response, Outcome):
            return response
        if words[0] == "list":
            response = as_txn(words, response)
        if not fits(request, response):
            raise WrongAnswer(f"{words} was answered with {response}")
        output = (revision_of(response), result_of(request, response))
        self._learn(request, output)
        return self.write_down(request, begun, port.now(), output, Outcome.OK)

    async def _compact(self, port: Port) -> Outcome:
        """Compact; the model knows nothing of it, because no answer may change by it."""
        self._told = None
        return await self._compactions.compact(port, self._revision)

    async def _read_past(self, key: str, port: Port) -> Outcome:
        """Read at an older revision, and keep the answer by itself: the model knows the present only."""
        self._told = None
        revision = self._revisions[0]
        try:
            response = await port.call(RangeRequest(key=key.encode(), revision=revision))
        except RaftKvError as error:
            return Outcome.FAIL if is_definite(error) else Outcome.UNKNOWN
        kv = found_in(response, key)
        self.past.append(PastRead(revision, key, None if kv is None else kv.value.decode()))
        return Outcome.OK

    def _request(self, words: Words) -> Request:
        match words:
            case ("get" | "delete", _):
                return words
            case ("put", key, value):
                return ("put", key, filled(value))
            case ("cas", key, value):
                return ("txn", (self._as_seen(key),), (("put", key, filled(value)),), (("get", key),))
            case ("move", source, target, value) if source != target:
                then = (("delete", source), ("put", target, filled(value)))
                return ("txn", (self._as_seen(source),), then, (("get", source), ("get", target)))
            case ("scan" | "list", *keys) if keys:
                return ("txn", (), tuple(("get", key) for key in keys), ())
        raise ConfigError(f"no client can do {' '.join(words)!r}")

    def _as_seen(self, key: str) -> tuple[str, int]:
        return key, self.seen.get(key, 0)

    def _learn(self, request: Request, output: tuple[int, Any]) -> None:
        revision, result = output
        self._revision = max(self._revision, revision)
        self._revisions.append(self._revision)
        if request[0] != "txn":
            self._learn_one(request, revision, result)
            return
        succeeded, results = result
        for one, found in zip(request[2] if succeeded else request[3], results, strict=True):
            self._learn_one(one, revision, found)

    def _learn_one(self, request: Request, revision: int, result: Any) -> None:
        match request[0]:
            case "get":
                self.seen[request[1]] = 0 if result is None else result.mod_revision
            case "put":
                self.seen[request[1]] = revision
            case "delete":
                self.seen[request[1]] = 0


class KvWorkload(Group[Session]):
    """Clients of a few keys, and of ``probe``, which is written last.

    ``prefix``: what keys begin with, "" = there are none but ``probe``.
    ``alone``: nobody else writes to the store, so that every change in it must be one of these clients'.
    ``style`` is one of ``STYLES``: registers, or deletions, txns and compactions as well; ``size`` one of
    ``SIZES``.
    """

    name = "kv"

    def __init__(
        self,
        clients: int,
        *,
        keys: Sequence[str] = (),
        style: str = "mixed",
        size: str = "",
        probe: str = "probe",
        prefix: str = PREFIX,
        alone: bool = False,
        compactions: Compactions | None = None,
    ) -> None:
        known = compactions or Compactions()
        super().__init__(clients, lambda number: Session(number, known))
        self._keys = list(keys)
        self._style, self._size, self._probe, self._alone = style, size, probe, alone
        self._prefix = prefix
        self._drawn = 0
        self._initial_revision = 1

    @staticmethod
    def drawn(clients: int, random: Random, compactions: Compactions | None = None) -> "KvWorkload":
        """Make one with choices of its own."""
        size, style, keys = random.choice(SIZES), random.choice(STYLES), key_names(random.randint(1, KEYS))
        return KvWorkload(clients, keys=keys, style=style, size=size, compactions=compactions)

    def draw(self, random: Random, number: int) -> Words:
        """See ``Workload``."""
        value = f"c{number}.{self._drawn}{self._size}"
        self._drawn += 1
        key, chance = random.choice(self._keys), random.random()
        if chance < 0.4:
            return ("get", key)
        if chance < 0.44:
            return ("past", key)
        if self._style == "register":
            return ("cas", key, value) if chance < 0.78 else ("put", key, value)
        if chance < 0.65:
            return ("put", key, value)
        if chance < 0.78:
            return ("cas", key, value)
        if chance < 0.85:
            return ("delete", key)
        if chance < 0.93 and len(self._keys) > 1:
            return ("move", key, random.choice([other for other in self._keys if other != key]), value)
        if chance < 0.97:
            return ("scan" if random.random() < 0.5 else "list", *self._keys)
        return ("compact",)

    async def prepare(self, port: Port) -> None:
        """See ``Workload``: begin without keys."""
        await clear(port, self._probe)
        self._initial_revision = await clear(port, PREFIX)

    def last_words(self, number: int) -> Sequence[Words]:
        """See ``Workload``."""
        seen = (key for session in self.sessions for key in session.seen if key.startswith(PREFIX))
        keys = dict.fromkeys((*self._keys, *seen))
        return [("put", self._probe, f"p{number}"), ("scan", *keys, self._probe)]

    def _owns(self, key: str) -> bool:
        own = bool(self._prefix) and key.startswith(self._prefix)
        return self._alone or own or key == self._probe

    def check(self, truth: Truth | None) -> list[Finding]:
        """See ``Workload``."""
        history = self.written_down()
        past = [one for session in self.sessions for one in session.past]
        verdict = judge(history, past, truth, self._owns, self._initial_revision)
        return [Finding(MvccKv.name, verdict, len(history))]

    def histories(self, truth: Truth | None = None) -> dict[str, Sequence[str]]:
        """See ``Workload``."""
        history = with_others(self.written_down(), truth, self._owns, self._initial_revision)
        return {MvccKv.name: list(write_history(history, MvccKv(self._initial_revision)))}


def key_names(count: int) -> list[str]:
    """Return the names of so many keys."""
    return [f"k{number}" for number in range(1, count + 1)]
