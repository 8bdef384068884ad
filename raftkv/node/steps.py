"""How long steps hold the event loop (design: none over 10 ms), always measured.

A step is timed where it runs, by name. What no named step accounts for shows as lag of the clock task.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from raftkv.trace import Emit, SlowStep

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Upper bounds of the histogram, in seconds; one more bucket takes the rest."""

WARN_SECONDS = 0.1
"""A step this long is told about (twenty such in a row would cost a leader its followers)."""

QUIET_SECONDS = 1.0
"""At most one warning in this time."""


class Steps:
    """Times named steps of one member."""

    def __init__(self, now: Callable[[], float], emit: Emit) -> None:
        self._now = now
        self._emit = emit
        self._warned_at = float("-inf")
        self.histogram = [0] * (len(BUCKETS) + 1)
        self.total = 0.0
        self.longest = 0.0
        self.longest_name = ""

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Time the body as one step."""
        begin = self._now()
        try:
            yield
        finally:
            self.took(name, self._now() - begin)

    def took(self, name: str, seconds: float) -> None:
        """Take note that a step held the loop for ``seconds``."""
        self.histogram[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds
        if seconds > self.longest:
            self.longest, self.longest_name = seconds, name
        now = self._now()
        if seconds >= WARN_SECONDS and now - self._warned_at >= QUIET_SECONDS:
            self._warned_at = now
            self._emit(SlowStep(name, seconds * 1000))
