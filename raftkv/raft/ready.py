"""What a core wants done, with the order of the effects in the type.

A message may leave only when every fact it asserts *about its sender* is durable: its term, its own
vote (so a RequestVote too), the entries it acknowledges. Messages whose facts are still on their way
to the disk live inside ``Write.after``, so they cannot leave early; those in ``Ready.messages`` may
leave at once. A leader's AppendEntries assert nothing about its own disk but its term, and so may
overtake its own fsync (thesis §10.2.1).
"""

from typing import NamedTuple

from raftkv.raft.messages import Message
from raftkv.raft.types import Configuration, Entry, HardState, Snapshot


class Write(NamedTuple):
    """One numbered step for the disk; steps are carried out and acknowledged in order.

    Durable means: ``hard_state`` (None = unchanged) stored; if there is a ``snapshot``, its file
    published and the whole log forgotten, so that it begins after it; if ``truncate_from`` is not 0,
    every entry from that index on forgotten; ``entries`` appended. Then ``after`` may leave. A Write
    with nothing to store only orders its ``after`` behind the Writes before it.

    A ``snapshot`` also replaces the state machine: the host loads it before it calls ``persisted``.
    """

    number: int
    hard_state: HardState | None
    truncate_from: int
    entries: tuple[Entry, ...]
    after: tuple[Message, ...]
    snapshot: Snapshot | None = None


class ReadState(NamedTuple):
    """The read named by ``context`` may be served once ``index`` is applied here (thesis §6.4)."""

    context: int
    index: int  # type: ignore[assignment]  # the paper's name wins over tuple.index


class Ready(NamedTuple):
    """A batch of effects. ``committed`` are durable here and to be applied in this order.

    ``configuration`` is the one in force from now on, when it changed: it is the last one *appended*,
    so it may also go back to an earlier one.
    """

    messages: tuple[Message, ...]
    write: Write | None
    committed: tuple[Entry, ...]
    reads: tuple[ReadState, ...]
    configuration: Configuration | None
