"""What happened in a member since its start, in plain numbers: counted where it happens, shown elsewhere.

Nothing here costs more than an addition and, for a histogram, a bisection.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Protocol


def exponential(start: float, factor: float, count: int) -> tuple[float, ...]:
    """Return ``count`` upper bounds from ``start`` on, each ``factor`` times the one before."""
    bounds = [start]
    while len(bounds) < count:
        bounds.append(bounds[-1] * factor)
    return tuple(bounds)


class Histogram:
    """How often a value fell into which bucket; one more bucket takes what is above all ``bounds``."""

    __slots__ = ("bounds", "buckets", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """``bounds`` are the buckets' upper ends, which belong to them, in ascending order."""
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.sum += value


class WatchCounts(Protocol):
    """A stream of watches, as it is now."""

    @property
    def watching(self) -> int:
        """How many watches it has."""

    @property
    def behind(self) -> int:
        """How many of these still read the past."""

    @property
    def queued(self) -> int:
        """How many replies wait to be sent."""


class Tally:
    """One member's counts; names say what was counted, histograms are of seconds, bounds are etcd's.

    ``now`` is the clock that seconds are measured with: what is decided by time has another one.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.leader_changes = 0
        self.failed_proposals = 0
        self.late_heartbeats = 0
        self.slow_applies = 0
        self.promoted_learners = 0
        self.defragmenting = 0
        self.events = 0
        self.renewed_leases = 0
        self.watch_streams: dict[WatchCounts, None] = {}
        self.saves = Histogram(exponential(0.001, 2, 14))
        self.applies = Histogram(exponential(0.001, 2, 14))
        self.hashes = Histogram(exponential(0.01, 2, 15))
        self.revision_hashes = Histogram(exponential(0.01, 2, 15))
        self.defragmentations = Histogram(exponential(0.1, 2, 13))
        self.backups = Histogram(exponential(0.01, 2, 17))


class PeerTraffic:
    """What went to and came from one peer."""

    __slots__ = ("connected", "disconnects", "dropped", "received_bytes", "round_trips", "sent_bytes")

    def __init__(self) -> None:
        self.sent_bytes = 0
        self.received_bytes = 0
        self.dropped = 0
        self.connected = False
        self.disconnects = 0
        self.round_trips = Histogram(exponential(0.0001, 2, 16))


class Traffic:
    """The traffic with each peer that there was since the start, by its id."""

    most = 64
    """Peers that are told apart; ids come from strangers, who must not fill the memory."""

    def __init__(self) -> None:
        self.peers: dict[int, PeerTraffic] = {}
        self._others = PeerTraffic()

    def of(self, peer: int) -> PeerTraffic:
        """Return where to count what concerns a peer."""
        known = self.peers.get(peer)
        if known is not None:
            return known
        if len(self.peers) >= self.most:
            return self._others
        self.peers[peer] = PeerTraffic()
        return self.peers[peer]
