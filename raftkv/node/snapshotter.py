"""Takes this member's own snapshots, while it goes on serving (thesis §5.1).

The order is what safety rests on: the file is durable under its name, then the log names it, then the core
gives up entries, then older files go, then segments of the log. A crash anywhere leaves more than is needed,
never less.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from raftkv.errors import NodeStopped, NoSpace, RaftKvError
from raftkv.mvcc import parts as mvcc
from raftkv.mvcc.machine import Machine
from raftkv.node.log_tail import LogTail
from raftkv.node.snapshot_store import SnapshotStore
from raftkv.node.steps import Steps
from raftkv.node.writer import Writer
from raftkv.raft import Consensus, Entry, Snapshot
from raftkv.storage.disk import File
from raftkv.storage.snapshot_format import Block, SnapshotMeta, SnapshotRef
from raftkv.storage.snapshots import SnapshotDraft
from raftkv.storage.wal import Wal
from raftkv.trace import Emit, SnapshotFailed, SnapshotTaken
from raftkv.trace import SnapshotDamaged as DamageFound

RETRY_SECONDS: Final = 30.0
"""Until a snapshot is tried again for which there was no room."""

PAUSE: Final = 4.0
"""Times a slice of a dump the loop is left to others before the next; under load it takes longer."""

INSTALLING: Final = "snapshot"
"""The state of a peer to whom a snapshot was offered (``PeerStatus.state``)."""


class Backup(NamedTuple):
    """A whole snapshot file of ``size`` bytes that nobody else uses."""

    file: File
    size: int


class _Dump(NamedTuple):
    """A finished draft, and how many keys it holds."""

    draft: SnapshotDraft
    keys: int


class Snapshotter:
    """Makes snapshots of what is applied: when the log has grown, and when somebody asks."""

    def __init__(
        self,
        cluster_id: int,
        limit: int,
        *,
        core: Consensus,
        machine: Machine,
        store: SnapshotStore,
        wal: Wal,
        writer: Writer,
        applied: Callable[[], Snapshot],
        wake: Callable[[], None],
        steps: Steps,
        emit: Emit,
    ) -> None:
        """Begin; ``applied()`` is what a snapshot made now stands for, ``wake()`` makes the pump go on."""
        self._cluster_id = cluster_id
        self._limit = limit
        self._core = core
        self._machine = machine
        self._store = store
        self._wal = wal
        self._writer = writer
        self._applied = applied
        self._wake = wake
        self._steps = steps
        self._emit = emit
        newest = store.newest
        self._tail = LogTail(limit, applied().index, newest.size if newest is not None else 0)
        self._due = asyncio.Event()
        self._asked: list[asyncio.Future[None]] = []
        self._read: list[SnapshotDraft] = []
        self._not_before = 0.0
        self._clean_up_due = True
        self._suspicious = False
        store.suspicion = self._suspect
        self._stopped = False

    # ---------------------------------------------------------------- for the pump

    def applied(self, entries: Sequence[Entry]) -> None:
        """Count applied entries; a snapshot may be due."""
        self._tail.applied(entries)
        if self._tail.due:
            self._due.set()

    def replaced(self, ref: SnapshotRef) -> None:
        """Note that a leader's snapshot took the place of everything; what is being made is of no use."""
        self._store.replace(ref)
        self._tail = LogTail(self._limit, ref.snapshot.index, ref.size)

    def confirm(self) -> None:
        """Note that this is durable; what was replaced can go."""
        self._store.confirm()
        self.clean_up()

    def clean_up(self) -> None:
        """Remove soon what does not count any more."""
        self._clean_up_due = True
        self._due.set()

    # ---------------------------------------------------------------- for services

    async def snapshot_now(self) -> None:
        """Take a snapshot of what is applied now, and give up the log before it.

        Raises NoSpace, NodeStopped.
        """
        if self._stopped:
            raise NodeStopped("the member is stopping")
        asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.append(asked)
        self._due.set()
        await asked

    @asynccontextmanager
    async def backup(self) -> AsyncIterator[Backup]:
        """Make a file of what is applied now, for somebody to read; it is removed at the end.

        Raises NoSpace, StorageError.
        """
        draft = (await self._dump()).draft
        assert draft.ref is not None, "a dump is finished"
        try:
            yield Backup(draft.file, draft.ref.size)
        finally:
            # not removed here: whoever reads may be cancelled again while it waits for that
            self._read.append(draft)
            self.clean_up()

    def stop(self) -> None:
        """Tell whoever waits that the member stops."""
        self._stopped = True
        self._answer(len(self._asked), NodeStopped("the member is stopping"))

    # ---------------------------------------------------------------- the task

    async def run(self) -> None:
        """Take snapshots until cancelled. Raises StorageError when the disk fails."""
        while True:
            await self._due.wait()
            self._due.clear()
            if self._clean_up_due:
                self._clean_up_due = False
                await self._clean_up()
            if self._suspicious:
                self._suspicious = False
                await self._check()
            rested = asyncio.get_running_loop().time() >= self._not_before
            if self._asked or (self._tail.due and rested):
                await self._try()

    def _suspect(self) -> None:
        self._suspicious = True
        self._due.set()

    async def _check(self) -> None:
        """Look whether a file that followers fetch is damaged; take another snapshot then."""
        error = await self._store.check_suspect()
        if error is not None:
            self._emit(DamageFound(error.path, error.reason, -1))
            await self._try()

    async def _try(self) -> None:
        """Take one snapshot; where there is no room for it, try again later."""
        asked = len(self._asked)
        index = self._applied().index
        try:
            await self._take()
        except NoSpace as error:
            self._emit(SnapshotFailed(index, str(error)))
            loop = asyncio.get_running_loop()
            self._not_before = loop.time() + RETRY_SECONDS
            loop.call_later(RETRY_SECONDS, self._due.set)
            self._answer(asked, error)
        else:
            self._answer(asked, None)

    def _answer(self, count: int, error: RaftKvError | None) -> None:
        answered, self._asked = self._asked[:count], self._asked[count:]
        for future in answered:
            if not future.done() and error is not None:
                future.set_exception(error)
            elif not future.done():
                future.set_result(None)

    async def _take(self) -> None:
        """Make a snapshot, unless there is one of this place or the log is replaced meanwhile."""
        newest, replacements = self._store.newest, self._store.replacements
        if self._applied().index == (newest.snapshot.index if newest is not None else 0):
            return
        dump = await self._dump()
        if self._store.replacements != replacements:
            await self._store.discard(dump.draft)
            return
        ref = await self._store.publish(dump.draft)
        if self._store.replacements != replacements:
            self._store.give_up(ref)
        else:
            # Nothing may come between this look and the mark's place in the queue of what goes to the log.
            await self._writer.mark(self._store.kept_with(ref))
            if self._store.replacements == replacements:
                self._count(ref, dump.keys)
            else:
                self._store.overtaken(ref)
        await self._clean_up()

    def _count(self, ref: SnapshotRef, keys: int) -> None:
        """Give up what a snapshot stands for that the log names."""
        self._store.add(ref)
        snapshot = ref.snapshot
        # A follower that was offered an older snapshot may be dead: only one that fetches holds the log back.
        first_index = self._tail.first_index(snapshot.index, self._store.being_served())
        self._core.compacted(snapshot, first_index)
        self._tail.published(snapshot.index, ref.size, first_index)
        self._wake()
        self._emit(SnapshotTaken(snapshot.index, keys, ref.size, first_index))

    async def _clean_up(self) -> None:
        """Remove files that don't count, and segments of the log before the oldest that does."""
        while self._read:
            await self._store.discard(self._read.pop())
        oldest = self._store.oldest_index
        await self._store.prune(self._offered())
        if oldest:
            await self._wal.release(oldest)

    def _offered(self) -> list[int]:
        """Return the indexes of the snapshots that followers were told of."""
        peers = self._core.status().peers.values()
        return [peer.next_index - 1 for peer in peers if peer.state == INSTALLING]

    # ---------------------------------------------------------------- the dump

    async def _dump(self) -> _Dump:
        """Write what is applied now into a draft, in slices. Raises NoSpace (nothing is left then)."""
        with self._steps.timed("snapshot cut"):
            self._tail.set_mark()
            applied = self._applied()
            cut = self._machine.cut()
        try:
            meta = SnapshotMeta(self._cluster_id, applied, cut.revision, cut.compact_revision, cut.keys)
            draft = await self._store.create(meta)
            try:
                await self._write(cut.blocks(), draft)
                await draft.finish()
            except asyncio.CancelledError:
                await self._store.discard(draft)
                raise
        except asyncio.CancelledError:
            self.clean_up()  # the file may have been made when its maker was gone already
            raise
        finally:
            cut.close()
        return _Dump(draft, cut.keys)

    async def _write(self, blocks: Iterator[mvcc.Block], draft: SnapshotDraft) -> None:
        loop = asyncio.get_running_loop()
        while True:
            begin = loop.time()
            block = next(blocks, None)
            took = loop.time() - begin
            self._steps.took("snapshot dump", took)
            if block is None:
                return
            await draft.write(Block(*block))
            await asyncio.sleep(PAUSE * took)
