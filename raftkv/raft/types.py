"""The nouns of Raft: entries, roles, what is durable, and the view from outside.

All are plain immutable values, so they can be compared, packed and printed. Terms and indexes are
integers from 1 on; 0 stands for "none" (the log before its first entry, no vote, no leader).
"""

from collections.abc import Mapping
from enum import Enum, IntEnum
from typing import NamedTuple, Protocol

NO_NODE = 0
"""Nobody: no vote, no leader known."""


class Role(Enum):
    """What a member is to the others (thesis §3.3, §9.6 for the pre-candidate)."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


class EntryKind(IntEnum):
    """What an entry means to whoever applies it."""

    COMMAND = 0
    CONFIGURATION = 1
    NOOP = 2


class Entry(NamedTuple):
    """One slot of the log. ``data`` stays the same bytes in memory, on the wire and on disk."""

    term: int
    index: int  # type: ignore[assignment]  # the paper's name wins over tuple.index
    kind: int
    data: bytes


class HardState(NamedTuple):
    """What a member must never forget (thesis §3.8): its term and its vote in that term.

    ``commit`` is a hint that lets a restarted member serve what it had applied; nothing is promised
    on it, so it rides along with other writes.
    """

    term: int = 0
    vote: int = NO_NODE
    commit: int = 0


class Configuration(NamedTuple):
    """Who votes, who only listens, and who never comes back (thesis §4); ids in ascending order."""

    voters: tuple[int, ...]
    learners: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()

    @property
    def members(self) -> tuple[int, ...]:
        """Voters and learners."""
        return self.voters + self.learners


class ChangeKind(Enum):
    """What a configuration change does to one member (single-server changes, thesis §4.1)."""

    ADD_VOTER = "add-voter"
    ADD_LEARNER = "add-learner"
    PROMOTE = "promote"
    REMOVE = "remove"
    UPDATE = "update"


class Change(NamedTuple):
    """One configuration change; UPDATE leaves everybody's role alone (only the context is new)."""

    kind: ChangeKind
    member: int


class Snapshot(NamedTuple):
    """What a snapshot stands for: the log up to ``index``, and the configuration there (§5.1)."""

    index: int  # type: ignore[assignment]  # the paper's name wins over tuple.index
    term: int
    configuration: Configuration


class LogView(Protocol):
    """A read-only view of a log, for rules that are checked from outside."""

    @property
    def first_index(self) -> int:
        """Index of the first entry still held."""

    @property
    def last_index(self) -> int:
        """Index of the last entry, 0 for an empty log."""

    def term(self, index: int) -> int | None:
        """Term of the entry at ``index``; 0 at index 0; None where there is no such entry."""

    def slice(self, low: int, high: int, max_bytes: int | None = None) -> list[Entry]:
        """Entries ``low..high``, both included; the first always, then while they fit."""


class PeerStatus(NamedTuple):
    """A leader's idea of one peer."""

    match_index: int
    next_index: int
    state: str
    recently_active: bool


class Status(NamedTuple):
    """A member as seen from outside: enough to check every rule without looking inside."""

    node_id: int
    role: Role
    term: int
    vote: int
    leader: int
    durable_term: int
    durable_vote: int
    durable_index: int
    commit_index: int
    applied_index: int
    log: LogView
    snapshot: Snapshot | None
    configuration: Configuration
    configuration_index: int
    transferee: int
    peers: Mapping[int, PeerStatus]


class PeerEvent(Enum):
    """What the transport tells the core about a peer (only a hint; safety never rests on it)."""

    UNREACHABLE = "unreachable"
    CONNECTED = "connected"
    SNAPSHOT_FAILED = "snapshot-failed"


class Part(Enum):
    """A part of Raft that a core may do without; claims about it are made of those that have it."""

    PRE_VOTE = "pre-vote"
    CHECK_QUORUM = "check-quorum"
    PIPELINING = "pipelining"
    FAST_BACKUP = "fast-backup"
    FORWARDING = "forwarding"
    READ_INDEX = "read-index"
    LEASE_READS = "lease-reads"
    TRANSFER = "transfer"
    MEMBERSHIP = "membership"
    SNAPSHOTS = "snapshots"
