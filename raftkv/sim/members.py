"""One member of the simulated cluster: the production node on a simulated disk, network and clock."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from raftkv.errors import RaftKvError
from raftkv.mvcc.membership import MemberInfo, encode_bootstrap
from raftkv.node.config import Config
from raftkv.node.node import Identity, Node
from raftkv.node.restore import Restored, restore
from raftkv.node.transport import Transport
from raftkv.raft import Consensus, Entry, HardState, Snapshot, bootstrap_entry, make_core
from raftkv.raft.checked import CheckedCore
from raftkv.raft.invariants import Observer
from raftkv.sim.disk import SimDisk
from raftkv.sim.loop import Incarnation
from raftkv.sim.services import Services
from raftkv.storage.records import Metadata
from raftkv.storage.snapshots import SnapshotFolder
from raftkv.storage.wal import Recovered, Wal
from raftkv.trace import Emit

CLUSTER_ID = 0x51
SEGMENT_BYTES = 16 << 10
"""Small, so that a run fills some and releases some."""

LEFT_TO_ROT = "left to rot"
"""Why a member is gone that was not healed."""

LOG = "data/wal"
SNAPSHOTS = "data/snap"

SIZES = ("append-entries", "append-bytes", "chunk-bytes", "tiny-slices")
"""Options of a scenario that are no member's to choose: how small the pieces are in which it works."""


class Sizes(NamedTuple):
    """Pieces smaller than usual, so that little data has many; 0 = as usual.

    ``append_entries``, ``append_bytes``: most in one AppendEntries, the latter also in what is applied at
    once. ``chunk_bytes``: of a snapshot on its way. ``tiny_slices``: others run after each entry applied.
    """

    append_entries: int = 0
    append_bytes: int = 0
    chunk_bytes: int = 0
    tiny_slices: bool = False

    @staticmethod
    def of(options: Mapping[str, str]) -> "Sizes":
        """Return the sizes in a scenario's options."""
        entries, size, chunk = (int(options.get(name, "0")) for name in SIZES[:3])
        return Sizes(entries, size, chunk, options.get("tiny-slices") == "true")

    def set_core(self, core: Consensus) -> None:
        """Let a core send and hand out no more; a core that has no such bounds stays as it is."""
        for name, value in (
            ("max_append_entries", self.append_entries),
            ("max_append_bytes", self.append_bytes),
        ):
            if value and hasattr(core, name):
                setattr(core, name, value)

    def set_node(self, node: Node, restored: Restored) -> None:
        """Let a node work in small pieces."""
        if self.chunk_bytes:
            restored.store.chunk_bytes = self.chunk_bytes
        if self.tiny_slices:
            node.slice_seconds = -1.0


USUAL = Sizes()

CoreFactory = Callable[..., Consensus]
"""Makes a core, as ``raftkv.raft.make_core`` does."""


@dataclass(slots=True)
class Running:
    """One start of a member."""

    incarnation: Incarnation
    node: Node | None = None
    services: Services | None = None
    restored: Snapshot | None = None
    requests: dict[Any, None] = field(default_factory=dict)


@dataclass(slots=True)
class Member:
    """A member: its disk, which outlives its starts, and its current start, if it is up.

    ``gone`` says why it can't be started any more ("" = it can).
    """

    number: int
    disk: SimDisk
    starts: int = 0
    running: Running | None = None
    gone: str = ""
    rotten: bool = False
    drift: float = 1.0
    offset: float = 0.0
    slowness: float = 1.0

    @property
    def name(self) -> str:
        """Its name in scenarios."""
        return f"n{self.number}"

    @property
    def node(self) -> Node | None:
        """The node, once it has been put together."""
        return self.running.node if self.running is not None else None


class Assembly:
    """Puts members together as ``raftkv.server`` does, from simulated parts."""

    def __init__(
        self,
        config: Callable[[str], Config],
        founders: tuple[int, ...],
        observer: Observer,
        make: CoreFactory = make_core,
        sizes: Sizes = USUAL,
    ) -> None:
        self._config = config
        self._sizes = sizes
        self._founders = founders
        self._observer = observer
        self._make = make

    async def life(
        self, member: Member, running: Running, transport: Transport, seed: str, emit: Emit
    ) -> None:
        """Run one start of a member to its end. Raises what ends it."""
        async with AsyncExitStack() as resources:
            disk = member.disk
            wal, recovered = await self._open_log(member, disk)
            resources.push_async_callback(wal.close)
            if recovered.torn is not None:
                emit(recovered.torn)
            folder = SnapshotFolder(disk, SNAPSHOTS)
            resources.push_async_callback(folder.close)
            restored = await restore(wal, recovered, folder, emit)
            running.restored = restored.snapshot
            config = self._config(member.name)
            core = self._make(
                member.number,
                restored.entries,
                recovered.hard_state,
                rng=Random(seed),
                snapshot=restored.snapshot,
                election_ticks=config.election_ticks,
                lease_reads=config.lease_reads,
                emit=emit,
            )
            self._sizes.set_core(core)
            core = self._watched(core, recovered.hard_state, restored.entries, restored.snapshot)
            running.node = Node(
                config,
                Identity(member.number, CLUSTER_ID, recovered.boot),
                core=core,
                wal=wal,
                restored=restored,
                transport=transport,
                emit=emit,
            )
            self._sizes.set_node(running.node, restored)
            running.services = Services(running.node)
            await running.node.run()

    def _watched(
        self, core: Consensus, hard_state: HardState, entries: Any, snapshot: Snapshot | None
    ) -> Consensus:
        return CheckedCore(core, hard_state, entries, snapshot, observer=self._observer)

    async def _open_log(self, member: Member, disk: SimDisk) -> tuple[Wal, Recovered]:
        if await Wal.exists(disk, LOG):
            return await Wal.open(disk, LOG, segment_bytes=SEGMENT_BYTES)
        entries: list[Entry] = []
        hard_state = HardState()
        if member.number in self._founders:
            members = [
                MemberInfo(number, "", (peer_url(number),), (), is_learner=False) for number in self._founders
            ]
            entries = [bootstrap_entry(self._founders, encode_bootstrap(members))]
            hard_state = HardState(term=1, commit=1)
        metadata = Metadata(CLUSTER_ID, member.number, member.name)
        return await Wal.create(disk, LOG, metadata, hard_state, entries, segment_bytes=SEGMENT_BYTES)


def peer_url(number: int) -> str:
    """Return the peer URL of a member: nobody connects to it."""
    return f"http://n{number}:2380"


def reasons(error: BaseException) -> list[BaseException]:
    """Return the errors in a group of groups."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in reasons(inner)]
    return [error]


def is_expected(error: BaseException) -> bool:
    """Whether a member may end by this at all: a fault that was put in, told by its type."""
    return isinstance(error, RaftKvError)
