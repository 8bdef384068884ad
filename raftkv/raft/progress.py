"""A leader's idea of one peer (thesis §3.5, §5.3, §10.2.2; the states follow etcd's tracker).

PROBE: where the logs agree is not known; one AppendEntries at a time looks for it.
REPLICATE: the logs agree up to ``next_index - 1`` as far as is known; entries are sent ahead of their
acknowledgement (pipelining), within a window of messages.
SNAPSHOT: what the peer lacks is gone from the log; a snapshot is on its way and no entries are sent. An
AppendEntries without any, one a tick, asks whether it arrived: its own answer may be lost.

``match_index`` is a fact (durable there), and never goes back within a leadership. ``next_index`` is
a guess; ``match_index < next_index`` always holds.
"""

from collections import deque
from enum import Enum

from raftkv.raft.types import PeerStatus

MAX_IN_FLIGHT = 64
"""AppendEntries that may be under way to one peer."""

MAX_APPEND_BYTES = 1024 * 1024
"""Entry data in one AppendEntries, in one ForwardProposals, and in one batch of committed entries."""

MAX_APPEND_ENTRIES = 2048
"""Entries in one AppendEntries, and commands in one ForwardProposals: tiny ones cost time, not bytes."""


class ProgressState(Enum):
    """How entries are sent to a peer."""

    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


class Progress:
    """What the leader knows and guesses about one peer, in one leadership."""

    __slots__ = (
        "commit_sent",
        "confirmed_round",
        "in_flight",
        "match_index",
        "next_index",
        "patience",
        "probe_sent",
        "recently_active",
        "removal",
        "state",
        "stay",
    )

    def __init__(self, next_index: int) -> None:
        self.match_index = 0
        self.next_index = next_index
        self.state = ProgressState.PROBE
        self.probe_sent = False  # one is under way; in SNAPSHOT: none more in this tick
        self.in_flight: deque[int] = deque()  # last index of each AppendEntries under way
        self.recently_active = False
        self.commit_sent = 0
        self.confirmed_round = 0
        self.patience = 0  # ticks until a snapshot on its way is given up
        self.removal = 0  # index of the change that removed the peer
        self.stay = 0  # ticks until a removed peer is let go all the same

    def __repr__(self) -> str:
        return f"Progress({self.state.value} match={self.match_index} next={self.next_index})"

    @property
    def replicating(self) -> bool:
        """Whether entries may be sent ahead of acknowledgements."""
        return self.state is ProgressState.REPLICATE

    @property
    def may_send(self) -> bool:
        """Whether another AppendEntries with entries may leave now."""
        if self.state is ProgressState.PROBE:
            return not self.probe_sent
        return self.replicating and len(self.in_flight) < MAX_IN_FLIGHT

    def sent(self, last_index: int) -> None:
        """Take note of an AppendEntries that ends at ``last_index``."""
        if self.replicating:
            self.next_index = last_index + 1
            self.in_flight.append(last_index)
        else:
            self.probe_sent = True

    def acknowledged(self, index: int) -> bool:
        """Take note that the peer holds everything up to ``index``; return whether that is news.

        Answers may come late or out of order: ``match_index`` only grows.
        """
        news = index > self.match_index
        self.match_index = max(self.match_index, index)
        if not self.replicating and index >= self.next_index - 1:
            self.state, self.probe_sent = ProgressState.REPLICATE, False
        self.next_index = max(self.next_index, index + 1)
        while self.in_flight and self.in_flight[0] <= index:
            self.in_flight.popleft()
        return news

    def refused(self, prev_index: int, next_index: int) -> bool:
        """Take note of a refusal at ``prev_index``; probe at ``next_index``. False if it is stale."""
        if prev_index <= self.match_index or prev_index >= self.next_index:
            return False
        if self.state is ProgressState.SNAPSHOT:
            return False
        if self.state is ProgressState.PROBE and prev_index != self.next_index - 1:
            return False
        self.probe_from(next_index)
        return True

    def probe_from(self, next_index: int) -> None:
        """Go back to probing, with ``next_index`` as the guess."""
        self.state, self.probe_sent = ProgressState.PROBE, False
        self.next_index = max(next_index, self.match_index + 1)
        self.in_flight.clear()

    def snapshot_sent(self, index: int, patience: int) -> None:
        """Wait for the snapshot up to ``index`` to arrive, for ``patience`` ticks."""
        self.state, self.probe_sent = ProgressState.SNAPSHOT, True  # too early to ask
        self.next_index = index + 1
        self.in_flight.clear()
        self.patience = patience

    def lost_patience(self) -> bool:
        """Let a tick pass for a snapshot on its way; return whether it is waited for no longer."""
        if self.state is not ProgressState.SNAPSHOT:
            return False
        self.probe_sent = False
        self.patience -= 1
        return self.patience <= 0

    def leave(self, removal: int, stay: int) -> None:
        """Take note that the change at ``removal`` removes the peer: it stays for ``stay`` ticks at most."""
        self.removal, self.stay = removal, stay

    def has_left(self) -> bool:
        """Let a tick pass for a removed peer; return whether its time is over."""
        if not self.removal:
            return False
        self.stay -= 1
        return self.stay <= 0

    def status(self) -> PeerStatus:
        """Return the view from outside."""
        return PeerStatus(self.match_index, self.next_index, self.state.value, self.recently_active)
