"""The barrier before a linearizable read (thesis §6.4): joins reads into rounds.

A read joins the round that is *forming*; one round of this member is under way at a time. When its
index is known and applied, its reads may be served here. A lost round (no leader, a lost message) is
asked again, together with whatever formed meanwhile: asking later is always safe.
"""

from asyncio import AbstractEventLoop, Future
from collections.abc import Callable

from raftkv.errors import NodeStopped, NoLeader, RequestTimedOut
from raftkv.raft import ReadState

RETRY_TICKS = 5
"""Heartbeat intervals until a round without an answer is asked again."""


class ReadBarrier:
    """Reads of this member that wait until they may be served from its store."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        boot: int,
        timeout: float,
        ask: Callable[[int], None],
        wake: Callable[[], None],
    ) -> None:
        """``ask(context)`` starts a round (may raise NoLeader); ``wake()`` makes the pump call us.

        Contexts begin with the number of this start of the member, so that an answer to an earlier
        start's question, which may come late, answers nothing now.
        """
        self._loop = loop
        self._timeout = timeout
        self._ask = ask
        self._wake = wake
        self._context = boot << 32
        self._age = 0
        self._index = 0  # the round under way has its index once this is above 0
        self._forming: list[tuple[float, Future[None]]] = []
        self._under_way: list[tuple[float, Future[None]]] = []
        self.slow = 0
        """Rounds without an answer in RETRY_TICKS."""
        self.failed = 0
        """Reads whose time was over."""

    async def passed(self) -> None:
        """Return when a linearizable read that starts now may be served.

        Raises RequestTimedOut, NodeStopped.
        """
        future: Future[None] = self._loop.create_future()
        if not self._forming:
            self._wake()
        self._forming.append((self._loop.time() + self._timeout, future))
        await future

    def start(self) -> None:
        """Begin a round if reads wait and none is under way."""
        if self._forming and not self._under_way:
            self._begin()

    def ask_again(self) -> None:
        """Ask for the round under way once more, under a new context (after a change of leader)."""
        if self._under_way and not self._index:
            self._begin()

    def take(self, state: ReadState, applied_index: int) -> None:
        """Take an index from the core; of an earlier context it is no longer of use."""
        if state.context == self._context and self._under_way and not self._index:
            self._index = state.index
            self.release(applied_index)

    def release(self, applied_index: int) -> None:
        """Let the round pass once its index is applied."""
        if self._index and applied_index >= self._index:
            done, self._under_way, self._index = self._under_way, [], 0
            for _, future in done:
                if not future.done():
                    future.set_result(None)
            self.start()

    def tick(self) -> None:
        """Expire reads whose time is over, and ask again for a round that got no answer."""
        self._under_way = self._alive(self._under_way)
        self._forming = self._alive(self._forming)
        if not self._under_way:
            self._index = 0
        self._age += 1
        if self._age >= RETRY_TICKS:
            self.slow += bool(self._under_way and not self._index)
            self.ask_again()
        self.start()

    def stop(self) -> None:
        """Answer everybody that the node stops."""
        for _, future in self._under_way + self._forming:
            if not future.done():
                future.set_exception(NodeStopped("the member is stopping"))

    def _begin(self) -> None:
        self._context += 1
        self._age = 0
        self._under_way += self._forming
        self._forming = []
        try:
            self._ask(self._context)
        except NoLeader:
            return  # asked again when a leader is known, or at the latest by tick()

    def _alive(self, reads: list[tuple[float, "Future[None]"]]) -> list[tuple[float, "Future[None]"]]:
        now = self._loop.time()
        alive = []
        for deadline, future in reads:
            if deadline > now and not future.done():
                alive.append((deadline, future))
            elif not future.done():
                self.failed += 1
                future.set_exception(RequestTimedOut("the read index did not come in time"))
        return alive
