"""What the clients of all workloads have in common: they write down what they asked and were told."""

from collections.abc import Hashable
from typing import Any

from raftkv.checkers.history import Operation, Outcome
from raftkv.errors import RaftKvError
from raftkv.workloads.outcomes import is_definite
from raftkv.workloads.port import Port, Words

CLIENTS = 1000
"""Most clients of a run: the distance between the process numbers of one of them."""

Request = tuple[Any, ...]
"""What an operation asks for, as its model has it."""


class Recorder:
    """One client's history. An operation without an answer takes its process number with it.

    ``number`` is the client's. What decides an operation goes through ``attempt``, so that one that is given
    up meanwhile is written down as it was asked.
    """

    def __init__(self, number: int) -> None:
        self.history: list[Operation] = []
        self._process = number
        self._sent: Request | None = None
        self._told: object = None

    def give_up(self, words: Words, begun: float) -> None:
        """See ``Client``; an operation of which nothing was sent that decides it is left out."""
        sent, self._sent = self._sent, None
        if sent is not None:
            self.write_down(sent, begun, None, None, Outcome.UNKNOWN)

    def answer(self) -> object:
        """See ``Client``."""
        return self._told

    def write_down(
        self, request: Request, begun: float, ended: float | None, output: Hashable, outcome: Outcome
    ) -> Outcome:
        """Add an operation to the history; return its outcome."""
        known = outcome is not Outcome.UNKNOWN
        self.history.append(
            Operation(self._process, begun, ended if known else None, request, output, outcome)
        )
        self._told = output
        if not known:
            self._process += CLIENTS
        return outcome

    async def attempt(self, port: Port, message: Any, request: Request, begun: float) -> Any:
        """Send what decides an operation; return the response.

        Without one the operation is written down, and its outcome returned.
        """
        self._sent, self._told = request, None
        try:
            response = await port.call(message)
        except RaftKvError as error:
            self._sent = None
            outcome = Outcome.FAIL if is_definite(error) else Outcome.UNKNOWN
            return self.write_down(request, begun, port.now(), None, outcome)
        self._sent = None
        return response
