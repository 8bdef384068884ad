"""Clients that write while members die, and a note of every attempt and its answer.

Each client does one thing after another, at a member of its choice: it writes a new key of its own, deletes
one it wrote, reads one back, or raises a shared counter by compare-and-swap and leaves a receipt in the same
txn. Nothing is ever sent twice. What is not answered with 200 has an unknown outcome, unless no connection
could be made.
"""

import asyncio
import base64
from random import Random
from typing import Any, NamedTuple

import aiohttp

from tests.e2e.processes import Member, now, post

COUNTERS = 3
FIRST_SECONDS = 12.0
"""Longest wait for an answer: a member gives up after 5 s and two election time-outs."""

PAUSE_SECONDS = 0.002
KEPT_REVISIONS = 2000
SMALL, LARGE = 60, 16_000
"""Bytes that are put behind a value to fill the log; one value in sixteen is a large one."""


class Attempt(NamedTuple):
    """One request: ``outcome`` is "acknowledged", "unknown" or "refused" (surely not sent).

    ``kind``: put, delete, raise, read or compact. ``revision``: of the answer's header; 0 without an answer.
    ``number``: for "raise" the value written, 0 when the comparison failed.
    """

    client: int
    kind: str
    key: str
    value: str
    outcome: str
    revision: int
    number: int
    started: float
    ended: float


class Clients:
    """All clients together; ``failures`` are answers that can't be right."""

    def __init__(self, members: list[Member], count: int, seed: int) -> None:
        self.attempts: list[Attempt] = []
        self.failures: list[str] = []
        self.compacted = 0
        self._members = members
        self._stopping = False
        self._count = count
        self._seed = seed

    async def run(self) -> None:
        """Work until ``stop``."""
        timeout = aiohttp.ClientTimeout(total=FIRST_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as tasks:
            for number in range(self._count):
                client = _Client(self, session, number, Random(f"{self._seed}-{number}"))
                tasks.create_task(self._work(client))
            tasks.create_task(self._compact(session))

    def stop(self) -> None:
        """Let every client finish what it does."""
        self._stopping = True

    def acknowledged(self) -> int:
        """How many requests were answered."""
        return sum(attempt.outcome == "acknowledged" for attempt in self.attempts)

    def pick(self, rng: Random) -> Member:
        return rng.choice(self._members)

    async def _work(self, client: "_Client") -> None:
        while not self._stopping:
            await client.step()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _compact(self, session: aiohttp.ClientSession) -> None:
        """Every now and then let go of old revisions."""
        client = _Client(self, session, self._count, Random(self._seed))
        while not self._stopping:
            await asyncio.sleep(0.5)
            newest = max((attempt.revision for attempt in self.attempts), default=0)
            if newest - KEPT_REVISIONS > self.compacted:
                await client.compact(newest - KEPT_REVISIONS)


class _Client:
    """One client: its own keys, and what it knows of them."""

    def __init__(self, clients: Clients, session: aiohttp.ClientSession, number: int, rng: Random) -> None:
        self._clients = clients
        self._session = session
        self._number = number
        self._rng = rng
        self._sequence = 0
        self._mine: dict[str, int] = {}

    async def step(self) -> None:
        self._sequence += 1
        action = self._rng.choices((self._put, self._delete, self._read, self._raise), (10, 3, 2, 3))[0]
        await action()

    async def compact(self, revision: int) -> None:
        answer = await self._send("compact", "", "", "/v3/kv/compaction", {"revision": str(revision)})
        if answer is not None:
            self._clients.compacted = max(self._clients.compacted, revision)

    async def _put(self) -> None:
        key = f"u/{self._number}/{self._sequence}"
        filling = LARGE if self._rng.random() < 1 / 16 else SMALL
        value = f"{key}:{'x' * self._rng.randrange(filling)}"
        answer = await self._send("put", key, value, "/v3/kv/put", {"key": b64(key), "value": b64(value)})
        if answer is not None:
            self._mine[key] = int(answer["header"]["revision"])

    async def _delete(self) -> None:
        if self._mine:
            key = self._rng.choice(list(self._mine))
            del self._mine[key]
            answer = await self._send("delete", key, "", "/v3/kv/deleterange", {"key": b64(key)})
            if answer is not None and answer.get("deleted") != "1":
                self._fail(f"{key} was acknowledged, and a delete of it removed {answer.get('deleted', 0)}")

    async def _read(self) -> None:
        if self._mine:
            key = self._rng.choice(list(self._mine))
            answer = await self._send("read", key, "", "/v3/kv/range", {"key": b64(key)})
            if answer is not None:
                found = [int(pair["mod_revision"]) for pair in answer.get("kvs", [])]
                if found != [self._mine[key]]:
                    self._fail(f"{key} was acknowledged at {self._mine[key]}, and a read found it at {found}")

    async def _raise(self) -> None:
        counter = f"r/{self._rng.randrange(COUNTERS)}"
        answer = await self._send("read", counter, "", "/v3/kv/range", {"key": b64(counter)})
        if answer is None:
            return
        pairs = answer.get("kvs", [])
        seen = int(pairs[0]["mod_revision"]) if pairs else 0
        number = int(base64.b64decode(pairs[0]["value"])) + 1 if pairs else 1
        receipt = f"c/{self._number}/{self._sequence}"
        body = {
            "compare": [{"key": b64(counter), "target": "MOD", "mod_revision": str(seen)}],
            "success": [_put_op(counter, str(number)), _put_op(receipt, f"{counter}:{number}")],
        }
        await self._send("raise", receipt, f"{counter}:{number}", "/v3/kv/txn", body, number=number)

    async def _send(
        self, kind: str, key: str, value: str, path: str, body: dict[str, Any], *, number: int = 0
    ) -> dict[str, Any] | None:
        """Send once and note it; return the answer if there was a good one."""
        member, started = self._clients.pick(self._rng), now()
        outcome, answer = "unknown", None
        try:
            status, fields = await post(self._session, member, path, body)
            if status == 200:
                outcome, answer = "acknowledged", fields
        except aiohttp.ClientConnectorError:
            outcome = "refused"
        except (aiohttp.ClientError, TimeoutError, ValueError):
            pass  # sent, and nobody says what became of it
        if kind == "raise" and answer is not None and not answer.get("succeeded"):
            number = 0
        revision = int(answer["header"]["revision"]) if answer is not None else 0
        self._clients.attempts.append(
            Attempt(self._number, kind, key, value, outcome, revision, number, started, now())
        )
        return answer

    def _fail(self, text: str) -> None:
        self._clients.failures.append(text)


def _put_op(key: str, value: str) -> dict[str, Any]:
    return {"request_put": {"key": b64(key), "value": b64(value)}}


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
