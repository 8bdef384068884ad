"""A client of the key-value service that writes down what it was told.

Its requests are words, so that they can stand in a scenario:

====================  ==================================================================================
``get K``             read a key
``put K V``           write a key
``delete K``          delete a key
``cas K V``           write a key if it is still as this client saw it last
``move K L V``        delete K and write L, if K is still as this client saw it last; else read both
``scan K...``         read all keys in one txn
``list K...``         read all keys in one range
``past K``            read a key at a revision that this client saw some time ago
``compact``           forget the history below what this client saw
====================  ==================================================================================

A value ``V*900`` is V, filled up to 900 characters.

A ``Session`` is one client, which does one thing at a time. What it wrote down is a history for
``raftkv.checkers``, with the model ``mvcc-kv``.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.mvcc_kv import Kv
from raftkv.errors import ConfigError, NoSpace, ProposalDropped, RaftKvError, RequestError
from raftkv.schema.kv import (
    CompactionRequest,
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

Request = tuple[Any, ...]
"""A request as the model ``mvcc-kv`` has it."""

Call = Callable[[Any], Awaitable[Any]]
"""Sends one message of the API to a member and returns the response."""


REMEMBERED = 5
"""How many answers ago the revision was seen that ``past`` reads at."""


class PastRead(NamedTuple):
    """What a read of ``key`` at an older revision brought; None: no such key then."""

    revision: int
    key: str
    value: str | None


class NotSent(RaftKvError):
    """No connection could be made, so the request certainly had no effect."""


class WrongAnswer(Exception):
    """A response is not one to its request at all."""


class Session:
    """One client: what it has seen of each key, and what it did.

    ``process`` numbers it in the history; an operation without an answer takes its number with it.
    """

    def __init__(self, first_process: int, now: Callable[[], float], every: int) -> None:
        """``every``: the distance to this client's next process number."""
        self.history: list[Operation] = []
        self._process = first_process
        self._every = every
        self._now = now
        self._seen: dict[str, int] = {}
        self._revision = 1
        self._revisions = deque([1], maxlen=REMEMBERED)
        self.past: list[PastRead] = []

    async def run(self, words: tuple[str, ...], call: Call) -> Outcome:
        """Do one request and write down what came of it. Raises WrongAnswer."""
        if words[0] == "compact":
            return await self._compact(call)
        if words[0] == "past":
            return await self._read_past(words[1], call)
        request = self._request(words)
        begun = self._now()
        try:
            response = await call(ALL_KEYS if words[0] == "list" else to_message(request))
        except RaftKvError as error:
            outcome = Outcome.FAIL if is_definite(error) else Outcome.UNKNOWN
            self._write_down(request, begun, None, outcome)
            return outcome
        if words[0] == "list":
            response = as_txn(words, response)
        if not fits(request, response):
            raise WrongAnswer(f"{words} was answered with {response}")
        output = (response.header.revision, result_of(request, response))
        self._learn(request, output)
        self._write_down(request, begun, output, Outcome.OK)
        return Outcome.OK

    def give_up(self, words: tuple[str, ...], begun: float) -> None:
        """Write down a request that this client no longer waits for."""
        if words[0] not in ("compact", "past"):
            self._write_down(self._request(words), begun, None, Outcome.UNKNOWN)

    async def _compact(self, call: Call) -> Outcome:
        """Compact; the model knows nothing of it, because no answer may change by it."""
        try:
            await call(CompactionRequest(revision=self._revision))
        except RaftKvError as error:
            return Outcome.FAIL if is_definite(error) else Outcome.UNKNOWN
        return Outcome.OK

    async def _read_past(self, key: str, call: Call) -> Outcome:
        """Read at an older revision, and keep the answer by itself: the model knows the present only."""
        revision = self._revisions[0]
        try:
            response = await call(RangeRequest(key=key.encode(), revision=revision))
        except RaftKvError as error:
            return Outcome.FAIL if is_definite(error) else Outcome.UNKNOWN
        value = response.kvs[0].value.decode() if response.kvs else None
        self.past.append(PastRead(revision, key, value))
        return Outcome.OK

    def _write_down(self, request: Request, begun: float, output: Any, outcome: Outcome) -> None:
        known = outcome is not Outcome.UNKNOWN
        ended = self._now() if known else None
        self.history.append(Operation(self._process, begun, ended, request, output, outcome))
        if not known:
            self._process += self._every

    def _request(self, words: tuple[str, ...]) -> Request:
        match words:
            case ("get" | "delete", _):
                return words
            case ("put", key, value):
                return ("put", key, filled(value))
            case ("cas", key, value):
                return ("txn", (self._as_seen(key),), (("put", key, filled(value)),), (("get", key),))
            case ("move", source, target, value) if source != target:
                then = (("delete", source), ("put", target, filled(value)))
                return ("txn", (self._as_seen(source),), then, (("get", source), ("get", target)))
            case ("scan" | "list", *keys) if keys:
                return ("txn", (), tuple(("get", key) for key in keys), ())
        raise ConfigError(f"no client can do {' '.join(words)!r}")

    def _as_seen(self, key: str) -> tuple[str, int]:
        return key, self._seen.get(key, 0)

    def _learn(self, request: Request, output: tuple[int, Any]) -> None:
        revision, result = output
        self._revision = max(self._revision, revision)
        self._revisions.append(self._revision)
        if request[0] != "txn":
            self._learn_one(request, revision, result)
            return
        succeeded, results = result
        for one, found in zip(request[2] if succeeded else request[3], results, strict=True):
            self._learn_one(one, revision, found)

    def _learn_one(self, request: Request, revision: int, result: Any) -> None:
        match request[0]:
            case "get":
                self._seen[request[1]] = 0 if result is None else result.mod_revision
            case "put":
                self._seen[request[1]] = revision
            case "delete":
                self._seen[request[1]] = 0


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


def is_definite(error: RaftKvError) -> bool:
    """Whether the error says that the request certainly had no effect."""
    return isinstance(error, NotSent | RequestError | ProposalDropped | NoSpace)


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
