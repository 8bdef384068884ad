"""Elections: one leader at a time, later ones with greater keys, and nobody leads who was replaced.

The *token* of a candidate is the create revision of its key; candidates lead in the order of their tokens.
Operations and their answers; names of elections and values are bytes:

========================================  ===============================================
``("campaign", election, value)``         ``(key, token)``, when elected
``("proclaim", election, token, value)``  ``(revision, succeeded)``; false: "election: not leader"
``("resign", election, token)``           ``(revision,)``
``("leader", election)``                  ``(revision, leader)``, None: "election: no leader"
``("observe", election)``                 ``(leader, ...)`` as one stream brought them
========================================  ===============================================

A ``leader`` is ``(key, token, mod_revision, value)``. ``revision`` is the store's in the answer's header, 0
where it is not known (of "not leader", say). "leader" is a linearizable read; "observe" may repeat a leader.

Keys are ``election/ID``, as in etcd's recipe. Anomalies:

===============  ==========================================================================================
``two-leaders``  two leaders at one revision, or one elected while an older candidate's key was there
``backwards``    after a leader, or after there was none, an older one led
``ghost``        a candidate was elected whose key was gone before it was at the front
``deposed``      a leader that had been replaced proclaimed something
``value``        a leader had a value that it had not proclaimed, or not in that revision
``stale``        a value was read after a newer one had been proclaimed
``wrong``        a read at a revision had another leader than the list of changes has there
``lost``         a campaign or a proclamation was answered, and the list has no such change
===============  ==========================================================================================
"""

from collections.abc import Sequence
from typing import NamedTuple

from raftkv.checkers.changes import Change
from raftkv.checkers.history import Operation
from raftkv.checkers.shapes import Many, Maybe, Shapes

LEADER = (bytes, int, int, bytes)

ELECTION_SHAPES: Shapes = {
    "campaign": ((bytes, bytes), (bytes, int)),
    "proclaim": ((bytes, int, bytes), (int, bool)),
    "resign": ((bytes, int), (int,)),
    "leader": ((bytes,), (int, Maybe(LEADER))),
    "observe": ((bytes,), Many(LEADER)),
}


class ElectionRun(NamedTuple):
    """What candidates and observers did, and the true list of changes, None if it is not known."""

    operations: Sequence[Operation]
    changes: Sequence[Change] | None = None
