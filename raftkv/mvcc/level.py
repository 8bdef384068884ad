"""The cluster's level: which words of the log all its members understand.

A release that adds to what a log or a snapshot says has a level above the one before. Members announce
theirs to each other, and the leader raises the cluster's once all have a higher one; it never goes down.
What is newer than the cluster's level is not proposed, so it has no content that a snapshot would hold.
"""

from collections.abc import Iterable
from typing import ClassVar

from raftkv.errors import FormatTooNew
from raftkv.mvcc.parts import CopiedDump, nonsense, pack_block, unpack_block

FIRST = 1
"""The level of the first log format; that of a member that announces none, and of a log that names none."""

LEVEL = 2
"""What this version understands. 2: leases, and the level itself."""


def check_known(level: int) -> None:
    """Raise FormatTooNew for a level that this version does not know."""
    if level > LEVEL:
        raise FormatTooNew(
            f"the cluster is at level {level}, which came with a later version; known here is {LEVEL}"
        )


class Level:
    """The level of the cluster."""

    name: ClassVar[str] = "level"
    version: ClassVar[int] = 1

    def __init__(self) -> None:
        self.number = FIRST

    def raise_to(self, number: int) -> None:
        """Raise the level; raises FormatTooNew for one that this version does not know."""
        check_known(number)
        self.number = max(self.number, number)

    def content(self) -> Iterable[int]:
        """See ``Part``."""
        return (self.number,)

    def dump(self) -> CopiedDump:
        """See ``Part``: one block, empty at the first level, of which nobody had to be told."""
        return CopiedDump([pack_block(self.number) if self.number > FIRST else pack_block()])

    def load(self, data: bytes) -> None:
        """See ``Part``. Raises FormatTooNew too."""
        match unpack_block(data):
            case (int(number),) if number > FIRST:
                self.raise_to(number)
            case _:
                raise nonsense("no level")

    def finish_load(self) -> bool:
        """See ``Part``: nothing is left to do."""
        return False
