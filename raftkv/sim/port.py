"""A client's way to a member of the simulated world."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

from raftkv.schema.election import LeaderRequest, LeaderResponse
from raftkv.schema.watch import WatchCreateRequest, WatchResponse
from raftkv.sim.members import Member
from raftkv.sim.world import World


class SimPort:
    """See ``raftkv.workloads.port.Port``; the clock is the world's true one."""

    def __init__(self, world: World, member: Member) -> None:
        self._world = world
        self._member = member

    def now(self) -> float:
        """See ``Port``."""
        return self._world.loop.now

    async def sleep(self, seconds: float) -> None:
        """See ``Port``."""
        await asyncio.sleep(seconds)

    async def call(self, message: Any) -> Any:
        """See ``Port``."""
        return await self._world.ask(self._member, message)

    def watch(self, request: WatchCreateRequest) -> AbstractAsyncContextManager[AsyncIterator[WatchResponse]]:
        """See ``Port``."""
        return self._world.watch(self._member, request)

    def observe(self, request: LeaderRequest) -> AbstractAsyncContextManager[AsyncIterator[LeaderResponse]]:
        """See ``Port``."""
        return self._world.watch(self._member, request)
