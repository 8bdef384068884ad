"""A connection of the simulated world on which a member sends and a client reads."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any

from raftkv.sim.loop import SimLoop

WINDOW = 8
"""Responses that a member may send before the client has taken the first of them."""


class Stream:
    """Responses on their way, in order. ``over`` is done when no more come: with the error, if there is one.

    ``seconds``: how long each is under way.
    """

    def __init__(self, loop: SimLoop, seconds: float) -> None:
        self.over: asyncio.Future[Any] = loop.create_future()
        self._loop = loop
        self._seconds = seconds
        self._arrived: deque[Any] = deque()
        self._sent = 0
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self.over.add_done_callback(self._ended)

    async def send(self, response: Any) -> None:
        """Let a response leave, in the member's name, and wait while too many wait for the client."""
        self._sent += 1
        self._loop.call_world_at(self._loop.now + self._seconds, self._arrive, response)
        while self._sent >= WINDOW and not self.over.done():
            self._writer = self._loop.create_future()
            await self._writer

    def _arrive(self, response: Any) -> None:
        if not self.over.done():
            self._arrived.append(response)
            self._wake_reader()

    def _taken(self) -> None:
        self._sent -= 1
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    def _ended(self, over: "asyncio.Future[Any]") -> None:
        if not over.cancelled():
            over.exception()  # seen, although perhaps nobody reads any more
        self._wake_reader()

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def responses(self) -> AsyncGenerator[Any, None]:
        """Yield what arrives. Raises what the stream ended with."""
        while True:
            while self._arrived:
                response = self._arrived.popleft()
                self._loop.call_world_at(self._loop.now + self._seconds, self._taken)
                yield response
            if self.over.done():
                await self.over
                return
            self._reader = self._loop.create_future()
            await self._reader
