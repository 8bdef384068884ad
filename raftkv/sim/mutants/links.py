"""Bugs of how messages leave."""

from collections.abc import Sequence

from raftkv.raft.messages import Message
from raftkv.sim.mutants.families import LIVENESS
from raftkv.sim.mutants.mutant import Hardness, Mutant, Patch
from raftkv.sim.network import SimTransport


def n2_one_holds_up_all(patch: Patch) -> None:
    """Write to the peers in turn: while one link takes nothing, nothing leaves for anybody."""
    send = SimTransport.send

    def in_turn(self: SimTransport, messages: Sequence[Message]) -> None:
        waiting: list[Message] = self.__dict__.setdefault("waiting", [])
        waiting += messages
        peers = self._network._peers.get(self._member, ())
        if not any(self._network.is_cut((self._member, peer)) for peer in peers):
            send(self, waiting)
            waiting.clear()

    patch.set(SimTransport, "send", in_turn)


MUTANTS = (
    Mutant(
        "N2",
        "one blocked peer blocks what is sent to all",
        n2_one_holds_up_all,
        Hardness.MEDIUM,
        LIVENESS,
        remark="In the transport of the simulator; of the one that serves `tests/net/test_transport.py` "
        "puts the same bug in and sees it",
    ),
)
