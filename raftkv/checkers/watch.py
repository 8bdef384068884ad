"""Watches, held against the true list of changes.

A ``WatchStream`` is one watch on one connection: opened again, it is another stream that was ``resumed_from``
the first. Anomalies have etcd's names of what a watch guarantees:

==================  ===================================================================================
``filter``          an event that is not in the range, or of a kind that was left out
``ordered``         revisions never go down
``unique``          no (revision, key) comes twice
``atomic``          a revision is never split over two responses; fragments count as one response
``reliable``        from the start to the last event: the true list, nothing missing, nothing else
``resumable``       the first event is the first one from the start revision on
``bookmarkable``    a progress note at r: all up to r has come, and nothing up to r comes later
``is_create``       an event says rightly whether its key was new
``prev_kv``         and what was there before, if asked for; it may be absent after a compaction
``compacted``       a start below the compacted revision ends with that error, and no other start does
``future``          a watch from a revision that is still to come gets no events and no notes from before
``converged``       a stream that should have caught up when the run ended has seen the final revision
==================  ===================================================================================
"""

from collections.abc import Sequence
from typing import NamedTuple

from raftkv.checkers.changes import Change


class WatchEvent(NamedTuple):
    """One event. ``value`` None: a deletion. ``create``: create revision and mod revision are equal.

    ``previous`` is the value in ``prev_kv``, None without one.
    """

    revision: int
    key: bytes
    value: bytes | None
    create: bool = False
    previous: bytes | None = None


class WatchReply(NamedTuple):
    """One response after the one that says "created". ``revision``: its header's.

    ``progress``: it is a note, without events and about this watch (not one of id -1). ``fragment``: the next
    response goes on with this one. ``compact_revision`` is above 0 and ``canceled`` set when the start was
    compacted.
    """

    revision: int
    events: tuple[WatchEvent, ...] = ()
    progress: bool = False
    fragment: bool = False
    compact_revision: int = 0
    canceled: bool = False


class WatchStream(NamedTuple):
    """One watch, from its creation to the end of its connection.

    ``range_end`` as in etcd: empty for one key, a zero byte for all from ``key`` on. ``start``: the revision
    asked for; where "from now on" was asked for, the one behind ``created``. ``created``: the revision in the
    header of the created response, 0 if not known. ``compacted``: the highest revision whose compaction had
    been acknowledged before the watch was asked for. ``final``: when the run ended it was open and had had
    the time to catch up. ``kinds``: which of "put" and "delete" were not left out by filters.
    """

    watch: int
    key: bytes
    range_end: bytes = b""
    start: int = 1
    resumed_from: int | None = None
    replies: Sequence[WatchReply] = ()
    created: int = 0
    compacted: int = 0
    prev_kv: bool = True
    kinds: tuple[str, ...] = ("put", "delete")
    final: bool = False


class WatchRun(NamedTuple):
    """All watches of a run, and the true list of changes by revision.

    ``last_revision``: the store's when the run ended, 0: the last change's. ``compacted``: the highest
    revision that anybody asked to be compacted.
    """

    streams: Sequence[WatchStream]
    changes: Sequence[Change]
    last_revision: int = 0
    compacted: int = 0
