"""Events for who joins later: each listener has a bounded buffer, and is told what it missed.

Beside ``trace``, whose events these are; nothing here waits, so whoever emits is never held up.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from raftkv.trace import Emit, Event


class Heard(NamedTuple):
    """An event, and when it was."""

    at: datetime
    event: Event


class Listener:
    """One who listens; ``wake`` is called whenever there is something to take."""

    def __init__(self, capacity: int, wake: Callable[[], None]) -> None:
        self._heard: deque[Heard] = deque(maxlen=capacity)
        self._lost = 0
        self._wake = wake

    def put(self, heard: Heard) -> None:
        """Keep an event; when there is no room the oldest goes."""
        if len(self._heard) == self._heard.maxlen:
            self._lost += 1
        self._heard.append(heard)
        self._wake()

    def take(self) -> tuple[int, list[Heard]]:
        """Return how many events were lost since the last call, and those that followed them."""
        taken = self._lost, list(self._heard)
        self._heard.clear()
        self._lost = 0
        return taken


class Listeners:
    """Hands each event to ``first`` (the log) and then to everybody who listens."""

    def __init__(self, first: Emit, now: Callable[[], datetime]) -> None:
        self._first = first
        self._now = now
        self._others: list[Listener] = []

    @property
    def count(self) -> int:
        """How many listen now, beside ``first``."""
        return len(self._others)

    def emit(self, event: Event) -> None:
        """Take an event."""
        self._first(event)
        if self._others:
            heard = Heard(self._now(), event)
            for listener in self._others:
                listener.put(heard)

    @contextmanager
    def listening(self, capacity: int, wake: Callable[[], None]) -> Iterator[Listener]:
        """Hear every event from now on to the end of the block; at most ``capacity`` wait."""
        listener = Listener(capacity, wake)
        self._others.append(listener)
        try:
            yield listener
        finally:
            self._others.remove(listener)
