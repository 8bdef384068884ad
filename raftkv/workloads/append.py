"""Lists that transactions read and append to, all at once (model ``list-append``).

``txn ITEM...`` is one transaction; an item is ``r:KEY``, read the list, or ``a:KEY:NUMBER``, append a number
that nobody else appends. A transaction that appends reads its keys first, and then writes the longer lists
in a txn whose guards say that none of them has changed. If one has, it certainly did nothing; to try again
is another transaction.

A list is left for a new one when it is long, because it is written as a whole.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

from raftkv.checkers.history import Outcome
from raftkv.checkers.list_append import check_list_append
from raftkv.checkers.records import LIST_APPEND, write_records
from raftkv.errors import ConfigError, RaftKvError
from raftkv.workloads.messages import answers_of, clear, found_in, get, number_in, put, txn, unchanged
from raftkv.workloads.port import Finding, Port, Truth, Words
from raftkv.workloads.record import Group, Recorder

PREFIX = "a"

LONGEST = 40
"""Appends drawn for a list before it is left for a new one."""

Items = tuple[tuple[Any, ...], ...]
"""Micro-operations: ("r", key, list or None) and ("append", key, number)."""


class Lists:
    """What a client saw of some lists at one moment: each with its mod_revision."""

    def __init__(self, keys: Sequence[str], answers: Sequence[Any]) -> None:
        self.revisions: dict[str, int] = {}
        self._lists: dict[str, tuple[int, ...]] = {}
        for key, answer in zip(keys, answers, strict=True):
            kv = found_in(answer, key)
            self.revisions[key] = 0 if kv is None else kv.mod_revision
            self._lists[key] = () if kv is None else tuple(map(number_in, kv.value.split()))

    def play(self, items: Items) -> tuple[Items, dict[str, str]]:
        """Return the items with what they read, and the lists that they make longer."""
        lists, longer, done = dict(self._lists), {}, []
        for name, key, number in items:
            if name == "r":
                done.append((name, key, lists[key]))
                continue
            lists[key] = (*lists[key], number)
            longer[key] = " ".join(map(str, lists[key]))
            done.append((name, key, number))
        return tuple(done), longer


class AppendClient(Recorder):
    """One client of the lists."""

    async def run(self, words: Words, port: Port) -> Outcome:
        """See ``Client``."""
        items, begun = _items(words), port.now()
        keys = list(dict.fromkeys(key for _, key, _ in items))
        read = txn([], [get(key) for key in keys])
        request = ("txn", items)
        if all(name == "r" for name, _, _ in items):
            response = await self.attempt(port, read, request, begun)
            if isinstance(response, Outcome):
                return response
            done, _ = Lists(keys, answers_of(read, response)[1]).play(items)
            return self.write_down(request, begun, port.now(), done, Outcome.OK)
        try:
            seen = Lists(keys, answers_of(read, await port.call(read))[1])
        except RaftKvError:
            return Outcome.FAIL  # nothing was sent that changes anything
        done, longer = seen.play(items)
        guards = [unchanged(key, seen.revisions[key]) for key in keys]
        write = txn(guards, [put(key, value) for key, value in longer.items()])
        response = await self.attempt(port, write, request, begun)
        if isinstance(response, Outcome):
            return response
        succeeded, _ = answers_of(write, response)
        if not succeeded:
            return self.write_down(request, begun, port.now(), None, Outcome.FAIL)
        return self.write_down(request, begun, port.now(), done, Outcome.OK)


def _items(words: Words) -> Items:
    verb, *texts = words
    if verb != "txn" or not texts:
        raise ConfigError(f"no client can do {' '.join(words)!r}")
    found: list[tuple[Any, ...]] = []
    for one in texts:
        match one.split(":"):
            case ["r", key]:
                found.append(("r", key, None))
            case ["a", key, number] if number.isdecimal():
                found.append(("append", key, int(number)))
            case _:
                raise ConfigError(f"{one!r}: use r:KEY or a:KEY:NUMBER")
    return tuple(found)


class AppendWorkload(Group[AppendClient]):
    """Clients of a few lists at a time, whose names begin with ``a``."""

    name = "append"

    def __init__(self, clients: int, *, lists: int = 4, longest_txn: int = 4) -> None:
        super().__init__(clients, AppendClient)
        self._longest_txn = longest_txn
        self._drawn = 0
        self._names = [f"{PREFIX}{number}" for number in range(1, lists + 1)]
        self._next = lists + 1
        self._appends = dict.fromkeys(self._names, 0)

    @staticmethod
    def drawn(clients: int, random: Random) -> "AppendWorkload":
        """Make one with choices of its own."""
        return AppendWorkload(clients, lists=random.choice((2, 4, 8)), longest_txn=random.choice((2, 4)))

    def draw(self, random: Random, number: int) -> Words:
        """See ``Workload``."""
        reads_only = random.random() < 0.3
        items = []
        for _ in range(random.randint(1, self._longest_txn)):
            place = random.randrange(len(self._names))
            if reads_only or random.random() < 0.4:
                items.append(f"r:{self._names[place]}")
            else:
                items.append(f"a:{self._name_to_append(place)}:{self._drawn}")
                self._drawn += 1
        return ("txn", *items)

    def _name_to_append(self, place: int) -> str:
        """Return the list at a place, or the new one that comes after a long one."""
        name = self._names[place]
        if self._appends[name] >= LONGEST:
            name = self._names[place] = f"{PREFIX}{self._next}"
            self._next += 1
        self._appends[name] = self._appends.get(name, 0) + 1
        return name

    async def prepare(self, port: Port) -> None:
        """See ``Workload``: begin without lists."""
        await clear(port, PREFIX)

    def last_words(self, number: int) -> Sequence[Words]:
        """See ``Workload``: read what was appended to, some lists at a time."""
        appended = [one for session in self.sessions for one in session.history]
        keys = dict.fromkeys(item[1] for one in appended for item in one.input[1])
        mine = list(keys)[number % self.clients :: self.clients]
        return [("txn", *(f"r:{key}" for key in mine[at : at + 8])) for at in range(0, len(mine), 8)]

    def check(self, truth: Truth | None) -> list[Finding]:
        """See ``Workload``."""
        history = self.written_down()
        return [Finding(LIST_APPEND, check_list_append(history), len(history))]

    def histories(self, truth: Truth | None = None) -> dict[str, Sequence[str]]:
        """See ``Workload``."""
        return {LIST_APPEND: list(write_records(self.written_down(), LIST_APPEND))}
