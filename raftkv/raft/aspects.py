"""What a step touched, so that only the rules that this concerns need to be asked.

A rule is a function of a step and the ledger. Most steps touch next to nothing: a tick of a follower, a
heartbeat. A rule that looks at, say, the messages that left has nothing to say about a step that sent
none. So each rule names the aspects it looks at, and is asked when a step has one of them. That this leaves
nothing unseen is what ``Observer(..., every_rule=True)`` is for: it asks all, always.
"""

from typing import Final

from raftkv.raft.ledger import Ledger, MemberRecord, Persisted, Step
from raftkv.raft.messages import (
    AppendEntriesReply,
    InstallSnapshot,
    RemovedNotice,
    RequestVote,
    RequestVoteReply,
)
from raftkv.raft.types import Role, Status

VOTE: Final = 1 << 0
"""The term or the vote is another one."""

LEADS: Final = 1 << 1
"""The member is a leader."""

ELECTED: Final = 1 << 2
"""The step made a leader of the member."""

LOG: Final = 1 << 3
"""Entries were appended to the log, or replaced or taken off it."""

BASE: Final = 1 << 4
"""The log begins elsewhere, or the snapshot is another one."""

COMMIT: Final = 1 << 5
"""The member's commit index is another one."""

NEWS: Final = 1 << 6
"""An entry is committed of which no member knew that."""

DISK: Final = 1 << 7
"""What is on the member's disk, or what it takes for durable, is something else."""

PEERS: Final = 1 << 8
"""What the member knows of its peers is something else, or what they hold may be."""

CONFIGURATION: Final = 1 << 9
"""Another configuration is in force."""

SENT: Final = 1 << 10
"""Messages left."""

SENT_VOTE: Final = 1 << 11
"""A message left that tells of a vote."""

SENT_ACK: Final = 1 << 12
"""An answer to AppendEntries left."""

SENT_SNAPSHOT: Final = 1 << 13
"""The offer of a snapshot left."""

SENT_NOTICE: Final = 1 << 14
"""Somebody was told that it was removed."""

WRITE: Final = 1 << 15
"""There is something to write, maybe a snapshot to take."""

HANDED: Final = 1 << 16
"""Entries were handed out to be applied."""

READS: Final = 1 << 17
"""Reads may be served."""

START: Final = 1 << 18
"""The member came up."""

ALL: Final = (1 << 19) - 1

_OF_MESSAGES: Final[dict[type, int]] = {
    RequestVote: SENT | SENT_VOTE,
    RequestVoteReply: SENT | SENT_VOTE,
    AppendEntriesReply: SENT | SENT_ACK,
    InstallSnapshot: SENT | SENT_SNAPSHOT,
    RemovedNotice: SENT | SENT_NOTICE,
}


def aspects_of(step: Step, member: MemberRecord, ledger: Ledger) -> int:
    """Return what a step touched that ``ledger`` has taken in just now; all of it for a start."""
    before, after = step.before, step.after
    if before is None:
        return ALL
    found = _differences(before, after) | _effects(step)
    if after.role is Role.LEADER:
        goes_on = before.role is Role.LEADER and before.term == after.term
        found |= LEADS if goes_on else LEADS | ELECTED
    if member.changed:
        found |= LOG
    if member.rebased:
        found |= BASE
    if ledger.newly_committed:
        found |= NEWS
    if type(step.event) is Persisted:
        found |= DISK
    if after.peers and (member.changed or member.peers_may_lack or after.peers != before.peers):
        found |= PEERS
    return found


def _effects(step: Step) -> int:
    """Return the aspects of what went out."""
    found = 0
    for message in step.sent:
        found |= _OF_MESSAGES.get(type(message), SENT)
    for ready in step.effects:
        if ready.write is not None:
            found |= WRITE
        if ready.committed:
            found |= HANDED
        if ready.reads:
            found |= READS
    return found


def _differences(before: Status, after: Status) -> int:
    """Return the aspects in which two views of a member differ."""
    found = 0
    if before.term != after.term or before.vote != after.vote:
        found |= VOTE
    if before.commit_index != after.commit_index:
        found |= COMMIT
    if before.durable_index != after.durable_index or before[5:7] != after[5:7]:
        found |= DISK
    if before.snapshot is not after.snapshot:
        found |= BASE
    if before.configuration is not after.configuration:
        found |= CONFIGURATION
    return found
