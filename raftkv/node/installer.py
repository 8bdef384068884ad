"""Brings the snapshot that a leader offers to a member that is too far behind (thesis §5.3).

The file is fetched from the leader in chunks, checked, loaded into a machine of its own beside the one that
serves, and made durable under its name. Only then the core hears of the offer. Whatever fails on the way is
tried again, from where it stopped as long as it is the same file.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Final, NamedTuple

from raftkv.errors import (
    FormatTooNew,
    NoSpace,
    PeerProtocolError,
    PeerUnavailable,
    RaftKvError,
    SnapshotDamaged,
    SnapshotGone,
)
from raftkv.mvcc.loading import MachineLoader
from raftkv.node import collector
from raftkv.node.snapshot_store import SnapshotStore
from raftkv.node.steps import Steps
from raftkv.node.transport import SnapshotChunk, Transport
from raftkv.raft import Status
from raftkv.raft.messages import InstallSnapshot
from raftkv.storage.snapshot_format import SnapshotRef
from raftkv.storage.snapshots import IncomingSnapshot
from raftkv.trace import Emit, SnapshotFailed, SnapshotOffered

RETRY_SECONDS: Final = 0.25
"""Until a chunk is asked for again."""

RETRY_SECONDS_MOST: Final = 5.0
"""The longest pause, after some failures without a chunk in between."""

FULL_SECONDS: Final = 10.0
"""The pause after the disk was full: all of the file has to be fetched again."""

PAUSE: Final = 8.0
"""Times a slice of loading the loop is left to others before the next."""


class Arrived(NamedTuple):
    """A snapshot that is here: its offer, its durable file, and what it loads into."""

    message: InstallSnapshot
    ref: SnapshotRef
    loader: MachineLoader


class _Superseded(RaftKvError):
    """The offer is of no use any more."""


class Installer:
    """Follows one offer at a time; ``arrived`` takes what is here and wakes the pump."""

    def __init__(
        self,
        *,
        store: SnapshotStore,
        transport: Transport,
        status: Callable[[], Status],
        arrived: Callable[[Arrived], None],
        discard: Callable[[MachineLoader], None],
        steps: Steps,
        emit: Emit,
    ) -> None:
        """Begin without an offer; ``status()`` is the core's, ``discard`` frees what a loader holds."""
        self._store = store
        self._transport = transport
        self._status = status
        self._arrived = arrived
        self._discard = discard
        self._steps = steps
        self._emit = emit
        self._offer: InstallSnapshot | None = None
        self._from: tuple[int, SnapshotRef] | None = None  # who has which file of the offer
        self._incoming: IncomingSnapshot | None = None
        self._wake = asyncio.Event()
        self._failures = 0

    def offer(self, message: InstallSnapshot) -> None:
        """Take an offer of a leader, unless one of the same leader and term is being followed."""
        current = self._offer
        if current is not None and (current.source, current.term) == (message.source, message.term):
            return
        self._offer = message
        self._failures = 0
        self._wake.set()

    async def run(self) -> None:
        """Follow offers until cancelled. Raises StorageError when the disk fails."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._offer is not None:
                self._emit(SnapshotOffered(self._offer.source, self._offer.snapshot.index))
            while (offer := self._offer) is not None:
                await self._follow(offer)

    async def _follow(self, offer: InstallSnapshot) -> None:
        """Try once to bring what is offered."""
        try:
            arrived = await self._bring(offer)
        except _Superseded:
            self._forget(offer)
            if self._status().commit_index >= offer.snapshot.index:
                await self._throw_away()  # else it may be offered again, in another term
        except PeerUnavailable:
            await self._pause()
        except (SnapshotGone, FormatTooNew) as error:
            self._forget(offer)
            self._emit(SnapshotFailed(offer.snapshot.index, str(error)))
        except (SnapshotDamaged, PeerProtocolError, NoSpace) as error:
            self._from = None
            self._emit(SnapshotFailed(offer.snapshot.index, str(error)))
            await self._pause(FULL_SECONDS if isinstance(error, NoSpace) else 0.0)
        else:
            self._forget(offer)
            self._arrived(arrived)

    def _forget(self, offer: InstallSnapshot) -> None:
        if self._offer is offer:
            self._offer = None

    async def _throw_away(self) -> None:
        """Remove what has arrived."""
        incoming, self._incoming, self._from = self._incoming, None, None
        if incoming is not None:
            await self._store.discard(incoming)

    async def _pause(self, at_least: float = 0.0) -> None:
        """Wait before the next attempt: longer each time, not at all for another offer."""
        seconds = max(at_least, min(RETRY_SECONDS_MOST, RETRY_SECONDS * 2**self._failures))
        self._failures = min(self._failures + 1, 16)
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.set()

    async def _bring(self, offer: InstallSnapshot) -> Arrived:
        """Fetch, check and load; raises _Superseded as soon as that is of no use."""
        incoming = await self._fetch(offer)
        loader = MachineLoader()
        try:
            await self._load(loader, offer, incoming)
            await incoming.finish()
            self._check(offer)
            ref = await self._store.publish(incoming)
        except RaftKvError as error:
            self._discard(loader)
            if isinstance(error, PeerProtocolError | FormatTooNew):
                await self._store.discard(incoming)
            raise
        self._from = self._incoming = None
        return Arrived(offer, ref, loader)

    async def _fetch(self, offer: InstallSnapshot) -> IncomingSnapshot:
        """Fetch what is still missing of the file."""
        chunk = None
        if self._from is None or (self._from[0], self._from[1].snapshot) != (offer.source, offer.snapshot):
            chunk = await self._ask(offer, 0)
            self._from = offer.source, SnapshotRef(offer.snapshot, chunk.size, chunk.checksum)
        ref = self._from[1]
        self._incoming = incoming = await self._store.receive(ref)
        if chunk is not None and incoming.offset == 0:
            await incoming.write(0, chunk.data)
        while not incoming.complete:
            chunk = await self._ask(offer, incoming.offset)
            if (chunk.size, chunk.checksum) != (ref.size, ref.checksum):
                raise PeerProtocolError(f"member {offer.source:x} has another file of its snapshot now")
            await incoming.write(chunk.offset, chunk.data)
            self._failures = 0
        return incoming

    async def _ask(self, offer: InstallSnapshot, offset: int) -> SnapshotChunk:
        self._check(offer)
        snapshot = offer.snapshot
        return await self._transport.fetch_snapshot(offer.source, snapshot.index, snapshot.term, offset)

    async def _load(self, loader: MachineLoader, offer: InstallSnapshot, incoming: IncomingSnapshot) -> None:
        """Load a file that is complete, checking it on the way, in slices."""
        with collector.set_aside():
            async with aclosing(incoming.blocks()) as blocks:
                async for block in blocks:
                    await self._slice(lambda block=block: loader.add(*block))  # type: ignore[misc]
                    self._check(offer)
            while await self._slice(loader.finish_step):
                self._check(offer)
        if loader.content.applied_index > offer.snapshot.index:
            raise PeerProtocolError(f"a snapshot at {offer.snapshot.index} with later content")

    async def _slice(self, step: Callable[[], bool | None]) -> bool | None:
        """Do one step of loading, then let others run."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        more = step()
        took = loop.time() - begin
        self._steps.took("snapshot load", took)
        await asyncio.sleep(PAUSE * took)
        return more

    def _check(self, offer: InstallSnapshot) -> None:
        if self._offer is not offer or not needs_file(self._status(), offer):
            raise _Superseded


def needs_file(status: Status, offer: InstallSnapshot) -> bool:
    """Whether the core would take the snapshot (§5.3); otherwise it answers without the file."""
    snapshot = offer.snapshot
    return (
        offer.term >= status.term
        and snapshot.index > status.commit_index
        and status.log.term(snapshot.index) != snapshot.term
    )
