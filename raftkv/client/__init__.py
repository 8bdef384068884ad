"""Clients of a cluster: a small synchronous one for the command line."""

from raftkv.client.outcome import OutcomeUnknown
from raftkv.client.sync import (
    Endpoint,
    Refused,
    SyncClient,
    Unreachable,
    WrongAnswer,
)

__all__ = ["Endpoint", "OutcomeUnknown", "Refused", "SyncClient", "Unreachable", "WrongAnswer"]
