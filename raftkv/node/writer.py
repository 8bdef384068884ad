"""Group commit: whatever was submitted during one fsync is the next batch.

The order is what safety rests on: a Write's ``after`` leaves, and the core hears ``persisted``, only
when the Write and all before it are durable. A failed save is fatal and ends the node; what was not
acknowledged by then never is.
"""

import asyncio
from collections.abc import Callable, Sequence

from raftkv.errors import NoSpace
from raftkv.raft import Message, Write
from raftkv.storage.wal import Wal

RETRY_SECONDS = 0.5
"""Between two looks for room on a full disk."""


class Writer:
    """Carries Writes to the log in order, as few fsyncs as possible."""

    def __init__(
        self,
        wal: Wal,
        send: Callable[[Sequence[Message]], None],
        persisted: Callable[[int], None],
    ) -> None:
        self._wal = wal
        self._send = send
        self._persisted = persisted
        self._queue: list[Write] = []
        self._wake = asyncio.Event()

    def submit(self, write: Write) -> None:
        """Queue a Write; never waits."""
        self._queue.append(write)
        self._wake.set()

    async def run(self) -> None:
        """Save batches until cancelled. Raises StorageError when the disk fails."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                batch, self._queue = self._queue, []
                await self._save(batch)
                for write in batch:
                    self._send(write.after)
                self._persisted(batch[-1].number)

    async def _save(self, batch: list[Write]) -> None:
        """Save a batch, waiting for room where there is none: nothing was promised on it yet."""
        while True:
            try:
                return await self._wal.save(batch)
            except NoSpace:
                await asyncio.sleep(RETRY_SECONDS)
                await self._wal.reserve()
