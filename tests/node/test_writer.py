"""The writer: what leaves, and when; on a full disk too, and whatever a crash makes of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from raftkv.errors import StorageError
from raftkv.node import writer as writer_module
from raftkv.node.writer import Writer
from raftkv.raft import HardState, Message, Write
from raftkv.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Heartbeat,
    HeartbeatReply,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
)
from raftkv.sim.disk import DiskCrashed, Outcome, SimDisk
from raftkv.storage import wal as wal_module
from raftkv.storage.records import BATCH_HEADER_BYTES, encode_snapshots
from raftkv.storage.snapshot_format import SnapshotRef
from raftkv.storage.wal import Recovered, Wal
from tests.storage.logs import DIRECTORY, SEGMENT, abandon, create, entry, ref

FULL = 2 * SEGMENT
"""Room for the first two segments and nothing else."""


@pytest.fixture(autouse=True)
def retry_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for room whenever others run, and not only twice a second."""
    monkeypatch.setattr(writer_module, "RETRY_SECONDS", 0)
    monkeypatch.setattr(wal_module, "RETRY_SECONDS", 0)


class Member:
    """A writer over a log on a simulated disk, and what came of it."""

    def __init__(self, disk: SimDisk, wal: Wal) -> None:
        self.disk = disk
        self.wal = wal
        self.sent: list[Message] = []
        self.persisted: list[int] = []
        self.writer = Writer(wal, self._send, self.persisted.append)
        self.check: Callable[[Sequence[Message]], None] = lambda _: None
        self.last_index = 1
        self.number = 0

    def _send(self, messages: Sequence[Message]) -> None:
        self.check(messages)
        self.sent += messages

    def submit(
        self,
        hard_state: HardState | None = None,
        entries: int = 0,
        after: tuple[Message, ...] = (),
        installed: SnapshotRef | None = None,
    ) -> None:
        """Submit the next Write; entries are of 100 bytes and follow the last ones."""
        if installed is not None:
            self.last_index = installed.snapshot.index
        new = tuple(entry(self.last_index + 1 + i, size=100) for i in range(entries))
        self.last_index += entries
        self.number += 1
        snapshot = None if installed is None else installed.snapshot
        self.writer.submit(Write(self.number, hard_state, 0, new, after, snapshot), installed)

    async def fill(self) -> None:
        """Submit entries until they wait for room."""
        while self.wal.has_room or len(self.persisted) == self.number:
            self.submit(entries=1)
            await turns(30)

    async def after_power_loss(self) -> Recovered:
        """Return what a start would find if the power were lost now, on a disk with room."""
        disk = self.disk.power_loss(Outcome.NOTHING)
        disk.capacity = None
        wal, recovered = await Wal.open(disk, DIRECTORY, segment_bytes=SEGMENT)
        await wal.close()
        return recovered


async def turns(count: int = 60) -> None:
    """Let the other tasks run ``count`` times."""
    for _ in range(count):
        await asyncio.sleep(0)


@asynccontextmanager
async def running(disk: SimDisk) -> AsyncIterator[Member]:
    """Run a member on a new log until the block ends, or its writer fails: then raise what failed."""
    member = Member(disk, await create(disk))
    task = asyncio.create_task(member.writer.run())
    try:
        yield member
    finally:
        task.cancel()
        await asyncio.wait({task})
        await abandon(member.wal)
    if not task.cancelled():
        await task


def vote_for(candidate: int, term: int) -> RequestVoteReply:
    return RequestVoteReply(1, candidate, term, granted=True)


def acknowledge(index: int, term: int = 1) -> AppendEntriesReply:
    return AppendEntriesReply(1, 2, term, success=True, index=index, hint_index=0, hint_term=0)


async def test_what_is_submitted_during_a_save_is_the_next_batch() -> None:
    async with running(SimDisk()) as member:
        before = member.wal.counters.batches
        member.submit(entries=1)
        await turns(2)
        for _ in range(5):
            member.submit(entries=1)
        await turns()
        assert member.wal.counters.batches == before + 2
        assert member.persisted == [1, 6]


async def test_messages_leave_in_order_and_only_once_their_write_is_durable() -> None:
    async with running(SimDisk()) as member:
        member.submit(HardState(2, 3, 0), after=(vote_for(3, 2),))
        member.submit(entries=1, after=(acknowledge(2),))
        await turns(1)
        assert member.sent == []
        await turns()
        assert member.sent == [vote_for(3, 2), acknowledge(2)]
        assert (await member.after_power_loss()).hard_state[:2] == (2, 3)


@pytest.mark.parametrize("action", ["write", "sync"])
async def test_a_failed_save_ends_the_writer_and_nothing_leaves(action: str) -> None:
    disk = SimDisk()
    with pytest.raises(StorageError, match="input/output error"):
        async with running(disk) as member:
            disk.fail_next(action, StorageError("input/output error"))
            member.submit(entries=1, after=(acknowledge(2),))
            await turns()
            assert (member.sent, member.persisted) == ([], [])


async def test_a_mark_returns_when_it_is_durable_and_after_the_writes_before_it() -> None:
    async with running(SimDisk()) as member:
        member.submit(entries=9)
        marking = asyncio.create_task(member.writer.mark([ref(10)]))
        await turns(1)
        assert not marking.done()
        await marking
        recovered = await member.after_power_loss()
        assert recovered.snapshots == (ref(10),)
        assert len(recovered.entries) == 10


async def test_a_snapshot_that_is_installed_begins_the_log_anew() -> None:
    async with running(SimDisk()) as member:
        member.submit(entries=3)
        member.submit(HardState(1, 0, 50), entries=2, after=(acknowledge(52),), installed=ref(50))
        await turns()
        recovered = await member.after_power_loss()
        assert (recovered.snapshots, recovered.base_index) == ((ref(50),), 50)
        assert [e.index for e in recovered.entries] == [51, 52]
        assert member.sent == [acknowledge(52)]


async def test_while_entries_wait_for_room_votes_and_heartbeats_go_on() -> None:
    async with running(SimDisk(capacity=FULL)) as member:
        await member.fill()
        done = list(member.persisted)
        assert member.writer.waiting_bytes == 100
        free = (
            vote_for(3, 5),
            RequestVote(1, 2, 5, 9, 1),
            PreVoteReply(1, 2, 6, granted=True),
            HeartbeatReply(1, 2, 5, 7),
            Heartbeat(1, 2, 5, 0, 8),
            AppendEntries(1, 2, 5, 1, 1, (), 0),
            AppendEntriesReply(1, 2, 5, success=False, index=9, hint_index=8, hint_term=1),
        )
        member.submit(HardState(5, 3, 0), after=(*free[:3], acknowledge(member.last_index, 5), *free[3:]))
        await turns()
        assert member.sent == list(free)
        assert member.persisted == done, "the entries before it are not durable"
        assert (await member.after_power_loss()).hard_state[:2] == (5, 3)


async def test_nothing_that_waits_for_room_is_acknowledged_until_there_is_some_and_then_it_is_by_itself() -> (
    None
):
    async with running(SimDisk(capacity=FULL)) as member:
        await member.fill()
        waiting = acknowledge(member.last_index)
        member.submit(HardState(4, 2, 0), after=(waiting, vote_for(2, 4)))
        await turns()
        assert member.sent == [vote_for(2, 4)]
        member.disk.capacity = None
        await turns(200)
        assert member.writer.waiting_bytes == 0
        assert member.sent == [vote_for(2, 4), waiting], "each message leaves once"
        assert member.persisted[-1] == member.number
        recovered = await member.after_power_loss()
        assert len(recovered.entries) == member.last_index


async def test_the_commit_index_saved_ahead_of_entries_is_none_of_theirs() -> None:
    """The log on the disk may still end in entries that a Write in the queue replaces."""
    async with running(SimDisk(capacity=FULL)) as member:
        await member.fill()
        member.submit(HardState(6, 2, member.last_index), entries=1)
        await turns()
        assert (await member.after_power_loss()).hard_state == HardState(6, 2, 1)


async def test_what_each_heartbeat_brings_does_not_pile_up_in_a_long_wait() -> None:
    async with running(SimDisk(capacity=FULL)) as member:
        await member.fill()
        member.submit(entries=1, after=(acknowledge(member.last_index + 1),))
        waiting = len(member.writer._queue)
        for round_ in range(500):
            beat = HeartbeatReply(1, 2, 1, round_)
            member.submit(HardState(1, 0, round_), after=(beat, acknowledge(member.last_index)))
            await turns(3)
        assert len(member.sent) > 450, "heartbeats are answered"
        assert len(member.writer._queue) <= waiting + 2
        assert acknowledge(member.last_index) not in member.sent
        member.disk.capacity = None
        await turns(200)
        assert member.persisted[-1] == member.number
        assert sum(message == acknowledge(member.last_index) for message in member.sent) <= 2
        recovered = await member.after_power_loss()
        assert (len(recovered.entries), recovered.hard_state) == (member.last_index, HardState(1, 0, 499))


async def test_every_vote_of_a_long_wait_is_durable_before_it_leaves() -> None:
    async with running(SimDisk(capacity=FULL)) as member:
        await member.fill()
        for term in range(2, 6):
            member.submit(HardState(term, 3, 0), entries=1, after=(vote_for(3, term), acknowledge(99, term)))
            await turns()
            assert member.sent[-1] == vote_for(3, term)
            assert (await member.after_power_loss()).hard_state[:2] == (term, 3)
        assert len(member.sent) == 4


async def test_votes_wait_too_when_the_reserve_is_used_up() -> None:
    async with running(SimDisk(capacity=FULL)) as member:
        await member.fill()
        term = 1
        while len(member.sent) == term - 1:
            term += 1
            member.submit(HardState(term, 3, 0), after=(vote_for(3, term),))
            await turns()
        assert (await member.after_power_loss()).hard_state[:2] == (term - 1, 3)
        member.disk.capacity = None
        await turns(200)
        assert member.sent[-1] == vote_for(3, term)


async def test_a_mark_overtakes_entries_that_wait_for_room_because_it_is_what_makes_some() -> None:
    async with running(SimDisk(capacity=FULL)) as member:
        await member.fill()
        marking = asyncio.create_task(member.writer.mark([ref(2)]))
        await turns()
        assert marking.done()
        assert (await member.after_power_loss()).snapshots == (ref(2),)
        await member.wal.release(2)
        assert member.persisted[-1] < member.number


async def test_a_mark_that_does_not_fit_any_more_does_not_keep_back_a_vote_that_does() -> None:
    async with running(SimDisk(capacity=FULL)) as member:
        await member.fill()
        mark_bytes = BATCH_HEADER_BYTES + len(encode_snapshots([ref(2)], reset=False))
        segment, term = member.wal._segment, 1
        while segment.size - segment.offset >= mark_bytes:
            term += 1
            member.submit(HardState(term, 3, 0), after=(vote_for(3, term),))
            await turns()
        marking = asyncio.create_task(member.writer.mark([ref(2)]))
        await turns()
        assert not marking.done()
        term += 1
        member.submit(HardState(term, 3, 0), after=(vote_for(3, term),))
        await turns()
        assert member.sent[-1] == vote_for(3, term)
        assert (await member.after_power_loss()).hard_state[:2] == (term, 3)
        member.disk.capacity = None
        await marking


async def test_a_mark_does_not_overtake_a_new_beginning_of_the_log() -> None:
    async with running(SimDisk(capacity=FULL)) as member:
        await member.fill()
        member.submit(HardState(1, 0, 500), entries=5, installed=ref(500))
        marking = asyncio.create_task(member.writer.mark([ref(500), ref(505)]))
        await turns()
        assert not marking.done()
        member.disk.capacity = None
        await turns(200)
        assert marking.done()
        assert (await member.after_power_loss()).snapshots == (ref(500), ref(505))


async def test_a_batch_saved_after_a_vote_that_went_ahead_does_not_take_the_vote_back() -> None:
    """The mark parts the queue, so that a Write of an older term is saved alone."""
    async with running(SimDisk(capacity=FULL)) as member:
        await member.fill()
        member.submit(HardState(2, 0, 500), entries=5, installed=ref(500))
        marking = asyncio.create_task(member.writer.mark([ref(500), ref(505)]))
        await turns(1)
        member.submit(HardState(3, 2, 500), after=(vote_for(2, 3),))
        await turns()
        assert member.sent == [vote_for(2, 3)]
        member.disk.capacity = None
        disks: list[SimDisk] = []
        for _ in range(200):
            disks.append(member.disk.power_loss(Outcome.NOTHING))
            disks[-1].capacity = None
            await turns(1)
        assert marking.done()
        assert member.persisted[-1] == member.number
        for disk in disks:
            wal, recovered = await Wal.open(disk, DIRECTORY, segment_bytes=SEGMENT)
            await wal.close()
            assert recovered.hard_state[:2] == (3, 2)


async def test_a_crash_at_any_io_call_of_a_full_disk_breaks_nothing_that_a_message_said() -> None:
    crash_at, waited, ended = 0, False, False
    while not ended:
        crash_at += 1
        disk = SimDisk(capacity=FULL)
        disk.crash_at = crash_at
        sent: list[Message] = []
        try:
            async with running(disk) as member:
                member.check = sent.extend
                waited += await full_and_free_again(member)
            ended = not disk.fenced
        except (DiskCrashed, StorageError):
            assert disk.fenced
        for outcome in Outcome:
            await check_promises(disk.power_loss(outcome, crash_at), sent)
    assert crash_at > 60
    assert waited


async def full_and_free_again(member: Member) -> bool:
    """Vote and acknowledge while the disk is filled, full, and free again; return whether some waited."""
    term, waited = 1, False
    for capacity in (FULL, FULL, FULL, None, None, FULL + SEGMENT):
        member.disk.capacity = capacity
        for _ in range(4):
            term += 1
            member.submit(HardState(term, term % 3 + 1, 0), after=(vote_for(term % 3 + 1, term),))
            member.submit(entries=2, after=(acknowledge(member.last_index + 2, term),))
            await turns(40)
            waited |= not member.disk.fenced and member.persisted[-1] != member.number
            if member.disk.fenced:
                return waited
    member.disk.capacity = None
    while member.persisted[-1] != member.number and not member.disk.fenced:
        await turns()
    return waited


async def check_promises(disk: SimDisk, sent: Sequence[Message]) -> None:
    """Start on ``disk`` and check that all that the messages said is still so."""
    if not await Wal.exists(disk, DIRECTORY):
        assert sent == []
        return
    disk.capacity = None
    wal, recovered = await Wal.open(disk, DIRECTORY, segment_bytes=SEGMENT)
    await wal.close()
    term, vote, _ = recovered.hard_state
    for message in sent:
        if isinstance(message, RequestVoteReply):
            assert term > message.term or (term, vote) == (message.term, message.target), message
        elif isinstance(message, AppendEntriesReply):
            assert term >= message.term
            assert len(recovered.entries) >= message.index, message
