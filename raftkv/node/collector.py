"""Keeps Python's garbage collector away while a large state machine is loaded.

A million loaded keys are a million tuples, and none of them can be part of a cycle. A full collection would
look at all of them, again and again while they become more, and hold the member up each time.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def set_aside() -> Iterator[None]:
    """Collect nothing in the body; what lives after it is never looked at again.

    It is freed as before when nothing refers to it any more.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()
