"""Leases: no early expiry, none for ever, and what is gone is gone.

Operations (the input of an ``Operation``) and their answers (its output). Ids are chosen by the clients, each
asked for once in a run; keys are bytes. Times are seconds, because a lease is about time.

===========================  ==============================================================================
``("grant", id, ttl)``       ``(revision, ttl)``: the seconds that were granted
``("keepalive", id)``        ``(revision, ttl)``: 0 is "no such lease"
``("revoke", id)``           ``(revision,)``; ``(0,)`` is "requested lease not found"
``("timetolive", id)``       ``(revision, ttl, granted_ttl)``; ``granted_ttl`` 0 is "no such lease"
``("put", key, value, id)``  ``(revision,)``; ``(0,)`` is "requested lease not found"; id 0: without a lease
``("get", key)``             ``(revision, None)`` or ``(revision, (value, mod_revision, id))``, linearizable
``("delete", key)``          ``(revision, number of keys deleted)``
===========================  ==============================================================================

``revision`` is the store's in the answer's header. "Not found" is an answer (outcome OK), any other refusal a
FAIL, everything in doubt UNKNOWN.

Anomalies:

===========  ==============================================================================================
``early``    a key went before its lease could have run out: before the call of the last refresh that was
             answered plus the seconds granted
``eternal``  a lease or a key of it was still there when it had to be gone
``split``    the keys of a lease were not deleted in one revision
``revoke``   a revoke was answered, and at its revision there still was a key of the lease
``revived``  a lease that was gone (revoked, expired, or not found although it had been there) was renewed, or
             a key was attached to it
``undead``   a key of a lease that was gone was read
``stale``    "timetolive" showed a lease that was gone
``grows``    "timetolive" showed more than before without a refresh, and less than a new leader gives; or
             more than the lease ever had
``lost``     a put with a lease was answered, and the list of changes has no such change
``wrong``    a read had something else than the list of changes has at its revision
===========  ==============================================================================================

"Not found" is final only if the lease had been seen before: a grant in doubt may come later.
"""

from collections.abc import Sequence
from typing import NamedTuple

from raftkv.checkers.changes import Change
from raftkv.checkers.history import Operation
from raftkv.checkers.shapes import Maybe, Shapes

LEASE_SHAPES: Shapes = {
    "grant": ((int, int), (int, int)),
    "keepalive": ((int,), (int, int)),
    "revoke": ((int,), (int,)),
    "timetolive": ((int,), (int, int, int)),
    "put": ((bytes, bytes, int), (int,)),
    "get": ((bytes,), (int, Maybe((bytes, int, int)))),
    "delete": ((bytes,), (int, int)),
}


class LeaseRun(NamedTuple):
    """What was done with leases, and the true list of changes; None if it is not known.

    ``quiet_from``: the time from which on there was no more fault and no change of leader (the call of the
    first of the last words, say); None: never, so nothing is said of leases that live too long. ``grace``:
    seconds that a lease may live on after its time, for elections and rounds. ``slack``: seconds that it may
    end before its time, for clocks that run unequally. ``in_flight``: seconds within which a keepalive
    without an answer has arrived, or never will.
    """

    operations: Sequence[Operation]
    changes: Sequence[Change] | None = None
    quiet_from: float | None = None
    grace: float = 5.0
    slack: float = 0.0
    in_flight: float = 10.0
