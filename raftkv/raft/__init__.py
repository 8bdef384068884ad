"""The consensus core and its contract: values in, values out.

Everybody else imports this package and none of its modules' insides; nobody imports ``core``.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from raftkv.raft.contract import Consensus
from raftkv.raft.core import Raft
from raftkv.raft.membership import bootstrap_entry, decode_configuration
from raftkv.raft.messages import Message
from raftkv.raft.ready import ReadState, Ready, Write
from raftkv.raft.types import (
    NO_NODE,
    Change,
    ChangeKind,
    Configuration,
    Entry,
    EntryKind,
    HardState,
    Part,
    PeerEvent,
    Role,
    Snapshot,
    Status,
)
from raftkv.trace import Emit, discard

if TYPE_CHECKING:
    from random import Random

__all__ = [
    "NO_NODE",
    "Change",
    "ChangeKind",
    "Configuration",
    "Consensus",
    "Entry",
    "EntryKind",
    "HardState",
    "Message",
    "Part",
    "PeerEvent",
    "ReadState",
    "Ready",
    "Role",
    "Snapshot",
    "Status",
    "Write",
    "bootstrap_entry",
    "decode_configuration",
    "make_core",
]


def make_core(
    node_id: int,
    entries: Sequence[Entry],
    hard_state: HardState,
    *,
    rng: "Random",
    snapshot: Snapshot | None = None,
    election_ticks: int = 10,
    lease_reads: bool = False,
    emit: Emit = discard,
) -> Consensus:
    """Return the reference core for one member, from what its disk held."""
    return Raft(
        node_id,
        entries,
        hard_state,
        rng=rng,
        snapshot=snapshot,
        election_ticks=election_ticks,
        lease_reads=lease_reads,
        emit=emit,
    )
