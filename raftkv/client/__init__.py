"""Clients of a cluster: ``Client`` for asyncio, and a small synchronous one for the command line."""

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

__all__ = [
    "Compacted",
    "Endpoint",
    "FutureRevision",
    "KeyNotFound",
    "LeaseLost",
    "LeaseNotFound",
    "NoAnswer",
    "NoSpace",
    "OutcomeUnknown",
    "Refused",
    "SyncClient",
    "Unreachable",
    "WatchCanceled",
    "WrongAnswer",
]
