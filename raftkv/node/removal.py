"""Freeing memory in slices: what a compaction let go, and content that a snapshot replaced."""

import asyncio
from typing import Final

from raftkv.mvcc.loading import MachineLoader
from raftkv.mvcc.machine import Machine
from raftkv.node.steps import Steps

COMPACT_SLICE: Final = 500
"""Revisions looked at in one slice of a compaction's removal."""

COMPACT_PAUSE: Final = 0.01
"""Seconds between two slices, as etcd; also the wait for a scan that still needs what goes."""


class Removal:
    """What one member has to free."""

    def __init__(self, machine: Machine, steps: Steps) -> None:
        self._machine = machine
        self._steps = steps
        self._due = asyncio.Event()
        self._discarded: list[MachineLoader] = []

    @property
    def discarding(self) -> bool:
        """Whether some content that was replaced is not freed yet."""
        return bool(self._discarded)

    def applied(self) -> None:
        """Take note that something was applied, which may have been a compaction."""
        store = self._machine.store
        if store.compacted_physically() < store.compact_revision:
            self._due.set()

    def discard(self, loader: MachineLoader) -> None:
        """Free what a loader holds, bit by bit: a million keys at once take half a second."""
        self._discarded.append(loader)
        self._due.set()

    async def run(self) -> None:
        """Free what there is, for as long as the node runs."""
        while True:
            await self._due.wait()
            self._due.clear()
            more = True
            while more:
                with self._steps.timed("compaction"):
                    more = self._remove_some()
                await asyncio.sleep(COMPACT_PAUSE)

    def _remove_some(self) -> bool:
        if self._discarded and not self._discarded[0].discard_step():
            del self._discarded[0]
        return self._machine.store.compact_step(COMPACT_SLICE) or bool(self._discarded)
