"""What a follower passes to its leader (thesis §6.2, §6.4): commands, and reads that need an index."""

from collections.abc import Iterator, Sequence

from raftkv.raft.messages import ForwardProposals, Message, ReadIndex
from raftkv.raft.progress import MAX_APPEND_BYTES, MAX_APPEND_ENTRIES
from raftkv.raft.types import NO_NODE


class ForwardQueue:
    """Commands and read contexts that wait for the next Ready, to leave in as few messages as possible."""

    def __init__(self) -> None:
        self.commands: list[bytes] = []
        self.reads: list[int] = []

    def take(self, source: int, leader: int, term: int) -> list[Message]:
        """Return all that waits as messages of ``source`` to ``leader``, and forget it.

        Without another member as the leader it is lost, as on the wire: the host asks again.
        """
        if not (self.commands or self.reads):
            return []
        commands, self.commands = self.commands, []
        reads, self.reads = self.reads, []
        if leader in (NO_NODE, source):
            return []
        messages: list[Message] = [
            ForwardProposals(source, leader, term, batch) for batch in in_batches(commands)
        ]
        if reads:
            messages.append(ReadIndex(source, leader, term, tuple(reads)))
        return messages


def in_batches(commands: Sequence[bytes]) -> Iterator[tuple[bytes, ...]]:
    """Cut ``commands`` into batches that fit one message, at least one command in each."""
    batch: list[bytes] = []
    room = MAX_APPEND_BYTES
    for command in commands:
        if batch and (len(command) > room or len(batch) == MAX_APPEND_ENTRIES):
            yield tuple(batch)
            batch, room = [], MAX_APPEND_BYTES
        batch.append(command)
        room -= len(command)
    if batch:
        yield tuple(batch)
