"""Short ways to write requests down."""

from raftkv.mvcc.store import Store
from raftkv.schema.kv import (
    CompactionRequest,
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RangeResponse,
    RequestOp,
    TxnRequest,
)

EVERYTHING = {"key": b"\x00", "range_end": b"\x00"}


def put(key: bytes, value: bytes = b"v", **options: object) -> RequestOp:
    return RequestOp(request_put=PutRequest(key, value, **options))


def delete(key: bytes, range_end: bytes = b"", **options: object) -> RequestOp:
    return RequestOp(request_delete_range=DeleteRangeRequest(key, range_end, **options))


def read(key: bytes, range_end: bytes = b"", **options: object) -> RequestOp:
    return RequestOp(request_range=RangeRequest(key, range_end, **options))


def nested(
    success: list[RequestOp] | None = None,
    failure: list[RequestOp] | None = None,
    compare: list[Compare] | None = None,
) -> RequestOp:
    return RequestOp(request_txn=TxnRequest(compare or [], success or [], failure or []))


def store_with(*keys: bytes) -> Store:
    """Return a store in which each of ``keys`` was put once with itself as value, from revision 2 on."""
    store = Store()
    for key in keys:
        store.put(PutRequest(key, key))
    return store


def keys_of(response: RangeResponse) -> list[bytes]:
    return [kv.key for kv in response.kvs]


def compact(store: Store, revision: int) -> None:
    """Compact and remove at once."""
    store.compact(CompactionRequest(revision))
    while store.compact_step(100):
        pass
