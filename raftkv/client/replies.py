"""What members answer, read: messages, errors, and lines of a stream. No input or output."""

import json
from collections.abc import Iterator
from typing import Any, TypeVar

from raftkv.client.endpoint import Endpoint
from raftkv.client.outcome import Refused, WrongAnswer, refused
from raftkv.errors import InvalidRequest
from raftkv.schema import json_codec
from raftkv.schema.json_decode import decoder_of

M = TypeVar("M")
OK = 200
MAX_REPLY = 64 * 1024 * 1024
"""Bytes of a reply, or of a line of a stream. etcd's largest are those of a range without a limit."""


def json_object(endpoint: Endpoint, status: int, raw: bytes, **options: Any) -> dict[str, Any]:
    """Read a reply that is one JSON object, with ``options`` of ``json.loads``. Raises WrongAnswer."""
    try:
        answer = json.loads(raw, **options)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        text = f"{endpoint.url}: HTTP {status} and no JSON object; is this a member of a cluster?"
        raise WrongAnswer(text, status)
    return answer


def refusal(status: int, answer: dict[str, Any]) -> Refused:
    """Return the error of a refused call; that of a stream is one level further down."""
    error = answer.get("error")
    if isinstance(error, dict):
        # etcd 3.6 says code where 3.5 says grpc_code
        code, answer = error.get("grpc_code", error.get("code", 2)), error
    else:
        code = answer.get("code", 2)
    return refused(status, code if isinstance(code, int) else 2, str(answer.get("message", answer)))


def message(endpoint: Endpoint, status: int, raw: bytes, cls: type[M]) -> M:
    """Read the reply of a call. Raises Refused and WrongAnswer."""
    if status != OK:
        raise refusal(status, json_object(endpoint, status, raw))
    try:
        return json_codec.decode(cls, raw, max_parts=len(raw) + 1)
    except InvalidRequest as error:
        raise WrongAnswer(f"{endpoint.url}: {error}; is this a member of a cluster?", status) from None


def result_of(endpoint: Endpoint, line: bytes, cls: type[M]) -> M:
    """Read one line of a stream. Raises Refused for an error in it, and WrongAnswer."""
    # no message has a number with a point: as a text it is refused like others
    answer = json_object(endpoint, OK, line, parse_float=str, parse_constant=str)
    if "error" in answer:
        raise refusal(OK, answer)
    result = answer.get("result")
    try:
        if isinstance(result, dict):
            read: M = decoder_of(cls)(result, 0)  # type: ignore[arg-type]  # mypy: a class is hashable
            return read
    except InvalidRequest as error:
        raise WrongAnswer(f"{endpoint.url}: {error}", OK) from None
    raise WrongAnswer(f"{endpoint.url}: a line of a stream without a result", OK)


def only_result(endpoint: Endpoint, status: int, raw: bytes, cls: type[M]) -> M:
    """Read a stream of one message that came as a whole. Raises Refused and WrongAnswer."""
    if status != OK:
        raise refusal(status, json_object(endpoint, status, raw))
    return result_of(endpoint, raw.partition(b"\n")[0], cls)


class Lines:
    """Bytes as they come, cut into lines. A line that is not whole yet is kept back."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes and yield the lines that they complete. Raises WrongAnswer for one without an end."""
        *whole, rest = data.split(b"\n")
        for end in whole:
            line = b"".join([*self._parts, end])
            self._parts, self._size = [], 0
            if line.strip():
                yield line
        self._parts.append(rest)
        self._size += len(rest)
        if self._size > MAX_REPLY:
            raise WrongAnswer(f"{self._endpoint.url}: a line of more than {MAX_REPLY} bytes", OK)

    def end(self) -> Iterator[bytes]:
        """Yield what stands behind the last line's end, if it is one whole object: etcd's errors are."""
        rest, self._parts = b"".join(self._parts), []
        try:
            json.loads(rest)
        except (ValueError, RecursionError):
            return
        yield rest
