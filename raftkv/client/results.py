"""What the calls of a client return."""

from dataclasses import dataclass

from raftkv.schema.kv import (
    DeleteRangeResponse,
    KeyValue,
    PutResponse,
    RangeResponse,
    ResponseHeader,
    ResponseOp,
    TxnResponse,
)


@dataclass(frozen=True, slots=True)
class Found:
    """What a read found at ``revision``, the current one.

    ``count``: keys in the range, whatever limit and filters there were; ``more``: the limit cut some off.
    """

    revision: int
    kvs: list[KeyValue]
    count: int
    more: bool


@dataclass(frozen=True, slots=True)
class Written:
    """A put took effect at ``revision``; ``prev_kv``: the pair before, if there was one and it was wanted."""

    revision: int
    prev_kv: KeyValue | None


@dataclass(frozen=True, slots=True)
class Deleted:
    """``deleted`` keys went at ``revision``; ``prev_kvs``: their pairs, if they were wanted."""

    revision: int
    deleted: int
    prev_kvs: list[KeyValue]


@dataclass(frozen=True, slots=True)
class Committed:
    """A txn took effect; ``succeeded``: its guards held; ``results``: one of each operation, in order."""

    revision: int
    succeeded: bool
    results: list["Result"]


Result = Found | Written | Deleted | Committed


def revision_of(header: ResponseHeader | None) -> int:
    """Return the header's revision, 0 where there is none."""
    return header.revision if header is not None else 0


def found(response: RangeResponse) -> Found:
    """Read the answer to a range."""
    return Found(revision_of(response.header), response.kvs, response.count, response.more)


def written(response: PutResponse) -> Written:
    """Read the answer to a put."""
    return Written(revision_of(response.header), response.prev_kv)


def deleted(response: DeleteRangeResponse) -> Deleted:
    """Read the answer to a deletion."""
    return Deleted(revision_of(response.header), response.deleted, response.prev_kvs)


def committed(response: TxnResponse) -> Committed:
    """Read the answer to a txn."""
    results = [_result(each) for each in response.responses]
    return Committed(revision_of(response.header), response.succeeded, results)


def _result(response: ResponseOp) -> Result:
    if response.response_put is not None:
        return written(response.response_put)
    if response.response_delete_range is not None:
        return deleted(response.response_delete_range)
    if response.response_txn is not None:
        return committed(response.response_txn)
    return found(response.response_range or RangeResponse())
