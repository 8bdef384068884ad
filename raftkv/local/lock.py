"""One command at a time changes a cluster."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raftkv.local.errors import LocalError
from raftkv.local.layout import LOCK
from raftkv.local.processes import wait_until

_PATIENCE = 60.0


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Hold the cluster's lock; waits for another command up to a minute, then ``LocalError``.

    The lock is the kernel's, so it ends with the process that holds it, whatever ends that.
    """
    held: list[int] = []
    try:
        if not wait_until(lambda: _try(root / LOCK, held), _PATIENCE):
            raise LocalError(f"another raftkv command is still working on {root}; try again when it is done")
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)


def _try(path: Path, held: list[int]) -> bool:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    if not _is_current(path, descriptor):
        os.close(descriptor)  # removed by a `clean` while we waited: lock the file that is there now
        return False
    held.append(descriptor)
    return True


def _is_current(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock file of a member's log."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
