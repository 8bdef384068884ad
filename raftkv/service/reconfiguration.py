"""etcd's strict checks: which changes of the members may cost the cluster its majority (its 3.5 rules)."""

from collections.abc import Sequence

from raftkv.errors import MemberNotEnoughStarted, UnhealthyCluster
from raftkv.mvcc.membership import MemberInfo
from raftkv.node.node import Node

HEALTHY_SECONDS = 5.0
"""A member counts as active once it has been connected for so long."""


def check_addition(node: Node, *, is_learner: bool) -> None:
    """Refuse a new member when the majority with it would not be of started ones, or some voter is away.

    One started voter alone may always get a second one.
    """
    voters = _voters(node)
    started = _started(voters)
    if not is_learner and started < _majority(len(voters) + 1) and (started, len(voters)) != (1, 1):
        raise MemberNotEnoughStarted(f"{started} of {len(voters) + 1} voters would have been started")
    active = _active(node, voters)
    if active < len(voters):
        raise UnhealthyCluster(f"{active} of {len(voters)} voters are active")


def check_promotion(node: Node) -> None:
    """Refuse a further voter, which counts as started, when the majority with it would not be."""
    voters = _voters(node)
    if 1 + _started(voters) < _majority(len(voters) + 1):
        raise MemberNotEnoughStarted(f"{1 + _started(voters)} of {len(voters) + 1} voters would be started")


def check_removal(node: Node, member_id: int) -> None:
    """Refuse a removal after which the majority would not be of started, or not of active voters.

    A learner, and a member that is not reached anyway, may always go.
    """
    if any(member.id == member_id and member.is_learner for member in node.members()):
        return
    voters = _voters(node)
    others = [member for member in voters if member.id != member_id]
    if _started(others) < _majority(len(others)):
        raise MemberNotEnoughStarted(f"{_started(others)} of {len(others)} voters would have been started")
    if member_id != node.member_id and node.connected_for(member_id) is None:
        return
    active = _active(node, voters)
    if active - 1 < _majority(len(voters) - 1):
        raise UnhealthyCluster(f"{active} of {len(voters)} voters are active")


def _voters(node: Node) -> list[MemberInfo]:
    return [member for member in node.members() if not member.is_learner]


def _started(members: Sequence[MemberInfo]) -> int:
    return sum(bool(member.name) for member in members)


def _active(node: Node, members: Sequence[MemberInfo]) -> int:
    seconds = (node.connected_for(member.id) for member in members if member.id != node.member_id)
    own = sum(member.id == node.member_id for member in members)
    return own + sum(since is not None and since > HEALTHY_SECONDS for since in seconds)


def _majority(size: int) -> int:
    return size // 2 + 1
