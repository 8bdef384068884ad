"""The short core fulfils the contract: the claims it must keep, and random schedules without its parts."""

import re
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import cast

import pytest

from raftkv.raft.figure2 import Figure2
from tests.raft.group import CoreMaker
from tests.raft.schedules import Schedule, play, random_choices

SHORT = cast("CoreMaker", Figure2)  # schedules pass it nothing about parts that it does without
HERE = Path(__file__).parent
CLAIMS = [
    "test_a_leader_that_sees_a_higher_term_steps_down",
    "test_answers_of_an_older_term_are_ignored",
    "test_a_server_starts_as_a_follower",
    "test_a_follower_stays_one_while_it_hears_its_leader",
    "test_a_follower_that_hears_nobody_begins_an_election",
    "test_a_candidate_votes_for_itself_in_a_new_term_and_asks_all_others",
    "test_a_majority_of_votes_makes_a_leader_and_less_does_not",
    "test_a_single_server_elects_itself",
    "test_a_vote_that_comes_twice_counts_once",
    "test_a_server_votes_once_a_term_first_come_first_served",
    "test_granting_a_vote_puts_off_the_own_election",
    "test_a_candidate_yields_to_the_leader_of_its_term",
    "test_a_candidate_without_an_outcome_begins_another_election",
    "test_election_timeouts_are_drawn_from_an_interval_and_differ",
    "test_a_leader_sends_heartbeats_to_all_every_interval",
    "test_a_command_is_appended_and_sent_to_everybody",
    "test_an_entry_on_a_majority_is_committed_and_applied",
    "test_a_follower_refuses_entries_whose_predecessor_it_lacks",
    "test_a_conflicting_entry_goes_with_all_that_follow_it",
    "test_only_a_real_conflict_cuts_the_log",
    "test_a_new_leadership_knows_nothing_of_the_others_logs",
    "test_a_refused_leader_steps_back_and_tries_again",
    "test_a_match_index_only_grows",
    "test_a_follower_commits_no_further_than_it_agrees_with_the_leader",
    "test_a_vote_goes_only_to_an_up_to_date_log",
    "test_an_entry_of_an_older_term_is_not_committed_by_counting",
    "test_a_new_leader_begins_with_an_empty_entry_of_its_term",
    "test_the_commit_index_is_what_a_majority_reached",
    "test_term_and_vote_survive_a_restart",
    "test_no_vote_leaves_before_it_is_durable",
    "test_no_acknowledgement_leaves_before_the_entries_are_durable",
    "test_no_answer_leaves_before_its_term_is_durable",
    "test_an_entry_is_applied_only_when_the_own_disk_holds_it",
    "test_a_leader_does_not_count_itself_before_its_disk_has_the_entry",
    "test_a_lost_append_is_sent_again",
]


def test_the_short_core_keeps_the_claims_of_figure_3_1() -> None:
    """Each of them is made of it (none is left out for a missing part), and none fails."""
    core = f"{HERE.parent.parent}/raftkv/raft/figure2.py:Figure2"
    command = [sys.executable, "-m", "pytest", str(HERE / "test_paper.py"), f"--core={core}", "-rA"]
    run = subprocess.run(
        [*command, "--tb=no", "-p", "no:cacheprovider"],
        cwd=HERE.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    results = re.findall(r"^(PASSED|FAILED) .*::(test_\w+)", run.stdout, re.MULTILINE)
    outcome: dict[str, set[str]] = {}
    for result, claim in results:
        outcome.setdefault(claim, set()).add(result)
    assert {claim: outcome.get(claim) for claim in CLAIMS} == {claim: {"PASSED"} for claim in CLAIMS}
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_the_short_core_keeps_all_rules_and_ends_in_progress(size: int) -> None:
    for seed in range(15):
        schedule = Schedule(size, slow_disks=seed % 3 > 0, seed=seed, make=SHORT, parts=Figure2.parts)
        try:
            play(schedule, random_choices(Random(seed), 300))
        except BaseException as error:
            error.add_note(f"seed {seed}, as a scenario:\n{schedule.as_story()}")
            raise
