"""Leases and what hangs on them (model ``lease``).

==================  ==========================================================
``grant ID TTL``    make a lease
``keepalive ID``    let it begin anew
``revoke ID``       end it
``ttl ID``          ask how long it has left
``put K V ID``      write a key that goes with a lease; ID 0: that stays
``get K``           read a key
``delete K``        delete a key
``rest SECONDS``    after all faults: let time pass
==================  ==========================================================

Most leases are abandoned sooner or later, and have to end by themselves. Clients delete every second key
only: of the others it is certain that they went with their lease, also where a delete had no answer.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

from raftkv.checkers.history import Outcome
from raftkv.checkers.lease import LeaseRun
from raftkv.checkers.lease_checks import check_leases
from raftkv.checkers.run_files import write_leases
from raftkv.errors import ConfigError, RaftKvError
from raftkv.schema.kv import DeleteRangeRequest, DeleteRangeResponse
from raftkv.schema.lease import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseRevokeRequest,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)
from raftkv.workloads.messages import clear, found_in, get, only, put, revision_of
from raftkv.workloads.outcomes import is_definite, no_lease
from raftkv.workloads.port import Finding, Port, Truth, Words
from raftkv.workloads.record import CLIENTS, Group, Recorder, Request

PREFIX = "t"

LONGEST_TTL = 4

GRACE = 6.0
"""Seconds that a lease may live on after its time, when nothing fails any more."""

CLIENTS_A_CROWD = 8
"""Clients from which on there are more keys: else none would stay with its lease until that ends."""

MOST_ASKED = 200
"""Leases that are asked for at the end."""

REST = 2.0
"""Seconds that a client lets pass at a time, so that none takes it for stuck."""


class LeaseClient(Recorder):
    """One client of leases."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.rested_at: float | None = None

    async def run(self, words: Words, port: Port) -> Outcome:
        """See ``Client``."""
        if words[0] == "rest":
            self.rested_at = port.now() if self.rested_at is None else self.rested_at
            await port.sleep(float(words[1]))
            return Outcome.OK
        request, begun = _request(words), port.now()
        self._sent, self._told = request, None
        try:
            response = await port.call(_message(request))
        except RaftKvError as error:
            if no_lease(error) and (told := NOT_FOUND.get(request[0])):
                return self.write_down(request, begun, port.now(), told, Outcome.OK)
            outcome = Outcome.FAIL if is_definite(error) else Outcome.UNKNOWN
            return self.write_down(request, begun, port.now(), None, outcome)
        return self.write_down(request, begun, port.now(), _output(request, response), Outcome.OK)


NOT_FOUND: dict[str, tuple[int, ...]] = {"revoke": (0,), "put": (0,)}
"""What "requested lease not found" is as an answer."""


def _request(words: Words) -> Request:
    match words:
        case ("grant", lease, ttl):
            return ("grant", int(lease), int(ttl))
        case ("keepalive" | "revoke", lease):
            return (words[0], int(lease))
        case ("ttl", lease):
            return ("timetolive", int(lease))
        case ("put", key, value, lease):
            return ("put", key.encode(), value.encode(), int(lease))
        case ("get" | "delete", key):
            return (words[0], key.encode())
    raise ConfigError(f"no client can do {' '.join(words)!r}")


def _message(request: Request) -> Any:
    match request:
        case ("grant", lease, ttl):
            return LeaseGrantRequest(TTL=ttl, ID=lease)
        case ("keepalive", lease):
            return LeaseKeepAliveRequest(ID=lease)
        case ("revoke", lease):
            return LeaseRevokeRequest(ID=lease)
        case ("timetolive", lease):
            return LeaseTimeToLiveRequest(ID=lease)
        case ("put", key, value, lease):
            return put(key.decode(), value.decode(), lease)
        case ("get", key):
            return get(key.decode())
    return DeleteRangeRequest(key=request[1])


def _output(request: Request, response: Any) -> tuple[Any, ...]:
    """Return the answer as the model has it. Raises WrongAnswer."""
    revision = revision_of(response)
    match request[0]:
        case "grant":
            return revision, only(LeaseGrantResponse, response).TTL
        case "keepalive":
            return revision, only(LeaseKeepAliveResponse, response).TTL
        case "timetolive":
            answer = only(LeaseTimeToLiveResponse, response)
            return revision, answer.TTL, answer.grantedTTL
        case "get":
            kv = found_in(response, request[1].decode())
            return revision, None if kv is None else (kv.value, kv.mod_revision, kv.lease)
        case "delete":
            return revision, only(DeleteRangeResponse, response).deleted
    return (revision,)


class LeaseWorkload(Group[LeaseClient]):
    """Clients that make leases, keep some of them alive for a while, and hang keys on them.

    Keys begin with ``t``. Ids of leases are above ``CLIENTS`` times the number drawn.
    """

    name = "lease"

    def __init__(self, clients: int, *, keys: int = 6, patience: float = 0.8) -> None:
        super().__init__(clients, LeaseClient)
        self._keys = [f"{PREFIX}{number}" for number in range(1, keys + 1)]
        self._patience = patience
        self._drawn = 0
        self._held: dict[int, int] = {}

    @staticmethod
    def drawn(clients: int, random: Random) -> "LeaseWorkload":
        """Make one with choices of its own."""
        keys = random.choice((2, 6)) * max(1, clients // CLIENTS_A_CROWD)
        return LeaseWorkload(clients, keys=keys, patience=random.choice((0.8, 0.9, 0.98)))

    def draw(self, random: Random, number: int) -> Words:
        """See ``Workload``."""
        self._drawn += 1
        lease, key, chance = self._held.get(number), random.choice(self._keys), random.random()
        if lease is None or chance > self._patience:
            lease = self._held[number] = CLIENTS * self._drawn + number
            return ("grant", str(lease), str(random.randint(1, LONGEST_TTL)))
        chance = random.random()
        if chance < 0.35:
            return ("keepalive", str(lease))
        if chance < 0.6:
            holder = lease if random.random() < 0.85 else random.choice((0, *self._held.values()))
            return ("put", key, f"c{number}.{self._drawn}", str(holder))
        if chance < 0.8:
            return ("get", key)
        if chance < 0.9:
            return ("ttl", str(lease))
        if chance < 0.95:
            return ("delete", key) if key in self._keys[1::2] else ("get", key)
        del self._held[number]
        return ("revoke", str(lease))

    async def prepare(self, port: Port) -> None:
        """See ``Workload``: begin without keys."""
        await clear(port, PREFIX)

    def last_words(self, number: int) -> Sequence[Words]:
        """See ``Workload``: wait until every lease has to be over, and look."""
        if not self.is_first(number):
            return []
        history = self.written_down()
        ttls = [one.output[1] for one in history if one.input[0] == "grant" and one.output is not None]  # type: ignore[index]
        rests = int((max(ttls, default=LONGEST_TTL) + GRACE) / REST) + 1
        leases = self._granted()
        asked = leases[:: len(leases) // MOST_ASKED + 1]
        looks: list[Words] = [("get", key) for key in self._used()]
        looks += [("ttl", str(lease)) for lease in asked]
        return [*[("rest", f"{REST:g}")] * rests, *looks]

    def _granted(self) -> list[int]:
        """Return the leases that nobody revoked, or nobody certainly."""
        history = self.written_down()
        revoked = {one.input[1] for one in history if one.input[0] == "revoke" and one.outcome is Outcome.OK}
        granted = (one.input[1] for one in history if one.input[0] == "grant")
        return [lease for lease in dict.fromkeys(granted) if lease not in revoked]

    def _used(self) -> list[str]:
        keys = (one.input[1] for one in self.written_down() if one.input[0] in ("put", "get", "delete"))
        return [key.decode() for key in dict.fromkeys(keys)]

    def _run(self, truth: Truth | None) -> LeaseRun:
        rested = [one.rested_at for one in self.sessions if one.rested_at is not None]
        return LeaseRun(
            self.written_down(),
            truth.changes if truth is not None else None,
            min(rested, default=None),
            GRACE,
            truth.slack if truth is not None else 0.0,
        )

    def check(self, truth: Truth | None) -> list[Finding]:
        """See ``Workload``."""
        run = self._run(truth)
        return [Finding(self.name, check_leases(run), len(run.operations))]

    def histories(self, truth: Truth | None = None) -> dict[str, Sequence[str]]:
        """See ``Workload``."""
        return {self.name: list(write_leases(self._run(truth)))}
