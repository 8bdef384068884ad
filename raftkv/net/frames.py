"""Frames: a message's bytes behind their length, 4 bytes big-endian.

A frame of length 0 carries nothing and says only that the sender is alive.
"""

from collections.abc import Iterator
from typing import Final

from raftkv.errors import PeerProtocolError

MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
"""Longest payload of a frame; a message of Raft is rarely over 1 MiB."""

HEADER_BYTES: Final = 4
SIGN_OF_LIFE: Final = bytes(HEADER_BYTES)


def frame_header(length: int) -> bytes:
    """Return what goes before a payload of ``length`` bytes."""
    return length.to_bytes(HEADER_BYTES, "big")


class FrameReader:
    """Cuts a byte stream that arrives in pieces of any size into payloads."""

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._rest = bytearray()

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield each payload that ``piece`` completes; the iterator must be run to its end.

        Raises PeerProtocolError at a frame that says to be longer than allowed, before any of it is
        kept. Nothing can be read from the stream after that.
        """
        self._rest += piece
        start = 0
        while len(self._rest) >= start + HEADER_BYTES:
            payload_start = start + HEADER_BYTES
            length = int.from_bytes(self._rest[start:payload_start], "big")
            if length > self._max_frame_bytes:
                raise PeerProtocolError(f"a frame of {length} bytes, more than {self._max_frame_bytes}")
            if len(self._rest) < payload_start + length:
                break
            start = payload_start + length
            if length:
                yield bytes(memoryview(self._rest)[payload_start:start])
        del self._rest[:start]

    @property
    def unfinished_bytes(self) -> int:
        """How much of a frame that is not complete yet is held."""
        return len(self._rest)
