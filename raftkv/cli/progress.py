"""A line on a terminal that says how far something is; nothing where there is no terminal."""

import time
from types import TracebackType
from typing import Self, TextIO

WIDTH = 30
INTERVAL = 0.1


class Progress:
    """A bar over ``whole`` steps, or over ``seconds`` where the number of steps is open."""

    def __init__(self, stream: TextIO, whole: int | None, seconds: float | None) -> None:
        self._stream = stream
        self._whole = whole
        self._seconds = seconds
        self._begun = time.perf_counter()
        self._shown_at = -INTERVAL
        self._shown = False
        self._on = stream.isatty()

    def show(self, done: int, note: str) -> None:
        """Say that ``done`` steps are done."""
        elapsed = time.perf_counter() - self._begun
        if not self._on or elapsed - self._shown_at < INTERVAL:
            return
        self._shown_at, self._shown = elapsed, True
        share = done / self._whole if self._whole else elapsed / (self._seconds or 1.0)
        filled = min(WIDTH, int(WIDTH * share))
        total = f"/{self._whole}" if self._whole else ""
        bar = "#" * filled + "." * (WIDTH - filled)
        rate = done / elapsed if elapsed else 0.0
        self._write(f"\r\x1b[K[{bar}] {done}{total}, {rate:.1f}/s, {note}")

    def clear(self) -> None:
        """Make room for other output."""
        if self._shown:
            self._write("\r\x1b[K")
            self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
