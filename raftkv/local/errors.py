"""What can go wrong with a local cluster; every text says what to do next."""

import os

from raftkv.errors import RaftKvError


def verb(text: str) -> str:
    """Return a command to suggest, as the user has to type it: ``raftkv up`` or ``./cluster.sh up``."""
    return f"{os.environ.get('RAFTKV_PROGRAM', 'raftkv')} {text}"


class LocalError(RaftKvError):
    """Root of the errors of the local cluster."""


class NoCluster(LocalError):
    """There is no cluster in the folder."""


class WrongArguments(LocalError):
    """The arguments make no sense, or do not fit the cluster that is there."""


class NotOurs(LocalError):
    """The folder, or something in it, was not made by raftkv, so it is left alone."""


class UnknownMember(LocalError):
    """No member has this name."""


class PortsInUse(LocalError):
    """A port of a member is taken; the text names the owner."""


class MemberDied(LocalError):
    """A member ended while it was expected to come up; the text holds its last log lines."""


class NotHealthy(LocalError):
    """The cluster has no leader, or a member does not answer in time."""


class ClusterRunning(LocalError):
    """The request needs a stopped cluster."""
