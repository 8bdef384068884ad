"""What can be seen of a run from outside, for pictures of it. Watching changes nothing in the run."""

from collections.abc import Callable

from raftkv.raft import Message
from raftkv.sim.checks import TimedObserver
from raftkv.trace import Event

Link = tuple[int, int]
"""From a member to a member."""


class Watcher:
    """Sees nothing; who wants to see something overrides what it wants to see.

    ``now`` is the simulated time in seconds, ``name`` a member's name. ``sent`` and ``asked`` return a number
    by which the end of the same message or request is told.
    """

    def observer(self, clock: Callable[[], float]) -> TimedObserver:
        """Return the observer of the run, which sees every step of every core; ``clock`` tells the time."""
        return TimedObserver()

    def sent(self, now: float, message: Message) -> int:
        """See one copy of a message leave."""
        return 0

    def arrived(self, now: float, number: int) -> None:
        """See a message arrive, right before its target takes it."""

    def lost(self, now: float, number: int, why: str) -> None:
        """See a message get lost."""

    def cut(self, now: float, link: Link) -> None:
        """See a whole link being cut."""

    def mended(self, now: float, link: Link) -> None:
        """See a link become whole."""

    def happened(self, now: float, name: str, event: Event) -> None:
        """See an event that a member tells of."""

    def started(self, now: float, name: str) -> None:
        """See a member start."""

    def crashed(self, now: float, name: str, outcome: str) -> None:
        """See a member end by a fault; ``outcome``: what a power loss left, "" = only the process ended."""

    def ended(self, now: float, name: str, reasons: list[BaseException]) -> None:
        """See a member end by itself."""

    def paused(self, now: float, name: str) -> None:
        """See a member stand still."""

    def resumed(self, now: float, name: str) -> None:
        """See a member go on, if it still stands still."""

    def fault(self, now: float, kind: str, words: tuple[str, ...], seconds: float) -> None:
        """See a fault of the scenario happen; 0 ``seconds``: it lasts until something ends it."""

    def healed(self, now: float, core: list[str]) -> None:
        """See the members of the core being healed for good."""

    def asked(self, now: float, client: str, via: str, words: tuple[str, ...]) -> int:
        """See a client ask a member."""
        return 0

    def answered(self, now: float, number: int, outcome: str, answer: object) -> None:
        """See what a client knows in the end: ok, fail or unknown; ``answer`` as in its history."""


NOBODY = Watcher()
