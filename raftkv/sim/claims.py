"""No message says more of its sender's disk than is on it (thesis §3.8), seen where the messages leave.

The rules of Raft hold what a core believes of its disk against what it sends. This holds what leaves against
the log itself, so that it also sees a node that lets a message go too early. The other way round, the rules
learn here of votes that leave ahead of Writes which wait for room, and of which the core hears later.
"""

from collections.abc import Callable

from raftkv.raft import Message
from raftkv.raft.ledger import vote_in
from raftkv.raft.messages import AppendEntriesReply, RequestVote, RequestVoteReply
from raftkv.raft.types import NO_NODE
from raftkv.sim.world import World

CHECK = "sent before durable"


class Claims:
    """Looks at every message of one run that leaves."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._look: dict[type, Callable[[Message], str | None]] = {
            RequestVote: self._vote,
            RequestVoteReply: self._vote,
            AppendEntriesReply: self._acknowledgement,
        }
        world.network.on_send.append(self.leaves)

    def leaves(self, message: Message) -> None:
        """Hold a message against its sender's log as it is on the disk now."""
        look = self._look.get(type(message))
        if look is not None and (found := look(message)) is not None:
            self._world.fail(CHECK, f"n{message.source}: {message} left, and the disk holds {found}")

    def _vote(self, message: Message) -> str | None:
        node = self._world.members[message.source].node
        if (candidate := vote_in(message)) == NO_NODE or node is None:
            return None
        stored = node.wal.hard_state
        if stored.term < message.term or (stored.term == message.term and stored.vote != candidate):
            return f"term {stored.term} with a vote for n{stored.vote}"
        self._world.observer.ledger.votes.setdefault((message.source, message.term), candidate)
        return None

    def _acknowledgement(self, message: Message) -> str | None:
        assert isinstance(message, AppendEntriesReply), f"{message} is dispatched wrongly"
        node = self._world.members[message.source].node
        if not message.success or node is None:
            return None
        term, last_index = node.wal.hard_state.term, node.wal.last_index
        if term < message.term or (term == message.term and last_index < message.index):
            return f"entries up to {last_index} in term {term}"
        return None
