"""What an observer of members knows: each step, and the ledger across members and restarts.

A ``Step`` is what one call of the contract did: two ``Status`` of the member, what came in and what went
out. The ``Ledger`` holds what follows from all steps so far: what each disk holds (from the Writes and
their acknowledgements, not from what the core claims), who led which term, who voted for whom, which
entry is committed where. Taking in a step costs a look at the touched member and at the entries that
changed, never at the whole log.

A snapshot stands for a committed prefix, and the ledger knows what is committed: logs and disks are kept
whole here, as if nothing had been compacted. An observer who came later does not know what a snapshot
stands for, and takes it as given.

With a ``window`` the ledger forgets: of what is committed, durable and applied it keeps the last ``window``
entries, and as many votes, leaders and reads. So it can watch a live member for as long as that runs.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from raftkv.raft.membership import decode_configuration
from raftkv.raft.messages import Message, RequestVote, RequestVoteReply
from raftkv.raft.partial_log import PartialLog
from raftkv.raft.ready import Ready, Write
from raftkv.raft.types import (
    NO_NODE,
    Change,
    Configuration,
    Entry,
    EntryKind,
    HardState,
    LogView,
    Role,
    Snapshot,
    Status,
)


class Started(NamedTuple):
    """The member came up with this from its disk; ``entries`` begin after ``snapshot``."""

    hard_state: HardState
    entries: Sequence[Entry]
    snapshot: Snapshot | None = None


class Ticked(NamedTuple):
    """``tick`` was called."""

    intervals: int = 1


class Received(NamedTuple):
    """``step`` was called."""

    message: Message


class Proposed(NamedTuple):
    """``propose`` was called."""

    data: bytes


class ReadAsked(NamedTuple):
    """``read_index`` was called."""

    context: int


class ChangeProposed(NamedTuple):
    """``propose_change`` was called."""

    change: Change


class TransferAsked(NamedTuple):
    """``transfer_leadership`` was called."""

    target: int


class Compacted(NamedTuple):
    """``compacted`` was called."""

    snapshot: Snapshot
    first_index: int


class Reported(NamedTuple):
    """``report`` was called."""

    peer: int


class Persisted(NamedTuple):
    """``persisted`` was called: every Write up to ``number`` is durable."""

    number: int


History = list[tuple[int, Configuration]]
"""Configurations with the index of the entry that brought each, in order."""

Event = (
    Started
    | Ticked
    | Received
    | Proposed
    | ReadAsked
    | ChangeProposed
    | TransferAsked
    | Compacted
    | Reported
    | Persisted
)


class Step(NamedTuple):
    """One call of the contract. ``before`` is None for a start; ``sent`` are the messages that left.

    The log of a ``Status`` is a live view, so only ``after.log`` may be read.
    """

    node_id: int
    before: Status | None
    event: Event
    after: Status
    effects: tuple[Ready, ...]
    sent: tuple[Message, ...]

    @property
    def goes_on_leading(self) -> bool:
        """Whether the member led the same term before and after."""
        before, after = self.before, self.after
        return (
            before is not None
            and before.role is Role.LEADER
            and after.role is Role.LEADER
            and before.term == after.term
        )

    @property
    def begins_to_lead(self) -> bool:
        """Whether this step made the member a leader."""
        return self.after.role is Role.LEADER and not self.goes_on_leading

    @property
    def committed(self) -> list[Entry]:
        """The entries handed out to be applied."""
        return [entry for ready in self.effects for entry in ready.committed]

    @property
    def installed(self) -> Snapshot | None:
        """The snapshot that replaces the state machine, if the step asks for that."""
        snapshots = [ready.write.snapshot for ready in self.effects if ready.write is not None]
        return next(filter(None, reversed(snapshots)), None)


class MemberRecord:
    """What the observer knows of one member: its disk, its log, and where it changed last."""

    def __init__(self) -> None:
        self.hard_state = HardState()
        self.disk = PartialLog()
        self.pending: deque[Write] = deque()
        self.log = PartialLog()
        self.configurations: History = []  # those of the log, by index
        self.changed_from = 1
        self.truncated = False
        self.changed = False  # whether anything of the log may have
        self.rebased = False  # whether the member's log begins elsewhere than before
        self._first_index = 1
        self.applied = 0
        self.applied_before = 0
        self.leads = 0  # the term it leads, 0 for none
        self.surviving: tuple[HardState, PartialLog] | None = None
        self.losses_seen = 0
        self.peers_may_lack = True  # whether a disk lost something since this member's last step

    def make_durable(self, number: int, committed: PartialLog) -> bool:
        """Let the Writes up to ``number`` reach the disk; return whether it may have lost entries by that."""
        loses = False
        while self.pending and self.pending[0].number <= number:
            write = self.pending.popleft()
            goes_back = write.hard_state is not None and write.hard_state.term < self.hard_state.term
            loses |= bool(write.truncate_from or write.snapshot is not None or goes_back)
            self.hard_state = write.hard_state or self.hard_state
            self.disk = written(self.disk, write, committed)
        return loses

    def disk_after(self, kept: int, committed: PartialLog) -> PartialLog:
        """Return what the disk holds if the first ``kept`` Writes under way reach it."""
        disk = self.disk.copy()
        for write in list(self.pending)[:kept]:
            disk = written(disk, write, committed)
        return disk

    @staticmethod
    def recovered_disk(started: Started, committed: PartialLog) -> PartialLog:
        """Return what the disk holds, by what was recovered from it."""
        disk = PartialLog()
        if started.snapshot is not None:
            disk = stood_for(started.snapshot, committed)
        disk.replace(len(disk), started.entries)
        return disk

    def follow_log(self, log: LogView, committed: PartialLog) -> None:
        """Copy what changed in the log since the last step."""
        first, last, known = log.first_index, log.last_index, self.log
        if (
            first == self._first_index
            and known.end == last >= first
            and known.ends_with(log.slice(last, last))
        ):
            # The same end stands for all that is before it; nearly every step leaves the log so.
            self.changed_from, self.truncated, self.changed, self.rebased = last + 1, False, False, False
            return
        self.rebased, self._first_index = first != self._first_index, first
        if self._is_as_before(log, first - 1, last):
            self.changed_from, self.truncated, self.changed = last + 1, False, False
        else:
            self._follow_changes(log, committed)
            self.changed = True

    def _is_as_before(self, log: LogView, base: int, last: int) -> bool:
        """Whether the log has the same end, which stands for all that is before it."""
        known = self.log
        return (
            known.end == last > base
            and last > known.start
            and known.ends_with(log.slice(last, last))
            and (base <= known.start or known.term_before(base) == log.term(base))
        )

    def _follow_changes(self, log: LogView, committed: PartialLog) -> None:
        base = log.first_index - 1
        same = min(self.log.end, log.last_index)
        while same > max(base, self.log.start) and [self.log[same - 1]] != log.slice(same, same):
            same -= 1
        prefix: Sequence[Entry] = ()
        if base > self.log.start and (same < base or self.log.term_before(base) != log.term(base)):
            known = stood_for(Snapshot(base, log.term(base) or 0, Configuration(())), committed)
            same = self._agreed(known, same)
            prefix = known[same:]
        self.changed_from, self.truncated = same + 1, same < len(self.log)
        self.log.replace(same, [*prefix, *log.slice(max(same, base) + 1, log.last_index)])
        self._follow_configurations()

    def _agreed(self, prefix: PartialLog, same: int) -> int:
        """Return up to where the log agrees with what was compacted; it stands for what is not known."""
        if prefix.start == len(prefix):
            self.log.begin_after(prefix.start, prefix.start_term)
            return prefix.start
        while same > prefix.start and self.log[same - 1] != prefix[same - 1]:
            same -= 1
        return same

    def _follow_configurations(self) -> None:
        while self.configurations and self.configurations[-1][0] >= self.changed_from:
            self.configurations.pop()
        self.configurations += configurations_in(self.log[self.changed_from - 1 :])

    @property
    def configuration(self) -> Configuration:
        """The last configuration in the log."""
        return self.configurations[-1][1] if self.configurations else Configuration(())

    def holds(self, entry: Entry) -> bool:
        """Whether this entry is on the disk."""
        return self.disk.holds(entry)

    def holds_log_up_to(self, index: int) -> bool:
        """Whether the disk agrees with the member's own log up to ``index`` (> 0)."""
        if index <= self.log.start:
            return index <= self.disk.end
        return index <= self.log.end and self.holds(self.log[index - 1])

    def restart(self, started: Started, committed: PartialLog) -> None:
        """Begin again from what was recovered; what was not durable is forgotten."""
        self.surviving = (self.hard_state, self.disk) if self.disk else None
        self.hard_state, self.disk = started.hard_state, self.recovered_disk(started, committed)
        self.leads = 0
        self.applied = started.snapshot.index if started.snapshot is not None else 0
        self.pending.clear()

    def forget(self, end: int) -> None:
        """Forget the entries up to index ``end``, and the configurations before the one in force there."""
        self.log.forget(end)
        self.disk.forget(end)
        self.configurations = in_force_from(self.configurations, end)


class Ledger:
    """What an observer knows across members and restarts."""

    def __init__(self, window: int | None = None) -> None:
        self.window = window
        self.members: dict[int, MemberRecord] = {}
        self.entries: dict[int, dict[int, tuple[Entry, int]]] = {}  # by index, by term
        self.committed = PartialLog()
        self.configurations: History = []  # the committed ones, by index
        self.newly_committed = 0
        self.commits: dict[int, int] = {}  # by term: up to where a member of that term was the first to know
        self.leaders: dict[int, int] = {}
        self.votes: dict[tuple[int, int], int] = {}
        self.read_floors: dict[tuple[int, int], int] = {}
        self.reads_forgotten = False
        self.losses = 0  # how often some disk may have lost entries, or came to be known

    def adopt(
        self,
        node_id: int,
        hard_state: HardState,
        entries: Sequence[Entry],
        snapshot: Snapshot | None = None,
    ) -> None:
        """Take a member's disk as given (a log made by hand, or known from elsewhere)."""
        record = self.members[node_id] = MemberRecord()
        self.losses += 1
        record.hard_state = hard_state
        if snapshot is not None:
            record.disk.begin_after(snapshot.index, snapshot.term)
        record.disk.replace(len(record.disk), entries)
        record.log = record.disk.copy()
        record.configurations = configurations_in(entries)
        self._enter(record.log, 1)

    def crashed(self, node_id: int, *, kept: int = 0) -> None:
        """Take note of a crash; the first ``kept`` Writes under way had reached the disk."""
        record = self.members[node_id]
        self.losses += 1
        if kept:
            record.make_durable(record.pending[kept - 1].number, self.committed)
        record.pending.clear()
        record.leads = 0
        for entry in record.log[len(record.disk) :]:
            # A lone member's entries of a term that is not durable yet: nobody was told of either, so
            # the term may be used again, for other entries.
            if entry.term > record.hard_state.term:
                self.entries.get(entry.index, {}).pop(entry.term, None)

    def recovered(self, node_id: int, started: Started) -> None:
        """Take note of a crash of which nobody saw how much was kept: find out from what was recovered.

        The disk keeps a prefix of the Writes under way; a term and a vote may have gone ahead of entries for
        which there was no room.
        """
        record = self.members[node_id]
        states = [write.hard_state for write in record.pending if write.hard_state is not None]
        for kept in range(len(record.pending) + 1):
            trial = record.disk_after(kept, self.committed)
            if trial == record.recovered_disk(started, self.committed) and (
                started.hard_state[:2] in [state[:2] for state in (record.hard_state, *states)]
            ):
                self.crashed(node_id, kept=kept)
                record.hard_state = started.hard_state
                return
        self.crashed(node_id)

    def record(self, step: Step) -> None:
        """Take in one step, before the rules look at it. What was known first is kept."""
        if (member := self.members.get(step.node_id)) is None:
            member = self.members[step.node_id] = MemberRecord()
            self.losses += 1
        event = step.event
        if isinstance(event, Persisted):
            self.losses += member.make_durable(event.number, self.committed)
        elif isinstance(event, ReadAsked):
            self.read_floors[step.node_id, event.context] = len(self.committed)
        elif isinstance(event, Started):
            self.losses += 1
            member.restart(event, self.committed)
        member.peers_may_lack, member.losses_seen = member.losses_seen != self.losses, self.losses
        member.follow_log(step.after.log, self.committed)
        member.applied_before = member.applied
        if step.effects:
            self._record_effects(member, step)
        if member.changed:
            self._enter(member.log, member.changed_from)
        if step.sent:
            self._enter_votes(step.sent)
        member.leads = step.after.term if step.after.role is Role.LEADER else 0
        if member.leads:
            self.leaders.setdefault(member.leads, step.node_id)
        self._record_committed(member.log, step.after)

    def _record_effects(self, member: MemberRecord, step: Step) -> None:
        member.pending.extend(ready.write for ready in step.effects if ready.write is not None)
        if (installed := step.installed) is not None:
            member.applied = member.applied_before = installed.index
        for entry in step.committed:
            member.applied = max(member.applied, entry.index)

    def _record_committed(self, log: PartialLog, status: Status) -> None:
        known = self.committed.end
        if log.start > known:
            self.committed.begin_after(log.start, log.start_term)
        end = self.committed.end
        if status.commit_index > end:
            self.committed.replace(end, log[end : status.commit_index])
            self.configurations += configurations_in(self.committed[end:])
        self.newly_committed = self.committed.end - known
        if self.newly_committed:
            self.commits[status.term] = self.committed.end

    def committed_before(self, term: int) -> int:
        """Return up to which index entries were committed in terms before ``term``."""
        return max((end for since, end in self.commits.items() if since < term), default=0)

    def forget(self) -> None:
        """Forget what is older than the window; some entries at a time, as that costs a look at all."""
        if self.window is None:
            return
        first = self.committed.start
        settled = [min(record.applied, len(record.disk)) for record in self.members.values()]
        end = min([len(self.committed), *settled]) - self.window
        if end > first + self.window // 4:
            for index in range(first + 1, end + 1):
                self.entries.pop(index, None)
            self.committed.forget(end)
            self.configurations = in_force_from(self.configurations, end)
            for record in self.members.values():
                record.forget(end)
        self.reads_forgotten |= len(self.read_floors) > self.window
        for one in (self.votes, self.leaders, self.read_floors, self.commits):
            keep_newest(one, self.window)

    def configuration_at(self, index: int) -> Configuration:
        """Return the configuration after the committed entry at ``index``."""
        fitting = (one for since, one in reversed(self.configurations) if since <= index)
        return next(fitting, Configuration(()))

    def _enter(self, log: PartialLog, first: int) -> None:
        position = max(first - 1, log.start)
        previous = log.term_before(position)
        for entry in log[position:]:
            self.entries.setdefault(entry.index, {}).setdefault(entry.term, (entry, previous))
            previous = entry.term

    def _enter_votes(self, sent: Sequence[Message]) -> None:
        for message in sent:
            if (candidate := vote_in(message)) != NO_NODE:
                self.votes.setdefault((message.source, message.term), candidate)


def written(disk: PartialLog, write: Write, committed: PartialLog) -> PartialLog:
    """Return a disk after a Write; ``disk`` itself may be changed."""
    if write.snapshot is not None:
        disk = stood_for(write.snapshot, committed)
    if write.truncate_from:
        disk.replace(write.truncate_from - 1, ())
    disk.replace(len(disk), write.entries)
    return disk


def stood_for(snapshot: Snapshot, committed: PartialLog) -> PartialLog:
    """Return the log that a snapshot stands for; what is not known of it counts as forgotten."""
    if len(committed) < snapshot.index or committed.start >= snapshot.index:
        return PartialLog((), snapshot.index, snapshot.term)
    return PartialLog(committed[: snapshot.index], committed.start, committed.start_term)


def in_force_from(configurations: History, index: int) -> History:
    """Return the configurations after ``index``, and the one in force there."""
    earlier = [since for since, _ in configurations if since <= index]
    return [one for one in configurations if not earlier or one[0] >= earlier[-1]]


def keep_newest(known: dict[Any, Any], size: int) -> None:
    """Leave the ``size`` keys that came last."""
    while len(known) > size:
        del known[next(iter(known))]


def configurations_in(entries: Sequence[Entry]) -> History:
    """Return the configurations that ``entries`` bring, by index."""
    changes = [entry for entry in entries if entry.kind == EntryKind.CONFIGURATION]
    return [(entry.index, decode_configuration(entry.data)[0]) for entry in changes]


def vote_in(message: Message) -> int:
    """Return for whom ``message`` says its sender has voted in its term, or NO_NODE."""
    match message:
        case RequestVote():
            return message.source
        case RequestVoteReply() if message.granted:
            return message.target
        case _:
            return NO_NODE
