"""What the checked systems do when nothing is concurrent: one register, a map of strings.

A model says how one operation changes a state, or that the state refuses it. States are immutable and
hashable. The multi-version store of etcd and raftkv is in ``mvcc_kv``.
"""

from collections.abc import Hashable
from typing import Any, Final, Protocol

from raftkv.checkers.history import Operation, Outcome


class Refused:
    """The type of ``REFUSED``."""

    def __repr__(self) -> str:
        return "REFUSED"


REFUSED: Final = Refused()
"""What ``Model.step`` returns when the answer of the operation can't come from the state."""


class Model(Protocol):
    """The sequential specification that a history is held against."""

    @property
    def name(self) -> str:
        """Name on the command line and in files."""

    @property
    def initial(self) -> Hashable:
        """The state before the first operation (of each part)."""

    def step(self, state: Any, operation: Operation) -> Hashable:
        """Return the state after the operation, or ``REFUSED`` when the state could not give its answer.

        An operation with an unknown outcome has no answer to compare; it is refused nowhere.
        """

    def observes(self, operation: Operation) -> bool:
        """Tell whether the operation, with the answer it has, leaves every state as it is."""

    def part(self, operation: Operation) -> Hashable:
        """Return what operations must share to depend on each other, such as the key."""

    def leads_to(self, state: Any, observation: Operation) -> bool:
        """Tell whether the state, or what operations that don't ``set`` make of it, may give this answer."""

    def sets(self, operation: Operation, observation: Operation) -> bool:
        """Tell whether the operation may make a state that leads to this answer out of one that does not."""


class CasRegister:
    """Registers with read, write and compare-and-set, one a key, all with the same initial value.

    Operations: ``("read", key)`` -> the value; ``("write", key, value)``; ``("cas", key, old, new)`` ->
    whether it compared equal.
    """

    name = "cas-register"
    operations = ("read", "write", "cas")

    def __init__(self, initial: Hashable = None) -> None:
        self.initial = initial

    def step(self, state: Hashable, operation: Operation) -> Hashable:
        """Apply one operation to the value of one register."""
        request = operation.input
        known = operation.outcome is Outcome.OK
        if request[0] == "write":
            written: Hashable = request[2]
            return written
        if request[0] == "read":
            return REFUSED if known and operation.output != state else state
        _, _, old, new = request
        equal = bool(state == old)
        if known and operation.output != equal:
            return REFUSED
        return new if equal else state

    def observes(self, operation: Operation) -> bool:
        """Tell whether this is a read, or a cas that compared unequal."""
        return operation.input[0] == "read" or (
            operation.input[0] == "cas" and operation.outcome is Outcome.OK and operation.output is False
        )

    def part(self, operation: Operation) -> Hashable:
        """Return the key: registers are independent."""
        key: Hashable = operation.input[1]
        return key

    def leads_to(self, state: Hashable, observation: Operation) -> bool:
        """Tell whether the value is the one read; that a cas compared unequal can come from many."""
        return observation.input[0] == "cas" or bool(state == observation.output)

    def sets(self, operation: Operation, observation: Operation) -> bool:
        """Tell whether this may write the value that was read."""
        return operation.input[0] != "read" and bool(operation.input[-1] == observation.output)


class KvAppend:
    """A map of strings, each empty at first, with get, put and append (MIT 6.5840's key-value service).

    Operations: ``("get", key)`` -> the string; ``("put", key, value)``; ``("append", key, value)``.
    """

    name = "kv-append"
    operations = ("get", "put", "append")

    def __init__(self, initial: str = "") -> None:
        self.initial = initial

    def step(self, state: str, operation: Operation) -> Hashable:
        """Apply one operation to the string of one key."""
        request = operation.input
        if request[0] == "put":
            value: str = request[2]
            return value
        if request[0] == "append":
            return f"{state}{request[2]}"
        return REFUSED if operation.outcome is Outcome.OK and operation.output != state else state

    def observes(self, operation: Operation) -> bool:
        """Tell whether this is a get."""
        return bool(operation.input[0] == "get")

    def part(self, operation: Operation) -> Hashable:
        """Return the key: keys are independent."""
        key: Hashable = operation.input[1]
        return key

    def leads_to(self, state: str, observation: Operation) -> bool:
        """Tell whether appends could have made the string that was read out of this one."""
        return str(observation.output).startswith(state)

    def sets(self, operation: Operation, observation: Operation) -> bool:
        """Tell whether this put began the string that was read."""
        return operation.input[0] == "put" and str(observation.output).startswith(operation.input[2])
