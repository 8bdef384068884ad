"""What the clients of a run let go of the store's history."""

from raftkv.checkers.history import Outcome
from raftkv.errors import RaftKvError
from raftkv.schema.kv import CompactionRequest
from raftkv.workloads.outcomes import is_definite
from raftkv.workloads.port import Port


class Compactions:
    """What clients asked to be compacted, and the highest of it that was acknowledged."""

    def __init__(self) -> None:
        self.asked = 0
        self.done = 0

    async def compact(self, port: Port, revision: int) -> Outcome:
        """Let the history below a revision go."""
        self.asked = max(self.asked, revision)
        try:
            await port.call(CompactionRequest(revision=revision))
        except RaftKvError as error:
            return Outcome.FAIL if is_definite(error) else Outcome.UNKNOWN
        self.done = max(self.done, revision)
        return Outcome.OK
