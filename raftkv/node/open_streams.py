"""The streams that clients hold open: they end when the member stops, or has no leader for long."""

from collections.abc import Callable

from raftkv.errors import NodeStopped, NoLeader, RaftKvError

LEADERLESS_ELECTIONS = 3
"""Election time-outs without a leader after which a stream that needs one ends, as in etcd."""

End = Callable[[RaftKvError], None]


class OpenStreams:
    """Who is to be told what ends a stream."""

    def __init__(self, election_seconds: float) -> None:
        self._patience = LEADERLESS_ELECTIONS * election_seconds
        self._streams: dict[End, bool] = {}
        self._leaderless_since: float | None = None

    def __len__(self) -> int:
        return len(self._streams)

    def add(self, end: End, *, needs_leader: bool = False) -> None:
        """Call ``end`` once with what ends the stream, unless it is removed before."""
        self._streams[end] = needs_leader

    def remove(self, end: End) -> None:
        """Forget a stream; one that was ended is forgotten already."""
        self._streams.pop(end, None)

    def tick(self, now: float, *, has_leader: bool) -> None:
        """End what needs a leader if there has been none for too long; ``now`` in seconds."""
        if has_leader:
            self._leaderless_since = None
        elif self._leaderless_since is None:
            self._leaderless_since = now
        elif now - self._leaderless_since >= self._patience:
            self._end([end for end, needs_leader in self._streams.items() if needs_leader], NoLeader())

    def stop(self) -> None:
        """End all: the member stops."""
        self._end(list(self._streams), NodeStopped("the member is stopping"))

    def _end(self, streams: list[End], error: RaftKvError) -> None:
        for end in streams:
            del self._streams[end]
            end(error)
