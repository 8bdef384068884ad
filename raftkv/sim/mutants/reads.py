"""Bugs of linearizable reads (thesis §6.4)."""

from collections.abc import Callable

from raftkv.node.barrier import ReadBarrier
from raftkv.node.node import Node
from raftkv.raft import ReadState
from raftkv.raft.core import Raft
from raftkv.raft.messages import Message, RequestVote
from raftkv.raft.reads import LeaderLease
from raftkv.raft.ready import Ready
from raftkv.sim.mutants.families import FRESH_READS
from raftkv.sim.mutants.mutant import Hardness, Mutant, Patch


def r1_no_round(patch: Patch) -> None:
    """Serve a leader's reads without asking whether it still leads."""

    def at_once(self: Raft) -> None:
        if self.may_read():
            for request in self.reads.take_waiting():
                self._release(request, self.commit_index)

    patch.set(Raft, "start_read_round", at_once)


def r2_before_own_commit(patch: Patch) -> None:
    """Take the read index before an entry of this term is committed."""

    def start(self: Raft) -> None:
        if self.reads.may_start:
            self.reads.start(self.commit_index)
            self.send_heartbeats()

    patch.set(Raft, "start_read_round", start)


def r4_before_applied(patch: Patch) -> None:
    """Serve a read as soon as its index is known."""
    take = ReadBarrier.take

    def at_once(self: ReadBarrier, state: ReadState, applied_index: int) -> None:
        take(self, state, max(applied_index, state.index))

    patch.set(ReadBarrier, "take", at_once)


def r5_lease_outlives_a_pause(patch: Patch) -> None:
    """Count the ticks that ran, not the time that passed."""

    def passed(self: LeaderLease, _intervals: int) -> None:
        self._now += 1

    def next_ready(self: Node) -> Ready | None:
        return self._core.ready()

    patch.set(LeaderLease, "passed", passed)
    patch.set(Node, "_next_ready", next_ready)


def r7_lease_not_waited_out(patch: Patch) -> None:
    """Vote although a leader was heard within the least election time-out."""
    on_higher_term = Raft.on_higher_term

    def obey(self: Raft, message: Message) -> bool:
        if isinstance(message, RequestVote):
            message = message._replace(transfer=True)
        return on_higher_term(self, message)

    patch.set(Raft, "on_higher_term", obey)
    patch.set(Raft, "hears_leader", lambda _: False)
    patch.set(Raft, "on_request_vote", _vote_whatever_was_promised(Raft.on_request_vote))


Handler = Callable[[Raft, RequestVote], None]


def _vote_whatever_was_promised(on_request_vote: Handler) -> Handler:
    def vote(self: Raft, message: RequestVote) -> None:
        self._promised = False
        on_request_vote(self, message)

    return vote


MUTANTS = (
    Mutant("R1", "reads without a quorum round", r1_no_round, Hardness.EASY, FRESH_READS),
    Mutant(
        "R2", "read index before the term's first commit", r2_before_own_commit, Hardness.MEDIUM, FRESH_READS
    ),
    Mutant("R4", "read before its index is applied", r4_before_applied, Hardness.MEDIUM, FRESH_READS),
    Mutant(
        "R5", "lease outlives a pause", r5_lease_outlives_a_pause, Hardness.MEDIUM, FRESH_READS, "lease-reads"
    ),
    Mutant(
        "R7",
        "new leader does not wait out the lease",
        r7_lease_not_waited_out,
        Hardness.HARD,
        FRESH_READS,
        "lease-reads",
        remark="Who does not hear the leader soon lacks entries, and gets no vote for that reason alone: "
        "an election within a lease takes a moment without writes; a claim of `tests/raft` sees it",
    ),
)
