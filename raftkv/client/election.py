"""Elections, through the servers' election service: one candidate at a time leads, with a value."""

from raftkv.client.hold import Held, Holding
from raftkv.client.http import Http
from raftkv.client.keys import Text, as_bytes
from raftkv.client.lease import Lease, Leases
from raftkv.client.outcome import Refused
from raftkv.client.subscription import Subscription
from raftkv.schema.election import (
    CampaignRequest,
    CampaignResponse,
    LeaderKey,
    LeaderRequest,
    LeaderResponse,
    ProclaimRequest,
    ProclaimResponse,
)
from raftkv.schema.kv import KeyValue

NO_LEADER = "election: no leader"


class Leadership(Held):
    """The lead of an election, for as long as ``lost`` is not set."""

    def __init__(self, http: Http, lease: Lease, leader: LeaderKey) -> None:
        super().__init__(lease, leader.key)
        self._http = http
        self._leader = leader

    @property
    def revision(self) -> int:
        """The revision at which this candidacy began: greater than that of every leader before."""
        return self._leader.rev

    async def proclaim(self, value: Text) -> None:
        """Replace the value. Raises Refused ("election: not leader") when someone else leads."""
        request = ProclaimRequest(leader=self._leader, value=as_bytes(value))
        await self._http.call("/v3/election/proclaim", request, ProclaimResponse, repeatable=False)

    async def resign(self) -> None:
        """Give up the lead, so that the next candidate has it."""
        await self.release()


class Leaders:
    """What an election's stream brings: the same leader with the same value only once."""

    started = True

    def __init__(self, name: bytes) -> None:
        self._name = name
        self._last = (b"", 0)

    def request(self) -> LeaderRequest:
        """Return the request of a stream; it begins with the leader of then."""
        return LeaderRequest(name=self._name)

    def take(self, reply: LeaderResponse) -> list[KeyValue]:
        """Return the leader, unless it is the one that came last."""
        leader = reply.kv or KeyValue()
        seen, self._last = self._last, (leader.key, leader.mod_revision)
        return [] if seen == self._last else [leader]


class Observation(Subscription[LeaderResponse, KeyValue]):
    """The leaders of an election from now on, and what they proclaim: ``value`` of each.

    A change that is replaced by the next one while a connection is lost is not seen.
    """

    def __init__(self, http: Http, election: "Election") -> None:
        super().__init__(http, "/v3/election/observe", LeaderResponse, Leaders(election.name))
        self._election = election

    async def _prepare(self) -> None:
        await self._election.leader()  # as the stream is silent while there is none, nobody there or not
        self._has_begun = True


class Election:
    """One election. Made by ``Client.election``."""

    def __init__(self, http: Http, leases: Leases, name: Text) -> None:
        self.name = as_bytes(name)
        self._http = http
        self._leases = leases

    def campaign(self, value: Text, *, ttl: int = 10) -> Holding[Leadership]:
        """Stand for election: ``async with`` it, and the block is run as the leader.

        ``ttl``: seconds after which others may lead when this client is not heard of any more.
        """

        async def ask(lease: Lease) -> Leadership:
            request = CampaignRequest(name=self.name, lease=lease.id, value=as_bytes(value))
            reply = await self._http.wait("/v3/election/campaign", request, CampaignResponse, lease.lost)
            return Leadership(self._http, lease, reply.leader or LeaderKey())

        return Holding(self._leases, ttl, ask)

    async def leader(self) -> KeyValue | None:
        """Return the leader's key with its value; None while nobody leads."""
        request = LeaderRequest(name=self.name)
        try:
            reply = await self._http.call("/v3/election/leader", request, LeaderResponse, repeatable=True)
        except Refused as refused:
            if str(refused) == NO_LEADER:
                return None
            raise
        return reply.kv

    def observe(self) -> Observation:
        """Return the leaders from now on, the present one first: ``async for leader in ...``."""
        return Observation(self._http, self)
