"""A small synchronous client on the standard library, for the command line and for scripts.

The rule of the file: a write that may have happened is never sent a second time. Only a connection
that could not be made proves that nothing happened, so only then the next endpoint is tried.
"""

import base64
import http.client
import json
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from raftkv.client.outcome import OutcomeUnknown
from raftkv.errors import RaftKvError

_MAX_REPLY = 64 * 1024 * 1024
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
    """Talks to the members in the order given; ``timeout`` in seconds bounds each step of a request."""

    def __init__(self, endpoints: Sequence[str], timeout: float = 10.0) -> None:
        if not endpoints:
            raise ValueError("at least one endpoint is needed")
        self._endpoints = [Endpoint.parse(url) for url in endpoints]
        self._timeout = timeout

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

    def _first_reachable(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        unreachable: list[str] = []
        for endpoint in self._endpoints:
            try:
                return self._post(endpoint, path, body)
            except Unreachable as error:
                unreachable.append(str(error))
        raise Unreachable("; ".join(unreachable))

    def _post(self, endpoint: Endpoint, path: str, body: dict[str, Any]) -> dict[str, Any]:
        status, raw = self._request(endpoint, "POST", path, json.dumps(body).encode())
        answer = _json_object(endpoint, status, raw)
        if status != http.client.OK:
            raise Refused(status, int(answer.get("code", 2)), str(answer.get("message", answer)))
        return answer

    def _request(self, endpoint: Endpoint, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=self._timeout)
        try:
            try:
                connection.connect()
            except OSError as error:
                raise Unreachable(f"{endpoint.url}: {error.strerror or error}") from error
            try:
                connection.request(method, path, body, {"Content-Type": "application/json"})
                reply = connection.getresponse()
                raw = reply.read(_MAX_REPLY + 1)
            except (OSError, http.client.HTTPException) as error:
                reason = str(error) or type(error).__name__
                raise OutcomeUnknown(f"{endpoint.url}: no answer ({reason})") from error
        finally:
            connection.close()
        if len(raw) > _MAX_REPLY:
            raise WrongAnswer(f"{endpoint.url}: the reply is larger than {_MAX_REPLY} bytes")
        return reply.status, raw


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
