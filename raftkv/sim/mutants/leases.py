"""Bugs of leases, and of what is built on them."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any

from raftkv.errors import RaftKvError
from raftkv.mvcc.commands import ExpireLease
from raftkv.mvcc.leases import Leases
from raftkv.mvcc.machine import LeaseRequest, Machine
from raftkv.mvcc.parts import CopiedDump
from raftkv.node.expiry import Expiry, OwnCommand
from raftkv.node.node import Node
from raftkv.schema.lock import LockRequest, LockResponse
from raftkv.service.lock import LockService
from raftkv.service.recipes import Queue
from raftkv.sim.mutants.families import SNAPSHOT
from raftkv.sim.mutants.mutant import Hardness, Mutant, Patch

LEASES = ("early", "eternal", "grows", "lost", "revived", "revoke", "split", "stale", "undead")
"""What can go wrong with leases."""


def s6_leases_left_out(patch: Patch) -> None:
    """Leave the leases out of the snapshot."""
    patch.set(Leases, "dump", lambda _: CopiedDump([]))


def z1_not_reset(patch: Patch) -> None:
    """Let leases run on from when an earlier leader began to count."""
    begin = Expiry._begin

    def begin_long_ago(self: Expiry, term: int) -> None:
        begin(self, term)
        self._since -= 60.0

    patch.set(Expiry, "_begin", begin_long_ago)


def z2_deposed_leader_revokes(patch: Patch) -> None:
    """Propose to revoke a lease as any request: it is proposed again under the next leader, and counts."""
    make, do = Node._make_expiry, Machine._run_lease

    def with_any_leader(self: Node) -> Expiry:
        expiry = make(self)

        async def carry_through(command: OwnCommand) -> None:
            with suppress(RaftKvError):
                await self._proposals.propose(command)

        def propose(command: OwnCommand) -> None:
            asyncio.get_running_loop().create_task(carry_through(command))

        expiry._propose = propose
        return expiry

    def whoever_proposed(self: Machine, request: LeaseRequest, term: int) -> Any:
        if isinstance(request, ExpireLease):
            request = replace(request, term=term)
        return do(self, request, term)

    patch.set(Node, "_make_expiry", with_any_leader)
    patch.set(Machine, "_run_lease", whoever_proposed)


def z4_one_member_alone(patch: Patch) -> None:
    """Let who counts the leases revoke one by itself, without the log."""

    def revoke(self: Expiry, lease: int) -> bool:
        if lease in self._leases:
            self._machine._revoke(lease)
        return True

    patch.set(Expiry, "_expire", revoke)


def z5_lock_without_a_lease(patch: Patch) -> None:
    """Give the lock to whom nobody is before, though its own key is gone with its lease."""

    async def lock(self: LockService, request: LockRequest) -> LockResponse:
        queue = Queue(request.name, self._kv, self._events)
        place = await queue.enter(request.lease, b"")
        front = await queue.wait_for_front(place)
        return LockResponse(front.header, place.key)

    patch.set(LockService, "lock", lock)


MUTANTS = (
    Mutant(
        "S6b",
        "snapshot without the leases",
        s6_leases_left_out,
        Hardness.MEDIUM,
        (*LEASES, "linearizability"),  # where a lease is missing its puts fail, and later revisions differ
        "lease",
    ),
    Mutant("Z1", "new leader expires leases too early", z1_not_reset, Hardness.MEDIUM, ("early",), "lease"),
    Mutant(
        "Z2",
        "lease revoked by a deposed leader",
        z2_deposed_leader_revokes,
        Hardness.HARD,
        ("early",),
        "lease",
    ),
    Mutant(
        "Z4",
        "lease ends on one member by its own clock",
        z4_one_member_alone,
        Hardness.EASY,
        (*SNAPSHOT, *LEASES),
        "lease",
    ),
    Mutant(
        "Z5",
        "lock granted after its waiter's lease has ended",
        z5_lock_without_a_lease,
        Hardness.MEDIUM,
        ("ghost", "exclusion", "fencing"),
        "lock",
    ),
)
