"""No message says more of its sender's disk than is on it (thesis §3.8), seen where the messages leave.

The rules of Raft hold what a core believes of its disk against what it sends. This holds what leaves against
the log itself, so that it also sees a node that lets a message go too early. The other way round, the rules
learn here of votes that leave ahead of Writes which wait for room, and of which the core hears later.
"""

from collections.abc import Callable

from raftkv.raft import Message
from raftkv.raft.ledger import vote_in
from raftkv.raft.messages import (
    AppendEntriesReply,
    PreVoteReply,
    RequestPreVote,
    RequestVote,
    RequestVoteReply,
)
from raftkv.raft.types import NO_NODE
from raftkv.sim.world import World
from raftkv.storage.wal import Wal

CHECK = "sent before durable"

PROMISE_NOTHING = (RequestPreVote, PreVoteReply)
"""Messages that speak of a term that nobody is in yet (§9.6)."""


class Claims:
    """Looks at every message of one run that leaves."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._look: dict[type, Callable[[Message, Wal], str | None]] = {
            RequestVote: self._vote,
            RequestVoteReply: self._vote,
            AppendEntriesReply: _acknowledgement,
        }
        world.network.on_send.append(self.leaves)

    def leaves(self, message: Message) -> None:
        """Hold a message against its sender's log as it is on the disk now."""
        node, kind = self._world.members[message.source].node, type(message)
        if node is None or kind in PROMISE_NOTHING:
            return
        term, found = node.wal.hard_state.term, None
        if term < message.term:
            found = f"term {term}"
        elif term == message.term and (look := self._look.get(kind)) is not None:
            found = look(message, node.wal)
        if found is not None:
            self._world.fail(CHECK, f"n{message.source}: {message} left, and the disk holds {found}")

    def _vote(self, message: Message, wal: Wal) -> str | None:
        if (candidate := vote_in(message)) == NO_NODE:
            return None
        if wal.hard_state.vote != candidate:
            return f"a vote for n{wal.hard_state.vote}"
        self._world.observer.ledger.votes.setdefault((message.source, message.term), candidate)
        return None


def _acknowledgement(message: Message, wal: Wal) -> str | None:
    assert isinstance(message, AppendEntriesReply), f"{message} is dispatched wrongly"
    return f"entries up to {wal.last_index}" if message.success and wal.last_index < message.index else None
