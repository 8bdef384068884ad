"""A leader's idea of one peer (thesis §3.5, §10.2.1; the states follow etcd's tracker).

PROBE: where the logs agree is not known; one AppendEntries at a time looks for it.
REPLICATE: the logs agree up to ``next_index - 1`` as far as is known; entries are sent ahead of their
acknowledgement (pipelining), within a window of messages.

``match_index`` is a fact (durable there), and never goes back within a leadership. ``next_index`` is
a guess; ``match_index < next_index`` always holds.
"""

from collections import deque

from raftkv.raft.types import PeerStatus

MAX_IN_FLIGHT = 64
"""AppendEntries that may be under way to one peer; each is limited in bytes by the core."""


class Progress:
    """What the leader knows and guesses about one peer, in one leadership."""

    __slots__ = (
        "commit_sent",
        "confirmed_round",
        "in_flight",
        "match_index",
        "next_index",
        "probe_sent",
        "recently_active",
        "replicating",
    )

    def __init__(self, next_index: int) -> None:
        self.match_index = 0
        self.next_index = next_index
        self.replicating = False
        self.probe_sent = False
        self.in_flight: deque[int] = deque()  # last index of each AppendEntries under way
        self.recently_active = False
        self.commit_sent = 0
        self.confirmed_round = 0

    def __repr__(self) -> str:
        state = "replicate" if self.replicating else "probe"
        return f"Progress({state} match={self.match_index} next={self.next_index})"

    @property
    def may_send(self) -> bool:
        """Whether another AppendEntries with entries may leave now."""
        return len(self.in_flight) < MAX_IN_FLIGHT if self.replicating else not self.probe_sent

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
        if not self.replicating and index >= self.match_index:
            self.replicating, self.probe_sent = True, False
            self.next_index = self.match_index + 1
        self.next_index = max(self.next_index, index + 1)
        while self.in_flight and self.in_flight[0] <= index:
            self.in_flight.popleft()
        return news

    def refused(self, prev_index: int, next_index: int) -> bool:
        """Take note of a refusal at ``prev_index``; probe at ``next_index``. False if it is stale."""
        if prev_index <= self.match_index or prev_index >= self.next_index:
            return False
        if not self.replicating and prev_index != self.next_index - 1:
            return False
        self.probe_from(max(next_index, self.match_index + 1))
        return True

    def probe_from(self, next_index: int) -> None:
        """Go back to probing, with ``next_index`` as the guess."""
        self.replicating, self.probe_sent = False, False
        self.next_index = next_index
        self.in_flight.clear()

    def status(self) -> PeerStatus:
        """Return the view from outside."""
        return PeerStatus(self.match_index, self.next_index, self.replicating, self.recently_active)
