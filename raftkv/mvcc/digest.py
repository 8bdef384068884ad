"""One value for the whole content, to compare members with."""

from hashlib import sha256

import msgpack

from raftkv.mvcc.alarms import Alarms
from raftkv.mvcc.membership import Membership
from raftkv.mvcc.sessions import Sessions
from raftkv.mvcc.store import Store
from raftkv.mvcc.version_table import visible_from


def digest_of(store: Store, membership: Membership, sessions: Sessions, alarms: Alarms) -> bytes:
    """Return a SHA-256 over revisions, all versions that can be read, members, request ids and alarms.

    What a compaction has forbidden to read is left out, whether or not it is gone here yet.
    """
    hashed = sha256(msgpack.packb((store.revision, store.compact_revision)))
    for entry in store.table.walk(b"", None):
        for version in visible_from(entry, store.compact_revision):
            hashed.update(msgpack.packb(version))
    hashed.update(msgpack.packb(membership.members()))
    for session in sessions.content():
        hashed.update(msgpack.packb(session))
    hashed.update(msgpack.packb(alarms.content()))
    return hashed.digest()
