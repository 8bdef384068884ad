"""One member, put together: the only place that names concrete classes.

``build`` reads from top to bottom: lock the data folder, open the log (or begin a new one), make the
state machine and the core from it, then the node with its transport, then what clients see. ``run`` is
``raftkv serve``: it adds the process around it (signals, the event loop, log lines, exit code).
"""

import asyncio
import gc
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import SystemRandom
from typing import Any, TextIO

from raftkv import api
from raftkv.errors import ConfigError, DataDirMismatch, MemberRemoved, RaftKvError
from raftkv.faults.orders import LOG, SNAPSHOTS
from raftkv.faults.wiring import AsItIs, LogSize, WithFaults, surroundings
from raftkv.listeners import Listeners
from raftkv.mvcc.membership import MemberInfo, encode_bootstrap
from raftkv.net.bootstrap import find_place, started_before
from raftkv.net.transport import PeerTransport
from raftkv.node.config import LOG_LEVELS, Config, cluster_id, member_id
from raftkv.node.node import Identity, Node
from raftkv.node.restore import Restored, restore
from raftkv.raft import Consensus, Entry, HardState, bootstrap_entry, make_core
from raftkv.raft.checked import CheckedCore
from raftkv.raft.record_file import RecordFile
from raftkv.raft.recorded import CoreMaker, RecordedCore
from raftkv.service.downgrade import CLUSTER_VERSION
from raftkv.service.maintenance import ETCD_VERSION
from raftkv.storage.disk import Disk, FileDisk
from raftkv.storage.records import Metadata
from raftkv.storage.snapshots import SUFFIX, SnapshotFolder
from raftkv.storage.wal import Recovered, Wal
from raftkv.trace import (
    Emit,
    Event,
    FaultsAllowed,
    FaultSet,
    LogTruncated,
    LooseEnd,
    PeerDown,
    PeerRefused,
    RecordEnded,
    SlowStep,
    SnapshotDamaged,
    SnapshotFailed,
    Started,
    Stopped,
    TornTailCut,
    VoteCast,
    describe,
)

GC_THRESHOLDS = (1_000, 10, 8_000)
"""Small and frequent young collections, so that none takes long (one of 400,000 objects takes 30 ms), and few
full ones: requests leave little cyclic garbage, and values, most of the memory, can't be part of any."""

MAX_OPEN_FILES = 65_536
"""Connections, segments and all else that this process may hold open."""

LEVEL_OF: Mapping[type, str] = {
    VoteCast: "debug",
    FaultsAllowed: "warning",
    FaultSet: "warning",
    LogTruncated: "warning",
    LooseEnd: "error",
    PeerDown: "warning",
    PeerRefused: "warning",
    SnapshotDamaged: "error",
    SnapshotFailed: "warning",
    RecordEnded: "warning",
    SlowStep: "warning",
    TornTailCut: "warning",
}
"""Levels other than info."""

RECORD_BUFFER = 256 * 1024
"""Bytes of a record that wait for the next tick; more are written at once."""

HAND_OVER_SECONDS = 0.5
"""How long a leader that stops may take to hand its leadership over."""

STOP_SECONDS = 0.5
"""How long requests under way may take to finish when the member stops, and then to be cancelled."""


class EventLog:
    """Writes events as log lines: one readable line each, as text or as JSON, to standard error."""

    def __init__(self, config: Config, stream: TextIO) -> None:
        self._name = config.name
        self._json = config.log_format == "json"
        self._threshold = LOG_LEVELS.index(config.log_level)
        self._stream = stream
        self.member_names: Callable[[], Mapping[int, str]] = dict
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def emit(self, event: Event) -> None:
        """Write an event, if its level is wanted."""
        failed = isinstance(event, Stopped) and event.failed
        level = "error" if failed else LEVEL_OF.get(type(event), "info")
        if LOG_LEVELS.index(level) < self._threshold:
            return
        names = self.member_names()
        text = describe(event, lambda member: names.get(member) or f"{member:x}")
        at = self.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._json:
            fields = {"ts": at, "level": level, "member": self._name, "event": type(event).__name__}
            line = json.dumps({**fields, "msg": text, **event._asdict()})
        else:
            line = f"{at} {level:<7} {self._name}: {text}"
        print(line, file=self._stream, flush=True)


class Server:
    """A running member. Made by ``build``."""

    def __init__(self, config: Config, log: EventLog) -> None:
        self.config = config
        self.log = log
        self.resources = AsyncExitStack()
        self._stop = asyncio.Event()
        self._own_bug: AssertionError | None = None
        self.node: Node
        self.transport: PeerTransport
        self.clients: api.ClientPort
        self.watched: api.ClientPort

    def stop(self) -> None:
        """Let ``run`` end in good order."""
        self._stop.set()

    async def run(self) -> None:
        """Serve until ``stop`` is called. Raises what makes the node fail."""
        node = asyncio.create_task(self.node.run(), name="node")
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            await self.watched.start(self.config.listen_metrics_urls, "listen-metrics-urls")
            if await self._unless_over(self.node.recovered(), node, stopping):
                await self.clients.start(self.config.listen_client_urls)
                self.log.emit(self._started())
                await asyncio.wait({node, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if not node.done():
                await self.node.hand_over(HAND_OVER_SECONDS)
            await self.clients.stop(STOP_SECONDS)
            await self.watched.stop(0.0)
            ended = node.done()
            node.cancel()
            await asyncio.wait({node})
            await self.resources.aclose()
        if ended:
            node.result()
        if self._own_bug is not None:
            raise self._own_bug

    def on_loose_end(self, context: Mapping[str, Any]) -> None:
        """Take an error that nobody awaits: an own bug stops the member, all else is only told."""
        error = context.get("exception")
        self.log.emit(LooseEnd(f"{context.get('message')}: {error!r}"))
        if isinstance(error, AssertionError) and _is_ours(error):
            self._own_bug = error
            self.stop()

    async def _unless_over(self, wanted: Coroutine[Any, Any, None], *over: "asyncio.Task[Any]") -> bool:
        """Await ``wanted``; give it up and return False when one of ``over`` is done first."""
        task = asyncio.create_task(wanted)
        await asyncio.wait({task, *over}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return True
        task.cancel()
        return False

    def _started(self) -> Started:
        status = self.node.status()
        return Started(
            self.config.name,
            self.node.member_id,
            self.node.cluster_id,
            status.term,
            status.log.last_index,
            ",".join(self.config.listen_client_urls),
        )


async def build(config: Config, log: EventLog) -> Server:
    """Put a member together from its configuration and its data folder.

    Raises StorageError (the folder can't be used, or is another member's) and ConfigError. Nothing is
    sent to anybody before ``Server.run``.
    """
    around = surroundings(config, time.time, SystemRandom())
    log.now = around.now
    events = Listeners(log.emit, around.now)
    async with AsyncExitStack() as resources:
        disk = around.disk(LOG, FileDisk())
        resources.push_async_callback(disk.close)
        wal, recovered = await open_log(config, disk, resources, around.log_size)
        if recovered.torn is not None:
            log.emit(recovered.torn)
        metadata = recovered.metadata
        folder = await open_snapshots(config, around, resources)
        restored = await restore(wal, recovered, folder, events.emit)
        machine = restored.machine
        named = {member.id: member.name for member in bootstrap_members(config)}
        log.member_names = lambda: named | {m.id: m.name for m in machine.membership.members() if m.name}
        core = build_core(config, recovered, restored, events.emit, resources)
        server = Server(config, log)
        server.transport = PeerTransport(
            metadata.member_id,
            metadata.cluster_id,
            events.emit,
            SystemRandom(),
            members=lambda: tuple(server.node.members()),
            version=lambda: {"etcdserver": ETCD_VERSION, "etcdcluster": CLUSTER_VERSION},
            urls=lambda: peer_urls(server.node),
            cluster_level=lambda: server.node.cluster_level,
        )
        resources.push_async_callback(server.transport.close)
        identity = Identity(metadata.member_id, metadata.cluster_id, recovered.boot)
        server.node = Node(
            config,
            identity,
            core=core,
            wal=wal,
            restored=restored,
            transport=around.transport(server.transport, metadata.member_id),
            emit=events.emit,
            stopwatch=time.perf_counter,
        )
        pages = around.routes(server.node, lambda: names_of(server.node, named), events.emit)
        server.clients, server.watched = api.build_both(
            server.node, around.time, events, server.transport.traffic, pages
        )
        try:
            await server.transport.listen(config.listen_peer_urls)
        except OSError as error:
            urls = ",".join(config.listen_peer_urls)
            raise ConfigError(f"--listen-peer-urls {urls}: {error.strerror or error}") from error
        server.resources = resources.pop_all()
    return server


def peer_urls(node: Node) -> tuple[str, ...]:
    """Return where the others reach a node: as its log has it, else as it was started."""
    own = (member.peer_urls for member in node.members() if member.id == node.member_id)
    return next(own, node.config.initial_advertise_peer_urls)


def names_of(node: Node, named: Mapping[int, str]) -> dict[int, str]:
    """Return the members' names by id: as they said themselves, else as the node was started (``named``)."""
    members = node.machine.membership.members()
    return {member.id: member.name or named.get(member.id, "") for member in members} or dict(named)


async def open_snapshots(
    config: Config, around: AsItIs | WithFaults, resources: AsyncExitStack
) -> SnapshotFolder:
    """Return the folder of snapshots, on a disk of its own: the log must not wait behind large files."""
    disk = around.disk(SNAPSHOTS, FileDisk())
    resources.push_async_callback(disk.close)
    folder = SnapshotFolder(disk, f"{config.data_folder}/member/snap")
    resources.push_async_callback(folder.close)
    return folder


def build_core(
    config: Config,
    recovered: Recovered,
    restored: Restored,
    emit: Emit,
    resources: AsyncExitStack,
) -> Consensus:
    """Make the core from what the disk held, with whoever is to look on. Raises ConfigError."""
    make: CoreMaker = make_core
    if config.record_core:
        try:
            # closed with the record
            opened = open(config.record_core, "xb", RECORD_BUFFER, opener=_open_for_owner)  # noqa: SIM115
        except FileExistsError as error:
            raise ConfigError(
                f"--record-core {config.record_core}: this file is there already, and a record is not "
                f"written over; move it away or name another file"
            ) from error
        except OSError as error:
            raise ConfigError(f"--record-core {config.record_core}: {error.strerror or error}") from error
        record = RecordFile(opened, emit)
        resources.callback(record.close)
        make = partial(RecordedCore, make_core, record)
    core = make(
        recovered.metadata.member_id,
        restored.entries,
        recovered.hard_state,
        rng=SystemRandom(),
        snapshot=restored.snapshot,
        election_ticks=config.election_ticks,
        lease_reads=config.lease_reads,
        emit=emit,
    )
    if config.check_rules:
        core = CheckedCore(core, recovered.hard_state, restored.entries, restored.snapshot)
    return core


def _open_for_owner(path: str, flags: int) -> int:
    """Open a file that nobody else may read, for it holds what clients wrote."""
    return os.open(path, flags, 0o600)


async def open_log(
    config: Config, disk: Disk, resources: AsyncExitStack, size: LogSize
) -> tuple[Wal, Recovered]:
    """Take the data folder and open its log, or begin a new one."""
    folder = f"{config.data_folder}/member/wal"
    wanted = bootstrap_members(config)
    if await Wal.exists(disk, folder):
        wal, recovered = await Wal.open(disk, folder, **size)
        resources.push_async_callback(wal.close)
        check_identity(config, wanted, recovered.metadata)
        return wal, recovered
    await check_no_remains(config, disk)
    if config.initial_cluster_state == "existing":
        place = await find_place(config)
        metadata, hard_state = Metadata(*place, config.name), HardState()
        entries: list[Entry] = []  # the leader has them
    else:
        metadata, hard_state, entries = await begin(config, wanted)
    wal, recovered = await Wal.create(disk, folder, metadata, hard_state, entries, **size)
    resources.push_async_callback(wal.close)
    return wal, recovered


async def begin(config: Config, members: list[MemberInfo]) -> tuple[Metadata, HardState, list[Entry]]:
    """Return what the log of one of the initial members starts with. Raises DataDirMismatch."""
    ids = [member.id for member in members]
    own = next(member.id for member in members if member.name == config.name)
    others = {member.id: member.peer_urls for member in members if member.id != own}
    if await started_before(own, others):
        raise DataDirMismatch(
            f"member {config.name!r} ({own:x}) has been part of this cluster before, but "
            f"{config.data_folder} is empty: a member that forgot its votes and its log could lose "
            f"acknowledged writes. Bring the folder back; or, from a member that runs, remove this one "
            f"(raftkv member remove), add it again and start that with --initial-cluster-state existing"
        )
    entry = bootstrap_entry(ids, encode_bootstrap([member._replace(name="") for member in members]))
    return Metadata(cluster_id(ids), own, config.name), HardState(term=1, commit=1), [entry]


async def check_no_remains(config: Config, disk: Disk) -> None:
    """Refuse to begin anew, and to tidy up, where a log is missing that was there."""
    names = await disk.list(f"{config.data_folder}/member/snap")
    if any(SUFFIX in name for name in names):
        raise DataDirMismatch(
            f"{config.data_folder}/member holds snapshots but no log: a member that forgot its votes and its "
            f"log could lose acknowledged writes. Bring member/wal back; or make a new cluster from the "
            f"newest of the snapshots with raftkv snapshot restore --skip-hash-check"
        )


def bootstrap_members(config: Config) -> list[MemberInfo]:
    """Return the initial members, with the ids that follow from their URLs and the token."""
    token = config.initial_cluster_token
    return [
        MemberInfo(member_id(urls, token), name, tuple(sorted(urls)), (), is_learner=False)
        for name, urls in sorted(config.initial_cluster.items())
    ]


def check_identity(config: Config, wanted: list[MemberInfo], found: Metadata) -> None:
    """Refuse a data folder that belongs to another member or another cluster."""
    folder = config.data_folder
    if found.name != config.name:
        raise DataDirMismatch(
            f"{folder} holds the data of member {found.name!r}, not of {config.name!r}: "
            f"give --data-dir the folder of {config.name!r}, or --name {found.name}"
        )
    expected = cluster_id(member.id for member in wanted)
    if config.initial_cluster_state == "new" and found.cluster_id != expected:
        raise DataDirMismatch(
            f"{folder} holds data of cluster {found.cluster_id:x}, but --initial-cluster and "
            f"--initial-cluster-token describe cluster {expected:x}: use the folder of that cluster, or an "
            f"empty one. If only the list of members changed since, start with "
            f"--initial-cluster-state existing, which takes the members from the folder"
        )


def run(config: Config) -> int:
    """Run a member in this process until SIGTERM or SIGINT, or until it was removed; return the exit code."""
    log = EventLog(config, sys.stderr)
    reason, failed = "it was told to", False
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        try:
            runner.run(_main(config, log))
        except* MemberRemoved as group:
            reason = str(next(_leaves(group)))  # as it should: nobody is to start it again
        except* (RaftKvError, OSError) as group:
            reason, failed = "; ".join(str(error) for error in _leaves(group)), True
        except* KeyboardInterrupt:
            reason, failed = "interrupted while it started", True
    log.emit(Stopped(reason, failed))
    return 1 if failed else 0


async def _main(config: Config, log: EventLog) -> None:
    loop = asyncio.get_running_loop()
    _raise_open_files()
    gc.disable()  # a million keys are loaded without looking at them again and again
    server = await build(config, log)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    loop.set_exception_handler(lambda _, context: server.on_loose_end(context))
    # What lives from here on as long as the process does need not be looked at again and again; and
    # with much data in memory a full collection takes long, so it is to be rare.
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()
    await server.run()


def _raise_open_files() -> None:
    """Allow as many connections as the system does: the soft limit is often far below."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _is_ours(error: BaseException) -> bool:
    """Whether the assertion that failed is one of raftkv's own: a client can trip a library's."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and Path(frames[-1].filename).is_relative_to(Path(__file__).parent)


def _leaves(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Use uvloop where it is installed; asyncio's own loop elsewhere."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
