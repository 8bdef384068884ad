"""``raftkv`` whose garbage collector's pauses are written down, one line each: generation, milliseconds.

    python bench/watched_member.py FILE serve --name ...

The milliseconds are those of the processor: what else the machine did meanwhile does not count. Collections
of the youngest generation that took less than one are left out.
"""

import gc
import sys
from pathlib import Path
from time import thread_time
from typing import TextIO

from raftkv.cli.main import main

LEAST_MS = 1.0


class Pauses:
    """Writes down how long the collector holds everything up."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._began = 0.0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began = thread_time()
            return
        took = (thread_time() - self._began) * 1000
        if took >= LEAST_MS or info["generation"]:
            self._file.write(f"{info['generation']} {took:.3f}\n")
            self._file.flush()


if __name__ == "__main__":
    with Path(sys.argv.pop(1)).open("a", encoding="ascii") as pauses:
        gc.callbacks.append(Pauses(pauses))
        sys.exit(main())
