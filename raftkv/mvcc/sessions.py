"""Which requests were applied already: so that a node may forward or repeat a proposal safely.

A proposal can reach the log twice: a follower forwards it, hears nothing and forwards it again; a
message is delivered twice. The second entry must do nothing. Each member numbers its starts (boots)
and its requests in each of them; this table holds, replicated like the rest of the content, which of
the last numbers of the last boots were applied (thesis §6.3, with the members in the clients' place).

What is too old to be remembered is taken for a duplicate: doing nothing is safe, since whoever asked
has long been told that the outcome is unknown. So a member must have at most ``WINDOW`` requests under way.
"""

import zlib
from typing import Any, ClassVar

from raftkv.mvcc.commands import RequestId
from raftkv.mvcc.parts import CopiedDump, nonsense, pack_block, unpack_block

WINDOW = 65_536
"""How many of the newest sequence numbers of a boot are told apart, one byte each."""

BOOTS = 4
"""How many boots of a member are remembered."""


class _Boot:
    """The applied requests of one boot: a ring with one byte for each of the last WINDOW numbers."""

    __slots__ = ("highest", "ring")

    def __init__(self, highest: int = -1, ring: bytes = bytes(WINDOW)) -> None:
        self.highest = highest
        self.ring = bytearray(ring)

    def admit(self, sequence: int) -> bool:
        """Record a number; return False if it was recorded before or is below the window."""
        if sequence <= self.highest:
            if sequence <= self.highest - WINDOW or self.ring[sequence % WINDOW]:
                return False
        else:
            self._advance(sequence)
        self.ring[sequence % WINDOW] = 1
        return True

    def _advance(self, sequence: int) -> None:
        if sequence - self.highest >= WINDOW:
            self.ring = bytearray(WINDOW)
        elif sequence != self.highest + 1:
            self._clear((self.highest + 1) % WINDOW, sequence % WINDOW)
        self.highest = sequence

    def _clear(self, first: int, end: int) -> None:
        """Mark the skipped numbers, which may still arrive, as not applied."""
        if first <= end:
            self.ring[first:end] = bytes(end - first)
        else:
            self.ring[first:] = bytes(WINDOW - first)
            self.ring[:end] = bytes(end)


class Sessions:
    """The applied request ids of all members; 64 KiB for each of at most four boots of a member."""

    name: ClassVar[str] = "sessions"
    version: ClassVar[int] = 1

    def __init__(self) -> None:
        self._members: dict[int, dict[int, _Boot]] = {}

    def admit(self, request_id: RequestId) -> bool:
        """Record a request as applied; return False if it is a duplicate and must have no effect."""
        member, boot, sequence = request_id
        boots = self._members.get(member)
        if boots is None:
            boots = self._members[member] = {}
        session = boots.get(boot)
        if session is None:
            if not self._make_room(boots, boot):
                return False
            session = boots[boot] = _Boot()
        return session.admit(sequence)

    @staticmethod
    def _make_room(boots: dict[int, _Boot], boot: int) -> bool:
        if len(boots) < BOOTS:
            return True
        oldest = min(boots)
        if boot < oldest:
            return False
        del boots[oldest]
        return True

    def content(self) -> list[tuple[int, int, int, bytes]]:
        """Return (member, boot, highest sequence, ring of applied numbers), ordered by member and boot."""
        return [
            (member, boot, session.highest, bytes(session.ring))
            for member, boots in sorted(self._members.items())
            for boot, session in sorted(boots.items())
        ]

    def dump(self) -> CopiedDump:
        """See ``Part``: an empty block, then one a boot, ``[member, boot, highest, ring as zlib]``."""
        copied = self.content()
        return CopiedDump(_encode(session) for session in [(), *copied])

    def load(self, data: bytes) -> None:
        """See ``Part``."""
        match unpack_block(data):
            case ():
                return
            case (int(member), int(boot), int(highest), bytes(packed)) if highest >= 0:
                boots = self._members.setdefault(member, {})
                if boot in boots or len(boots) == BOOTS:
                    raise nonsense("too many sessions of a member")
                boots[boot] = _Boot(highest, _decode_ring(packed))
            case _:
                raise nonsense("not a session")

    def finish_load(self) -> bool:
        """See ``Part``: nothing is left to do."""
        return False


def _encode(session: tuple[Any, ...]) -> bytes:
    if not session:
        return pack_block()
    member, boot, highest, ring = session
    return pack_block(member, boot, highest, zlib.compress(ring, 1))


def _decode_ring(packed: bytes) -> bytes:
    """Return the ring; never more memory than a ring is taken, whatever ``packed`` claims."""
    inflater = zlib.decompressobj()
    try:
        ring = inflater.decompress(packed, WINDOW + 1)
    except zlib.error as error:
        raise nonsense(f"a session: {error}") from error
    if len(ring) != WINDOW or not inflater.eof or ring.count(0) + ring.count(1) != WINDOW:
        raise nonsense("a session without its window")
    return ring
