"""What an observer of members knows: each step, and the ledger across members and restarts.

A ``Step`` is what one call of the contract did: two ``Status`` of the member, what came in and what went
out. The ``Ledger`` holds what follows from all steps so far: what each disk holds (from the Writes and
their acknowledgements, not from what the core claims), who led which term, who voted for whom, which
entry is committed where. Taking in a step costs a look at the touched member and at the entries that
changed, never at the whole log.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from raftkv.raft.messages import Message, RequestVote, RequestVoteReply
from raftkv.raft.ready import Ready, Write
from raftkv.raft.types import NO_NODE, Entry, HardState, LogView, Role, Status


class Started(NamedTuple):
    """The member came up with this from its log."""

    hard_state: HardState
    entries: Sequence[Entry]


class Ticked(NamedTuple):
    """``tick`` was called."""


class Received(NamedTuple):
    """``step`` was called."""

    message: Message


class Proposed(NamedTuple):
    """``propose`` was called."""

    data: bytes


class ReadAsked(NamedTuple):
    """``read_index`` was called."""

    context: int


class Reported(NamedTuple):
    """``report`` was called."""

    peer: int


class Persisted(NamedTuple):
    """``persisted`` was called: every Write up to ``number`` is durable."""

    number: int


Event = Started | Ticked | Received | Proposed | ReadAsked | Reported | Persisted


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


class MemberRecord:
    """What the observer knows of one member: its disk, its log, and where it changed last."""

    def __init__(self) -> None:
        self.hard_state = HardState()
        self.disk: list[Entry] = []
        self.pending: deque[Write] = deque()
        self.log: list[Entry] = []
        self.changed_from = 1
        self.truncated = False
        self.applied = 0
        self.applied_before = 0
        self.leads = 0  # the term it leads, 0 for none
        self.surviving: tuple[HardState, list[Entry]] | None = None

    def make_durable(self, number: int) -> None:
        """Let the Writes up to ``number`` reach the disk."""
        while self.pending and self.pending[0].number <= number:
            write = self.pending.popleft()
            self.hard_state = write.hard_state or self.hard_state
            if write.truncate_from:
                del self.disk[write.truncate_from - 1 :]
            self.disk += write.entries

    def follow_log(self, log: LogView) -> None:
        """Copy what changed in the log since the last step."""
        same = min(len(self.log), log.last_index)
        while same > 0 and [self.log[same - 1]] != log.slice(same, same):
            same -= 1
        self.changed_from, self.truncated = same + 1, same < len(self.log)
        del self.log[same:]
        self.log += log.slice(same + 1, log.last_index)

    def holds(self, entry: Entry) -> bool:
        """Whether this entry is on the disk."""
        return entry.index <= len(self.disk) and self.disk[entry.index - 1] == entry

    def holds_log_up_to(self, index: int) -> bool:
        """Whether the disk agrees with the member's own log up to ``index`` (> 0)."""
        return index <= len(self.log) and self.holds(self.log[index - 1])

    def restart(self, hard_state: HardState, entries: Sequence[Entry]) -> None:
        """Begin again from what was recovered; what was not durable is forgotten."""
        self.surviving = (self.hard_state, self.disk) if self.disk else None
        self.hard_state, self.disk = hard_state, list(entries)
        self.pending.clear()
        self.applied = self.leads = 0


class Ledger:
    """What an observer knows across members and restarts."""

    def __init__(self) -> None:
        self.members: dict[int, MemberRecord] = {}
        self.entries: dict[tuple[int, int], tuple[Entry, int]] = {}
        self.committed: list[Entry] = []
        self.newly_committed = 0
        self.leaders: dict[int, int] = {}
        self.votes: dict[tuple[int, int], int] = {}
        self.read_floors: dict[tuple[int, int], int] = {}

    def adopt(self, node_id: int, hard_state: HardState, entries: Sequence[Entry]) -> None:
        """Take a member's disk as given (a log made by hand, or known from elsewhere)."""
        record = self.members[node_id] = MemberRecord()
        record.hard_state, record.disk, record.log = hard_state, list(entries), list(entries)
        self._enter(record.log, 1)

    def crashed(self, node_id: int, *, kept: int = 0) -> None:
        """Take note of a crash; the first ``kept`` Writes under way had reached the disk."""
        record = self.members[node_id]
        if kept:
            record.make_durable(record.pending[kept - 1].number)
        record.pending.clear()
        record.leads = 0
        for entry in record.log[len(record.disk) :]:
            # A lone member's entries of a term that is not durable yet: nobody was told of either, so
            # the term may be used again, for other entries.
            if entry.term > record.hard_state.term:
                self.entries.pop((entry.index, entry.term), None)

    def record(self, step: Step) -> None:
        """Take in one step, before the rules look at it. What was known first is kept."""
        member = self.members.setdefault(step.node_id, MemberRecord())
        match step.event:
            case Started(hard_state, entries):
                member.restart(hard_state, entries)
            case Persisted(number):
                member.make_durable(number)
            case ReadAsked(context):
                self.read_floors[step.node_id, context] = len(self.committed)
            case _:
                pass
        member.pending.extend(ready.write for ready in step.effects if ready.write is not None)
        member.follow_log(step.after.log)
        member.applied_before = member.applied
        member.applied = max([member.applied, *(entry.index for entry in step.committed)])
        self._enter(member.log, member.changed_from)
        self._enter_votes(step.sent)
        member.leads = step.after.term if step.after.role is Role.LEADER else 0
        if member.leads:
            self.leaders.setdefault(member.leads, step.node_id)
        known = len(self.committed)
        self.committed += member.log[known : step.after.commit_index]
        self.newly_committed = len(self.committed) - known

    def _enter(self, log: Sequence[Entry], first: int) -> None:
        for position in range(first - 1, len(log)):
            entry = log[position]
            previous = log[position - 1].term if position else 0
            self.entries.setdefault((entry.index, entry.term), (entry, previous))

    def _enter_votes(self, sent: Sequence[Message]) -> None:
        for message in sent:
            if (candidate := vote_in(message)) != NO_NODE:
                self.votes.setdefault((message.source, message.term), candidate)


def vote_in(message: Message) -> int:
    """Return for whom ``message`` says its sender has voted in its term, or NO_NODE."""
    match message:
        case RequestVote():
            return message.source
        case RequestVoteReply() if message.granted:
            return message.target
        case _:
            return NO_NODE
