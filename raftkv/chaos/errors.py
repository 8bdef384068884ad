"""What can go wrong with the harness itself; a system that misbehaves is a finding, not an error."""

from raftkv.errors import RaftKvError


class ChaosError(RaftKvError):
    """The harness can't go on: a system does not start, or what it needs is missing."""


class NotNow(RaftKvError):
    """A fault is not possible in the state the system is in; another time it may be."""
