"""A wall clock that is wrong when it is told to be. The event loop's clock is another one, and right."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from raftkv.faults.orders import ClockFault


@dataclass(slots=True)
class ClockEffects:
    """What the faults of the clock did: ``reads`` that were told a wrong time, and how wrong at most."""

    reads: int = 0
    largest_offset_ms: float = 0.0


class FaultyClock:
    """``wall`` tells the seconds since 1970, ``elapsed`` seconds that nobody sets.

    ``fault`` is what it has now.
    """

    def __init__(self, wall: Callable[[], float], elapsed: Callable[[], float]) -> None:
        self.effects = ClockEffects()
        self.fault = ClockFault()
        self._wall = wall
        self._elapsed = elapsed
        self._since = elapsed()

    def set(self, fault: ClockFault) -> None:
        """Have this fault from now on, in place of the one before."""
        self.fault = fault
        self._since = self._elapsed()

    @property
    def offset_ms(self) -> float:
        """How far the clock is ahead now; negative: behind."""
        gained = (self._elapsed() - self._since) * self.fault.drift_ppm / 1000
        return self.fault.jump_ms + gained

    def time(self) -> float:
        """Return the seconds since 1970, as the member is to believe."""
        offset = self.offset_ms
        if offset:
            self.effects.reads += 1
            self.effects.largest_offset_ms = max(self.effects.largest_offset_ms, abs(offset))
        return self._wall() + offset / 1000

    def now(self) -> datetime:
        """Return the same as a date."""
        return datetime.fromtimestamp(self.time(), UTC)
