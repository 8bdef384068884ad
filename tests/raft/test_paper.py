"""One claim of the thesis a test, with its section (Ongaro, "Consensus: Bridging Theory and Practice").

The claims hold for any core that fulfils the contract: ``pytest tests/raft --core my_raft.py:MyRaft``.
Those that need a ``Part`` are made of the cores that have it.
Member 1 is the one looked at; members 2 and 3 are played by the test.
"""

from random import Random

import pytest

from raftkv.errors import NoLeader, TooManyRequests
from raftkv.raft import Configuration, Entry, EntryKind, HardState, Message, Part, PeerEvent, Role
from raftkv.raft.membership import encode_configuration
from raftkv.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    ForwardProposals,
    Heartbeat,
    HeartbeatReply,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    RequestPreVote,
    RequestVote,
    RequestVoteReply,
)
from raftkv.trace import discard
from tests.raft.group import ELECTION_TICKS, CoreMaker, Group
from tests.raft.single import Single, of

needs = pytest.mark.needs
ASKS = (RequestVote, RequestPreVote)
MEGABYTE = b"x" * 1024 * 1024

# ---------------------------------------------------------------- §3.3 terms

OF_A_HIGHER_TERM = [
    AppendEntries(2, 1, 9, 1, 1, (), 0),
    AppendEntriesReply(2, 1, 9, False, 1, 0, 0),
    pytest.param(Heartbeat(2, 1, 9, 0, 0), marks=needs(Part.READ_INDEX)),
    pytest.param(HeartbeatReply(2, 1, 9, 0), marks=needs(Part.READ_INDEX)),
    RequestVoteReply(2, 1, 9, granted=False),
    pytest.param(PreVoteReply(2, 1, 9, granted=False), marks=needs(Part.PRE_VOTE)),
]


@pytest.mark.parametrize("message", OF_A_HIGHER_TERM, ids=lambda message: type(message).__name__)
def test_a_candidate_that_sees_a_higher_term_follows_in_it(make: CoreMaker, message: Message) -> None:
    """§3.3: a server updates its term to a larger one it sees, and a candidate becomes a follower."""
    one = Single(make).as_candidate()
    one.step(message)
    assert (one.status.role, one.status.term, one.status.vote) == (Role.FOLLOWER, 9, 0)


@pytest.mark.parametrize("message", OF_A_HIGHER_TERM, ids=lambda message: type(message).__name__)
def test_a_leader_that_sees_a_higher_term_steps_down(make: CoreMaker, message: Message) -> None:
    """§3.3: a leader that discovers that its term is out of date becomes a follower."""
    one = Single(make).as_leader()
    one.step(message)
    assert (one.status.role, one.status.term) == (Role.FOLLOWER, 9)
    assert one.status.leader == (2 if isinstance(message, AppendEntries | Heartbeat) else 0)


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (AppendEntries(2, 1, 4, 1, 1, (Entry(4, 2, 0, b"x"),), 2), AppendEntriesReply),
        pytest.param(Heartbeat(2, 1, 4, 1, 7), HeartbeatReply, marks=needs(Part.READ_INDEX)),
        (RequestVote(2, 1, 4, 9, 4), RequestVoteReply),
        pytest.param(RequestPreVote(2, 1, 4, 9, 4), PreVoteReply, marks=needs(Part.PRE_VOTE)),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_a_request_of_an_older_term_is_refused_with_the_own_term(
    make: CoreMaker, message: Message, answer: type
) -> None:
    """§3.3: a request with a stale term number is rejected, and its sender learns of the later one."""
    one = Single(make, (1,), term=5)
    (reply,) = one.step(message)
    assert isinstance(reply, answer)
    assert reply.term == 5
    assert not getattr(reply, "success", False)
    assert not getattr(reply, "granted", False)
    assert one.terms == [1]
    assert (one.status.term, one.status.vote, one.status.leader) == (5, 0, 0)


def test_answers_of_an_older_term_are_ignored(make: CoreMaker) -> None:
    """§3.3: votes and acknowledgements of an earlier term do not count in this one."""
    candidate = Single(make, (1,), term=5).as_candidate()
    candidate.step(*(RequestVoteReply(peer, 1, 5, granted=True) for peer in (2, 3)))
    assert candidate.status.role is Role.CANDIDATE
    leader = Single(make, (1,), term=5).as_leader()
    leader.step(*(AppendEntriesReply(peer, 1, 5, True, 2, 0, 0) for peer in (2, 3)))
    assert leader.status.commit_index == 1


@needs(Part.MEMBERSHIP)
def test_who_is_not_in_the_own_configuration_is_heard_all_the_same(make: CoreMaker) -> None:
    """§4.1: servers process RPCs without consulting their configuration, which may be the one behind."""
    voter = Single(make)
    assert voter.ask_vote(7, (9, 7), candidate=9) == [RequestVoteReply(1, 9, 7, granted=True)]
    follower = Single(make)
    (reply,) = of(AppendEntriesReply, follower.append((1, 1), 8, term=8, leader=9))
    assert (reply.target, reply.success, follower.status.leader) == (9, True, 9)


def test_who_has_no_log_yet_waits(make: CoreMaker) -> None:
    """§4.4: a server whose log names no configuration does not know whom to ask; it starts no election."""
    core = make(1, [], HardState(), rng=Random(1), election_ticks=ELECTION_TICKS, emit=discard)
    for _ in range(5 * ELECTION_TICKS):
        core.tick()
    sent = core.ready()
    assert sent is None or sent.messages == ()
    assert core.status().role is Role.FOLLOWER


def test_a_non_voting_member_does_not_stand_for_election(make: CoreMaker) -> None:
    """§4.2.1: a server that only catches up with the log does not count towards majorities."""
    learner = encode_configuration(Configuration((2, 3), (1,)), b"")
    entries = [Entry(1, 1, EntryKind.CONFIGURATION, learner)]
    core = make(1, entries, HardState(1, 0, 1), rng=Random(1), election_ticks=ELECTION_TICKS, emit=discard)
    for _ in range(5 * ELECTION_TICKS):
        core.tick()
    ready = core.ready()
    assert ready is not None and (ready.messages, ready.write) == ((), None)
    assert (core.status().role, core.status().term) == (Role.FOLLOWER, 1)


# ---------------------------------------------------------------- §3.4 elections


def test_a_server_starts_as_a_follower(make: CoreMaker) -> None:
    """§3.4: when servers start up, they begin as followers."""
    status = Single(make, (1, 2), term=3, vote=1).status
    assert (status.role, status.term, status.vote, status.leader) == (Role.FOLLOWER, 3, 1, 0)


@pytest.mark.parametrize("kind", ["heartbeat", "append"])
def test_a_follower_stays_one_while_it_hears_its_leader(make: CoreMaker, kind: str) -> None:
    """§3.4: a server remains a follower as long as it receives valid RPCs from a leader."""
    one = Single(make)
    for _ in range(10):
        assert of(ASKS, one.tick(ELECTION_TICKS - 1)) == []
        one.heartbeat() if kind == "heartbeat" else one.append((1, 1))
    assert (one.status.role, one.status.leader, one.status.term) == (Role.FOLLOWER, 2, 1)


def test_a_follower_that_hears_nobody_begins_an_election(make: CoreMaker) -> None:
    """§3.4: with no communication over the election time-out, a follower looks for a new leader."""
    one = Single(make)
    assert one.tick(ELECTION_TICKS - 1) == []
    asked = one.tick(ELECTION_TICKS)
    assert [message[:5] for message in of(ASKS, asked)] == [(1, peer, 2, 1, 1) for peer in (2, 3)]


def test_a_candidate_votes_for_itself_in_a_new_term_and_asks_all_others(make: CoreMaker) -> None:
    """§3.4: it increments its term, votes for itself and sends RequestVote to each other server."""
    one = Single(make, (1, 2, 2))
    asked = one.stand()
    assert asked == [RequestVote(1, peer, 3, 3, 2) for peer in (2, 3)]
    assert (one.status.role, one.status.term, one.status.vote) == (Role.CANDIDATE, 3, 1)


@pytest.mark.parametrize(("voters", "needed"), [(2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (7, 3)])
def test_a_majority_of_votes_makes_a_leader_and_less_does_not(
    make: CoreMaker, voters: int, needed: int
) -> None:
    """§3.4: a candidate wins with the votes of a majority of the full cluster, its own included."""
    one = Single(make, voters=voters).as_candidate()
    for count in range(1, needed + 1):
        assert one.status.role is Role.CANDIDATE
        one.step(RequestVoteReply(1 + count, 1, 2, granted=True))
    assert one.status.role is Role.LEADER


def test_a_single_server_elects_itself(make: CoreMaker) -> None:
    """§3.4: its own vote is a majority of one."""
    one = Single(make, voters=1)
    one.timeout()
    assert (one.status.role, one.status.term, one.status.leader) == (Role.LEADER, 2, 1)


def test_a_vote_that_comes_twice_counts_once(make: CoreMaker) -> None:
    """§3.4: votes are counted by server; the network may copy an answer."""
    one = Single(make, voters=5).as_candidate()
    one.step(*[RequestVoteReply(2, 1, 2, granted=True)] * 3)
    assert one.status.role is Role.CANDIDATE


@needs(Part.PRE_VOTE)
def test_a_candidate_refused_by_a_majority_gives_up_the_term(make: CoreMaker) -> None:
    """§3.4: who can't win waits for another election; the term stays."""
    one = Single(make).as_candidate()
    one.step(*(RequestVoteReply(peer, 1, 2, granted=False) for peer in (2, 3)))
    assert (one.status.role, one.status.term) == (Role.FOLLOWER, 2)


def test_a_server_votes_once_a_term_first_come_first_served(make: CoreMaker) -> None:
    """§3.4: each server votes for at most one candidate in a term."""
    one = Single(make)
    assert one.ask_vote(2, (1, 1), candidate=3) == [RequestVoteReply(1, 3, 2, granted=True)]
    assert one.ask_vote(2, (1, 1), candidate=2) == [RequestVoteReply(1, 2, 2, granted=False)]
    assert one.ask_vote(3, (1, 1), candidate=2) == [RequestVoteReply(1, 2, 3, granted=True)]


def test_the_same_candidate_gets_the_same_vote_again(make: CoreMaker) -> None:
    """§3.4: a RequestVote may come twice; the answer is the same."""
    one = Single(make)
    for _ in range(2):
        assert one.ask_vote(2, (1, 1)) == [RequestVoteReply(1, 3, 2, granted=True)]


def test_granting_a_vote_puts_off_the_own_election(make: CoreMaker) -> None:
    """§3.4: a follower stands for election when it neither heard a leader nor granted a vote."""
    one = Single(make)
    one.tick(ELECTION_TICKS)
    one.ask_vote(2, (1, 1))
    assert one.tick(ELECTION_TICKS) == []


@pytest.mark.parametrize("kind", ["heartbeat", "append"])
def test_a_candidate_yields_to_the_leader_of_its_term(make: CoreMaker, kind: str) -> None:
    """§3.4: if the leader's term is at least as large as the candidate's, it recognizes the leader."""
    one = Single(make).as_candidate()
    one.heartbeat() if kind == "heartbeat" else one.append((1, 1))
    assert (one.status.role, one.status.leader, one.status.term) == (Role.FOLLOWER, 2, 2)


def test_a_candidate_ignores_a_leader_of_an_older_term(make: CoreMaker) -> None:
    """§3.4: if the term in the RPC is smaller, the candidate rejects it and continues."""
    one = Single(make).as_candidate()
    assert [reply.success for reply in of(AppendEntriesReply, one.append((1, 1), term=1))] == [False]
    assert one.status.role is Role.CANDIDATE


def test_a_candidate_without_an_outcome_begins_another_election(make: CoreMaker) -> None:
    """§3.4: with split votes each candidate times out and starts a new election in a new term."""
    one = Single(make).as_candidate()
    assert [message.term for message in of(RequestVote, one.stand())] == [3, 3]
    assert (one.status.role, one.status.term, one.status.vote) == (Role.CANDIDATE, 3, 1)


@needs(Part.PRE_VOTE)
def test_votes_of_one_election_do_not_count_in_the_next(make: CoreMaker) -> None:
    """§3.4: votes are for a term; also those for standing do not count as willingness for the next."""
    one = Single(make, voters=5).as_candidate()
    one.step(RequestVoteReply(2, 1, 2, granted=True))
    one.timeout()
    one.step(PreVoteReply(3, 1, 3, granted=True))
    assert (one.status.role, one.status.term) == (Role.PRE_CANDIDATE, 2)
    one.step(PreVoteReply(4, 1, 3, granted=True), RequestVoteReply(5, 1, 3, granted=True))
    assert one.status.role is Role.CANDIDATE


def ticks_to_election(one: Single) -> int:
    return next(count for count in range(1, 100) if of(ASKS, one.tick()))


def test_election_timeouts_are_drawn_from_an_interval_and_differ(make: CoreMaker) -> None:
    """§3.4: randomized election time-outs, from T to 2T, make split votes rare."""
    drawn = [ticks_to_election(Single(make, rng=Random(seed))) for seed in range(200)]
    assert min(drawn) == ELECTION_TICKS
    assert max(drawn) == 2 * ELECTION_TICKS - 1
    assert len(set(drawn)) == ELECTION_TICKS


def test_each_election_draws_its_timeout_anew(make: CoreMaker) -> None:
    """§3.4: a candidate restarts its randomized election time-out at the start of an election."""
    one = Single(make, rng=Random(1))
    assert len({ticks_to_election(one) for _ in range(20)}) > 5


def test_a_mere_higher_term_does_not_put_off_the_own_election(make: CoreMaker) -> None:
    """§3.4: only a leader heard or a vote granted does; who brings the term may be unable to win."""
    one = Single(make)
    one.tick(2 * ELECTION_TICKS - 2)
    one.ask_vote(5, (0, 0))
    assert of(ASKS, one.tick()) != []


def test_a_deposed_leader_waits_before_it_stands_again(make: CoreMaker) -> None:
    """§3.4: as a follower it first gives others an election time-out."""
    one = Single(make).as_leader(committed=True)
    one.tick(ELECTION_TICKS - 1)
    one.step(RequestVoteReply(2, 1, 5, granted=False))
    assert one.tick(2 * ELECTION_TICKS - 2) == []
    assert of(ASKS, one.tick()) != []


def test_a_new_leader_tells_everybody_at_once(make: CoreMaker) -> None:
    """§3.4: once elected, it sends heartbeats to all others to prevent new elections."""
    one = Single(make).as_candidate()
    sent = one.step(RequestVoteReply(2, 1, 2, granted=True))
    assert {message.target for message in of((Heartbeat, AppendEntries), sent)} == {2, 3}


def test_a_leader_sends_heartbeats_to_all_every_interval(make: CoreMaker) -> None:
    """§3.4: leaders send periodic heartbeats to maintain their authority."""
    one = Single(make, voters=5).as_leader(committed=True)
    for _ in range(3):
        sent = of((Heartbeat, AppendEntries), one.tick())
        assert {message.target for message in sent} == {2, 3, 4, 5}


# ---------------------------------------------------------------- §3.5 replication


def test_a_command_is_appended_and_sent_to_everybody(make: CoreMaker) -> None:
    """§3.5: the leader appends the command as a new entry and issues AppendEntries in parallel."""
    one = Single(make).as_leader(committed=True)
    sent = of(AppendEntries, one.propose(b"x"))
    entry = Entry(2, 3, EntryKind.COMMAND, b"x")
    assert sent == [AppendEntries(1, peer, 2, 2, 2, (entry,), 2) for peer in (2, 3)]
    assert one.disk[2] == entry


def test_an_entry_on_a_majority_is_committed_and_applied(make: CoreMaker) -> None:
    """§3.5: an entry is committed once the leader that created it has replicated it on a majority."""
    one = Single(make, voters=5).as_leader(committed=True)
    one.propose(b"x")
    one.acknowledge(3, 2)
    assert one.status.commit_index == 2
    one.acknowledge(3, 4)
    assert one.status.commit_index == 3
    assert one.applied[-1].data == b"x"


def test_an_acknowledgement_that_comes_twice_counts_once(make: CoreMaker) -> None:
    """§3.5: replication is counted by server."""
    one = Single(make, voters=5).as_leader(committed=True)
    one.propose(b"x")
    one.acknowledge(3, 2, 2, 2)
    assert one.status.commit_index == 2


def test_a_slow_server_holds_nobody_up(make: CoreMaker) -> None:
    """§3.5: a command completes as soon as a majority has responded."""
    one = Single(make).as_leader(committed=True)
    for index in range(3, 50):
        one.propose(b"x")
        one.acknowledge(index, 3)
    assert one.status.commit_index == 49


def test_followers_learn_the_commit_index_from_the_leader(make: CoreMaker) -> None:
    """§3.5: the leader includes the highest committed index in its AppendEntries, followers apply."""
    leader = Single(make).as_leader(committed=True)
    leader.propose(b"x")
    sent = of(AppendEntries, leader.acknowledge(3, 2) + leader.tick())
    assert {(message.target, message.commit) for message in sent} == {(2, 3), (3, 3)}
    follower = Single(make)
    follower.append((1, 1), 1, 1, commit=1)
    assert [entry.index for entry in follower.applied] == [1]
    follower.append((3, 1), commit=3)
    assert [entry.index for entry in follower.applied] == [1, 2, 3]


def test_a_committed_entry_commits_all_before_it(make: CoreMaker) -> None:
    """§3.5: committing an entry also commits all preceding ones, also those of earlier leaders."""
    one = Single(make, (1, 2, 2, 3)).as_leader()
    assert one.status.commit_index == 1
    one.acknowledge(5, 2)
    assert [entry.index for entry in one.applied] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("prev", [(4, 2), (9, 2), (3, 3), (2, 1)])
def test_a_follower_refuses_entries_whose_predecessor_it_lacks(
    make: CoreMaker, prev: tuple[int, int]
) -> None:
    """§3.5: no entry with the index and term right before the new ones: the follower refuses them."""
    one = Single(make, (1, 2, 2), term=3)
    (reply,) = of(AppendEntriesReply, one.append(prev, 3))
    assert (reply.success, reply.index) == (False, prev[0])
    assert one.terms == [1, 2, 2]


def test_a_success_means_identical_logs_up_to_there(make: CoreMaker) -> None:
    """§3.5: when AppendEntries returns successfully, the logs are identical through the new entries."""
    one = Single(make, (1, 2), term=3)
    (reply,) = of(AppendEntriesReply, one.append((2, 2), 3, 3))
    assert (reply.success, reply.index) == (True, 4)
    assert one.terms == [1, 2, 3, 3]


def test_a_conflicting_entry_goes_with_all_that_follow_it(make: CoreMaker) -> None:
    """§3.5: conflicting entries in follower logs are overwritten with entries from the leader's log."""
    one = Single(make, (1, 2, 2, 2, 2), term=3)
    one.append((2, 2), 3)
    assert one.terms == [1, 2, 3]
    assert [entry.term for entry in one.disk] == [1, 2, 3]


def test_only_a_real_conflict_cuts_the_log(make: CoreMaker) -> None:
    """§3.5: a late message that ends before the log does must not remove what follows it."""
    one = Single(make, (1, 2, 2, 2), term=2)
    (reply,) = of(AppendEntriesReply, one.append((1, 1), 2))
    assert (reply.success, reply.index) == (True, 2)
    assert one.terms == [1, 2, 2, 2]


def test_appending_the_same_entries_again_changes_nothing(make: CoreMaker) -> None:
    """§3.7: Raft RPCs are idempotent; entries already in the log are ignored."""
    one = Single(make, slow_disk=True)
    one.append((1, 1), 1, 1)
    first = one.persist()
    assert one.append((1, 1), 1, 1) + [m for write in one.writes for m in write.after] == first
    assert [(write.truncate_from, write.entries) for write in one.writes if write.entries] == []
    assert (one.status.durable_index, one.status.log.last_index) == (3, 3)


def test_a_new_leader_begins_right_after_its_own_last_entry(make: CoreMaker) -> None:
    """§3.5: nextIndex starts at the index just after the last one in the leader's log."""
    one = Single(make, (1, 2, 3)).as_candidate()
    sent = of(AppendEntries, one.step(RequestVoteReply(2, 1, 4, granted=True)))
    assert {(message.prev_index, message.prev_term) for message in sent} == {(3, 3)}


def test_a_new_leadership_knows_nothing_of_the_others_logs(make: CoreMaker) -> None:
    """Figure 3.1: matchIndex is initialized to 0 after each election; what was so may have been replaced."""
    one = Single(make).as_leader(committed=True)
    one.heartbeat(term=3)
    one.as_leader()
    peers = one.status.peers.values()
    assert [(peer.match_index, peer.next_index, peer.state) for peer in peers] == [(0, 3, "probe")] * 2


def test_a_refused_leader_steps_back_and_tries_again(make: CoreMaker) -> None:
    """§3.5: after a rejection the leader decrements nextIndex and retries until the logs match."""
    one = Single(make, (1, 2, 3)).as_leader()
    (retry,) = one.step(AppendEntriesReply(2, 1, 4, False, 3, 1, 1))
    assert isinstance(retry, AppendEntries)
    assert (retry.prev_index, retry.prev_term) == (1, 1)
    assert [entry.index for entry in retry.entries] == [2, 3, 4]


@needs(Part.PIPELINING)
def test_a_stale_refusal_changes_nothing(make: CoreMaker) -> None:
    """§3.5: what a follower has acknowledged stays a fact; a late refusal is not about it."""
    one = Single(make, (1, 2, 3)).as_leader(committed=True)
    assert one.step(AppendEntriesReply(2, 1, 4, False, 3, 1, 1)) == []
    peer = one.status.peers[2]
    assert (peer.match_index, peer.next_index, peer.state) == (4, 5, "replicate")


def test_a_refusal_of_what_was_not_asked_changes_nothing(make: CoreMaker) -> None:
    """§3.5: while the leader probes, only the answer to its last question moves the guess."""
    one = Single(make, (1, 2, 3)).as_leader()
    before = one.status.peers[2]
    assert one.step(AppendEntriesReply(2, 1, 4, False, 2, 1, 1)) == []
    assert one.step(AppendEntriesReply(2, 1, 4, False, 9, 1, 1)) == []
    assert one.status.peers[2]._replace(recently_active=False) == before._replace(recently_active=False)


def test_a_match_index_only_grows(make: CoreMaker) -> None:
    """§3.5: answers may overtake each other; an old one takes nothing back."""
    one = Single(make).as_leader(committed=True)
    one.propose(b"x")
    one.propose(b"y")
    one.acknowledge(4, 2)
    one.acknowledge(3, 2)
    assert one.status.peers[2].match_index == 4


def test_a_follower_commits_no_further_than_it_agrees_with_the_leader(make: CoreMaker) -> None:
    """Figure 3.1: commitIndex = min(leaderCommit, index of last new entry)."""
    one = Single(make, (1, 2, 2, 2), term=3)
    one.append((1, 1), 2, commit=4)
    assert one.status.commit_index == 2


def test_the_commit_index_never_goes_back(make: CoreMaker) -> None:
    """Figure 3.1: commitIndex increases monotonically; a late message carries an old one."""
    one = Single(make)
    one.append((1, 1), 1, 1, commit=3)
    one.append((1, 1), commit=1)
    one.heartbeat(commit=1)
    assert one.status.commit_index == 3


@needs(Part.READ_INDEX)
def test_a_heartbeat_carries_no_commit_index_beyond_what_was_acknowledged(make: CoreMaker) -> None:
    """Figure 3.1: a follower whose log may still differ must not commit by a heartbeat."""
    one = Single(make, voters=5).as_leader()
    one.acknowledge(2, 2, 3)
    commits = {message.target: message.commit for message in of(Heartbeat, one.tick())}
    assert commits == {2: 2, 3: 2, 4: 0, 5: 0}


# ---------------------------------------------------------------- §3.6 safety


@pytest.mark.parametrize(
    ("last", "granted"),
    [((3, 2), True), ((4, 2), True), ((2, 2), False), ((1, 3), True), ((9, 1), False)],
)
def test_a_vote_goes_only_to_an_up_to_date_log(make: CoreMaker, last: tuple[int, int], granted: bool) -> None:
    """§3.6.1: the later last term is more up to date; with equal ones, the longer log is."""
    (reply,) = Single(make, (1, 2, 2)).ask_vote(5, last)
    assert isinstance(reply, RequestVoteReply)
    assert reply.granted is granted


def test_an_entry_of_an_older_term_is_not_committed_by_counting(make: CoreMaker) -> None:
    """§3.6.2: only entries of the leader's current term are committed by counting replicas."""
    one = Single(make, (1, 2, 2)).as_leader()
    one.acknowledge(3, 2, 3)
    assert one.status.commit_index == 1
    one.acknowledge(4, 2)
    assert one.status.commit_index == 4


def test_a_new_leader_begins_with_an_empty_entry_of_its_term(make: CoreMaker) -> None:
    """§6.4 step 1, §3.6.2: it commits what went before without waiting for a client."""
    one = Single(make, (1, 2)).as_leader()
    log = one.status.log
    assert log.slice(3, 3) == [Entry(3, 3, EntryKind.NOOP, b"")]


@pytest.mark.parametrize(
    ("matches", "committed"),
    [((1, 1, 1, 1), 1), ((5, 1, 1, 1), 1), ((5, 4, 1, 1), 4), ((5, 5, 2, 1), 5), ((3, 2, 3, 2), 3)],
)
def test_the_commit_index_is_what_a_majority_reached(
    make: CoreMaker, matches: tuple[int, ...], committed: int
) -> None:
    """Figure 3.1: N such that a majority of matchIndex[i] >= N, the leader counted at its last entry."""
    one = Single(make, voters=5).as_leader()
    for _ in range(3):
        one.propose(b"x")
    for peer, match in enumerate(matches, 2):
        if match > 1:
            one.acknowledge(match, peer)
    assert one.status.log.last_index == 5
    assert one.status.commit_index == committed


# ---------------------------------------------------------------- §3.8 persisted state


def test_term_and_vote_survive_a_restart(make: CoreMaker) -> None:
    """§3.8: a server must not vote twice in a term, nor let its term go back, after a restart."""
    one = Single(make)
    one.ask_vote(2, (1, 1), candidate=3)
    again = Single(make, term=one.hard_state.term, vote=one.hard_state.vote)
    assert (again.status.term, again.status.vote) == (2, 3)
    assert again.ask_vote(2, (1, 1), candidate=2) == [RequestVoteReply(1, 2, 2, granted=False)]


def test_a_restarted_server_applies_its_log_from_the_beginning(make: CoreMaker) -> None:
    """§3.8: the state machine is volatile; it is recovered by applying entries again after a restart."""
    one = Single(make, (1, 1, 1), commit=2)
    assert [entry.index for entry in one.applied] == [1, 2]
    one.heartbeat(commit=3)
    assert [entry.index for entry in one.applied] == [1, 2, 3]
    assert one.status.applied_index == 3


def test_the_commit_index_may_be_lost(make: CoreMaker) -> None:
    """§3.8: the commit index can safely be reinitialized after a restart; the leader tells it again."""
    one = Single(make, (1, 1, 1), commit=0)
    assert one.applied == []
    one.append((3, 1), commit=3)
    assert [entry.index for entry in one.applied] == [1, 2, 3]


def test_the_commit_index_is_stored_now_and_then(make: CoreMaker) -> None:
    """§3.8: it need not be stored; as a hint it lets a restarted server serve what it had applied."""
    one = Single(make)
    one.append((1, 1), 1, 1)
    one.heartbeat(commit=3)
    one.tick()
    assert one.hard_state.commit == 3


def test_no_vote_leaves_before_it_is_durable(make: CoreMaker) -> None:
    """§3.8: a server stores its term and vote before it answers."""
    one = Single(make, slow_disk=True)
    assert one.ask_vote(2, (1, 1)) == []
    assert one.persist() == [RequestVoteReply(1, 3, 2, granted=True)]
    assert one.hard_state[:2] == (2, 3)


def test_no_request_for_votes_leaves_before_the_own_vote_is_durable(make: CoreMaker) -> None:
    """§3.8: a candidate votes for itself; that vote too must survive a crash."""
    one = Single(make, slow_disk=True)
    assert of(RequestVote, one.stand()) == []
    assert of(RequestVote, one.persist()) == [RequestVote(1, peer, 2, 1, 1) for peer in (2, 3)]
    assert one.hard_state[:2] == (2, 1)


def test_no_acknowledgement_leaves_before_the_entries_are_durable(make: CoreMaker) -> None:
    """§3.8: a server stores new log entries before they count towards their commitment."""
    one = Single(make, slow_disk=True)
    assert one.append((1, 1), 1) == []
    (reply,) = of(AppendEntriesReply, one.persist())
    assert (reply.success, reply.index) == (True, 2)


def test_an_acknowledgement_waits_for_the_write_that_holds_the_entries(make: CoreMaker) -> None:
    """§3.8: what is sent again while its write is under way is acknowledged behind it."""
    one = Single(make, slow_disk=True)
    one.append((1, 1), 1)
    assert one.append((1, 1), 1) == []
    assert [reply.index for reply in of(AppendEntriesReply, one.persist())] == [2, 2]


@pytest.mark.parametrize("kind", ["heartbeat", "append", "refused append", "vote"])
def test_no_answer_leaves_before_its_term_is_durable(make: CoreMaker, kind: str) -> None:
    """§3.8: a server that answers in a term must not come back in an earlier one."""
    one = Single(make, slow_disk=True)
    answers = {
        "heartbeat": lambda: one.heartbeat(term=4),
        "append": lambda: one.append((1, 1), term=4),
        "refused append": lambda: one.append((9, 1), term=4),
        "vote": lambda: one.ask_vote(4, (0, 0)),
    }[kind]()
    assert answers == []
    assert [answer.term for answer in one.persist()] == [4]
    assert one.hard_state.term == 4


def test_an_entry_is_applied_only_when_the_own_disk_holds_it(make: CoreMaker) -> None:
    """§3.8: what was applied and answered is there again after a restart of this server."""
    one = Single(make, slow_disk=True)
    one.append((1, 1), 1, commit=2)
    assert [entry.index for entry in one.applied] == [1]
    one.persist()
    assert [entry.index for entry in one.applied] == [1, 2]


def test_a_write_under_way_does_not_count_for_an_entry_that_replaced_its_own(make: CoreMaker) -> None:
    """§3.8: entry 2 of term 1 reaches the disk after entry 2 of term 2 took its place in the log."""
    one = Single(make, slow_disk=True)
    one.append((1, 1), 1, 1)
    one.append((1, 1), 2, term=2, leader=3)
    one.persist(1)
    assert one.status.durable_index == 1
    one.persist()
    assert one.status.durable_index == 2
    assert [entry.term for entry in one.disk] == [1, 2]


@needs(Part.PIPELINING)
def test_the_same_entry_appended_again_waits_for_its_own_write(make: CoreMaker) -> None:
    """§3.8: entry 2 of term 1 is written, replaced, and comes back; the first write is no proof of it."""
    one = Single(make, slow_disk=True)
    one.append((1, 1), 1)
    one.append((1, 1), 2, term=2, leader=3)
    one.append((1, 1), 1, 3, term=3)
    one.persist(1)
    assert one.status.durable_index == 1
    one.persist(1)
    assert one.status.durable_index == 1
    (reply,) = [r for r in of(AppendEntriesReply, one.persist()) if r.term == 3]
    assert (reply.success, reply.index, one.status.durable_index) == (True, 3, 3)
    assert [entry.term for entry in one.disk] == [1, 1, 3]


def test_an_acknowledgement_is_withdrawn_with_its_entries(make: CoreMaker) -> None:
    """§3.8: an answer that still waits for its write must not promise entries that are gone."""
    one = Single(make, slow_disk=True)
    one.core.step(AppendEntries(2, 1, 1, 1, 1, (Entry(1, 2, 0, b"a"), Entry(1, 3, 0, b"b")), 0))
    one.core.step(AppendEntries(3, 1, 2, 1, 1, (Entry(2, 2, 0, b"c"),), 0))
    one.carry_out()
    assert [(r.term, r.index) for r in of(AppendEntriesReply, one.persist())] == [(2, 2)]


# ---------------------------------------------------------------- §4.2.3, §6.2 leaders that last


@needs(Part.CHECK_QUORUM)
def test_a_vote_is_not_asked_of_who_hears_a_leader(make: CoreMaker) -> None:
    """§4.2.3: within the minimum election time-out of hearing a leader, RequestVote changes nothing."""
    one = Single(make)
    one.heartbeat()
    one.tick(ELECTION_TICKS - 1)
    assert one.ask_vote(7, (9, 6)) == []
    assert (one.status.term, one.status.vote) == (1, 0)
    one.tick()
    assert one.ask_vote(7, (9, 6)) == [RequestVoteReply(1, 3, 7, granted=True)]


@needs(Part.CHECK_QUORUM)
def test_a_leader_is_not_deposed_by_a_candidate(make: CoreMaker) -> None:
    """§4.2.3: a leader that reaches its cluster is not deposed by larger terms of a RequestVote."""
    one = Single(make).as_leader(committed=True)
    assert one.ask_vote(7, (9, 6)) == []
    assert (one.status.role, one.status.term) == (Role.LEADER, 2)


@needs(Part.CHECK_QUORUM)
def test_a_leader_without_a_majority_steps_down(make: CoreMaker) -> None:
    """§6.2: a leader steps down if an election time-out passes without a round to a majority."""
    one = Single(make, voters=5).as_leader(committed=True)
    one.tick(ELECTION_TICKS)
    for _ in range(ELECTION_TICKS):
        one.confirm(0, 2)
        one.tick()
    assert (one.status.role, one.status.leader, one.status.term) == (Role.FOLLOWER, 0, 2)


@needs(Part.CHECK_QUORUM, Part.FORWARDING)
def test_a_leader_that_reaches_nobody_steps_down_though_it_hears_them(make: CoreMaker) -> None:
    """§6.2: only answers count; who asks something may not hear the leader at all."""
    one = Single(make).as_leader(committed=True)
    one.tick(ELECTION_TICKS)
    for _ in range(ELECTION_TICKS):
        one.step(ForwardProposals(2, 1, 2, (b"x",)), RequestPreVote(3, 1, 3, 9, 2))
        one.tick()
    assert (one.status.role, one.status.term) == (Role.FOLLOWER, 2)


@needs(Part.CHECK_QUORUM)
def test_a_new_leader_has_a_whole_timeout_to_reach_a_majority(make: CoreMaker) -> None:
    """§6.2: the time its election took does not count."""
    one = Single(make, voters=5).as_candidate()
    one.tick(ELECTION_TICKS - 2)
    one.step(*(RequestVoteReply(peer, 1, 2, granted=True) for peer in (2, 3)))
    one.tick(ELECTION_TICKS - 1)
    assert one.status.role is Role.LEADER


@needs(Part.CHECK_QUORUM)
def test_a_leader_with_a_majority_stays(make: CoreMaker) -> None:
    """§6.2: answers of a majority within each election time-out are enough."""
    one = Single(make, voters=5).as_leader(committed=True)
    for _ in range(50):
        one.tick(ELECTION_TICKS - 1)
        one.confirm(0, 2, 5)
        one.tick()
    assert one.status.role is Role.LEADER


@needs(Part.FORWARDING)
def test_a_follower_passes_commands_to_its_leader(make: CoreMaker) -> None:
    """§6.2: a server that is not the leader can proxy the client's request to the leader."""
    one = Single(make)
    one.heartbeat()
    assert one.propose(b"x") == [ForwardProposals(1, 2, 1, (b"x",))]
    assert one.terms == [1]


@needs(Part.FORWARDING)
def test_a_leader_takes_forwarded_commands(make: CoreMaker) -> None:
    """§6.2: also from a follower whose term is behind."""
    one = Single(make).as_leader(committed=True)
    one.step(ForwardProposals(2, 1, 1, (b"x", b"y")))
    assert [entry.data for entry in one.disk[2:]] == [b"x", b"y"]


@needs(Part.FORWARDING)
def test_who_does_not_lead_drops_forwarded_commands(make: CoreMaker) -> None:
    """§6.2: they are not passed on, lest they go in circles."""
    one = Single(make)
    one.heartbeat()
    assert one.step(ForwardProposals(3, 1, 1, (b"x",))) == []


@needs(Part.READ_INDEX)
def test_without_a_leader_commands_and_reads_are_refused(make: CoreMaker) -> None:
    """§6.2: the client is told, so that it may try again: nothing was appended."""
    one = Single(make)
    with pytest.raises(NoLeader):
        one.propose(b"x")
    with pytest.raises(NoLeader):
        one.read(1)
    assert one.tick() == []


@needs(Part.FORWARDING)
def test_what_waits_to_be_forwarded_is_lost_with_the_leader(make: CoreMaker) -> None:
    """§6.2: a command waiting for a leader that is gone is dropped, not sent to the next one."""
    one = Single(make)
    one.heartbeat()
    one.core.propose(b"x")
    one.core.read_index(1)
    one.core.step(RequestVoteReply(3, 1, 5, granted=False))
    assert one.carry_out() == []
    assert of((ForwardProposals, ReadIndex), one.heartbeat(term=5) + one.tick()) == []


@needs(Part.PIPELINING)
def test_a_leader_bounds_what_is_uncommitted(make: CoreMaker) -> None:
    """No section (the thesis leaves limits open): more proposals are refused until entries are committed."""
    one = Single(make).as_leader(committed=True)
    for _ in range(64):
        one.propose(MEGABYTE)
    with pytest.raises(TooManyRequests):
        one.propose(b"x")
    before = one.status.log.last_index
    one.step(ForwardProposals(2, 1, 2, (b"x",)))
    assert one.status.log.last_index == before
    one.acknowledge(3, 2)
    one.propose(b"x")
    assert one.status.log.last_index == before + 1


@needs(Part.PIPELINING)
def test_entries_of_earlier_leaders_make_no_room_for_more(make: CoreMaker) -> None:
    """No section (the thesis leaves limits open): when they are committed, they were never counted."""
    one = Single(make, (1, 2, 2)).as_leader(committed=True)
    for _ in range(64):
        one.propose(MEGABYTE)
    with pytest.raises(TooManyRequests):
        one.propose(b"x")


def test_what_was_uncommitted_in_an_earlier_leadership_does_not_count(make: CoreMaker) -> None:
    """No section (the thesis leaves limits open): what was replaced is not counted."""
    one = Single(make).as_leader(committed=True)
    for _ in range(64):
        one.propose(MEGABYTE)
    one.append((2, 2), 3, term=3)
    one.as_leader()
    one.propose(b"x")
    assert one.terms == [1, 2, 3, 4, 4]


# ---------------------------------------------------------------- §6.4 reads


@needs(Part.READ_INDEX)
def test_a_read_waits_for_the_first_commit_of_the_term(make: CoreMaker) -> None:
    """§6.4 step 1: until then the leader may not know which entries are committed."""
    one = Single(make, (1, 2)).as_leader()
    assert of(Heartbeat, one.read(7)) == []
    assert len(of(Heartbeat, one.acknowledge(3, 2))) == 2
    one.confirm(one.round, 2)
    assert one.reads == [(7, 3)]


@needs(Part.READ_INDEX)
def test_a_read_waits_for_a_majority_to_confirm_the_leader(make: CoreMaker) -> None:
    """§6.4 steps 2, 3: the commit index is saved, then a round of heartbeats must be acknowledged."""
    one = Single(make, voters=5).as_leader(committed=True)
    assert len(of(Heartbeat, one.read(7))) == 4
    one.confirm(one.round, 2)
    assert one.reads == []
    one.confirm(one.round, 2)
    assert one.reads == []
    one.confirm(one.round, 4)
    assert one.reads == [(7, 2)]


@needs(Part.READ_INDEX)
def test_the_index_of_a_read_is_that_of_its_arrival(make: CoreMaker) -> None:
    """§6.4 step 2: what is committed later need not be waited for."""
    one = Single(make).as_leader(committed=True)
    one.read(7)
    one.propose(b"x")
    one.acknowledge(3, 2)
    one.confirm(one.round, 2)
    assert one.reads == [(7, 2)]


@needs(Part.READ_INDEX)
def test_heartbeats_from_before_the_read_do_not_confirm_it(make: CoreMaker) -> None:
    """§6.4 step 3: the round must begin after the read arrived."""
    one = Single(make).as_leader(committed=True)
    one.tick()
    one.read(7)
    one.confirm(one.round - 1, 2, 3)
    assert one.reads == []


@needs(Part.READ_INDEX)
def test_a_read_that_comes_during_a_round_waits_for_the_next(make: CoreMaker) -> None:
    """§6.4: reads may share a round, but only one that began after all of them."""
    one = Single(make).as_leader(committed=True)
    one.read(7)
    assert one.read(8) == []
    assert one.read(9) == []
    first = one.round
    assert len(of(Heartbeat, one.confirm(first, 2))) == 2
    assert (one.reads, one.round) == ([(7, 2)], first + 1)
    one.confirm(first, 3)
    assert one.reads == [(7, 2)]
    one.confirm(one.round, 3)
    assert one.reads == [(7, 2), (8, 2), (9, 2)]


@needs(Part.READ_INDEX)
def test_a_single_server_reads_at_once(make: CoreMaker) -> None:
    """§6.4: it is a majority itself."""
    one = Single(make, voters=1)
    one.timeout()
    one.read(7)
    assert one.reads == [(7, 2)]


@needs(Part.READ_INDEX)
def test_a_follower_asks_its_leader_for_the_index(make: CoreMaker) -> None:
    """§6.4: a follower asks the leader for a readIndex and serves the read from its own state."""
    one = Single(make)
    one.heartbeat()
    one.core.read_index(7)
    assert one.read(8) == [ReadIndex(1, 2, 1, (7, 8))]
    one.step(ReadIndexReply(2, 1, 1, (7, 8), 5))
    assert one.reads == [(7, 5), (8, 5)]


@needs(Part.READ_INDEX)
def test_a_leader_confirms_itself_before_it_answers_a_follower(make: CoreMaker) -> None:
    """§6.4: the leader executes steps 1 to 3 for the follower; whose term may be behind."""
    one = Single(make).as_leader(committed=True)
    assert of(ReadIndexReply, one.step(ReadIndex(3, 1, 1, (7, 8)))) == []
    assert of(ReadIndexReply, one.confirm(one.round, 2)) == [ReadIndexReply(1, 3, 2, (7, 8), 2)]
    assert one.reads == []


@needs(Part.READ_INDEX)
def test_who_does_not_lead_answers_no_read_of_others(make: CoreMaker) -> None:
    """§6.4: it could not know what is committed."""
    one = Single(make)
    one.heartbeat()
    assert one.step(ReadIndex(3, 1, 1, (7,))) == []


@needs(Part.READ_INDEX)
def test_reads_end_with_the_leadership(make: CoreMaker) -> None:
    """§6.4: a deposed leader answers none of the reads that waited, also not in a later term."""
    one = Single(make).as_leader(committed=True)
    one.read(7)
    one.heartbeat(term=3)
    one.confirm(one.round, 2, 3)
    assert one.reads == []
    one.step(HeartbeatReply(2, 1, 2, one.round), HeartbeatReply(3, 1, 2, one.round))
    assert one.reads == []


# ---------------------------------------------------------------- §9.6 pre-vote


@needs(Part.PRE_VOTE)
def test_a_pre_vote_changes_nothing_anywhere(make: CoreMaker) -> None:
    """§9.6: neither the asker's term nor the voter's term and vote move, and nothing is written."""
    asker = Single(make, slow_disk=True)
    asked = asker.timeout()
    assert [message.term for message in of(RequestPreVote, asked)] == [2, 2]
    voter = Single(make, slow_disk=True)
    assert voter.ask_pre_vote(9, (5, 5)) == [PreVoteReply(1, 3, 9, granted=True)]
    for one in (asker, voter):
        assert (one.status.term, one.status.vote, len(one.writes)) == (1, 0, 0)


@needs(Part.PRE_VOTE)
@pytest.mark.parametrize(
    ("term", "last", "granted"),
    [
        (3, (3, 2), True),
        (3, (9, 9), True),
        (3, (2, 2), False),
        (3, (9, 1), False),
        (2, (3, 2), False),
    ],
)
def test_a_pre_vote_is_granted_to_who_could_win(
    make: CoreMaker, term: int, last: tuple[int, int], granted: bool
) -> None:
    """§9.6: the log must be up to date and the term a new one."""
    (reply,) = Single(make, (1, 2, 2)).ask_pre_vote(term, last)
    assert reply == PreVoteReply(1, 3, term if granted else 2, granted)


@needs(Part.PRE_VOTE)
def test_who_hears_a_leader_grants_no_pre_vote(make: CoreMaker) -> None:
    """§9.6: servers that have heard from a valid leader lately refuse."""
    one = Single(make)
    one.heartbeat()
    one.tick(ELECTION_TICKS - 1)
    assert one.ask_pre_vote(9, (9, 9)) == [PreVoteReply(1, 3, 1, granted=False)]
    one.tick()
    assert one.ask_pre_vote(9, (9, 9)) == [PreVoteReply(1, 3, 9, granted=True)]


@needs(Part.PRE_VOTE)
def test_a_leader_grants_no_pre_vote(make: CoreMaker) -> None:
    """§9.6: a leader hears itself."""
    one = Single(make).as_leader(committed=True)
    assert one.ask_pre_vote(9, (9, 9)) == [PreVoteReply(1, 3, 2, granted=False)]


@needs(Part.PRE_VOTE)
def test_a_term_begins_only_with_a_majority_willing(make: CoreMaker) -> None:
    """§9.6: a candidate increments its term only once a majority would grant it their votes."""
    one = Single(make, voters=5).as_pre_candidate()
    one.step(PreVoteReply(2, 1, 2, granted=True))
    assert (one.status.role, one.status.term) == (Role.PRE_CANDIDATE, 1)
    one.step(PreVoteReply(3, 1, 2, granted=True))
    assert (one.status.role, one.status.term) == (Role.CANDIDATE, 2)


@needs(Part.PRE_VOTE)
def test_a_pre_candidate_refused_by_a_majority_follows_again(make: CoreMaker) -> None:
    """§9.6: its term stays as it was."""
    one = Single(make).as_pre_candidate()
    one.step(*(PreVoteReply(peer, 1, 1, granted=False) for peer in (2, 3)))
    assert (one.status.role, one.status.term) == (Role.FOLLOWER, 1)


@needs(Part.PRE_VOTE)
def test_a_willingness_for_another_term_does_not_count(make: CoreMaker) -> None:
    """§9.6: an answer to an earlier question is about an earlier term."""
    one = Single(make, term=5).as_pre_candidate()
    one.step(PreVoteReply(2, 1, 9, granted=True))
    assert one.status.role is Role.PRE_CANDIDATE


@needs(Part.PRE_VOTE)
def test_a_server_cut_off_does_not_raise_its_term(make: CoreMaker) -> None:
    """§9.6: it can't disrupt the cluster when it comes back."""
    one = Single(make)
    one.tick(20 * ELECTION_TICKS)
    assert one.status.term == 1


@needs(Part.PRE_VOTE)
def test_a_pre_candidate_follows_a_leader_it_hears(make: CoreMaker) -> None:
    """§9.6: whatever it was asking for, there is a leader of its term."""
    one = Single(make).as_pre_candidate()
    one.heartbeat()
    assert (one.status.role, one.status.leader) == (Role.FOLLOWER, 2)
    one.step(PreVoteReply(2, 1, 2, granted=True), PreVoteReply(3, 1, 2, granted=True))
    assert one.status.role is Role.FOLLOWER


# ---------------------------------------------------------------- §10.2.1 writing in parallel


@needs(Part.PIPELINING)
def test_a_leaders_entries_leave_before_its_own_disk_has_them(make: CoreMaker) -> None:
    """§10.2.1: the leader writes to its disk in parallel with replicating to the followers."""
    one = Single(make, slow_disk=True).as_pre_candidate()
    one.step(PreVoteReply(2, 1, 2, granted=True))
    one.persist()
    sent = one.step(RequestVoteReply(2, 1, 2, granted=True))
    assert len(of(AppendEntries, sent)) == 2
    assert len(one.writes) == 1


def leader_with_slow_disk(make: CoreMaker, voters: int) -> Single:
    one = Single(make, voters=voters).as_leader(committed=True)
    one.slow_disk = True
    return one


def test_a_leader_does_not_count_itself_before_its_disk_has_the_entry(make: CoreMaker) -> None:
    """§10.2.1: an entry is committed by a majority of disks, the leader's being one of them."""
    one = leader_with_slow_disk(make, 3)
    one.propose(b"x")
    one.acknowledge(3, 3)
    assert one.status.commit_index == 2
    one.persist()
    assert one.status.commit_index == 3


def test_an_entry_may_be_committed_before_the_leaders_disk_has_it(make: CoreMaker) -> None:
    """§10.2.1: if a majority of followers have it, the leader's own write need not be waited for."""
    one = leader_with_slow_disk(make, 3)
    one.propose(b"x")
    one.acknowledge(3, 2, 3)
    assert one.status.commit_index == 3
    assert [entry.index for entry in one.applied] == [1, 2]
    one.persist()
    assert [entry.index for entry in one.applied] == [1, 2, 3]


def test_a_single_server_commits_only_what_its_disk_has(make: CoreMaker) -> None:
    """§10.2.1: it is its own majority, so its own disk decides."""
    one = Single(make, voters=1)
    one.timeout()
    one.slow_disk = True
    one.propose(b"x")
    assert one.status.commit_index == 2
    one.persist()
    assert one.status.commit_index == 3


@needs(Part.PIPELINING)
def test_entries_are_sent_ahead_of_their_acknowledgements(make: CoreMaker) -> None:
    """§10.2.2: with pipelining the leader sends the next entries without waiting for an answer."""
    one = Single(make).as_leader(committed=True)
    sent = [message for _ in range(3) for message in of(AppendEntries, one.propose(b"x"))]
    assert [message.prev_index for message in sent if message.target == 2] == [2, 3, 4]


@needs(Part.PIPELINING)
def test_nothing_is_sent_ahead_before_the_logs_are_known_to_agree(make: CoreMaker) -> None:
    """§10.2.2: a leader probes with one message at a time first."""
    one = Single(make).as_leader()
    assert of(AppendEntries, one.propose(b"x")) == []
    sent = of(AppendEntries, one.acknowledge(2, 2))
    assert [(m.target, m.prev_index, len(m.entries)) for m in sent if m.entries] == [(2, 2, 1)]


@needs(Part.PIPELINING)
def test_what_is_under_way_to_a_peer_is_bounded(make: CoreMaker) -> None:
    """§10.2.2: a peer that does not answer gets no more after a window of messages."""
    one = Single(make).as_leader(committed=True)
    sent = [message for _ in range(200) for message in of(AppendEntries, one.propose(b"x"))]
    to_each = [sum(message.target == peer for message in sent) for peer in (2, 3)]
    assert to_each == [64, 64]
    more = of(AppendEntries, one.acknowledge(3, 2))
    assert [message.target for message in more if message.entries] == [2]


@needs(Part.PIPELINING)
def test_a_message_is_bounded_in_bytes(make: CoreMaker) -> None:
    """§10.2.2: what piled up is cut into messages of about a megabyte, at least one entry each."""
    one = Single(make).as_leader()
    for size in (600_000, 600_000, 100, 3_000_000, 100):
        one.propose(b"x" * size)
    sent = [message for message in of(AppendEntries, one.acknowledge(2, 2)) if message.entries]
    assert [len(message.entries) for message in sent] == [1, 2, 1, 1]


@needs(Part.PIPELINING)
def test_a_peer_out_of_reach_is_probed_again(make: CoreMaker) -> None:
    """§10.2.2: when the connection breaks, the leader goes back to where the logs are known to agree."""
    one = Single(make).as_leader(committed=True)
    one.propose(b"x")
    one.propose(b"y")
    one.core.report(2, PeerEvent.UNREACHABLE)
    (probe,) = of(AppendEntries, one.carry_out())
    assert (probe.target, probe.prev_index, len(probe.entries)) == (2, 2, 2)
    assert of(AppendEntries, one.propose(b"z"))[0].target == 3
    one.core.report(2, PeerEvent.CONNECTED)
    (probe,) = of(AppendEntries, one.carry_out())
    assert (probe.target, probe.prev_index, len(probe.entries)) == (2, 2, 3)


@needs(Part.PIPELINING)
def test_a_hint_that_is_no_news_sends_nothing(make: CoreMaker) -> None:
    """§10.2.2: a peer that is probed already is not probed more often because it is out of reach."""
    one = Single(make).as_leader(committed=True)
    one.propose(b"x")
    one.core.report(3, PeerEvent.CONNECTED)
    assert one.carry_out() == []
    one.core.report(2, PeerEvent.UNREACHABLE)
    one.carry_out()
    one.core.report(2, PeerEvent.UNREACHABLE)
    assert one.carry_out() == []


@needs(Part.PIPELINING)
def test_a_hint_about_a_peer_means_nothing_to_a_follower(make: CoreMaker) -> None:
    """§10.2.2: only a leader keeps track of its peers."""
    one = Single(make)
    for event in PeerEvent:
        one.core.report(2, event)
    assert one.carry_out() == []


# ---------------------------------------------------------------- §3.5 with a whole group


@needs(Part.FAST_BACKUP)
@pytest.mark.parametrize(
    ("leader", "follower", "most"),
    [
        ((1, *[4] * 30), (1, *[2] * 30), 2),
        ((1, *[4] * 30), (1,), 2),
        ((1, *[2] * 10, *[4] * 20), (1, *[2] * 5, *[3] * 40), 3),
        ((1, 1, 1, 4, 4, 5, 5, 6, 6, 6), (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3), 3),
    ],
)
def test_backup_takes_one_message_a_term_and_not_one_an_entry(
    make: CoreMaker, leader: tuple[int, ...], follower: tuple[int, ...], most: int
) -> None:
    """§3.5 (end): the follower's hint lets the leader skip all conflicting entries of a term at once."""
    group = Group(3, make=make)
    group.set_log(1, leader, HardState(7))
    group.set_log(2, follower, HardState(7))
    group.set_log(3, leader, HardState(7))
    group.partition([1, 3], [2])
    group.timeout(1)
    group.stabilize()
    group.heal()
    group.tick(1)
    appends = 0
    while group.under_way():
        appends += sum(isinstance(m, AppendEntries) and bool(m.entries) for m in group.links[1, 2])
        group.deliver_round()
    assert appends <= most
    terms = [entry.term for entry in group.members[2].disk.entries]
    assert terms == [*leader, 8]


def test_a_lost_append_is_sent_again(make: CoreMaker) -> None:
    """§3.5: if packets are lost, the leader retries AppendEntries until all followers store them."""
    group = Group(3, make=make)
    group.timeout(1)
    group.stabilize()
    for round_ in range(5):
        group.propose(1, b"%d" % round_)
        group.drop(1, 2)
    group.tick(1)
    group.stabilize()
    assert group.members[2].disk.entries == group.members[1].disk.entries
