"""One direction of a link between two ends: what passes, how late, and what is counted.

TCP is what faults show through: bytes are late, or the connection breaks; none is ever lost in the middle.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

RETRANSMISSION = 0.2
"""Seconds after which TCP sends a lost segment again, at first; twice as long each further time."""


@dataclass(slots=True)
class Quality:
    """How a link is: extra ``delay`` and ``jitter`` (seconds), ``rate`` in bytes a second (0: no limit).

    ``loss``: the probability that a piece is late as after a loss; ``reset``: that its connection breaks.
    """

    delay: float = 0.0
    jitter: float = 0.0
    rate: float = 0.0
    loss: float = 0.0
    reset: float = 0.0


@dataclass(slots=True)
class Counters:
    """What a link did: bytes passed, held, delayed; pieces lost at first; connections hung and reset."""

    passed: int = 0
    held: int = 0
    delayed: int = 0
    stalls: int = 0
    hung: int = 0
    resets: int = 0


@dataclass(slots=True, eq=False)
class Link:
    """The way from ``source`` to ``target``. ``counters`` only grow."""

    source: str
    target: str
    random: Random
    counters: Counters = field(default_factory=Counters)
    _holds: list[object] = field(default_factory=list)
    _qualities: list[Quality] = field(default_factory=list)
    _listeners: dict[int, Callable[[], None]] = field(default_factory=dict)
    _free_at: float = 0.0

    @property
    def is_held(self) -> bool:
        """Whether nothing passes."""
        return bool(self._holds)

    @property
    def is_clear(self) -> bool:
        """Whether everything passes at once."""
        return not self._holds and not self._qualities

    def hold(self, by: object) -> None:
        """Let nothing pass until ``release`` of the same object; holds add up."""
        self._holds.append(by)

    def release(self, by: object) -> None:
        """End a hold; what was held goes on when it was the last one. Nothing if it was none."""
        if by in self._holds:
            self._holds.remove(by)
            self._tell()

    def add(self, quality: Quality) -> None:
        """Let the link be of this quality, beside those it has."""
        self._qualities.append(quality)

    def remove(self, quality: Quality) -> None:
        """Take a quality away again. Nothing if the link does not have it."""
        self._qualities = [other for other in self._qualities if other is not quality]
        self._tell()

    def subscribe(self, key: int, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever the link gets better, until ``unsubscribe``."""
        self._listeners[key] = listener

    def unsubscribe(self, key: int) -> None:
        """Call the listener of this key no more."""
        self._listeners.pop(key, None)

    def due(self, size: int, now: float) -> float | None:
        """Return when a piece of ``size`` bytes that came now is to arrive; None: its connection breaks."""
        due = now
        for quality in self._qualities:
            if quality.reset and self.random.random() < quality.reset:
                self.counters.resets += 1
                return None
            due += max(0.0, quality.delay + self.random.uniform(-quality.jitter, quality.jitter))
            wait = RETRANSMISSION
            while quality.loss and self.random.random() < quality.loss:
                self.counters.stalls += 1
                due += wait
                wait *= 2
            if quality.rate:
                self._free_at = max(self._free_at, now) + size / quality.rate
                due = max(due, self._free_at)
        if self._holds:
            self.counters.held += size
        elif due > now:
            self.counters.delayed += size
        return due

    def _tell(self) -> None:
        for listener in list(self._listeners.values()):
            listener()
