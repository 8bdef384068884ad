"""Each rule of elections: the smallest history that breaks it, and right ones beside it.

Candidates 2 and 3 stand in the election e. The first leads, proclaims something in revision 4, and resigns in
revision 5; then the second leads.
"""

from typing import Any

import pytest

from raftkv.checkers import Change, ElectionRun, Operation, check_elections, read_elections, write_elections
from tests.checkers.told import deleted, failed, names, ok, put, unknown

Leader = tuple[bytes, int, int, bytes]


def campaign(call: float, returned: float, token: int, value: bytes = b"") -> Operation:
    words = ("campaign", b"e", value or b"v%d" % token)
    return ok(call, returned, *words, told=(b"e/%d" % token, token))


def proclaim(call: float, returned: float, token: int, revision: int, succeeded: bool = True) -> Operation:
    words = ("proclaim", b"e", token, b"p%d" % revision)
    return ok(call, returned, *words, told=(revision, succeeded))


def leader(token: int, revision: int = 0, value: bytes = b"") -> Leader:
    made = b"v%d" % token if revision in (0, token) else b"p%d" % revision
    return (b"e/%d" % token, token, revision or token, value or made)


def read(call: float, returned: float, revision: int, found: Leader | None) -> Operation:
    return ok(call, returned, "leader", b"e", told=(revision, found))


def resign(call: float, returned: float, token: int, revision: int) -> Operation:
    return ok(call, returned, "resign", b"e", token, told=(revision,))


def observe(call: float, returned: float, *leaders: Leader) -> Operation:
    return ok(call, returned, "observe", b"e", told=leaders)


FIRST, SECOND = campaign(0, 1, 2), campaign(0.5, 7, 3)
RIGHT = [
    FIRST,
    SECOND,
    read(1, 2, 3, leader(2)),
    proclaim(2, 3, 2, 4),
    read(4, 5, 4, leader(2, 4)),
    resign(5, 6, 2, 5),
    read(8, 9, 5, leader(3)),
    resign(10, 11, 3, 6),
    read(12, 13, 0, None),
    observe(0, 14, leader(2), leader(2), leader(2, 4), leader(3)),
]
CHANGES = [
    put(2, b"e/2", b"v2"),
    put(3, b"e/3", b"v3"),
    put(4, b"e/2", b"p4", create=2),
    *deleted(5, b"e/2"),
    *deleted(6, b"e/3"),
]


def broken(*operations: Operation, changes: list[Change] | None = None) -> set[str]:
    run = ElectionRun(list(operations), changes)
    assert read_elections("\n".join(write_elections(run))) == run
    return names(check_elections(run))


@pytest.mark.parametrize("changes", [None, CHANGES])
def test_one_after_the_other_is_valid(changes: list[Change] | None) -> None:
    assert broken(*RIGHT, changes=changes) == set()
    doubts = (
        unknown(3, "campaign", b"e", b"x"),
        unknown(3, "proclaim", b"e", 2, b"x"),
        unknown(5, "resign", b"e", 2),
        failed(3, 4, "proclaim", b"e", 2, b"y"),
        unknown(3, "leader", b"e"),
        proclaim(8, 9, 2, 0, succeeded=False),
    )
    assert broken(*RIGHT, *doubts, changes=changes) == set()


def test_there_is_one_leader_at_a_revision() -> None:
    assert broken(read(1, 2, 4, leader(2)), read(1, 2, 4, leader(3))) == {"two-leaders"}
    assert broken(read(1, 2, 4, leader(2)), read(1, 2, 4, None)) == {"two-leaders"}
    assert broken(read(1, 2, 4, leader(2)), read(1, 2, 5, leader(3))) == set()
    assert broken(read(1, 2, 0, None), read(1, 2, 0, None)) == set()
    assert broken(campaign(0, 1, 2), campaign(0, 1, 2)) == {"two-leaders"}


def test_an_older_leader_does_not_come_back() -> None:
    assert broken(read(1, 9, 4, leader(3)), read(1, 9, 5, leader(2))) == {"backwards"}, "by revision"
    assert broken(read(1, 2, 4, leader(3)), read(3, 4, 4, leader(3)), read(5, 6, 5, leader(2))) == {
        "backwards"
    }
    assert broken(read(1, 9, 4, None), read(1, 9, 5, leader(3))) == {"backwards"}, "it would have led before"
    assert broken(read(1, 9, 4, None), read(1, 9, 5, leader(5))) == set()


def test_an_older_leader_does_not_come_back_by_time() -> None:
    assert broken(SECOND, read(8, 9, 3, leader(2))) == {"backwards"}
    assert broken(SECOND, read(6, 9, 3, leader(2))) == set(), "at once"
    assert broken(SECOND, read(8, 9, 0, None), read(10, 11, 7, leader(3))) == {"backwards"}
    assert broken(SECOND, read(8, 9, 0, None), read(10, 11, 7, leader(4))) == set()
    assert broken(read(0, 1, 5, None), campaign(2, 3, 4)) == {"backwards"}
    assert broken(read(0, 1, 5, None), campaign(2, 3, 6)) == set()


def test_a_campaign_ends_when_all_older_candidates_are_gone() -> None:
    early = campaign(0.5, 2, 3)
    after = read(3, 4, 4, leader(2, 4))
    assert broken(early, after, changes=CHANGES) >= {"two-leaders"}
    assert broken(early, changes=CHANGES) == set(), "perhaps the key was gone by then"
    assert broken(early, resign(3, 4, 2, 5), changes=CHANGES) == set()
    assert broken(early, changes=CHANGES[:3]) == {"two-leaders"}, "it never went"


def test_a_candidate_whose_key_is_gone_is_not_elected() -> None:
    changes = [*CHANGES[:2], *deleted(4, b"e/3"), *deleted(5, b"e/2")]
    assert broken(SECOND, changes=changes) == {"ghost"}
    assert broken(FIRST, changes=changes) == set()
    both = [*CHANGES[:2], *deleted(5, b"e/2", b"e/3")]
    assert broken(SECOND, changes=both) == {"ghost"}


def test_a_deposed_leader_proclaims_nothing() -> None:
    assert broken(FIRST, SECOND, proclaim(8, 9, 2, 4)) == {"deposed"}
    assert broken(FIRST, SECOND, proclaim(6, 9, 2, 4)) == set(), "at once"
    assert broken(FIRST, SECOND, proclaim(8, 9, 2, 0, succeeded=False)) == set()
    assert broken(FIRST, SECOND, unknown(8, "proclaim", b"e", 2, b"x")) == set()
    assert broken(FIRST, read(1, 9, 3, leader(3)), proclaim(1, 9, 2, 4)) == {"deposed"}, "by revision"
    assert broken(FIRST, read(1, 9, 5, leader(3)), proclaim(1, 9, 2, 4)) == set()
    again = [*CHANGES[:2], *deleted(4, b"e/2"), put(5, b"e/2", b"p6"), put(6, b"e/2", b"p6", create=5)]
    assert broken(proclaim(1, 9, 2, 6), changes=again) == {"deposed"}


def test_a_leader_has_the_value_that_it_proclaimed() -> None:
    assert broken(FIRST, read(1, 2, 3, leader(2, 2, b"other"))) == {"value"}
    assert broken(FIRST, read(1, 2, 4, leader(2, 4))) == {"value"}, "nobody had proclaimed it"
    assert broken(FIRST, proclaim(1, 9, 2, 4), read(1, 2, 4, leader(2, 4))) == set()
    assert broken(FIRST, proclaim(1, 9, 2, 4), read(1, 2, 5, leader(2, 5, b"p4"))) == {"value"}
    assert broken(FIRST, unknown(1, "proclaim", b"e", 2, b"p4"), read(8, 9, 4, leader(2, 4))) == set()
    assert broken(FIRST, unknown(5, "proclaim", b"e", 2, b"p4"), read(2, 3, 4, leader(2, 4))) == {"value"}
    assert broken(FIRST, failed(1, 2, "proclaim", b"e", 2, b"p4"), read(8, 9, 4, leader(2, 4))) == {"value"}
    assert broken(FIRST, observe(1, 2, leader(2, 2, b"other"))) == {"value"}
    assert broken(unknown(0, "campaign", b"e", b"v2"), read(1, 2, 3, leader(2))) == set()


def test_an_acknowledged_value_is_what_is_read_from_then_on() -> None:
    told = proclaim(1, 2, 2, 4)
    assert broken(FIRST, told, read(3, 4, 4, leader(2))) == {"stale"}
    assert broken(FIRST, told, read(1.5, 4, 3, leader(2))) == set()
    assert broken(FIRST, told, observe(3, 4, leader(2), leader(2, 4))) == set()


def test_an_observer_sees_leaders_and_values_in_their_order() -> None:
    assert broken(observe(0, 9, leader(3), leader(2))) == {"backwards"}
    assert broken(observe(0, 9, leader(2, 5), leader(2, 4))) == {"backwards"}
    assert broken(observe(0, 9, leader(2, 4), leader(3))) == set()


def test_reads_are_held_against_the_list() -> None:
    assert broken(read(1, 2, 5, leader(3)), changes=CHANGES) == set()
    assert broken(read(1, 2, 4, leader(3)), changes=CHANGES) == {"wrong"}
    assert broken(read(1, 2, 4, None), changes=CHANGES) == {"wrong"}
    assert broken(read(1, 2, 6, None), changes=CHANGES) == set()
    assert broken(read(1, 2, 1, None), changes=CHANGES) == set()
    assert broken(read(1, 2, 3, leader(2, 2, b"other")), changes=CHANGES) == {"value"}
    assert broken(observe(1, 2, leader(2, 3, b"x")), changes=CHANGES) == {"value"}


def test_what_was_acknowledged_is_in_the_list() -> None:
    assert broken(campaign(0, 1, 2), changes=[]) == {"lost"}
    assert broken(proclaim(0, 1, 2, 9), changes=CHANGES) == {"lost"}
    assert broken(unknown(0, "proclaim", b"e", 2, b"p9"), changes=CHANGES) == set()


def test_elections_do_not_mix() -> None:
    others: list[Any] = [one._replace(input=(one.input[0], b"f", *one.input[2:])) for one in RIGHT[:2]]
    assert broken(read(8, 9, 3, leader(2)), *others) == set()
