"""The messages of Raft, one small immutable type each, with the paper's names.

Every message names its ``source`` and ``target`` (member ids) and the sender's ``term``. ``codec``
packs them.
"""

from typing import NamedTuple

from raftkv.raft.types import Entry, Snapshot


class RequestPreVote(NamedTuple):
    """Would you vote for me in ``term`` (my term + 1)? Changes nothing anywhere (thesis §9.6)."""

    source: int
    target: int
    term: int
    last_log_index: int
    last_log_term: int


class PreVoteReply(NamedTuple):
    """Answer to a RequestPreVote; ``term`` is the asked one if granted, else the voter's own."""

    source: int
    target: int
    term: int
    granted: bool


class RequestVote(NamedTuple):
    """I stand for election in ``term`` (thesis §3.4).

    ``transfer``: the leader asked for it, so members that hear it may vote all the same (§4.2.3).
    """

    source: int
    target: int
    term: int
    last_log_index: int
    last_log_term: int
    transfer: bool = False


class RequestVoteReply(NamedTuple):
    """My vote in ``term``."""

    source: int
    target: int
    term: int
    granted: bool


class AppendEntries(NamedTuple):
    """Entries that follow (``prev_index``, ``prev_term``), and how far all is committed (§3.5)."""

    source: int
    target: int
    term: int
    prev_index: int
    prev_term: int
    entries: tuple[Entry, ...]
    commit: int


class AppendEntriesReply(NamedTuple):
    """Answer to an AppendEntries.

    ``success``: the sender's log equals the leader's up to ``index``, durably. Otherwise ``index`` is
    the refused ``prev_index``, and (``hint_index``, ``hint_term``) the last place in the sender's log
    that could match: fast backup by conflicting term (thesis §3.5, last paragraphs).
    """

    source: int
    target: int
    term: int
    success: bool
    index: int  # type: ignore[assignment]  # the paper's name wins over tuple.index
    hint_index: int
    hint_term: int


class Heartbeat(NamedTuple):
    """I lead ``term``. ``round`` numbers the confirmations that reads wait for (thesis §6.4)."""

    source: int
    target: int
    term: int
    commit: int
    round: int


class HeartbeatReply(NamedTuple):
    """I follow you in ``term``; echoes ``round``."""

    source: int
    target: int
    term: int
    round: int


class InstallSnapshot(NamedTuple):
    """What you lack is no longer in my log: take this snapshot (thesis §5.3).

    Only what it stands for travels here; the host brings the file, and passes the message on when the
    file has arrived. The answer is an AppendEntriesReply at the snapshot's index.
    """

    source: int
    target: int
    term: int
    snapshot: Snapshot


class TimeoutNow(NamedTuple):
    """Your log is as mine: stand for election at once (leadership transfer, thesis §3.10)."""

    source: int
    target: int
    term: int


class RemovedNotice(NamedTuple):
    """You were removed from the cluster by a committed change; it goes on without you (§4.2.3)."""

    source: int
    target: int
    term: int


class ForwardProposals(NamedTuple):
    """Commands proposed at a follower, on their way to the leader (thesis §6.2)."""

    source: int
    target: int
    term: int
    commands: tuple[bytes, ...]


class ReadIndex(NamedTuple):
    """A follower asks for an index that is safe to read at; ``contexts`` come back (thesis §6.4)."""

    source: int
    target: int
    term: int
    contexts: tuple[int, ...]


class ReadIndexReply(NamedTuple):
    """Reads named by ``contexts`` may be served once ``index`` is applied."""

    source: int
    target: int
    term: int
    contexts: tuple[int, ...]
    index: int  # type: ignore[assignment]  # the paper's name wins over tuple.index


Message = (
    RequestPreVote
    | PreVoteReply
    | RequestVote
    | RequestVoteReply
    | AppendEntries
    | AppendEntriesReply
    | Heartbeat
    | HeartbeatReply
    | ForwardProposals
    | ReadIndex
    | ReadIndexReply
    | InstallSnapshot
    | TimeoutNow
    | RemovedNotice
)
