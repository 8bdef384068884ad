"""The true list of changes: what a system itself says that happened, whatever its clients were told."""

from typing import NamedTuple


class Change(NamedTuple):
    """One change of one key, as the log of the system has it. ``value`` None: it was deleted."""

    revision: int
    key: bytes
    value: bytes | None
    create_revision: int = 0
    version: int = 0
    lease: int = 0
