"""The port between a node and the other members: what a node needs of any transport.

There are two: peers over HTTP, and the simulated network. Raft asks little of either: a message may
be lost, late or doubled, but what arrives is what was sent, and two messages that travel over one
unbroken stream arrive in the order they were sent in.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from raftkv.raft.messages import Message
from raftkv.raft.types import PeerEvent


class SnapshotChunk(NamedTuple):
    """A piece of a snapshot file: ``data`` from ``offset`` on.

    ``size`` (bytes) and ``checksum`` are of the whole file and tell it from any other one, also of the
    same index on another member.
    """

    size: int
    checksum: bytes
    offset: int
    data: bytes


class Connection(NamedTuple):
    """A stream to a peer that is up: ``since`` when, on the loop's clock, and the peer's ``level``."""

    since: float
    level: int


class Receiver(Protocol):
    """What a transport calls: the node. The first two methods may neither block nor raise.

    They are called from callbacks of the event loop, never from within a call of the transport's own
    methods, so a receiver may send while it handles a message.
    """

    def receive(self, message: Message) -> None:
        """Take a message for this member; its source is the peer that sent it."""

    def peer_event(self, peer: int, event: PeerEvent) -> None:
        """Take a hint about a peer: a stream to it is up, messages to it or a snapshot were lost."""

    async def serve_snapshot(self, index: int, term: int, offset: int) -> SnapshotChunk | None:
        """Return a piece of this member's snapshot of ``index`` and ``term``; None where it has none.

        The transport then answers "gone" and reports ``SNAPSHOT_FAILED`` of the peer that asked.

        Waits as long as its bound on bytes a second wants, so that fetching never slows the rest.
        """

    async def answer(self, question: bytes) -> bytes:
        """Return the answer to another node's question; what is refused is an answer too."""


class Transport(Protocol):
    """Carries messages to the other members."""

    def start(self, receiver: Receiver) -> None:
        """Begin to deliver what arrives, and to connect to the peers. Called once."""

    def set_peers(self, peers: Mapping[int, Sequence[str]]) -> None:
        """Replace the set of peers: member id to peer URLs, this member excluded.

        A peer that is gone from the mapping is disconnected and what waits for it is dropped; one
        whose URLs changed is connected to anew; the others are left alone.

        Whoever sends to this member is reached too while it does: one that lags behind has to answer a
        leader it has not heard of (thesis §4.1), and one that was removed is told so (§4.2.3).
        """

    def send(self, messages: Sequence[Message]) -> None:
        """Queue messages for their targets, in this order; never awaits, never raises.

        A message is dropped when its target is no peer, when no stream to it is up, or when more is
        waiting for it than the queue takes. The last two are reported as ``UNREACHABLE``.
        """

    async def fetch_snapshot(self, peer: int, index: int, term: int, offset: int) -> SnapshotChunk:
        """Bring a piece of a peer's snapshot file, of at least one byte.

        Raises PeerUnavailable (try again later) and SnapshotGone (the peer has no such file, or none
        that reaches to ``offset``).
        """

    def connection(self, peer: int) -> Connection | None:
        """Return what is known of the stream to a peer; None while none is up."""

    async def ask(self, peer: int, question: bytes, seconds: float) -> bytes:
        """Bring the answer of a peer's node to a question.

        Raises PeerUnavailable, also after ``seconds``: whether the question was heard is not known then.
        """

    async def close(self) -> None:
        """End every stream and task; what waits is dropped. May be called twice."""
