"""A second, short core: figure 3.1 of the thesis (figure 2 of the paper) and nothing else.

Elections, replication and the commit rule, one message at a time to each peer; no pre-vote, pipelining,
forwarding, snapshots or changes of the members. It is here to be read beside the figure, and to show
that the contract asks for no more than Raft: the claims about these rules hold for it too.

It is also simpler in how it keeps its promises: whatever it has to say waits for the next Write, so
nothing ever leaves before all that it says is durable. ``ready`` gives out one Write at a time.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from raftkv.errors import BadTransferee, ChangeRefused, NoLeader, NotLeader
from raftkv.raft.log import RaftLog
from raftkv.raft.membership import ConfigurationHistory
from raftkv.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Message,
    RequestVote,
    RequestVoteReply,
)
from raftkv.raft.quorum import VoteResult, acknowledged_by_majority, vote_result
from raftkv.raft.ready import Ready, Write
from raftkv.raft.types import (
    NO_NODE,
    Change,
    Configuration,
    Entry,
    EntryKind,
    HardState,
    Part,
    PeerEvent,
    PeerStatus,
    Role,
    Snapshot,
    Status,
)
from raftkv.trace import Emit, LeaderChanged, RoleChanged, VoteCast, discard

if TYPE_CHECKING:
    from random import Random

MAX_ENTRIES = 64
"""Entries in one AppendEntries."""


class Figure2:
    """One member's core; fulfils ``raftkv.raft.contract.Consensus``."""

    parts: ClassVar[frozenset[Part]] = frozenset()

    def __init__(
        self,
        node_id: int,
        entries: Sequence[Entry],
        hard_state: HardState,
        *,
        rng: "Random",
        election_ticks: int = 10,
        emit: Emit = discard,
    ) -> None:
        """Start from what the disk held; ``entries`` begin with the bootstrap configuration."""
        self.node_id = node_id
        self.configuration = ConfigurationHistory(0, Configuration(()), entries).latest
        # Persistent state on all servers.
        self.current_term, self.voted_for = hard_state.term, hard_state.vote
        self.log = RaftLog(entries)
        # Volatile state on all servers.
        self.commit_index = min(hard_state.commit, self.log.last_index)
        self.last_applied = 0
        self.role, self.leader = Role.FOLLOWER, NO_NODE
        # Volatile state on leaders.
        self.next_index: dict[int, int] = {}
        self.match_index: dict[int, int] = {}
        self._votes: dict[int, bool] = {}
        self._rng, self._election_ticks, self._emit = rng, election_ticks, emit
        self._elapsed = self._timeout = 0
        self._durable = self._stored = hard_state
        self._number = 0
        self._writing = False
        self._outbox: list[Message] = []
        self._given_out = 0
        self._told_configuration = False
        self._reset_timer()

    # ---------------------------------------------------------------- rules for servers

    def tick(self, intervals: int = 1) -> None:
        """Followers and candidates: elections by time-out. Leaders: an AppendEntries to everybody."""
        self._elapsed += 1
        if self.role is Role.LEADER:
            for peer in self._peers():
                self.send_append(peer)
        elif self._elapsed >= self._timeout and self.node_id in self.configuration.voters:
            self.campaign()

    def step(self, message: Message) -> None:
        """All servers: a higher term makes a follower; then the receiver's rules."""
        if message.source not in self.configuration.voters:
            return
        match message:
            case RequestVote() | RequestVoteReply() | AppendEntries() | AppendEntriesReply():
                if message.term > self.current_term:
                    self.become_follower(message.term, NO_NODE)
        match message:
            case RequestVote():
                self.on_request_vote(message)
            case RequestVoteReply() if message.term == self.current_term:
                self.on_vote_reply(message)
            case AppendEntries():
                self.on_append_entries(message)
            case AppendEntriesReply() if message.term == self.current_term:
                self.on_append_reply(message)

    def become_follower(self, term: int, leader: int) -> None:
        """Follow ``leader``, or nobody yet, in ``term``."""
        if term > self.current_term:
            self.current_term, self.voted_for = term, NO_NODE
        if self.role is Role.LEADER:
            self._reset_timer()
        self._change_role(Role.FOLLOWER, leader)

    # ---------------------------------------------------------------- candidates

    def campaign(self) -> None:
        """Increment the term, vote for oneself, reset the timer, ask everybody else."""
        self.current_term += 1
        self.voted_for = self.node_id
        self._reset_timer()
        self._change_role(Role.CANDIDATE, NO_NODE)
        for peer in self._peers():
            last = self.log.last_index, self.log.last_term
            self._outbox.append(RequestVote(self.node_id, peer, self.current_term, *last))
        self._votes = {}
        self._count_vote(self.node_id, granted=True)

    def on_vote_reply(self, message: RequestVoteReply) -> None:
        """Votes from a majority of servers: become leader."""
        if self.role is Role.CANDIDATE:
            self._count_vote(message.source, granted=message.granted)

    def _count_vote(self, voter: int, *, granted: bool) -> None:
        self._votes[voter] = granted
        if vote_result(self.configuration.voters, self._votes) is VoteResult.WON:
            self.become_leader()

    def become_leader(self) -> None:
        """Know nothing of the others; an empty entry lets what is before it commit (§6.4)."""
        self._change_role(Role.LEADER, self.node_id)
        self.next_index = dict.fromkeys(self._peers(), self.log.last_index + 1)
        self.match_index = dict.fromkeys(self._peers(), 0)
        self._append(EntryKind.NOOP, b"")
        for peer in self._peers():
            self.send_append(peer)

    # ---------------------------------------------------------------- RequestVote

    def on_request_vote(self, message: RequestVote) -> None:
        """Reply false if term < currentTerm; else grant if the vote is free and the log up to date."""
        granted = message.term == self.current_term and self.grant_vote(message)
        if granted:
            self.voted_for = message.source
            self._reset_timer()
        self._emit(VoteCast(message.source, message.term, granted, pre_vote=False))
        self._outbox.append(RequestVoteReply(self.node_id, message.source, self.current_term, granted))

    def grant_vote(self, message: RequestVote) -> bool:
        """Grant if votedFor is null or the candidate, and its log is at least as up to date as ours."""
        return self.voted_for in (NO_NODE, message.source) and (
            message.last_log_term,
            message.last_log_index,
        ) >= (self.log.last_term, self.log.last_index)

    # ---------------------------------------------------------------- AppendEntries

    def send_append(self, peer: int) -> None:
        """Send what follows nextIndex - 1; without entries it is the heartbeat."""
        prev_index = self.next_index[peer] - 1
        prev_term = self.log.term(prev_index)
        assert prev_term is not None, f"nextIndex {prev_index + 1} is outside {self.log}"
        entries = tuple(self.log.slice(prev_index + 1, prev_index + MAX_ENTRIES))
        self._outbox.append(
            AppendEntries(
                self.node_id,
                peer,
                self.current_term,
                prev_index,
                prev_term,
                entries,
                self.commit_index,
            )
        )

    def on_append_entries(self, message: AppendEntries) -> None:
        """Receiver rules 1 to 5."""
        if message.term < self.current_term:
            self._reply(message.source, 0, success=False)
            return
        self._reset_timer()
        self._change_role(Role.FOLLOWER, message.source)
        if self.log.term(message.prev_index) != message.prev_term:
            self._reply(message.source, message.prev_index, success=False)
            return
        self.merge_entries(message.entries)
        last_new = message.prev_index + len(message.entries)
        self.commit_index = max(self.commit_index, min(message.commit, last_new))
        self._reply(message.source, last_new, success=True)

    def merge_entries(self, entries: Sequence[Entry]) -> None:
        """Delete a conflicting entry and all that follow it; append what is not there yet."""
        for entry in entries:
            term = self.log.term(entry.index)
            if term is not None and term != entry.term:
                assert entry.index > self.commit_index, f"entry {entry.index} is committed"
                self.log.truncate_from(entry.index)
                # An acknowledgement that waits for its Write would promise what is gone now.
                self._outbox = [m for m in self._outbox if not isinstance(m, AppendEntriesReply)]
            if term != entry.term:
                self.log.append(entry)

    def _reply(self, leader: int, index: int, *, success: bool) -> None:
        hint = 0 if success else min(index - 1, self.log.last_index)
        self._outbox.append(
            AppendEntriesReply(self.node_id, leader, self.current_term, success, index, max(hint, 0), 0)
        )

    def on_append_reply(self, message: AppendEntriesReply) -> None:
        """Success: move nextIndex and matchIndex forward. Refused: decrement nextIndex, try again."""
        peer = message.source
        if self.role is not Role.LEADER:
            return
        if message.success:
            self.match_index[peer] = max(self.match_index[peer], message.index)
            self.next_index[peer] = max(self.next_index[peer], message.index + 1)
            self.advance_commit()
        elif message.index == self.next_index[peer] - 1:
            self.next_index[peer] = max(message.hint_index + 1, self.match_index[peer] + 1)
            self.send_append(peer)

    def advance_commit(self) -> None:
        """§3.6.2: a majority's matchIndex >= N, and log[N].term is the current term."""
        matches = self.match_index | {self.node_id: self.log.durable_index}
        index = acknowledged_by_majority(self.configuration.voters, matches.__getitem__)
        if index > self.commit_index and self.log.term(index) == self.current_term:
            self.commit_index = index

    # ---------------------------------------------------------------- the rest of the contract

    def propose(self, data: bytes) -> None:
        """Append a command to the local log; clients are served by the leader only."""
        if self.role is not Role.LEADER:
            raise NoLeader("this member does not lead, and this core does not forward")
        self._append(EntryKind.COMMAND, data)
        for peer in self._peers():
            self.send_append(peer)

    def _append(self, kind: EntryKind, data: bytes) -> None:
        self.log.append(Entry(self.current_term, self.log.last_index + 1, kind, data))

    def read_index(self, context: int) -> None:
        """Refuse: figure 3.1 has no reads."""
        raise NoLeader("this core serves no reads but through the log")

    def propose_change(self, change: Change, context: bytes) -> None:
        """Refuse: figure 3.1 has no changes of the members."""
        if self.role is not Role.LEADER:
            raise NotLeader(self.leader)
        raise ChangeRefused("this core has a fixed configuration")

    def transfer_leadership(self, target: int) -> None:
        """Refuse: figure 3.1 has no transfer."""
        raise BadTransferee("this core does not transfer leadership")

    def report(self, peer: int, event: PeerEvent) -> None:
        """Ignore hints: the heartbeat repeats everything anyway."""

    def compacted(self, snapshot: Snapshot, first_index: int) -> None:
        """Keep the log: figure 3.1 has no snapshots."""

    def ready(self) -> Ready | None:
        """Give out one Write with everything that has to wait for it, and what is committed."""
        write = None if self._writing else self._next_write()
        high = min(self.commit_index, self.log.durable_index)
        committed = tuple(self.log.slice(self._given_out + 1, high)) if high > self._given_out else ()
        self._given_out = max(self._given_out, high)
        configuration = None if self._told_configuration else self.configuration
        self._told_configuration = True
        if not (write or committed or configuration):
            return None
        return Ready((), write, committed, (), configuration)

    def _next_write(self) -> Write | None:
        hard_state = HardState(self.current_term, self.voted_for, self.commit_index)
        changed = hard_state[:2] != self._stored[:2]
        if not (changed or self._outbox or self.log.has_unwritten):
            return None
        self._number += 1
        self._writing = True
        self._stored = hard_state
        truncate_from, entries = self.log.hand_over(self._number)
        after, self._outbox = tuple(self._outbox), []
        return Write(self._number, hard_state, truncate_from, entries, after)

    def persisted(self, number: int) -> None:
        """Take note that the Write is durable."""
        self.log.persisted(number)
        self._durable, self._writing = self._stored, False
        if self.role is Role.LEADER:
            self.advance_commit()

    def applied(self, index: int) -> None:
        """Take note of lastApplied."""
        self.last_applied = index

    def status(self) -> Status:
        """Return the member as seen from outside."""
        peers = {
            peer: PeerStatus(self.match_index[peer], self.next_index[peer], "probe", True)  # noqa: FBT003
            for peer in (self._peers() if self.role is Role.LEADER else ())
        }
        return Status(
            node_id=self.node_id,
            role=self.role,
            term=self.current_term,
            vote=self.voted_for,
            leader=self.leader,
            durable_term=self._durable.term,
            durable_vote=self._durable.vote,
            durable_index=self.log.durable_index,
            commit_index=self.commit_index,
            applied_index=self.last_applied,
            log=self.log,
            snapshot=None,
            configuration=self.configuration,
            configuration_index=1,
            transferee=NO_NODE,
            peers=peers,
        )

    def _peers(self) -> list[int]:
        return [voter for voter in self.configuration.voters if voter != self.node_id]

    def _reset_timer(self) -> None:
        self._elapsed = 0
        self._timeout = self._rng.randrange(self._election_ticks, 2 * self._election_ticks)

    def _change_role(self, role: Role, leader: int) -> None:
        if role is not self.role:
            self.role = role
            self._emit(RoleChanged(role.value, self.current_term))
        if leader != self.leader:
            self.leader = leader
            self._emit(LeaderChanged(leader, self.current_term))
