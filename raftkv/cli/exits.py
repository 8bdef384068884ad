"""Exit codes of every verb, and which error ends with which."""

from enum import IntEnum


class Exit(IntEnum):
    """What the caller of a command can rely on."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NO_LEADER = 5
    UNREACHABLE = 6
    UNKNOWN = 7
    INTERRUPTED = 130


_BY_NAME = {
    "ConfigError": Exit.USAGE,
    "WrongArguments": Exit.USAGE,
    "UnknownMember": Exit.USAGE,
    "NotOurs": Exit.USAGE,
    "PortsInUse": Exit.USAGE,
    "ClusterRunning": Exit.USAGE,
    "HistoryError": Exit.USAGE,
    "NoCluster": Exit.NOT_FOUND,
    "NotHealthy": Exit.NO_LEADER,
    "NoLeader": Exit.NO_LEADER,
    "RequestTimedOut": Exit.NO_LEADER,
    "NoAnswer": Exit.NO_LEADER,
    "Unreachable": Exit.UNREACHABLE,
    "WrongAnswer": Exit.UNREACHABLE,
    "OutcomeUnknown": Exit.UNKNOWN,
}


def exit_for(error: Exception) -> Exit:
    """Return the exit code for an error.

    The classes are told by name, because importing all of them would cost every verb the import of
    all packages.
    """
    return next(
        (_BY_NAME[cls.__name__] for cls in type(error).__mro__ if cls.__name__ in _BY_NAME), Exit.FAILED
    )
