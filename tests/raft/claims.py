"""The claims of the thesis as a page: ``python -m tests.raft.claims --write`` makes docs/claims.md.

The page has the claims by section, taken from the tests themselves, and the catalogue of bugs with the test
that finds each. Without ``--write`` the command tells whether the page is current
(exit status 1 if not).
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from tests.raft import test_paper, test_paper_leadership, test_paper_membership, test_paper_snapshots
from tests.raft.mutants import CATALOGUE

MODULES = (test_paper, test_paper_leadership, test_paper_membership, test_paper_snapshots)
PAGE = Path(__file__).parents[2] / "docs" / "claims.md"
SENTENCE = re.compile(r"(?P<where>(?:§|Figure|No section)[^:]*): (?P<says>.+)", re.S)
NUMBER = re.compile(r"§(\d+(?:\.\d+)*)")


class Claim(NamedTuple):
    """One test of ``test_paper*.py``."""

    name: str
    where: str
    """What its docstring cites, such as ``§6.4 step 1``."""
    says: str
    parts: tuple[str, ...]
    """The parts of Raft that it is about; a core without them is not asked."""

    @property
    def section(self) -> tuple[int, ...]:
        """The first section cited; figure 3.1 stands before those of its chapter, limits behind all."""
        found = NUMBER.search(self.where)
        if found is not None:
            return tuple(map(int, found[1].split(".")))
        return (3, 1) if self.where.startswith("Figure") else (99,)


def claims() -> list[Claim]:
    """Return all claims, in the order of the files."""
    return [claim for module in MODULES for claim in claims_in(module)]


def claims_in(module: ModuleType) -> Iterator[Claim]:
    for name, function in vars(module).items():
        if name.startswith("test_"):
            found = SENTENCE.fullmatch(inspect.getdoc(function) or "")
            assert found is not None, f"{name} does not say what it claims, and where that is written"
            says = " ".join(found["says"].split())
            yield Claim(name, found["where"], says, tuple(sorted(parts_needed(module, function))))


def parts_needed(module: ModuleType, function: Callable[..., None]) -> set[str]:
    """Return the names of the parts that a claim is marked with, by itself or by its file."""
    marks: list[Any] = [*getattr(function, "pytestmark", [])]
    whole = getattr(module, "pytestmark", [])
    marks += whole if isinstance(whole, list) else [whole]
    return {part.value for mark in marks if mark.name == "needs" for part in mark.args}


FOUND_BY = {
    "E1": "test_a_server_votes_once_a_term_first_come_first_served",
    "E2": "test_no_vote_leaves_before_it_is_durable",
    "E3": "test_term_and_vote_survive_a_restart",
    "E6": "test_a_vote_goes_only_to_an_up_to_date_log",
    "E7": "test_the_same_candidate_gets_the_same_vote_again",
    "E9": "test_a_learner_is_not_counted_for_commitment",
    "E10": "test_a_majority_of_votes_makes_a_leader_and_less_does_not",
    "E11": "test_a_pre_vote_changes_nothing_anywhere",
    "E12": "test_election_timeouts_are_drawn_from_an_interval_and_differ",
    "L1": "test_an_entry_of_an_older_term_is_not_committed_by_counting",
    "L2": "test_only_a_real_conflict_cuts_the_log",
    "L3": "test_a_conflicting_entry_goes_with_all_that_follow_it",
    "L4": "test_a_follower_refuses_entries_whose_predecessor_it_lacks",
    "L6": "test_a_follower_commits_no_further_than_it_agrees_with_the_leader",
    "L7": "test_a_new_leadership_knows_nothing_of_the_others_logs",
    "L9": "test_no_acknowledgement_leaves_before_the_entries_are_durable",
    "L10": "test_a_leader_does_not_count_itself_before_its_disk_has_the_entry",
    "L11": "test_a_match_index_only_grows",
    "R1": "test_a_read_waits_for_a_majority_to_confirm_the_leader",
    "R2": "test_a_read_waits_for_the_first_commit_of_the_term",
    "R5": "test_a_pause_ends_a_lease",
    "R7": "test_who_restarts_gives_no_vote_for_an_election_timeout",
    "S1": "test_entries_behind_a_matching_snapshot_stay",
    "S4": "test_a_snapshot_replaces_log_and_state_machine",
    "M1": "test_the_next_change_waits_until_this_one_is_committed",
    "M2": "test_no_change_before_an_entry_of_the_own_term_is_committed",
    "M3": "test_a_change_takes_force_as_soon_as_it_is_appended",
    "M5": "test_a_leader_that_removed_itself_steps_down_once_that_is_committed",
    "M6": "test_a_removed_server_is_told_that_it_is",
    "M8": "test_a_target_that_lacks_entries_gets_them_first",
}
"""Row of the catalogue that lives in the core -> a claim that fails on its override."""

BUG_SHOWS = "tests/raft/test_random_moments.py: test_a_bug_put_in_shows"
LEASE_FORGETS = "tests/raft/test_lease_drift.py: test_a_lease_that_forgets_is_seen_at_equal_clocks"
ALSO_FOUND_BY = {
    "R5": LEASE_FORGETS,
    "R7": LEASE_FORGETS,
    "S4": BUG_SHOWS,
    "M6": BUG_SHOWS,
    "M8": BUG_SHOWS,
}
"""Rows that few stories and schedules come upon -> a test of another kind that finds them too."""

CRASH = (
    "tests/storage/test_crash.py: "
    "test_a_power_loss_at_any_io_call_loses_nothing_acknowledged_and_invents_nothing"
)
REPLAYED = "tests/mvcc/test_cut.py: test_random_runs_load_as_a_replay_makes_them"
TRUE_EVENTS = "tests/mvcc/test_watch_model.py: test_every_watcher_is_told_the_true_changes_in_order"

ELSEWHERE = [
    ("E4", "term and vote reach the disk in two steps", CRASH),
    (
        "R4",
        "a read overtakes the entries it should see",
        "tests/node/test_barrier.py: test_a_read_waits_for_its_index_to_be_applied",
    ),
    (
        "W1",
        "checksums are not looked at",
        "tests/storage/test_damage.py: "
        "test_a_flipped_bit_is_refused_below_the_last_save_and_cuts_the_last_save",
    ),
    (
        "W2",
        "damage inside the log passes for its end",
        "tests/storage/test_damage.py: test_lost_bytes_are_refused_below_the_last_save_and_cut_the_last_save",
    ),
    (
        "W3",
        "a save cut short keeps a member from starting",
        "tests/storage/test_damage.py: test_every_way_of_cutting_the_last_save_short_is_a_torn_tail",
    ),
    ("W4", "the name of a new segment is not made durable", CRASH),
    (
        "W6",
        "a failed sync is taken for a good one",
        "tests/storage/test_disk.py: test_after_a_failed_sync_every_call_on_the_file_fails",
    ),
    (
        "S5",
        "a snapshot forgets which requests were run",
        "tests/mvcc/test_cut.py: test_a_request_that_was_applied_before_the_snapshot_is_a_duplicate_after_it",
    ),
    (
        "S6",
        "a snapshot forgets leases or the compaction",
        "tests/mvcc/test_cut.py: test_what_was_compacted_stays_forbidden_after_a_load",
    ),
    (
        "S7",
        "the revision starts anew",
        "tests/mvcc/test_cut.py: test_the_next_write_after_a_load_gets_the_next_revision",
    ),
    (
        "S8",
        "a snapshot's file takes its name too early",
        "tests/storage/test_snapshot_crash.py: test_a_crash_at_every_call_leaves_only_whole_snapshots",
    ),
    ("S9", "a snapshot mixes two states", REPLAYED),
    ("A1", "the applied index and the data differ on disk", REPLAYED),
    (
        "A2",
        "applying depends on the member",
        "tests/mvcc/test_machine.py: test_the_same_entries_give_the_same_digest",
    ),
    (
        "A4",
        "a repeated request runs twice",
        "tests/mvcc/test_machine.py: test_a_duplicate_has_no_effect_and_no_answer",
    ),
    (
        "A5",
        "who waits is answered for another's entry",
        "tests/node/test_node.py: test_what_a_deposed_leader_took_applies_exactly_once",
    ),
    (
        "A6",
        "a time-out is called a failure",
        "tests/node/test_node.py: test_time_outs_are_unknown_not_failed",
    ),
    (
        "K1",
        "a transaction compares one state and changes another",
        "tests/mvcc/test_txn.py: test_all_compares_must_hold",
    ),
    (
        "K3",
        "deletions miscount revisions or versions",
        "tests/mvcc/test_put_and_delete.py: test_a_deletion_ends_a_life_and_the_next_put_starts_at_version_1",
    ),
    (
        "K4",
        "an old revision shows newer data",
        "tests/mvcc/test_range.py: test_an_old_revision_shows_the_state_then_and_the_header_the_revision_now",
    ),
    (
        "K5",
        "compaction takes too much",
        "tests/mvcc/test_compaction.py: "
        "test_the_newest_version_at_or_below_the_revision_is_kept_and_all_above",
    ),
    ("T1", "events fall between history and the present", TRUE_EVENTS),
    (
        "T2",
        "events come twice after a new connection",
        "tests/client/test_cut_streams.py: test_a_stream_that_is_cut_at_any_byte_goes_on_elsewhere",
    ),
    (
        "T4",
        "a progress note overtakes events",
        "tests/service/test_watch.py: test_progress_comes_after_all_that_it_speaks_of",
    ),
    (
        "T5",
        "a watch of the future sees the past",
        "tests/mvcc/test_watch.py: test_a_future_start_is_waited_for",
    ),
    (
        "T7",
        "a watch of what was compacted stays silent",
        "tests/service/test_watch.py: "
        "test_a_compacted_start_is_told_after_the_watch_was_made_and_keeps_its_id",
    ),
    (
        "T8",
        "a watch shows what is not committed",
        "tests/node/test_watch.py: test_a_thousand_watchers_are_told_the_true_events_when_a_leader_is_killed",
    ),
    (
        "Z1",
        "a new leader ends leases too early",
        "tests/node/test_leases.py: test_a_new_leader_gives_all_seconds_again",
    ),
    (
        "Z2",
        "a deposed leader ends a lease",
        "tests/node/test_leases.py: test_a_deposed_leader_neither_keeps_alive_nor_revokes",
    ),
    (
        "Z4",
        "a member ends leases by its own clock",
        "tests/node/test_leases.py: test_a_lease_ends_with_its_keys_in_one_revision_on_every_member",
    ),
    (
        "Z5",
        "a lock goes to who has lost its lease",
        "tests/service/test_recipes.py: test_a_lease_that_ends_while_it_waits_has_no_lock",
    ),
    (
        "N2",
        "one slow peer holds up all",
        "tests/net/test_transport.py: test_a_blocked_peer_harms_nobody_else_and_takes_bounded_memory",
    ),
]
"""Rows that live elsewhere: what is wrong, and the test that finds it or what must be built first."""

PREFACE = """\
# What the tests of the core claim

This page is made from the tests by `python -m tests.raft.claims --write`. Sections are those of D. Ongaro,
*Consensus: Bridging Theory and Practice* (2014). A claim with parts is not asked of a core without them.

`python -m tests.raft.matrix` puts each known bug into the core and prints all tests that fail on it.
`python -m tests.raft.matrix --claims` prints, for each claim, wrong variants of the core that fail it.
"""


def page() -> str:
    """Return the whole page."""
    return "\n".join([PREFACE, *sections(), *catalogue()]) + "\n"


def sections() -> Iterator[str]:
    ordered = sorted(claims(), key=lambda claim: claim.section)
    yield f"{len(ordered)} claims.\n"
    for section, group in groupby(ordered, key=lambda claim: claim.section):
        number = ".".join(map(str, section))
        yield f"## {'Without a section' if section == (99,) else f'Section {number}'}\n"
        yield "| where | claim | test | parts |\n|---|---|---|---|"
        for claim in group:
            yield f"| {claim.where} | {claim.says} | `{claim.name}` | {', '.join(claim.parts)} |"
        yield ""


def catalogue() -> Iterator[str]:
    yield "## Known bugs, put into the core\n"
    yield "Each is an override of `tests/raft/mutants.py`; the tests named fail on it.\n"
    yield "| bug | what is wrong | test |\n|---|---|---|"
    for name, test in FOUND_BY.items():
        also = f"; {ALSO_FOUND_BY[name]}" if name in ALSO_FOUND_BY else ""
        yield f"| {name} | {' '.join((CATALOGUE[name].__doc__ or '').split())} | `{test}`{also} |"
    yield "\n## Known bugs that live elsewhere\n"
    yield "| bug | what is wrong | where it is found |\n|---|---|---|"
    for name, what, where in ELSEWHERE:
        yield f"| {name} | {what} | {where} |"


def main(arguments: list[str]) -> int:
    """Write the page, or tell whether it is current."""
    if arguments == ["--write"]:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    current = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page()
    sys.stdout.write(f"{PAGE.name} is {'current' if current else 'out of date'}\n")
    return 0 if current else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
