"""Locks: tokens grow, and who lost the lock writes nothing more under it.

The *token* of a holder is the create revision of its lock key. Operations and their answers; names of locks
and resources are bytes:

==================================================  =======================================================
``("acquire", lock)``                               ``(revision, key, token)``, when the lock is held
``("update", lock, token, resource, seen, value)``  ``(revision, succeeded)``
``("release", lock, token)``                        ``(revision,)``
``("lost", lock, token)``                           ``()``
==================================================  =======================================================

``revision`` is the header's of the answer (of "acquire": of the one that says that the lock is held).
``update`` is the second half of a read and a write of what the lock protects: ``seen`` is the mod revision of
``resource`` (0: absent) that the holder read while it held the lock, ``value`` what it writes. With fencing
it is a txn that compares the create revision of the lock key with the token, and ``succeeded`` says how that
came out; without fencing it is a plain put, and ``succeeded`` is true. ``lost`` is no request: the moment at
which the holder learned that its lease is gone. A holder believes in its lock from the return of "acquire" to
the call of "release" or "lost", or to the return of an update that did not succeed.

Lock keys are ``lock/ID``, as in etcd's recipe. Values are unique for a resource, which only updates change.

===============  ==========================================================================================
``token``        tokens did not grow in the order of acquisition, or two holders have the same
``fencing``      a guarded update took effect after the lock was somebody else's, or without a lock key
``exclusion``    the lock was given to one while an older lock key was there
``ghost``        the lock was given to one whose key was already gone
``lost-update``  an update overwrote one that its holder had not read
``lost``         an update was answered, and the list of changes has no such change
``overlap``      two believed in the same lock at the same time
===============  ==========================================================================================

With fencing ``overlap`` is no anomaly: nobody can tell how long a message takes or a process sleeps. Without
it, ``overlap`` and ``lost-update`` are to be expected under pauses, and the verdict is invalid all the same.
"""

from collections.abc import Sequence
from typing import NamedTuple

from raftkv.checkers.changes import Change
from raftkv.checkers.history import Operation
from raftkv.checkers.shapes import Shapes

LOCK_SHAPES: Shapes = {
    "acquire": ((bytes,), (int, bytes, int)),
    "update": ((bytes, int, bytes, int, bytes), (int, bool)),
    "release": ((bytes, int), (int,)),
    "lost": ((bytes, int), ()),
}

EXPECTED_UNFENCED = ("overlap", "lost-update")
"""Anomalies that a lock without fencing has to have sooner or later."""


class LockRun(NamedTuple):
    """What was done under locks, whether with fencing, and the true list of changes, None if not known."""

    operations: Sequence[Operation]
    fenced: bool
    changes: Sequence[Change] | None = None
