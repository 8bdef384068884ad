"""A lock, and a key that only its holder writes (models ``lock``, of both variants).

=================  ============================================================================
``acquire TTL``    take the lock with a new lease
``update V S``     read the protected key, wait S seconds, and write V
``keep``           keep the lease alive
``release``        give the lock up, and the lease
=================  ============================================================================

In the workload ``lock`` each write is guarded by the holder's token, the create revision of the key that
stands for its place, so that one whose lease ran out writes nothing. In ``unfenced`` it is not: who stands
still for longer than its lease lasts, and goes on to write, destroys what the next holder wrote. No lock
service can prevent that, so ``unfenced`` is expected to fail under pauses.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from math import inf, nextafter
from random import Random
from typing import Any, NamedTuple

from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.lock import LockRun
from raftkv.checkers.lock_checks import check_locks
from raftkv.checkers.run_files import write_locks
from raftkv.errors import ConfigError, RaftKvError
from raftkv.schema.lease import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseRevokeRequest,
)
from raftkv.schema.lock import LockRequest, LockResponse, UnlockRequest
from raftkv.workloads.messages import (
    answers_of,
    clear,
    created_at,
    found_in,
    get,
    only,
    put,
    revision_of,
    token_of,
    txn,
)
from raftkv.workloads.outcomes import is_definite, left_nothing
from raftkv.workloads.port import Finding, Port, Truth, Words
from raftkv.workloads.record import Group, Recorder

LONGEST_TTL = 3

FENCED, UNFENCED = "lock", "unfenced"


UNSEEN = 0
"""The token of one whose key was gone when the client looked at it, or could not be looked at."""


class Held(NamedTuple):
    """A lock that this client believes it holds."""

    key: bytes
    token: int
    lease: int


class LockClient(Recorder):
    """One client of a lock. ``name``: of the lock; what it protects is ``NAME-data``."""

    def __init__(self, number: int, name: str) -> None:
        super().__init__(number)
        self._name = name
        self._lock = name.encode()
        self._held: Held | None = None

    async def run(self, words: Words, port: Port) -> Outcome:
        """See ``Client``."""
        try:
            match words:
                case ("acquire", ttl):
                    return await self._acquire(int(ttl), port)
                case ("update", value, seconds):
                    return await self._update(value, float(seconds), port)
                case ("keep",):
                    return await self._keep(port)
                case ("release",):
                    return await self._release(port)
        except RaftKvError as error:  # of what decides nothing
            return Outcome.FAIL if is_definite(error) else Outcome.UNKNOWN
        raise ConfigError(f"no client can do {' '.join(words)!r}")

    def _message(self, key: bytes, lease: int) -> LockRequest:
        return LockRequest(name=key, lease=lease)

    async def _acquire(self, ttl: int, port: Port) -> Outcome:
        """Take the lock; the token is that of its key, read after it is held."""
        await self._release(port)
        begun = port.now()
        granted = only(LeaseGrantResponse, await port.call(LeaseGrantRequest(TTL=ttl)))
        request = ("acquire", self._lock)
        self._sent, self._told = request, None
        try:
            answer = only(LockResponse, await port.call(self._message(self._lock, granted.ID)))
        except RaftKvError as error:
            outcome = Outcome.FAIL if left_nothing(error) else Outcome.UNKNOWN
            return self.write_down(request, begun, port.now(), None, outcome)
        token = await token_of(port, answer.key)
        output = (revision_of(answer), answer.key, token)
        if token != UNSEEN:  # else it is lost already, and the list of changes will tell its token
            self._held = Held(answer.key, token, granted.ID)
        return self.write_down(request, begun, port.now(), output, Outcome.OK)

    async def _update(self, value: str, seconds: float, port: Port) -> Outcome:
        held, key = self._held, f"{self._name}-data"
        if held is None:
            return Outcome.FAIL
        kv = found_in(await port.call(get(key)), key)
        seen = 0 if kv is None else kv.mod_revision
        await port.sleep(seconds)
        begun = port.now()
        guards = [created_at(held.key, held.token)] if self._name == FENCED else []
        message = txn(guards, [put(key, value)])
        request = ("update", self._lock, held.token, key.encode(), seen, value.encode())
        response = await self.attempt(port, message, request, begun)
        if isinstance(response, Outcome):
            return response
        succeeded, _ = answers_of(message, response)
        if not succeeded:
            self._held = None
        output = (revision_of(response), succeeded)
        return self.write_down(request, begun, port.now(), output, Outcome.OK)

    async def _keep(self, port: Port) -> Outcome:
        """Keep the lease alive, or learn that it is gone."""
        if self._held is None:
            return Outcome.FAIL
        held = self._held
        answer = only(LeaseKeepAliveResponse, await port.call(LeaseKeepAliveRequest(ID=held.lease)))
        if answer.TTL <= 0:
            self._held = None
            moment = port.now()
            return self.write_down(("lost", self._lock, held.token), moment, moment, (), Outcome.OK)
        return Outcome.OK

    async def _release(self, port: Port) -> Outcome:
        """Give the lock up, whatever comes of it; the lease goes too, so that the next one need not wait."""
        held, self._held = self._held, None
        if held is None:
            return Outcome.OK
        request, begun = ("release", self._lock, held.token), port.now()
        response = await self.attempt(port, UnlockRequest(key=held.key), request, begun)
        if isinstance(response, Outcome):
            return response
        self.write_down(request, begun, port.now(), (revision_of(response),), Outcome.OK)
        with suppress(RaftKvError):  # it ends by itself as well
            await port.call(LeaseRevokeRequest(ID=held.lease))
        return Outcome.OK


def _with_token(told: Operation, tokens: Mapping[bytes, int]) -> Iterator[Operation]:
    """Yield an operation as it is; an unseen token is what the key was created at, and the lock was lost.

    Where that is not known the lock was never used, and nothing is said of it.
    """
    output: Any = told.output
    if told.input[0] != "acquire" or output is None or output[2] != UNSEEN:
        yield told
    elif (token := tokens.get(output[1])) is not None and told.returned is not None:
        yield told._replace(output=(*output[:2], token))
        moment = nextafter(told.returned, inf)
        yield Operation(told.process, moment, moment, ("lost", told.input[1], token), ())


class LockWorkload(Group[LockClient]):
    """Clients that take turns with one lock, named as the workload."""

    def __init__(self, clients: int, *, name: str = FENCED, longest_pause: float = 0.5) -> None:
        super().__init__(clients, lambda number: LockClient(number, name))
        self.name = name
        self._longest_pause = longest_pause
        self._drawn = 0
        self._left: dict[int, int] = {}

    @staticmethod
    def drawn(clients: int, random: Random, name: str = FENCED) -> "LockWorkload":
        """Make one with choices of its own; some clients stand still for longer than their leases last."""
        return LockWorkload(clients, name=name, longest_pause=random.choice((0.01, 0.1, LONGEST_TTL + 1.0)))

    def draw(self, random: Random, number: int) -> Words:
        """See ``Workload``: a client takes the lock, writes some times, and gives it up or forgets it."""
        self._drawn += 1
        left = self._left.get(number, 0)
        if left == 0:
            self._left[number] = random.randint(1, 5)
            return ("acquire", str(random.randint(1, LONGEST_TTL)))
        self._left[number] = left - 1
        if left == 1:
            return ("release",) if random.random() < 0.8 else ("keep",)
        if random.random() < 0.2:
            return ("keep",)
        long = random.random() < 0.1
        pause = round(random.uniform(0.0, self._longest_pause if long else 0.01), 3)
        return ("update", f"c{number}.{self._drawn}", f"{pause:g}")

    async def prepare(self, port: Port) -> None:
        """See ``Workload``: begin without a holder."""
        await clear(port, self.name)

    def last_words(self, number: int) -> Sequence[Words]:
        """See ``Workload``."""
        return [("release",)]

    def _run(self, truth: Truth | None) -> LockRun:
        changes = truth.changes if truth is not None else ()
        tokens = {one.key: one.create_revision or one.revision for one in changes if one.value is not None}
        operations = [one for told in self.written_down() for one in _with_token(told, tokens)]
        return LockRun(operations, self.name == FENCED, None if truth is None else changes)

    def check(self, truth: Truth | None) -> list[Finding]:
        """See ``Workload``."""
        run = self._run(truth)
        return [Finding(FENCED, check_locks(run), len(run.operations))]

    def histories(self, truth: Truth | None = None) -> dict[str, Sequence[str]]:
        """See ``Workload``."""
        return {FENCED: list(write_locks(self._run(truth)))}
