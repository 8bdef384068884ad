"""Who may talk to whom: what both sides say in their headers, and when they refuse.

The sender says which cluster it belongs to, who it is and whom it means, in which version of the
stream's protocol; the receiver answers with the same about itself. Member and cluster ids are in
hexadecimal, as everywhere in etcd's own headers.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from raftkv import __version__
from raftkv.errors import ConfigError
from raftkv.mvcc.level import FIRST, LEVEL
from raftkv.node.config import check_url

STREAM_PATH: Final = "/raftkv/peer/stream/v1"
PROTOCOL: Final = 1
"""Version of the stream: of its frames and of the meaning of its messages."""

CLUSTER_HEADER: Final = "Raftkv-Cluster-Id"
SOURCE_HEADER: Final = "Raftkv-Source-Id"
TARGET_HEADER: Final = "Raftkv-Target-Id"
PROTOCOL_HEADER: Final = "Raftkv-Protocol"
VERSION_HEADER: Final = "Raftkv-Version"
URLS_HEADER: Final = "Raftkv-Peer-Urls"
LEVEL_HEADER: Final = "Raftkv-Level"

_MAX_ID: Final = 2**64 - 1
_MAX_URLS_CHARS: Final = 2048


class Refused(Exception):
    """A peer is refused: HTTP status, plain reason, and its member id (0 = it named none)."""

    def __init__(self, status: int, reason: str, peer: int = 0) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.peer = peer


class Hello(NamedTuple):
    """What one side says at the start of a stream; ``source`` says it, ``target`` is meant.

    ``urls``: where ``source`` is reached, for a target that does not know it yet. ``level``: what it
    understands of the log, see ``raftkv.mvcc.level``.
    """

    cluster_id: int
    source: int
    target: int
    protocol: int = PROTOCOL
    version: str = __version__
    urls: tuple[str, ...] = ()
    level: int = LEVEL

    def headers(self) -> dict[str, str]:
        """Return the hello as HTTP headers."""
        return {
            CLUSTER_HEADER: f"{self.cluster_id:x}",
            SOURCE_HEADER: f"{self.source:x}",
            TARGET_HEADER: f"{self.target:x}",
            PROTOCOL_HEADER: str(self.protocol),
            VERSION_HEADER: self.version,
            LEVEL_HEADER: str(self.level),
            **({URLS_HEADER: ",".join(self.urls)} if self.urls else {}),
        }


def read_hello(headers: Mapping[str, str]) -> Hello:
    """Return the hello in ``headers``; raises Refused (400) where one is missing or no number."""
    return Hello(
        cluster_id=_number(headers, CLUSTER_HEADER, base=16),
        source=_number(headers, SOURCE_HEADER, base=16),
        target=_number(headers, TARGET_HEADER, base=16),
        protocol=_number(headers, PROTOCOL_HEADER, base=10),
        version=printable(headers.get(VERSION_HEADER, "unknown")),
        level=_number(headers, LEVEL_HEADER, base=10) if LEVEL_HEADER in headers else FIRST,
        urls=_urls(headers.get(URLS_HEADER, "")),
    )


def check_hello(hello: Hello, cluster_id: int, member_id: int) -> None:
    """Raise Refused (412) unless ``hello`` comes from a peer that fits this member.

    The version of the protocol goes first, because the meaning of the rest depends on it.
    """
    if hello.protocol != PROTOCOL:
        raise Refused(
            412,
            f"peer {hello.source:x} (raftkv {hello.version}) speaks version {hello.protocol} of the peer "
            f"protocol, this member (raftkv {__version__}) speaks version {PROTOCOL}",
            hello.source,
        )
    if hello.cluster_id != cluster_id:
        raise Refused(
            412,
            f"peer {hello.source:x} belongs to cluster {hello.cluster_id:x}, this member {member_id:x} to "
            f"cluster {cluster_id:x}",
            hello.source,
        )
    if hello.target != member_id:
        raise Refused(
            412,
            f"peer {hello.source:x} means member {hello.target:x}, this is member {member_id:x}",
            hello.source,
        )
    if hello.source == member_id:
        raise Refused(412, f"another process says to be member {member_id:x} too", hello.source)


def _number(headers: Mapping[str, str], name: str, base: int) -> int:
    text = headers.get(name)
    if text is None:
        raise Refused(400, f"header {name} is missing: not a raftkv peer")
    try:
        number = int(text, base) if len(text) <= 20 else -1
    except ValueError:
        number = -1
    if not 0 < number <= _MAX_ID:
        raise Refused(400, f"header {name} is not a number that fits: {printable(text)}")
    return number


def _urls(text: str) -> tuple[str, ...]:
    """Return the peer URLs in a header, none where one of them can't be used: they are a help only."""
    urls = tuple(url for url in text[:_MAX_URLS_CHARS].split(",") if url)
    try:
        for url in urls:
            check_url("peer-urls", url)
    except ConfigError:
        return ()
    return urls


def printable(text: str, limit: int = 40) -> str:
    """Return at most ``limit`` characters of what a stranger said, fit for a line of a log."""
    return "".join(char if " " <= char <= "~" else ascii(char)[1:-1] for char in text[:limit])
