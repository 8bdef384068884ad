"""The contract between a consensus core and whoever runs it.

A core takes values and gives values: no clock (time is ``tick``), no chance but an injected
``Random``, no files, sockets, tasks or threads. The node, the simulator and the tests use only this.
The loop of a host is::

    while (ready := core.ready()) is not None:
        send(ready.messages)
        store(ready.write)            # later: core.persisted(write.number); send(write.after)
        apply(ready.committed)        # then:  core.applied(last index)
"""

from typing import ClassVar, Protocol

from raftkv.raft.messages import Message
from raftkv.raft.ready import Ready
from raftkv.raft.types import Change, Part, PeerEvent, Snapshot, Status


class Consensus(Protocol):
    """One member's consensus core."""

    parts: ClassVar[frozenset[Part]]
    """What this core has beyond figure 3.1."""

    def tick(self, intervals: int = 1) -> None:
        """Let one heartbeat interval pass for elections and heartbeats.

        ``intervals`` is how many really passed since the call before: ticks that a stall swallowed are
        dropped, but a lease must know of them.
        """

    def step(self, message: Message) -> None:
        """Take a message that arrived for this member. Raises ``MemberRemoved``: stop for good."""

    def propose(self, data: bytes) -> None:
        """Append a command, or send it to the leader.

        Raises ``NoLeader``, ``LeaderMoving`` or ``TooManyRequests``: then the command certainly was
        not appended.
        Returning promises nothing: only the entry in ``Ready.committed`` does.
        """

    def read_index(self, context: int) -> None:
        """Ask for an index at which a linearizable read may be served (thesis §6.4).

        The answer, if one comes, is a ``ReadState`` with this context; ask again under a new context
        when none came. Raises ``NoLeader``.
        """

    def propose_change(self, change: Change, context: bytes) -> None:
        """Append a configuration change, on the leader; ``context`` is the state machine's.

        Raises ``NotLeader``, ``ChangeRefused`` (thesis §4.1: one at a time, after an entry of this term
        is committed, never a removed id again, a learner only when it has caught up).
        """

    def transfer_leadership(self, target: int) -> None:
        """Hand leadership to a voter (thesis §3.10); given up after an election time-out.

        Raises ``NotLeader``, ``BadTransferee``.
        """

    def report(self, peer: int, event: PeerEvent) -> None:
        """Take a hint of the transport about a peer."""

    def ready(self) -> Ready | None:
        """Return the effects due now, or None. May be called while writes are in flight."""

    def persisted(self, number: int) -> None:
        """Take note that every Write up to ``number`` is durable."""

    def applied(self, index: int) -> None:
        """Take note that every committed entry up to ``index`` is applied."""

    def compacted(self, snapshot: Snapshot, first_index: int) -> None:
        """Take note that a durable snapshot stands for the log up to its index.

        Entries below ``first_index`` (at most the one after the snapshot) are given up; those from
        there on stay for followers that are a little behind.
        """

    def status(self) -> Status:
        """Return the member as seen from outside."""
