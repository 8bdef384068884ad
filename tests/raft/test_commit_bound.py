"""The two bounds of a follower's commit index: which of them matters where (row L6 of the catalogue of bugs).

Figure 3.1 bounds it by the last new entry. That matters where a message ends before a place in which the
follower's log differs, and carries a commit index beyond that place. Here nothing sends such a message:

- AppendEntries without entries goes out only when everything was sent: it ends where the leader's log does;
- with entries, the first one is the first that may differ: the guess at where the logs agree is never too low
  by whole entries, because it is the last place that can agree by the terms of both. If it does differ, what
  is behind it is dropped; if it does not, what the follower has behind came from this leader;
- a heartbeat carries no more than what the follower has acknowledged.

So without the follower's half nothing breaks, which is tried here where messages are shortest. Without the
leader's half as well, it breaks at once.
"""

from random import Random
from typing import Any

import pytest

from raftkv.raft.core import Raft
from raftkv.raft.invariants import RuleViolated
from tests.raft.explore import Explorer, Scope
from tests.raft.mutants import L6
from tests.raft.schedules import Schedule, play, random_choices


class OneEntryEach(Raft):
    """Sends entries one by one, so that most messages end before the follower's log does."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.max_append_entries = 1


class FollowersHalf(OneEntryEach):
    """Follows the leader's commit index as far as its own log goes."""

    def follow_commit(self, leader_commit: int, _last_new: int) -> None:
        super().follow_commit(leader_commit, self.log.last_index)


def play_seeds(make: Any, seeds: range) -> None:
    for seed in seeds:
        play(
            Schedule(3 + seed % 3, slow_disks=seed % 2 > 0, seed=seed, make=make),
            random_choices(Random(seed), 300),
        )


def test_the_followers_half_alone_breaks_no_rule(long: bool) -> None:
    play_seeds(FollowersHalf, range(4000 if long else 150))


def test_the_followers_half_alone_breaks_no_rule_in_any_order_of_events() -> None:
    report = Explorer(FollowersHalf, Scope(states=20_000)).run()
    assert report.found is None, str(report)


def test_without_both_halves_it_breaks() -> None:
    with pytest.raises(RuleViolated):
        play_seeds(L6, range(150))
