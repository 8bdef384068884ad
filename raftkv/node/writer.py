"""Group commit: whatever was submitted during one fsync is the next batch.

The order is what safety rests on: a Write's ``after`` leaves, and the core hears ``persisted``, only
when the Write and all before it are durable. A failed save is fatal and ends the node; what was not
acknowledged by then never is.

While entries wait for room on a full disk, a member must still take part in elections. So its newest term
and vote are saved ahead of the entries, in the room reserved for them, and everything leaves that asserts
no more than these: all but the acknowledgement of entries or of a snapshot.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from raftkv.errors import NoSpace
from raftkv.node.tally import Tally
from raftkv.raft import Message, Write
from raftkv.raft.messages import AppendEntriesReply
from raftkv.storage.snapshot_format import SnapshotRef
from raftkv.storage.wal import Wal

RETRY_SECONDS = 0.5
"""Between two looks for room on a full disk."""


class _Save(NamedTuple):
    """A Write, and the file of the snapshot in it."""

    write: Write
    ref: SnapshotRef | None


class _Mark(NamedTuple):
    """Snapshots that are to count; ``done`` once they do."""

    kept: Sequence[SnapshotRef]
    done: asyncio.Future[None]


class Writer:
    """Carries Writes to the log in order, as few fsyncs as possible."""

    def __init__(
        self,
        wal: Wal,
        send: Callable[[Sequence[Message]], None],
        persisted: Callable[[int], None],
        tally: Tally | None = None,
    ) -> None:
        """Begin; ``tally`` counts each write to the log with its sync."""
        self._wal = wal
        self._tally = tally
        self._send = send
        self._persisted = persisted
        self._queue: list[_Save | _Mark] = []
        self.waiting_bytes = 0
        """Data of the entries that were submitted and are not durable yet."""
        self._wake = asyncio.Event()

    def submit(self, write: Write, ref: SnapshotRef | None = None) -> None:
        """Queue a Write; never waits. ``ref``: the file of its snapshot, durable with its name."""
        assert (ref and ref.snapshot) == write.snapshot, f"{ref} for {write.snapshot}"
        self._queue.append(_Save(write, ref))
        self.waiting_bytes += _size_of(write)
        self._wake.set()

    async def mark(self, kept: Sequence[SnapshotRef]) -> None:
        """Let exactly the snapshots ``kept`` count (see ``Wal.mark``), after all Writes submitted before.

        Returns once that is durable.
        """
        done = asyncio.get_running_loop().create_future()
        self._queue.append(_Mark(kept, done))
        self._wake.set()
        await done

    async def run(self) -> None:
        """Save batches until cancelled. Raises StorageError when the disk fails."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                try:
                    await self._save_next()
                except NoSpace:
                    await self._wait_for_room()

    async def _save_next(self) -> None:
        """Make durable what is first in the queue. Raises NoSpace: then nothing of it was promised yet."""
        head = self._queue[0]
        if isinstance(head, _Mark):
            await self._mark(head)
            return
        batch: list[_Save] = []
        for step in self._queue:
            if isinstance(step, _Mark):
                break
            batch.append(step)
        refs = [step.ref for step in batch if step.ref is not None]
        await self._save([step.write for step in batch], refs)
        del self._queue[: len(batch)]
        self.waiting_bytes -= sum(_size_of(step.write) for step in batch)
        for step in batch:
            self._send(step.write.after)
        self._persisted(batch[-1].write.number)

    async def _save(self, writes: Sequence[Write], refs: Sequence[SnapshotRef]) -> None:
        if self._tally is None:
            await self._wal.save(writes, refs)
            return
        begin, batches = self._tally.now(), self._wal.counters.batches
        await self._wal.save(writes, refs)
        if self._wal.counters.batches != batches:
            self._tally.saves.observe(self._tally.now() - begin)

    async def _mark(self, mark: _Mark) -> None:
        await self._wal.mark(mark.kept)
        self._queue.remove(mark)
        if not mark.done.done():
            mark.done.set_result(None)

    async def _wait_for_room(self) -> None:
        """Wait until it is time to look for room again; meanwhile carry out what needs little or none."""
        deadline = asyncio.get_running_loop().time() + RETRY_SECONDS
        while True:
            await self._go_ahead()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._wake.wait()
            except TimeoutError:
                return
            self._wake.clear()

    async def _go_ahead(self) -> None:
        """Save marks, term and vote ahead of the Writes that wait, and send what asserts no more."""
        with suppress(NoSpace):  # a vote takes less than a mark, and may still fit
            for mark in self._marks_ahead():
                await self._mark(mark)
        waiting = list(self._queue)
        try:
            states = [step.write.hard_state for step in waiting if isinstance(step, _Save)]
            newest = next((state for state in reversed(states) if state is not None), self._wal.hard_state)
            await self._wal.save_vote(newest.term, newest.vote)
        except NoSpace:
            return  # the reserve is used up too
        for position, step in enumerate(waiting):
            if isinstance(step, _Save):
                after = step.write.after
                self._send([message for message in after if not _asserts_log(message)])
                held = tuple(message for message in after if _asserts_log(message))
                self._queue[position] = step._replace(write=step.write._replace(after=held))
        self._fold()

    def _fold(self) -> None:
        """Join Writes that have nothing for the log: a wait may be long, and each heartbeat brings one."""
        folded: list[_Save | _Mark] = []
        for step in self._queue:
            before = folded[-1] if folded else None
            if isinstance(step, _Save) and isinstance(before, _Save) and not _changes_log(step.write):
                folded[-1] = before._replace(write=_joined(before.write, step.write))
            else:
                folded.append(step)
        self._queue[:] = folded

    def _marks_ahead(self) -> list[_Mark]:
        """Return the marks that Writes in front of them do not concern: all before a new beginning."""
        marks: list[_Mark] = []
        for step in self._queue:
            if isinstance(step, _Mark):
                marks.append(step)
            elif step.write.snapshot is not None:
                break
        return marks


def _size_of(write: Write) -> int:
    return sum(len(entry.data) for entry in write.entries)


def _changes_log(write: Write) -> bool:
    """Whether there is more in a Write than term, vote, a commit hint, and messages."""
    return bool(write.entries or write.truncate_from or write.snapshot is not None)


def _joined(write: Write, later: Write) -> Write:
    """Return ``write`` with what a ``later`` one, which does not change the log, has; no message twice."""
    return write._replace(
        number=later.number,
        hard_state=later.hard_state or write.hard_state,
        after=tuple(dict.fromkeys((*write.after, *later.after))),
    )


def _asserts_log(message: Message) -> bool:
    """Whether a message says more of its sender's disk than term and vote (thesis §3.8, §10.2.1)."""
    return isinstance(message, AppendEntriesReply) and message.success
