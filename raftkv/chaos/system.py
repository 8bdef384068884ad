"""What the harness needs of a system under test, and of a fault."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Protocol


class Can(StrEnum):
    """What the harness may do to a system; an ``external`` one is only ever asked."""

    PROCESSES = "processes"
    LINKS = "links"
    CLIENT_LINKS = "client links"
    CLOCKS = "clocks"
    DISKS = "disks"
    MEMBERS = "members"
    TRANSFER = "transfer"
    SNAPSHOTS = "snapshots"


class NodeState(NamedTuple):
    """What one look at a node saw. ``role``: leader, follower, candidate, learner, "" = no answer.

    ``up``: its process runs and is not stopped. Without an answer ``revision`` and ``applied`` are 0.
    """

    name: str
    up: bool
    role: str = ""
    term: int = 0
    leader: str = ""
    revision: int = 0
    applied: int = 0


class System(Protocol):
    """A cluster under test. Every process and folder it makes is gone after ``stop``.

    ``nodes`` are the names of all nodes there are now; membership faults change it.
    """

    name: str
    version: str
    abilities: frozenset[Can]

    @property
    def nodes(self) -> Sequence[str]:
        """Return the names of the nodes, those that are down included, not those removed."""
        ...

    async def start(self) -> None:
        """Start all nodes and wait until one leads; raises ``ChaosError`` with the reason and log lines."""
        ...

    async def stop(self) -> None:
        """End every process, close every proxy and socket; may be called at any time and repeatedly."""
        ...

    def client_url(self, node: str) -> str:
        """Return the URL clients ask ``node`` at: behind the proxy for links between clients and nodes."""
        ...

    def direct_url(self, node: str) -> str:
        """Return the URL of the node itself, for whoever watches and measures and is no part of the test."""
        ...

    async def look(self) -> Sequence[NodeState]:
        """Ask all nodes at once, by their direct URLs, for at most half a second."""
        ...

    def logs(self) -> Mapping[str, Path]:
        """Return where each node's log text is."""
        ...


class Effect(NamedTuple):
    """The proof that a fault did something: ``what`` (bytes held, writes refused) and how much."""

    what: str
    amount: float


class FaultRecord(NamedTuple):
    """One fault as it happened: seconds on the run's clock; ``effects`` empty = it proved nothing."""

    kind: str
    group: str
    targets: tuple[str, ...]
    detail: str
    begun: float
    ended: float
    effects: tuple[Effect, ...] = ()
    error: str = ""


class Fault(Protocol):
    """One kind of fault. ``group`` is the word of ``--faults``: kill, partition, pause, ...

    A fault undoes itself when its ``end`` is called, and proves what it did.
    """

    kind: str
    group: str
    needs: Can

    async def begin(self, system: Any, random: Random) -> tuple[tuple[str, ...], str]:
        """Let it happen; return its targets and a detail in words. Raises ``NotNow`` when it can't."""
        ...

    async def end(self) -> Sequence[Effect]:
        """End it, whatever state the nodes are in, and return the proof."""
        ...
