"""A small synchronous client on the standard library, for the command line and for scripts.

The rule of the file: a write that may have happened is never sent a second time. Only a connection
that could not be made proves that nothing happened, so only then the next endpoint is tried.
"""

import base64
import http.client
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from raftkv.client.outcome import OutcomeUnknown
from raftkv.errors import RaftKvError

T = TypeVar("T")
_MAX_REPLY = 64 * 1024 * 1024
_MAX_LINE = 1024 * 1024
_UNKNOWN_TEXTS = ("request timed out", "context deadline exceeded", "server stopped", "leader changed")


class Unreachable(RaftKvError):
    """No connection could be made, so nothing was sent."""


class WrongAnswer(RaftKvError):
    """What answers at this address does not speak the API."""


class Refused(RaftKvError):
    """The server answered with an error: ``status`` (HTTP), ``code`` (gRPC) and its text."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    @property
    def may_have_happened(self) -> bool:
        """Tell whether a write answered like this may still take effect."""
        return any(text in str(self) for text in _UNKNOWN_TEXTS)


class Endpoint(NamedTuple):
    """One member's client address."""

    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> "Endpoint":
        """Read ``http://host:port``; raises ``ValueError`` with a text for people."""
        parts = urlsplit(url if "//" in url else f"//{url}")
        if parts.scheme not in ("", "http") or parts.hostname is None or parts.port is None:
            raise ValueError(f"endpoint {url!r}: expected http://HOST:PORT")
        return cls(parts.hostname, parts.port)

    @property
    def url(self) -> str:
        """The address as a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


class SyncClient:
    """Talks to the members in the order given.

    ``timeout`` in seconds bounds each step of a request; ``patience`` in its place the waits for an answer.
    """

    def __init__(
        self, endpoints: Sequence[str], timeout: float = 10.0, patience: float | None = None
    ) -> None:
        if not endpoints:
            raise ValueError("at least one endpoint is needed")
        self._endpoints = [Endpoint.parse(url) for url in endpoints]
        self._timeout = timeout
        self._patience = patience or timeout

    def put(self, key: bytes, value: bytes) -> dict[str, Any]:
        """Write one key. ``OutcomeUnknown`` means that the write may or may not take effect."""
        try:
            return self._first_reachable("/v3/kv/put", {"key": _base64(key), "value": _base64(value)})
        except Refused as refused:
            if refused.may_have_happened:
                raise OutcomeUnknown(f"{refused}; the write may have happened") from refused
            raise

    def get(self, key: bytes, *, serializable: bool = False) -> bytes | None:
        """Read one key; None when it is not there. A serializable read may be stale."""
        body = {"key": _base64(key), "serializable": serializable}
        kvs = self._first_reachable("/v3/kv/range", body).get("kvs", [])
        return base64.b64decode(kvs[0].get("value", "")) if kvs else None

    def status(self) -> dict[str, Any]:
        """Return the state of the first endpoint itself, as etcd's StatusResponse in JSON."""
        return self._post(self._endpoints[0], "/v3/maintenance/status", {})

    def health(self) -> tuple[bool, str]:
        """Ask the first endpoint whether it can serve; the text is the reason when it can't."""
        status, body = self._request(self._endpoints[0], "GET", "/health", None)
        answer = _json_object(self._endpoints[0], status, body)
        return answer.get("health") == "true", str(answer.get("reason", ""))

    def get_json(self, path: str) -> dict[str, Any]:
        """GET a JSON object from the first endpoint."""
        status, body = self._request(self._endpoints[0], "GET", path, None)
        return _json_object(self._endpoints[0], status, body)

    def post_json(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST to the first endpoint; raises ``Refused`` for an error of the API."""
        return self._post(self._endpoints[0], path, body)

    def compact(self, revision: int, *, physical: bool = False) -> dict[str, Any]:
        """Let history before ``revision`` go; ``physical`` waits until it is gone on that member."""
        return self._first_reachable("/v3/kv/compaction", {"revision": revision, "physical": physical})

    def alarms(self) -> list[tuple[int, str]]:
        """Return (member, alarm) of every alarm that is raised."""
        answer = self._first_reachable("/v3/maintenance/alarm", {})
        return [(int(a.get("memberID", 0)), str(a.get("alarm", "NONE"))) for a in answer.get("alarms", [])]

    def disarm(self, member: int, alarm: str) -> None:
        """Clear one alarm; nothing happens when it is not raised."""
        body = {"action": "DEACTIVATE", "memberID": str(member), "alarm": alarm}
        self._first_reachable("/v3/maintenance/alarm", body)

    def backup(self, write: Callable[[bytes], object]) -> int:
        """Hand a backup of the first endpoint that can be reached to ``write``, piece by piece.

        The last piece is the SHA-256 of those before; it was checked. Return the size of all pieces.
        Raises WrongAnswer when the stream ends early or was changed on its way.
        """
        return self._of_first_reachable(lambda endpoint: self._backup(endpoint, write))

    def _backup(self, endpoint: Endpoint, write: Callable[[bytes], object]) -> int:
        hashed, held, size = sha256(), b"", 0
        with self._asked(endpoint, "POST", "/v3/maintenance/snapshot", b"{}") as reply:
            while line := _read(endpoint, lambda: reply.readline(_MAX_LINE)):
                answer = _json_object(endpoint, reply.status, line)
                if reply.status != http.client.OK or "error" in answer:
                    raise _refusal(reply.status, answer)
                hashed.update(held)
                write(held)
                held = _blob(endpoint, answer)
                size += len(held)
        if held != hashed.digest():
            raise WrongAnswer(f"{endpoint.url}: the backup came incomplete or damaged")
        write(held)
        return size

    def _first_reachable(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._of_first_reachable(lambda endpoint: self._post(endpoint, path, body))

    def _of_first_reachable(self, ask: Callable[[Endpoint], T]) -> T:
        unreachable: list[str] = []
        for endpoint in self._endpoints:
            try:
                return ask(endpoint)
            except Unreachable as error:
                unreachable.append(str(error))
        raise Unreachable("; ".join(unreachable))

    def _post(self, endpoint: Endpoint, path: str, body: dict[str, Any]) -> dict[str, Any]:
        status, raw = self._request(endpoint, "POST", path, json.dumps(body).encode())
        answer = _json_object(endpoint, status, raw)
        if status != http.client.OK:
            raise _refusal(status, answer)
        return answer

    def _request(self, endpoint: Endpoint, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        with self._asked(endpoint, method, path, body) as reply:
            raw = _read(endpoint, lambda: reply.read(_MAX_REPLY + 1))
        if len(raw) > _MAX_REPLY:
            raise WrongAnswer(f"{endpoint.url}: the reply is larger than {_MAX_REPLY} bytes")
        return reply.status, raw

    @contextmanager
    def _asked(
        self, endpoint: Endpoint, method: str, path: str, body: bytes | None
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request and lend its reply; connection and reply are closed at the end."""
        connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=self._timeout)

        def ask() -> http.client.HTTPResponse:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            return connection.getresponse()

        with closing(connection):
            try:
                connection.connect()
            except OSError as error:
                raise Unreachable(f"{endpoint.url}: {error.strerror or error}") from error
            connection.sock.settimeout(self._patience)
            with closing(_read(endpoint, ask)) as reply:
                yield reply


def _read(endpoint: Endpoint, read: Callable[[], T]) -> T:
    """Do something on a connection on which a request was sent: what goes wrong leaves it in doubt."""
    try:
        return read()
    except (OSError, http.client.HTTPException) as error:
        reason = str(error) or type(error).__name__
        raise OutcomeUnknown(f"{endpoint.url}: no answer ({reason})") from error


def _blob(endpoint: Endpoint, answer: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(answer["result"].get("blob", ""), validate=True)
    except (KeyError, AttributeError, TypeError, ValueError):
        raise WrongAnswer(f"{endpoint.url}: what came is no backup") from None


def _refusal(status: int, answer: dict[str, Any]) -> Refused:
    """Return the error of a refused call; that of a stream is one level further down."""
    if isinstance(answer.get("error"), dict):
        answer = answer["error"]
        return Refused(status, int(answer.get("grpc_code", 2)), str(answer.get("message", answer)))
    return Refused(status, int(answer.get("code", 2)), str(answer.get("message", answer)))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _json_object(endpoint: Endpoint, status: int, raw: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(raw)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise WrongAnswer(f"{endpoint.url}: HTTP {status} and no JSON object; is this a member of a cluster?")
    return answer
