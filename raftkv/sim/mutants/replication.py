"""Bugs of replication and commitment (thesis §3.5, §3.6)."""

from collections.abc import Sequence

from raftkv.raft.core import Raft
from raftkv.raft.messages import AppendEntriesReply
from raftkv.raft.quorum import acknowledged_by_majority
from raftkv.raft.types import Entry
from raftkv.sim.mutants.families import (
    LEADER_COMPLETENESS,
    LIVENESS,
    LOG_MATCHING,
    LOST_WRITE,
    QUORUM_DURABLE,
    SENT_IS_DURABLE,
    STATE_MACHINE_SAFETY,
)
from raftkv.sim.mutants.mutant import Hardness, Mutant, Patch


def l1_commit_by_counting(patch: Patch) -> None:
    """Commit an entry of an older term once a majority has it (figure 3.7)."""

    def advance(self: Raft) -> None:
        index = acknowledged_by_majority(self.configuration.voters, self._durable_at)
        if index > self.commit_index:
            self.commit_index = index
            self.leave_when_removed()

    patch.set(Raft, "advance_commit", advance)


def l2_old_message_truncates(patch: Patch) -> None:
    """Let every AppendEntries end the log where it ends."""

    def merge(self: Raft, entries: Sequence[Entry]) -> None:
        merge_entries(self, entries)
        if entries and self.commit_index <= entries[-1].index < self.log.last_index:
            self.truncate_from(entries[-1].index + 1)

    merge_entries = Raft.merge_entries
    patch.set(Raft, "merge_entries", merge)


def l3_conflict_stays(patch: Patch) -> None:
    """Append what is beyond the end of the log, and keep what is there, conflict or not."""

    def merge(self: Raft, entries: Sequence[Entry]) -> None:
        merge_entries(self, [entry for entry in entries if entry.index > self.log.last_index])

    merge_entries = Raft.merge_entries
    patch.set(Raft, "merge_entries", merge)


def l4_previous_term_unread(patch: Patch) -> None:
    """Compare the index before the new entries, not its term."""
    patch.set(Raft, "check_previous", lambda self, index, _term: index <= self.log.last_index)


def l6_commit_beyond_the_new(patch: Patch) -> None:
    """Send the leader's commit index in every message, and follow it as far as the log goes.

    Of the two, the leader bounds what heartbeats carry. The follower's half alone does no harm here: what
    ends before a conflict is never sent (``tests/raft/test_commit_bound.py``).
    """
    send_heartbeats = Raft.send_heartbeats

    def follow(self: Raft, leader_commit: int, _last_new: int) -> None:
        self.commit_index = max(self.commit_index, min(leader_commit, self.log.last_index))

    def unbounded(self: Raft) -> None:
        matches = {peer: progress.match_index for peer, progress in self.progress.items()}
        for progress in self.progress.values():
            progress.match_index = self.commit_index
        send_heartbeats(self)
        for peer, progress in self.progress.items():
            progress.match_index = matches[peer]

    patch.set(Raft, "follow_commit", follow)
    patch.set(Raft, "send_heartbeats", unbounded)


def l7_match_from_before(patch: Patch) -> None:
    """Begin a leadership with what was known of the others in the one before."""
    become_follower, become_leader = Raft.become_follower, Raft.become_leader

    def follow(self: Raft, term: int, leader: int) -> None:
        if self.progress:
            self._known = {peer: progress.match_index for peer, progress in self.progress.items()}  # type: ignore[attr-defined]
        become_follower(self, term, leader)

    def lead(self: Raft) -> None:
        become_leader(self)
        for peer, index in getattr(self, "_known", {}).items():
            if peer in self.progress:
                self.progress[peer].match_index = min(index, self.log.last_index)

    patch.set(Raft, "become_follower", follow)
    patch.set(Raft, "become_leader", lead)


def l9_acknowledged_early(patch: Patch) -> None:
    """Acknowledge entries before they are on the disk."""
    is_durable = Raft.is_durable
    patch.set(
        Raft,
        "is_durable",
        lambda self, message: type(message) is AppendEntriesReply or is_durable(self, message),
    )


def l10_counts_itself_early(patch: Patch) -> None:
    """Let a leader count itself before its own disk has the entry."""

    def durable_at(self: Raft, voter: int) -> int:
        return self.log.last_index if voter == self.node_id else self.progress[voter].match_index

    patch.set(Raft, "_durable_at", durable_at)


def l11_match_goes_back(patch: Patch) -> None:
    """Believe the answer that came last, not the one that says most."""
    on_append_reply = Raft.on_append_reply

    def reply(self: Raft, message: AppendEntriesReply) -> None:
        on_append_reply(self, message)
        progress = self.progress.get(message.source)
        if message.success and progress is not None:
            progress.match_index = message.index

    patch.set(Raft, "on_append_reply", reply)


MUTANTS = (
    Mutant(
        "L1",
        "entry of an older term committed by counting",
        l1_commit_by_counting,
        Hardness.HARD,
        (*STATE_MACHINE_SAFETY, *LOST_WRITE, *LEADER_COMPLETENESS, "rule commit_own_term"),
    ),
    Mutant(
        "L2",
        "a late AppendEntries truncates matching entries",
        l2_old_message_truncates,
        Hardness.MEDIUM,
        (*LEADER_COMPLETENESS, *QUORUM_DURABLE, *SENT_IS_DURABLE, *STATE_MACHINE_SAFETY),
    ),
    Mutant(
        "L3",
        "conflict not truncated",
        l3_conflict_stays,
        Hardness.EASY,
        (*LOG_MATCHING, *QUORUM_DURABLE, *STATE_MACHINE_SAFETY),
    ),
    Mutant(
        "L4",
        "prevLogTerm not compared",
        l4_previous_term_unread,
        Hardness.EASY,
        (*LOG_MATCHING, *QUORUM_DURABLE),
    ),
    Mutant(
        "L6",
        "commit index not bounded by the last new entry",
        l6_commit_beyond_the_new,
        Hardness.MEDIUM,
        (*STATE_MACHINE_SAFETY, *QUORUM_DURABLE),
    ),
    Mutant(
        "L7",
        "matchIndex kept from an earlier leadership",
        l7_match_from_before,
        Hardness.MEDIUM,
        (*STATE_MACHINE_SAFETY, *QUORUM_DURABLE),
        remark="A member has to lead twice without a restart, of five members, with its tail replaced "
        "between, and a peer still behind at its second election; a claim of `tests/raft` sees it",
    ),
    Mutant(
        "L9",
        "acknowledged before it is fsynced",
        l9_acknowledged_early,
        Hardness.MEDIUM,
        (*LOST_WRITE, *SENT_IS_DURABLE, *QUORUM_DURABLE),
    ),
    Mutant(
        "L10",
        "leader counts itself before its own fsync",
        l10_counts_itself_early,
        Hardness.MEDIUM,
        (*LOST_WRITE, *QUORUM_DURABLE),
    ),
    Mutant(
        "L11",
        "answers out of order, match goes back",
        l11_match_goes_back,
        Hardness.MEDIUM,
        (*LIVENESS, *QUORUM_DURABLE),
    ),
)
