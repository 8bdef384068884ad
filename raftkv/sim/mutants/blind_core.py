"""Bugs in the core, written from what goes wrong in such programs and not from what is checked."""

from raftkv.raft.core import Raft
from raftkv.raft.log import RaftLog
from raftkv.raft.membership import ConfigurationHistory
from raftkv.raft.messages import Heartbeat, Message
from raftkv.raft.progress import Progress
from raftkv.sim.mutants.mutant import Hardness, Mutant, Patch


def b1_no_empty_entry(patch: Patch) -> None:
    """Begin a leadership without an entry of the new term."""
    become_leader = Raft.become_leader

    def lead(self: Raft) -> None:
        self._append = lambda *_: None  # type: ignore[method-assign]
        try:
            become_leader(self)
        finally:
            del self._append

    patch.set(Raft, "become_leader", lead)


def b2_leads_alone(patch: Patch) -> None:
    """Go on leading without hearing of anybody."""
    patch.set(Raft, "check_quorum", lambda _: None)


def b3_snapshot_waited_for_ever(patch: Patch) -> None:
    """Never send a snapshot again that did not arrive."""
    patch.set(Progress, "lost_patience", lambda _: False)


def b4_base_term_of_the_next(patch: Patch) -> None:
    """After the log was cut, take the term of its first entry for that of the one before."""
    compact = RaftLog.compact

    def off_by_one(self: RaftLog, first_index: int) -> None:
        term = self.term(first_index)
        compact(self, first_index)
        if term is not None and self.first_index == first_index:
            self._base_term = term

    patch.set(RaftLog, "compact", off_by_one)


def b5_truncated_stays_durable(patch: Patch) -> None:
    """Let writes under way count for entries that were truncated meanwhile."""
    patch.set(RaftLog, "_not_durable_from", lambda *_: None)


def b6_configuration_not_rolled_back(patch: Patch) -> None:
    """Keep a configuration whose entry was truncated."""
    patch.set(ConfigurationHistory, "truncate_from", lambda *_: False)


def b7_commit_of_a_heartbeat(patch: Patch) -> None:
    """Send the leader's commit index in heartbeats, whatever the peer holds."""
    send = Raft._send

    def full(self: Raft, message: Message) -> None:
        if isinstance(message, Heartbeat):
            message = message._replace(commit=self.commit_index)
        send(self, message)

    patch.set(Raft, "_send", full)


MUTANTS = (
    Mutant(
        "B1",
        "no empty entry at the start of a leadership",
        b1_no_empty_entry,
        Hardness.HARD,
        remark="Nothing wrong comes of it, and while clients write nothing is late: "
        "a claim of `tests/raft` sees it",
    ),
    Mutant(
        "B2",
        "leader without a quorum goes on leading",
        b2_leads_alone,
        Hardness.HARD,
        remark="Nothing wrong comes of it: its reads and writes wait for a quorum, and the next leader's "
        "term ends it; a claim of `tests/raft` sees it",
    ),
    Mutant("B3", "lost snapshot never sent again", b3_snapshot_waited_for_ever, Hardness.HARD),
    Mutant("B4", "wrong term before the first entry after a cut", b4_base_term_of_the_next, Hardness.HARD),
    Mutant("B5", "writes count for entries truncated meanwhile", b5_truncated_stays_durable, Hardness.HARD),
    Mutant("B6", "configuration not rolled back", b6_configuration_not_rolled_back, Hardness.HARD),
    Mutant("B7", "heartbeat commits what the peer may lack", b7_commit_of_a_heartbeat, Hardness.HARD),
)
