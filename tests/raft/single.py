"""One core with hand-made messages: for claims about what a single member answers."""

from collections import deque
from collections.abc import Sequence
from random import Random
from typing import Any, TypeVar

from raftkv.raft import (
    Change,
    ChangeKind,
    Entry,
    EntryKind,
    HardState,
    Message,
    Part,
    ReadState,
    Role,
    Snapshot,
    Status,
    Write,
    decode_configuration,
)
from raftkv.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    PreVoteReply,
    RequestPreVote,
    RequestVote,
    RequestVoteReply,
)
from raftkv.trace import Event
from tests.raft.group import ELECTION_TICKS, CoreMaker, LongestTimeouts, figure_log, parts_of

T = TypeVar("T")


class Single:
    """Member 1 of ``voters``, started from a log of the given terms. Its disk is instant unless slow."""

    def __init__(
        self,
        make: CoreMaker,
        terms: tuple[int, ...] = (1,),
        *,
        term: int = 0,
        vote: int = 0,
        commit: int = 1,
        voters: int = 3,
        slow_disk: bool = False,
        rng: Random | None = None,
        lease_reads: bool = False,
        log: Sequence[Entry] = (),
        snapshot: Snapshot | None = None,
    ) -> None:
        self.parts = parts_of(make)
        self.voters = tuple(range(1, voters + 1))
        self.disk = list(log) if log or snapshot else figure_log(terms, self.voters)
        self.snapshot = snapshot
        self.hard_state = HardState(term or terms[-1], vote, commit)
        self.slow_disk = slow_disk
        self.writes: deque[Write] = deque()
        self.round = 0  # of the last heartbeat that left
        self.applied: list[Entry] = []
        self.reads: list[ReadState] = []
        self.events: list[Event] = []
        options: dict[str, Any] = {"lease_reads": True} if lease_reads else {}
        if snapshot is not None:
            options["snapshot"] = snapshot
        self.core = make(
            1,
            self.disk,
            self.hard_state,
            rng=rng or LongestTimeouts(),
            election_ticks=ELECTION_TICKS,
            emit=self.events.append,
            **options,
        )
        self.carry_out()

    @property
    def status(self) -> Status:
        return self.core.status()

    @property
    def terms(self) -> list[int]:
        """The terms of the log's entries."""
        log = self.status.log
        return [entry.term for entry in log.slice(log.first_index, log.last_index)]

    def carry_out(self) -> list[Message]:
        """Do what the core wants; return what left."""
        sent: list[Message] = []
        while (ready := self.core.ready()) is not None:
            sent += ready.messages
            if ready.write is not None:
                self.writes.append(ready.write)
            self.applied += ready.committed
            self.reads += ready.reads
            if ready.committed:
                self.core.applied(ready.committed[-1].index)
        self._look_at(sent)
        return sent if self.slow_disk else sent + self.persist()

    def _look_at(self, sent: Sequence[Message]) -> None:
        self.round = max([self.round, *(message.round for message in of(Heartbeat, sent))])

    def persist(self, count: int | None = None) -> list[Message]:
        """Let the oldest ``count`` Writes (all) become durable; return what left."""
        sent: list[Message] = []
        while self.writes and count != 0:
            count = count - 1 if count is not None else None
            write = self.writes.popleft()
            self.hard_state = write.hard_state or self.hard_state
            if write.snapshot is not None:
                self.snapshot, self.disk, self.applied = write.snapshot, [], []
                self.core.applied(write.snapshot.index)
            if write.truncate_from:
                base = self.snapshot.index if self.snapshot is not None else 0
                del self.disk[write.truncate_from - base - 1 :]
            self.disk += write.entries
            self.core.persisted(write.number)
            self._look_at(write.after)
            sent += write.after
            sent += self.carry_out()
        return sent

    def step(self, *messages: Message) -> list[Message]:
        """Deliver messages; return what left."""
        sent: list[Message] = []
        for message in messages:
            self.core.step(message)
            sent += self.carry_out()
        return sent

    def tick(self, count: int = 1) -> list[Message]:
        """Let time pass; return what left."""
        sent: list[Message] = []
        for _ in range(count):
            self.core.tick()
            sent += self.carry_out()
        return sent

    def timeout(self) -> list[Message]:
        """Let the longest election time-out pass."""
        return self.tick(2 * ELECTION_TICKS - 1)

    def propose(self, data: bytes) -> list[Message]:
        """Propose a command; return what left."""
        self.core.propose(data)
        return self.carry_out()

    def read(self, context: int) -> list[Message]:
        """Ask for a read index; return what left."""
        self.core.read_index(context)
        return self.carry_out()

    def change(self, kind: ChangeKind, member: int) -> list[Message]:
        """Propose a change of the members; return what left."""
        self.core.propose_change(Change(kind, member), b"")
        return self.carry_out()

    def transfer(self, target: int) -> list[Message]:
        """Ask it to let ``target`` lead; return what left."""
        self.core.transfer_leadership(target)
        return self.carry_out()

    def compact(self, index: int, keep: int = 0) -> Snapshot:
        """Let its host take a snapshot up to ``index``, applied here; the last ``keep`` entries stay."""
        log = self.status.log
        changes = [e for e in log.slice(log.first_index, index) if e.kind == EntryKind.CONFIGURATION]
        configuration = decode_configuration(changes[-1].data)[0] if changes else self.status.configuration
        snapshot = Snapshot(index, log.term(index) or 0, configuration)
        self.core.compacted(snapshot, index + 1 - keep)
        return snapshot

    # ---------------------------------------------------------------- roles

    def as_pre_candidate(self) -> "Single":
        """Become a pre-candidate."""
        self.timeout()
        assert self.status.role is Role.PRE_CANDIDATE
        return self

    def stand(self) -> list[Message]:
        """Stand for election, member 3 being willing; return what left."""
        if Part.PRE_VOTE not in self.parts:
            return self.timeout()
        self.as_pre_candidate()
        return self.step(PreVoteReply(3, 1, self.status.term + 1, granted=True))

    def as_candidate(self) -> "Single":
        """Become a candidate by everybody's willingness, where that is asked for."""
        if Part.PRE_VOTE not in self.parts:
            self.timeout()
            assert self.status.role is Role.CANDIDATE
            return self
        self.as_pre_candidate()
        term = self.status.term + 1
        self.step(*(PreVoteReply(peer, 1, term, granted=True) for peer in self.voters[1:]))
        assert self.status.role is Role.CANDIDATE
        return self

    def as_leader(self, *, committed: bool = False) -> "Single":
        """Become a leader by everybody's vote; ``committed``: its first entry is on all disks."""
        self.as_candidate()
        term = self.status.term
        self.step(*(RequestVoteReply(peer, 1, term, granted=True) for peer in self.voters[1:]))
        assert self.status.role is Role.LEADER
        if committed:
            self.persist()
            self.acknowledge(self.status.log.last_index, *self.voters[1:])
        return self

    # ---------------------------------------------------------------- messages from others

    def acknowledge(self, index: int, *peers: int) -> list[Message]:
        """Let ``peers`` say that they hold all up to ``index``."""
        term = self.status.term
        return self.step(*(AppendEntriesReply(peer, 1, term, True, index, 0, 0) for peer in peers))

    def append(
        self, prev: tuple[int, int], *terms: int, term: int = 0, commit: int = 0, leader: int = 2
    ) -> list[Message]:
        """Let ``leader`` send entries of ``terms`` after ``prev`` (index, term); return the answers."""
        entries = [Entry(t, prev[0] + i, 0, b"%d.%d" % (prev[0] + i, t)) for i, t in enumerate(terms, 1)]
        term = term or self.status.term
        return self.step(AppendEntries(leader, 1, term, *prev, tuple(entries), commit))

    def install(self, snapshot: Snapshot, *, term: int = 0, leader: int = 2) -> list[Message]:
        """Let ``leader`` send a snapshot; return the answers."""
        return self.step(InstallSnapshot(leader, 1, term or self.status.term, snapshot))

    def heartbeat(self, *, term: int = 0, commit: int = 0, round: int = 0) -> list[Message]:
        """Let member 2, as the leader, send a heartbeat (figure 3.1: an AppendEntries without entries)."""
        term = term or self.status.term
        if Part.READ_INDEX in self.parts:
            return self.step(Heartbeat(2, 1, term, commit, round))
        return self.append((self.status.log.last_index, self.terms[-1]), term=term, commit=commit)

    def confirm(self, round: int, *peers: int) -> list[Message]:
        """Let ``peers`` answer a heartbeat of ``round``."""
        return self.step(*(HeartbeatReply(peer, 1, self.status.term, round) for peer in peers))

    def ask_vote(self, term: int, last: tuple[int, int], candidate: int = 3) -> list[Message]:
        """Let ``candidate``, whose log ends at ``last`` (index, term), ask for a vote."""
        return self.step(RequestVote(candidate, 1, term, *last))

    def ask_pre_vote(self, term: int, last: tuple[int, int]) -> list[Message]:
        """Let member 3 ask for a pre-vote."""
        return self.step(RequestPreVote(3, 1, term, *last))


def of(kind: type[T] | tuple[type[T], ...], messages: Sequence[Message]) -> list[T]:
    """Return the messages of one kind, or of some."""
    return [message for message in messages if isinstance(message, kind)]
