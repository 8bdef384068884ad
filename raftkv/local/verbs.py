"""Telling a member started with ``--chaos`` which faults to have: the asking side of ``raftkv.faults``.

``GET /raftkv/v1/chaos`` (``look``) and each ``POST`` (``order``) answer with the same document::

    {"member": "n1",
     "disk": {"log": {"slow_fsync_ms": 50.0, "fail_fsyncs": 0, "full": false, "seconds_left": 9.5,
                      "effects": {"fsyncs_delayed": 3, "delayed_ms": 150.0, "fsyncs_failed": 0,
                                  "refused": 0}},
              "snapshots": {...}},
     "links": [{"from": "n1", "to": "n2", "cut": true, "delay_ms": 0.0, "jitter_ms": 0.0, "drop": 0.0,
                "duplicate": 0.0, "seconds_left": null,
                "effects": {"dropped": 7, "held": 0, "delayed": 0, "duplicated": 0, "requests_failed": 1}}],
     "clock": {"jump_ms": 0.0, "drift_ppm": 0.0, "seconds_left": null, "offset_ms": 0.0,
               "effects": {"reads": 0, "largest_offset_ms": 0.0}}}

Zeros are no fault. ``seconds_left`` is null while there is none, or none that ends by itself. Effects are
counted since the member started, with two exceptions: ``held`` is what waits now on a delayed link, and
``largest_offset_ms`` the largest that a read saw. ``links`` has those that were ever told a fault, each as
seen from this end. ``refused`` counts writes and reservations that did not fit.

``POST /raftkv/v1/chaos/snapshot`` (``snapshot``) takes a snapshot, gives up the log before it and answers
with ``{"index": 120, "term": 3, "bytes": 4096}``.
"""

from typing import Any, Final

import aiohttp

from raftkv.faults.orders import Orders, encode
from raftkv.local.errors import LocalError

PATH: Final = "/raftkv/v1/chaos"
SNAPSHOT_PATH: Final = f"{PATH}/snapshot"
SECONDS: Final = 5.0
SNAPSHOT_SECONDS: Final = 60.0


class VerbRefused(LocalError):
    """A member did not do it; ``status`` is that of HTTP (400 a value, 401 the token, 404 no ``--chaos``)."""

    def __init__(self, url: str, status: int, reason: str) -> None:
        super().__init__(f"{url}: {status}: {reason}")
        self.status = status


class FaultVerbs:
    """The fault verbs of one member at ``url``, its own client URL and not a proxy's.

    Every method raises ``VerbRefused``; and ``aiohttp.ClientError`` or ``TimeoutError`` when the member does
    not answer: what was ordered may be done or not then.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self._session = session
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}

    async def look(self) -> dict[str, Any]:
        """Return the faults there are, and what they have done."""
        return await self._call("GET", PATH, b"", SECONDS)

    async def order(self, orders: Orders) -> dict[str, Any]:
        """Do what is ordered, all of it or nothing; return what ``look`` does, after it."""
        return await self._call("POST", PATH, encode(orders), SECONDS)

    async def heal(self) -> dict[str, Any]:
        """End all faults; return what ``look`` does."""
        return await self.order(Orders(heal=True))

    async def snapshot(self) -> dict[str, Any]:
        """Let the member take a snapshot now; return its index, term and bytes."""
        return await self._call("POST", SNAPSHOT_PATH, b"", SNAPSHOT_SECONDS)

    async def _call(self, method: str, path: str, body: bytes, seconds: float) -> dict[str, Any]:
        async with self._session.request(
            method,
            self._url + path,
            data=body or None,
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(seconds),
            allow_redirects=False,
        ) as reply:
            try:
                answer = await reply.json(content_type=None)
            except ValueError:
                answer = {"error": await reply.text()}
            if reply.status != 200 or not isinstance(answer, dict):
                reason = answer.get("error", "") if isinstance(answer, dict) else "not an object"
                raise VerbRefused(self._url, reply.status, str(reason).strip())
            return answer
