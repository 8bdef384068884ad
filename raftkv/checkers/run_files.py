"""Runs of leases, locks and elections, read from and written as the lines of ``run_lines``."""

from collections.abc import Iterator

from raftkv.checkers.election import ELECTION_SHAPES, ElectionRun
from raftkv.checkers.history import HistoryError
from raftkv.checkers.lease import LEASE_SHAPES, LeaseRun
from raftkv.checkers.lock import LOCK_SHAPES, LockRun
from raftkv.checkers.run_lines import operation_object, parameter, read_lines, read_operations, write_lines

_LEASE_DEFAULTS = LeaseRun(())


def read_leases(text: str, name: str = "history") -> LeaseRun:
    """Read the text of a file called ``name``. Raises ``HistoryError``."""
    lines = read_lines(text, "lease", name)
    names = ("quiet_from", "grace", "slack", "in_flight")
    parameters = {one: parameter(lines, one, getattr(_LEASE_DEFAULTS, one)) for one in names}
    return LeaseRun(read_operations(lines, LEASE_SHAPES), lines.changes, **parameters)


def write_leases(run: LeaseRun) -> Iterator[str]:
    """Yield the lines, without line ends, of a file."""
    names = ("quiet_from", "grace", "slack", "in_flight")
    header = {name: getattr(run, name) for name in names}
    return write_lines("lease", header, run.changes, map(operation_object, run.operations))


def read_locks(text: str, name: str = "history") -> LockRun:
    """Read the text of a file called ``name``; its header has ``fenced``. Raises ``HistoryError``."""
    lines = read_lines(text, "lock", name)
    fenced = lines.header.get("fenced")
    if not isinstance(fenced, bool):
        raise HistoryError(f"{name}:1", "the header of a history of locks has fenced, true or false")
    return LockRun(read_operations(lines, LOCK_SHAPES), fenced, lines.changes)


def write_locks(run: LockRun) -> Iterator[str]:
    """Yield the lines, without line ends, of a file."""
    return write_lines("lock", {"fenced": run.fenced}, run.changes, map(operation_object, run.operations))


def read_elections(text: str, name: str = "history") -> ElectionRun:
    """Read the text of a file called ``name``. Raises ``HistoryError``."""
    lines = read_lines(text, "election", name)
    return ElectionRun(read_operations(lines, ELECTION_SHAPES), lines.changes)


def write_elections(run: ElectionRun) -> Iterator[str]:
    """Yield the lines, without line ends, of a file."""
    return write_lines("election", {}, run.changes, map(operation_object, run.operations))
