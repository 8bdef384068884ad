"""A core whose every call is held against the rules: an option for a live member.

The observer of one member knows nothing of the others, so only the rules about a single member apply. It
keeps what is not settled and a window of what is (the last ``WINDOW`` entries that are committed, durable and
applied), and costs some tens of microseconds a call: it is for finding bugs, not for speed. A broken rule is
an own bug: ``RuleViolated`` is an AssertionError, and the member stops.
"""

from collections import deque
from collections.abc import Sequence
from typing import ClassVar

from raftkv.raft.contract import Consensus
from raftkv.raft.invariants import RULES, Observer
from raftkv.raft.ledger import (
    ChangeProposed,
    Compacted,
    Event,
    Persisted,
    Proposed,
    ReadAsked,
    Received,
    Reported,
    Started,
    Step,
    Ticked,
    TransferAsked,
)
from raftkv.raft.messages import Message
from raftkv.raft.ready import Ready, Write
from raftkv.raft.types import Change, Entry, HardState, Part, PeerEvent, Snapshot, Status

WINDOW = 10_000
"""Settled entries, and votes, leaders and reads, that the observer of a live member keeps."""

OWN_RULES = tuple(rule for rule in RULES if not rule.whole_cluster)
"""The rules that hold for one member, whatever the others do."""


class CheckedCore:
    """Passes every call on to ``core`` and checks what came of it."""

    parts: ClassVar[frozenset[Part]] = frozenset()

    def __init__(
        self,
        core: Consensus,
        hard_state: HardState,
        entries: Sequence[Entry],
        snapshot: Snapshot | None = None,
        *,
        window: int = WINDOW,
        observer: Observer | None = None,
    ) -> None:
        """Watch ``core``, which was just made from this disk; ``observer`` sees all members of a cluster."""
        self._core = core
        self.parts = core.parts  # type: ignore[misc]  # those of the core inside
        self._observer = observer or Observer(OWN_RULES, window)
        self._writes: deque[Write] = deque()
        started = Started(hard_state, entries, snapshot)
        self._event: Event = started
        self._status = core.status()
        self._node_id = self._status.node_id
        if self._node_id in self._observer.ledger.members:
            self._observer.ledger.recovered(self._node_id, started)
        else:
            self._observer.ledger.adopt(self._node_id, hard_state, entries, snapshot)
        self._check(self._event, before=None)
        self._event = Ticked(0)  # the effects of the start are seen as of a moment later: it starts once

    def tick(self, intervals: int = 1) -> None:
        """See ``Consensus``."""
        self._core.tick(intervals)
        self._check(Ticked(intervals), self._status)

    def step(self, message: Message) -> None:
        """See ``Consensus``."""
        self._core.step(message)
        self._check(Received(message), self._status)

    def propose(self, data: bytes) -> None:
        """See ``Consensus``."""
        self._core.propose(data)
        self._check(Proposed(data), self._status)

    def propose_change(self, change: Change, context: bytes) -> None:
        """See ``Consensus``."""
        self._core.propose_change(change, context)
        self._check(ChangeProposed(change), self._status)

    def read_index(self, context: int) -> None:
        """See ``Consensus``."""
        self._core.read_index(context)
        self._check(ReadAsked(context), self._status)

    def transfer_leadership(self, target: int) -> None:
        """See ``Consensus``."""
        self._core.transfer_leadership(target)
        self._check(TransferAsked(target), self._status)

    def report(self, peer: int, event: PeerEvent) -> None:
        """See ``Consensus``."""
        self._core.report(peer, event)
        self._check(Reported(peer), self._status)

    def ready(self) -> Ready | None:
        """See ``Consensus``; the effects belong to the last call before."""
        ready = self._core.ready()
        if ready is not None:
            if ready.write is not None:
                self._writes.append(ready.write)
            self._check(self._event, self._status, (ready,), ready.messages)
        return ready

    def persisted(self, number: int) -> None:
        """See ``Consensus``; what waited for the Writes leaves now."""
        sent: list[Message] = []
        while self._writes and self._writes[0].number <= number:
            sent += self._writes.popleft().after
        self._core.persisted(number)
        self._check(Persisted(number), self._status, sent=tuple(sent))

    def applied(self, index: int) -> None:
        """See ``Consensus``."""
        self._core.applied(index)
        self._status = self._core.status()

    def compacted(self, snapshot: Snapshot, first_index: int) -> None:
        """See ``Consensus``."""
        self._core.compacted(snapshot, first_index)
        self._check(Compacted(snapshot, first_index), self._status)

    def status(self) -> Status:
        """See ``Consensus``: what was true after the last call, as nothing changes between two."""
        return self._status

    def _check(
        self,
        event: Event,
        before: Status | None,
        effects: tuple[Ready, ...] = (),
        sent: tuple[Message, ...] = (),
    ) -> None:
        after = self._core.status()
        self._observer.observe(Step(self._node_id, before, event, after, effects, sent))
        self._event, self._status = event, after
