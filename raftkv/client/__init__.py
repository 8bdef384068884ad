"""Clients of a cluster: ``Client`` for asyncio, and a small synchronous one for the command line."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from raftkv.client.endpoint import Endpoint
from raftkv.client.outcome import (
    Compacted,
    FutureRevision,
    KeyNotFound,
    LeaseLost,
    LeaseNotFound,
    NoAnswer,
    NoSpace,
    OutcomeUnknown,
    Refused,
    Unreachable,
    WatchCanceled,
    WrongAnswer,
)
from raftkv.client.sync import SyncClient

if TYPE_CHECKING:
    from raftkv.client.client import Client
    from raftkv.client.lease import Lease
    from raftkv.client.watch import Event, Watch

__all__ = [
    "Client",
    "Compacted",
    "Endpoint",
    "Event",
    "FutureRevision",
    "KeyNotFound",
    "Lease",
    "LeaseLost",
    "LeaseNotFound",
    "NoAnswer",
    "NoSpace",
    "OutcomeUnknown",
    "Refused",
    "SyncClient",
    "Unreachable",
    "Watch",
    "WatchCanceled",
    "WrongAnswer",
]

_NEED_AIOHTTP = {
    "Client": "raftkv.client.client",
    "Event": "raftkv.client.watch",
    "Lease": "raftkv.client.lease",
    "Watch": "raftkv.client.watch",
}


def __getattr__(name: str) -> Any:
    """Import what needs aiohttp when it is asked for: the command line starts faster without."""
    if name not in _NEED_AIOHTTP:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_NEED_AIOHTTP[name]), name)
