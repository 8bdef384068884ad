"""Each rule is broken by a step made by hand for it, and by none that is right.

That the rules never accuse the reference core is what the random schedules show.
"""

from collections.abc import Callable
from typing import Any

import pytest

from raftkv.raft import (
    Configuration,
    Entry,
    EntryKind,
    HardState,
    Message,
    ReadState,
    Ready,
    Role,
    Snapshot,
    Status,
    Write,
)
from raftkv.raft.invariants import RULES, Observer, Rule, RuleViolated
from raftkv.raft.ledger import Event, Ledger, Persisted, ReadAsked, Received, Started, Step, Ticked
from raftkv.raft.log import RaftLog
from raftkv.raft.membership import encode_configuration
from raftkv.raft.messages import (
    AppendEntriesReply,
    Heartbeat,
    InstallSnapshot,
    PreVoteReply,
    RemovedNotice,
    RequestPreVote,
    RequestVote,
    RequestVoteReply,
)
from raftkv.raft.partial_log import PartialLog
from raftkv.raft.types import PeerStatus
from tests.raft.group import figure_log

VOTERS = (1, 2, 3)
BOOT, SECOND, THIRD = figure_log((1, 2, 2), VOTERS)
OTHER = Entry(2, 2, 0, b"other")
Setup = Callable[[Ledger], Any]


def status(*entries: Entry, **changes: Any) -> Status:
    """Return member 1 as a follower in term 2 with two entries, but for ``changes``."""
    usual = Status(
        node_id=1,
        role=Role.FOLLOWER,
        term=2,
        vote=0,
        leader=2,
        durable_term=2,
        durable_vote=0,
        durable_index=2,
        commit_index=1,
        applied_index=1,
        log=RaftLog(entries or (BOOT, SECOND)),
        snapshot=None,
        configuration_index=1,
        transferee=0,
        configuration=Configuration(VOTERS),
        peers={},
    )
    return usual._replace(**changes)


def leader(*entries: Entry, **changes: Any) -> Status:
    return status(*entries, role=Role.LEADER, leader=1, **changes)


def step(
    before: Status | None,
    after: Status,
    *,
    event: Event | None = None,
    sent: tuple[Message, ...] = (),
    committed: tuple[Entry, ...] = (),
    reads: tuple[ReadState, ...] = (),
    writes: tuple[Write, ...] = (),
) -> Step:
    effects = [Ready((), write, (), (), None) for write in writes]
    effects.append(Ready(sent, None, committed, reads, None))
    return Step(1, before, event or Ticked(), after, tuple(effects), sent)


def peer(match_index: int, next_index: int) -> dict[int, PeerStatus]:
    return {2: PeerStatus(match_index, next_index, state="replicate", recently_active=True)}


def commits(*entries: Entry) -> Setup:
    def setup(ledger: Ledger) -> None:
        ledger.committed.replace(0, entries)
        ledger.commits[1] = len(entries)
        ledger.configurations.append((1, Configuration(VOTERS)))

    return setup


def empty_disks_of_others(ledger: Ledger) -> None:
    for node in (2, 3):
        ledger.adopt(node, HardState(2), [BOOT])


def newer_leader_without_entry_2(ledger: Ledger) -> None:
    ledger.committed.replace(0, [BOOT])
    ledger.members[3].log = PartialLog([BOOT])
    ledger.members[3].leads = 5


def nothing(ledger: Ledger) -> None:
    pass


def members(
    *voters: int,
    index: int = 3,
    term: int = 2,
    learners: tuple[int, ...] = (),
    removed: tuple[int, ...] = (),
) -> Entry:
    """Return a configuration entry."""
    data = encode_configuration(Configuration(voters, learners, removed), b"")
    return Entry(term, index, EntryKind.CONFIGURATION, data)


FOUR = Configuration((1, 2, 3, 4))
AT_2 = Snapshot(2, 2, Configuration(VOTERS))
ACK_3 = AppendEntriesReply(1, 2, 2, True, 3, 0, 0)
ACK_2 = AppendEntriesReply(1, 2, 2, True, 2, 0, 0)
VOTE_FOR_3 = RequestVoteReply(1, 3, 2, granted=True)

BROKEN: list[tuple[str, Step, Setup]] = [
    ("term_grows", step(status(term=3), status()), nothing),
    ("vote_stays", step(status(vote=2), status(vote=3)), nothing),
    (
        "one_vote_a_term",
        step(status(), status(), sent=(VOTE_FOR_3,)),
        lambda ledger: ledger.votes.update({(1, 2): 2}),
    ),
    (
        "one_vote_a_term",
        step(status(), status(), sent=(RequestVote(1, 3, 2, 2, 2),)),
        lambda ledger: ledger.votes.update({(1, 2): 2}),
    ),
    (
        "vote_for_up_to_date_log",
        step(status(), status(vote=3), event=Received(RequestVote(3, 1, 2, 9, 1))),
        nothing,
    ),
    (
        "pre_vote_changes_nothing",
        step(status(term=1), status(), event=Received(RequestPreVote(3, 1, 2, 9, 9))),
        nothing,
    ),
    ("one_leader_a_term", step(status(), leader()), lambda ledger: ledger.leaders.update({2: 3})),
    ("leader_has_majority", step(status(), leader()), nothing),
    ("leader_appends_only", step(leader(), leader(BOOT)), nothing),
    ("leader_uses_own_term", step(leader(term=3), leader(BOOT, SECOND, THIRD, term=3)), nothing),
    ("log_matching", step(status(), status(BOOT, OTHER)), nothing),
    ("log_is_ordered", step(status(), status(BOOT, SECOND, Entry(1, 3, 0, b""))), nothing),
    ("log_is_ordered", step(status(), status(BOOT, SECOND, Entry(9, 3, 0, b""))), nothing),
    ("leader_completeness", step(status(), leader()), commits(BOOT, OTHER)),
    ("leader_completeness", step(leader(), leader(commit_index=2)), newer_leader_without_entry_2),
    ("commit_grows", step(status(commit_index=2), status(commit_index=1)), nothing),
    ("commit_grows", step(status(), status(commit_index=3)), nothing),
    ("commit_own_term", step(leader(term=3), leader(term=3, commit_index=2)), nothing),
    ("committed_is_on_majority", step(leader(), leader(commit_index=2)), empty_disks_of_others),
    ("committed_is_the_same", step(status(), status(commit_index=2)), commits(BOOT, OTHER)),
    ("committed_is_the_same", step(status(), status(), committed=(SECOND,)), commits(BOOT)),
    ("committed_stays", step(status(commit_index=2), status(BOOT, OTHER, commit_index=2)), nothing),
    ("applied_in_order", step(status(), status(), committed=(SECOND,)), nothing),
    ("applied_is_durable", step(status(), status(BOOT, SECOND, THIRD), committed=(THIRD,)), nothing),
    ("sent_term_is_durable", step(status(), status(), sent=(Heartbeat(1, 2, 9, 0, 0),)), nothing),
    ("sent_term_is_durable", step(status(), status(), sent=(PreVoteReply(1, 2, 9, False),)), nothing),
    ("sent_vote_is_durable", step(status(), status(), sent=(VOTE_FOR_3,)), nothing),
    ("acknowledged_is_durable", step(status(), status(BOOT, SECOND, THIRD), sent=(ACK_3,)), nothing),
    ("acknowledged_is_durable", step(status(), status(BOOT, OTHER), sent=(ACK_2,)), nothing),
    ("durable_claims_hold", step(status(), status(durable_term=3)), nothing),
    ("durable_claims_hold", step(status(), status(BOOT, SECOND, THIRD, durable_index=3)), nothing),
    ("writes_fit", step(status(), status(), writes=(Write(1, None, 0, (OTHER, THIRD), ()),)), nothing),
    (
        "writes_fit",
        step(status(), status(), writes=(Write(1, None, 0, (), ()), Write(3, None, 0, (), ()))),
        nothing,
    ),
    ("restart_recovers", step(None, status(term=1), event=Started(HardState(1), (BOOT, SECOND))), nothing),
    ("restart_recovers", step(None, status(BOOT), event=Started(HardState(2), (BOOT,))), nothing),
    ("match_is_durable", step(leader(), leader(BOOT, SECOND, THIRD, peers=peer(3, 4))), nothing),
    ("match_grows", step(leader(peers=peer(2, 3)), leader(peers=peer(1, 3))), nothing),
    ("match_grows", step(leader(), leader(peers=peer(2, 2))), nothing),
    ("configuration_follows_log", step(status(), status(BOOT, SECOND, members(1, 2, 3, 4))), nothing),
    ("configuration_follows_log", step(status(), status(configuration=FOUR)), nothing),
    (
        "one_change_at_a_time",
        step(status(), status(BOOT, SECOND, members(1, 2), members(1, 2, 3, index=4))),
        commits(BOOT, SECOND),
    ),
    ("changes_one_member", step(status(), status(BOOT, SECOND, members(1, 2, 3, 4, 5))), nothing),
    ("changes_one_member", step(status(), status(BOOT, SECOND, members(1, 2, 3, removed=(3,)))), nothing),
    (
        "changes_one_member",
        step(status(), status(BOOT, SECOND, members(1, 2, 3, 4, learners=(5,)))),
        nothing,
    ),
    ("changes_one_member", step(status(), status(BOOT, SECOND, members(1, 2, 3, learners=(4, 5)))), nothing),
    (
        "changes_one_member",
        step(status(), status(BOOT, SECOND, members(1, 2, learners=(4,), removed=(3,)))),
        nothing,
    ),
    (
        "changes_one_member",
        step(status(), status(BOOT, members(1, 2, index=2, removed=(3,)), members(1, 2))),
        nothing,
    ),
    (
        "change_waits_for_own_term",
        step(leader(term=3), leader(BOOT, SECOND, members(1, 2, term=3), term=3)),
        nothing,
    ),
    ("notice_is_true", step(status(), status(), sent=(RemovedNotice(1, 3, 2),)), nothing),
    (
        "removed_leader_leaves",
        step(leader(), leader(commit_index=2, configuration=Configuration((2, 3)), configuration_index=2)),
        nothing,
    ),
    (
        "moving_leader_appends_nothing",
        step(leader(transferee=2), leader(BOOT, SECOND, THIRD, transferee=2)),
        nothing,
    ),
    ("snapshot_is_committed_prefix", step(status(), status(snapshot=AT_2)), commits(BOOT)),
    (
        "snapshot_is_committed_prefix",
        step(status(), status(snapshot=AT_2._replace(term=1))),
        commits(BOOT, SECOND),
    ),
    (
        "snapshot_is_committed_prefix",
        step(status(), status(), sent=(InstallSnapshot(1, 2, 2, AT_2._replace(configuration=FOUR)),)),
        commits(BOOT, SECOND),
    ),
    (
        "snapshot_is_committed_prefix",
        step(status(), status(), writes=(Write(1, None, 0, (), (), AT_2._replace(term=1)),)),
        commits(BOOT, SECOND),
    ),
    (
        "snapshot_covers_the_gap",
        step(status(), status(log=RaftLog((THIRD,), 2, 2), snapshot=AT_2._replace(index=1))),
        commits(BOOT, SECOND),
    ),
    ("snapshot_covers_the_gap", step(status(snapshot=AT_2), status()), commits(BOOT, SECOND)),
    ("read_is_fresh", step(status(), status(), reads=(ReadState(7, 1),)), nothing),
    (
        "read_is_fresh",
        step(status(), status(), reads=(ReadState(7, 1),)),
        lambda ledger: ledger.read_floors.update({(1, 7): 2}),
    ),
]


def observer_of(rules: tuple[Rule, ...], setup: Setup = nothing) -> Observer:
    """Return an observer who knows three members with the entries 1 and 2 on disk, in term 2."""
    observer = Observer(rules)
    for node in VOTERS:
        observer.ledger.adopt(node, HardState(2), [BOOT, SECOND])
    setup(observer.ledger)
    return observer


@pytest.mark.parametrize(("name", "wrong", "setup"), BROKEN, ids=[case[0] for case in BROKEN])
def test_a_rule_notices_what_breaks_it(name: str, wrong: Step, setup: Setup) -> None:
    (one,) = [candidate for candidate in RULES if candidate.name == name]
    with pytest.raises(RuleViolated) as caught:
        observer_of((one,), setup).observe(wrong)
    assert caught.value.violation.rule is one
    assert one.section in str(caught.value) and one.text in str(caught.value)


def test_every_rule_is_broken_by_some_case() -> None:
    assert {name for name, _, _ in BROKEN} == {candidate.name for candidate in RULES}


RIGHT = [
    step(status(), status()),
    step(status(), status(BOOT, SECOND, THIRD)),
    step(status(), status(), sent=(ACK_2, PreVoteReply(1, 3, 9, granted=True), Heartbeat(1, 2, 2, 1, 0))),
    step(status(), status(BOOT, SECOND, THIRD), writes=(Write(1, None, 0, (THIRD,), (ACK_3,)),)),
    step(status(), status(vote=3), event=Received(RequestVote(3, 1, 2, 2, 2))),
    step(status(), status(vote=3), event=Received(Heartbeat(3, 1, 2, 0, 0))),
    step(status(), status(commit_index=2), committed=(BOOT, SECOND)),
    step(leader(peers=peer(1, 3)), leader(peers=peer(2, 3), commit_index=2)),
    step(None, status(), event=Started(HardState(2), (BOOT, SECOND))),
    step(status(), status(), sent=(AppendEntriesReply(1, 2, 1, True, 9, 0, 0),)),
    step(status(), status(BOOT, SECOND, members(1, 2, 3, 4), configuration=FOUR)),
    step(leader(transferee=2), leader(transferee=2)),
    step(leader(), leader(configuration=Configuration(VOTERS), commit_index=2)),
]


@pytest.mark.parametrize("right", RIGHT)
def test_no_rule_accuses_a_step_that_is_right(right: Step) -> None:
    def led_by_1(ledger: Ledger) -> None:
        ledger.leaders[2] = 1

    observer_of(RULES, led_by_1).observe(right)


def test_a_leader_who_comes_late_need_not_have_what_a_later_term_committed() -> None:
    """A candidate stood still with a majority's votes unread, and others went on: seed 412803."""
    rules = tuple(rule for rule in RULES if rule.name == "leader_completeness")

    def one_of_term_4_led(ledger: Ledger) -> None:
        ledger.committed.replace(0, [BOOT])
        ledger.commits[1] = 1
        for node in (2, 3):
            ledger.members[node].log = PartialLog([BOOT, OTHER])

    observer = observer_of(rules, one_of_term_4_led)
    led = leader(BOOT, OTHER, term=4)
    observer.observe(step(led, led._replace(commit_index=2))._replace(node_id=2))
    observer.observe(step(status(BOOT, term=3), leader(BOOT, term=3)))
    with pytest.raises(RuleViolated, match=r"committed entry .* is not in the log of leader 1"):
        observer.observe(step(status(BOOT, term=5), leader(BOOT, term=5)))


def test_a_disk_is_known_by_its_acknowledged_writes() -> None:
    """What a Write holds counts once ``persisted`` says so, and the cut comes before the entries."""
    observer = observer_of(RULES)
    cut = Write(1, HardState(3, 0, 1), 2, (Entry(3, 2, 0, b"new"),), ())
    new = status(BOOT, Entry(3, 2, 0, b"new"), term=3, durable_index=1)
    observer.observe(step(status(), new, writes=(cut,)))
    assert observer.ledger.members[1].disk == [BOOT, SECOND]
    done = new._replace(durable_index=2, durable_term=3)
    observer.observe(step(new, done, event=Persisted(1)))
    assert observer.ledger.members[1].disk == [BOOT, Entry(3, 2, 0, b"new")]
    assert observer.ledger.members[1].hard_state == HardState(3, 0, 1)


def test_what_a_snapshot_stands_for_counts_as_held() -> None:
    """A compacted log, and one that an installed snapshot replaced, are those with the whole prefix."""
    observer = observer_of(RULES, commits(BOOT, SECOND))
    compacted = status(log=RaftLog((), 2, 2), snapshot=AT_2, commit_index=2)
    observer.observe(step(status(commit_index=2), compacted, sent=(ACK_2,)))
    assert observer.ledger.members[1].log == [BOOT, SECOND]
    observer.ledger.adopt(1, HardState(2), [BOOT])
    installed = compacted._replace(durable_index=1)
    observer.observe(step(status(BOOT), installed, writes=(Write(1, HardState(2), 0, (), (), AT_2),)))
    assert observer.ledger.members[1].log == [BOOT, SECOND]
    observer.observe(step(installed, compacted, event=Persisted(1), sent=(ACK_2,)))
    assert observer.ledger.members[1].disk == [BOOT, SECOND]


def test_the_entries_behind_an_installed_snapshot_replace_those_of_the_old_log() -> None:
    observer = observer_of(RULES, commits(BOOT, SECOND))
    observer.ledger.adopt(1, HardState(2), [BOOT, Entry(1, 2, 0, b"old"), Entry(1, 3, 0, b"old")])
    new = status(log=RaftLog((THIRD,), 2, 2), snapshot=AT_2, commit_index=2, durable_index=1)
    observer.observe(step(status(BOOT), new, writes=(Write(1, None, 0, (THIRD,), (), AT_2),)))
    member = observer.ledger.members[1]
    assert member.log == [BOOT, SECOND, THIRD]
    assert (member.changed_from, member.truncated) == (2, True)


def test_an_observer_who_came_later_does_not_miss_what_a_snapshot_stands_for() -> None:
    observer = Observer([one for one in RULES if not one.whole_cluster])
    after = status(log=RaftLog((THIRD,), 2, 2), snapshot=AT_2, durable_index=3, commit_index=2)
    started = Started(HardState(2), (THIRD,), AT_2)
    observer.observe(step(None, after, event=started))
    observer.observe(step(after, after._replace(commit_index=3), committed=(THIRD,)))


def test_a_read_is_measured_by_what_was_committed_when_it_was_asked() -> None:
    observer = observer_of(RULES, commits(BOOT))
    observer.observe(step(status(), status(), event=ReadAsked(7)))
    committed = status(commit_index=2)
    observer.observe(step(status(), committed))
    observer.observe(step(committed, committed, reads=(ReadState(7, 1),)))
