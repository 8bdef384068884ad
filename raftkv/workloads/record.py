"""What the clients of all workloads have in common: they write down what they asked and were told."""

from collections.abc import Callable, Hashable
from math import inf, nextafter
from typing import Any, Generic, TypeVar

from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.verdict import Validity, Verdict
from raftkv.errors import RaftKvError
from raftkv.workloads.outcomes import is_definite
from raftkv.workloads.port import Port, Words

CLIENTS = 1000
"""Most clients of a run: the distance between the process numbers of one of them."""

NO_TRUTH = Verdict(Validity.UNKNOWN, 0, "what the system itself says that happened is not known")
"""Of a history that can't be held against the answers alone."""

Request = tuple[Any, ...]
"""What an operation asks for, as its model has it."""


class Recorder:
    """One client's history. An operation without an answer takes its process number with it.

    ``number`` is the client's. What decides an operation goes through ``attempt``, so that one that is given
    up meanwhile is written down as it was asked.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.history: list[Operation] = []
        self._process = number
        self._free = -inf
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
        begun = max(begun, nextafter(self._free, inf))  # what touches is concurrent, and a client is not
        ended = None if ended is None or not known else max(begun, ended)
        self.history.append(Operation(self._process, begun, ended, request, output, outcome))
        self._sent, self._told = None, output
        self._free = begun if ended is None else ended
        if not known:
            self._process += CLIENTS
        return outcome

    async def attempt(self, port: Port, message: Any, request: Request, begun: float) -> Any:
        """Send what decides an operation; return the response.

        Without one the operation is written down, and its outcome returned. With one it still has to be: it
        may turn out to be none, and then the operation is given up.
        """
        self._sent, self._told = request, None
        try:
            return await port.call(message)
        except RaftKvError as error:
            outcome = Outcome.FAIL if is_definite(error) else Outcome.UNKNOWN
            return self.write_down(request, begun, port.now(), None, outcome)


R = TypeVar("R", bound=Recorder)


class Group(Generic[R]):
    """The clients of one workload, made by ``begin`` out of their numbers."""

    def __init__(self, clients: int, begin: Callable[[int], R]) -> None:
        self.clients = clients
        self.sessions: list[R] = []
        self._begin = begin

    def client(self, number: int) -> R:
        """See ``Workload``."""
        session = self._begin(number)
        self.sessions.append(session)
        return session

    def is_first(self, number: int) -> bool:
        """Whether a client is the one that does what has to be done once."""
        return not self.sessions or number == self.sessions[0].number

    def written_down(self) -> list[Operation]:
        """Return the operations of all clients."""
        return [one for session in self.sessions for one in session.history]
