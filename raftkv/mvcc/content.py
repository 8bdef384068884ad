"""All that is replicated, by part."""

from raftkv.mvcc.alarms import Alarms
from raftkv.mvcc.membership import Membership
from raftkv.mvcc.parts import Part
from raftkv.mvcc.sessions import Sessions
from raftkv.mvcc.store import Store


class Content:
    """The parts, which know nothing of one another, and the index of the entry that was applied last.

    A new part is a class (see ``Part``), an attribute here, and its place in ``parts``.
    """

    def __init__(self) -> None:
        self.store = Store()
        self.membership = Membership()
        self.sessions = Sessions()
        self.alarms = Alarms()
        self.applied_index = 0

    def parts(self) -> tuple[Part, ...]:
        """Return every part, in the order in which they are dumped."""
        return self.store, self.membership, self.sessions, self.alarms

    def exchange(self, other: "Content") -> None:
        """Give ``other`` everything held here and take what it holds, in one short step."""
        mine, its = dict(vars(self)), dict(vars(other))  # all: a part added later can't be forgotten
        vars(self).update(its)
        vars(other).update(mine)
