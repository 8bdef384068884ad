"""The safety rules of Raft as data, checked from outside after every step of a member.

A rule is a section of the thesis, a sentence (its docstring), and a function of (step, ledger) that
returns what is wrong, or None. The contract alone is used, so the rules hold for any core. Those with
``whole_cluster`` need an observer who sees every member; one who sees a single live member leaves them
out.
"""

# ruff: noqa: D401 (the docstring of a rule states the rule)

from collections.abc import Callable, Sequence
from typing import NamedTuple

from raftkv.raft.aspects import (
    ALL,
    BASE,
    COMMIT,
    CONFIGURATION,
    DISK,
    ELECTED,
    HANDED,
    LEADS,
    LOG,
    NEWS,
    PEERS,
    READS,
    SENT,
    SENT_ACK,
    SENT_NOTICE,
    SENT_SNAPSHOT,
    SENT_VOTE,
    START,
    VOTE,
    WRITE,
    aspects_of,
)
from raftkv.raft.ledger import Ledger, Received, Started, Step, vote_in
from raftkv.raft.messages import (
    AppendEntriesReply,
    InstallSnapshot,
    PreVoteReply,
    RemovedNotice,
    RequestPreVote,
    RequestVote,
)
from raftkv.raft.quorum import majority
from raftkv.raft.types import NO_NODE, Configuration, EntryKind, Role

Check = Callable[[Step, Ledger], str | None]


class Rule(NamedTuple):
    """A sentence of the thesis that can be checked.

    ``concerns``: the aspects of a step (``raftkv.raft.aspects``) without which it has nothing to say.
    """

    name: str
    section: str
    text: str
    whole_cluster: bool
    check: Check
    concerns: int


class Violation(NamedTuple):
    """A rule that a step broke."""

    rule: Rule
    node_id: int
    detail: str

    def __str__(self) -> str:
        return f"{self.rule.section}: {self.rule.text} Member {self.node_id}: {self.detail}"


class RuleViolated(AssertionError):
    """Raised by ``Observer``; ``violation`` says which rule."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(str(violation))
        self.violation = violation


def rule(section: str, concerns: int, *, whole_cluster: bool = False) -> Callable[[Check], Rule]:
    """Make a rule of a function that returns what is wrong, or None; its docstring is the sentence."""

    def make(check: Check) -> Rule:
        assert check.__doc__ is not None, f"{check} states no rule"
        return Rule(check.__name__, section, check.__doc__, whole_cluster, check, concerns)

    return make


@rule("§3.3", VOTE)
def term_grows(step: Step, ledger: Ledger) -> str | None:
    """A member's term never goes back."""
    if step.before is not None and step.after.term < step.before.term:
        return f"term {step.before.term}, then {step.after.term}"
    return None


@rule("§3.4", VOTE)
def vote_stays(step: Step, ledger: Ledger) -> str | None:
    """A vote once given in a term stays."""
    before, after = step.before, step.after
    if before is None or before.term != after.term or before.vote in (NO_NODE, after.vote):
        return None
    return f"voted for {before.vote}, then for {after.vote} in term {after.term}"


@rule("§3.4", SENT_VOTE)
def one_vote_a_term(step: Step, ledger: Ledger) -> str | None:
    """A member votes for at most one candidate in a term, restarts included."""
    for message in step.sent:
        candidate = vote_in(message)
        known = ledger.votes.get((message.source, message.term), candidate)
        if candidate not in (NO_NODE, known):
            return f"voted for {known} and for {candidate} in term {message.term}"
    return None


@rule("§3.6.1", VOTE)
def vote_for_up_to_date_log(step: Step, ledger: Ledger) -> str | None:
    """A vote goes only to a candidate whose log is at least as up to date."""
    if not isinstance(step.event, Received) or not isinstance(step.event.message, RequestVote):
        return None
    asked, before = step.event.message, step.before
    fresh = before is None or (before.term, before.vote) != (step.after.term, step.after.vote)
    log = ledger.members[step.node_id].log
    own = log.term_before(len(log)), len(log)
    if fresh and step.after.vote == asked.source and (asked.last_log_term, asked.last_log_index) < own:
        return f"own log ends at {own}, the candidate's at {asked.last_log_term, asked.last_log_index}"
    return None


@rule("§9.6", VOTE)
def pre_vote_changes_nothing(step: Step, ledger: Ledger) -> str | None:
    """A request for a pre-vote changes neither term nor vote."""
    if step.before is None or not isinstance(step.event, Received):
        return None
    before, after = step.before, step.after
    if isinstance(step.event.message, RequestPreVote) and before[2:4] != after[2:4]:
        return f"(term, vote) {before[2:4]} became {after[2:4]}"
    return None


@rule("§3.4", LEADS)
def one_leader_a_term(step: Step, ledger: Ledger) -> str | None:
    """Election safety: at most one leader in a term."""
    if step.after.role is Role.LEADER and ledger.leaders[step.after.term] != step.node_id:
        return f"member {ledger.leaders[step.after.term]} leads term {step.after.term} too"
    return None


@rule("§3.4", ELECTED, whole_cluster=True)
def leader_has_majority(step: Step, ledger: Ledger) -> str | None:
    """A leader has the votes of a majority."""
    if not step.begins_to_lead:
        return None
    voters, term = step.after.configuration.voters, step.after.term
    votes = [v for v in voters if v == step.node_id or ledger.votes.get((v, term)) == step.node_id]
    if len(votes) < majority(voters):
        return f"leads term {term} with the votes of {votes} only"
    return None


@rule("§3.5", LOG)
def leader_appends_only(step: Step, ledger: Ledger) -> str | None:
    """Leader append-only: a leader neither overwrites nor deletes entries of its log."""
    member = ledger.members[step.node_id]
    if step.goes_on_leading and member.truncated:
        return f"entry {member.changed_from} was replaced"
    return None


@rule("§3.5", LOG)
def leader_uses_own_term(step: Step, ledger: Ledger) -> str | None:
    """A leader's new entries carry its term."""
    member = ledger.members[step.node_id]
    new = member.log[member.changed_from - 1 :] if step.goes_on_leading else []
    wrong = [entry.index for entry in new if entry.term != step.after.term]
    return f"entries {wrong} are of another term than {step.after.term}" if wrong else None


@rule("§3.5", LOG)
def log_matching(step: Step, ledger: Ledger) -> str | None:
    """Log matching: the same index and term means the same entries up to there."""
    member = ledger.members[step.node_id]
    for position in range(member.changed_from - 1, len(member.log)):
        entry, previous = member.log[position], member.log.term_before(position)
        if ledger.entries[entry.index][entry.term] != (entry, previous):
            return f"entry {entry.index} of term {entry.term} differs, or what is before it"
    return None


@rule("§3.5", LOG)
def log_is_ordered(step: Step, ledger: Ledger) -> str | None:
    """Indexes follow each other and terms never fall along a log."""
    member = ledger.members[step.node_id]
    for position in range(member.changed_from - 1, len(member.log)):
        entry, previous = member.log[position], member.log.term_before(position)
        if entry.index != position + 1 or not previous <= entry.term <= step.after.term:
            return f"{entry[:2]} at {position + 1}, after term {previous}, in term {step.after.term}"
    return None


@rule("§3.6.3", ELECTED | NEWS)
def leader_completeness(step: Step, ledger: Ledger) -> str | None:
    """Leader completeness: a leader has every entry committed in earlier terms."""
    if step.begins_to_lead:
        return _lacks_committed(ledger, step.node_id)
    if ledger.newly_committed:
        newer = [m for m, record in ledger.members.items() if record.leads > step.after.term]
        return next(filter(None, (_lacks_committed(ledger, member) for member in newer)), None)
    return None


def _lacks_committed(ledger: Ledger, leader: int) -> str | None:
    """Look for what was committed before the term of a leader, who may have come to lead after later ones."""
    record = ledger.members[leader]
    index = ledger.committed_before(record.leads)
    known = ledger.committed[index - 1 : index] if index else []
    if known and not record.log.holds(known[0]):
        return f"committed entry {known[0][:2]} is not in the log of leader {leader}"
    return None


@rule("figure 3.1", COMMIT | LOG)
def commit_grows(step: Step, ledger: Ledger) -> str | None:
    """The commit index never goes back nor past the log's end."""
    after = step.after
    earlier = step.before.commit_index if step.before is not None else 0
    if not earlier <= after.commit_index <= after.log.last_index:
        return f"commit {earlier}, then {after.commit_index}, the log ends at {after.log.last_index}"
    return None


@rule("§3.6.2", COMMIT)
def commit_own_term(step: Step, ledger: Ledger) -> str | None:
    """A leader commits by counting only entries of its own term."""
    if not step.goes_on_leading or step.before is None:
        return None
    index, log = step.after.commit_index, ledger.members[step.node_id].log
    if index > step.before.commit_index and log.term_before(index) != step.after.term:
        return f"entry {index} of an older term was committed in term {step.after.term}"
    return None


@rule("§3.5", NEWS, whole_cluster=True)
def committed_is_on_majority(step: Step, ledger: Ledger) -> str | None:
    """What is committed is on the disks of a majority."""
    if not ledger.newly_committed or isinstance(step.event, Started):
        return None
    entry, voters = ledger.committed[-1], step.after.configuration.voters
    holders = [v for v in voters if v in ledger.members and ledger.members[v].holds(entry)]
    if len(holders) < majority(voters):
        return f"entry {entry[:2]} is committed and on the disks of {holders} only"
    return None


@rule("§3.6.3", COMMIT | HANDED)
def committed_is_the_same(step: Step, ledger: Ledger) -> str | None:
    """State machine safety: at an index all members have the same committed entry."""
    log = ledger.members[step.node_id].log
    earlier = step.before.commit_index if step.before is not None else 0
    claimed = log[earlier : step.after.commit_index]
    for entry in (*claimed, *step.committed):
        known = ledger.committed[entry.index - 1 : entry.index]
        if known != [entry]:
            return f"entry {entry[:2]}, where {[other[:2] for other in known]} is committed"
    return None


@rule("§3.6.3", LOG)
def committed_stays(step: Step, ledger: Ledger) -> str | None:
    """What a member knows to be committed is never replaced in its log."""
    member, before = ledger.members[step.node_id], step.before
    if before is not None and member.truncated and member.changed_from <= before.commit_index:
        return f"entry {member.changed_from} was replaced, {before.commit_index} were committed"
    return None


@rule("figure 3.1", HANDED)
def applied_in_order(step: Step, ledger: Ledger) -> str | None:
    """Committed entries are handed out once, in order, without a gap."""
    member = ledger.members[step.node_id]
    for expected, entry in enumerate(step.committed, member.applied_before + 1):
        if entry.index != expected:
            return f"entry {entry.index} where {expected} is due"
    return None


@rule("§3.8", HANDED)
def applied_is_durable(step: Step, ledger: Ledger) -> str | None:
    """An entry is handed out only when this member's own disk holds it."""
    member = ledger.members[step.node_id]
    missing = [entry.index for entry in step.committed if not member.holds(entry)]
    return f"entries {missing} are not on its disk" if missing else None


@rule("§3.8", SENT)
def sent_term_is_durable(step: Step, ledger: Ledger) -> str | None:
    """No message speaks of a term that the sender's disk does not hold."""
    term = ledger.members[step.node_id].hard_state.term
    for message in step.sent:
        asks = isinstance(message, RequestPreVote)
        promises = not (asks or (isinstance(message, PreVoteReply) and message.granted))
        if promises and message.term > term:
            return f"{message} left with term {term} on disk"
    return None


@rule("§3.8", SENT_VOTE)
def sent_vote_is_durable(step: Step, ledger: Ledger) -> str | None:
    """No vote leaves before it is on the voter's disk."""
    term, vote, _ = ledger.members[step.node_id].hard_state
    for message in step.sent:
        if message.term == term and vote_in(message) not in (NO_NODE, vote):
            return f"{message} left with vote {vote} on disk"
    return None


@rule("§3.8", SENT_ACK)
def acknowledged_is_durable(step: Step, ledger: Ledger) -> str | None:
    """No acknowledgement leaves before the entries are on the sender's disk."""
    member = ledger.members[step.node_id]
    for message in step.sent:
        if not isinstance(message, AppendEntriesReply) or not message.success:
            continue
        index, term = message.index, member.hard_state.term
        # An answer of an older term is a fact of that term; a later leader may have replaced the entry.
        if message.term == term and index > len(member.disk):
            return f"acknowledged up to {index}, the disk ends at {len(member.disk)}"
        if message.term == step.after.term and index and not member.holds_log_up_to(index):
            return f"acknowledged up to {index}, the disk holds another entry there"
    return None


@rule("§3.8", DISK | LOG)
def durable_claims_hold(step: Step, ledger: Ledger) -> str | None:
    """What a member takes for durable is on its disk."""
    member, after = ledger.members[step.node_id], step.after
    if (after.durable_term, after.durable_vote) != member.hard_state[:2]:
        return f"claims {after.durable_term, after.durable_vote}, the disk holds {member.hard_state[:2]}"
    index = after.durable_index
    if index and not member.holds_log_up_to(index):
        return f"claims entries up to {index}, the disk ends at {len(member.disk)}"
    return None


@rule("§3.8", WRITE | DISK)
def writes_fit(step: Step, ledger: Ledger) -> str | None:
    """Writes are numbered in order and leave no gap in the log."""
    member = ledger.members[step.node_id]
    length, number = len(member.disk), 0
    for write in member.pending:
        if number and write.number != number + 1:
            return f"write {write.number} after {number}"
        number = write.number
        if write.snapshot is not None:
            length = write.snapshot.index
        length = write.truncate_from - 1 if write.truncate_from else length
        if write.entries and write.entries[0].index != length + 1:
            return f"write {number} puts entry {write.entries[0].index} after {length}"
        length += len(write.entries)
    return None


@rule("§3.8", START)
def restart_recovers(step: Step, ledger: Ledger) -> str | None:
    """A restarted member has all that its disk held."""
    survived = ledger.members[step.node_id].surviving
    if not isinstance(step.event, Started) or survived is None:
        return None
    hard_state, entries = survived
    if hard_state[:2] != (step.after.term, step.after.vote):
        return f"the disk held {hard_state}, it begins with {step.after.term, step.after.vote}"
    if entries != ledger.members[step.node_id].log:
        return f"the disk held {len(entries)} entries, it begins with others"
    return None


@rule("§3.5", PEERS, whole_cluster=True)
def match_is_durable(step: Step, ledger: Ledger) -> str | None:
    """A match index is a fact: the peer's disk holds the leader's log up to it."""
    log = ledger.members[step.node_id].log
    for peer, progress in step.after.peers.items():
        known = ledger.members.get(peer)
        index = progress.match_index
        # A peer in a later term may have replaced what it acknowledged; then this leader is deposed.
        if known is None or index == 0 or known.hard_state.term > step.after.term:
            continue
        if index > log.end or not known.disk.holds(log[index - 1]):
            return f"match index {index} of member {peer}, whose disk ends at {len(known.disk)}"
    return None


@rule("§3.5", PEERS)
def match_grows(step: Step, ledger: Ledger) -> str | None:
    """Within a leadership a match index never goes back, and stays below the next index."""
    for peer, progress in step.after.peers.items():
        if progress.match_index >= progress.next_index:
            return f"match {progress.match_index}, next {progress.next_index} of member {peer}"
        if not step.goes_on_leading or step.before is None or peer not in step.before.peers:
            continue
        if progress.match_index < (earlier := step.before.peers[peer].match_index):
            return f"match {earlier}, then {progress.match_index} of member {peer}"
    return None


@rule("§4.1", CONFIGURATION | LOG, whole_cluster=True)
def configuration_follows_log(step: Step, ledger: Ledger) -> str | None:
    """The configuration in force is the last one in the log, committed or not."""
    latest = ledger.members[step.node_id].configuration
    if step.after.configuration != latest:
        return f"{step.after.configuration} is in force, the log ends with {latest}"
    return None


@rule("§4.1", LOG)
def one_change_at_a_time(step: Step, ledger: Ledger) -> str | None:
    """At most one change of the members is uncommitted, in any log."""
    known = len(ledger.committed)
    waiting = [index for index, _ in ledger.members[step.node_id].configurations if index > known]
    return f"the changes {waiting} are not committed" if len(waiting) > 1 else None


@rule("§4.1", LOG)
def changes_one_member(step: Step, ledger: Ledger) -> str | None:
    """A configuration differs by at most one member from the one before, and brings no removed id back."""
    history = ledger.members[step.node_id].configurations
    first = ledger.members[step.node_id].changed_from
    for position in range(len(history) - 1, 0, -1):
        index, new = history[position]
        if index < first:
            break
        if detail := _wrong_change(history[position - 1][1], new):
            return f"the change at {index} {detail}"
    return None


def _wrong_change(old: Configuration, new: Configuration) -> str | None:
    moved = set(old.voters) ^ set(new.voters)
    moved |= set(old.learners) ^ set(new.learners)
    moved |= set(old.removed) ^ set(new.removed)
    if not set(old.removed) <= set(new.removed):
        return "forgets who was removed"
    if back := set(new.removed) & set(new.members):
        return f"brings {sorted(back)} back"
    return f"moves {sorted(moved)} at once" if len(moved) > 1 else None


@rule("§4.1 (2015)", LOG)
def change_waits_for_own_term(step: Step, ledger: Ledger) -> str | None:
    """A leader changes the members only after an entry of its own term is committed."""
    if not step.goes_on_leading or step.before is None:
        return None
    member, commit = ledger.members[step.node_id], step.before.commit_index
    new = member.log[member.changed_from - 1 :]
    changes = [entry.index for entry in new if entry.kind == EntryKind.CONFIGURATION]
    if changes and (not commit or member.log.term_before(commit) != step.after.term):
        return f"change {changes} in term {step.after.term}, of which nothing is committed"
    return None


@rule("§4.2.3", SENT_NOTICE, whole_cluster=True)
def notice_is_true(step: Step, ledger: Ledger) -> str | None:
    """Only who was removed by a committed change is told so."""
    removed = ledger.configuration_at(len(ledger.committed)).removed
    for message in step.sent:
        if isinstance(message, RemovedNotice) and message.target not in removed:
            return f"{message}, where {removed} are removed"
    return None


@rule("§4.2.2", COMMIT | CONFIGURATION | ELECTED)
def removed_leader_leaves(step: Step, ledger: Ledger) -> str | None:
    """A leader that knows its own removal committed leads no more."""
    after = step.after
    if after.role is not Role.LEADER or after.node_id in after.configuration.voters:
        return None
    if after.configuration_index > after.commit_index:
        return None
    return f"leads term {after.term}, and entry {after.configuration_index}, committed, removed it"


@rule("§3.10", LOG)
def moving_leader_appends_nothing(step: Step, ledger: Ledger) -> str | None:
    """While leadership moves, the leader takes no new entries."""
    member, before = ledger.members[step.node_id], step.before
    moves = before is not None and NO_NODE not in (before.transferee, step.after.transferee)
    if moves and step.goes_on_leading and member.changed_from <= len(member.log):
        return f"entry {member.changed_from} was appended"
    return None


@rule("§5.1", BASE | SENT_SNAPSHOT | WRITE, whole_cluster=True)
def snapshot_is_committed_prefix(step: Step, ledger: Ledger) -> str | None:
    """A snapshot stands for a committed prefix, and names the configuration at its end."""
    sent = [message.snapshot for message in step.sent if isinstance(message, InstallSnapshot)]
    known = step.before.snapshot if step.before is not None else None
    fresh = step.after.snapshot if step.after.snapshot != known else None
    for snapshot in filter(None, (fresh, step.installed, *sent)):
        end = ledger.committed[snapshot.index - 1 : snapshot.index]
        if not end or end[0].term != snapshot.term:
            return f"{snapshot}, where {[entry[:2] for entry in end]} is committed"
        if snapshot.configuration != ledger.configuration_at(snapshot.index):
            return f"{snapshot}, where {ledger.configuration_at(snapshot.index)} was in force"
    return None


@rule("§5.1", BASE)
def snapshot_covers_the_gap(step: Step, ledger: Ledger) -> str | None:
    """What the log no longer holds is in the snapshot, and the snapshot never gets older."""
    snapshot = step.after.snapshot
    index = snapshot.index if snapshot is not None else 0
    if step.after.log.first_index > index + 1:
        return f"the log begins at {step.after.log.first_index}, the snapshot ends at {index}"
    if step.before is not None and step.before.snapshot is not None and step.before.snapshot.index > index:
        return f"snapshot {step.before.snapshot.index}, then {index}"
    return None


@rule("§6.4", READS)
def read_is_fresh(step: Step, ledger: Ledger) -> str | None:
    """A read is served at an index that covers all that was committed when it was asked."""
    for ready in step.effects:
        for context, index in ready.reads:
            floor = ledger.read_floors.get((step.node_id, context))
            if floor is None and ledger.reads_forgotten:
                continue
            if floor is None:
                return f"nobody asked for read {context}"
            if index < floor:
                return f"read {context} at {index}; {floor} was committed when it was asked"
    return None


RULES: tuple[Rule, ...] = (
    term_grows,
    vote_stays,
    one_vote_a_term,
    vote_for_up_to_date_log,
    pre_vote_changes_nothing,
    one_leader_a_term,
    leader_has_majority,
    leader_appends_only,
    leader_uses_own_term,
    log_matching,
    log_is_ordered,
    leader_completeness,
    commit_grows,
    commit_own_term,
    committed_is_on_majority,
    committed_is_the_same,
    committed_stays,
    applied_in_order,
    applied_is_durable,
    sent_term_is_durable,
    sent_vote_is_durable,
    acknowledged_is_durable,
    durable_claims_hold,
    writes_fit,
    restart_recovers,
    match_is_durable,
    match_grows,
    configuration_follows_log,
    one_change_at_a_time,
    changes_one_member,
    change_waits_for_own_term,
    notice_is_true,
    removed_leader_leaves,
    moving_leader_appends_nothing,
    snapshot_is_committed_prefix,
    snapshot_covers_the_gap,
    read_is_fresh,
)
"""All rules, in the order in which a broken one is named first."""


class Observer:
    """Checks each step against the rules and keeps the ledger.

    With a ``window`` the ledger stays bounded: see there. ``every_rule`` asks also those rules that a step
    does not concern, to show that they never have anything to say.
    """

    def __init__(
        self, rules: Sequence[Rule] = RULES, window: int | None = None, *, every_rule: bool = False
    ) -> None:
        self.rules = rules
        self.ledger = Ledger(window)
        self._every_rule = every_rule
        self._concerned: dict[int, tuple[Rule, ...]] = {}

    def observe(self, step: Step) -> None:
        """Take in a step; raises RuleViolated for the first rule it breaks."""
        ledger = self.ledger
        ledger.record(step)
        aspects = ALL if self._every_rule else aspects_of(step, ledger.members[step.node_id], ledger)
        if (concerned := self._concerned.get(aspects)) is None:
            concerned = self._concerned_by(aspects)
        for candidate in concerned:
            if detail := candidate.check(step, ledger):
                raise RuleViolated(Violation(candidate, step.node_id, detail))
        ledger.forget()

    def _concerned_by(self, aspects: int) -> tuple[Rule, ...]:
        """Return the rules that look at one of the aspects, in order."""
        concerned = tuple(one for one in self.rules if one.concerns & aspects)
        self._concerned[aspects] = concerned
        return concerned
