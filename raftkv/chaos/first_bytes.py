"""Who sends: found in the first request of a connection between two members.

All members reach one at the same advertised URL, so the proxy in front of it has to find out whose
connection it has. raftkv's members say so in a header of their streams (``raftkv.net.handshake``), etcd's
in ``X-Server-From``, both as a hexadecimal member id.
"""

import re

from raftkv.net.handshake import SOURCE_HEADER

MAX_HEAD_BYTES = 16 * 1024
"""A longer head of a request is not waited for."""

ETCD_HEADER = "X-Server-From"
_HEADER = re.compile(
    rb"\r\n(?:%s|%s):[ \t]*([0-9a-f]{1,16})[ \t]*\r\n" % (SOURCE_HEADER.encode(), ETCD_HEADER.encode()), re.I
)
_END = b"\r\n\r\n"


def is_whole(data: bytes) -> bool:
    """Tell whether the head of the first request is there, or so much that no end of it is waited for."""
    return _END in data or len(data) >= MAX_HEAD_BYTES


def source_of(data: bytes) -> int:
    """Return the id of the member that begins with ``data``, 0 where it does not say."""
    head = data.partition(_END)[0] + b"\r\n"
    found = _HEADER.search(head)
    return int(found[1], 16) if found else 0
