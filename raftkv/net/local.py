"""What every part of the transport needs to know of this member."""

import random
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from raftkv.net.handshake import Hello
from raftkv.net.outbox import DEFAULT_LIMIT_BYTES
from raftkv.node.tally import Traffic
from raftkv.trace import Emit, PeerRefused

MAX_CAUSES: Final = 64


class Timing(NamedTuple):
    """Times in seconds. ``stall``: a stream whose writing makes no progress this long is dead.

    ``probe``: between two measurements of round trips.
    """

    connect: float = 2.0
    stall: float = 5.0
    backoff_first: float = 0.05
    backoff_most: float = 1.0
    probe: float = 5.0


DEFAULT_TIMING: Final = Timing()


def _nowhere() -> Sequence[str]:
    return ()


class Local(NamedTuple):
    """This member as the transport sees it; ``urls`` tells its peer URLs."""

    member_id: int
    cluster_id: int
    emit: Emit
    rng: random.Random
    traffic: Traffic
    timing: Timing = DEFAULT_TIMING
    queue_bytes: int = DEFAULT_LIMIT_BYTES
    urls: Callable[[], Sequence[str]] = _nowhere

    def hello(self, target: int, urls: Sequence[str] = ()) -> Hello:
        """Return what this member says to ``target``."""
        return Hello(self.cluster_id, self.member_id, target, urls=tuple(urls))


class Refusals:
    """Tells of each cause of a refusal once, not at each retry.

    A cause is forgotten, and so told again when it comes back, once that peer was fine in between.
    No more than MAX_CAUSES are told without that: strangers choose these texts.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._told: set[tuple[int, str]] = set()

    def tell(self, peer: int, reason: str) -> None:
        """Emit PeerRefused if this cause is new."""
        if (peer, reason) not in self._told and len(self._told) < MAX_CAUSES:
            self._told.add((peer, reason))
            self._emit(PeerRefused(peer, reason))

    def forget(self, peer: int) -> None:
        """Forget what was told of a peer that is fine."""
        self._told = {cause for cause in self._told if cause[0] != peer}
