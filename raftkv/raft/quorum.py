"""The arithmetic of majorities (thesis §3.4, §3.6). Pure functions over member ids."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum


class VoteResult(Enum):
    """How an election stands."""

    PENDING = "pending"
    WON = "won"
    LOST = "lost"


def majority(voters: Sequence[int]) -> int:
    """Return how many of ``voters`` are a majority."""
    return len(voters) // 2 + 1


def acknowledged_by_majority(voters: Sequence[int], acknowledged: Callable[[int], int]) -> int:
    """Return the largest number that a majority of ``voters`` acknowledged.

    The same sum gives the commit index from match indexes (§3.6) and the confirmed read round from
    heartbeat replies (§6.4).
    """
    values = sorted(map(acknowledged, voters), reverse=True)
    return values[majority(voters) - 1]


def vote_result(voters: Sequence[int], votes: Mapping[int, bool]) -> VoteResult:
    """Return how an election stands, given the votes of those who answered."""
    granted = sum(1 for voter in voters if votes.get(voter) is True)
    refused = sum(1 for voter in voters if votes.get(voter) is False)
    if granted >= majority(voters):
        return VoteResult.WON
    if len(voters) - refused < majority(voters):
        return VoteResult.LOST
    return VoteResult.PENDING


def is_majority(voters: Sequence[int], members: Iterable[int]) -> bool:
    """Return whether ``members`` hold a majority of ``voters``."""
    present = frozenset(members)
    return sum(1 for voter in voters if voter in present) >= majority(voters)
