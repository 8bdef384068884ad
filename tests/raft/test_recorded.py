"""A recorded member is replayed bit for bit; anything else is named."""

from collections.abc import Callable
from random import Random
from typing import Any, ClassVar

import msgpack
import pytest

from raftkv.errors import ChangeRefused, MemberRemoved, NoLeader, NotLeader
from raftkv.raft import (
    Change,
    ChangeKind,
    Configuration,
    Entry,
    EntryKind,
    HardState,
    PeerEvent,
    Role,
    Snapshot,
    bootstrap_entry,
)
from raftkv.raft.codec import encode_message
from raftkv.raft.contract import Consensus
from raftkv.raft.core import Raft
from raftkv.raft.figure2 import Figure2
from raftkv.raft.messages import (
    AppendEntries,
    Message,
    PreVoteReply,
    RemovedNotice,
    RequestVoteReply,
    TimeoutNow,
)
from raftkv.raft.recorded import CoreMaker, RecordedCore, RecordingRandom, digest_of, replay
from raftkv.trace import Record, Recorder
from tests.raft.mutants import E12, L1, L9

VOTERS = (1, 2, 3)
LOG = [bootstrap_entry(VOTERS, b"")]
FRESH = HardState(1, 0, 1)


class Run:
    """Recorded members that exchange messages in a random order; some are lost, some members restart."""

    def __init__(self, make: CoreMaker, recorder: Recorder, seed: int, **options: Any) -> None:
        self.make, self.recorder, self.options = make, recorder, options
        self.chance = Random(seed)
        self.disks: dict[int, tuple[HardState, list[Entry]]] = {n: (FRESH, list(LOG)) for n in VOTERS}
        self.under_way: list[Message] = []
        self.cores = {node: self.start(node) for node in VOTERS}
        self.committed = 0

    def start(self, node: int) -> Consensus:
        hard_state, entries = self.disks[node]
        rng = Random(self.chance.random())
        core = RecordedCore(self.make, self.recorder, node, entries, hard_state, rng=rng, **self.options)
        return core

    def carry_out(self, node: int) -> None:
        core = self.cores[node]
        while (ready := core.ready()) is not None:
            self.under_way += ready.messages
            if ready.write is not None:
                hard_state, entries = self.disks[node]
                if ready.write.truncate_from:
                    entries = entries[: ready.write.truncate_from - 1]
                self.disks[node] = ready.write.hard_state or hard_state, [*entries, *ready.write.entries]
                core.persisted(ready.write.number)
                self.under_way += ready.write.after
            if ready.committed:
                self.committed += 1
                core.applied(ready.committed[-1].index)

    def act(self) -> None:
        node, dice = self.chance.choice(VOTERS), self.chance.random()
        core = self.cores[node]
        if self.under_way and dice < 0.7:
            message = self.under_way.pop(self.chance.randrange(len(self.under_way)))
            node, core = message.target, self.cores[message.target]
            if dice < 0.68:
                core.step(message)
        elif dice < 0.9:
            core.tick(self.chance.choice((1, 1, 3)))
        elif dice < 0.95:
            self.ask(core)
        elif dice < 0.98:
            core.report(1 + node % 3, PeerEvent.UNREACHABLE)
        else:
            self.cores[node] = self.start(node)
        self.carry_out(node)

    def ask(self, core: Consensus) -> None:
        try:
            core.propose(self.chance.randbytes(5))
            core.read_index(self.chance.randrange(1000))
        except NoLeader:
            pass


def recorded(make: CoreMaker = Raft, seed: int = 1, capacity: int = 100_000, **options: int) -> list[Record]:
    recorder = Recorder(capacity)
    run = Run(make, recorder, seed, **options)
    for _ in range(1500):
        run.act()
    assert run.committed > 0, "nothing happened in this run"
    return recorder.records()


def one_member(**options: Any) -> tuple[RecordedCore, Recorder]:
    recorder = Recorder(1000)
    return RecordedCore(Raft, recorder, 1, LOG, FRESH, rng=Random(1), **options), recorder


def election(core: RecordedCore) -> None:
    """Let member 1 of three lead, its disk at its heels."""

    def settle() -> None:
        while (ready := core.ready()) is not None:
            if ready.write is not None:
                core.persisted(ready.write.number)
            if ready.committed:
                core.applied(ready.committed[-1].index)

    settle()
    while core.status().role is Role.FOLLOWER:
        core.tick()
    core.step(PreVoteReply(2, 1, 2, granted=True))
    settle()
    core.step(RequestVoteReply(2, 1, 2, granted=True))
    settle()
    assert core.status().role is Role.LEADER


@pytest.mark.parametrize("seed", range(5))
def test_a_recorded_run_is_replayed_bit_for_bit(seed: int) -> None:
    """Three members with losses and restarts: every call, effect and digest is the same again."""
    records = recorded(seed=seed)
    outcome = replay(records, Raft)
    assert outcome == (len(records), 0, None)
    assert {"start", "step", "tick", "propose", "ready", "persisted", "applied", "report"} <= {
        record.call for record in records
    }
    assert any(record.draws for record in records)


def test_a_short_core_is_recorded_as_well() -> None:
    """The contract is all that is used."""
    records = recorded(Figure2)
    assert replay(records, Figure2) == (len(records), 0, None)


def test_options_are_recorded_and_given_to_the_new_core() -> None:
    """The election time-out of the recorded core is that of the replayed one."""
    records = recorded(election_ticks=4)
    assert replay(records, Raft).difference is None
    assert {draw for record in records for draw in record.draws} == {4, 5, 6, 7}


def test_a_core_that_runs_without_a_recorder_does_the_same() -> None:
    """Recording changes nothing: equal messages and chance give equal effects."""
    core, _ = one_member()
    bare = Raft(1, LOG, FRESH, rng=Random(1))
    for _ in range(30):
        core.tick()
        bare.tick()
        assert core.ready() == bare.ready()
    assert core.parts == bare.parts


def test_the_intervals_of_a_tick_reach_the_core() -> None:
    """A pause ends a lease only if the core hears of it."""

    class Pauses(Raft):
        heard: ClassVar[list[int]] = []

        def tick(self, intervals: int = 1) -> None:
            self.heard.append(intervals)

    core = RecordedCore(Pauses, Recorder(10), 1, LOG, FRESH, rng=Random(1))
    core.tick()
    core.tick(7)
    assert Pauses.heard == [1, 7]


@pytest.mark.parametrize(
    "other",
    [
        Raft(1, [*LOG, Entry(3, 2, EntryKind.NOOP, b"")], HardState(3, 2, 1), rng=Random(1)),
        Raft(1, [*LOG, Entry(2, 2, EntryKind.NOOP, b"")], HardState(3, 1, 1), rng=Random(1)),
        Raft(1, [*LOG, Entry(2, 2, EntryKind.NOOP, b"")], HardState(4, 2, 1), rng=Random(1)),
        Raft(1, [*LOG, Entry(2, 2, EntryKind.NOOP, b"")], HardState(3, 2, 2), rng=Random(1)),
        Raft(1, LOG, HardState(3, 2, 1), rng=Random(1)),
    ],
    ids=["last term", "vote", "term", "commit", "log"],
)
def test_states_that_differ_have_other_digests(other: Raft) -> None:
    one = Raft(1, [*LOG, Entry(2, 2, EntryKind.NOOP, b"")], HardState(3, 2, 1), rng=Random(1))
    assert len(digest_of(one.status())) == 8
    assert digest_of(one.status()) != digest_of(other.status())


def test_another_core_differs_where_its_bug_shows() -> None:
    """A record of the right core names the first call at which a mutant does otherwise."""
    records = recorded()
    for mutant, what in ((L9, "effects"), (E12, "draws")):
        difference = replay(records, mutant).difference
        assert difference is not None and difference.what == what
    assert replay(records, L1).replayed > 100


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("effects", lambda record: record._replace(effects=msgpack.packb(["ready", [], None, [], [], None]))),
        ("digest", lambda record: record._replace(digest=bytes(8))),
        ("draws", lambda record: record._replace(draws=(*record.draws, 7))),
        ("sequence", lambda record: record._replace(sequence=record.sequence + 1)),
    ],
)
def test_a_tampered_record_is_named(what: str, change: Callable[[Record], Record]) -> None:
    """The difference says which record, and which part of it."""
    records = recorded()
    position = next(n for n, record in enumerate(records) if n > 700 and record.call == "ready")
    records[position] = change(records[position])
    replayed, _, difference = replay(records, Raft)
    assert replayed == position
    assert difference is not None
    assert (difference.record, difference.what) == (records[position], what)
    assert f"record {records[position].sequence}, ready of member" in str(difference)
    assert f"{what}" in str(difference) and "replayed" in str(difference)


def test_a_tampered_argument_shows() -> None:
    """Another command proposed is another entry written."""
    core, recorder = one_member()
    election(core)
    core.propose(b"one")
    core.ready()
    records = recorder.records()
    records[-2] = records[-2]._replace(arguments=msgpack.packb([b"two"]))
    difference = replay(records, Raft).difference
    assert difference is not None and (difference.record.call, difference.what) == ("ready", "effects")


def test_a_missing_record_is_named() -> None:
    records = recorded()
    gone = records.pop(500)
    difference = replay(records, Raft).difference
    assert difference is not None
    assert (difference.what, difference.replayed) == ("sequence", gone.sequence)


def test_an_unknown_call_is_refused() -> None:
    core, recorder = one_member()
    core.tick()
    records = recorder.records()
    records[1] = records[1]._replace(call="sleep")
    with pytest.raises(ValueError, match="no call of the contract: 'sleep'"):
        replay(records, Raft)


def test_an_assertion_of_the_replayed_core_is_a_difference() -> None:
    """A record that no core could have made does not pass for one."""
    core, recorder = one_member()
    election(core)
    core.tick()
    heresy = AppendEntries(2, 1, 2, 1, 1, (), 1)  # a second leader of the term
    records = recorder.records()
    records[-1] = records[-1]._replace(call="step", arguments=msgpack.packb([encode_message(heresy)]))
    difference = replay(records, Raft).difference
    assert difference is not None and "two leaders in term 2" in str(difference)


def test_refusals_are_effects() -> None:
    """An error that a call raised is recorded, and raised again in the replay."""
    core, recorder = one_member()
    with pytest.raises(NoLeader):
        core.propose(b"x")
    with pytest.raises(NotLeader):
        core.propose_change(Change(ChangeKind.ADD_LEARNER, 4), b"four")
    with pytest.raises(NotLeader):
        core.transfer_leadership(2)
    with pytest.raises(MemberRemoved):
        core.step(RemovedNotice(2, 1, 5))
    records = recorder.records()
    assert replay(records, Raft) == (len(records), 0, None)
    refused = records[1]
    assert msgpack.unpackb(refused.effects)[:2] == ["raised", "NoLeader"]
    records[1] = refused._replace(effects=b"\x90")
    assert "NoLeader" in str(replay(records, Raft).difference)


def test_changes_transfers_and_snapshots_are_replayed() -> None:
    """Every call of the contract is recorded with what it needs."""
    core, recorder = one_member()
    election(core)
    with pytest.raises(ChangeRefused):
        core.propose_change(Change(ChangeKind.ADD_LEARNER, 4), b"four")
    core.transfer_leadership(2)
    core.step(TimeoutNow(2, 1, 3))
    core.ready()
    core.applied(1)
    core.compacted(Snapshot(1, 1, Configuration(VOTERS)), 2)
    records = recorder.records()
    assert replay(records, Raft) == (len(records), 0, None)
    assert records[-1].call == "compacted"


def test_a_start_from_a_snapshot_is_replayed() -> None:
    """What the disk held is all in the start record."""
    snapshot = Snapshot(7, 3, Configuration(VOTERS, (4,)))
    entries = [Entry(3, 8, EntryKind.COMMAND, b"x")]
    recorder = Recorder(10)
    core = RecordedCore(Raft, recorder, 1, entries, HardState(3, 2, 7), rng=Random(2), snapshot=snapshot)
    core.tick()
    core.ready()
    assert replay(recorder.records(), Raft) == (3, 0, None)
    assert core.status().log.first_index == 8


def test_the_ring_keeps_the_last_records_and_counts_the_others() -> None:
    """Memory is bounded; calls of members whose start is gone are skipped, and said to be."""
    core, recorder = one_member()
    for _ in range(2000):
        core.tick()
        core.ready()
    records = recorder.records()
    assert len(records) == 1000 and recorder.given_up == 3001
    assert [record.sequence for record in records] == list(range(3002, 4002))
    assert replay(records, Raft) == (0, 1000, None)


def test_a_later_start_in_the_ring_is_where_the_replay_begins() -> None:
    recorder = Recorder(20)
    first = RecordedCore(Raft, recorder, 1, LOG, FRESH, rng=Random(1))
    for _ in range(30):
        first.tick()
    second = RecordedCore(Raft, recorder, 1, LOG, FRESH, rng=Random(2))
    for _ in range(4):
        second.tick()
    assert replay(recorder.records(), Raft) == (5, 15, None)


def test_every_draw_is_noted() -> None:
    """Whichever of the methods a core uses."""
    chance, twin = RecordingRandom(Random(3)), Random(3)
    drawn = [chance.randrange(5, 9), chance.randint(1, 6), chance.random(), chance.randrange(4)]
    assert drawn == [twin.randrange(5, 9), twin.randint(1, 6), twin.random(), twin.randrange(4)]
    assert chance.take() == drawn
    assert chance.take() == []
