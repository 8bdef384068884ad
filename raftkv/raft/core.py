"""The consensus core: Raft as one machine that takes values and gives values.

The order of the file is that of the thesis' figure 3.1: state, what all servers do, elections
(RequestVote), replication (AppendEntries), commitment, then reads (§6.4). Each rule is a method of its
own with its section, so that a subclass can replace one.

Two rules for this file. First: nothing here waits, sleeps, draws chance (but from the injected
``Random``) or touches a disk or a socket; whatever is to be done leaves through ``ready``. Second: a
message goes through ``_send``, which decides whether it may leave before the next Write is durable.

Always on: PreVote (§9.6), CheckQuorum and leader stickiness (§6.2, §4.2.3). An option, off by default:
reads under the leader's lease (§6.4.1), which rest on a bound for clock drift.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from raftkv.errors import (
    BadTransferee,
    ChangeRefused,
    LeaderMoving,
    MemberRemoved,
    NoLeader,
    NotLeader,
    TooManyRequests,
)
from raftkv.raft.forwarding import ForwardQueue
from raftkv.raft.log import RaftLog
from raftkv.raft.membership import ConfigurationHistory, changed, check_caught_up, encode_configuration
from raftkv.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    ForwardProposals,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    RemovedNotice,
    RequestPreVote,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from raftkv.raft.progress import MAX_APPEND_BYTES, MAX_APPEND_ENTRIES, Progress, ProgressState
from raftkv.raft.quorum import VoteResult, acknowledged_by_majority, is_majority, vote_result
from raftkv.raft.reads import LeaderLease, ReadQueue, ReadRequest
from raftkv.raft.ready import ReadState, Ready, Write
from raftkv.raft.types import (
    NO_NODE,
    Change,
    ChangeKind,
    Configuration,
    Entry,
    EntryKind,
    HardState,
    Part,
    PeerEvent,
    Role,
    Snapshot,
    Status,
)
from raftkv.trace import Emit, LeaderChanged, LogTruncated, RoleChanged, VoteCast, discard

if TYPE_CHECKING:
    from random import Random

MAX_COMMITTED_ENTRIES = 256
"""Committed entries in one Ready, so that no step of the host grows long."""

MAX_UNCOMMITTED_BYTES = 64 * 1024 * 1024
"""Entry data a leader holds uncommitted before it refuses more proposals."""

PATIENCE = 10
"""Election time-outs until a snapshot on its way is sent again, or a removed peer is let go."""


class Raft:
    """One member's core; fulfils ``raftkv.raft.contract.Consensus``."""

    parts: ClassVar[frozenset[Part]] = frozenset(Part)

    def __init__(
        self,
        node_id: int,
        entries: Sequence[Entry],
        hard_state: HardState,
        *,
        rng: "Random",
        snapshot: Snapshot | None = None,
        election_ticks: int = 10,
        lease_reads: bool = False,
        emit: Emit = discard,
    ) -> None:
        """Start from what the disk held: ``entries`` begin after ``snapshot``, or at index 1."""
        self.node_id = node_id
        self.election_ticks = election_ticks
        self._rng = rng
        self._emit = emit
        # Persistent state (figure 3.1), with what of it is on disk.
        base = snapshot or Snapshot(0, 0, Configuration(()))
        self.snapshot = snapshot
        self.log = RaftLog(entries, base.index, base.term)
        self.configurations = ConfigurationHistory(base.index, base.configuration, entries)
        self.current_term = hard_state.term
        self.voted_for = hard_state.vote
        self._durable = hard_state
        self._handed_over = hard_state
        self._in_flight: list[tuple[int, HardState]] = []
        # Volatile state.
        self.commit_index = max(base.index, min(hard_state.commit, self.log.last_index))
        self.applied_index = base.index
        self._committed_out = base.index
        self.role = Role.FOLLOWER
        self.leader = NO_NODE
        self._election_elapsed = 0
        self._election_timeout = 0
        self._votes: dict[int, bool] = {}
        # Volatile state of a leader.
        self.progress: dict[int, Progress] = {}
        self.reads = ReadQueue()
        self.lease = LeaderLease(election_ticks)
        self.transferee = NO_NODE
        self._transfer_elapsed = 0
        self._lease_reads = lease_reads
        self._lease_void = False
        self._promised = lease_reads  # to give no vote: what we answered may be part of a lease
        self._uncommitted_bytes = 0
        self.max_append_entries = MAX_APPEND_ENTRIES  # in one message; a simulation tries less of both
        self.max_append_bytes = MAX_APPEND_BYTES
        # Effects waiting for ready().
        self._write_number = 0
        self._messages: list[Message] = []
        self._after: list[Message] = []
        self._read_states: list[ReadState] = []
        self._forwarded = ForwardQueue()
        self._restored: Snapshot | None = None
        self._configuration_changed = True
        self._hint_due = False
        self._handlers = self._handler_table()
        self.reset_election_timer()

    def _handler_table(self) -> dict[type, Callable[[Any], None]]:
        return {
            RequestPreVote: self.on_request_pre_vote,
            PreVoteReply: self.on_pre_vote_reply,
            RequestVote: self.on_request_vote,
            RequestVoteReply: self.on_vote_reply,
            AppendEntries: self.on_append_entries,
            AppendEntriesReply: self.on_append_reply,
            Heartbeat: self.on_heartbeat,
            HeartbeatReply: self.on_heartbeat_reply,
            InstallSnapshot: self.on_install_snapshot,
            TimeoutNow: self.on_timeout_now,
            RemovedNotice: self.on_removed_notice,
            ForwardProposals: self.on_forward_proposals,
            ReadIndex: self.on_read_index,
            ReadIndexReply: self.on_read_index_reply,
        }

    # ---------------------------------------------------------------- all servers

    @property
    def configuration(self) -> Configuration:
        """The configuration in force: the last one appended (§4.1)."""
        return self.configurations.latest

    def tick(self, intervals: int = 1) -> None:
        """Let a heartbeat interval pass; ``intervals`` really did, for the sake of the lease."""
        self._election_elapsed += 1
        self.lease.passed(intervals)
        self._promised = self._promised and self._election_elapsed < self.election_ticks
        self._hint_due = self.commit_index > self._handed_over.commit
        if self.role is Role.LEADER:
            self.send_heartbeats()
            self.lose_patience()
            self.give_up_transfer()
            if self._election_elapsed >= self.election_ticks:
                self._election_elapsed = 0
                self.check_quorum()
        elif self._election_elapsed >= self._election_timeout:
            self.on_election_timeout()

    def step(self, message: Message) -> None:
        """Take a message that arrived for this member.

        Who sent it need not be in our configuration: ours may be the one that is behind (§4.1).
        """
        if message.source not in self.progress and self.is_removed(message.source):
            self._send(RemovedNotice(self.node_id, message.source, self.current_term))
            return
        if message.term > self.current_term and not self.on_higher_term(message):
            return
        if message.term < self.current_term and not self.on_lower_term(message):
            return
        self._handlers[type(message)](message)

    def on_higher_term(self, message: Message) -> bool:
        """§3.3: a higher term makes a follower of everybody. Return whether to go on with it.

        A RequestPreVote and its granted answer speak of a term that nobody has reached (§9.6).
        """
        if isinstance(message, RequestPreVote):
            return True
        if isinstance(message, PreVoteReply) and message.granted:
            return True
        if isinstance(message, RequestVote) and self.hears_leader() and not message.transfer:
            return False
        leads = isinstance(message, AppendEntries | Heartbeat | InstallSnapshot | TimeoutNow)
        self.become_follower(message.term, message.source if leads else NO_NODE)
        return True

    def on_lower_term(self, message: Message) -> bool:
        """§3.3: refuse what an older term says, and tell it. Return whether to go on with it.

        Without an answer a leader of a lower term would never learn of ours when we may not disturb
        the leader we hear (PreVote and CheckQuorum together).
        """
        term = self.current_term
        match message:
            case AppendEntries():
                self._send_append_reply(message.source, message.prev_index, success=False)
            case Heartbeat() | InstallSnapshot():
                self._send(HeartbeatReply(self.node_id, message.source, term, 0))
            case RequestVote():
                self._send(RequestVoteReply(self.node_id, message.source, term, granted=False))
            case RequestPreVote():
                self._send(PreVoteReply(self.node_id, message.source, term, granted=False))
            case ForwardProposals() | ReadIndex() | RemovedNotice():
                return True  # true, or to be answered, in any term
            case _:
                pass
        return False

    def become_follower(self, term: int, leader: int) -> None:
        """§3.3: follow ``leader`` (or nobody yet) in ``term``."""
        if term > self.current_term:
            self.current_term, self.voted_for = term, NO_NODE
        if leader != NO_NODE or self.role is Role.LEADER:
            # A mere higher term does not put off an election: its bearer may be unable to win.
            self.reset_election_timer()
        self.progress = {}
        self.reads = ReadQueue()
        self.transferee = NO_NODE
        self._votes = {}
        self._change_role(Role.FOLLOWER)
        self._change_leader(leader)

    def reset_election_timer(self) -> None:
        """§3.4: a random time-out each time, so that split votes are rare and resolve."""
        self._election_elapsed = 0
        self._election_timeout = self._rng.randrange(self.election_ticks, 2 * self.election_ticks)

    def hears_leader(self) -> bool:
        """§4.2.3, §6.2: whether a leader was heard within the least election time-out."""
        if self._promised:
            return True  # §6.4.1: we do not know what we promised before the restart
        return self.leader != NO_NODE and self._election_elapsed < self.election_ticks

    def report(self, peer: int, event: PeerEvent) -> None:
        """Take a hint of the transport: what was under way to ``peer`` may be lost.

        A snapshot is costly, and what failed once fails again: it rests for an election time-out.
        """
        progress = self.progress.get(peer)
        if progress is None:
            return
        match event:
            case PeerEvent.CONNECTED:
                progress.probe_sent = False
            case PeerEvent.UNREACHABLE if progress.replicating:
                progress.probe_from(progress.match_index + 1)
            case PeerEvent.SNAPSHOT_FAILED:
                progress.patience = min(progress.patience, self.election_ticks)
            case _:
                pass

    # ---------------------------------------------------------------- elections (§3.4, §9.6)

    def on_election_timeout(self) -> None:
        """§3.4: no leader was heard for long enough; a voter asks whether it could win."""
        self.reset_election_timer()
        if self.may_campaign():
            self.pre_vote()
        else:
            self._change_leader(NO_NODE)  # lest it refuses its vote to those who may

    def may_campaign(self) -> bool:
        """§4.2.2: a voter may, and so may who is being removed, until that is committed."""
        committed = self.configurations.at(self.commit_index)
        return self.node_id in self.configuration.voters or self.node_id in committed.voters

    def pre_vote(self) -> None:
        """§9.6: ask for votes in the next term without changing anything, so as not to disturb."""
        self._change_role(Role.PRE_CANDIDATE)
        self._change_leader(NO_NODE)
        self._votes = {}
        last_index, last_term = self.log.last_index, self.log.last_term
        for peer in self._other_voters():
            self._send(RequestPreVote(self.node_id, peer, self.current_term + 1, last_index, last_term))
        self._count_vote(self.node_id, granted=True)

    def campaign(self, *, transfer: bool = False) -> None:
        """§3.4: a new term, the own vote, and a request for everybody else's."""
        self.current_term += 1
        self.voted_for = self.node_id
        self._change_role(Role.CANDIDATE)
        self._change_leader(NO_NODE)  # a new term has none yet, also when the old one asked us to stand
        self._votes = {}
        last_index, last_term = self.log.last_index, self.log.last_term
        for peer in self._other_voters():
            self._send(RequestVote(self.node_id, peer, self.current_term, last_index, last_term, transfer))
        self._count_vote(self.node_id, granted=True)

    def on_request_pre_vote(self, message: RequestPreVote) -> None:
        """§9.6: would we vote so, and do we hear no leader? Our vote stays free."""
        granted = (
            message.term > self.current_term
            and not self.hears_leader()
            and self.log_is_up_to_date(message.last_log_index, message.last_log_term)
        )
        term = message.term if granted else self.current_term
        self._emit(VoteCast(message.source, message.term, granted, pre_vote=True))
        self._send(PreVoteReply(self.node_id, message.source, term, granted))

    def on_request_vote(self, message: RequestVote) -> None:
        """§3.4: vote first come, first served, at most once a term."""
        granted = self.grant_vote(message) and (message.transfer or not self._promised)
        if granted:
            self.voted_for = message.source
            self.reset_election_timer()
        self._emit(VoteCast(message.source, message.term, granted, pre_vote=False))
        self._send(RequestVoteReply(self.node_id, message.source, self.current_term, granted))

    def grant_vote(self, message: RequestVote) -> bool:
        """§3.4, §3.6.1: whether the candidate gets our vote in this term."""
        return self.voted_for in (NO_NODE, message.source) and self.log_is_up_to_date(
            message.last_log_index, message.last_log_term
        )

    def log_is_up_to_date(self, last_log_index: int, last_log_term: int) -> bool:
        """§3.6.1: whether a log that ends so is at least as up to date as ours."""
        return (last_log_term, last_log_index) >= (self.log.last_term, self.log.last_index)

    def on_pre_vote_reply(self, message: PreVoteReply) -> None:
        """§9.6: with a majority willing, stand for election."""
        if self.role is Role.PRE_CANDIDATE and (not message.granted or message.term == self.current_term + 1):
            self._count_vote(message.source, granted=message.granted)

    def on_vote_reply(self, message: RequestVoteReply) -> None:
        """§3.4: a majority of votes in this term makes a leader."""
        if self.role is Role.CANDIDATE:
            self._count_vote(message.source, granted=message.granted)

    def _count_vote(self, voter: int, *, granted: bool) -> None:
        self._votes.setdefault(voter, granted)
        result = vote_result(self.configuration.voters, self._votes)
        if result is VoteResult.LOST:
            self.become_follower(self.current_term, NO_NODE)
        elif result is VoteResult.WON and self.role is Role.PRE_CANDIDATE:
            self.campaign()
        elif result is VoteResult.WON:
            self.become_leader()

    def become_leader(self) -> None:
        """§3.4, §6.4: know nothing of the others, and commit an empty entry of this term first."""
        self._change_role(Role.LEADER)
        self._change_leader(self.node_id)
        self._election_elapsed = 0
        self.progress = {peer: Progress(self.log.last_index + 1) for peer in self._peers()}
        self.reads = ReadQueue()
        self.lease, self._lease_void = LeaderLease(self.election_ticks), False
        self.transferee = NO_NODE
        self._uncommitted_bytes = 0
        self._append(EntryKind.NOOP, b"")
        self.send_heartbeats()

    def check_quorum(self) -> None:
        """§6.2: a leader that has not heard from a majority for an election time-out steps down."""
        active = [peer for peer, progress in self.progress.items() if progress.recently_active]
        for progress in self.progress.values():
            progress.recently_active = False
        if not is_majority(self.configuration.voters, [self.node_id, *active]):
            self.become_follower(self.current_term, NO_NODE)

    # ---------------------------------------------------------------- replication (§3.5)

    def propose(self, data: bytes) -> None:
        """Append a command (leader), or pass it to the leader (§6.2)."""
        if self.role is Role.LEADER:
            if self.transferee != NO_NODE:
                raise LeaderMoving(f"leadership is on its way to {self.transferee:x}")
            if self._uncommitted_bytes and self._uncommitted_bytes + len(data) > MAX_UNCOMMITTED_BYTES:
                raise TooManyRequests(f"{self._uncommitted_bytes} bytes wait to be committed")
            self._append(EntryKind.COMMAND, data)
        elif self.leader != NO_NODE:
            self._forwarded.commands.append(data)
        else:
            raise NoLeader("no leader is known")

    def on_forward_proposals(self, message: ForwardProposals) -> None:
        """§6.2: a follower's commands. Who is not the leader drops them, lest they go in circles."""
        if self.role is not Role.LEADER:
            return
        try:
            for data in message.commands:
                self.propose(data)
        except (LeaderMoving, TooManyRequests):
            return  # dropped as on the wire: who proposed them does not know their outcome

    def _append(self, kind: EntryKind, data: bytes) -> None:
        entry = Entry(self.current_term, self.log.last_index + 1, kind, data)
        self.log.append(entry)
        self._uncommitted_bytes += len(data)
        if self.configurations.append(entry):
            self._configuration_changed = True

    def replicate(self, peer: int, progress: Progress) -> None:
        """§3.5, §10.2.2: send what the peer lacks, ahead of acknowledgements, and the commit index."""
        if progress.state is ProgressState.SNAPSHOT:
            return
        if self.log.term(progress.next_index - 1) is None:
            self.send_snapshot(peer, progress)
            return
        while progress.may_send and progress.next_index <= self.log.last_index:
            self.send_append(peer, progress)
            if not progress.replicating:
                return
        if progress.replicating and progress.commit_sent < self.commit_index:
            self.send_append(peer, progress, with_entries=False)

    def send_append(self, peer: int, progress: Progress, *, with_entries: bool = True) -> None:
        """§3.5: entries after the place where the logs are thought to agree."""
        prev_index = progress.next_index - 1
        prev_term = self.log.term(prev_index)
        assert prev_term is not None, f"{progress} is outside {self.log}"
        entries: list[Entry] = []
        if with_entries:
            high = min(self.log.last_index, prev_index + self.max_append_entries)
            entries = self.log.slice(progress.next_index, high, self.max_append_bytes)
        self._send(
            AppendEntries(
                self.node_id,
                peer,
                self.current_term,
                prev_index,
                prev_term,
                tuple(entries),
                self.commit_index,
            )
        )
        progress.commit_sent = self.commit_index
        if with_entries:
            progress.sent(prev_index + len(entries))

    def on_append_entries(self, message: AppendEntries) -> None:
        """§3.5: take the leader's entries if the logs agree right before them."""
        self.follow(message.source)
        if message.prev_index < self.log.first_index - 1:
            # From before our snapshot: all that it stands for is committed, so it agrees.
            self._send_append_reply(message.source, self.commit_index, success=True)
            return
        if not self.check_previous(message.prev_index, message.prev_term):
            hint = self.log.last_index_not_above(message.prev_index, message.prev_term)
            self._send_append_reply(message.source, message.prev_index, success=False, hint=hint)
            return
        self.merge_entries(message.entries)
        last_new = message.prev_index + len(message.entries)
        self.follow_commit(message.commit, last_new)
        self._send_append_reply(message.source, last_new, success=True)

    def _send_append_reply(self, leader: int, index: int, *, success: bool, hint: int = 0) -> None:
        hint_term = self.log.term(hint) or 0
        self._send(
            AppendEntriesReply(self.node_id, leader, self.current_term, success, index, hint, hint_term)
        )

    def follow(self, leader: int) -> None:
        """§3.4: a candidate yields to the leader of its term; hearing it puts off the next election."""
        assert self.role is not Role.LEADER, f"two leaders in term {self.current_term}"
        if self.role is not Role.FOLLOWER:
            self.become_follower(self.current_term, leader)
        self._election_elapsed = 0
        self._promised = self._lease_reads  # §6.4.1: also when we hear of a higher term meanwhile
        self._change_leader(leader)

    def check_previous(self, prev_index: int, prev_term: int) -> bool:
        """§3.5: whether our log has the entry right before the new ones."""
        return self.log.term(prev_index) == prev_term

    def merge_entries(self, entries: Sequence[Entry]) -> None:
        """§3.5: drop our suffix only from a real conflict on (an old message must not), then append."""
        for position, entry in enumerate(entries):
            term = self.log.term(entry.index)
            if term == entry.term:
                continue
            if term is not None:
                self.truncate_from(entry.index)
            for new in entries[position:]:
                self.log.append(new)
                if self.configurations.append(new):
                    self._configuration_changed = True
            return

    def truncate_from(self, index: int) -> None:
        """§3.5: a conflicting suffix goes; it can't have been committed."""
        assert index > self.commit_index, f"entry {index} is committed (to {self.commit_index})"
        self._emit(LogTruncated(index, self.current_term))
        self.log.truncate_from(index)
        if self.configurations.truncate_from(index):
            self._configuration_changed = True  # §4.1: back to the one before
        # An acknowledgement still waiting for the next Write would promise what is gone now.
        self._after = [
            message
            for message in self._after
            if not (isinstance(message, AppendEntriesReply) and message.success and message.index >= index)
        ]

    def follow_commit(self, leader_commit: int, last_new: int) -> None:
        """Figure 3.1: never past the last entry known to agree with the leader's log."""
        self.commit_index = max(self.commit_index, min(leader_commit, last_new))

    def on_append_reply(self, message: AppendEntriesReply) -> None:
        """§3.5: a success is a fact about the peer's disk; a refusal moves the guess back."""
        progress = self.progress.get(message.source)
        if self.role is not Role.LEADER or progress is None:
            return
        progress.recently_active = True
        if not message.success:
            progress.refused(message.index, self.backup_next_index(message))
            return
        if progress.acknowledged(message.index):
            if progress.state is ProgressState.SNAPSHOT and self.log.term(message.index) is not None:
                progress.probe_from(message.index + 1)  # an older snapshot arrived: entries are enough
            self.advance_commit()
        if self.role is Role.LEADER:
            self.finish_transfer(message.source)
            self.let_go(message.source)

    def backup_next_index(self, message: AppendEntriesReply) -> int:
        """§3.5 (end): skip all that can't match, by the term at the peer's hint."""
        return self.log.last_index_not_above(message.hint_index, message.hint_term) + 1

    def send_heartbeats(self) -> None:
        """§3.4, §6.4: keep the others from electing, and carry the round that reads wait for."""
        self.reads.round += 1
        self.lease.sent(self.reads.round)
        for peer, progress in self.progress.items():
            # A peer's log may still differ beyond what it acknowledged.
            commit = min(self.commit_index, progress.match_index)
            self._send(Heartbeat(self.node_id, peer, self.current_term, commit, self.reads.round))
        self.release_reads()  # a lone voter needs no answer

    def on_heartbeat(self, message: Heartbeat) -> None:
        """§3.4: follow; the commit index is one we have acknowledged, so our log agrees up to it."""
        self.follow(message.source)
        self.follow_commit(message.commit, self.log.last_index)
        self._send(HeartbeatReply(self.node_id, message.source, self.current_term, message.round))

    def on_heartbeat_reply(self, message: HeartbeatReply) -> None:
        """§6.4: one more confirmation of the round; and a chance to find out what was lost."""
        progress = self.progress.get(message.source)
        if self.role is not Role.LEADER or progress is None:
            return
        progress.recently_active = True
        progress.confirmed_round = max(progress.confirmed_round, message.round)
        self.release_reads()
        if progress.state is ProgressState.SNAPSHOT:
            self.ask_what_arrived(message.source, progress)
            return
        progress.probe_sent = False
        lags = progress.match_index < self.log.last_index
        if progress.replicating and lags and self.log.term(progress.next_index - 1) is not None:
            # If what is under way was lost, the peer refuses this and is probed again.
            self.send_append(message.source, progress, with_entries=False)

    # ---------------------------------------------------------------- snapshots (§5)

    def compacted(self, snapshot: Snapshot, first_index: int) -> None:
        """§5.1: a durable snapshot stands for the log up to its index; give up what is before."""
        assert snapshot.index <= self.applied_index, f"{snapshot} is ahead of {self.applied_index}"
        assert first_index <= snapshot.index + 1, f"entry {first_index} is after {snapshot}"
        if self.snapshot is not None and snapshot.index < self.snapshot.index:
            return  # one that a leader sent came first, and is newer
        self.snapshot = snapshot
        self.log.compact(first_index)
        self.configurations.compact(first_index - 1)

    def send_snapshot(self, peer: int, progress: Progress) -> None:
        """§5.3: the peer lacks what the log no longer has."""
        assert self.snapshot is not None, f"{progress} is outside {self.log}"
        self._send(InstallSnapshot(self.node_id, peer, self.current_term, self.snapshot))
        progress.snapshot_sent(self.snapshot.index, PATIENCE * self.election_ticks)

    def ask_what_arrived(self, peer: int, progress: Progress) -> None:
        """§5.3: find out whether a snapshot arrived whose answer was lost, once a heartbeat interval.

        Asked about the place right before our first entry, whoever took it, or an older one that our log goes
        on from, answers with what it has committed. A peer still without it refuses, which tells nothing.
        """
        if not progress.probe_sent:
            progress.probe_sent = True
            base = self.log.first_index - 1
            base_term = self.log.term(base)
            assert base_term is not None, f"the beginning of {self.log} has no term"
            self._send(
                AppendEntries(self.node_id, peer, self.current_term, base, base_term, (), self.commit_index)
            )

    def on_install_snapshot(self, message: InstallSnapshot) -> None:
        """§5.3: take a snapshot that is ahead of us; of one that is not, tell what we have."""
        self.follow(message.source)
        snapshot = message.snapshot
        if snapshot.index > self.commit_index:
            if self.log.term(snapshot.index) == snapshot.term:
                self.follow_commit(snapshot.index, snapshot.index)  # §5.3: what follows it stays
            else:
                self.install_snapshot(snapshot)
        index = max(snapshot.index, self.commit_index)
        self._send_append_reply(message.source, index, success=True)

    def install_snapshot(self, snapshot: Snapshot) -> None:
        """§5.3: the whole log gives way to the snapshot, and so does the configuration."""
        self.log.restore(snapshot, self.commit_index)
        self.configurations = ConfigurationHistory(snapshot.index, snapshot.configuration, ())
        self.snapshot = self._restored = snapshot
        self.commit_index = self._committed_out = snapshot.index
        self._after = [m for m in self._after if not isinstance(m, AppendEntriesReply)]
        self._configuration_changed = True

    def lose_patience(self) -> None:
        """Send a snapshot again that did not arrive in time; let go of removed peers that are silent."""
        for peer, progress in list(self.progress.items()):
            if progress.lost_patience():
                progress.probe_from(progress.match_index + 1)
            if progress.has_left():
                del self.progress[peer]

    # ---------------------------------------------------------------- membership (§4)

    def propose_change(self, change: Change, context: bytes) -> None:
        """§4.1: one single-server change at a time, in force as soon as it is appended."""
        if self.role is not Role.LEADER:
            raise NotLeader(self.leader)
        if self.transferee != NO_NODE:
            raise LeaderMoving(f"leadership is on its way to {self.transferee:x}")
        self.check_change(change)
        before = self.configuration
        configuration = changed(before, change)
        self._append(EntryKind.CONFIGURATION, encode_configuration(configuration, context))
        self.follow_configuration(before, configuration)
        self.advance_commit()

    def check_change(self, change: Change) -> None:
        """§4.1, and the fix of 2015: when a change must wait. Raises ChangeRefused."""
        if self.configurations.latest_index > self.commit_index:
            raise ChangeRefused("another change of the members is not committed yet")
        if not self.may_read():
            raise ChangeRefused("the leader has not committed an entry of its term yet")
        if change.kind is ChangeKind.PROMOTE and change.member in self.progress:
            match_index = self.progress[change.member].match_index
            check_caught_up(change.member, match_index, self.log.last_index)

    def follow_configuration(self, before: Configuration, after: Configuration) -> None:
        """§4.1, §4.2: track new members; keep telling a removed one until it knows."""
        for member in after.members:
            if member not in before.members and member != self.node_id:
                self.progress[member] = Progress(self.log.last_index)
                self.progress[member].recently_active = True
        for member in before.members:
            if member not in after.members and member != self.node_id:
                self.progress[member].leave(self.configurations.latest_index, PATIENCE * self.election_ticks)

    def let_go(self, peer: int) -> None:
        """§4.2.3: a removed peer that has heard of the commit of its removal needs us no more."""
        progress = self.progress[peer]
        if progress.removal and min(progress.match_index, progress.commit_sent) >= progress.removal:
            del self.progress[peer]

    def is_removed(self, member: int) -> bool:
        """Whether a *committed* change removed the member: one that is not may still be rolled back."""
        removed = self.configuration.removed
        return member in removed and member in self.configurations.at(self.commit_index).removed

    def on_removed_notice(self, message: RemovedNotice) -> None:
        """§4.2.3: the others go on without us, for good."""
        raise MemberRemoved(f"member {self.node_id:x} was removed from the cluster")

    def leave_when_removed(self) -> None:
        """§4.2.2: a leader that is not of the committed configuration hands over and steps down."""
        committed = self.configurations.latest_index <= self.commit_index
        if committed and self.node_id not in self.configuration.voters:
            voters = self._other_voters()
            best = max(voters, key=lambda voter: self.progress[voter].match_index)
            self._send(TimeoutNow(self.node_id, best, self.current_term))
            self.become_follower(self.current_term, NO_NODE)

    # ---------------------------------------------------------------- leadership transfer (§3.10)

    def transfer_leadership(self, target: int) -> None:
        """§3.10: take no more proposals, bring the target up to date, then let it stand."""
        if self.role is not Role.LEADER:
            raise NotLeader(self.leader)
        if target == self.node_id:
            return
        if target not in self.configuration.voters:
            raise BadTransferee(f"member {target:x} is not a voter")
        if target != self.transferee:
            self.transferee, self._transfer_elapsed = target, 0
        self._lease_void = True  # also later: a TimeoutNow that is late still overrides stickiness
        self.finish_transfer(target)

    def finish_transfer(self, peer: int) -> None:
        """§3.10: once the target's log is as ours, it may stand without waiting."""
        if peer == self.transferee and self.progress[peer].match_index == self.log.last_index:
            self._send(TimeoutNow(self.node_id, peer, self.current_term))

    def give_up_transfer(self) -> None:
        """§3.10: a target that does not take over in time; asking for it again gives it no more time."""
        self._transfer_elapsed += 1
        if self._transfer_elapsed >= self.election_ticks:
            self.transferee = NO_NODE

    def on_timeout_now(self, message: TimeoutNow) -> None:
        """§3.10: stand at once; our leader wants it, so no pre-vote and no stickiness."""
        if self.role is not Role.LEADER and self.may_campaign():
            self.reset_election_timer()
            self.campaign(transfer=True)

    # ---------------------------------------------------------------- commitment (§3.6)

    def advance_commit(self) -> None:
        """§3.6.2: an entry of the *current* term on a majority of disks is committed, and all before."""
        index = acknowledged_by_majority(self.configuration.voters, self._durable_at)
        if index > self.commit_index and self.log.term(index) == self.current_term:
            for entry in self.log.slice(self.commit_index + 1, index):
                self._uncommitted_bytes -= len(entry.data)
            self._uncommitted_bytes = max(0, self._uncommitted_bytes)
            self.commit_index = index
            self.leave_when_removed()

    def _durable_at(self, voter: int) -> int:
        """Up to where ``voter``'s disk holds our log; a leader counts itself after its own fsync."""
        if voter == self.node_id:
            return self.log.durable_index
        return self.progress[voter].match_index

    # ---------------------------------------------------------------- reads (§6.4)

    def read_index(self, context: int) -> None:
        """§6.4: ask for an index that is safe to read at; a follower asks its leader."""
        if self.role is Role.LEADER:
            self.reads.add((context,))
        elif self.leader != NO_NODE:
            self._forwarded.reads.append(context)
        else:
            raise NoLeader("no leader is known")

    def on_read_index(self, message: ReadIndex) -> None:
        """§6.4: a follower's reads share our rounds; without leadership they are asked again."""
        if self.role is Role.LEADER:
            self.reads.add(message.contexts, message.source)

    def on_read_index_reply(self, message: ReadIndexReply) -> None:
        """§6.4: the leader confirmed itself after we asked."""
        self._read_states += [ReadState(context, message.index) for context in message.contexts]

    def may_read(self) -> bool:
        """§6.4 step 1: an entry of this term is committed, so the commit index is not behind."""
        return self.log.term(self.commit_index) == self.current_term

    def start_read_round(self) -> None:
        """§6.4 steps 2 and 3: take the commit index, then have a majority confirm us."""
        if not self.may_read():
            return
        if self.may_read_under_lease():
            for request in self.reads.take_waiting():
                self._release(request, self.commit_index)
        elif self.reads.may_start:
            self.reads.start(self.commit_index)
            self.send_heartbeats()

    def may_read_under_lease(self) -> bool:
        """§6.4.1: whether no other leader can exist yet, by the clocks (option, off by default)."""
        return self._lease_reads and not self._lease_void and self.lease.holds

    def release_reads(self) -> None:
        """§6.4 step 3: a majority answered the round."""
        confirmed = acknowledged_by_majority(self.configuration.voters, self._confirmed_by)
        self.lease.confirmed(confirmed)
        for request in self.reads.confirm(confirmed):
            self._release(request, self.reads.index)

    def _release(self, request: ReadRequest, index: int) -> None:
        if request.source == NO_NODE:
            self._read_states += [ReadState(context, index) for context in request.contexts]
        else:
            self._send(
                ReadIndexReply(self.node_id, request.source, self.current_term, request.contexts, index)
            )

    def _confirmed_by(self, voter: int) -> int:
        if voter == self.node_id:
            return self.reads.round
        return self.progress[voter].confirmed_round

    # ---------------------------------------------------------------- effects

    def ready(self) -> Ready | None:
        """Return the effects due now, or None."""
        self._gather()
        write = self._next_write()
        committed = self._next_committed()
        configuration = self.configuration if self._configuration_changed else None
        messages, self._messages = self._messages, []
        reads, self._read_states = self._read_states, []
        self._configuration_changed = False
        if not (messages or write or committed or reads or configuration):
            return None
        return Ready(tuple(messages), write, tuple(committed), tuple(reads), configuration)

    def persisted(self, number: int) -> None:
        """Take note that every Write up to ``number`` is durable."""
        self.log.persisted(number)
        while self._in_flight and self._in_flight[0][0] <= number:
            self._durable = self._in_flight.pop(0)[1]
        if self.role is Role.LEADER:
            self.advance_commit()

    def applied(self, index: int) -> None:
        """Take note that every committed entry up to ``index`` is applied, or in a snapshot loaded."""
        assert self.applied_index <= index <= self.commit_index, f"{index} is applied out of order"
        self.applied_index = index

    def status(self) -> Status:
        """Return the member as seen from outside."""
        return Status(  # in the order of its fields: by name it costs thrice as much
            self.node_id,
            self.role,
            self.current_term,
            self.voted_for,
            self.leader,
            self._durable.term,
            self._durable.vote,
            self.log.durable_index,
            self.commit_index,
            self.applied_index,
            self.log,
            self.snapshot,
            self.configuration,
            self.configurations.latest_index,
            self.transferee,
            {peer: progress.status() for peer, progress in self.progress.items()},
        )

    def _gather(self) -> None:
        """Turn what piled up since the last Ready into as few messages as possible."""
        if self.role is Role.LEADER:
            self.start_read_round()
            for peer, progress in self.progress.items():
                self.replicate(peer, progress)
        for message in self._forwarded.take(self.node_id, self.leader, self.current_term):
            self._send(message)

    def _send(self, message: Message) -> None:
        """Let a message leave at once, or after the next Write, by what it asserts about us."""
        if self.is_durable(message):
            self._messages.append(message)
        else:
            self._after.append(message)

    def is_durable(self, message: Message) -> bool:
        """§3.8, §10.2.1: whether all that ``message`` asserts about us is on our disk already."""
        match message:
            case RequestPreVote():
                return True
            case PreVoteReply() if message.granted:
                return True
            case RequestVote() | RequestVoteReply():
                return (self._durable.term, self._durable.vote) == (self.current_term, self.voted_for)
            case AppendEntriesReply() if message.success:
                return self._durable.term == message.term and self.log.durable_index >= message.index
            case _:
                return self._durable.term == message.term

    def _next_write(self) -> Write | None:
        term, vote, _ = self._handed_over
        moved = self._hint_due or self.current_term != term or self.voted_for != vote
        restored, self._restored = self._restored, None
        if not (moved or restored or self._after or self.log.has_unwritten):
            return None
        hard_state = HardState(self.current_term, self.voted_for, self.commit_index)
        self._write_number += 1
        truncate_from, entries = self.log.hand_over(self._write_number)
        stored = hard_state if moved or restored or truncate_from or entries else None
        after, self._after = tuple(self._after), []
        if stored is not None:
            self._handed_over, self._hint_due = stored, False
            self._in_flight.append((self._write_number, stored))
        return Write(self._write_number, stored, truncate_from, entries, after, restored)

    def _next_committed(self) -> list[Entry]:
        """Take the next committed entries, as far as they are durable here."""
        high = min(self.commit_index, self.log.durable_index, self._committed_out + MAX_COMMITTED_ENTRIES)
        if high <= self._committed_out:
            return []
        entries = self.log.slice(self._committed_out + 1, high, self.max_append_bytes)
        self._committed_out = entries[-1].index
        return entries

    # ---------------------------------------------------------------- helpers

    def _peers(self) -> list[int]:
        return [member for member in self.configuration.members if member != self.node_id]

    def _other_voters(self) -> list[int]:
        return [voter for voter in self.configuration.voters if voter != self.node_id]

    def _change_role(self, role: Role) -> None:
        if role is not self.role:
            self.role = role
            self._emit(RoleChanged(role.value, self.current_term))

    def _change_leader(self, leader: int) -> None:
        if leader != self.leader:
            self.leader = leader
            self._emit(LeaderChanged(leader, self.current_term))
