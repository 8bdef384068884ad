"""etcd's Lock messages (v3lockpb), names and numbers as in its 3.5 wire format."""

from dataclasses import dataclass

from raftkv.schema.base import bytes_, int64, message
from raftkv.schema.kv import ResponseHeader


@dataclass(slots=True)
class LockRequest:
    """Take the lock ``name`` for as long as ``lease`` lives (0: the server grants one of 60 s)."""

    name: bytes = bytes_(1)
    lease: int = int64(2)


@dataclass(slots=True)
class LockResponse:
    """The lock is held; ``key`` exists for as long as it is."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    key: bytes = bytes_(2)


@dataclass(slots=True)
class UnlockRequest:
    """Give up the lock that ``key`` stands for."""

    key: bytes = bytes_(1)


@dataclass(slots=True)
class UnlockResponse:
    """Given up."""

    header: ResponseHeader | None = message(1, ResponseHeader)
