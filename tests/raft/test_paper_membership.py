"""Claims of the thesis about changes of the members, chapter 4 (see ``test_paper``)."""

from random import Random

import pytest

from raftkv.errors import ChangeRefused, MemberRemoved, NotLeader
from raftkv.raft import (
    ChangeKind,
    Configuration,
    Entry,
    EntryKind,
    HardState,
    Part,
    PeerEvent,
    Role,
    Snapshot,
)
from raftkv.raft.membership import encode_configuration
from raftkv.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Heartbeat,
    InstallSnapshot,
    PreVoteReply,
    RemovedNotice,
    RequestPreVote,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from raftkv.trace import discard
from tests.raft.group import ELECTION_TICKS, CoreMaker
from tests.raft.single import Single, of

pytestmark = pytest.mark.needs(Part.MEMBERSHIP)

ADD, LEARN, PROMOTE = ChangeKind.ADD_VOTER, ChangeKind.ADD_LEARNER, ChangeKind.PROMOTE
REMOVE, UPDATE = ChangeKind.REMOVE, ChangeKind.UPDATE
THREE = Configuration((1, 2, 3))


def members(index: int, term: int, configuration: Configuration) -> Entry:
    return Entry(term, index, EntryKind.CONFIGURATION, encode_configuration(configuration, b""))


def led(make: CoreMaker, voters: int = 3) -> Single:
    """Return a leader whose first entry, at 2, is on all disks."""
    return Single(make, voters=voters).as_leader(committed=True)


def follower_of(make: CoreMaker, configuration: Configuration, *, commit: int = 2) -> Single:
    """Return a follower in term 1 whose second entry brought ``configuration``."""
    one = Single(make)
    one.step(AppendEntries(2, 1, 1, 1, 1, (members(2, 1, configuration),), commit))
    return one


# ---------------------------------------------------------------- §4.1 one server at a time


def test_a_change_takes_force_as_soon_as_it_is_appended(make: CoreMaker) -> None:
    """§4.1: a server uses the latest configuration in its log, committed or not."""
    one = led(make)
    sent = of(AppendEntries, one.change(ADD, 4))
    assert one.status.configuration == Configuration((1, 2, 3, 4))
    assert (one.status.configuration_index, one.status.commit_index) == (3, 2)
    assert {message.target for message in sent} == {2, 3, 4}


def test_a_new_voter_counts_from_then_on(make: CoreMaker) -> None:
    """§4.1: the change itself is committed by a majority of the new configuration."""
    one = led(make)
    one.change(ADD, 4)
    one.acknowledge(3, 2)
    assert one.status.commit_index == 2
    one.acknowledge(3, 4)
    assert one.status.commit_index == 3


def test_a_removed_voter_counts_no_more_from_then_on(make: CoreMaker) -> None:
    """§4.1: also while the change is not committed."""
    one = led(make, 5)
    one.change(REMOVE, 5)
    one.acknowledge(3, 5, 4)
    assert one.status.commit_index == 2
    one.acknowledge(3, 3)
    assert one.status.commit_index == 3


def test_a_follower_goes_by_a_change_before_it_is_committed(make: CoreMaker) -> None:
    """§4.1: as soon as it is in its log."""
    one = follower_of(make, Configuration((1, 2, 3, 4)), commit=1)
    assert (one.status.configuration.voters, one.status.commit_index) == ((1, 2, 3, 4), 1)
    assert {message.target for message in of(RequestPreVote, one.timeout())} == {2, 3, 4}


def test_a_truncated_change_gives_way_to_the_one_before(make: CoreMaker) -> None:
    """§4.1: a server must fall back to the previous configuration in its log."""
    one = follower_of(make, Configuration((1, 2, 3, 4)), commit=1)
    one.append((1, 1), 2, term=2, leader=3)
    assert (one.status.configuration, one.status.configuration_index) == (THREE, 1)
    assert {message.target for message in of(RequestPreVote, one.timeout())} == {2, 3}


def test_the_next_change_waits_until_this_one_is_committed(make: CoreMaker) -> None:
    """§4.1: otherwise configurations that follow each other would not overlap."""
    one = led(make)
    one.change(ADD, 4)
    with pytest.raises(ChangeRefused):
        one.change(ADD, 5)
    assert one.status.log.last_index == 3
    one.acknowledge(3, 2, 3)
    one.change(ADD, 5)
    assert one.status.configuration.voters == (1, 2, 3, 4, 5)


def test_no_change_before_an_entry_of_the_own_term_is_committed(make: CoreMaker) -> None:
    """§4.1, corrected in 2015 (raft-dev): an earlier leader's change may still be out there."""
    one = Single(make).as_leader()
    with pytest.raises(ChangeRefused):
        one.change(ADD, 4)
    one.acknowledge(2, 2)
    one.change(ADD, 4)
    assert one.status.configuration.voters == (1, 2, 3, 4)


def test_a_new_leader_goes_by_the_change_its_log_ends_with(make: CoreMaker) -> None:
    """§4.1: it neither forgets it nor starts another before it is committed."""
    one = follower_of(make, Configuration((1, 2, 3, 4)), commit=1).as_candidate()
    one.step(RequestVoteReply(2, 1, 2, granted=True))
    assert one.status.role is Role.CANDIDATE
    one.step(RequestVoteReply(4, 1, 2, granted=True))
    assert one.status.role is Role.LEADER
    one.acknowledge(3, 2)
    assert one.status.commit_index == 1
    with pytest.raises(ChangeRefused):
        one.change(REMOVE, 3)


def test_changes_are_made_by_the_leader_only(make: CoreMaker) -> None:
    """§4.1: others say who that is."""
    one = Single(make)
    one.heartbeat()
    with pytest.raises(NotLeader) as refused:
        one.change(ADD, 4)
    assert refused.value.leader == 2


@pytest.mark.parametrize(
    ("kind", "member"), [(ADD, 2), (LEARN, 2), (PROMOTE, 2), (PROMOTE, 9), (REMOVE, 9), (UPDATE, 9)]
)
def test_a_change_that_makes_no_sense_is_refused(make: CoreMaker, kind: ChangeKind, member: int) -> None:
    """§4.1: the log stays as it is."""
    one = led(make)
    with pytest.raises(ChangeRefused):
        one.change(kind, member)
    assert one.status.log.last_index == 2


def test_the_only_voter_is_not_removed(make: CoreMaker) -> None:
    """§4.1: nobody would be left to commit it."""
    one = Single(make, voters=1)
    one.timeout()
    with pytest.raises(ChangeRefused):
        one.change(REMOVE, 1)


def test_a_lone_server_commits_its_changes_alone(make: CoreMaker) -> None:
    """§4.4: a cluster starts with one server, which then adds the others."""
    one = Single(make, voters=1)
    one.timeout()
    one.change(LEARN, 2)
    assert (one.status.commit_index, one.status.configuration.learners) == (3, (2,))
    one.change(ADD, 3)
    assert one.status.commit_index == 3


def test_an_update_changes_nobodys_part(make: CoreMaker) -> None:
    """§4.1: it is an entry like the others, for what the state machine knows of a member."""
    one = led(make)
    one.change(UPDATE, 2)
    assert (one.status.configuration, one.status.configuration_index) == (THREE, 3)


def test_a_removed_id_never_comes_back(make: CoreMaker) -> None:
    """§4.1, §4.4: who was told that it is removed stopped for good; its votes may be anywhere."""
    one = led(make, 4)
    one.change(REMOVE, 4)
    one.acknowledge(3, 2, 3)
    for kind in (ADD, LEARN):
        with pytest.raises(ChangeRefused):
            one.change(kind, 4)
    assert one.status.configuration == Configuration((1, 2, 3), (), (4,))


# ---------------------------------------------------------------- §4.2.1 learners


def with_learner(make: CoreMaker) -> Single:
    one = led(make)
    one.change(LEARN, 4)
    one.acknowledge(3, 2)
    return one


def test_a_learner_is_sent_the_log(make: CoreMaker) -> None:
    """§4.2.1: the leader replicates entries to it, from where it is."""
    one = led(make)
    (probe,) = [m for m in of(AppendEntries, one.change(LEARN, 4)) if m.target == 4]
    (retry,) = of(AppendEntries, one.step(AppendEntriesReply(4, 1, 2, False, probe.prev_index, 0, 0)))
    assert (retry.prev_index, [entry.index for entry in retry.entries]) == (0, [1, 2, 3])


def test_a_learner_is_not_counted_for_commitment(make: CoreMaker) -> None:
    """§4.2.1: it is not yet counted towards majorities for commitment purposes."""
    one = led(make)
    for index, learner in ((3, 4), (4, 5)):
        one.change(LEARN, learner)
        one.acknowledge(index, 2, 3)
    one.propose(b"x")
    one.acknowledge(5, 4, 5)
    assert one.status.commit_index == 4
    one.acknowledge(5, 3)
    assert one.status.commit_index == 5


def test_a_learner_is_not_counted_for_elections(make: CoreMaker) -> None:
    """§4.2.1: it is not counted towards majorities for voting, and is not asked."""
    one = follower_of(make, Configuration((1, 2, 3), (4, 5)))
    assert {message.target for message in of(RequestPreVote, one.timeout())} == {2, 3}
    one.step(*(PreVoteReply(learner, 1, 2, granted=True) for learner in (4, 5)))
    assert one.status.role is Role.PRE_CANDIDATE
    one.step(PreVoteReply(2, 1, 2, granted=True))
    one.step(*(RequestVoteReply(learner, 1, 2, granted=True) for learner in (4, 5)))
    assert one.status.role is Role.CANDIDATE


def test_a_learner_does_not_keep_a_leader_in_office(make: CoreMaker) -> None:
    """§4.2.1, §6.2: nor does it confirm a read."""
    one = with_learner(make)
    one.read(7)
    for _ in range(2 * ELECTION_TICKS):
        one.confirm(one.round, 4)
        one.tick()
    assert (one.status.role, one.reads) == (Role.FOLLOWER, [])


def test_a_learner_that_hears_nobody_knows_no_leader(make: CoreMaker) -> None:
    """§4.2.1, §4.2.3: it stands not, and refuses nothing to those who do."""
    one = follower_of(make, Configuration((2, 3), (1,)))
    assert one.timeout() == []
    assert one.status.leader == 0
    assert one.ask_pre_vote(2, (9, 9)) == [PreVoteReply(1, 3, 2, granted=True)]


def test_a_learner_may_be_asked_for_its_vote(make: CoreMaker) -> None:
    """§4.2.1: it votes, for it may be a voter already in a log that is ahead of its own."""
    one = follower_of(make, Configuration((2, 3), (1,)))
    one.timeout()
    assert one.ask_vote(5, (9, 2)) == [RequestVoteReply(1, 3, 5, granted=True)]


def test_a_learner_is_promoted_once_it_has_caught_up(make: CoreMaker) -> None:
    """§4.2.1: only then, lest the cluster waits for it."""
    one = with_learner(make)
    for index in range(4, 24):
        one.propose(b"x")
        one.acknowledge(index, 2)
    one.acknowledge(15, 4)
    with pytest.raises(ChangeRefused):
        one.change(PROMOTE, 4)
    one.acknowledge(22, 4)
    one.change(PROMOTE, 4)
    assert one.status.configuration == Configuration((1, 2, 3, 4))


# ---------------------------------------------------------------- §4.2.2 the leader removes itself


def test_a_leader_that_removes_itself_leads_on_without_counting_itself(make: CoreMaker) -> None:
    """§4.2.2: it manages a cluster without itself until the change is committed."""
    one = led(make)
    one.change(REMOVE, 1)
    one.acknowledge(3, 2)
    assert (one.status.role, one.status.commit_index) == (Role.LEADER, 2)


def test_a_leader_that_removed_itself_steps_down_once_that_is_committed(make: CoreMaker) -> None:
    """§4.2.2: and lets the one that is furthest stand at once."""
    one = led(make, voters=4)
    one.change(REMOVE, 1)
    one.propose(b"x")
    one.acknowledge(4, 3)
    sent = one.acknowledge(3, 2)
    assert (one.status.role, one.status.commit_index) == (Role.FOLLOWER, 3)
    assert of(TimeoutNow, sent) == [TimeoutNow(1, 3, 2)]


def test_who_was_removed_does_not_stand_again(make: CoreMaker) -> None:
    """§4.2.2, §4.2.3: once that is committed, the others go on without it."""
    one = led(make)
    one.change(REMOVE, 1)
    one.acknowledge(3, 3, 2)
    assert one.tick(5 * ELECTION_TICKS) == []


def test_who_is_being_removed_may_be_needed_until_that_is_committed(make: CoreMaker) -> None:
    """§4.2.2: its log may be the only one that is up to date, so it must be able to win."""
    one = follower_of(make, Configuration((2, 3), (), (1,)), commit=1).as_candidate()
    one.step(RequestVoteReply(2, 1, 2, granted=True))
    assert one.status.role is Role.CANDIDATE
    one.step(RequestVoteReply(3, 1, 2, granted=True))
    assert one.status.role is Role.LEADER
    sent = one.acknowledge(3, 2, 3)
    assert (one.status.role, one.status.commit_index) == (Role.FOLLOWER, 3)
    assert len(of(TimeoutNow, sent)) == 1


# ---------------------------------------------------------------- §4.2.3 removed servers


def test_a_removed_server_is_told_that_it_is(make: CoreMaker) -> None:
    """§4.2.3: it would never hear a leader again, and would ask for votes for ever."""
    one = follower_of(make, Configuration((1, 2), (), (3,)))
    one.tick(ELECTION_TICKS)
    assert one.step(RequestPreVote(3, 1, 9, 9, 9)) == [RemovedNotice(1, 3, 1)]
    assert one.step(RequestVote(3, 1, 9, 9, 9)) == [RemovedNotice(1, 3, 1)]
    assert (one.status.term, one.status.vote) == (1, 0)


def test_a_server_is_not_told_before_its_removal_is_committed(make: CoreMaker) -> None:
    """§4.2.3: the change may still be rolled back, and its vote be needed."""
    one = follower_of(make, Configuration((1, 2), (), (3,)), commit=1)
    one.tick(ELECTION_TICKS)
    assert one.ask_vote(5, (2, 1)) == [RequestVoteReply(1, 3, 5, granted=True)]


def test_a_server_that_is_told_stops_for_good(make: CoreMaker) -> None:
    """§4.2.3: whatever its own log says."""
    with pytest.raises(MemberRemoved):
        Single(make).step(RemovedNotice(2, 1, 1))


def test_a_removed_server_hears_of_it_from_the_leader_first(make: CoreMaker) -> None:
    """§4.2.3: the leader replicates to it until it knows that its removal is committed."""
    one = led(make)
    one.change(REMOVE, 3)
    sent = one.acknowledge(3, 2)
    assert [message.commit for message in of(AppendEntries, sent) if message.target == 3] == [3]
    assert {message.target for message in of(Heartbeat, one.tick())} == {2, 3}
    one.acknowledge(3, 3)
    assert 3 not in one.status.peers
    assert {message.target for message in of(Heartbeat, one.tick())} == {2}


def test_a_removed_server_that_is_silent_is_let_go(make: CoreMaker) -> None:
    """§4.2.3: it costs nothing for ever; if it comes back it is told."""
    one = led(make)
    one.change(REMOVE, 3)
    one.acknowledge(3, 2)
    for _ in range(11 * ELECTION_TICKS):
        one.tick()
        one.confirm(one.round, 2)
    assert set(one.status.peers) == {2}


@pytest.mark.needs(Part.SNAPSHOTS)
def test_a_removed_server_that_snapshots_never_reach_is_let_go(make: CoreMaker) -> None:
    """§4.2.3: to send it a snapshot again does not lengthen its stay."""
    one = Single(make).as_leader()
    one.acknowledge(2, 2)
    one.change(REMOVE, 3)
    one.acknowledge(3, 2)
    one.compact(3)
    sent = []
    for _ in range(11 * ELECTION_TICKS):
        one.core.report(3, PeerEvent.SNAPSHOT_FAILED)
        sent += one.tick()
        one.confirm(one.round, 2)
        if 3 in one.status.peers and one.status.peers[3].state == "probe":
            sent += one.step(AppendEntriesReply(3, 1, 2, False, 1, 0, 0))
    assert len(of(InstallSnapshot, sent)) > 1
    assert set(one.status.peers) == {2}


# ---------------------------------------------------------------- §4.4, §5.1 starting


def test_a_new_server_takes_its_configuration_from_the_log_or_snapshot(make: CoreMaker) -> None:
    """§4.4: it starts with an empty log and no configuration, and waits to be added."""
    core = make(4, [], HardState(), rng=Random(1), election_ticks=ELECTION_TICKS, emit=discard)
    assert core.status().configuration == Configuration(())
    core.step(AppendEntries(1, 4, 2, 0, 0, (members(1, 1, THREE),), 1))
    assert core.status().configuration == THREE


def test_a_snapshot_carries_who_was_removed(make: CoreMaker) -> None:
    """§4.4, §5.1: an id stays used up when the entry that removed it is compacted away."""
    snapshot = Snapshot(9, 2, Configuration((1, 2), (), (3,)))
    one = Single(make, snapshot=snapshot, commit=9, term=2)
    one.tick(ELECTION_TICKS)
    assert one.step(RequestPreVote(3, 1, 9, 99, 9)) == [RemovedNotice(1, 3, 2)]
