"""The option of a live member: a broken rule stops it, and a sound core is not accused."""

from random import Random

import pytest

from raftkv.raft import HardState, bootstrap_entry
from raftkv.raft.checked import CheckedCore
from raftkv.raft.core import Raft
from raftkv.raft.invariants import RuleViolated
from raftkv.raft.messages import Message, RequestVote

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
