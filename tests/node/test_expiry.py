"""The leader's clock of the leases, with a clock that the tests turn."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from raftkv.errors import NodeStopped, NotLeader, RaftKvError, RequestTimedOut, TooManyRequests
from raftkv.mvcc.commands import CheckpointLeases, ExpireLease, RequestId, encode_command
from raftkv.mvcc.machine import Machine
from raftkv.node import countdown as countdown_module
from raftkv.node import expiry as expiry_module
from raftkv.node.config import Config
from raftkv.node.expiry import AGAIN_SECONDS, MOST_EXPIRED, Expiry
from raftkv.node.steps import Steps
from raftkv.schema.kv import PutRequest
from raftkv.schema.lease import LeaseCheckpoint, LeaseGrantRequest, LeaseRevokeRequest
from raftkv.schema.maintenance import AlarmAction, AlarmRequest, AlarmType
from raftkv.trace import discard


class Clock:
    """Stands in for the loop: its time is ``now``."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def create_future(self) -> "asyncio.Future[None]":
        return asyncio.get_running_loop().create_future()


class Leader:
    """A node that leads in term 3, with a grace of one second, whose log is applied when told so."""

    def __init__(self, *, checkpoints: bool = False) -> None:
        self.term = 3
        self.clock = Clock()
        self.machine = Machine()
        self.log: list[Any] = []
        self.fails: RaftKvError | None = None
        self.passes = asyncio.Event()
        self.passes.set()
        self.expiry = Expiry(
            Config(experimental_enable_lease_checkpoint=checkpoints),
            self.clock,  # type: ignore[arg-type]
            self.machine,
            Steps(self.clock.time, discard),
            leads_in=self.leads_in,
            confirmed=self.confirmed,
            propose=self.propose,
            propose_and_wait=self.propose_and_wait,
        )

    def leads_in(self) -> int:
        if not self.term:
            raise NotLeader(9)
        return self.term

    async def confirmed(self) -> None:
        await self.passes.wait()

    def propose(self, command: Any) -> None:
        if self.fails is not None:
            raise self.fails
        self.log.append(command)

    async def propose_and_wait(self, command: Any) -> Any:
        self.propose(command)
        return self.apply()[-1]

    def apply(self, *commands: Any) -> list[Any]:
        """Apply what was proposed, then ``commands``; return the responses."""
        responses = []
        for command in (*self.log, *commands):
            index = self.machine.applied_index + 1
            data = encode_command(RequestId(1, 1, index), command)
            responses.append(self.machine.apply_command(index, data, self.term).response)
        self.log.clear()
        self.expiry.applied(self.term)
        return responses

    def grant(self, lease: int, seconds: int) -> None:
        self.apply(LeaseGrantRequest(seconds, lease))

    async def look(self, seconds: float = 0.0) -> list[Any]:
        """Let time pass and look once; return what was proposed, as if the leader had seen nothing."""
        self.clock.now += seconds
        if self.term:
            await self.expiry._look(self.term)
        return [replace(command, seen=0) for command in self.log]

    def lead(self, term: int, *, applied: bool = True) -> None:
        """Lead in a term, or follow in 0; ``applied``: an entry of that term is applied already."""
        self.term = term
        self.expiry.lead(term) if term else self.expiry.follow()
        if applied:
            self.expiry.applied(term)


@pytest.fixture
async def leader() -> Leader:
    made = Leader()
    made.lead(3)
    return made


async def begun(work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    task = asyncio.create_task(work)
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def test_a_lease_is_revoked_after_its_seconds_and_not_before(leader: Leader) -> None:
    leader.grant(7, 5)
    leader.grant(8, 9)
    assert await leader.look(4.99) == []
    assert await leader.look(0.51) == [ExpireLease(3, 7, 0)]
    leader.apply()
    assert leader.machine.leases.ids() == [8]
    assert await leader.look(3.0) == []


async def test_a_keepalive_lets_a_lease_begin_anew(leader: Leader) -> None:
    leader.grant(7, 5)
    for _ in range(4):
        assert await leader.look(4.0) == []
        assert await leader.expiry.time_to_live(7) == (0, 5)
        assert await leader.expiry.keep_alive(7) == 5
        assert await leader.expiry.time_to_live(7) == (4, 5)
    assert await leader.look(5.5) == [ExpireLease(3, 7, 0)]


async def test_of_no_lease_there_is_nothing_to_tell(leader: Leader) -> None:
    assert await leader.expiry.keep_alive(7) == 0
    assert await leader.expiry.time_to_live(7) == (-1, 0)


async def test_a_revoked_lease_is_counted_down_no_more(leader: Leader) -> None:
    leader.grant(7, 5)
    leader.apply(LeaseRevokeRequest(7))
    assert await leader.look(99.0) == []
    leader.grant(7, 50)
    assert await leader.expiry.time_to_live(7) == (49, 50)


async def test_a_lease_granted_anew_in_the_same_moment_counts_from_the_beginning(leader: Leader) -> None:
    leader.grant(7, 5)
    leader.clock.now += 3
    leader.apply(LeaseRevokeRequest(7), LeaseGrantRequest(60, 7))
    assert await leader.look(10.0) == []
    assert await leader.expiry.time_to_live(7) == (49, 60)


async def test_a_keepalive_does_not_save_a_lease_whose_time_is_over(leader: Leader) -> None:
    """Whether or not its revocation is proposed already: it waits for it."""
    leader.grant(7, 5)
    leader.clock.now += 5.0
    early = await begun(leader.expiry.keep_alive(7))
    await leader.look(0.5)
    late = await begun(leader.expiry.keep_alive(7))
    assert not early.done() and not late.done()
    assert await leader.expiry.time_to_live(7) == (0, 5)
    leader.apply()
    assert (await early, await late) == (0, 0)


async def test_a_keepalive_that_waited_too_long_knows_nothing(leader: Leader) -> None:
    leader.grant(7, 5)
    leader.expiry._timeout = 0.01
    leader.clock.now += 5.0
    with pytest.raises(RequestTimedOut):
        await leader.expiry.keep_alive(7)
    assert leader.expiry._revocations == {}


async def test_the_countdown_of_an_earlier_term_is_freed_in_steps(
    leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All at once it would hold the loop for a tenth of a second with a million leases."""
    monkeypatch.setattr(countdown_module, "_FREED_AT_ONCE", 3)
    for lease in range(1, 8):
        leader.grant(lease, 5)
    old = leader.expiry._countdown
    leader.lead(0)
    leader.lead(5)
    assert len(old) == 7
    freeing = asyncio.create_task(leader.expiry._free_retired())
    await asyncio.sleep(0)
    assert len(old) == 4
    await freeing
    assert len(old) == 0 and leader.expiry._retired == []


@pytest.mark.parametrize("term", [0, 4])
async def test_a_keepalive_is_not_answered_by_who_was_deposed_meanwhile(leader: Leader, term: int) -> None:
    leader.grant(7, 5)
    leader.passes.clear()
    asked = [await begun(work) for work in (leader.expiry.keep_alive(7), leader.expiry.time_to_live(7))]
    leader.lead(term)
    leader.passes.set()
    for task in asked:
        with pytest.raises(NotLeader):
            await task


async def test_who_waits_for_a_revocation_is_sent_to_the_next_leader(leader: Leader) -> None:
    leader.grant(7, 5)
    await leader.look(6.0)
    waiting = await begun(leader.expiry.keep_alive(7))
    leader.lead(0)
    with pytest.raises(NotLeader):
        await waiting


async def test_who_waits_is_told_that_the_node_stops(leader: Leader) -> None:
    leader.grant(7, 5)
    await leader.look(6.0)
    waiting = await begun(leader.expiry.keep_alive(7))
    leader.expiry.stop()
    with pytest.raises(NodeStopped):
        await waiting


async def test_who_does_not_lead_counts_nothing(leader: Leader) -> None:
    leader.grant(7, 5)
    leader.lead(0)
    leader.grant(8, 5)
    leader.clock.now += 99.0
    with pytest.raises(NotLeader):
        await leader.expiry.keep_alive(7)
    leader.lead(5)
    assert await leader.look() == []


async def test_a_new_leader_gives_all_seconds_and_an_election_time_out(leader: Leader) -> None:
    leader.grant(7, 5)
    await leader.look(4.0)
    leader.lead(5)
    assert await leader.expiry.time_to_live(7) == (5, 5)  # also before it has looked at all
    await leader.look()
    assert await leader.look(5.5) == []
    assert await leader.look(1.0) == [ExpireLease(5, 7, 0)]


async def test_a_new_leader_takes_over_in_slices(leader: Leader, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is granted and revoked between two slices is not undone."""
    monkeypatch.setattr(expiry_module, "AT_ONCE", 2)
    for lease in range(1, 8):
        leader.grant(lease, 5)
    leader.lead(5)
    looking = await begun(leader.expiry._take_over(5))
    leader.apply(
        LeaseRevokeRequest(1), LeaseRevokeRequest(2), LeaseGrantRequest(60, 2), LeaseGrantRequest(60, 9)
    )
    await looking
    assert [await leader.expiry.time_to_live(lease) for lease in (1, 2, 3, 9)] == [
        (-1, 0),
        (59, 60),
        (5, 5),
        (59, 60),
    ]
    proposed = await leader.look(7.0)
    assert sorted(one.id for one in proposed) == [3, 4, 5, 6, 7]


async def test_a_thousand_leases_a_second_are_revoked(leader: Leader) -> None:
    for lease in range(1, MOST_EXPIRED + 101):
        leader.grant(lease, 5)
    assert len(await leader.look(6.0)) == MOST_EXPIRED
    leader.apply()
    assert len(await leader.look(0.5)) == 100
    leader.apply()
    assert len(leader.machine.leases) == 0


async def test_a_revocation_that_was_not_possible_is_tried_at_the_next_look(leader: Leader) -> None:
    leader.grant(7, 5)
    leader.fails = TooManyRequests("full")
    assert await leader.look(6.0) == []
    leader.fails = None
    assert await leader.look(0.5) == [ExpireLease(3, 7, 0)]


async def test_a_revocation_without_effect_is_proposed_again(leader: Leader) -> None:
    leader.grant(7, 5)
    assert len(await leader.look(6.0)) == 1
    assert len(await leader.look(AGAIN_SECONDS - 0.5)) == 1
    assert len(await leader.look(1.0)) == 2
    leader.apply()
    assert await leader.look(AGAIN_SECONDS + 1) == []


@pytest.mark.parametrize("in_log", [False, True])
async def test_a_lease_that_was_granted_anew_is_not_ended_by_what_ended_the_first(
    leader: Leader, in_log: bool
) -> None:
    """Whether the revocation was proposed twice, or after entries that were not applied yet."""
    leader.grant(7, 5)
    await leader.look(6.0)
    anew = [LeaseGrantRequest(60, 7), PutRequest(b"a", b"", 7)]
    if in_log:
        leader.log[:0] = [LeaseRevokeRequest(7), *anew]
    else:
        leader.log += anew
        leader.clock.now += AGAIN_SECONDS
        await leader.expiry._look(3)
        assert len(leader.log) == 4
    leader.apply()
    assert leader.machine.leases.ids() == [7]
    assert leader.machine.store.live_keys == 1
    assert await leader.expiry.time_to_live(7) == (59, 60)


async def test_under_corrupt_nothing_is_revoked(leader: Leader) -> None:
    leader.grant(7, 5)
    leader.apply(AlarmRequest(AlarmAction.ACTIVATE, 1, AlarmType.CORRUPT))
    assert await leader.look(60.0) == []
    leader.apply(AlarmRequest(AlarmAction.DEACTIVATE, 1, AlarmType.CORRUPT))
    assert await leader.look(0.5) == [ExpireLease(3, 7, 0)]


async def test_leases_are_listed_by_the_time_at_which_they_are_over(
    leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry_module, "AT_ONCE", 2)
    for lease, seconds in ((1, 30), (2, 10), (3, 20), (4, 40), (5, 5)):
        leader.grant(lease, seconds)
    await leader.expiry.keep_alive(2)
    leader.clock.now += 4.0
    await leader.expiry.keep_alive(5)
    assert await leader.expiry.in_order() == [5, 2, 3, 1, 4]
    leader.lead(0)
    assert await leader.expiry.in_order() == [1, 2, 3, 4, 5]


@pytest.fixture
async def keeper() -> Leader:
    made = Leader(checkpoints=True)
    made.lead(3)
    return made


async def test_every_five_minutes_it_is_kept_how_long_a_lease_has_left(keeper: Leader) -> None:
    keeper.grant(7, 700)
    keeper.grant(8, 300)
    assert await keeper.look(299.0) == []
    assert await keeper.look(2.0) == [ExpireLease(3, 8, 0), CheckpointLeases(3, [LeaseCheckpoint(7, 399)], 0)]
    keeper.apply()
    assert keeper.machine.leases.remaining(7) == 399
    assert await keeper.look(301.0) == [CheckpointLeases(3, [LeaseCheckpoint(7, 98)], 0)]
    keeper.apply()
    assert await keeper.look(97.0) == []
    assert await keeper.look(1.5) == [ExpireLease(3, 7, 0)]


async def test_without_the_option_nothing_is_kept(leader: Leader) -> None:
    leader.grant(7, 900)
    assert await leader.look(600.0) == []


async def test_a_new_leader_begins_at_the_checkpoint(keeper: Leader) -> None:
    keeper.grant(7, 700)
    await keeper.look(301.0)
    keeper.apply()
    keeper.lead(5)
    await keeper.look()
    assert await keeper.expiry.time_to_live(7) == (399, 700)


async def test_a_new_leader_ends_nothing_before_all_of_earlier_terms_is_applied(keeper: Leader) -> None:
    """Such as the clearing of a checkpoint, after which another leader promised all seconds."""
    keeper.grant(7, 700)
    await keeper.look(301.0)
    await keeper.look(301.0)
    keeper.apply()
    assert keeper.machine.leases.remaining(7) == 98
    keeper.lead(5, applied=False)
    assert await keeper.look(100.0) == []
    keeper.term = 4
    keeper.apply(CheckpointLeases(4, [LeaseCheckpoint(7, 0)], keeper.machine.applied_index))
    assert await keeper.look() == []
    keeper.term = 5
    keeper.expiry.applied(5)
    assert await keeper.look() == []
    assert await keeper.expiry.time_to_live(7) == (600, 700)


@pytest.mark.parametrize("applied", [True, False])
async def test_a_keepalive_clears_the_checkpoint_before_it_is_answered(keeper: Leader, applied: bool) -> None:
    """Also one that is on its way into the log: a new leader must not give less than was promised."""
    keeper.grant(7, 700)
    await keeper.look(301.0)
    if applied:
        keeper.apply()
    assert await keeper.expiry.keep_alive(7) == 700
    assert keeper.machine.leases.remaining(7) == 700
    index = keeper.machine.applied_index
    assert await keeper.expiry.keep_alive(7) == 700
    assert keeper.machine.applied_index == index
    assert await keeper.look(301.0) == [CheckpointLeases(3, [LeaseCheckpoint(7, 399)], 0)]


async def test_a_lease_that_was_granted_anew_does_not_inherit_a_checkpoint(keeper: Leader) -> None:
    keeper.grant(7, 700)
    await keeper.look(301.0)
    keeper.log[:0] = [LeaseRevokeRequest(7), LeaseGrantRequest(700, 7)]
    keeper.apply()
    assert keeper.machine.leases.remaining(7) == 700


async def test_a_keepalive_whose_clearing_is_void_is_not_answered(keeper: Leader) -> None:
    keeper.grant(7, 700)
    await keeper.look(301.0)
    keeper.apply()

    async def overwritten(command: Any) -> Any:
        return None

    keeper.expiry._propose_and_wait = overwritten
    with pytest.raises(NotLeader):
        await keeper.expiry.keep_alive(7)
