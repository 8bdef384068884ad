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
"""

from collections.abc import Sequence
from typing import NamedTuple

from raftkv.checkers.changes import Change
from raftkv.checkers.history import Operation


class LockRun(NamedTuple):
    """What was done under locks, whether with fencing, and the true list of changes, None if not known."""

    operations: Sequence[Operation]
    fenced: bool
    changes: Sequence[Change] | None = None
