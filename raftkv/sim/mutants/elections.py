"""Bugs of elections (thesis §3.4, §3.6.1, §9.6)."""

from collections.abc import Callable, Mapping, Sequence

from raftkv.raft import core
from raftkv.raft.core import Raft
from raftkv.raft.messages import RequestPreVote, RequestVote, RequestVoteReply
from raftkv.raft.quorum import VoteResult, majority, vote_result
from raftkv.raft.types import NO_NODE
from raftkv.sim.mutants.families import (
    ELECTION_SAFETY,
    LEADER_COMPLETENESS,
    LIVENESS,
    LOST_WRITE,
    QUORUM_DURABLE,
    SENT_IS_DURABLE,
    STATE_MACHINE_SAFETY,
)
from raftkv.sim.mutants.mutant import Hardness, Mutant, Patch
from raftkv.storage import wal
from raftkv.storage.changes import Change
from raftkv.storage.records import BatchHeader, encode_batch
from raftkv.storage.wal import Wal


def e1_vote_again(patch: Patch) -> None:
    """Give a vote without looking at ``voted_for``."""

    def grant(self: Raft, message: RequestVote) -> bool:
        return self.log_is_up_to_date(message.last_log_index, message.last_log_term)

    patch.set(Raft, "grant_vote", grant)


def e2_vote_leaves_early(patch: Patch) -> None:
    """Answer a RequestVote before the vote is on the disk."""
    is_durable = Raft.is_durable
    patch.set(
        Raft,
        "is_durable",
        lambda self, message: type(message) is RequestVoteReply or is_durable(self, message),
    )


def e3_term_not_stored(patch: Patch) -> None:
    """Store the term that the cluster began with."""

    def encode(marker: bytes, header: BatchHeader, payload: bytes) -> tuple[bytes, int]:
        hard_state = header.hard_state._replace(term=1)
        return encode_batch(marker, header._replace(hard_state=hard_state), payload)

    patch.set(wal, "encode_batch", encode)


def e4_term_and_vote_apart(patch: Patch) -> None:
    """Store the term, then the vote, by two writes: a crash between leaves the old vote in the new term."""
    append = Wal._append

    async def twice(self: Wal, change: Change) -> None:
        term = change.state.hard_state.term
        if term > self.hard_state.term:
            half = self.hard_state._replace(term=term)
            await append(self, Change([], 0, self._state._replace(hard_state=half)))
        await append(self, change)

    patch.set(Wal, "_append", twice)


def e6_longer_log_wins(patch: Patch) -> None:
    """Compare the length of the logs only."""
    patch.set(Raft, "log_is_up_to_date", lambda self, index, _term: index >= self.log.last_index)


def e7_equal_log_loses(patch: Patch) -> None:
    """Demand a log that is more up to date than the voter's."""
    patch.set(
        Raft,
        "log_is_up_to_date",
        lambda self, index, term: (term, index) > (self.log.last_term, self.log.last_index),
    )


def e9_learners_count(patch: Patch) -> None:
    """Count learners towards the majorities of votes and of commitment."""

    def count(voters: Sequence[int], votes: Mapping[int, bool]) -> VoteResult:
        if sum(votes.values()) >= majority(voters):
            return VoteResult.WON
        return vote_result(voters, votes)

    def acknowledged(self: Raft) -> int:
        values = sorted(map(self._durable_at, self.configuration.members), reverse=True)
        return values[majority(self.configuration.voters) - 1]

    def advance(self: Raft) -> None:
        index = acknowledged(self)
        if index > self.commit_index and self.log.term(index) == self.current_term:
            self.commit_index = index
            self.leave_when_removed()

    patch.set(core, "vote_result", count)
    patch.set(Raft, "_other_voters", Raft._peers)
    patch.set(Raft, "advance_commit", advance)


def e10_half_is_enough(patch: Patch) -> None:
    """Take half of an even number of voters for a majority."""

    def needed(voters: Sequence[int]) -> int:
        return (len(voters) + 1) // 2

    def acknowledged(voters: Sequence[int], by: Callable[[int], int]) -> int:
        return sorted(map(by, voters), reverse=True)[needed(voters) - 1]

    def count(voters: Sequence[int], votes: Mapping[int, bool]) -> VoteResult:
        if sum(votes.get(voter) is True for voter in voters) >= needed(voters):
            return VoteResult.WON
        return vote_result(voters, votes)

    patch.set(core, "acknowledged_by_majority", acknowledged)
    patch.set(core, "vote_result", count)


def e11_pre_vote_binds(patch: Patch) -> None:
    """Let a RequestPreVote raise the term."""
    on_request_pre_vote = Raft.on_request_pre_vote

    def binding(self: Raft, message: RequestPreVote) -> None:
        if message.term > self.current_term:
            self.become_follower(message.term, NO_NODE)
        on_request_pre_vote(self, message)

    patch.set(Raft, "on_request_pre_vote", binding)


def e12_no_randomness(patch: Patch) -> None:
    """Wait equally long before every election, on every member."""

    def reset(self: Raft) -> None:
        self._election_elapsed, self._election_timeout = 0, self.election_ticks

    patch.set(Raft, "reset_election_timer", reset)


MUTANTS = (
    Mutant("E1", "vote given without looking at votedFor", e1_vote_again, Hardness.EASY, ELECTION_SAFETY),
    Mutant(
        "E2",
        "votedFor not persisted before the reply",
        e2_vote_leaves_early,
        Hardness.HARD,
        (*ELECTION_SAFETY, *SENT_IS_DURABLE),
    ),
    Mutant(
        "E3",
        "currentTerm not persisted",
        e3_term_not_stored,
        Hardness.MEDIUM,
        (*LEADER_COMPLETENESS, *LOST_WRITE, *SENT_IS_DURABLE),
    ),
    Mutant(
        "E4",
        "term and vote stored by two writes",
        e4_term_and_vote_apart,
        Hardness.HARD,
        (*ELECTION_SAFETY, *SENT_IS_DURABLE),
    ),
    Mutant(
        "E6",
        "up-to-date check compares the length only",
        e6_longer_log_wins,
        Hardness.EASY,
        (*LEADER_COMPLETENESS, *LOST_WRITE),
    ),
    Mutant("E7", "equal logs refused", e7_equal_log_loses, Hardness.MEDIUM, LIVENESS),
    Mutant(
        "E9",
        "learners counted in quorums",
        e9_learners_count,
        Hardness.MEDIUM,
        (*ELECTION_SAFETY, *QUORUM_DURABLE),
    ),
    Mutant(
        "E10",
        "quorum of an even cluster is n/2",
        e10_half_is_enough,
        Hardness.EASY,
        (*ELECTION_SAFETY, *QUORUM_DURABLE, *STATE_MACHINE_SAFETY),
    ),
    Mutant(
        "E11",
        "pre-vote changes the term",
        e11_pre_vote_binds,
        Hardness.MEDIUM,
        (*LIVENESS, "rule pre_vote_changes_nothing"),
    ),
    Mutant("E12", "no randomness in the election time-out", e12_no_randomness, Hardness.EASY, LIVENESS),
)
