"""Requests of the model ``mvcc-kv`` as messages of the API, and responses as its answers."""

from typing import Any

from raftkv.checkers.mvcc_kv import Kv
from raftkv.errors import ConfigError
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
    ResponseOp,
    TxnRequest,
    TxnResponse,
)
from raftkv.workloads.outcomes import WrongAnswer
from raftkv.workloads.record import Request

ALL_KEYS = RangeRequest(key=b"k", range_end=b"l")
"""Every key of a scenario; those of the probes begin with another letter."""


def as_txn(words: tuple[str, ...], response: Any) -> TxnResponse:
    """Return the answer to a range of all keys as that to a txn of gets; raises WrongAnswer."""
    if type(response) is not RangeResponse:
        raise WrongAnswer(f"{words} was answered with {response}")
    found = {kv.key: kv for kv in response.kvs}
    if list(found) != sorted(found) or response.count != len(response.kvs) or response.more:
        raise WrongAnswer(f"{words}: keys {list(found)}, count {response.count}, more {response.more}")
    answers = (found.get(key.encode()) for key in words[1:])
    ranges = [RangeResponse(kvs=[kv] if kv is not None else []) for kv in answers]
    return TxnResponse(
        header=response.header,
        succeeded=True,
        responses=[ResponseOp(response_range=one) for one in ranges],
    )


def filled(value: str) -> str:
    """Return the value that a word stands for; raises ConfigError."""
    text, star, size = value.partition("*")
    if star and not size.isdecimal():
        raise ConfigError(f"value {value!r}: use V*900 for V filled up to 900 characters")
    return text.ljust(int(size), ".") if star else value


def to_message(request: Request) -> Any:
    """Return the request as a message of the API."""
    match request:
        case ("txn", compares, then, orelse):
            return TxnRequest(
                compare=[_compare(key, revision) for key, revision in compares],
                success=[_operation(one) for one in then],
                failure=[_operation(one) for one in orelse],
            )
        case ("get", key):
            return RangeRequest(key=key.encode())
        case ("put", key, value):
            return PutRequest(key=key.encode(), value=value.encode())
        case ("delete", key):
            return DeleteRangeRequest(key=key.encode())
    raise AssertionError(f"not a request of the model: {request}")


def _compare(key: str, mod_revision: int) -> Compare:
    return Compare(
        result=CompareResult.EQUAL, target=CompareTarget.MOD, key=key.encode(), mod_revision=mod_revision
    )


def _operation(request: Request) -> RequestOp:
    match to_message(request):
        case RangeRequest() as message:
            return RequestOp(request_range=message)
        case PutRequest() as message:
            return RequestOp(request_put=message)
        case message:
            return RequestOp(request_delete_range=message)


_RESPONSES: dict[str, type] = {
    "get": RangeResponse,
    "put": PutResponse,
    "delete": DeleteRangeResponse,
    "txn": TxnResponse,
}


def fits(request: Request, response: Any) -> bool:
    """Whether a response has the shape of one to the request, a txn's branches included."""
    if type(response) is not _RESPONSES[request[0]]:
        return False
    if not isinstance(response, TxnResponse):
        return True
    branch = request[2] if response.succeeded else request[3]
    parts = [
        one.response_range or one.response_put or one.response_delete_range for one in response.responses
    ]
    return len(parts) == len(branch) and all(map(fits, branch, parts))


def result_of(request: Request, response: Any) -> Any:
    """Return what a response says, as the model has it."""
    match request[0]:
        case "get":
            return _kv(response.kvs[0]) if response.kvs else None
        case "put":
            return None
        case "delete":
            return response.deleted
    branch = request[2] if response.succeeded else request[3]
    results = tuple(
        result_of(one, answer.response_range or answer.response_put or answer.response_delete_range)
        for one, answer in zip(branch, response.responses, strict=True)
    )
    return (response.succeeded, results)


def _kv(found: KeyValue) -> Kv:
    return Kv(found.value.decode(), found.create_revision, found.mod_revision, found.version)
