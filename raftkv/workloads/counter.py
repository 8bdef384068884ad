"""A counter that clients add to and read (model ``counter``).

==========  ==============================================================================
``add N``   read the counter, and write the sum if it is still as it was
``read``    read the counter
==========  ==============================================================================
"""

from collections.abc import Sequence
from random import Random

from raftkv.checkers.counter import check_counter
from raftkv.checkers.history import Outcome
from raftkv.checkers.records import COUNTER, write_records
from raftkv.errors import ConfigError, RaftKvError
from raftkv.schema.kv import KeyValue
from raftkv.workloads.messages import answers_of, clear, found_in, get, number_in, put, txn, unchanged
from raftkv.workloads.port import Finding, Port, Truth, Words
from raftkv.workloads.record import Group, Recorder

KEY = "n"


class CounterClient(Recorder):
    """One client of the counter."""

    async def run(self, words: Words, port: Port) -> Outcome:
        """See ``Client``."""
        match words:
            case ("add", number) if number.isdecimal():
                return await self._add(int(number), port)
            case ("read",):
                return await self._read(port)
        raise ConfigError(f"no client can do {' '.join(words)!r}")

    async def _add(self, number: int, port: Port) -> Outcome:
        request, begun = ("add", number), port.now()
        try:
            kv = found_in(await port.call(get(KEY)), KEY)
        except RaftKvError:
            return Outcome.FAIL  # nothing was sent that changes anything
        guard = unchanged(KEY, 0 if kv is None else kv.mod_revision)
        message = txn([guard], [put(KEY, str(_value(kv) + number))])
        response = await self.attempt(port, message, request, begun)
        if isinstance(response, Outcome):
            return response
        succeeded, _ = answers_of(message, response)
        outcome = Outcome.OK if succeeded else Outcome.FAIL
        return self.write_down(request, begun, port.now(), None, outcome)

    async def _read(self, port: Port) -> Outcome:
        request, begun = ("read",), port.now()
        response = await self.attempt(port, get(KEY), request, begun)
        if isinstance(response, Outcome):
            return response
        value = _value(found_in(response, KEY))
        return self.write_down(request, begun, port.now(), value, Outcome.OK)


def _value(kv: KeyValue | None) -> int:
    return 0 if kv is None else number_in(kv.value)


class CounterWorkload(Group[CounterClient]):
    """Clients of one counter, the key ``n``."""

    name = "counter"

    def __init__(self, clients: int, *, reads: float = 0.5) -> None:
        super().__init__(clients, CounterClient)
        self._reads = reads

    @staticmethod
    def drawn(clients: int, random: Random) -> "CounterWorkload":
        """Make one with choices of its own."""
        return CounterWorkload(clients, reads=random.choice((0.2, 0.5, 0.8)))

    def draw(self, random: Random, number: int) -> Words:
        """See ``Workload``."""
        if random.random() < self._reads:
            return ("read",)
        return ("add", str(random.randint(1, 9)))

    async def prepare(self, port: Port) -> None:
        """See ``Workload``: begin with 0."""
        await clear(port, KEY)

    def last_words(self, number: int) -> Sequence[Words]:
        """See ``Workload``."""
        return [("read",)]

    def check(self, truth: Truth | None) -> list[Finding]:
        """See ``Workload``."""
        history = self.written_down()
        return [Finding(COUNTER, check_counter(history), len(history))]

    def histories(self, truth: Truth | None = None) -> dict[str, Sequence[str]]:
        """See ``Workload``."""
        return {COUNTER: list(write_records(self.written_down(), COUNTER))}
