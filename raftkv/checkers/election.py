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
"""

from collections.abc import Sequence
from typing import NamedTuple

from raftkv.checkers.changes import Change
from raftkv.checkers.history import Operation


class ElectionRun(NamedTuple):
    """What candidates and observers did, and the true list of changes, None if it is not known."""

    operations: Sequence[Operation]
    changes: Sequence[Change] | None = None
