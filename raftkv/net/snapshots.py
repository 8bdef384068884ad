"""Snapshot files between members: one request a chunk, asked for by the member that needs the file.

``GET /raftkv/peer/snapshot/v1/INDEX-TERM?offset=N`` with the hello of every stream; index and term in
hexadecimal as in the names of the files, the offset in bytes. The answer is the chunk; its headers name the
whole file by size and SHA-256 and the chunk by a CRC-32. Because each request stands alone, a broken
connection costs one chunk, and a file is read no faster than its reader writes it.
"""

import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from aiohttp import web

from raftkv.errors import PeerUnavailable, SnapshotGone
from raftkv.net.handshake import Refused, check_hello, printable, read_hello
from raftkv.net.local import Local
from raftkv.net.requests import PeerRequests
from raftkv.node.transport import Receiver, SnapshotChunk
from raftkv.raft.types import PeerEvent

SNAPSHOT_PATH: Final = "/raftkv/peer/snapshot/v1/"
SIZE_HEADER: Final = "Raftkv-Snapshot-Size"
CHECKSUM_HEADER: Final = "Raftkv-Snapshot-Sha256"
CRC_HEADER: Final = "Raftkv-Chunk-Crc32"

MAX_CHUNK_BYTES: Final = 1024 * 1024
"""Longest chunk that is taken; a longer answer is none."""

MAX_FETCHES: Final = 16
"""Chunks being read at a time; bounds what strangers can make the disk do."""

MAX_NUMBER: Final = 2**63 - 1
_NAME: Final = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{1,16})", re.ASCII)
_OFFSET: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_CRC: Final = re.compile(r"[0-9a-f]{8}", re.ASCII)


class Wanted(NamedTuple):
    """What a request asks for."""

    index: int  # type: ignore[assignment]  # the paper's name wins over tuple.index
    term: int
    offset: int

    def path(self) -> str:
        """Return the path and query of the request."""
        return f"{SNAPSHOT_PATH}{self.index:x}-{self.term:x}?offset={self.offset}"


def read_wanted(name: str, query: str) -> Wanted:
    """Return what is asked for; raises Refused (400) where it is no snapshot's name or no offset."""
    found = _NAME.fullmatch(name)
    values = parse_qsl(query, keep_blank_values=True)
    if found is None or len(values) != 1 or values[0][0] != "offset":
        raise Refused(400, "a snapshot is asked for as INDEX-TERM?offset=N")
    offset = values[0][1]
    index, term = int(found[1], 16), int(found[2], 16)
    if not _OFFSET.fullmatch(offset) or max(index, term) > MAX_NUMBER:
        raise Refused(400, f"not a place in a snapshot: {printable(name)} at {printable(offset)}")
    return Wanted(index, term, int(offset))


class SnapshotServer:
    """The answering side; counts what is under way."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self._under_way = 0

    async def answer(self, request: web.BaseRequest, receiver: Receiver | None) -> web.Response:
        """Return a chunk, or a refusal with its reason; without a ``receiver`` this member is not started."""
        try:
            hello = read_hello(request.headers)
            check_hello(hello, self._local.cluster_id, self._local.member_id)
            wanted = read_wanted(request.path.removeprefix(SNAPSHOT_PATH), request.query_string)
            if receiver is None:
                raise Refused(503, "this member is starting or stopping", hello.source)
            if self._under_way >= MAX_FETCHES:
                raise Refused(503, f"{MAX_FETCHES} chunks are on their way already", hello.source)
        except Refused as refused:
            return web.Response(status=refused.status, text=refused.reason)
        self._under_way += 1
        try:
            chunk = await receiver.serve_snapshot(*wanted)
        finally:
            self._under_way -= 1
        if chunk is None:
            receiver.peer_event(hello.source, PeerEvent.SNAPSHOT_FAILED)
            return web.Response(status=404, text="there is no such snapshot here\n")
        headers = self._local.hello(hello.source).headers() | {
            SIZE_HEADER: str(chunk.size),
            CHECKSUM_HEADER: chunk.checksum.hex(),
            CRC_HEADER: f"{zlib.crc32(chunk.data):08x}",
        }
        return web.Response(body=chunk.data, headers=headers, content_type="application/octet-stream")


async def fetch(
    requests: PeerRequests, peer: int, urls: Sequence[str], wanted: Wanted, seconds: float
) -> SnapshotChunk:
    """Bring a chunk; raises PeerUnavailable, SnapshotGone."""
    async with requests.answered(peer, urls, wanted.path(), seconds) as response:
        source = f"member {peer:x}"
        if response.status == 404:
            raise SnapshotGone(f"{source} has no snapshot {wanted.index:x}-{wanted.term:x}")
        length = response.content_length
        if length is None or not 0 < length <= MAX_CHUNK_BYTES:
            raise PeerUnavailable(f"{source}: a chunk of {length} bytes")
        return _chunk(source, wanted, response.headers, await response.content.readexactly(length))


def _chunk(source: str, wanted: Wanted, headers: Mapping[str, str], data: bytes) -> SnapshotChunk:
    """Return the chunk of an answer; raises PeerUnavailable where headers and body don't fit."""
    size, checksum, crc = (headers.get(name, "") for name in (SIZE_HEADER, CHECKSUM_HEADER, CRC_HEADER))
    if not (_OFFSET.fullmatch(size) and _SHA256.fullmatch(checksum) and _CRC.fullmatch(crc)):
        raise PeerUnavailable(f"{source}: the answer does not say which file it is of")
    if zlib.crc32(data) != int(crc, 16):
        raise PeerUnavailable(f"{source}: a chunk arrived damaged at offset {wanted.offset}")
    if wanted.offset + len(data) > int(size):
        raise PeerUnavailable(f"{source}: a chunk beyond the end of a file of {size} bytes")
    return SnapshotChunk(int(size), bytes.fromhex(checksum), wanted.offset, data)
