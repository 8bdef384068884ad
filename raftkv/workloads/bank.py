"""Accounts between which money moves, and whose sum is always the same (model ``bank``).

=======================  ==================================================
``transfer A B N``       move N from account A to B, if A has that much
``read``                 read all accounts in one range
``audit``                read all accounts in one txn
=======================  ==================================================
"""

from collections.abc import Sequence
from random import Random

from raftkv.checkers.bank import check_bank
from raftkv.checkers.history import Outcome
from raftkv.checkers.records import BANK, write_records
from raftkv.errors import ConfigError, RaftKvError
from raftkv.schema.kv import RangeResponse
from raftkv.workloads.messages import (
    absent,
    answers_of,
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

PREFIX = "b"

ACCOUNTS = 6
BALANCE = 10
"""What each account begins with."""

TOTAL = ACCOUNTS * BALANCE

NAMES = tuple(f"{PREFIX}{number}" for number in range(1, ACCOUNTS + 1))


class BankClient(Recorder):
    """One client of the bank."""

    async def run(self, words: Words, port: Port) -> Outcome:
        """See ``Client``."""
        match words:
            case ("transfer", source, target, amount) if source != target and amount.isdecimal():
                return await self._transfer(source, target, int(amount), port)
            case ("read",):
                return await self._read(port)
            case ("audit",):
                return await self._audit(port)
        raise ConfigError(f"no client can do {' '.join(words)!r}")

    async def _transfer(self, source: str, target: str, amount: int, port: Port) -> Outcome:
        """Read both accounts, and write both if they are still as they were."""
        request, begun = ("transfer", source, target, amount), port.now()
        read = txn([], [get(source), get(target)])
        try:
            _, answers = answers_of(read, await port.call(read))
        except RaftKvError:
            return Outcome.FAIL  # nothing was sent that changes anything
        found = [found_in(answer, name) for answer, name in zip(answers, (source, target), strict=True)]
        balances = [0 if kv is None else number_in(kv.value) for kv in found]
        if balances[0] < amount:
            return self.write_down(request, begun, port.now(), None, Outcome.FAIL)
        guards = [
            unchanged(name, 0 if kv is None else kv.mod_revision)
            for kv, name in zip(found, (source, target), strict=True)
        ]
        puts = [put(source, str(balances[0] - amount)), put(target, str(balances[1] + amount))]
        message = txn(guards, puts)
        response = await self.attempt(port, message, request, begun)
        if isinstance(response, Outcome):
            return response
        succeeded, _ = answers_of(message, response)
        return self.write_down(request, begun, port.now(), None, Outcome.OK if succeeded else Outcome.FAIL)

    async def _read(self, port: Port) -> Outcome:
        request, begun = ("read",), port.now()
        response = await self.attempt(port, get_all(PREFIX), request, begun)
        if isinstance(response, Outcome):
            return response
        kvs = only(RangeResponse, response).kvs
        return self._balances([(kv.key.decode(), number_in(kv.value)) for kv in kvs], begun, port)

    async def _audit(self, port: Port) -> Outcome:
        request, begun = ("read",), port.now()
        message = txn([], [get(name) for name in NAMES])
        response = await self.attempt(port, message, request, begun)
        if isinstance(response, Outcome):
            return response
        _, answers = answers_of(message, response)
        found = [(name, found_in(answer, name)) for name, answer in zip(NAMES, answers, strict=True)]
        balances = [(name, None if kv is None else number_in(kv.value)) for name, kv in found]
        return self._balances(balances, begun, port)

    def _balances(self, balances: Sequence[tuple[str, int | None]], begun: float, port: Port) -> Outcome:
        return self.write_down(("read",), begun, port.now(), tuple(balances), Outcome.OK)


class BankWorkload(Group[BankClient]):
    """Clients of one bank. Its keys begin with ``b``."""

    name = "bank"

    def __init__(self, clients: int, *, accounts: int = ACCOUNTS) -> None:
        super().__init__(clients, BankClient)
        self._names = NAMES[:accounts]

    @staticmethod
    def drawn(clients: int, random: Random) -> "BankWorkload":
        """Make one with choices of its own: few accounts that all use, or more."""
        return BankWorkload(clients, accounts=random.choice((2, 3, ACCOUNTS)))

    def draw(self, random: Random, number: int) -> Words:
        """See ``Workload``."""
        if random.random() < 0.4:
            return ("read",) if random.random() < 0.5 else ("audit",)
        source, target = random.sample(self._names, 2)
        return ("transfer", source, target, str(random.randint(1, BALANCE // 2)))

    async def prepare(self, port: Port) -> None:
        """See ``Workload``: open the accounts, all at once, unless an earlier attempt did that."""
        guards = [absent(name) for name in NAMES]
        await port.call(txn(guards, [put(name, str(BALANCE)) for name in NAMES]))

    def last_words(self, number: int) -> Sequence[Words]:
        """See ``Workload``."""
        return [("read",)]

    def check(self, truth: Truth | None) -> list[Finding]:
        """See ``Workload``."""
        history = self.written_down()
        verdict = check_bank(history, total=TOTAL, accounts=NAMES)
        return [Finding(BANK, verdict, len(history))]

    def histories(self, truth: Truth | None = None) -> dict[str, Sequence[str]]:
        """See ``Workload``."""
        lines = write_records(self.written_down(), BANK, total=TOTAL, accounts=list(NAMES))
        return {BANK: list(lines)}
