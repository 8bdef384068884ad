"""A small store with leases that does nothing wrong, and clients of it whose answers get lost."""

from collections.abc import Callable, Generator
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

from raftkv.checkers import Change, Operation, Outcome

Steps = Generator[float, None, Any]
"""A client: yields how many seconds it waits."""


class World:
    """The store, its clock, and what its clients wrote down."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.revision = 1
        self.changes: list[Change] = []
        self.operations: list[Operation] = []
        self.keys: dict[bytes, Change] = {}
        self.leases: dict[int, tuple[int, float]] = {}
        """id -> seconds granted, and when it runs out"""
        self._asked: dict[int, tuple[float, tuple[Any, ...]]] = {}
        self._waiting: list[tuple[float, int, Steps]] = []
        self._numbers = count(1)

    def spawn(self, steps: Steps, delay: float = 0.0) -> None:
        heappush(self._waiting, (self.now + delay, next(self._numbers), steps))

    def run(self, until: float) -> None:
        """Let time pass; what is not answered by then is unknown."""
        while self._waiting and self._waiting[0][0] < until:
            self.now, _, steps = heappop(self._waiting)
            try:
                self.spawn(steps, next(steps))
            except StopIteration:
                continue
        for begun, words in self._asked.values():
            self.note(begun, words, None, Outcome.UNKNOWN)

    def short(self) -> float:
        return self.random.uniform(0.001, 0.3)

    def value(self) -> bytes:
        """Return a value that nobody else has."""
        return b"v%d" % next(self._numbers)

    # ---------------------------------------------------------------- the store

    def write(self, changed: dict[bytes, bytes | None], lease: int = 0) -> int:
        """Put, or delete what is there, all in one revision."""
        changed = {key: value for key, value in changed.items() if value is not None or key in self.keys}
        if changed:
            self.revision += 1
        for key, value in sorted(changed.items()):
            before = self.keys.pop(key, None)
            if value is None:
                self.changes.append(Change(self.revision, key, None))
                continue
            create = self.revision if before is None else before.create_revision
            self.keys[key] = Change(self.revision, key, value, create, 1, lease)
            self.changes.append(self.keys[key])
        return self.revision

    def end(self, lease: int) -> int:
        """End a lease, and its keys with it."""
        self.leases.pop(lease, None)
        return self.write({key: None for key, kv in self.keys.items() if kv.lease == lease})

    def first(self, prefix: bytes) -> Change | None:
        queue = [kv for key, kv in self.keys.items() if key.startswith(prefix)]
        return min(queue, key=lambda kv: kv.create_revision, default=None)

    # ---------------------------------------------------------------- clients

    def ask(self, words: tuple[Any, ...], effect: Callable[[], tuple[Any, ...]], loss: float = 0.1) -> Steps:
        """Do one operation, and return what was told; None: nobody knows, or it never came."""
        begun, number = self.now, next(self._numbers)
        self._asked[number] = (begun, words)
        told = yield from self._answer(effect, loss)
        del self._asked[number]
        self.note(begun, words, told, Outcome.UNKNOWN if told is None else Outcome.OK)
        return told

    def _answer(self, effect: Callable[[], tuple[Any, ...]], loss: float) -> Steps:
        yield self.short()
        fate = self.random.random()
        if fate < loss:
            if fate < loss / 2:
                self.spawn(self._late(effect), self.random.uniform(0, 3))
            return None
        told = effect()
        yield self.short()
        return None if self.random.random() < loss else told

    @staticmethod
    def _late(effect: Callable[[], Any]) -> Steps:
        effect()
        return
        yield 0.0

    def note(self, begun: float, words: tuple[Any, ...], told: Any, outcome: Outcome = Outcome.OK) -> None:
        ended = None if outcome is Outcome.UNKNOWN else self.now
        self.operations.append(Operation(0, begun, ended, words, told, outcome))
