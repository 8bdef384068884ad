"""Linearizable reads without log entries: ReadIndex (thesis §6.4).

A leader may serve a read at its commit index once (1) an entry of its own term is committed, so that
this index is not behind what an earlier leader acknowledged, and (2) a round of heartbeats that began
*after* the read arrived was answered by a majority, so that no later leader existed when the index was
taken. All reads that wait share the round that starts next.
"""

from typing import NamedTuple

from raftkv.raft.types import NO_NODE


class ReadRequest(NamedTuple):
    """Reads of one member (``source`` NO_NODE = of this one), named by their contexts."""

    source: int
    contexts: tuple[int, ...]


class ReadQueue:
    """Reads of one leadership: those that wait for a round, and those whose round is under way."""

    def __init__(self) -> None:
        self.round = 0
        self.index = 0
        self._waiting: list[ReadRequest] = []
        self._under_way: list[ReadRequest] = []

    def add(self, contexts: tuple[int, ...], source: int = NO_NODE) -> None:
        """Let reads wait for the next round."""
        self._waiting.append(ReadRequest(source, contexts))

    @property
    def may_start(self) -> bool:
        """Whether reads wait and no round is under way."""
        return bool(self._waiting) and not self._under_way

    def start(self, commit_index: int) -> int:
        """Begin a round for all that wait, at ``commit_index``; return its number."""
        assert self.may_start, "no round to start"
        self.round += 1
        self.index = commit_index
        self._under_way, self._waiting = self._waiting, []
        return self.round

    def confirm(self, confirmed_round: int) -> list[ReadRequest]:
        """Return the reads whose round a majority has answered."""
        if not self._under_way or confirmed_round < self.round:
            return []
        done, self._under_way = self._under_way, []
        return done
