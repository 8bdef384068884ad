"""What every part of the machine offers: a dump of one moment, made in slices, and its loading.

A dump is a sequence of *blocks*, each the bytes of one msgpack array. Blocks of some 256 KiB and some
500 keys keep each step short, so that a member goes on serving while it dumps or loads.
"""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, NamedTuple, Protocol

import msgpack

from raftkv.errors import PeerProtocolError


class Block(NamedTuple):
    """A piece of one part's content, in that part's format ``version``."""

    part: str
    version: int
    data: bytes


class Dump(Protocol):
    """One part as it was in one moment. ``close`` it when it is done with; that may be repeated."""

    def blocks(self) -> Iterator[bytes]:
        """Yield at least one block; each is one bounded step, with anything applied in between."""

    def close(self) -> None:
        """Let go of what was kept for the dump."""


class Part(Protocol):
    """A part of the machine's content.

    A part that is dumped, loaded into an empty one and asked for its ``content`` gives the same.
    """

    name: ClassVar[str]
    version: ClassVar[int]

    def content(self) -> Iterable[Any]:
        """Yield what the part holds, as values for msgpack in an order that is the same everywhere."""

    def dump(self) -> Dump:
        """Hold on to the content as it is now: in one short step, whatever it holds."""

    def load(self, data: bytes) -> None:
        """Take in the next block of a dump, in a part that was empty before the first.

        Raises PeerProtocolError for bytes that no dump of this version holds.
        """

    def finish_load(self) -> bool:
        """Do one bounded step of what is left after the last block; return True while there is more.

        Raises PeerProtocolError when the blocks don't make a whole.
        """


class CopiedDump:
    """The dump of a part that is small enough to be copied in one step."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        """Take the blocks, which must not depend on anything that can still change."""
        self._blocks = blocks

    def blocks(self) -> Iterator[bytes]:
        """See ``Dump``."""
        return iter(self._blocks)

    def close(self) -> None:
        """See ``Dump``: nothing is kept."""


def pack_block(*values: Any) -> bytes:
    """Return the block that holds ``values``."""
    packed: bytes = msgpack.packb(values)
    return packed


def unpack_block(data: bytes) -> tuple[Any, ...]:
    """Return what ``pack_block`` was given, every array as a tuple. Raises PeerProtocolError."""
    try:
        values = msgpack.unpackb(data, use_list=False)
    except (ValueError, msgpack.UnpackException) as error:
        raise nonsense(str(error)) from error
    if not isinstance(values, tuple):
        raise nonsense("a block is no array")
    return values


def nonsense(reason: str) -> PeerProtocolError:
    """Return the error for a dump that no machine of this version makes."""
    return PeerProtocolError(f"not a dump of the state machine: {reason}")
