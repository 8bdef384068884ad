"""Bugs with a history, each put into the reference core as an override of one of its rules.

The names are those of the project's catalogue: E elections, L log and commitment, R reads,
S snapshots, M changes of the members. None of them
may survive: ``python -m tests.raft.matrix`` prints which test finds which.
"""

from collections.abc import Sequence

from raftkv.raft import HardState
from raftkv.raft.core import Raft
from raftkv.raft.membership import ConfigurationHistory
from raftkv.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    PreVoteReply,
    RequestPreVote,
    RequestVote,
    RequestVoteReply,
)
from raftkv.raft.progress import Progress
from raftkv.raft.quorum import VoteResult, acknowledged_by_majority, vote_result
from raftkv.raft.ready import Write
from raftkv.raft.types import NO_NODE, Change, Configuration, Entry, Role, Snapshot


class E1(Raft):
    """A vote is given without a look at the vote given before."""

    def grant_vote(self, message: RequestVote) -> bool:
        return self.log_is_up_to_date(message.last_log_index, message.last_log_term)


class E2(Raft):
    """A vote leaves before it is on disk."""

    def is_durable(self, message: Message) -> bool:
        return isinstance(message, RequestVoteReply) or super().is_durable(message)


class E3(Raft):
    """The term is not stored: a restarted member begins with that of its log."""

    def _next_write(self) -> Write | None:
        write = super()._next_write()
        if write is None or write.hard_state is None:
            return write
        return write._replace(hard_state=HardState(1, NO_NODE, write.hard_state.commit))


class E6(Raft):
    """Only the length of the logs is compared, not their last terms."""

    def log_is_up_to_date(self, last_log_index: int, last_log_term: int) -> bool:
        return last_log_index >= self.log.last_index


class E7(Raft):
    """A candidate with an equal log is refused."""

    def log_is_up_to_date(self, last_log_index: int, last_log_term: int) -> bool:
        return (last_log_term, last_log_index) > (self.log.last_term, self.log.last_index)


class E10(Raft):
    """Half of an even cluster passes for a majority."""

    def _count_vote(self, voter: int, *, granted: bool) -> None:
        self._votes.setdefault(voter, granted)
        voters = self.configuration.voters
        enough = 2 * sum(self._votes.values()) >= len(voters)
        if enough and self.role is Role.PRE_CANDIDATE:
            self.campaign()
        elif enough:
            self.become_leader()
        elif vote_result(voters, self._votes) is VoteResult.LOST:
            self.become_follower(self.current_term, NO_NODE)


class E11(Raft):
    """A request for a pre-vote raises the term of who gets it."""

    def on_request_pre_vote(self, message: RequestPreVote) -> None:
        super().on_request_pre_vote(message)
        if message.term > self.current_term:
            self.become_follower(message.term, NO_NODE)


class E12(Raft):
    """The election time-out is the same every time, for everybody."""

    def reset_election_timer(self) -> None:
        self._election_elapsed = 0
        self._election_timeout = self.election_ticks


class E9(Raft):
    """A learner is counted for the commit index."""

    def advance_commit(self) -> None:
        index = acknowledged_by_majority(self.configuration.members, self._durable_at)
        if index > self.commit_index and self.log.term(index) == self.current_term:
            self.commit_index = index
            self._uncommitted_bytes = 0
            self.leave_when_removed()


class L1(Raft):
    """An entry of an older term is committed by counting (figure 8)."""

    def advance_commit(self) -> None:
        held = sorted(map(self._durable_at, self.configuration.voters), reverse=True)
        self.commit_index = max(self.commit_index, held[len(held) // 2])


class L2(Raft):
    """Everything after a message's entries is cut off, also when nothing conflicts."""

    def merge_entries(self, entries: Sequence[Entry]) -> None:
        super().merge_entries(entries)
        if entries and entries[-1].index < self.log.last_index:
            self.log.truncate_from(entries[-1].index + 1)


class L3(Raft):
    """A conflicting entry is left where it is; only what lies beyond the log's end is appended."""

    def merge_entries(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if entry.index > self.log.last_index:
                self.log.append(entry)


class L4(Raft):
    """The term of the previous entry is not compared."""

    def check_previous(self, prev_index: int, prev_term: int) -> bool:
        return self.log.term(prev_index) is not None


class L6(Raft):
    """A follower commits what the leader has committed, without a look at where its own log agrees."""

    def follow_commit(self, leader_commit: int, last_new: int) -> None:
        super().follow_commit(leader_commit, self.log.last_index)

    def send_heartbeats(self) -> None:
        matches = {peer: progress.match_index for peer, progress in self.progress.items()}
        for progress in self.progress.values():
            progress.match_index = self.commit_index
        super().send_heartbeats()
        for peer, progress in self.progress.items():
            progress.match_index = matches[peer]


class L7(Raft):
    """A leader keeps the match indexes of an earlier leadership."""

    def become_leader(self) -> None:
        super().become_leader()
        for peer, match in getattr(self, "remembered", {}).items():
            self.progress[peer].match_index = min(match, self.progress[peer].next_index - 1)

    def become_follower(self, term: int, leader: int) -> None:
        if self.progress:
            self.remembered = {peer: progress.match_index for peer, progress in self.progress.items()}
        super().become_follower(term, leader)


class L9(Raft):
    """Entries are acknowledged before they are on disk."""

    def is_durable(self, message: Message) -> bool:
        if isinstance(message, AppendEntriesReply) and message.success:
            return self._durable.term == message.term
        return super().is_durable(message)


class L10(Raft):
    """A leader counts its own entries before its own disk has them."""

    def _durable_at(self, voter: int) -> int:
        return self.log.last_index if voter == self.node_id else super()._durable_at(voter)


class L11(Raft):
    """An answer that was overtaken takes the match index back."""

    def on_append_reply(self, message: AppendEntriesReply) -> None:
        super().on_append_reply(message)
        progress = self.progress.get(message.source)
        if self.role is Role.LEADER and progress is not None and message.success:
            progress.match_index = min(message.index, self.log.last_index)


class R1(Raft):
    """A leader serves reads without asking a majority."""

    def start_read_round(self) -> None:
        if self.reads.may_start and self.may_read():
            self.reads.start(self.commit_index)
            for request in self.reads.confirm(self.reads.round + 1):
                self._release(request, self.reads.index)


class R2(Raft):
    """A leader serves reads before an entry of its own term is committed."""

    def may_read(self) -> bool:
        return True


class R5(Raft):
    """A pause of the process does not shorten the lease."""

    def tick(self, intervals: int = 1) -> None:
        super().tick()


class R7(Raft):
    """A voter forgets, with its leader's term or its own restart, that a lease may run on."""

    def step(self, message: Message) -> None:
        self._promised = False
        super().step(message)


class S1(Raft):
    """A snapshot throws away the newer entries of the log."""

    def on_install_snapshot(self, message: InstallSnapshot) -> None:
        self.follow(message.source)
        snapshot = message.snapshot
        if snapshot.index > self.commit_index:
            self.install_snapshot(snapshot)
        index = max(snapshot.index, self.commit_index)
        self._send_append_reply(message.source, index, success=True)


class S4(Raft):
    """A snapshot leaves the configuration as it was."""

    def install_snapshot(self, snapshot: Snapshot) -> None:
        before = self.configuration
        super().install_snapshot(snapshot)
        self.configurations = ConfigurationHistory(snapshot.index, before, ())


class M1(Raft):
    """A change of the members does not wait for the one before."""

    def check_change(self, change: Change) -> None:
        if self.configurations.latest_index <= self.commit_index:
            super().check_change(change)


class M2(Raft):
    """A change does not wait for an entry of the leader's term (the bug of 2015)."""

    def check_change(self, change: Change) -> None:
        if self.may_read():
            super().check_change(change)


class M3(Raft):
    """A configuration takes force only when it is committed."""

    @property
    def configuration(self) -> Configuration:
        return self.configurations.at(self.commit_index)


class M5(Raft):
    """A leader that removed itself leads on."""

    def leave_when_removed(self) -> None:
        pass


class M6(Raft):
    """Who was removed is never told, and asks for votes for ever."""

    def is_removed(self, member: int) -> bool:
        return False


class M8(Raft):
    """The target of a transfer stands before it has all entries."""

    def finish_transfer(self, peer: int) -> None:
        match_index = self.progress[peer].match_index if peer in self.progress else 0
        if peer == self.transferee and match_index < self.log.last_index:
            self.progress[peer].match_index = self.log.last_index
            super().finish_transfer(peer)
            self.progress[peer].match_index = match_index
        else:
            super().finish_transfer(peer)


class ProposalsWhileMoving(Raft):
    """A leader takes proposals while leadership moves."""

    def propose(self, data: bytes) -> None:
        target, self.transferee = self.transferee, NO_NODE
        super().propose(data)
        self.transferee = target


class LearnerVotes(Raft):
    """The votes of learners count."""

    def _count_vote(self, voter: int, *, granted: bool) -> None:
        self._votes.setdefault(voter, granted)
        if vote_result(self.configuration.members, self._votes) is VoteResult.WON:
            self._votes = dict.fromkeys(self.configuration.voters, True)
        super()._count_vote(voter, granted=granted)


class NoFallBack(Raft):
    """A truncated configuration stays in force."""

    def truncate_from(self, index: int) -> None:
        configurations, changed = self.configurations, self._configuration_changed
        self.configurations = ConfigurationHistory(0, self.configuration, ())
        super().truncate_from(index)
        self.configurations, self._configuration_changed = configurations, changed


class TellsTooEarly(Raft):
    """Who is removed by a change that is not committed is told so."""

    def is_removed(self, member: int) -> bool:
        return member in self.configuration.removed


class OnlyMembersStand(Raft):
    """Who is being removed does not stand, though its log may be needed."""

    def may_campaign(self) -> bool:
        return self.node_id in self.configuration.voters


class PromotesAnyone(Raft):
    """A learner is promoted wherever it is."""

    def check_change(self, change: Change) -> None:
        if change.member in self.progress:
            progress = self.progress[change.member]
            match_index, progress.match_index = progress.match_index, self.log.last_index
            try:
                super().check_change(change)
            finally:
                progress.match_index = match_index
        else:
            super().check_change(change)


class LateSnapshot(Raft):
    """An own snapshot that is late replaces a newer one."""

    def compacted(self, snapshot: Snapshot, first_index: int) -> None:
        super().compacted(snapshot, first_index)
        self.snapshot = snapshot


class NoStickiness(Raft):
    """Who hears a leader votes all the same."""

    def hears_leader(self) -> bool:
        return False


class TermFreesVoter(Raft):
    """A voter that hears of a higher term is free of what it promised to its leader."""

    def on_pre_vote_reply(self, message: PreVoteReply) -> None:
        self._promised = False
        super().on_pre_vote_reply(message)


class TermOfOldAnswers(Raft):
    """An answer of an older term counts."""

    def on_lower_term(self, message: Message) -> bool:
        super().on_lower_term(message)
        return isinstance(message, AppendEntriesReply | HeartbeatReply | RequestVoteReply)


class SameRound(Raft):
    """Reads that come while a round is under way are answered with it."""

    def read_index(self, context: int) -> None:
        super().read_index(context)
        if self.role is Role.LEADER and self.reads._under_way:
            self.reads._under_way += self.reads._waiting
            self.reads._waiting = []


class NoCheckQuorum(Raft):
    """A leader that reaches nobody leads on for ever."""

    def check_quorum(self) -> None:
        pass


class ForgetsProbe(Raft):
    """A lost probe is never sent again."""

    def on_heartbeat_reply(self, message: HeartbeatReply) -> None:
        progress = self.progress.get(message.source)
        sent = progress is not None and progress.probe_sent
        super().on_heartbeat_reply(message)
        if progress is not None:
            progress.probe_sent = sent


class NoRepairByHeartbeat(Raft):
    """What was sent ahead and lost is never looked for."""

    def on_heartbeat_reply(self, message: HeartbeatReply) -> None:
        progress: Progress | None = self.progress.get(message.source)
        if progress is not None:
            progress.confirmed_round = max(progress.confirmed_round, message.round)
            progress.probe_sent = False
            self.release_reads()


class SlowBackup(Raft):
    """After a refusal the leader goes back by one entry only."""

    def backup_next_index(self, message: AppendEntriesReply) -> int:
        return message.index


class AnyLeader(Raft):
    """A candidate does not yield to the leader of its term."""

    def on_append_entries(self, message: AppendEntries) -> None:
        if self.role is Role.FOLLOWER:
            super().on_append_entries(message)

    def follow(self, leader: int) -> None:
        if self.role is Role.FOLLOWER:
            super().follow(leader)


CATALOGUE: dict[str, type[Raft]] = {
    mutant.__name__: mutant
    for mutant in (
        *(E1, E2, E3, E6, E7, E9, E10, E11, E12),
        *(L1, L2, L3, L4, L6, L7, L9, L10, L11),
        *(R1, R2, R5, R7, S1, S4),
        *(M1, M2, M3, M5, M6, M8),
    )
}
"""The rows of the catalogue that live in the core."""

FURTHER: dict[str, type[Raft]] = {
    mutant.__name__: mutant
    for mutant in (
        ProposalsWhileMoving,
        LearnerVotes,
        NoFallBack,
        TellsTooEarly,
        OnlyMembersStand,
        PromotesAnyone,
        LateSnapshot,
        NoStickiness,
        TermFreesVoter,
        TermOfOldAnswers,
        SameRound,
        NoCheckQuorum,
        ForgetsProbe,
        NoRepairByHeartbeat,
        SlowBackup,
        AnyLeader,
    )
}
"""Others, found while reading the core."""
