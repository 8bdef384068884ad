"""The operations of a txn.

Each function makes what ``Client``'s method of the same name does at once.
"""

from typing import TypedDict, Unpack

from raftkv.client.keys import Text, as_bytes, prefix_of, range_of
from raftkv.schema.kv import DeleteRangeRequest, PutRequest, RangeRequest, RequestOp


class RangeOptions(TypedDict, total=False):
    """What a read of several keys can be told; all but ``serializable`` and ``revision`` shape the answer.

    ``sort_order`` and ``sort_target`` are ``SortOrder`` and ``SortTarget``. The four limits of revisions
    drop pairs below the minimum or above the maximum.
    """

    limit: int
    revision: int
    sort_order: int
    sort_target: int
    serializable: bool
    keys_only: bool
    count_only: bool
    min_mod_revision: int
    max_mod_revision: int
    min_create_revision: int
    max_create_revision: int


class PutOptions(TypedDict, total=False):
    """``lease``: the id of a lease, at whose end the key goes; ``prev_kv``: the pair before is wanted.

    ``ignore_value`` and ``ignore_lease`` keep what the key has; the key must be there.
    """

    lease: int
    prev_kv: bool
    ignore_value: bool
    ignore_lease: bool


def get(key: Text, *, revision: int = 0, serializable: bool = False) -> RequestOp:
    """Read one key."""
    request = RangeRequest(key=as_bytes(key), revision=revision, serializable=serializable)
    return RequestOp(request_range=request)


def get_range(start: Text, end: Text | None = None, **options: Unpack[RangeOptions]) -> RequestOp:
    """Read the keys in [start, end), without an end all from ``start`` on."""
    first, last = range_of(start, end)
    return RequestOp(request_range=RangeRequest(key=first, range_end=last, **options))


def get_prefix(prefix: Text, **options: Unpack[RangeOptions]) -> RequestOp:
    """Read the keys that begin with ``prefix``."""
    first, last = prefix_of(prefix)
    return RequestOp(request_range=RangeRequest(key=first, range_end=last, **options))


def put(key: Text, value: Text = b"", **options: Unpack[PutOptions]) -> RequestOp:
    """Write one key."""
    return RequestOp(request_put=PutRequest(key=as_bytes(key), value=as_bytes(value), **options))


def delete(key: Text, *, prev_kv: bool = False) -> RequestOp:
    """Delete one key."""
    return RequestOp(request_delete_range=DeleteRangeRequest(key=as_bytes(key), prev_kv=prev_kv))


def delete_range(start: Text, end: Text | None = None, *, prev_kv: bool = False) -> RequestOp:
    """Delete the keys in [start, end), without an end all from ``start`` on."""
    first, last = range_of(start, end)
    return RequestOp(request_delete_range=DeleteRangeRequest(key=first, range_end=last, prev_kv=prev_kv))


def delete_prefix(prefix: Text, *, prev_kv: bool = False) -> RequestOp:
    """Delete the keys that begin with ``prefix``."""
    first, last = prefix_of(prefix)
    return RequestOp(request_delete_range=DeleteRangeRequest(key=first, range_end=last, prev_kv=prev_kv))
