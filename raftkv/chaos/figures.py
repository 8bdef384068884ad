"""How much a run did, and whether that is enough to say anything: a run below the figures is weak.

What a figure is held against:

========================  ==========================================================================
``acknowledged``          at least 200 acknowledged operations a second, on average; 5 where the
                          operations of the workload wait by their nature (for a lock, a lease, an event)
``unknown``               under 20 % of the operations that may have had an effect ended unknown
``fault share``           a fault is active for at least 60 % of the time
``kinds``                 each kind of fault that was chosen proved an effect at least once
``leader changes``        at least 3, where a fault that ends leaders was chosen
``whole cluster``         at least one kill of all nodes, where such a kind was chosen
========================  ==========================================================================

They are meant for a minute or more. A run of t < 60 s has to have t/60 of the leader changes and of the
kinds, rounded down, and the kill of all nodes only from 30 s on. The three shares are never scaled.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from raftkv.chaos.record import Done, Look
from raftkv.chaos.system import FaultRecord

LEAST_PER_SECOND = 200.0
LEAST_OF_WAITING = 5.0
WAITING = frozenset({"watch", "lease", "lock", "unfenced", "election"})
"""Workloads whose operations wait: for an event, the end of a lease, or until others let go."""

MOST_UNKNOWN = 0.2
LEAST_FAULT_SHARE = 0.6
LEAST_LEADER_CHANGES = 3
FULL_SECONDS = 60.0
POWER_SECONDS = 30.0

ENDS_LEADERS = frozenset({"kill", "pause", "partition", "torn", "transfer"})
"""Groups of faults after which others lead."""

KILLS_ALL = "kill-all"
"""The kind of fault that ends all nodes at once."""

SILENT_SECONDS = 1.0
"""A stretch without any acknowledged operation from which on it is a window of unavailability."""


class Wanted(NamedTuple):
    """What was chosen: the kinds of fault with their groups, the time, and the workload's name."""

    kinds: tuple[tuple[str, str], ...]
    seconds: float
    workload: str = ""

    @property
    def per_second(self) -> float:
        """Return how many operations a second have to be acknowledged."""
        return LEAST_OF_WAITING if self.workload in WAITING else LEAST_PER_SECOND


class Figures(NamedTuple):
    """What was done, in numbers; times are seconds, shares between 0 and 1."""

    seconds: float
    operations: int
    acknowledged: int
    failed: int
    unknown: int
    per_second: float
    unknown_share: float
    fault_share: float
    fired: dict[str, int]
    leader_changes: int
    whole_cluster_kills: int
    unavailable: list[tuple[float, float]]

    def as_object(self) -> dict[str, Any]:
        """Return them for JSON."""
        rounded = {name: round(value, 4) for name, value in self._asdict().items() if type(value) is float}
        return {**self._asdict(), **rounded}


def measure(
    operations: Sequence[Done], looks: Sequence[Look], faults: Sequence[FaultRecord], wanted: Wanted
) -> Figures:
    """Count what happened from the begin of the clients' work, 0, to its end."""
    seconds = wanted.seconds
    within = [one for one in operations if one.call < seconds]
    outcomes = Counter(one.outcome for one in within)
    possible = outcomes["ok"] + outcomes["unknown"]
    proven = [one for one in faults if one.effects and not one.error]
    return Figures(
        seconds,
        len(within),
        outcomes["ok"],
        outcomes["fail"],
        outcomes["unknown"],
        outcomes["ok"] / seconds,
        outcomes["unknown"] / possible if possible else 1.0,
        covered([(one.begun, one.ended) for one in faults], seconds) / seconds,
        dict(Counter(one.kind for one in proven)),
        leader_changes(looks),
        sum(one.kind == KILLS_ALL for one in proven),
        unavailable(within, seconds),
    )


def covered(stretches: Iterable[tuple[float, float]], seconds: float) -> float:
    """Return how much of [0, seconds] some stretch covers."""
    total, until = 0.0, 0.0
    for begun, ended in sorted(stretches):
        begin, end = max(begun, until), min(ended, seconds)
        if end > begin:
            total += end - begin
            until = end
    return total


def leader_changes(looks: Iterable[Look]) -> int:
    """Return how often another node, or the same in a later term, came to lead."""
    leaders: list[tuple[int, str]] = []
    for look in looks:
        leading = [(node.term, node.name) for node in look.nodes if node.role == "leader"]
        if leading and (not leaders or max(leading) > leaders[-1]) and max(leading)[0] > _last_term(leaders):
            leaders.append(max(leading))
    return max(0, len(leaders) - 1)


def _last_term(leaders: Sequence[tuple[int, str]]) -> int:
    return leaders[-1][0] if leaders else -1


def unavailable(operations: Sequence[Done], seconds: float) -> list[tuple[float, float]]:
    """Return the stretches of a second or more in which no operation was acknowledged."""
    moments = sorted(one.returned for one in operations if one.outcome == "ok" and one.returned is not None)
    edges = [0.0, *(moment for moment in moments if 0 <= moment <= seconds), seconds]
    pairs = pairwise(edges)
    return [(round(begin, 3), round(end, 3)) for begin, end in pairs if end - begin >= SILENT_SECONDS]


def shortcomings(figures: Figures, wanted: Wanted) -> list[str]:
    """Return in sentences why a run with these figures says too little; nothing if it does not."""
    reasons = []
    if figures.per_second < wanted.per_second:
        reasons.append(
            f"{figures.per_second:.0f} acknowledged operations a second; at least {wanted.per_second:.0f}"
        )
    if figures.unknown_share >= MOST_UNKNOWN:
        reasons.append(
            f"{figures.unknown_share:.0%} of the operations ended unknown; under {MOST_UNKNOWN:.0%}"
        )
    if wanted.kinds:
        reasons += _of_faults(figures, wanted)
    return reasons


def _of_faults(figures: Figures, wanted: Wanted) -> list[str]:
    share, reasons = min(1.0, wanted.seconds / FULL_SECONDS), []
    if figures.fault_share < LEAST_FAULT_SHARE:
        reasons.append(
            f"a fault was active for {figures.fault_share:.0%} of the time; at least {LEAST_FAULT_SHARE:.0%}"
        )
    missing = sorted(kind for kind, _ in wanted.kinds if not figures.fired.get(kind))
    needed = int(len(wanted.kinds) * share) or 1
    if len(wanted.kinds) - len(missing) < needed:
        proved = f"{len(wanted.kinds) - len(missing)} of {len(wanted.kinds)} kinds of fault proved something"
        reasons.append(f"{proved}; at least {needed} have to; never came, or in vain: {', '.join(missing)}")
    changes = int(LEAST_LEADER_CHANGES * share)
    ends_leaders = any(group in ENDS_LEADERS for _, group in wanted.kinds)
    if ends_leaders and figures.leader_changes < changes:
        reasons.append(f"{figures.leader_changes} leader changes; at least {changes}")
    kills_all = any(kind == KILLS_ALL for kind, _ in wanted.kinds)
    if kills_all and wanted.seconds >= POWER_SECONDS and not figures.whole_cluster_kills:
        reasons.append("the whole cluster was never killed at once")
    return reasons
