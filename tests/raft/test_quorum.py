"""The arithmetic of majorities against counting by hand, for every configuration of up to seven voters."""

from itertools import combinations_with_replacement, product

import pytest

from raftkv.raft.quorum import VoteResult, acknowledged_by_majority, is_majority, majority, vote_result

SIZES = range(1, 8)


@pytest.mark.parametrize("size", SIZES)
def test_two_majorities_always_share_a_voter_and_less_is_no_majority(size: int) -> None:
    """§3.6.3: any two majorities overlap; and no smaller number of voters would do."""
    assert 2 * majority(range(size)) > size
    assert 2 * (majority(range(size)) - 1) <= size


@pytest.mark.parametrize("size", SIZES)
def test_a_set_of_members_is_a_majority_by_its_voters_only(size: int) -> None:
    voters = range(1, size + 1)
    for present in product([False, True], repeat=size):
        members = [voter for voter, there in zip(voters, present, strict=True) if there]
        expected = 2 * len(members) > size
        assert is_majority(voters, [*members, 98, 99]) is expected


@pytest.mark.parametrize("size", SIZES)
def test_an_election_is_won_or_lost_as_soon_as_nothing_can_change_it(size: int) -> None:
    """Against a model that tries every way in which the missing votes could still come."""
    voters = range(1, size + 1)
    for answers in product([True, False, None], repeat=size):
        votes = {v: answer for v, answer in zip(voters, answers, strict=True) if answer is not None}
        open_votes = answers.count(None)
        outcomes = {2 * (answers.count(True) + more) > size for more in range(open_votes + 1)}
        expected = {frozenset([True]): VoteResult.WON, frozenset([False]): VoteResult.LOST}.get(
            frozenset(outcomes), VoteResult.PENDING
        )
        assert vote_result(voters, {**votes, 99: True}) is expected


@pytest.mark.parametrize("size", SIZES)
def test_what_a_majority_acknowledged_is_the_largest_index_that_most_reached(size: int) -> None:
    for indexes in combinations_with_replacement(range(5), size):
        expected = max(n for n in range(5) if 2 * sum(index >= n for index in indexes) > size)
        order = indexes[::-1]
        assert acknowledged_by_majority(range(size), lambda voter, order=order: order[voter]) == expected  # type: ignore[misc]
