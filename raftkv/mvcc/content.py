"""All that is replicated, by part."""

from raftkv.mvcc.alarms import Alarms
from raftkv.mvcc.leases import Leases
from raftkv.mvcc.level import Level
from raftkv.mvcc.membership import Membership
from raftkv.mvcc.parts import Part
from raftkv.mvcc.sessions import Sessions
from raftkv.mvcc.store import Store

ADDED_LATER = frozenset({"leases", "level"})
"""Parts that the first format of 0.1 did not have.

While one is empty a dump leaves it out, so that members of before can read it, and one that a dump lacks is
empty: so a cluster can be upgraded member by member.
"""


class Content:
    """The parts, and the index of the entry that was applied last.

    They know nothing of one another, but that the store asks whether a lease is there. A new part is a
    class (see ``Part``), an attribute here, and its place in ``parts``.
    """

    def __init__(self) -> None:
        leases = Leases()
        self.level = Level()
        self.store = Store(leases)
        self.membership = Membership()
        self.sessions = Sessions()
        self.alarms = Alarms()
        self.leases = leases
        self.applied_index = 0

    @property
    def size_bytes(self) -> int:
        """Estimate of the room that the data takes, in bytes: what a quota is about."""
        return self.store.size_bytes + self.leases.size_bytes

    def parts(self) -> tuple[Part, ...]:
        """Return every part, in the order in which they are dumped."""
        return self.level, self.store, self.membership, self.sessions, self.alarms, self.leases

    def exchange(self, other: "Content") -> None:
        """Give ``other`` everything held here and take what it holds, in one short step."""
        mine, its = dict(vars(self)), dict(vars(other))  # all: a part added later can't be forgotten
        vars(self).update(its)
        vars(other).update(mine)
