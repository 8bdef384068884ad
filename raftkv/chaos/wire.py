"""Where each message of the API goes over HTTP, and what a failed call is for a workload."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from raftkv.client import outcome
from raftkv.errors import RaftKvError
from raftkv.schema import election, kv, lease, lock
from raftkv.workloads.outcomes import NotSent, WrongAnswer


class Way(NamedTuple):
    """A call: its path and the type of its response. ``streamed``: that comes as a line of a stream.

    ``waits``: it may take as long as others hold what is asked for.
    """

    path: str
    reply: type
    streamed: bool = False
    waits: bool = False


WAYS: dict[type, Way] = {
    kv.RangeRequest: Way("/v3/kv/range", kv.RangeResponse),
    kv.PutRequest: Way("/v3/kv/put", kv.PutResponse),
    kv.DeleteRangeRequest: Way("/v3/kv/deleterange", kv.DeleteRangeResponse),
    kv.TxnRequest: Way("/v3/kv/txn", kv.TxnResponse),
    kv.CompactionRequest: Way("/v3/kv/compaction", kv.CompactionResponse),
    lease.LeaseGrantRequest: Way("/v3/lease/grant", lease.LeaseGrantResponse),
    lease.LeaseRevokeRequest: Way("/v3/lease/revoke", lease.LeaseRevokeResponse),
    lease.LeaseKeepAliveRequest: Way("/v3/lease/keepalive", lease.LeaseKeepAliveResponse, streamed=True),
    lease.LeaseTimeToLiveRequest: Way("/v3/lease/timetolive", lease.LeaseTimeToLiveResponse),
    lease.LeaseLeasesRequest: Way("/v3/lease/leases", lease.LeaseLeasesResponse),
    lock.LockRequest: Way("/v3/lock/lock", lock.LockResponse, waits=True),
    lock.UnlockRequest: Way("/v3/lock/unlock", lock.UnlockResponse),
    election.CampaignRequest: Way("/v3/election/campaign", election.CampaignResponse, waits=True),
    election.ProclaimRequest: Way("/v3/election/proclaim", election.ProclaimResponse),
    election.LeaderRequest: Way("/v3/election/leader", election.LeaderResponse),
    election.ResignRequest: Way("/v3/election/resign", election.ResignResponse),
}
"""Every request that a workload may send."""

GOOD = 200

SEEN_SECONDS = 1.0
AGAIN_SECONDS = 0.02

Seen = Callable[[], int]
"""Returns up to which revision somebody has seen all changes."""


def everything() -> int:
    """Say that nobody has to see anything."""
    return 2**63 - 1


def way_of(message: Any) -> Way:
    """Return where a message goes; a message that no workload sends is an own bug."""
    assert type(message) in WAYS, f"no way for {type(message).__name__}"
    return WAYS[type(message)]


def as_workloads_have_it(error: RaftKvError) -> Exception:
    """Return an error of the client as a workload's port raises it.

    What was never sent is ``NotSent``. A complete answer that is none to the request is ``WrongAnswer``: a
    finding, and no failure. Of all others the client's rules tell whether they are definite.
    """
    reason = error.__cause__ if isinstance(error, outcome.OutcomeUnknown) else error
    match reason:
        case outcome.Unreachable():
            return NotSent(str(reason))
        case outcome.WrongAnswer(status=status) if status == GOOD:
            return WrongAnswer(str(reason))
    return error


async def until_seen(message: Any, seen: Seen) -> None:
    """Hold a compaction back until what it takes away was seen; raises ``NotSent`` when that takes too long.

    Without, the first clients of a cluster that is back after a kill could take away what nobody saw.
    """
    if not isinstance(message, kv.CompactionRequest):
        return
    clock = asyncio.get_running_loop().time
    deadline = clock() + SEEN_SECONDS
    while seen() < message.revision:
        if clock() >= deadline:
            raise NotSent(f"the witnesses have not seen revision {message.revision} yet")
        await asyncio.sleep(AGAIN_SECONDS)
