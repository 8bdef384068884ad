"""Registers with read, write and compare-and-set by value, each key for itself (model ``cas-register``).

==============  ================================================================================
``read R``      read a register
``write R V``   write a register
``cas R V``     write a register if it still has the value that this client saw last
==============  ================================================================================

Values are unique, so that a value tells who wrote it. A register is used for some time and then left for a
new one: what stays unanswered makes a search longer for ever.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.json_writer import write_history
from raftkv.checkers.linearizability import check
from raftkv.checkers.models import CasRegister
from raftkv.checkers.timeline import NEVER
from raftkv.checkers.verdict import Anomaly, Validity, Verdict
from raftkv.errors import ConfigError
from raftkv.schema.kv import PutResponse, RangeResponse, TxnResponse
from raftkv.workloads.kv_checks import MAX_CHECK_STEPS, text
from raftkv.workloads.messages import absent, clear, get, has_value, put, txn
from raftkv.workloads.outcomes import WrongAnswer
from raftkv.workloads.port import Finding, Port, Truth, Words
from raftkv.workloads.record import Group, Recorder, Request

PREFIX = "r"

ROUND = 120
"""Draws after which a register is left for a new one, for each register there is at once."""

NOWHERE = -1
"""The place of what does not show where it stands among the writes."""

Seen = dict[str, str | None]


class RegisterClient(Recorder):
    """One client, and the value it saw last of each register; None: it was not there."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.seen: Seen = {}

    async def run(self, words: Words, port: Port) -> Outcome:
        """See ``Client``."""
        request, begun = self._request(words), port.now()
        response = await self.attempt(port, _message(request), request, begun)
        if isinstance(response, Outcome):
            return response
        output = self._read(request, response)
        return self.write_down(request, begun, port.now(), output, Outcome.OK)

    def _request(self, words: Words) -> Request:
        match words:
            case ("read", _) | ("write", _, _):
                return words
            case ("cas", register, value):
                return ("cas", register, self.seen.get(register), value)
        raise ConfigError(f"no client can do {' '.join(words)!r}")

    def _read(self, request: Request, response: Any) -> Any:
        """Return the answer, and keep what it says of the register. Raises WrongAnswer."""
        register = request[1]
        match request[0], response:
            case "read", RangeResponse():
                self.seen[register] = _value(response)
                return self.seen[register]
            case "write", PutResponse():
                self.seen[register] = request[2]
                return None
            case "cas", TxnResponse(succeeded=True):
                self.seen[register] = request[3]
                return True
            case "cas", TxnResponse(responses=[found]) if found.response_range is not None:
                self.seen[register] = _value(found.response_range)
                return False
        raise WrongAnswer(f"{request} was answered with {response}")


def _value(found: RangeResponse) -> str | None:
    return found.kvs[0].value.decode() if found.kvs else None


def _message(request: Request) -> Any:
    match request:
        case ("read", register):
            return get(register)
        case ("write", register, value):
            return put(register, value)
    _, register, old, new = request
    guard = absent(register) if old is None else has_value(register, old)
    return txn([guard], [put(register, new)], [get(register)])


class RegisterWorkload(Group[RegisterClient]):
    """Clients of some registers at a time, whose names begin with ``r``."""

    name = "register"

    def __init__(self, clients: int, *, registers: int = 3) -> None:
        super().__init__(clients, RegisterClient)
        self._registers = registers
        self._drawn = 0

    @staticmethod
    def drawn(clients: int, random: Random) -> "RegisterWorkload":
        """Make one with choices of its own."""
        return RegisterWorkload(clients, registers=random.choice((1, 3, 5)))

    def draw(self, random: Random, number: int) -> Words:
        """See ``Workload``."""
        first = self._drawn // (ROUND * self._registers) * self._registers
        register = f"{PREFIX}{first + random.randint(1, self._registers)}"
        value, chance = f"c{number}.{self._drawn}", random.random()
        self._drawn += 1
        if chance < 0.4:
            return ("read", register)
        return ("write", register, value) if chance < 0.6 else ("cas", register, value)

    async def prepare(self, port: Port) -> None:
        """See ``Workload``: begin without registers."""
        await clear(port, PREFIX)

    def last_words(self, number: int) -> Sequence[Words]:
        """See ``Workload``: read the registers of the last clients' last answers."""
        seen = dict.fromkeys(register for session in self.sessions for register in session.seen)
        return [("read", register) for register in list(seen)[-self._registers :]]

    def check(self, truth: Truth | None) -> list[Finding]:
        """See ``Workload``."""
        history = self._history(truth)
        verdict = _verdict(history, truth)
        if verdict.validity is Validity.VALID and truth is not None and (found := misplaced(history, truth)):
            verdict = Verdict(Validity.INVALID, verdict.steps, found.text, anomalies=(found,))
        return [Finding(CasRegister.name, verdict, len(history))]

    def histories(self, truth: Truth | None = None) -> dict[str, Sequence[str]]:
        """See ``Workload``."""
        return {CasRegister.name: list(write_history(self._history(truth), CasRegister()))}

    def _history(self, truth: Truth | None) -> list[Operation]:
        history = self.written_down()
        return history if truth is None else settled(history, truth)


def _verdict(history: Sequence[Operation], truth: Truth | None) -> Verdict:
    """Check the true order first, where it is known: it is found at once, and one order is enough."""
    if truth is not None:
        verdict = check(narrowed(history, truth), CasRegister(), max_steps=MAX_CHECK_STEPS)
        if verdict.validity is Validity.VALID:
            return verdict
    return check(history, CasRegister(), max_steps=MAX_CHECK_STEPS)


def narrowed(history: Sequence[Operation], truth: Truth) -> list[Operation]:
    """Leave each operation no more time than the true order of the writes allows, and put it in that order.

    An order of these is one of the history as well. Where they contradict each other the history is returned.
    """
    places = {(text(one.key), text(one.value or b"")): one.revision for one in truth.changes}
    found: list[tuple[int, Operation]] = []
    for register in dict.fromkeys(operation.input[1] for operation in history):
        ours = [operation for operation in history if operation.input[1] == register]
        found += _in_places([(_place(operation, places), operation) for operation in ours])
    if any(one.returned is not None and one.returned < one.call for _, one in found):
        return list(history)
    return [one for _, one in sorted(found, key=lambda placed: (placed[1].call, *_rank(placed)))]


def _place(operation: Operation, places: Mapping[tuple[str, str], int]) -> int:
    """Return the revision of the value that an operation wrote or read, or ``NOWHERE``."""
    name, register = operation.input[:2]
    if operation.outcome is not Outcome.OK or operation.output is False:
        return NOWHERE
    value = operation.output if name == "read" else operation.input[-1]
    return 0 if value is None else places.get((str(register), str(value)), NOWHERE)


def _rank(placed: tuple[int, Operation]) -> tuple[int, bool]:
    """Order a write before those that read it, and these before the next write."""
    place, operation = placed
    return place, operation.input[0] == "read"


def _in_places(operations: Sequence[tuple[int, Operation]]) -> Iterator[tuple[int, Operation]]:
    """Yield operations of one register: none before a write that precedes it, nor after one that follows."""
    yield from (placed for placed in operations if placed[0] == NOWHERE)
    inside = sorted((placed for placed in operations if placed[0] != NOWHERE), key=_rank)
    calls: list[float] = []
    begin = latest = 0.0  # of the write that is there, and of what was last
    for _, operation in inside:
        is_read = operation.input[0] == "read"
        calls.append(max(operation.call, begin if is_read else latest))
        begin, latest = begin if is_read else calls[-1], max(latest, calls[-1])
    end = earliest = NEVER
    for (place, operation), call in zip(reversed(inside), reversed(calls), strict=True):
        is_read = operation.input[0] == "read"
        returned = min(
            NEVER if operation.returned is None else operation.returned, end if is_read else earliest
        )
        end, earliest = end if is_read else returned, min(earliest, returned)
        yield place, operation._replace(call=call, returned=returned)


def settled(history: Sequence[Operation], truth: Truth) -> list[Operation]:
    """Settle what has no answer: what wrote its value was done, at some time, and what did not was not.

    A value that several operations write does not tell.
    """
    written = _written(truth)
    writers = Counter((one.input[1], one.input[-1]) for one in history if one.input[0] != "read")
    found = []
    for operation in history:
        name, register, value = operation.input[0], operation.input[1], operation.input[-1]
        if operation.outcome is not Outcome.UNKNOWN or name == "read" or writers[register, value] > 1:
            found.append(operation)
        elif (register, value) in written:
            output = True if name == "cas" else None
            found.append(operation._replace(returned=NEVER, output=output, outcome=Outcome.OK))
    return found


def misplaced(history: Sequence[Operation], truth: Truth) -> Anomaly | None:
    """Say which write was acknowledged and never made, or failed and was made; None if none."""
    written = _written(truth)
    for operation in history:
        name, register, value = operation.input[0], operation.input[1], operation.input[-1]
        if name == "read":
            continue
        acknowledged = operation.outcome is Outcome.OK and operation.output is not False
        if acknowledged and (register, value) not in written:
            return Anomaly(
                "durability", f"{operation.input} was acknowledged, and never written", (operation,)
            )
        if operation.outcome is Outcome.FAIL and (register, value) in written:
            said = f"{operation.input} had failed, and was written"
            return Anomaly("exactly once", said, (operation,))
    return None


def _written(truth: Truth) -> set[tuple[str, str]]:
    return {(text(one.key), text(one.value)) for one in truth.changes if one.value is not None}
