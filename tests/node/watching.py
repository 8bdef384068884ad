"""Watch streams of real nodes and what they should have told."""

import asyncio
from collections.abc import AsyncIterator

from raftkv.mvcc.bounds import Bounds, bounds
from raftkv.mvcc.versions import KEY, MOD, Version
from raftkv.node.node import Node
from raftkv.schema.watch import WatchCreateRequest, WatchRequest
from raftkv.service import WatchService

Told = list[tuple[int, bytes]]
"""(revision, key) of each event."""


class Watching:
    """One stream with one watch. A slow one takes the next replies only when ``go_on`` is set."""

    def __init__(self, service: WatchService, key: bytes, end: bytes, start: int, *, slow: bool) -> None:
        self._bounds: Bounds = bounds(key, end)
        self._request = WatchRequest(WatchCreateRequest(key, end, start))
        self._service = service
        self._start = start
        self.slow = slow
        self.go_on = asyncio.Event()
        self.told: Told = []
        self.compacted = 0
        self.created = asyncio.Event()
        self._task = asyncio.create_task(self._take())

    async def _requests(self) -> AsyncIterator[WatchRequest]:
        yield self._request

    async def _take(self) -> None:
        async for replies in self._service.watch(self._requests()):
            for reply in replies:
                if reply.response.created:
                    self.created.set()
                self.compacted = reply.response.compact_revision or self.compacted
                versions = reply.changes.versions if reply.changes is not None else []
                self.told += [(version[MOD], version[KEY]) for version in versions]
            if self.slow:
                await self.go_on.wait()

    def expected(self, changes: list[Version]) -> Told:
        start, end = self._bounds
        return [
            (version[MOD], version[KEY])
            for version in changes
            if version[MOD] >= self._start and start <= version[KEY] and (end is None or version[KEY] < end)
        ]

    async def until_told(self, changes: list[Version]) -> None:
        """Wait until as much was told as should be, or more."""
        self.go_on.set()
        wanted = len(self.expected(changes))
        while len(self.told) < wanted and not self._task.done():
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})


def changes_of(node: Node) -> list[Version]:
    """Return all changes that a node's store still has."""
    return node.machine.store.table.changes.read((0, 0), node.machine.store.revision, 1_000_000)
