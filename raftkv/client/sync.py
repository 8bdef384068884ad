"""A small synchronous client on the standard library, for the command line and for scripts.

Each endpoint is asked at most once, and only while nothing can have happened; see ``raftkv.client.rules``.
"""

import base64
import http.client
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from typing import Any, TypeVar

from raftkv.client.endpoint import Endpoint, Endpoints
from raftkv.client.outcome import NoAnswer, Unreachable, WrongAnswer
from raftkv.client.replies import MAX_REPLY, json_object, refusal
from raftkv.client.rules import Call
from raftkv.errors import RaftKvError

T = TypeVar("T")
_MAX_LINE = 1024 * 1024


class SyncClient:
    """Talks to the members in the order given.

    ``timeout`` in seconds bounds each step of a request; ``patience`` in its place the waits for an answer.
    """

    def __init__(
        self, endpoints: Sequence[str], timeout: float = 10.0, patience: float | None = None
    ) -> None:
        self._endpoints = Endpoints(endpoints)
        self._first = self._endpoints.all[0]
        self._timeout = timeout
        self._patience = patience or timeout

    def put(self, key: bytes, value: bytes) -> dict[str, Any]:
        """Write one key. ``OutcomeUnknown`` means that the write may or may not take effect."""
        return self._write("/v3/kv/put", {"key": _base64(key), "value": _base64(value)})

    def get(self, key: bytes, *, serializable: bool = False) -> bytes | None:
        """Read one key; None when it is not there. A serializable read may be stale."""
        body = {"key": _base64(key), "serializable": serializable}
        kvs = self._read("/v3/kv/range", body).get("kvs", [])
        return base64.b64decode(kvs[0].get("value", "")) if kvs else None

    def status(self) -> dict[str, Any]:
        """Return the state of the first endpoint itself, as etcd's StatusResponse in JSON."""
        return self._post(self._first, "/v3/maintenance/status", {})

    def health(self) -> tuple[bool, str]:
        """Ask the first endpoint whether it can serve; the text is the reason when it can't."""
        status, body = self._request(self._first, "GET", "/health", None)
        answer = json_object(self._first, status, body)
        return answer.get("health") == "true", str(answer.get("reason", ""))

    def get_json(self, path: str) -> dict[str, Any]:
        """GET a JSON object from the first endpoint."""
        status, body = self._request(self._first, "GET", path, None)
        return json_object(self._first, status, body)

    def post_json(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST to the first endpoint; raises ``Refused`` for an error of the API."""
        return self._post(self._first, path, body)

    def compact(self, revision: int, *, physical: bool = False) -> dict[str, Any]:
        """Let history before ``revision`` go; ``physical`` waits until it is gone on that member."""
        return self._write("/v3/kv/compaction", {"revision": revision, "physical": physical})

    def alarms(self) -> list[tuple[int, str]]:
        """Return (member, alarm) of every alarm that is raised."""
        answer = self._read("/v3/maintenance/alarm", {})
        return [(int(a.get("memberID", 0)), str(a.get("alarm", "NONE"))) for a in answer.get("alarms", [])]

    def disarm(self, member: int, alarm: str) -> None:
        """Clear one alarm; nothing happens when it is not raised."""
        body = {"action": "DEACTIVATE", "memberID": str(member), "alarm": alarm}
        self._write("/v3/maintenance/alarm", body)

    def members(self, *, serializable: bool = False) -> list[dict[str, Any]]:
        """Return the members as in etcd's API; a serializable list is what one member knows."""
        body = {"linearizable": not serializable}
        members: list[dict[str, Any]] = self._read("/v3/cluster/member/list", body).get("members", [])
        return members

    def change_members(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        """Let the cluster ``add``, ``remove``, ``update`` or ``promote`` a member; see etcd's API."""
        return self._write(f"/v3/cluster/member/{verb}", body)

    def backup(self, write: Callable[[bytes], object]) -> int:
        """Hand a backup of the first endpoint that can be reached to ``write``, piece by piece.

        The last piece is the SHA-256 of those before; it was checked. Return the size of all pieces.
        Raises WrongAnswer when the stream ends early or was changed on its way.
        """
        call = self._call(repeatable=True)
        while True:
            try:
                return self._backup(call.endpoint, write)
            except Unreachable as error:  # any other one may come when pieces were handed over
                call.after(error, 0.0)

    def _backup(self, endpoint: Endpoint, write: Callable[[bytes], object]) -> int:
        hashed, held, size = sha256(), b"", 0
        with self._asked(endpoint, "POST", "/v3/maintenance/snapshot", b"{}") as reply:
            while line := _read(endpoint, lambda: reply.readline(_MAX_LINE)):
                answer = json_object(endpoint, reply.status, line)
                if reply.status != http.client.OK or "error" in answer:
                    raise refusal(reply.status, answer)
                hashed.update(held)
                write(held)
                held = _blob(endpoint, answer)
                size += len(held)
        if held != hashed.digest():
            raise WrongAnswer(f"{endpoint.url}: the backup came incomplete or damaged")
        write(held)
        return size

    def _read(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._answer(self._call(repeatable=True), path, body)

    def _write(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._answer(self._call(repeatable=False), path, body)

    def _call(self, *, repeatable: bool) -> Call:
        """Each endpoint once, without a wait between them: so no clock is needed."""
        return Call(self._endpoints, math.inf, repeatable=repeatable, rounds=1)

    def _answer(self, call: Call, path: str, body: dict[str, Any]) -> dict[str, Any]:
        while True:
            try:
                return self._post(call.endpoint, path, body)
            except RaftKvError as error:
                call.after(error, 0.0)

    def _post(self, endpoint: Endpoint, path: str, body: dict[str, Any]) -> dict[str, Any]:
        status, raw = self._request(endpoint, "POST", path, json.dumps(body).encode())
        answer = json_object(endpoint, status, raw)
        if status != http.client.OK:
            raise refusal(status, answer)
        return answer

    def _request(self, endpoint: Endpoint, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        with self._asked(endpoint, method, path, body) as reply:
            raw = _read(endpoint, lambda: reply.read(MAX_REPLY + 1))
        if len(raw) > MAX_REPLY:
            raise WrongAnswer(f"{endpoint.url}: the reply is larger than {MAX_REPLY} bytes")
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
        raise NoAnswer(f"{endpoint.url}: no answer ({reason})") from error


def _blob(endpoint: Endpoint, answer: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(answer["result"].get("blob", ""), validate=True)
    except (KeyError, AttributeError, TypeError, ValueError):
        raise WrongAnswer(f"{endpoint.url}: what came is no backup") from None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
