"""Bugs of membership (thesis §4) and of leadership transfer (§3.10)."""

from raftkv.errors import ChangeRefused
from raftkv.node.node import Node
from raftkv.raft.core import Raft
from raftkv.raft.messages import Message, TimeoutNow
from raftkv.raft.types import NO_NODE, Change, Configuration
from raftkv.sim.mutants.families import (
    ELECTION_SAFETY,
    LEADER_COMPLETENESS,
    LIVENESS,
    LOST_WRITE,
    MEMBERSHIP,
)
from raftkv.sim.mutants.mutant import Hardness, Mutant, Patch


def m1_two_changes_at_once(patch: Patch) -> None:
    """Take a change while the one before is not committed."""

    def check(self: Raft, _change: Change) -> None:
        if not self.may_read():
            raise ChangeRefused("the leader has not committed an entry of its term yet")

    patch.set(Raft, "check_change", check)


def m2_change_before_own_commit(patch: Patch) -> None:
    """Take a change before an entry of this term is committed."""

    def check(self: Raft, _change: Change) -> None:
        if self.configurations.latest_index > self.commit_index:
            raise ChangeRefused("another change of the members is not committed yet")

    patch.set(Raft, "check_change", check)


def m3_in_force_when_committed(patch: Patch) -> None:
    """Use a configuration from its commit on, not from when it was appended."""

    def committed(self: Raft) -> Configuration:
        return self.configurations.at(self.commit_index)

    patch.set(Raft, "configuration", property(committed))


def m5_removed_leader_stays(patch: Patch) -> None:
    """Go on leading a cluster that one was removed from; the node does not end either."""
    patch.set(Raft, "leave_when_removed", lambda _: None)
    patch.set(Node, "_stop_if_removed", lambda _: None)


def m6_removed_member_disturbs(patch: Patch) -> None:
    """Let everybody stand without a pre-vote and listen to who was removed."""

    def listen(self: Raft, message: Message) -> None:
        if message.term > self.current_term and not self.on_higher_term(message):
            return
        if message.term < self.current_term and not self.on_lower_term(message):
            return
        self._handlers[type(message)](message)

    patch.set(Raft, "step", listen)
    patch.set(Raft, "hears_leader", lambda _: False)
    patch.set(Raft, "pre_vote", lambda self: self.campaign())
    patch.set(Raft, "on_removed_notice", lambda *_: None)


def m8_proposals_while_moving(patch: Patch) -> None:
    """Let the target of a transfer stand at once, and take proposals meanwhile."""
    propose = Raft.propose

    def accept(self: Raft, data: bytes) -> None:
        target, self.transferee = self.transferee, NO_NODE
        try:
            propose(self, data)
        finally:
            self.transferee = target

    def at_once(self: Raft, peer: int) -> None:
        if peer == self.transferee:
            self._send(TimeoutNow(self.node_id, peer, self.current_term))

    patch.set(Raft, "propose", accept)
    patch.set(Raft, "finish_transfer", at_once)


MUTANTS = (
    Mutant(
        "M1",
        "second change before the first commits",
        m1_two_changes_at_once,
        Hardness.HARD,
        (*ELECTION_SAFETY, *MEMBERSHIP),
    ),
    Mutant(
        "M2",
        "change before a commit in the leader's term",
        m2_change_before_own_commit,
        Hardness.HARD,
        (*ELECTION_SAFETY, *LOST_WRITE, *MEMBERSHIP),
    ),
    Mutant(
        "M3",
        "configuration in force only when committed",
        m3_in_force_when_committed,
        Hardness.HARD,
        (*ELECTION_SAFETY, *MEMBERSHIP),
    ),
    Mutant(
        "M5",
        "removed leader goes on leading",
        m5_removed_leader_stays,
        Hardness.MEDIUM,
        (*LIVENESS, "rule removed_leader_leaves"),
    ),
    Mutant("M6", "removed member disturbs for ever", m6_removed_member_disturbs, Hardness.MEDIUM, LIVENESS),
    Mutant(
        "M8",
        "transfer before the target caught up, proposals taken meanwhile",
        m8_proposals_while_moving,
        Hardness.MEDIUM,
        (*LOST_WRITE, *LIVENESS, *LEADER_COMPLETENESS, *MEMBERSHIP),
    ),
)
