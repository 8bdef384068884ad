"""The option of a live member: a broken rule stops it, and a sound core is not accused."""

import gc
from collections.abc import Callable
from random import Random

import pytest

from raftkv.raft import Configuration, Entry, EntryKind, HardState, Role, Snapshot, bootstrap_entry
from raftkv.raft.checked import CheckedCore
from raftkv.raft.core import Raft
from raftkv.raft.figure2 import Figure2
from raftkv.raft.invariants import RuleViolated
from raftkv.raft.ledger import Ledger
from raftkv.raft.messages import AppendEntries, Heartbeat, Message, ReadIndexReply, RequestVote

DISK = HardState(1, 0, 1), (bootstrap_entry((1, 2, 3), b""),)


class VotesTwice(Raft):
    """Votes without looking at what it voted before."""

    def grant_vote(self, message: RequestVote) -> bool:
        return True


class SendsEarly(Raft):
    """Lets everything leave before it is durable."""

    def is_durable(self, message: Message) -> bool:
        return True


def checked(core: type[Raft]) -> CheckedCore:
    hard_state, entries = DISK
    return CheckedCore(core(1, entries, hard_state, rng=Random(1)), hard_state, entries)


def drive(core: CheckedCore) -> None:
    """Two candidates of one term ask for the vote; all that is due is carried out in between."""
    for candidate in (2, 3):
        core.step(RequestVote(candidate, 1, 5, 1, 1))
        while (ready := core.ready()) is not None:
            if ready.write is not None:
                core.persisted(ready.write.number)


def test_a_sound_core_is_not_accused() -> None:
    core = checked(Raft)
    drive(core)
    assert core.status().vote == 2


@pytest.mark.parametrize("wrong", [VotesTwice, SendsEarly])
def test_a_broken_rule_is_named(wrong: type[Raft]) -> None:
    with pytest.raises(RuleViolated, match="§3"):
        drive(checked(wrong))


def test_a_late_answer_to_a_question_of_an_earlier_start_is_no_fault() -> None:
    core = checked(Raft)
    core.step(Heartbeat(2, 1, 5, 1, 1))
    core.step(ReadIndexReply(2, 1, 5, (99,), 1))
    ready = core.ready()
    assert ready is not None
    assert [state.context for state in ready.reads] == [99], "the host drops it: it knows its own contexts"


def test_the_parts_are_those_of_the_core_inside() -> None:
    hard_state, entries = DISK
    short = CheckedCore(Figure2(1, entries, hard_state, rng=Random(1)), hard_state, entries)
    assert short.parts == Figure2.parts
    assert checked(Raft).parts == Raft.parts


def test_a_start_from_a_snapshot_is_not_accused() -> None:
    """What it stands for is taken as given, however much that is, and the rules hold behind it."""
    snapshot = Snapshot(10**12, 3, Configuration((1, 2, 3)))
    first = Entry(3, 10**12 + 1, EntryKind.COMMAND, b"x")
    hard_state = HardState(3, 2, 10**12)
    core = Raft(1, [first], hard_state, rng=Random(1), snapshot=snapshot)
    member = CheckedCore(core, hard_state, [first], snapshot)
    member.step(AppendEntries(2, 1, 3, first.index, 3, (Entry(3, first.index + 1, 0, b"y"),), first.index))
    settle(member)
    assert member.status().applied_index == first.index
    rewrite(core, first.index)
    with pytest.raises(RuleViolated, match="Log matching"):
        member.tick()


# ---------------------------------------------------------------- a member that runs for long

WINDOW = 64


def settle(member: CheckedCore) -> None:
    while (ready := member.ready()) is not None:
        if ready.write is not None:
            member.persisted(ready.write.number)
        if ready.committed:
            member.applied(ready.committed[-1].index)


def lone_leader() -> tuple[Raft, CheckedCore]:
    """Return a leader of one member, watched through a small window."""
    hard_state, entries = HardState(1, 0, 1), [bootstrap_entry((1,), b"")]
    core = Raft(1, entries, hard_state, rng=Random(1))
    member = CheckedCore(core, hard_state, entries, window=WINDOW)
    while member.status().role is not Role.LEADER:
        member.tick()
        settle(member)
    return core, member


def run_for(member: CheckedCore, proposals: int) -> None:
    for number in range(proposals):
        member.propose(b"%d" % number)
        member.read_index(number)
        settle(member)


def rewrite(core: Raft, index: int) -> None:
    """Put another entry of the term in the place of all from ``index`` on."""
    core.log.truncate_from(index)
    core.log.append(Entry(core.current_term, index, EntryKind.COMMAND, b"another"))


def objects_of(ledger: Ledger) -> int:
    """Return how many objects a ledger holds, all that they hold included."""
    seen: set[int] = set()
    waiting: list[object] = [ledger]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen and not isinstance(one, type):
            seen.add(id(one))
            waiting += gc.get_referents(one)
    return len(seen)


def test_what_is_kept_of_a_long_run_is_bounded() -> None:
    """Ten times as many entries, votes and reads later it is no more than before."""
    _, member = lone_leader()
    run_for(member, 500)
    ledger = member._observer.ledger
    before = objects_of(ledger)
    run_for(member, 5000)
    assert objects_of(ledger) <= before + 2 * WINDOW
    record = ledger.members[1]
    assert len(record.log) == len(record.disk) == len(ledger.committed) == 5502
    for known in (record.log, record.disk, ledger.committed):
        assert WINDOW <= len(known) - known.start <= 2 * WINDOW
    assert len(ledger.read_floors) <= WINDOW


def test_votes_and_leaders_of_many_terms_are_bounded() -> None:
    core = checked(Raft)
    core._observer.ledger.window = WINDOW
    for term in range(2, 1000):
        core.step(RequestVote(2, 1, term, 1, 1))
        settle(core)
    assert len(core._observer.ledger.votes) == WINDOW


def test_a_read_that_waited_longer_than_the_window_is_not_accused() -> None:
    """Whoever forgot when it was asked does not say that nobody asked for it."""
    core, member = lone_leader()
    core.start_read_round = lambda: None  # type: ignore[method-assign]
    for context in range(3 * WINDOW):
        member.read_index(context)
        settle(member)
    del core.start_read_round
    member.tick()
    settle(member)
    assert member._observer.ledger.reads_forgotten


@pytest.mark.parametrize(
    "harm",
    [
        lambda core: rewrite(core, core.log.last_index),
        lambda core: rewrite(core, core.log.last_index - WINDOW // 2),
        lambda core: core.log.truncate_from(core.log.last_index - WINDOW // 2),
        lambda core: core.log.truncate_from(2),
        lambda core: setattr(core, "commit_index", core.commit_index - 1),
        lambda core: setattr(core, "_committed_out", core.commit_index - 3),
        lambda core: setattr(core, "_durable", HardState(9, 1, 1)),
    ],
    ids=[
        "last one",
        "within the window",
        "cut in the window",
        "cut before the window",
        "commit",
        "applied twice",
        "durable term",
    ],
)
def test_a_broken_rule_is_caught_within_the_window_after_a_long_run(harm: Callable[[Raft], None]) -> None:
    core, member = lone_leader()
    run_for(member, 1000)
    harm(core)
    with pytest.raises(RuleViolated):
        member.tick()
        settle(member)
