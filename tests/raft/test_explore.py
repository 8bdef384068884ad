"""Every order of events in a small group keeps the rules, and bugs put in are found so.

This is a small part of ``python -m tests.raft.explore``, which visits more than 200,000 states.
"""

from random import Random

import pytest

from raftkv.raft import HardState, Message, bootstrap_entry
from raftkv.raft.core import Raft
from raftkv.raft.messages import PreVoteReply, RequestVoteReply
from tests.raft.explore import SCOPES, Explorer, Report, Scope, main
from tests.raft.explore_hosts import TICK, Hosts, clone, freeze
from tests.raft.mutants import CATALOGUE


def explored(mutant: str, scope: str = "deep") -> Report:
    return Explorer(CATALOGUE[mutant], SCOPES[scope]).run()


@pytest.mark.parametrize("scope", SCOPES)
def test_the_first_states_of_each_scope_keep_the_rules(scope: str) -> None:
    """Breadth first, so these are all states near the start."""
    report = Explorer(Raft, SCOPES[scope]._replace(states=3_000)).run()
    assert report.found is None
    assert report.states >= 3_000 and report.depth >= 8


def test_a_scope_with_an_end_is_explored_to_its_end() -> None:
    """One election and nothing else: there are no more states than these."""
    report = Explorer(Raft, Scope(proposals=0, crashes=0, timeouts=1, link=1)).run()
    assert report.finished and report.found is None
    assert report.depth > 8


@pytest.mark.parametrize(
    ("mutant", "section", "steps"), [("E1", "§3.4", 7), ("L9", "§3.8", 6), ("L1", "§3.6.2", 13)]
)
def test_a_bug_put_in_is_found_by_a_shortest_way(mutant: str, section: str, steps: int) -> None:
    """A second vote, an early acknowledgement, figure 8: each with its section and its story."""
    found = explored(mutant).found
    assert found is not None
    assert found.rule.startswith(section)
    assert len(found.trace) == steps


def test_a_second_vote_shows_by_two_leaders_too() -> None:
    """Without the rules about one member, the group shows what the bug does."""
    found = Explorer(CATALOGUE["E1"], SCOPES["deep"]._replace(timeouts=2), local_rules=False).run().found
    assert found is not None and "both lead term 2" in found.rule


def test_renaming_members_leads_to_the_same_state() -> None:
    """The same election by other members counts as the same state, and is another one before."""
    explorer = Explorer(Raft, Scope())
    ways = [explorer.advance(explorer.start, action) for action in explorer.actions(explorer.start)]
    ticked = ways[0::2]
    assert len(set(ticked)) == 3
    assert len({explorer.canonical(state)[0] for state in ticked}) == 1


def test_a_state_is_not_changed_by_the_steps_from_it() -> None:
    """A core is copied before each call, whatever it holds."""
    hosts = Hosts(Raft, 3)
    before = freeze(hosts._hosts[hosts.start[0]].core)
    ticked, sent = hosts.step(hosts.start[0], TICK)
    assert len(sent) == 2 and ticked != hosts.start[0]
    assert freeze(hosts._hosts[hosts.start[0]].core) == before


def test_a_copy_of_a_core_is_the_same_and_its_own() -> None:
    """What happens to the copy does not happen to the original, also by the table of handlers."""
    core = Raft(1, [bootstrap_entry((1, 2, 3), b"")], HardState(1, 0, 1), rng=Random(1), election_ticks=1)
    copy: Raft = clone(core, {})
    assert freeze(copy) == freeze(core)
    core.tick()
    copy.step(PreVoteReply(2, 1, 5, granted=False))
    assert (core.current_term, copy.current_term) == (1, 5)


def test_messages_of_two_types_with_equal_fields_are_two() -> None:
    """A granted pre-vote is no vote, though the tuples are equal."""
    hosts = Hosts(Raft, 3)
    replies: list[Message] = [kind(2, 1, 2, granted=True) for kind in (PreVoteReply, RequestVoteReply)]
    assert replies[0] == replies[1]
    assert len({hosts.message_number(reply) for reply in replies}) == 2


def test_the_command_tells_what_it_saw(capsys: pytest.CaptureFixture[str]) -> None:
    """Counts, depth and rate, and the way to a bug; the exit status is 1 for one."""
    assert main(["--scope", "wide", "--states", "500"]) == 0
    assert "distinct states (bounded by --states)" in capsys.readouterr().out
    assert main(["--mutant", "L9"]) == 1
    out = capsys.readouterr().out
    assert "left with a disk that ends at 1" in out and "n1 lets a time-out pass" in out
