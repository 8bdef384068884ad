"""Wrong variants of the core's rules, one rule each, so that every claim of the thesis is seen to fail.

Each rule of ``raftkv.raft.core.Raft`` is made wrong in the small ways that a rule can be: it does nothing,
always says yes, always says no, forgets one of its effects, is off by one. ``python -m tests.raft.matrix
--claims`` prints which of them fail which claim; a claim that none of them fails claims nothing.

The bugs with a history are in ``tests.raft.mutants``; what is there is not repeated here.
"""

from collections.abc import Sequence
from typing import Any

from raftkv.errors import ChangeRefused, NotLeader
from raftkv.raft.core import Raft
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
from raftkv.raft.progress import Progress, ProgressState
from raftkv.raft.quorum import acknowledged_by_majority, is_majority
from raftkv.raft.reads import LeaderLease
from raftkv.raft.ready import Write
from raftkv.raft.types import (
    NO_NODE,
    Change,
    ChangeKind,
    Configuration,
    Entry,
    EntryKind,
    PeerEvent,
    Role,
    Snapshot,
)

# ---------------------------------------------------------------- terms and roles (§3.3, §3.4)


class StartsAsPreCandidate(Raft):
    """A server does not start as a follower."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.role = Role.PRE_CANDIDATE


class ForgetsVoteAtStart(Raft):
    """The vote on disk is not read."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.voted_for = NO_NODE


class AppliesFromTheCommitIndex(Raft):
    """What was committed before the restart is not applied again."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._committed_out = self.commit_index


class CommitsItsLogAtStart(Raft):
    """All that the log holds at the start is taken for committed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.commit_index = self.log.last_index


class AnswersBringNoTerm(Raft):
    """The higher term of an answer is not noticed."""

    def on_higher_term(self, message: Message) -> bool:
        answers = AppendEntriesReply | HeartbeatReply | RequestVoteReply
        return not isinstance(message, answers) and super().on_higher_term(message)


class KeepsVoteInNewTerm(Raft):
    """The vote of the last term is that of the new one."""

    def become_follower(self, term: int, leader: int) -> None:
        vote = self.voted_for
        super().become_follower(term, leader)
        self.voted_for = vote


class AnyTermPutsOff(Raft):
    """Whoever brings a higher term puts off the own election."""

    def become_follower(self, term: int, leader: int) -> None:
        super().become_follower(term, leader)
        self.reset_election_timer()


class DeposedStandsAtOnce(Raft):
    """A deposed leader goes on with the timer it had."""

    def become_follower(self, term: int, leader: int) -> None:
        elapsed = self._election_elapsed
        super().become_follower(term, leader)
        self._election_elapsed = elapsed


class SilentToOldTerms(Raft):
    """Who is behind is not told."""

    def on_lower_term(self, message: Message) -> bool:
        return isinstance(message, ForwardProposals | ReadIndex | RemovedNotice)


class TakesOldRequests(Raft):
    """A request of an older term is served."""

    def on_lower_term(self, message: Message) -> bool:
        leads = isinstance(message, AppendEntries | Heartbeat | InstallSnapshot | RequestVote)
        return leads or super().on_lower_term(message)


class ObeysOldLeaders(Raft):
    """A TimeoutNow of an older term is obeyed."""

    def on_lower_term(self, message: Message) -> bool:
        return isinstance(message, TimeoutNow) or super().on_lower_term(message)


class DropsWhatIsTrueInAnyTerm(Raft):
    """Forwarded commands and reads of an older term are dropped."""

    def on_lower_term(self, message: Message) -> bool:
        return super().on_lower_term(message) and isinstance(message, RemovedNotice)


class StrangersUnheard(Raft):
    """Who is not in the own configuration is not listened to."""

    def step(self, message: Message) -> None:
        if message.source in self.configuration.members:
            super().step(message)


class HearingDoesNotPutOff(Raft):
    """A follower's timer runs on while it hears its leader."""

    def follow(self, leader: int) -> None:
        elapsed = self._election_elapsed
        super().follow(leader)
        self._election_elapsed = elapsed


class Impatient(Raft):
    """The election time-out is half as long as it should be."""

    def reset_election_timer(self) -> None:
        super().reset_election_timer()
        self._election_timeout //= 4


class DrawsOnce(Raft):
    """The election time-out is drawn once and kept."""

    def reset_election_timer(self) -> None:
        drawn = self.__dict__.get("_election_timeout", 0)
        super().reset_election_timer()
        self._election_timeout = drawn or self._election_timeout


class TransferIsNoException(Raft):
    """Who hears a leader does not vote for whom it wants."""

    def on_higher_term(self, message: Message) -> bool:
        if isinstance(message, RequestVote):
            message = message._replace(transfer=False)
        return super().on_higher_term(message)


# ---------------------------------------------------------------- elections (§3.4, §9.6)


class EverybodyStands(Raft):
    """Who is no voter stands too."""

    def may_campaign(self) -> bool:
        return True


class NobodyIsEnough(Raft):
    """Who knows of no other voter leads."""

    def on_election_timeout(self) -> None:
        super().on_election_timeout()
        if not self._other_voters():
            self.become_leader()


class StandsOnce(Raft):
    """A candidate without an outcome waits for ever."""

    def on_election_timeout(self) -> None:
        self.reset_election_timer()
        if self.role is Role.FOLLOWER:
            super().on_election_timeout()


class LearnerHoldsOn(Raft):
    """Who may not stand goes on believing in its leader."""

    def on_election_timeout(self) -> None:
        if self.may_campaign():
            super().on_election_timeout()


class StandsUnasked(Raft):
    """A pre-candidate that nobody answers begins a term all the same."""

    def on_election_timeout(self) -> None:
        if self.role is Role.PRE_CANDIDATE:
            self.reset_election_timer()
            self.campaign()
        else:
            super().on_election_timeout()


class KeepsWillingness(Raft):
    """The votes of the last election count in the next."""

    def pre_vote(self) -> None:
        votes = self._votes
        super().pre_vote()
        self._votes.update(votes)


class VotesForNobody(Raft):
    """A candidate does not store its own vote."""

    def campaign(self, *, transfer: bool = False) -> None:
        super().campaign(transfer=transfer)
        self.voted_for = NO_NODE


class WantsNoTransfer(Raft):
    """The target of a transfer does not say that its leader wants it."""

    def campaign(self, *, transfer: bool = False) -> None:
        super().campaign()


class OneVoteIsEnough(Raft):
    """A candidate wins with any vote but its own."""

    def _count_vote(self, voter: int, *, granted: bool) -> None:
        if granted and voter != self.node_id:
            self._votes = dict.fromkeys(self.configuration.voters, True)
        super()._count_vote(voter, granted=granted)


class UnanimousVotes(Raft):
    """A candidate needs every vote."""

    def _count_vote(self, voter: int, *, granted: bool) -> None:
        self._votes.setdefault(voter, granted)
        if set(self.configuration.voters) <= self._votes.keys():
            super()._count_vote(voter, granted=granted)


class NeverLoses(Raft):
    """Refusals are not counted."""

    def _count_vote(self, voter: int, *, granted: bool) -> None:
        if granted:
            super()._count_vote(voter, granted=True)


class OwnVoteDoesNotCount(Raft):
    """A candidate leaves itself out."""

    def _count_vote(self, voter: int, *, granted: bool) -> None:
        if voter != self.node_id:
            super()._count_vote(voter, granted=granted)


class CountsAnswersNotVoters(Raft):
    """A vote that comes twice counts twice."""

    def on_vote_reply(self, message: RequestVoteReply) -> None:
        missing = [voter for voter in self.configuration.voters if voter not in self._votes]
        super().on_vote_reply(message._replace(source=missing[0] if missing else message.source))


class AnyWillingness(Raft):
    """A willingness for another term counts."""

    def on_pre_vote_reply(self, message: PreVoteReply) -> None:
        super().on_pre_vote_reply(message._replace(term=self.current_term + 1))


class AnyPreVote(Raft):
    """A pre-vote is granted without a look at the log or the term."""

    def on_request_pre_vote(self, message: RequestPreVote) -> None:
        granted = not self.hears_leader()
        term = message.term if granted else self.current_term
        self._send(PreVoteReply(self.node_id, message.source, term, granted))


class PreVoteBinds(Raft):
    """A pre-vote uses up the vote."""

    def on_request_pre_vote(self, message: RequestPreVote) -> None:
        super().on_request_pre_vote(message)
        self.voted_for = message.source


class NoPreVotes(Raft):
    """No pre-vote is ever granted."""

    def on_request_pre_vote(self, message: RequestPreVote) -> None:
        self._send(PreVoteReply(self.node_id, message.source, self.current_term, granted=False))


class NoSecondAnswer(Raft):
    """Who voted does not say so again."""

    def grant_vote(self, message: RequestVote) -> bool:
        return self.voted_for == NO_NODE and super().grant_vote(message)


class TransfereeAlwaysWins(Raft):
    """Whom the leader wants gets the vote, whatever its log."""

    def grant_vote(self, message: RequestVote) -> bool:
        return message.transfer or super().grant_vote(message)


class LearnersRefuse(Raft):
    """A learner votes for nobody."""

    def grant_vote(self, message: RequestVote) -> bool:
        return self.node_id in self.configuration.voters and super().grant_vote(message)


class NeverVotes(Raft):
    """Nobody gets a vote."""

    def grant_vote(self, message: RequestVote) -> bool:
        return False


class VotingDoesNotPutOff(Raft):
    """Who granted a vote stands as early as if it had not."""

    def on_request_vote(self, message: RequestVote) -> None:
        elapsed = self._election_elapsed
        super().on_request_vote(message)
        self._election_elapsed = elapsed


class AnyLogWins(Raft):
    """Every log is up to date enough."""

    def log_is_up_to_date(self, last_log_index: int, last_log_term: int) -> bool:
        return True


class EmptyLogIsOldest(Raft):
    """A log behind a snapshot counts as empty."""

    def log_is_up_to_date(self, last_log_index: int, last_log_term: int) -> bool:
        empty = self.log.first_index > self.log.last_index
        return empty or super().log_is_up_to_date(last_log_index, last_log_term)


# ---------------------------------------------------------------- a leader's beginning and end


class TracksVotersOnly(Raft):
    """A new member that is no voter is not sent anything."""

    def follow_configuration(self, before: Configuration, after: Configuration) -> None:
        super().follow_configuration(before, after._replace(learners=before.learners))


class BeginsAtTheStart(Raft):
    """A new leader takes the others' logs for empty."""

    def become_leader(self) -> None:
        super().become_leader()
        for progress in self.progress.values():
            progress.next_index = self.log.first_index


class SendsAheadAtOnce(Raft):
    """A new leader takes the others' logs for equal to its own."""

    def become_leader(self) -> None:
        super().become_leader()
        for progress in self.progress.values():
            progress.state = ProgressState.REPLICATE


class EmptyEntryIsACommand(Raft):
    """The entry that a leader begins with looks like a command."""

    def _append(self, kind: EntryKind, data: bytes) -> None:
        super()._append(EntryKind.COMMAND if kind is EntryKind.NOOP else kind, data)


class ElectionTimeCounts(Raft):
    """A new leader must have a majority before its time as a candidate is over."""

    def become_leader(self) -> None:
        elapsed = self._election_elapsed
        super().become_leader()
        self._election_elapsed = elapsed


class OldBytesCount(Raft):
    """What was uncommitted in an earlier leadership counts in the next."""

    def become_leader(self) -> None:
        waiting = self._uncommitted_bytes
        super().become_leader()
        self._uncommitted_bytes += waiting


class DoesNotHearItself(Raft):
    """A leader that counts whom it reaches leaves itself out."""

    def check_quorum(self) -> None:
        active = [peer for peer, progress in self.progress.items() if progress.recently_active]
        if is_majority(self.configuration.voters, active):
            super().check_quorum()
        else:
            self.become_follower(self.current_term, NO_NODE)


class WhoAsksIsReached(Raft):
    """Any message of a peer counts as an answer."""

    def step(self, message: Message) -> None:
        super().step(message)
        if message.source in self.progress:
            self.progress[message.source].recently_active = True


class LearnersKeepTheLeader(Raft):
    """A learner that answers keeps a leader in office."""

    def check_quorum(self) -> None:
        for member in self.configuration.learners:
            if self.progress[member].recently_active:
                return
        super().check_quorum()


# ---------------------------------------------------------------- proposals (§3.5, §6.2)


class SilentWithoutALeader(Raft):
    """Without a leader, commands and reads vanish."""

    def propose(self, data: bytes) -> None:
        if self.leader != NO_NODE:
            super().propose(data)

    def read_index(self, context: int) -> None:
        if self.leader != NO_NODE:
            super().read_index(context)


class AppendsWithoutLeading(Raft):
    """A follower appends commands to its own log."""

    def propose(self, data: bytes) -> None:
        self._append(EntryKind.COMMAND, data)


class NoBound(Raft):
    """What is uncommitted grows without end."""

    def propose(self, data: bytes) -> None:
        waiting, self._uncommitted_bytes = self._uncommitted_bytes, 0
        super().propose(data)
        self._uncommitted_bytes += waiting


class BoundForEver(Raft):
    """What was committed goes on counting."""

    def advance_commit(self) -> None:
        waiting = self._uncommitted_bytes
        super().advance_commit()
        self._uncommitted_bytes = waiting


class EarlierEntriesMakeRoom(Raft):
    """The commit of an earlier leader's entries makes room that was never taken."""

    def advance_commit(self) -> None:
        waiting, before = self._uncommitted_bytes, self.commit_index
        super().advance_commit()
        if self.role is Role.LEADER and self.commit_index > before:
            done = self.log.slice(before + 1, self.commit_index)
            self._uncommitted_bytes = waiting - sum(len(entry.data) for entry in done)


class DropsForwarded(Raft):
    """A leader takes no commands of others."""

    def on_forward_proposals(self, message: ForwardProposals) -> None:
        pass


class ForwardsOn(Raft):
    """Who does not lead passes forwarded commands on."""

    def on_forward_proposals(self, message: ForwardProposals) -> None:
        for data in message.commands:
            self.propose(data)


class KeepsForTheNextLeader(Raft):
    """What waits to be forwarded goes to whoever leads later."""

    def _gather(self) -> None:
        if self.leader != NO_NODE or self.role is Role.LEADER:
            super()._gather()


# ---------------------------------------------------------------- replication (§3.5, §10.2)


class NoEntries(Raft):
    """The others get no entries."""

    def replicate(self, peer: int, progress: Progress) -> None:
        pass


class KeepsTheCommitToItself(Raft):
    """The others are not told when something is committed."""

    def replicate(self, peer: int, progress: Progress) -> None:
        progress.commit_sent = self.commit_index
        super().replicate(peer, progress)


class OneAtATime(Raft):
    """A peer gets the next entries only when it acknowledged the last."""

    def replicate(self, peer: int, progress: Progress) -> None:
        if not progress.in_flight:
            super().replicate(peer, progress)


class NoWindow(Raft):
    """There is no bound for what is under way."""

    def replicate(self, peer: int, progress: Progress) -> None:
        progress.in_flight.clear()
        super().replicate(peer, progress)


class SnapshotForAll(Raft):
    """Who is not known to have anything gets the snapshot."""

    def replicate(self, peer: int, progress: Progress) -> None:
        behind = self.snapshot is not None and progress.match_index < self.snapshot.index
        if behind and progress.state is ProgressState.PROBE:
            self.send_snapshot(peer, progress)
        super().replicate(peer, progress)


class OneEntryAMessage(Raft):
    """A message holds one entry."""

    def send_append(self, peer: int, progress: Progress, *, with_entries: bool = True) -> None:
        before = len(self._messages)
        super().send_append(peer, progress, with_entries=with_entries)
        for position, message in enumerate(self._messages[before:], before):
            if isinstance(message, AppendEntries):
                self._messages[position] = message._replace(entries=message.entries[:1])


class ForgetsWhatFollows(Raft):
    """A follower takes the first entry of a message only."""

    def on_append_entries(self, message: AppendEntries) -> None:
        super().on_append_entries(message._replace(entries=message.entries[:1]))


class AnswersOnlyNews(Raft):
    """A message that brings nothing new is not answered."""

    def on_append_entries(self, message: AppendEntries) -> None:
        last = message.prev_index + len(message.entries)
        if not message.entries or self.log.term(last) != message.entries[-1].term:
            super().on_append_entries(message)


class RefusesBehindSnapshot(Raft):
    """What is from before the snapshot is refused."""

    def on_append_entries(self, message: AppendEntries) -> None:
        if message.prev_index < self.log.first_index - 1:
            self._send_append_reply(message.source, message.prev_index, success=False)
        else:
            super().on_append_entries(message)


class TakesAnyPredecessor(Raft):
    """Entries are taken wherever they begin."""

    def check_previous(self, prev_index: int, prev_term: int) -> bool:
        return True


class LosesTheBase(Raft):
    """The entry that a snapshot ends at is not known any more."""

    def check_previous(self, prev_index: int, prev_term: int) -> bool:
        return prev_index >= min(self.log.first_index, 2) and super().check_previous(prev_index, prev_term)


class NeverTruncates(Raft):
    """A conflicting suffix stays, and what comes is dropped."""

    def merge_entries(self, entries: Any) -> None:
        if not entries or self.log.term(entries[0].index) is None:
            super().merge_entries(entries)


class RewritesWhatItHas(Raft):
    """Entries that are in the log already are cut off and written again."""

    def merge_entries(self, entries: Sequence[Entry]) -> None:
        new = [entry for entry in entries if entry.index > self.commit_index]
        if new and new[0].index <= self.log.last_index:
            self.truncate_from(new[0].index)
        super().merge_entries(new)


class ConfigurationsUnread(Raft):
    """A follower does not look for configurations in what it appends."""

    def merge_entries(self, entries: Any) -> None:
        history = self.configurations._history[:]
        super().merge_entries(entries)
        self.configurations._history = history


class KeepsAcknowledgements(Raft):
    """An acknowledgement that waits survives its entries."""

    def truncate_from(self, index: int) -> None:
        waiting = self._after
        super().truncate_from(index)
        self._after = waiting


class CommitGoesBack(Raft):
    """An old message takes the commit index back."""

    def follow_commit(self, leader_commit: int, last_new: int) -> None:
        self.commit_index = min(leader_commit, last_new)


class NeverCommits(Raft):
    """A follower does not hear what is committed."""

    def follow_commit(self, leader_commit: int, last_new: int) -> None:
        pass


class BacksUpTooFar(Raft):
    """A refused leader goes one entry further back than it must."""

    def backup_next_index(self, message: AppendEntriesReply) -> int:
        return max(1, super().backup_next_index(message) - 1)


class BelievesAnyRefusal(Raft):
    """A refusal counts, whatever it is about."""

    def on_append_reply(self, message: AppendEntriesReply) -> None:
        progress = self.progress.get(message.source)
        if progress is not None and not message.success:
            progress.probe_from(self.backup_next_index(message))
        else:
            super().on_append_reply(message)


class CountsAcknowledgementsNotVoters(Raft):
    """An acknowledgement that comes twice counts twice."""

    def on_append_reply(self, message: AppendEntriesReply) -> None:
        counted: list[int] = self.__dict__.setdefault("counted", [])
        counted += [message.index] * message.success
        super().on_append_reply(message)
        if counted.count(message.index) >= len(self.configuration.voters) // 2 and message.success:
            self.commit_index = max(self.commit_index, min(message.index, self.log.last_index))


class IgnoresHints(Raft):
    """What the transport says is not listened to."""

    def report(self, peer: int, event: PeerEvent) -> None:
        pass


class EveryHintProbes(Raft):
    """A peer out of reach is probed as often as that is said."""

    def report(self, peer: int, event: PeerEvent) -> None:
        super().report(peer, event)
        if peer in self.progress:
            self.progress[peer].probe_sent = False


class FailedSnapshotsAtOnce(Raft):
    """A snapshot whose transfer failed is sent again at once."""

    def report(self, peer: int, event: PeerEvent) -> None:
        super().report(peer, event)
        if event is PeerEvent.SNAPSHOT_FAILED and peer in self.progress:
            self.progress[peer].probe_from(self.progress[peer].match_index + 1)


class FailuresPostpone(Raft):
    """Each report of a failed transfer puts off the next one."""

    def report(self, peer: int, event: PeerEvent) -> None:
        super().report(peer, event)
        if event is PeerEvent.SNAPSHOT_FAILED and peer in self.progress:
            self.progress[peer].patience = self.election_ticks


class BrokenLinksLoseSnapshots(Raft):
    """A peer out of reach is taken for one that lost its snapshot."""

    def report(self, peer: int, event: PeerEvent) -> None:
        super().report(peer, event)
        if event is PeerEvent.UNREACHABLE and peer in self.progress:
            self.progress[peer].probe_from(self.progress[peer].match_index + 1)


class NewLinksLoseSnapshots(Raft):
    """A peer that is back is taken for one that lost its snapshot."""

    def report(self, peer: int, event: PeerEvent) -> None:
        super().report(peer, event)
        if event is PeerEvent.CONNECTED and peer in self.progress:
            self.progress[peer].probe_from(self.progress[peer].match_index + 1)


class WaitsForTheLatestSnapshot(Raft):
    """An older snapshot that arrived does not help."""

    def on_append_reply(self, message: AppendEntriesReply) -> None:
        waiting = [p for p in self.progress.values() if p.state is ProgressState.SNAPSHOT]
        super().on_append_reply(message)
        for progress in waiting:
            if progress.state is ProgressState.PROBE:
                progress.state = ProgressState.SNAPSHOT


class LaterSnapshotNeeded(Raft):
    """Any acknowledgement ends the wait for a snapshot, also one that the log does not go on from."""

    def on_append_reply(self, message: AppendEntriesReply) -> None:
        super().on_append_reply(message)
        progress = self.progress.get(message.source)
        if progress is not None and progress.state is ProgressState.SNAPSHOT:
            progress.probe_from(self.log.last_index)


class AnswersToSnapshotsAreNeverLost(Raft):
    """Whether a snapshot arrived is told by its answer alone."""

    def ask_what_arrived(self, peer: int, progress: Progress) -> None:
        pass


class AsksForTheLatestSnapshot(Raft):
    """A peer is asked whether it has the snapshot it was sent last."""

    def ask_what_arrived(self, peer: int, progress: Progress) -> None:
        self.send_append(peer, progress, with_entries=False)


class AsksWithEveryAnswer(Raft):
    """How often a peer is asked depends on how many reads there are."""

    def ask_what_arrived(self, peer: int, progress: Progress) -> None:
        progress.probe_sent = False
        super().ask_what_arrived(peer, progress)


class AsksWithTheSnapshot(Raft):
    """The snapshot is sent again to see whether it arrived."""

    def ask_what_arrived(self, peer: int, progress: Progress) -> None:
        self.send_snapshot(peer, progress)


class AsksWithEntries(Raft):
    """Entries go out before the snapshot that they follow has arrived."""

    def ask_what_arrived(self, peer: int, progress: Progress) -> None:
        self.send_append(peer, progress)


class HintsAreForLeaders(Raft):
    """A hint takes it for granted that the peer is tracked."""

    def report(self, peer: int, event: PeerEvent) -> None:
        self.progress[peer].patience += 0
        super().report(peer, event)


class NoHeartbeats(Raft):
    """A leader with nothing to say is silent."""

    def send_heartbeats(self) -> None:
        self.reads.round += 1
        self.lease.sent(self.reads.round)


# ---------------------------------------------------------------- commitment (§3.6) and disks (§3.8)


class NeverAdvances(Raft):
    """A leader commits nothing."""

    def advance_commit(self) -> None:
        pass


class OneAcknowledgementIsEnough(Raft):
    """An entry is committed as soon as anybody has it."""

    def _durable_at(self, voter: int) -> int:
        others = [progress.match_index for progress in self.progress.values()]
        return max([super()._durable_at(voter), *others])


class WaitsForAll(Raft):
    """An entry is committed when everybody has it."""

    def _durable_at(self, voter: int) -> int:
        return min([super()._durable_at(voter), *map(super()._durable_at, self.configuration.voters)])


class NeedsItsOwnDisk(Raft):
    """A leader waits for its own disk, also when a majority does not need it."""

    def _durable_at(self, voter: int) -> int:
        return min(super()._durable_at(voter), self.log.durable_index)


class CountsItselfWhenRemoved(Raft):
    """A leader that removed itself counts itself in a voter's place."""

    def _durable_at(self, voter: int) -> int:
        if self.node_id not in self.configuration.voters:
            return self.log.durable_index
        return super()._durable_at(voter)


class OffByOneMajority(Raft):
    """An entry is committed one too late."""

    def advance_commit(self) -> None:
        index = acknowledged_by_majority(self.configuration.voters, self._durable_at) - 1
        if index > self.commit_index and self.log.term(index) == self.current_term:
            self.commit_index = index


class AppliesTheLastOnly(Raft):
    """Of what is committed together only the last is applied."""

    def _next_committed(self) -> list[Entry]:
        return super()._next_committed()[-1:]


class AppliesBeforeItsDisk(Raft):
    """What is committed is applied though the own disk may not hold it."""

    def _next_committed(self) -> list[Entry]:
        begin, self._committed_out = self._committed_out, max(self._committed_out, self.commit_index)
        return self.log.slice(begin + 1, self.commit_index) if begin < self.commit_index else []


class NeverStoresTheCommit(Raft):
    """The hint of what is committed is not written."""

    def _next_write(self) -> Write | None:
        self._hint_due = False
        return super()._next_write()


class AnswersAtOnce(Raft):
    """Nothing waits for the disk."""

    def is_durable(self, message: Message) -> bool:
        return True


class AsksBeforeItsVoteIsStored(Raft):
    """A candidate asks for votes before its own is on disk."""

    def is_durable(self, message: Message) -> bool:
        return isinstance(message, RequestVote) or super().is_durable(message)


class TermsMayBeLost(Raft):
    """A refusal or a heartbeat's answer leaves before its term is on disk."""

    def is_durable(self, message: Message) -> bool:
        refusal = isinstance(message, AppendEntriesReply) and not message.success
        return refusal or isinstance(message, HeartbeatReply) or super().is_durable(message)


class WritesFirst(Raft):
    """A leader sends entries only when its own disk has them."""

    def is_durable(self, message: Message) -> bool:
        if isinstance(message, AppendEntries) and message.entries:
            return self.log.durable_index >= message.entries[-1].index
        return super().is_durable(message)


class EveryWriteIsTheLast(Raft):
    """A write that is done counts for all that the log holds."""

    def persisted(self, number: int) -> None:
        super().persisted(number)
        self.log.durable_index = self.log.last_index


# ---------------------------------------------------------------- snapshots (§5)


class KeepsTheWholeLog(Raft):
    """A snapshot does not make the log shorter."""

    def compacted(self, snapshot: Snapshot, first_index: int) -> None:
        super().compacted(snapshot, self.log.first_index)


class KeepsNothingBehind(Raft):
    """A snapshot takes all of the log before it."""

    def compacted(self, snapshot: Snapshot, first_index: int) -> None:
        super().compacted(snapshot, snapshot.index + 1)


class NoSnapshots(Raft):
    """Who is behind the log gets nothing."""

    def send_snapshot(self, peer: int, progress: Progress) -> None:
        pass


class GoesOnBehindSnapshot(Raft):
    """Entries follow a snapshot that has not arrived."""

    def send_snapshot(self, peer: int, progress: Progress) -> None:
        super().send_snapshot(peer, progress)
        progress.state = ProgressState.PROBE


class StaleSnapshotUnanswered(Raft):
    """Who has more than a snapshot does not say so."""

    def on_install_snapshot(self, message: InstallSnapshot) -> None:
        if message.snapshot.index > self.commit_index:
            super().on_install_snapshot(message)


class TakesAnySnapshot(Raft):
    """A stale snapshot replaces the log."""

    def on_install_snapshot(self, message: InstallSnapshot) -> None:
        self.follow(message.source)
        self.install_snapshot(message.snapshot)
        self._send_append_reply(message.source, message.snapshot.index, success=True)


class AppliesBehindSnapshot(Raft):
    """A snapshot does not stand for what was applied."""

    def install_snapshot(self, snapshot: Snapshot) -> None:
        applied = self._committed_out
        super().install_snapshot(snapshot)
        self._committed_out = applied


class PatienceWithoutEnd(Raft):
    """What does not arrive is waited for for ever."""

    def lose_patience(self) -> None:
        pass


# ---------------------------------------------------------------- membership (§4)


class TakesAnybodysChange(Raft):
    """Who does not lead does not say who does."""

    def propose_change(self, change: Change, context: bytes) -> None:
        if self.role is not Role.LEADER:
            raise NotLeader(NO_NODE)
        super().propose_change(change, context)


class RefusesInSilence(Raft):
    """A change that is refused seems taken."""

    def propose_change(self, change: Change, context: bytes) -> None:
        try:
            super().propose_change(change, context)
        except ChangeRefused:
            return


class UpdatesNothing(Raft):
    """An update is no entry."""

    def propose_change(self, change: Change, context: bytes) -> None:
        if change.kind is not ChangeKind.UPDATE:
            super().propose_change(change, context)


class RefusesEveryChange(Raft):
    """No change is possible."""

    def check_change(self, change: Change) -> None:
        raise ChangeRefused("no")


class ForgetsTheRemoved(Raft):
    """Nobody remembers who was removed."""

    @property
    def configuration(self) -> Configuration:
        return self.configurations.latest._replace(removed=())


class LetsGoAtOnce(Raft):
    """Who is removed hears nothing more."""

    def follow_configuration(self, before: Configuration, after: Configuration) -> None:
        super().follow_configuration(before, after)
        for peer, progress in list(self.progress.items()):
            if progress.removal:
                del self.progress[peer]


class SnapshotsLengthenTheStay(Raft):
    """A removed peer stays for as long as it is sent snapshots."""

    def send_snapshot(self, peer: int, progress: Progress) -> None:
        super().send_snapshot(peer, progress)
        progress.stay = progress.patience


class HandsOverToTheFirst(Raft):
    """A leader that removed itself lets any voter stand, not the one that is furthest."""

    def leave_when_removed(self) -> None:
        known = [(progress, progress.match_index) for progress in self.progress.values()]
        for progress, _ in known:
            progress.match_index = 0
        super().leave_when_removed()
        for progress, match_index in known:
            progress.match_index = match_index


class HandsOverToTheSlowest(Raft):
    """A leader that removed itself lets the voter stand that is furthest behind."""

    def leave_when_removed(self) -> None:
        known = list(self.progress.values())
        for progress in known:
            progress.match_index = -progress.match_index
        super().leave_when_removed()
        for progress in known:
            progress.match_index = -progress.match_index


class NeverLetsGo(Raft):
    """Who was removed is told for ever."""

    def let_go(self, peer: int) -> None:
        pass


class IgnoresItsRemoval(Raft):
    """Who is told that it was removed goes on."""

    def on_removed_notice(self, message: RemovedNotice) -> None:
        pass


# ---------------------------------------------------------------- transfer (§3.10)


class NeverFinishesTransfer(Raft):
    """The target is not told to stand."""

    def finish_transfer(self, peer: int) -> None:
        pass


class AskingAgainTakesLonger(Raft):
    """A transfer that is asked for again begins again."""

    def transfer_leadership(self, target: int) -> None:
        super().transfer_leadership(target)
        self._transfer_elapsed = 0


class OneTimeForAllTargets(Raft):
    """Another target has only the time that the first one left."""

    def transfer_leadership(self, target: int) -> None:
        elapsed = self._transfer_elapsed if self.transferee != NO_NODE else 0
        super().transfer_leadership(target)
        self._transfer_elapsed = elapsed


class TransferKeepsInOffice(Raft):
    """A transfer puts off the question who is still reached."""

    def transfer_leadership(self, target: int) -> None:
        super().transfer_leadership(target)
        self._election_elapsed = 0


class BelievesInWhoAskedIt(Raft):
    """A target that stands goes on following the leader that wanted it."""

    def campaign(self, *, transfer: bool = False) -> None:
        leader = self.leader
        super().campaign(transfer=transfer)
        if self.role is Role.CANDIDATE:
            self.leader = leader


class TransferHasNoEnd(Raft):
    """A transfer that takes too long is not given up."""

    def tick(self, intervals: int = 1) -> None:
        target = self.transferee
        super().tick(intervals)
        self.transferee = target


class TargetAsksFirst(Raft):
    """The target of a transfer begins with a pre-vote."""

    def on_timeout_now(self, message: TimeoutNow) -> None:
        self.pre_vote()


class AnyTransferee(Raft):
    """Leadership goes to whoever is named."""

    def transfer_leadership(self, target: int) -> None:
        if self.role is not Role.LEADER:
            raise NotLeader(self.leader)
        self.transferee = target
        if target in self.progress:
            self.finish_transfer(target)


class SilentTransfer(Raft):
    """Who does not lead accepts a transfer and does nothing."""

    def transfer_leadership(self, target: int) -> None:
        if self.role is Role.LEADER:
            super().transfer_leadership(target)


class LeaseWhileMoving(Raft):
    """A lease goes on though leadership moves."""

    def transfer_leadership(self, target: int) -> None:
        super().transfer_leadership(target)
        self._lease_void = False


# ---------------------------------------------------------------- reads and leases (§6.4)


class ReadsAtTheLatest(Raft):
    """A read waits for what was committed after it came."""

    def release_reads(self) -> None:
        self.reads.index = self.commit_index
        super().release_reads()


class EarlierRoundsConfirm(Raft):
    """A round that began before the read confirms it."""

    def start_read_round(self) -> None:
        starts = self.reads.may_start
        super().start_read_round()
        if starts:
            self.reads._needed = self.reads.round - 1


class LoneReadWaits(Raft):
    """A read is not answered before somebody answers."""

    def release_reads(self) -> None:
        if self.progress:
            super().release_reads()


class LoneLeaseWaits(Raft):
    """A lone voter renews its lease only when a learner answers."""

    def send_heartbeats(self) -> None:
        lease, self.lease = self.lease, LeaderLease(self.election_ticks)
        super().send_heartbeats()
        self.lease = lease
        self.lease.sent(self.reads.round)


class ConfirmedByOne(Raft):
    """One answer confirms a leader."""

    def _confirmed_by(self, voter: int) -> int:
        answered = [self.progress[peer].confirmed_round for peer in self._other_voters()]
        return max(answered, default=super()._confirmed_by(voter))


class NeverConfirmed(Raft):
    """No answer confirms a leader."""

    def release_reads(self) -> None:
        pass


class AnswersFollowersAtOnce(Raft):
    """A follower's read is answered without a round."""

    def on_read_index(self, message: ReadIndex) -> None:
        if self.role is Role.LEADER:
            contexts, index = message.contexts, self.commit_index
            self._send(ReadIndexReply(self.node_id, message.source, self.current_term, contexts, index))


class AnybodyAnswersReads(Raft):
    """Who does not lead answers reads of others."""

    def on_read_index(self, message: ReadIndex) -> None:
        if self.role is Role.LEADER:
            super().on_read_index(message)
        else:
            contexts, index = message.contexts, self.commit_index
            self._send(ReadIndexReply(self.node_id, message.source, self.current_term, contexts, index))


class LosesReadAnswers(Raft):
    """The leader's answer to a read is not taken."""

    def on_read_index_reply(self, message: ReadIndexReply) -> None:
        pass


class DeposedAnswersReads(Raft):
    """A deposed leader answers the reads that wait."""

    def become_follower(self, term: int, leader: int) -> None:
        for request in self.reads._under_way:
            self._release(request, self.commit_index)
        super().become_follower(term, leader)


class NoLease(Raft):
    """There is no lease."""

    def may_read_under_lease(self) -> bool:
        return False


class LeaseAlways(Raft):
    """The lease is used by who did not ask for it."""

    def may_read_under_lease(self) -> bool:
        return self.lease.holds


class LeaseTooLong(Raft):
    """A lease lasts as long as the voters' patience, and not less."""

    def become_leader(self) -> None:
        super().become_leader()
        self.lease._length = self.election_ticks


class LeaseFromTheAnswer(Raft):
    """A lease begins when the answer comes."""

    def release_reads(self) -> None:
        super().release_reads()
        if acknowledged_by_majority(self.configuration.voters, self._confirmed_by):
            self.lease._until = self.lease._now + self.lease._length


class NoPromiseAtStart(Raft):
    """Who restarts votes at once, whatever it promised."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._promised = False


OVERRIDES: dict[str, type[Raft]] = {
    name: value
    for name, value in list(globals().items())
    if isinstance(value, type) and issubclass(value, Raft) and value.__module__ == __name__
}
"""Every override of this file, by name."""
