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
"""

from collections.abc import Sequence
from typing import NamedTuple

from raftkv.checkers.changes import Change
from raftkv.checkers.history import Operation


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
