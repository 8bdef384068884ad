"""Which checks tell of which kind of harm. A mutant names kinds; the names of the checks are kept here.

A rule is checked at every step, so it often speaks before the harm is done: a vote that is not durable
when it leaves is told before two leaders come of it.
"""


def _rules(*names: str) -> tuple[str, ...]:
    return tuple(f"rule {name}" for name in names)


ELECTION_SAFETY = _rules(
    "one_leader_a_term",
    "leader_has_majority",
    "one_vote_a_term",
    "vote_stays",
    "vote_for_up_to_date_log",
    "pre_vote_changes_nothing",
    "term_grows",
)
SENT_IS_DURABLE = (
    *_rules(
        "sent_term_is_durable",
        "sent_vote_is_durable",
        "acknowledged_is_durable",
        "durable_claims_hold",
        "restart_recovers",
    ),
    "sent before durable",
)
LOG_MATCHING = _rules(
    "match_is_durable", "log_matching", "log_is_ordered", "leader_appends_only", "leader_uses_own_term"
)
LEADER_COMPLETENESS = _rules("leader_completeness", "vote_for_up_to_date_log")
QUORUM_DURABLE = _rules(
    "committed_is_on_majority", "match_is_durable", "match_grows", "commit_own_term", "applied_is_durable"
)
STATE_MACHINE_SAFETY = (
    *_rules("committed_is_the_same", "committed_stays", "commit_grows", "applied_in_order"),
    "AssertionError in Raft.truncate_from",
    "AssertionError in Raft.applied",
    "AssertionError in Machine.apply_command",
    "equal content",
)
MEMBERSHIP = _rules(
    "configuration_follows_log",
    "one_change_at_a_time",
    "changes_one_member",
    "change_waits_for_own_term",
    "notice_is_true",
    "removed_leader_leaves",
    "moving_leader_appends_nothing",
)
SNAPSHOT = (
    *_rules("snapshot_is_committed_prefix", "snapshot_covers_the_gap"),
    "snapshot content",
    "equal content",
)
FRESH_READS = (*_rules("read_is_fresh"), "linearizability")
LOST_WRITE = ("durability", "exactly once", "wrong answer", "linearizability", *_rules("restart_recovers"))
REFUSED_START = ("refused start", "liveness")
LIVENESS = ("liveness", "progress", "disruption")
WATCHED = (
    "reliable",
    "resumable",
    "bookmarkable",
    "converged",
    "unique",
    "ordered",
    "atomic",
    "future",
    "compacted",
)
"""What a watch can do wrong with events."""
