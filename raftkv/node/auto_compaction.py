"""Automatic compaction, as etcd does it: ``--auto-compaction-mode`` and ``-retention``.

A policy counts pauses and never looks at a clock: the task below it sleeps. All members keep count, so
that a new leader goes on where the one before stopped; only the leader proposes.
"""

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from raftkv.errors import Compacted, ConfigError, NodeStopped, RaftKvError
from raftkv.schema.kv import CompactionRequest

HOUR = 3600.0
PAUSES = 10
"""The periodic policy looks ten times in a retention, or in an hour if that is shorter."""

SHORTEST = 1.0
LONGEST = 10 * 365 * 24 * HOUR

REVISION_PAUSE = 300.0
"""Seconds between two looks of the policy by revisions."""

_SECONDS = {"ns": 1e-9, "us": 1e-6, "\u00b5s": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": HOUR}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|\u00b5s|ms|s|m|h)")
_DURATION = re.compile(rf"({_PART.pattern})+")


class Policy(Protocol):
    """When to compact, and to which revision. ``pause``: seconds between ``begin`` and ``due``."""

    pause: float

    def begin(self, revision: int) -> None:
        """Take note of the current revision before a pause."""

    def due(self, revision: int) -> int | None:
        """Return, after a pause, the revision to compact to now; None = not now."""

    def done(self) -> None:
        """Take note that the compaction that was due is done, also when it had been done before."""


class Periodic:
    """Keeps the history of the last ``retention`` seconds.

    The first compaction comes after one retention, the next ones after a retention or an hour, whichever
    is shorter; one that failed is tried again after the next pause.
    """

    def __init__(self, retention: float) -> None:
        self.pause = min(retention, HOUR) / PAUSES
        kept = round(retention / self.pause)
        self._revisions: deque[int] = deque(maxlen=kept + 1)
        self._pauses_left = kept

    def begin(self, revision: int) -> None:
        """See ``Policy``."""
        self._revisions.append(revision)

    def due(self, revision: int) -> int | None:
        """See ``Policy``; the revision is the one of a retention ago."""
        self._pauses_left = max(0, self._pauses_left - 1)
        return self._revisions[0] if self._pauses_left == 0 else None

    def done(self) -> None:
        """See ``Policy``."""
        self._pauses_left = PAUSES


class ByRevision:
    """Keeps the last ``retention`` revisions."""

    def __init__(self, retention: int) -> None:
        self.pause = REVISION_PAUSE
        self._retention = retention
        self._wanted = 0
        self._done = 0

    def begin(self, revision: int) -> None:
        """See ``Policy``; nothing needs to be known before the pause."""

    def due(self, revision: int) -> int | None:
        """See ``Policy``."""
        self._wanted = revision - self._retention
        return self._wanted if self._wanted > 0 and self._wanted != self._done else None

    def done(self) -> None:
        """See ``Policy``."""
        self._done = self._wanted


def policy_of(mode: str, retention: str) -> Policy | None:
    """Return the policy that the two flags ask for, None when it is off (retention 0).

    A retention is a number of revisions, or of hours in mode ``periodic``, where it may also be a Go
    duration such as ``30m`` or ``1h30m``. Raises ConfigError.
    """
    if mode not in ("periodic", "revision"):
        raise ConfigError(f"--auto-compaction-mode {mode!r}: use periodic or revision")
    if mode == "revision":
        if not re.fullmatch(r"[0-9]{1,18}", retention):
            raise ConfigError(
                f"--auto-compaction-retention {retention!r}: in mode revision it is a whole number"
            )
        return ByRevision(int(retention)) if int(retention) else None
    seconds = _seconds(retention)
    return Periodic(seconds) if seconds else None


def duration_of(text: str) -> float | None:
    """Return the seconds of a Go duration such as ``1h30m``, None for what is none."""
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def _seconds(retention: str) -> float:
    hours = retention.isascii() and retention.isdigit()
    seconds = float(retention) * HOUR if hours else duration_of(retention)
    if seconds is None:
        raise ConfigError(
            f"--auto-compaction-retention {retention!r}: use hours (12) or a duration such as 30m or 1h30m"
        )
    if seconds and not SHORTEST <= seconds <= LONGEST:
        raise ConfigError(f"--auto-compaction-retention {retention!r}: use 1s to {LONGEST // HOUR:.0f} hours")
    return seconds


async def compact_automatically(
    policy: Policy,
    revision: Callable[[], int],
    leads: Callable[[], bool],
    propose: Callable[[CompactionRequest], Awaitable[object]],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Propose compactions as ``policy`` says, for as long as the node runs."""
    while True:
        policy.begin(revision())
        await sleep(policy.pause)
        due = policy.due(revision())
        if due is None or not leads():
            continue
        try:
            await propose(CompactionRequest(due))
        except NodeStopped:
            return
        except Compacted:
            policy.done()
        except RaftKvError:
            continue  # tried again after the next pause
        else:
            policy.done()
