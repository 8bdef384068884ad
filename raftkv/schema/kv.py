"""etcd's KV messages, names and numbers as in its 3.5 wire format (mvccpb, etcdserverpb)."""

from dataclasses import dataclass
from enum import IntEnum

from raftkv.schema.base import bool_, bytes_, enum, forward, int64, message, repeated, uint64


class SortOrder(IntEnum):
    """RangeRequest.SortOrder."""

    NONE = 0
    ASCEND = 1
    DESCEND = 2


class SortTarget(IntEnum):
    """RangeRequest.SortTarget."""

    KEY = 0
    VERSION = 1
    CREATE = 2
    MOD = 3
    VALUE = 4


class CompareResult(IntEnum):
    """Compare.CompareResult."""

    EQUAL = 0
    GREATER = 1
    LESS = 2
    NOT_EQUAL = 3


class CompareTarget(IntEnum):
    """Compare.CompareTarget."""

    VERSION = 0
    CREATE = 1
    MOD = 2
    VALUE = 3
    LEASE = 4


@dataclass(slots=True)
class KeyValue:
    """mvccpb.KeyValue: one key at one revision."""

    key: bytes = bytes_(1)
    create_revision: int = int64(2)
    mod_revision: int = int64(3)
    version: int = int64(4)
    value: bytes = bytes_(5)
    lease: int = int64(6)


@dataclass(slots=True)
class ResponseHeader:
    """Who answered, at which revision of the store, in which term."""

    cluster_id: int = uint64(1)
    member_id: int = uint64(2)
    revision: int = int64(3)
    raft_term: int = uint64(4)


@dataclass(slots=True)
class RangeRequest:
    """Read one key, or the keys in [key, range_end)."""

    key: bytes = bytes_(1)
    range_end: bytes = bytes_(2)
    limit: int = int64(3)
    revision: int = int64(4)
    sort_order: int = enum(5, SortOrder)
    sort_target: int = enum(6, SortTarget)
    serializable: bool = bool_(7)
    keys_only: bool = bool_(8)
    count_only: bool = bool_(9)
    min_mod_revision: int = int64(10)
    max_mod_revision: int = int64(11)
    min_create_revision: int = int64(12)
    max_create_revision: int = int64(13)


@dataclass(slots=True)
class RangeResponse:
    """What a range found; ``count`` is before limit and filters."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    kvs: list[KeyValue] = repeated(2, KeyValue)
    more: bool = bool_(3)
    count: int = int64(4)


@dataclass(slots=True)
class PutRequest:
    """Write one key."""

    key: bytes = bytes_(1)
    value: bytes = bytes_(2)
    lease: int = int64(3)
    prev_kv: bool = bool_(4)
    ignore_value: bool = bool_(5)
    ignore_lease: bool = bool_(6)


@dataclass(slots=True)
class PutResponse:
    """The revision of a put, and the pair before if it was asked for."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    prev_kv: KeyValue | None = message(2, KeyValue)


@dataclass(slots=True)
class DeleteRangeRequest:
    """Delete one key, or the keys in [key, range_end)."""

    key: bytes = bytes_(1)
    range_end: bytes = bytes_(2)
    prev_kv: bool = bool_(3)


@dataclass(slots=True)
class DeleteRangeResponse:
    """How many keys were deleted, and which if it was asked for."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    deleted: int = int64(2)
    prev_kvs: list[KeyValue] = repeated(3, KeyValue)


@dataclass(slots=True)
class Compare:
    """One guard of a txn; the field of the oneof that fits ``target`` is the one compared with."""

    result: int = enum(1, CompareResult)
    target: int = enum(2, CompareTarget)
    key: bytes = bytes_(3)
    version: int = int64(4, oneof="target_union")
    create_revision: int = int64(5, oneof="target_union")
    mod_revision: int = int64(6, oneof="target_union")
    value: bytes = bytes_(7, oneof="target_union")
    lease: int = int64(8, oneof="target_union")
    range_end: bytes = bytes_(64)


@dataclass(slots=True)
class RequestOp:
    """One operation of a txn: exactly one member is set."""

    request_range: RangeRequest | None = message(1, RangeRequest, oneof="request")
    request_put: PutRequest | None = message(2, PutRequest, oneof="request")
    request_delete_range: DeleteRangeRequest | None = message(3, DeleteRangeRequest, oneof="request")
    request_txn: "TxnRequest | None" = message(4, forward("TxnRequest"), oneof="request")


@dataclass(slots=True)
class TxnRequest:
    """If all of ``compare`` hold do ``success``, else ``failure``, in one revision."""

    compare: list[Compare] = repeated(1, Compare)
    success: list[RequestOp] = repeated(2, RequestOp)
    failure: list[RequestOp] = repeated(3, RequestOp)


@dataclass(slots=True)
class ResponseOp:
    """The answer to one operation of a txn, of the same kind."""

    response_range: RangeResponse | None = message(1, RangeResponse, oneof="response")
    response_put: PutResponse | None = message(2, PutResponse, oneof="response")
    response_delete_range: DeleteRangeResponse | None = message(3, DeleteRangeResponse, oneof="response")
    response_txn: "TxnResponse | None" = message(4, forward("TxnResponse"), oneof="response")


@dataclass(slots=True)
class TxnResponse:
    """Which branch ran, and its answers."""

    header: ResponseHeader | None = message(1, ResponseHeader)
    succeeded: bool = bool_(2)
    responses: list[ResponseOp] = repeated(3, ResponseOp)


@dataclass(slots=True)
class CompactionRequest:
    """History before ``revision`` may go; ``physical``: answer when it is gone here."""

    revision: int = int64(1)
    physical: bool = bool_(2)


@dataclass(slots=True)
class CompactionResponse:
    """The current revision."""

    header: ResponseHeader | None = message(1, ResponseHeader)
