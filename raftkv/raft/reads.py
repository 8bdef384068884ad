"""Linearizable reads without log entries: ReadIndex, and the leader's lease (thesis §6.4).

A leader may serve a read at its commit index once (1) an entry of its own term is committed, so that
this index is not behind what an earlier leader acknowledged, and (2) a round of heartbeats that began
*after* the read arrived was answered by a majority, so that no later leader existed when the index was
taken. All reads that wait share the round that starts next.

With a lease (§6.4.1, off by default) the round before the read does: whoever answered a heartbeat gives
no vote for an election time-out after it, so no other leader can exist for that long, *if* the ticks of
all members pass at the same rate. See ``LeaderLease`` for the margin.
"""

from collections import deque
from typing import NamedTuple

from raftkv.raft.types import NO_NODE

LEASE_MARGIN_TICKS = 4
"""Ticks a lease ends before the followers' promise: two because a follower's first tick after a
heartbeat may have been due before it, one for the time the host has not reported yet, and one for clocks
that drift apart (at the default of 10 ticks: 10 %)."""


class ReadRequest(NamedTuple):
    """Reads of one member (``source`` NO_NODE = of this one), named by their contexts."""

    source: int
    contexts: tuple[int, ...]


class ReadQueue:
    """Reads of one leadership: those that wait for a round, and those whose round is under way.

    Every broadcast of heartbeats is a round with a number of its own; a later one confirms as well.
    """

    def __init__(self) -> None:
        self.round = 0
        self.index = 0
        self._needed = 0
        self._waiting: list[ReadRequest] = []
        self._under_way: list[ReadRequest] = []

    def add(self, contexts: tuple[int, ...], source: int = NO_NODE) -> None:
        """Let reads wait for the next round."""
        self._waiting.append(ReadRequest(source, contexts))

    @property
    def may_start(self) -> bool:
        """Whether reads wait and none is under way."""
        return bool(self._waiting) and not self._under_way

    def start(self, commit_index: int) -> None:
        """Put all that wait under way, at ``commit_index``: the next broadcast is theirs."""
        assert self.may_start, "no round to start"
        self.index = commit_index
        self._needed = self.round + 1
        self._under_way, self._waiting = self._waiting, []

    def confirm(self, confirmed_round: int) -> list[ReadRequest]:
        """Return the reads whose round, or a later one, a majority has answered."""
        if not self._under_way or confirmed_round < self._needed:
            return []
        done, self._under_way = self._under_way, []
        return done

    def take_waiting(self) -> list[ReadRequest]:
        """Return the reads that wait, for a leader that needs no round."""
        done, self._waiting = self._waiting, []
        return done


class LeaderLease:
    """Until which tick no other leader can exist, by the rounds a majority has answered.

    Assumed: every member's ticks pass at the same rate within one tick in an election time-out, and
    who restarts gives no vote for an election time-out. The host reports how much time really passed
    between ticks, so a pause of the process ends the lease.
    """

    def __init__(self, election_ticks: int) -> None:
        self._length = election_ticks - LEASE_MARGIN_TICKS
        self._now = 0
        self._until = 0
        self._sent: deque[tuple[int, int]] = deque()

    def passed(self, intervals: int) -> None:
        """Let ``intervals`` heartbeat intervals pass."""
        self._now += intervals

    def sent(self, round_: int) -> None:
        """Take note that a round of heartbeats leaves now."""
        self._sent.append((round_, self._now))

    def confirmed(self, round_: int) -> None:
        """Take note that a majority answered a round: the lease runs from when it *left*."""
        while self._sent and self._sent[0][0] <= round_:
            self._until = self._sent.popleft()[1] + self._length

    @property
    def holds(self) -> bool:
        """Whether a read may be served without a round."""
        return self._now < self._until
