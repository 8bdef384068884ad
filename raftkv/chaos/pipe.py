"""The bytes of one direction of one connection, on their way through a proxy."""

import asyncio
from collections import deque
from collections.abc import Callable

from raftkv.chaos.link import Link

MAX_WAITING = 256 * 1024
"""Bytes that wait in a pipe. Then no more is read, and the sender waits as on any full connection."""

TICK = 0.001
"""Seconds of the coarsest clock of a loop, uvloop's. There a timer for less is due at once, over and over."""


class Pipe:
    """Takes what one side sends (``feed``, ``end``) and gives it to the other as its link lets it.

    ``broken`` is called when the link breaks the connection.
    """

    def __init__(self, link: Link, broken: Callable[[], None]) -> None:
        self._link = link
        self._broken = broken
        self._loop = asyncio.get_running_loop()
        self._source: asyncio.Transport | None = None
        self._sink: asyncio.Transport | None = None
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._last_due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._sink_is_full = False
        self._is_reading = True
        self._ending: Callable[[], None] | None = None
        link.subscribe(id(self), self._pump)

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait here."""
        return self._size

    @property
    def is_held(self) -> bool:
        """Whether something waits here, bytes or an end, that the link holds back."""
        return self._link.is_held and bool(self._waiting or self._ending)

    def read_from(self, source: asyncio.Transport) -> None:
        """Pause and resume this side as there is room."""
        self._source = source

    def write_to(self, sink: asyncio.Transport) -> None:
        """Let what comes, and has come, go there."""
        self._sink = sink
        self._pump()

    def feed(self, data: bytes) -> None:
        """Take bytes in."""
        if self._link.is_clear and not self._waiting and self._sink is not None:
            self._write(data)
        else:
            due = self._link.due(len(data), self._loop.time())
            if due is None:
                self._broken()
                return
            self._last_due = max(self._last_due, due)  # in order: one late piece delays those behind it
            self._waiting.append((self._last_due, data))
            self._size += len(data)
            self._pump()
        self._regulate()

    def end(self, ending: Callable[[], None]) -> None:
        """Do ``ending`` once all bytes are through: the sender has nothing more to say."""
        self._ending = ending
        self._pump()

    def sink_is_full(self, full: bool) -> None:  # noqa: FBT001  the two calls of asyncio's flow control
        """Take note of whether the receiving side takes more."""
        self._sink_is_full = full
        self._pump()

    def close(self) -> None:
        """Forget everything; nothing more goes through."""
        self._link.unsubscribe(id(self))
        self._waiting.clear()
        self._size = 0
        self._source = self._sink = self._ending = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _pump(self) -> None:
        """Let through what is due, and come back for the rest."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sink is None or self._link.is_held:
            return
        while self._waiting and not self._sink_is_full:
            due, data = self._waiting[0]
            if due > self._loop.time() and not self._link.is_clear:
                self._timer = self._loop.call_at(due + TICK, self._pump)
                return
            self._waiting.popleft()
            self._size -= len(data)
            self._write(data)
        if not self._waiting and self._ending is not None:
            ending, self._ending = self._ending, None
            ending()
        self._regulate()

    def _write(self, data: bytes) -> None:
        assert self._sink is not None
        if self._sink.is_closing():
            return
        self._link.counters.passed += len(data)
        self._sink.write(data)

    def _regulate(self) -> None:
        wanted = self._size < MAX_WAITING and not self._sink_is_full
        if self._source is None or wanted == self._is_reading or self._source.is_closing():
            return
        self._is_reading = wanted
        if wanted:
            self._source.resume_reading()
        else:
            self._source.pause_reading()
