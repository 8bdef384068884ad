"""What waits to be written to one stream: bounded in bytes, taken in the order it was put."""

import asyncio
from collections import deque
from typing import Final

from raftkv.net.frames import HEADER_BYTES, SIGN_OF_LIFE, frame_header
from raftkv.node.tally import PeerTraffic

DEFAULT_LIMIT_BYTES: Final = 64 * 1024 * 1024
WRITE_BYTES: Final = 256 * 1024
"""About how much goes out in one write: enough to share its cost, little to wait behind."""


class Outbox:
    """The body of one stream's request: an asynchronous iterator of what to write next.

    It lives and dies with its stream. A message that was not written when the stream broke is
    dropped with it: only Raft knows whether it still makes sense to send it.
    """

    def __init__(self, limit_bytes: int = DEFAULT_LIMIT_BYTES, traffic: PeerTraffic | None = None) -> None:
        """Begin with a sign of life; ``traffic`` counts what is taken to be written."""
        self._traffic = traffic
        self.waiting_bytes = HEADER_BYTES
        self.takes = 0
        self._limit_bytes = limit_bytes
        self._pieces: deque[bytes] = deque([SIGN_OF_LIFE])  # the request's headers leave with it
        self._filled = asyncio.Event()
        self._filled.set()

    def put(self, payload: bytes) -> bool:
        """Append a frame; False, and nothing done, if more would wait than the limit."""
        size = HEADER_BYTES + len(payload)
        if self.waiting_bytes + size > self._limit_bytes:
            return False
        self.waiting_bytes += size
        self._pieces.append(frame_header(len(payload)) + payload)
        self._filled.set()
        return True

    def put_sign_of_life(self) -> None:
        """Append an empty frame, so that an idle stream is seen to be alive, or found dead."""
        self.waiting_bytes += HEADER_BYTES
        self._pieces.append(SIGN_OF_LIFE)
        self._filled.set()

    def __aiter__(self) -> "Outbox":
        return self

    async def __anext__(self) -> bytes:
        await self._filled.wait()
        return self._take()

    def _take(self) -> bytes:
        taken = [self._pieces.popleft()]
        size = len(taken[0])
        while self._pieces and size + len(self._pieces[0]) <= WRITE_BYTES:
            piece = self._pieces.popleft()
            taken.append(piece)
            size += len(piece)
        if not self._pieces:
            self._filled.clear()
        self.waiting_bytes -= size
        self.takes += 1
        if self._traffic is not None:
            self._traffic.sent_bytes += size
        return b"".join(taken)
