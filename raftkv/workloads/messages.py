"""Messages of the API as workloads send them, in few words, and their answers taken apart."""

from collections.abc import Sequence
from typing import Any, TypeVar

from raftkv.errors import RaftKvError
from raftkv.schema.kv import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRangeRequest,
    DeleteRangeResponse,
    KeyValue,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    ResponseHeader,
    TxnRequest,
    TxnResponse,
)
from raftkv.workloads.outcomes import WrongAnswer
from raftkv.workloads.port import Port

T = TypeVar("T")

One = RangeRequest | PutRequest | DeleteRangeRequest
"""What a txn may hold."""

_ANSWERS: dict[type, type] = {
    RangeRequest: RangeResponse,
    PutRequest: PutResponse,
    DeleteRangeRequest: DeleteRangeResponse,
}


def get(key: str) -> RangeRequest:
    """Read a key."""
    return RangeRequest(key=key.encode())


def get_all(prefix: str) -> RangeRequest:
    """Read all keys that begin with ``prefix``."""
    return RangeRequest(key=prefix.encode(), range_end=end_of(prefix.encode()))


def put(key: str, value: str, lease: int = 0) -> PutRequest:
    """Write a key."""
    return PutRequest(key=key.encode(), value=value.encode(), lease=lease)


async def clear(port: Port, prefix: str) -> int:
    """Delete all keys that begin with ``prefix``, if there are any; return the store's revision.

    Where there are none nothing is sent that could take effect later. Raises what the port raises.
    """
    found = await port.call(get_all(prefix))
    if only(RangeResponse, found).kvs:
        start = prefix.encode()
        found = await port.call(DeleteRangeRequest(key=start, range_end=end_of(start)))
    return revision_of(found)


def end_of(prefix: bytes) -> bytes:
    """Return what comes behind all keys that begin with ``prefix``, of which the last byte is below 255."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def txn(guards: Sequence[Compare], then: Sequence[One], orelse: Sequence[One] = ()) -> TxnRequest:
    """Do ``then`` at once if all guards hold, else ``orelse``."""
    return TxnRequest(list(guards), list(map(_operation, then)), list(map(_operation, orelse)))


def _operation(one: One) -> RequestOp:
    match one:
        case RangeRequest():
            return RequestOp(request_range=one)
        case PutRequest():
            return RequestOp(request_put=one)
        case DeleteRangeRequest():
            return RequestOp(request_delete_range=one)


def unchanged(key: str, mod_revision: int) -> Compare:
    """Hold if a key is still as it was at ``mod_revision``; 0: not there."""
    return Compare(CompareResult.EQUAL, CompareTarget.MOD, key.encode(), mod_revision=mod_revision)


def created_at(key: bytes, create_revision: int) -> Compare:
    """Hold if a key is the one that was created at a revision."""
    return Compare(CompareResult.EQUAL, CompareTarget.CREATE, key, create_revision=create_revision)


def absent(key: str) -> Compare:
    """Hold if a key is not there."""
    return Compare(CompareResult.EQUAL, CompareTarget.VERSION, key.encode(), version=0)


def has_value(key: str, value: str) -> Compare:
    """Hold if a key has a value."""
    return Compare(CompareResult.EQUAL, CompareTarget.VALUE, key.encode(), value=value.encode())


def only(kind: type[T], response: Any) -> T:
    """Return a response that is of its kind. Raises WrongAnswer."""
    if not isinstance(response, kind):
        raise WrongAnswer(f"not a {kind.__name__}: {response}")
    return response


def revision_of(response: Any) -> int:
    """Return the revision in a response's header. Raises WrongAnswer."""
    header = getattr(response, "header", None)
    if not isinstance(header, ResponseHeader):
        raise WrongAnswer(f"a response without a header: {response}")
    return header.revision


def answers_of(request: TxnRequest, response: Any) -> tuple[bool, list[Any]]:
    """Return whether a txn's guards held, and the answers to what it did then. Raises WrongAnswer."""
    answer = only(TxnResponse, response)
    done = request.success if answer.succeeded else request.failure
    wanted = [_ANSWERS[type(_part(one))] for one in done]
    found = [one.response_range or one.response_put or one.response_delete_range for one in answer.responses]
    if list(map(type, found)) != wanted:
        raise WrongAnswer(f"{request} was answered with {response}")
    return answer.succeeded, found


def _part(one: RequestOp) -> Any:
    return one.request_range or one.request_put or one.request_delete_range


async def token_of(port: Port, key: bytes) -> int:
    """Return the revision at which a key was created; 0: it is not there, or nobody knows."""
    try:
        kv = found_in(await port.call(get(key.decode())), key.decode())
    except RaftKvError:
        return 0
    return 0 if kv is None else kv.create_revision


def number_in(value: bytes) -> int:
    """Return the number that a value is; clients write no others. Raises WrongAnswer."""
    try:
        return int(value)
    except ValueError:
        raise WrongAnswer(f"not a number, and so nothing that anybody wrote: {value!r}") from None


def found_in(response: Any, key: str) -> KeyValue | None:
    """Return what a range of one key found; None: it is not there. Raises WrongAnswer."""
    found = only(RangeResponse, response).kvs
    if len(found) > 1 or any(one.key != key.encode() for one in found):
        raise WrongAnswer(f"{key} was asked for, and answered with {response}")
    return found[0] if found else None
