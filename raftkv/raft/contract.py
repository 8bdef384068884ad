"""The contract between a consensus core and whoever runs it.

A core takes values and gives values: no clock (time is ``tick``), no chance but an injected
``Random``, no files, sockets, tasks or threads. The node, the simulator and the tests use only this.
The loop of a host is::

    while (ready := core.ready()) is not None:
        send(ready.messages)
        store(ready.write)            # later: core.persisted(write.number); send(write.after)
        apply(ready.committed)        # then:  core.applied(last index)

Writes are stored in order, each all or nothing: what a crash leaves of the disk is a prefix of them. (Half
of one could leave a commit index beside entries that it does not speak of.) Several may be stored together
and acknowledged with the number of the last.

Messages follow the log, not the state machine. A new member is sent to as soon as its configuration entry is
appended: as the second voter of a cluster, it must answer before that can be committed. A removed one is sent
to for as long as ``status().peers`` names it. Who is not in the configuration here is answered all the same:
it may lead by an entry that is still to come (thesis §4.1), or must be told that it was removed (§4.2.3). So
the host takes addresses from the context of the configuration entries in ``Write.entries`` before it sends
the messages of that Ready, keeps those of members that left, and answers a member whose address it lacks on
the link that its message came by.

A snapshot that a leader sent comes in this order (thesis §5.3):

1. The host receives the file, under a name that does not count yet, and then hands the ``InstallSnapshot``
   to ``step``. Until then the core knows nothing of it, and anything may be called.
2. If the core takes it, the next Write names it in ``Write.snapshot``; if that Write names none, or another
   one, the file is not needed. This is how the host learns that its state machine is to be replaced. What
   ``committed`` gave out before is older than the snapshot: the host applies it or drops it.
3. The host stores the Write. The file is durable, under its name, before the record that names it, and that
   is one step with the Write's term, vote and entries: a crash before it leaves the old log.
4. The host loads the file, and puts the new state machine in the place of the old one.
5. It calls ``applied(snapshot.index)``,
6. and only then ``persisted(write.number)``; ``write.after``, where the acknowledgement is, may leave now.
   The next ``ready`` may give out entries that follow the snapshot.

Between 2 and 6 no entry is given out; ``status`` speaks of the log behind the snapshot already, and reads may
be released at indexes that are not applied yet. All may be called but ``applied`` with a higher index and
``compacted`` with the new snapshot; with an older one, of the old state machine, ``compacted`` is ignored.
Another ``InstallSnapshot``, newer still, may come: its Write follows, and the same holds for it.

Later Writes wait for 6, and so does a vote. A load that takes long is therefore better done before 2, aside,
so that 4 only changes one state machine for the other.
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
        dropped, but a lease must know of them. Where reads rest on a lease, the host looks at its clock
        before each ``ready``, and calls this first if an interval has passed (thesis §6.4.1).
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

        Raises ``NotLeader``, ``LeaderMoving``, ``ChangeRefused`` (thesis §4.1: one at a time, after an
        entry of this term is committed, never a removed id again, a learner only when it has caught up).
        """

    def transfer_leadership(self, target: int) -> None:
        """Hand leadership to a voter (thesis §3.10); given up after an election time-out.

        Asking again for the same voter tells it again, and gives it no more time; another one has its own.
        A transfer does not keep a leader in office that reaches no majority.

        Raises ``NotLeader``, ``BadTransferee``.
        """

    def report(self, peer: int, event: PeerEvent) -> None:
        """Take a hint of the transport about a peer. It sends nothing by itself that ``ready`` must repeat.

        UNREACHABLE: messages to it were lost; CONNECTED: it can be reached again. Neither is about a
        snapshot under way. SNAPSHOT_FAILED: the file of the last ``InstallSnapshot`` will not arrive. The
        leader then sends a snapshot again after an election time-out, counted from the first report: the
        transport may report as often as it likes. There is no report of success: that is the peer's
        acknowledgement. As that may be lost, a peer that answers heartbeats is asked what it has. Without
        news for ten election time-outs the leader sends again, perhaps a newer one; a transport that is still
        busy with the file drops such a message.
        """

    def ready(self) -> Ready | None:
        """Return the effects due now, or None. May be called while writes are in flight."""

    def persisted(self, number: int) -> None:
        """Take note that every Write up to ``number`` is durable, and its snapshot loaded."""

    def applied(self, index: int) -> None:
        """Take note that every committed entry up to ``index`` is applied, or in a snapshot that is loaded.

        In order: never with an index below one that was told before.
        """

    def compacted(self, snapshot: Snapshot, first_index: int) -> None:
        """Take note that a durable snapshot of what is applied here stands for the log up to its index.

        It names the configuration as of its index, from the entries applied: not the one in force, which
        may be uncommitted. The host keeps its file until a newer one is told of, and while it is sent.

        Entries below ``first_index`` (at most the one after the snapshot) are given up; those from
        there on stay for followers that are a little behind.
        """

    def status(self) -> Status:
        """Return the member as seen from outside."""
