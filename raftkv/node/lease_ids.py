"""Ids of leases that members pick for their clients."""

from hashlib import blake2b

import msgpack

from raftkv.mvcc.commands import RequestId


def lease_id_of(request_id: RequestId) -> int:
    """Return an id above 0 and below 2**63 that looks random and follows from the request's own.

    So two members, or two starts of one, hardly ever pick the same, and a simulated run is repeatable.
    """
    digest = blake2b(msgpack.packb(request_id), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 1) or 1
