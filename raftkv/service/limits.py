"""How large a request may be, measured as etcd does: by its size in protobuf."""

from typing import Any

from raftkv.errors import MessageTooLarge, RequestTooLarge
from raftkv.schema.size import encoded_size, varint_size

MESSAGE_OVERHEAD_BYTES = 512 * 1024
"""What a message may be larger than ``--max-request-bytes``."""

PROPOSAL_HEADER_BYTES = 13
"""etcd wraps a request into a proposal: two bytes of tag and one of length for a header that holds an
id, which takes ten (on some members of etcd eleven). The request follows under a one-byte tag and its
length."""


def check_message(request: Any, max_request_bytes: int) -> int:
    """Return the size of ``request`` in bytes; raise MessageTooLarge if no server would take it in."""
    size = encoded_size(request)
    limit = max_request_bytes + MESSAGE_OVERHEAD_BYTES
    if size > limit:
        raise MessageTooLarge(size, limit)
    return size


def check_proposal(size: int, max_request_bytes: int) -> None:
    """Raise RequestTooLarge if a request of ``size`` bytes makes too large a proposal."""
    if PROPOSAL_HEADER_BYTES + 1 + varint_size(size) + size > max_request_bytes:
        raise RequestTooLarge
