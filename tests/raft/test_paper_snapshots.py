"""Claims of the thesis about compaction, chapter 5 (see ``test_paper``)."""

from collections.abc import Sequence

import pytest

from raftkv.raft import Configuration, Entry, EntryKind, HardState, Message, Part, PeerEvent, Role, Snapshot
from raftkv.raft.membership import encode_configuration
from raftkv.raft.messages import AppendEntries, AppendEntriesReply, Heartbeat, InstallSnapshot
from tests.raft.group import ELECTION_TICKS, CoreMaker, Group
from tests.raft.single import Single, of

pytestmark = pytest.mark.needs(Part.SNAPSHOTS)

THREE = Configuration((1, 2, 3))
FOUR = Configuration((1, 2, 3, 4))


def at(index: int, term: int, configuration: Configuration = THREE) -> Snapshot:
    return Snapshot(index, term, configuration)


def test_a_snapshot_stands_for_the_log_up_to_its_index(make: CoreMaker) -> None:
    """§5.1: once it is written, the server discards the entries up to its last included index."""
    one = Single(make, (1, 1, 1, 1), commit=3)
    snapshot = one.compact(3)
    log = one.status.log
    assert (log.first_index, log.last_index, log.term(3), log.term(2)) == (4, 4, 1, None)
    assert one.status.snapshot == snapshot


def test_some_entries_behind_a_snapshot_may_stay(make: CoreMaker) -> None:
    """§5.1.3: servers may keep entries a while longer, for followers that are a little behind."""
    one = Single(make, (1, 1, 1, 1), commit=3)
    one.compact(3, keep=2)
    assert one.status.log.first_index == 2
    (reply,) = of(AppendEntriesReply, one.append((2, 1), 1))
    assert (reply.success, reply.index) == (True, 3)


def test_consistency_is_checked_right_behind_a_snapshot(make: CoreMaker) -> None:
    """§5.1: the last included index and term stay known, for the check of the entry that follows."""
    one = Single(make, (1, 1, 1), commit=3)
    one.compact(3)
    assert [reply.success for reply in of(AppendEntriesReply, one.append((3, 1), 1))] == [True]
    refused = Single(make, (1, 1, 1), commit=3)
    refused.compact(3)
    assert [reply.success for reply in of(AppendEntriesReply, refused.append((3, 2), 2, term=2))] == [False]


def test_a_vote_is_weighed_by_the_snapshot_when_the_log_is_empty(make: CoreMaker) -> None:
    """§5.1, §3.6.1: its last included index and term are those of the last entry."""
    one = Single(make, (1, 2, 2), commit=3)
    one.compact(3)
    assert [reply.granted for reply in one.ask_vote(5, (2, 2))] == [False]  # type: ignore[union-attr]
    assert [reply.granted for reply in one.ask_vote(6, (3, 2))] == [True]  # type: ignore[union-attr]


def test_a_restarted_server_begins_with_its_snapshot(make: CoreMaker) -> None:
    """§5.1: the snapshot has the last index, its term, and the latest configuration at it."""
    one = Single(make, commit=4, term=2, snapshot=at(3, 2, FOUR), log=[Entry(2, 4, 0, b"x")])
    status = one.status
    assert (status.commit_index, status.configuration, status.snapshot) == (4, FOUR, at(3, 2, FOUR))
    assert [entry.index for entry in one.applied] == [4]


def test_a_configuration_survives_the_compaction_of_its_entry(make: CoreMaker) -> None:
    """§5.1: the configuration is part of the snapshot; a later one that is cut off gives way to it."""
    one = Single(make, (1, 1), commit=2)
    one.compact(2)
    change = Entry(1, 3, EntryKind.CONFIGURATION, encode_configuration(FOUR, b""))
    one.step(AppendEntries(2, 1, 1, 2, 1, (change,), 2))
    assert one.status.configuration == FOUR
    one.append((2, 1), 2, term=2)
    assert one.status.configuration == THREE


def leader_with_snapshot(make: CoreMaker) -> Single:
    """Return a leader that gave up its log up to 3; member 2 has it all, member 3 has not answered."""
    one = Single(make).as_leader()
    one.acknowledge(2, 2)
    one.propose(b"x")
    one.acknowledge(3, 2)
    one.compact(3)
    return one


def test_a_follower_behind_the_log_gets_the_snapshot(make: CoreMaker) -> None:
    """§5.3: when the next entry for a follower is discarded already, the leader sends its snapshot."""
    one = leader_with_snapshot(make)
    sent = one.step(AppendEntriesReply(3, 1, 2, False, 1, 0, 0))
    assert sent == [InstallSnapshot(1, 3, 2, at(3, 2))]
    assert one.status.peers[3].state == "snapshot"


def test_a_follower_within_the_log_gets_entries(make: CoreMaker) -> None:
    """§5.3: a snapshot is sent only to who cannot be helped by entries."""
    one = Single(make, (1, 1, 1), commit=3).as_leader()
    one.acknowledge(4, 2)
    one.compact(4, keep=3)
    (sent,) = of(AppendEntries, one.step(AppendEntriesReply(3, 1, 2, False, 3, 1, 1)))
    assert (sent.prev_index, [entry.index for entry in sent.entries]) == (1, [2, 3, 4])


def test_a_conflict_right_before_the_first_entry_needs_the_snapshot(make: CoreMaker) -> None:
    """§5.3: the follower's entry 3 is of another term, and what is before ours is discarded."""
    one = leader_with_snapshot(make)
    sent = one.step(AppendEntriesReply(3, 1, 2, False, 1, 3, 1))
    assert len(of(InstallSnapshot, sent)) == 1


def test_no_entries_are_sent_while_a_snapshot_is_on_its_way(make: CoreMaker) -> None:
    """§5.3: entries behind it could not be appended before it arrives."""
    one = leader_with_snapshot(make)
    one.step(AppendEntriesReply(3, 1, 2, False, 1, 0, 0))
    sent = one.propose(b"y") + one.tick()
    assert {type(message) for message in sent if message.target == 3} == {Heartbeat}
    assert [entry for question in asked(one.confirm(one.round, 3)) for entry in question.entries] == []
    (after,) = of(AppendEntries, one.acknowledge(3, 3))
    assert (after.target, after.prev_index, [entry.index for entry in after.entries]) == (3, 3, [4])


def asked(sent: Sequence[Message]) -> list[AppendEntries]:
    """Return what was sent to member 3, whose snapshot is on its way, about its log."""
    return [message for message in of(AppendEntries, sent) if message.target == 3]


def sending_snapshot(make: CoreMaker) -> Single:
    """Return a leader whose snapshot is on its way to member 3."""
    one = leader_with_snapshot(make)
    assert len(of(InstallSnapshot, one.step(AppendEntriesReply(3, 1, 2, False, 1, 0, 0)))) == 1
    return one


def snapshots_sent(one: Single, ticks: int, event: PeerEvent | None = None) -> list[InstallSnapshot]:
    """Let time pass, member 2 following and ``event`` being told of member 3 before and after each tick."""
    sent = []
    for _ in range(ticks):
        for call in (lambda: None, one.core.tick):
            call()
            if event is not None:
                one.core.report(3, event)
            sent += one.carry_out()
        one.confirm(one.round, 2)
    return of(InstallSnapshot, sent)


def test_a_snapshot_that_was_lost_is_sent_again(make: CoreMaker) -> None:
    """§5.3: InstallSnapshot is retried like any RPC, also when the transport says nothing."""
    one = sending_snapshot(make)
    assert snapshots_sent(one, 110) == [InstallSnapshot(1, 3, 2, at(3, 2))]
    assert one.status.peers[3].match_index == 0


def test_a_snapshot_that_failed_is_sent_again_after_an_election_timeout(make: CoreMaker) -> None:
    """§5.3: each try is costly; a transfer that fails at once must not become a loop."""
    one = sending_snapshot(make)
    assert snapshots_sent(one, ELECTION_TICKS - 1, PeerEvent.SNAPSHOT_FAILED) == []
    assert len(snapshots_sent(one, 1, PeerEvent.SNAPSHOT_FAILED)) == 1
    assert len(snapshots_sent(one, 5 * ELECTION_TICKS, PeerEvent.SNAPSHOT_FAILED)) == 5


@pytest.mark.parametrize("event", [PeerEvent.UNREACHABLE, PeerEvent.CONNECTED])
def test_a_snapshot_on_its_way_survives_the_links_hints(make: CoreMaker, event: PeerEvent) -> None:
    """§5.3: its file travels on its own; only news of that file counts."""
    assert snapshots_sent(sending_snapshot(make), 50, event) == []


def test_a_follower_that_took_an_older_snapshot_gets_entries(make: CoreMaker) -> None:
    """§5.3: the one it was sent last is not needed when the log goes on from the one that arrived."""
    one = sending_snapshot(make)
    one.propose(b"y")
    one.acknowledge(4, 2)
    one.compact(4, keep=1)
    assert snapshots_sent(one, 110) == [InstallSnapshot(1, 3, 2, at(4, 2))]
    assert of(AppendEntries, one.acknowledge(2, 3)) == []
    (sent,) = of(AppendEntries, one.acknowledge(3, 3))
    assert (sent.target, sent.prev_index, [entry.index for entry in sent.entries]) == (3, 3, [4])


def test_a_snapshot_whose_answer_was_lost_is_found_to_have_arrived(make: CoreMaker) -> None:
    """§5.3: the peer answers heartbeats, so it is asked what it has; the snapshot is not sent again."""
    one = sending_snapshot(make)
    one.tick()
    assert asked(one.confirm(one.round, 3)) == [AppendEntries(1, 3, 2, 3, 2, (), 3)]
    taker = Single(make, (1,))
    taker.install(at(3, 2), term=2)
    (reply,) = of(AppendEntriesReply, taker.append((3, 2), term=2, commit=3))
    assert (reply.success, reply.index) == (True, 3)
    one.propose(b"y")
    (sent,) = of(AppendEntries, one.acknowledge(reply.index, 3))
    assert (sent.prev_index, [entry.index for entry in sent.entries]) == (3, [4])


def test_an_older_snapshot_whose_answer_was_lost_is_found_too(make: CoreMaker) -> None:
    """§5.3: asked at the beginning of the log, who has more answers with all that it has committed."""
    one = sending_snapshot(make)
    one.propose(b"y")
    one.acknowledge(4, 2)
    one.compact(4, keep=2)
    snapshots_sent(one, 110)
    one.tick()
    (question,) = asked(one.confirm(one.round, 3))
    taker = Single(make, (1,))
    taker.install(at(3, 2), term=2)
    (reply,) = of(AppendEntriesReply, taker.append((question.prev_index, question.prev_term), term=2))
    (sent,) = asked(one.acknowledge(reply.index, 3))
    assert (reply.success, sent.prev_index, [entry.index for entry in sent.entries]) == (True, 3, [4])


def test_who_has_not_got_the_snapshot_yet_is_asked_once_an_interval_and_sent_nothing(make: CoreMaker) -> None:
    """§5.3: its file may take long, and must not be started anew by what is asked meanwhile."""
    one = sending_snapshot(make)
    for _ in range(ELECTION_TICKS):
        one.tick()
        sent = one.confirm(one.round, 2, 3)
        assert len(asked(sent)) == 1
        refusal = AppendEntriesReply(3, 1, 2, False, 3, 1, 1)
        sent += one.step(refusal) + one.confirm(one.round, 3) + one.step(refusal)
        assert (len(asked(sent)), of(InstallSnapshot, sent)) == (1, [])
    assert one.status.peers[3].state == "snapshot"


def test_a_snapshot_replaces_log_and_state_machine(make: CoreMaker) -> None:
    """§5.3: a snapshot with new information supersedes the whole log."""
    one = Single(make, (1, 1, 1), commit=1)
    (reply,) = of(AppendEntriesReply, one.install(at(5, 2, FOUR), term=2))
    assert (reply.success, reply.index, reply.term) == (True, 5, 2)
    status = one.status
    assert (status.log.first_index, status.log.last_index) == (6, 5)
    assert (status.commit_index, status.configuration, status.snapshot) == (5, FOUR, at(5, 2, FOUR))
    one.append((5, 2), 2, commit=6)
    assert [entry.index for entry in one.applied] == [6]


def test_entries_behind_a_matching_snapshot_stay(make: CoreMaker) -> None:
    """§5.3: if it describes a prefix of the log, the entries that follow are still valid."""
    one = Single(make, (1, 1, 1, 1, 1), commit=1)
    (reply,) = of(AppendEntriesReply, one.install(at(3, 1)))
    assert (reply.success, reply.index) == (True, 3)
    assert (one.terms, one.status.commit_index) == ([1] * 5, 3)
    assert [entry.index for entry in one.applied] == [1, 2, 3]


@pytest.mark.parametrize("index", [1, 3])
def test_a_stale_snapshot_changes_nothing_but_is_answered(make: CoreMaker, index: int) -> None:
    """§5.3: a copy, or one from before what is committed here; the leader learns what we hold."""
    one = Single(make, (1, 1, 1, 1), commit=3)
    (reply,) = of(AppendEntriesReply, one.install(at(index, 1)))
    assert (reply.success, reply.index) == (True, 3)
    assert (one.terms, one.status.commit_index, one.status.snapshot) == ([1] * 4, 3, None)


def test_a_snapshot_of_an_older_term_is_refused(make: CoreMaker) -> None:
    """§5.3: receiver rule 1: reply immediately if term < currentTerm."""
    one = Single(make, (1, 1), term=5)
    (reply,) = one.install(at(9, 4), term=4)
    assert reply.term == 5
    assert (one.terms, one.status.snapshot, one.status.leader) == ([1, 1], None, 0)


def test_a_snapshot_comes_from_the_leader(make: CoreMaker) -> None:
    """§5.3: it puts off elections, and a candidate yields to it, as to an AppendEntries."""
    one = Single(make).as_candidate()
    one.install(at(9, 1))
    assert (one.status.role, one.status.leader) == (Role.FOLLOWER, 2)


def test_a_snapshot_is_acknowledged_once_it_is_durable(make: CoreMaker) -> None:
    """§5.3, §3.8: until then the answer would promise what a crash forgets."""
    one = Single(make, slow_disk=True)
    assert of(AppendEntriesReply, one.install(at(5, 1))) == []
    assert one.status.durable_index == 1
    (reply,) = of(AppendEntriesReply, one.persist())
    assert (reply.success, reply.index, one.status.durable_index) == (True, 5, 5)


def test_a_snapshot_in_the_middle_of_writes_in_flight(make: CoreMaker) -> None:
    """§5.3, §3.8: entries that were on their way to the disk do not count for those it replaced."""
    one = Single(make, slow_disk=True)
    one.append((1, 1), 1, 1)
    assert of(AppendEntriesReply, one.install(at(9, 2), term=2, leader=3)) == []
    one.append((9, 2), 2, leader=3)
    one.persist(1)
    assert one.status.durable_index == 1
    replies = of(AppendEntriesReply, one.persist())
    assert [reply.index for reply in replies if reply.term == 2] == [9, 10]
    assert one.status.durable_index == 10
    assert [entry.index for entry in one.disk] == [10]


def test_an_own_snapshot_that_is_late_does_not_replace_a_newer_one(make: CoreMaker) -> None:
    """§5.1: snapshots are independent on each server; what the leader sent is ahead of ours."""
    one = Single(make, (1, 1, 1), commit=3)
    one.install(at(7, 2), term=2)
    one.core.compacted(at(3, 1), 4)
    assert (one.status.snapshot, one.status.log.first_index) == (at(7, 2), 8)


def test_an_append_from_before_the_snapshot_is_answered_with_what_is_committed(make: CoreMaker) -> None:
    """§5.1: all that a snapshot stands for is committed, so it agrees with the leader."""
    one = Single(make, (1, 1, 1, 1), commit=4)
    one.compact(3)
    (reply,) = of(AppendEntriesReply, one.append((1, 1), 1))
    assert (reply.success, reply.index, one.terms) == (True, 4, [1])


def test_a_new_server_is_brought_up_to_date_by_a_snapshot(make: CoreMaker) -> None:
    """§5.3: one that slept through the compaction, or is new, gets the snapshot and then entries."""
    group = Group(3, make=make)
    group.timeout(1)
    group.stabilize()
    group.crash(3)
    for number in range(5):
        group.propose(1, b"%d" % number)
    group.stabilize()
    group.snapshot(1)
    group.propose(1, b"last")
    group.restart(3)
    group.tick(1)
    group.stabilize()
    assert group.members[3].disk.snapshot == group.members[1].disk.snapshot
    assert group.members[3].applied == group.members[1].applied
    group.crash(3)
    group.restart(3)
    group.tick(1)
    group.stabilize()
    assert group.members[3].applied == group.members[1].applied
    assert group.members[3].disk.hard_state >= HardState(2)
