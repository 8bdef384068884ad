"""One directed link between two members: whole, cut, slow, lossy or doubling.

Messages come out in the order they went in, as from one unbroken stream; some are missing or there twice.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from raftkv.faults.orders import LinkFault
from raftkv.raft.messages import AppendEntries, ForwardProposals, Message

MOST_HELD: Final = 10_000
MOST_HELD_BYTES: Final = 64 * 1024 * 1024
"""What waits on one slow link; more is dropped, as it would be from a full queue."""

PART_BYTES: Final = 200
"""About how much memory an entry or a proposal takes beside its data."""


@dataclass(slots=True)
class LinkEffects:
    """What the faults of one link did to messages and to requests."""

    dropped: int = 0
    delayed: int = 0
    duplicated: int = 0
    requests_failed: int = 0


class FaultyLink:
    """``deliver`` takes what comes out. ``fault`` is what it has now."""

    def __init__(self, fault: LinkFault, random: Random, deliver: Callable[[Message], None]) -> None:
        self.effects = LinkEffects()
        self.fault = fault
        self._random = random
        self._deliver = deliver
        self._held: deque[tuple[float, Message]] = deque()
        self._held_bytes = 0
        self._due: asyncio.TimerHandle | None = None
        self._whole = asyncio.Event()
        self.set(fault)

    @property
    def held(self) -> int:
        """How many messages wait now."""
        return len(self._held)

    def set(self, fault: LinkFault) -> None:
        """Have this fault from now on, in place of the one before.

        A cut loses what is under way; what waits on a link that is no longer slow arrives at once, and on one
        that is less slow no later than what comes now.
        """
        self.fault = fault
        if fault.cut:
            self._whole.clear()
            self.drop_held()
        else:
            self._whole.set()
            self._hurry()

    def carry(self, message: Message) -> None:
        """Take a message in; never blocks."""
        fault = self.fault
        if fault.cut or (fault.drop and self._random.random() < fault.drop):
            self.effects.dropped += 1
            return
        self._pass_on(message)
        if fault.duplicate and self._random.random() < fault.duplicate:
            self.effects.duplicated += 1
            self._pass_on(message)

    async def passable(self) -> None:
        """Wait until a request can pass, and as long as that takes it.

        A stream sends again what is lost: so a request waits for a link that is cut, and is never dropped.
        """
        await self._whole.wait()
        if seconds := self._delay():
            self.effects.delayed += 1
            await asyncio.sleep(seconds)

    def drop_held(self) -> None:
        """Lose what waits."""
        self.effects.dropped += len(self._held)
        self._held.clear()
        self._held_bytes = 0
        self._release(0.0)

    def _delay(self) -> float:
        """Return seconds."""
        jitter = self.fault.jitter_ms
        return (self.fault.delay_ms + self._random.uniform(-jitter, jitter)) / 1000

    def _pass_on(self, message: Message) -> None:
        delay = self._delay()
        if not delay and not self._held:
            self._deliver(message)
            return
        size = _size_of(message)
        if len(self._held) >= MOST_HELD or self._held_bytes + size > MOST_HELD_BYTES:
            self.effects.dropped += 1
            return
        self.effects.delayed += 1
        due = asyncio.get_running_loop().time() + delay
        self._held.append((max(due, self._held[-1][0]) if self._held else due, message))
        self._held_bytes += size
        if self._due is None:
            self._release(0.0)

    def _hurry(self) -> None:
        """Let what waits wait no longer than it would had it come now."""
        if not self._held:
            return
        now = asyncio.get_running_loop().time()
        latest = now + (self.fault.delay_ms + self.fault.jitter_ms) / 1000
        self._held = deque((min(due, latest), message) for due, message in self._held)
        self._release(now)

    def _release(self, until: float) -> None:
        """Let out what is due until then, by the loop's clock, and come back for the rest."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        while self._held and self._held[0][0] <= until:
            _, message = self._held.popleft()
            self._held_bytes -= _size_of(message)
            self._deliver(message)
        if self._held:
            loop = asyncio.get_running_loop()
            self._due = loop.call_at(self._held[0][0], lambda: self._release(loop.time()))


def _size_of(message: Message) -> int:
    """Return about how many bytes of memory a message holds: what clients sent is most of it."""
    match message:
        case AppendEntries():
            return sum(PART_BYTES + len(entry.data) for entry in message.entries)
        case ForwardProposals():
            return sum(PART_BYTES + len(command) for command in message.commands)
        case _:
            return 0
