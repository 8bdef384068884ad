"""Claims of the thesis about leadership transfer and leases, §3.10 and §6.4.1 (see ``test_paper``)."""

import pytest

from raftkv.errors import BadTransferee, LeaderMoving, NotLeader
from raftkv.raft import ChangeKind, Part, ReadState, Role
from raftkv.raft.messages import (
    AppendEntries,
    ForwardProposals,
    Heartbeat,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from tests.raft.group import ELECTION_TICKS, CoreMaker
from tests.raft.single import Single, of

needs = pytest.mark.needs

# ---------------------------------------------------------------- §3.10 leadership transfer


def led(make: CoreMaker) -> Single:
    """Return a leader whose first entry, at 2, is on all disks."""
    return Single(make).as_leader(committed=True)


@needs(Part.TRANSFER)
def test_a_target_that_is_up_to_date_may_stand_at_once(make: CoreMaker) -> None:
    """§3.10 step 3: the leader sends TimeoutNow."""
    one = led(make)
    assert one.transfer(2) == [TimeoutNow(1, 2, 2)]
    assert (one.status.role, one.status.transferee) == (Role.LEADER, 2)


@needs(Part.TRANSFER)
def test_a_target_that_lacks_entries_gets_them_first(make: CoreMaker) -> None:
    """§3.10 step 2: the leader fully updates the target's log."""
    one = led(make)
    one.propose(b"x")
    assert of(TimeoutNow, one.transfer(2)) == []
    assert of(TimeoutNow, one.acknowledge(3, 3)) == []
    assert of(TimeoutNow, one.acknowledge(3, 2)) == [TimeoutNow(1, 2, 2)]


@needs(Part.TRANSFER)
def test_a_leader_that_moves_takes_no_proposals(make: CoreMaker) -> None:
    """§3.10 step 1: it stops accepting new client requests, also forwarded ones and changes."""
    one = led(make)
    one.transfer(2)
    with pytest.raises(LeaderMoving):
        one.propose(b"x")
    one.step(ForwardProposals(3, 1, 2, (b"x",)))
    with pytest.raises(LeaderMoving):
        one.change(ChangeKind.REMOVE, 3)
    assert one.status.log.last_index == 2


@needs(Part.TRANSFER)
def test_a_transfer_that_takes_too_long_is_given_up(make: CoreMaker) -> None:
    """§3.10: after about an election time-out the leader takes requests again."""
    one = led(make)
    one.transfer(2)
    one.tick(ELECTION_TICKS - 1)
    assert one.status.transferee == 2
    one.confirm(one.round, 2, 3)
    one.tick()
    assert (one.status.transferee, one.status.role) == (0, Role.LEADER)
    one.propose(b"x")


@needs(Part.TRANSFER)
def test_asking_again_gives_a_transfer_no_more_time(make: CoreMaker) -> None:
    """§3.10: or a target that never stands would keep the cluster from taking requests."""
    one = led(make)
    for _ in range(ELECTION_TICKS):
        assert one.transfer(2) == [TimeoutNow(1, 2, 2)]
        one.tick()
    one.propose(b"x")


@needs(Part.TRANSFER)
def test_another_target_has_its_own_time(make: CoreMaker) -> None:
    """§3.10: an election time-out from when it was named."""
    one = led(make)
    one.transfer(2)
    one.tick(ELECTION_TICKS - 1)
    one.transfer(3)
    one.tick(ELECTION_TICKS - 1)
    assert one.status.transferee == 3


@needs(Part.TRANSFER, Part.CHECK_QUORUM)
def test_transfers_do_not_keep_a_leader_in_office(make: CoreMaker) -> None:
    """§6.2: a leader that reaches no majority steps down, whatever it is asked for meanwhile."""
    one = led(make)
    for ticks in range(2 * ELECTION_TICKS):
        if one.status.role is Role.LEADER:
            one.transfer(2 + ticks % 2)
        one.tick()
    assert one.status.role is Role.FOLLOWER


@needs(Part.TRANSFER)
def test_a_target_stands_without_waiting_and_says_why(make: CoreMaker) -> None:
    """§3.10, §4.2.3: as if its timer had fired; those who hear the leader are told it wants that."""
    one = Single(make)
    one.heartbeat()
    sent = one.step(TimeoutNow(2, 1, 1))
    assert sent == [RequestVote(1, peer, 2, 1, 1, transfer=True) for peer in (2, 3)]
    assert (one.status.role, one.status.term, one.status.leader) == (Role.CANDIDATE, 2, 0)


@needs(Part.TRANSFER)
def test_a_late_timeout_now_is_ignored(make: CoreMaker) -> None:
    """§3.10: of an older term it is not the wish of the leader of this one."""
    one = Single(make, term=5)
    one.heartbeat()
    assert one.step(TimeoutNow(2, 1, 4)) == []
    assert (one.status.role, one.status.term) == (Role.FOLLOWER, 5)


@needs(Part.TRANSFER)
def test_who_hears_a_leader_votes_for_whom_it_wants(make: CoreMaker) -> None:
    """§4.2.3: the rule against disturbing servers has this exception."""
    one = Single(make)
    one.heartbeat()
    assert one.step(RequestVote(3, 1, 2, 1, 1, transfer=True)) == [RequestVoteReply(1, 3, 2, granted=True)]


@needs(Part.TRANSFER)
def test_the_election_restriction_holds_for_a_target_too(make: CoreMaker) -> None:
    """§3.10, §3.6.1: safety does not rest on the leader's choice."""
    one = Single(make, (1, 1))
    assert one.step(RequestVote(3, 1, 2, 1, 1, transfer=True)) == [RequestVoteReply(1, 3, 2, granted=False)]


@needs(Part.TRANSFER)
def test_leadership_goes_to_voters_only(make: CoreMaker) -> None:
    """§3.10: a learner or a stranger could not win; to itself there is nothing to do."""
    one = led(make)
    one.change(ChangeKind.ADD_LEARNER, 4)
    for target in (4, 9):
        with pytest.raises(BadTransferee):
            one.transfer(target)
    assert one.transfer(1) == []
    assert one.status.transferee == 0


@needs(Part.TRANSFER)
def test_only_a_leader_hands_over(make: CoreMaker) -> None:
    """§3.10: others say who leads."""
    with pytest.raises(NotLeader):
        Single(make).transfer(2)


# ---------------------------------------------------------------- §6.4.1 leases

lease = needs(Part.LEASE_READS)


def with_lease(make: CoreMaker) -> Single:
    """Return a leader that a majority has just confirmed."""
    one = Single(make, lease_reads=True)
    one.tick(ELECTION_TICKS)
    one.as_leader(committed=True)
    one.tick()
    one.confirm(one.round, 2)
    return one


@lease
def test_a_leader_with_a_lease_reads_without_a_round(make: CoreMaker) -> None:
    """§6.4.1: no other leader can exist yet, so the commit index is not behind."""
    one = with_lease(make)
    assert of(Heartbeat, one.read(7)) == []
    assert one.reads == [(7, 2)]


@needs(Part.LEASE_READS, Part.MEMBERSHIP)
def test_a_lone_voter_needs_nobody_for_its_lease(make: CoreMaker) -> None:
    """§6.4.1: it is the majority; a learner that is silent, or not there, does not matter."""
    one = Single(make, voters=1, lease_reads=True)
    one.timeout()
    one.change(ChangeKind.ADD_LEARNER, 4)
    one.tick(3 * ELECTION_TICKS)
    assert (one.read(7), one.reads) == ([], [ReadState(7, 3)])


@lease
def test_without_the_option_there_is_no_lease(make: CoreMaker) -> None:
    """§6.4.1: it rests on clocks, so whoever wants it must say so."""
    one = Single(make).as_leader(committed=True)
    one.tick()
    one.confirm(one.round, 2)
    assert len(of(Heartbeat, one.read(7))) == 2
    assert one.reads == []


@lease
def test_a_lease_ends_before_the_voters_patience_does(make: CoreMaker) -> None:
    """§6.4.1: it lasts for less than an election time-out from when the heartbeats *left*."""
    one = with_lease(make)
    for context in range(ELECTION_TICKS):
        one.read(context)
        one.tick()
    served = len(one.reads)
    assert 0 < served < ELECTION_TICKS - 2
    assert one.reads == [(context, 2) for context in range(served)]


@lease
def test_a_late_answer_does_not_lengthen_a_lease(make: CoreMaker) -> None:
    """§6.4.1: what counts is when the round began, not when its answer came."""
    one = with_lease(make)
    old = one.round
    one.tick(ELECTION_TICKS - 2)
    one.confirm(old, 3)
    one.read(7)
    assert one.reads == []


@lease
def test_a_pause_ends_a_lease(make: CoreMaker) -> None:
    """§6.4.1: time passes for the voters while this process stands still."""
    one = with_lease(make)
    one.core.tick(20)
    one.carry_out()
    one.read(7)
    assert one.reads == []


@lease
def test_a_lease_is_of_a_majority(make: CoreMaker) -> None:
    """§6.4.1: one answer of five members is not enough."""
    one = Single(make, voters=5, lease_reads=True)
    one.tick(ELECTION_TICKS)
    one.as_leader(committed=True)
    one.tick()
    one.confirm(one.round, 2)
    one.read(7)
    assert one.reads == []


@lease
def test_a_lease_does_not_replace_the_first_commit(make: CoreMaker) -> None:
    """§6.4 step 1: without it the commit index may be behind what an earlier leader answered."""
    one = Single(make, lease_reads=True)
    one.tick(ELECTION_TICKS)
    one.as_leader()
    one.confirm(one.round, 2, 3)
    one.read(7)
    assert one.reads == []


@lease
def test_leadership_that_moves_has_no_lease(make: CoreMaker) -> None:
    """§6.4.1, §3.10: the target stands although the voters hear the leader; its wish may arrive late."""
    one = with_lease(make)
    one.transfer(2)
    assert len(of(Heartbeat, one.read(7))) == 2
    assert one.reads == []
    one.tick(ELECTION_TICKS)
    one.confirm(one.round, 2, 3)
    assert (one.reads, one.status.transferee) == ([(7, 2)], 0)
    assert len(of(Heartbeat, one.read(8))) == 2
    assert one.reads == [(7, 2)]


@lease
def test_who_restarts_gives_no_vote_for_an_election_timeout(make: CoreMaker) -> None:
    """§6.4.1: before the restart it may have answered a heartbeat that a lease rests on."""
    one = Single(make, term=5, lease_reads=True)
    one.tick(ELECTION_TICKS - 1)
    assert of(RequestVoteReply, one.ask_vote(6, (9, 5))) == []
    assert [reply.granted for reply in of(RequestVoteReply, one.ask_vote(5, (9, 5)))] == [False]
    one.tick()
    assert one.ask_vote(6, (9, 5)) == [RequestVoteReply(1, 3, 6, granted=True)]


@lease
def test_a_higher_term_does_not_free_a_voter_of_its_promise(make: CoreMaker) -> None:
    """§6.4.1: it answered a heartbeat; the lease of that leader runs on though its term is over."""
    one = Single(make, lease_reads=True)
    one.tick(ELECTION_TICKS)
    one.heartbeat()
    one.step(PreVoteReply(3, 1, 2, granted=False))
    assert (one.status.term, one.status.leader) == (2, 0)
    assert of(RequestVoteReply, one.ask_vote(2, (9, 1))) == [RequestVoteReply(1, 3, 2, granted=False)]
    assert of(RequestVoteReply, one.ask_vote(3, (9, 1))) == []
    one.tick(ELECTION_TICKS)
    assert one.ask_vote(3, (9, 1)) == [RequestVoteReply(1, 3, 3, granted=True)]


@lease
def test_reads_of_followers_share_the_lease(make: CoreMaker) -> None:
    """§6.4.1: they are answered without a round as well, and entries still go out."""
    one = with_lease(make)
    sent = one.propose(b"x")
    assert {message.target for message in of(AppendEntries, sent)} == {2, 3}
    one.acknowledge(3, 3)
    one.read(7)
    assert one.reads == [(7, 3)]
    answers = of((Heartbeat, ReadIndexReply), one.step(ReadIndex(3, 1, 2, (8,))))
    assert answers == [ReadIndexReply(1, 3, 2, (8,), 3)]
