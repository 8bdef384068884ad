"""One value for the whole content, to compare members with."""

from collections.abc import Iterable
from hashlib import sha256

import msgpack

from raftkv.mvcc.parts import Part


def digest_of(parts: Iterable[Part]) -> bytes:
    """Return a SHA-256 over the content of all parts."""
    hashed = sha256()
    for part in parts:
        hashed.update(msgpack.packb((part.name, part.version)))
        for value in part.content():
            hashed.update(msgpack.packb(value))
    return hashed.digest()
