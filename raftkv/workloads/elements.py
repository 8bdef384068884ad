"""A set that elements are added to and that is read as a whole (model ``set``).

==============  ================================================================
``add E``       add an element, which has a key of its own
``insert E``    add an element to those that share one key, if nobody else does
``read``        read all elements, at one moment
==============  ================================================================

Elements are numbers, each added once.
"""

from collections.abc import Sequence
from random import Random

from raftkv.checkers.history import Outcome
from raftkv.checkers.records import SET, write_records
from raftkv.checkers.sets import check_set
from raftkv.errors import ConfigError, RaftKvError
from raftkv.schema.kv import KeyValue, PutResponse, RangeResponse
from raftkv.workloads.messages import (
    answers_of,
    clear,
    found_in,
    get,
    get_all,
    number_in,
    only,
    put,
    txn,
    unchanged,
)
from raftkv.workloads.port import Finding, Port, Truth, Words
from raftkv.workloads.record import Group, Recorder

PREFIX = "s/"
SHARED = "s"

MOST_SHARED = 200
"""Elements drawn for the shared key: it is written as a whole."""


class SetClient(Recorder):
    """One client of the set."""

    async def run(self, words: Words, port: Port) -> Outcome:
        """See ``Client``."""
        match words:
            case ("add", element) if element.isdecimal():
                return await self._add(element, port)
            case ("insert", element) if element.isdecimal():
                return await self._insert(element, port)
            case ("read",):
                return await self._read(port)
        raise ConfigError(f"no client can do {' '.join(words)!r}")

    async def _add(self, element: str, port: Port) -> Outcome:
        request, begun = ("add", int(element)), port.now()
        response = await self.attempt(port, put(PREFIX + element, element), request, begun)
        if isinstance(response, Outcome):
            return response
        only(PutResponse, response)
        return self.write_down(request, begun, port.now(), None, Outcome.OK)

    async def _insert(self, element: str, port: Port) -> Outcome:
        """Add to the shared key; certainly without effect if somebody else was quicker."""
        request, begun = ("add", int(element)), port.now()
        try:
            kv = found_in(await port.call(get(SHARED)), SHARED)
        except RaftKvError:
            return Outcome.FAIL  # nothing was sent that changes anything
        elements = f"{kv.value.decode()} {element}" if kv is not None else element
        guard = unchanged(SHARED, kv.mod_revision if kv is not None else 0)
        message = txn([guard], [put(SHARED, elements)])
        response = await self.attempt(port, message, request, begun)
        if isinstance(response, Outcome):
            return response
        succeeded, _ = answers_of(message, response)
        return self.write_down(request, begun, port.now(), None, Outcome.OK if succeeded else Outcome.FAIL)

    async def _read(self, port: Port) -> Outcome:
        request, begun = ("read",), port.now()
        message = txn([], [get_all(PREFIX), get(SHARED)])
        response = await self.attempt(port, message, request, begun)
        if isinstance(response, Outcome):
            return response
        _, (own, shared) = answers_of(message, response)
        elements = [number_in(kv.value) for kv in only(RangeResponse, own).kvs]
        elements += _shared(found_in(shared, SHARED))
        return self.write_down(request, begun, port.now(), tuple(elements), Outcome.OK)


def _shared(kv: KeyValue | None) -> list[int]:
    return [] if kv is None else [number_in(one) for one in kv.value.split()]


class SetWorkload(Group[SetClient]):
    """Clients of one set. Its keys begin with ``s``."""

    name = "set"

    def __init__(self, clients: int, *, shared: bool = False) -> None:
        super().__init__(clients, SetClient)
        self._shared = shared
        self._drawn = 0

    @staticmethod
    def drawn(clients: int, random: Random) -> "SetWorkload":
        """Make one with choices of its own."""
        return SetWorkload(clients, shared=random.random() < 0.5)

    def draw(self, random: Random, number: int) -> Words:
        """See ``Workload``: reads are rare, for each brings everything."""
        if random.random() < 0.04:
            return ("read",)
        self._drawn += 1
        shared = self._shared and self._drawn <= MOST_SHARED and random.random() < 0.5
        return ("insert" if shared else "add", str(self._drawn))

    async def prepare(self, port: Port) -> None:
        """See ``Workload``: begin with nothing."""
        await clear(port, "s")

    def last_words(self, number: int) -> Sequence[Words]:
        """See ``Workload``."""
        return [("read",)]

    def check(self, truth: Truth | None) -> list[Finding]:
        """See ``Workload``."""
        history = self.written_down()
        return [Finding(SET, check_set(history), len(history))]

    def histories(self, truth: Truth | None = None) -> dict[str, Sequence[str]]:
        """See ``Workload``."""
        return {SET: list(write_records(self.written_down(), SET))}
