"""Each rule of leases: the smallest history that breaks it, and right ones beside it.

Lease 7 is granted 5 seconds at 0 by revision 1, and holds the keys a and b from revisions 2 and 3 on.
"""

from typing import Any

import pytest

from raftkv.checkers import Change, LeaseRun, Operation, check_leases, read_leases, write_leases
from tests.checkers.told import deleted, failed, names, ok, put, unknown

GRANT = ok(0, 0.1, "grant", 7, 5, told=(1, 5))
PUT_A = ok(0.2, 0.3, "put", b"a", b"v", 7, told=(2,))
PUT_B = ok(0.4, 0.5, "put", b"b", b"v", 7, told=(3,))
BEGUN = [GRANT, PUT_A, PUT_B]
CHANGES = [put(2, b"a", lease=7), put(3, b"b", lease=7)]
GONE = deleted(4, b"a", b"b")


def keepalive(call: float, returned: float, ttl: int = 5, revision: int = 3) -> Operation:
    return ok(call, returned, "keepalive", 7, told=(revision, ttl))


def revoke(call: float, returned: float, revision: int = 4) -> Operation:
    return ok(call, returned, "revoke", 7, told=(revision,))


def look(call: float, returned: float, left: int, granted: int = 5) -> Operation:
    return ok(call, returned, "timetolive", 7, told=(3, left, granted))


def get(call: float, returned: float, found: tuple[Any, ...] | None, key: bytes = b"a") -> Operation:
    return ok(call, returned, "get", key, told=(4, found))


def broken(*operations: Operation, changes: list[Change] | None = None, **parameters: Any) -> set[str]:
    run = LeaseRun([*BEGUN, *operations], changes, **parameters)
    assert read_leases("\n".join(write_leases(run))) == run
    return names(check_leases(run))


def test_a_lease_that_runs_out_in_time_is_valid() -> None:
    assert broken(get(5.1, 5.2, None), changes=[*CHANGES, *GONE]) == set()
    assert broken(get(5.1, 5.2, None)) == set()
    assert broken(keepalive(2, 2.1), get(7.1, 7.2, None), changes=[*CHANGES, *GONE]) == set()


@pytest.mark.parametrize("changes", [None, [*CHANGES, *GONE]])
def test_an_early_end_is_found(changes: list[Change] | None) -> None:
    assert broken(get(4.8, 4.9, None), changes=changes) == {"early"}
    assert broken(get(4.8, 4.9, None), changes=changes, slack=0.2) == set()
    assert broken(get(4.8, 5, None), changes=changes) == set(), "it may have ended at 5"


@pytest.mark.parametrize("changes", [None, [*CHANGES, *GONE]])
def test_the_time_counts_from_the_last_keepalive_that_was_answered(changes: list[Change] | None) -> None:
    assert broken(keepalive(3, 4.5), get(7.8, 7.9, None), changes=changes) == {"early"}
    assert broken(keepalive(3, 4.5), get(8, 8.1, None), changes=changes) == set()
    assert broken(unknown(3, "keepalive", 7), get(7.8, 7.9, None), changes=changes) == set()
    assert broken(failed(3, 4, "keepalive", 7), get(7.8, 7.9, None), changes=changes) == set()


@pytest.mark.parametrize("changes", [None, [*CHANGES, *GONE]])
def test_a_revoke_may_end_it_at_any_time(changes: list[Change] | None) -> None:
    assert broken(revoke(1, 1.1), get(1.2, 1.3, None), changes=changes) == set()
    assert broken(unknown(1, "revoke", 7), get(1.2, 1.3, None), changes=changes) == set()
    assert broken(unknown(1.5, "revoke", 7), get(1.2, 1.3, None), changes=changes) == {"early"}
    assert broken(failed(1, 1.1, "revoke", 7), get(1.2, 1.3, None), changes=changes) == {"early"}


@pytest.mark.parametrize("delete", [ok(1, 1.1, "delete", b"a", told=(4, 1)), unknown(1, "delete", b"a")])
def test_a_client_may_delete_a_key_of_a_lease(delete: Operation) -> None:
    assert broken(delete, get(1.2, 1.3, None)) == set()
    assert broken(delete, get(1.2, 1.3, None), changes=[*CHANGES, *deleted(4, b"a")]) == set()
    both = [*CHANGES, *deleted(4, b"a", b"b")]
    assert broken(delete, get(1.2, 1.3, None), changes=both) == {"early"}, "b went too"


def test_a_delete_in_doubt_explains_nothing_that_had_happened_before_it() -> None:
    changes, seen = [*CHANGES, *deleted(4, b"a")], get(1.2, 1.3, None)
    assert broken(seen, unknown(1.4, "delete", b"a"), changes=changes) == {"early", "split"}
    assert broken(seen, unknown(1.2, "delete", b"a"), changes=changes) == set()
    assert broken(seen, unknown(1, "delete", b"b"), changes=changes) == {"early", "split"}


def test_a_delete_that_found_nothing_explains_nothing() -> None:
    delete = ok(1, 1.1, "delete", b"a", told=(4, 0))
    assert broken(delete, changes=[*CHANGES, *GONE]) == {"early"}


def test_a_key_that_was_put_again_belongs_to_its_new_lease() -> None:
    again = ok(1, 1.1, "put", b"a", b"w", 0, told=(4,))
    changes = [*CHANGES, put(4, b"a", b"w"), *deleted(5, b"b")]
    assert broken(again, get(6, 6.1, (b"w", 4, 0)), changes=changes) == set()
    assert broken(again, get(1.2, 1.3, None)) == set(), "without the list nobody knows"
    lost = [*CHANGES, put(4, b"a", b"w"), *deleted(5, b"a", b"b")]
    assert broken(again, changes=lost) == set(), "that is not the lease's fault"


LATE = {"quiet_from": 0.0, "grace": 1.0}


def test_a_lease_that_lives_too_long_is_found_by_what_was_seen() -> None:
    shown = (b"v", 2, 7)
    assert broken(get(6.2, 6.3, shown), **LATE) == {"eternal"}
    assert broken(look(6.2, 6.3, 0), **LATE) == {"eternal"}
    assert broken(keepalive(6.2, 6.3), **LATE) == {"eternal"}
    assert broken(get(6.0, 6.1, shown), **LATE) == set()
    assert broken(get(6.2, 6.3, shown), grace=1.0) == set(), "there were faults all the time"
    assert broken(get(6.2, 6.3, shown), quiet_from=0.5, grace=1.0) == set(), "a new leader at 0.5"
    assert broken(get(6.6, 6.7, shown), quiet_from=0.5, grace=1.0) == {"eternal"}


def test_each_keepalive_that_may_have_come_lets_it_live_on() -> None:
    shown = (b"v", 2, 7)
    assert broken(keepalive(4, 4.1), get(10, 10.1, shown), **LATE) == set()
    assert broken(keepalive(4, 4.1), get(10.2, 10.3, shown), **LATE) == {"eternal"}
    assert broken(unknown(4, "keepalive", 7), get(19.9, 20, shown), **LATE) == set()
    assert broken(unknown(4, "keepalive", 7), get(20.1, 20.2, shown), **LATE) == {"eternal"}
    assert broken(unknown(4, "keepalive", 7), get(12, 13, shown), **LATE, in_flight=1.0) == {"eternal"}
    assert broken(failed(4, 4.1, "keepalive", 7), get(6.2, 6.3, shown), **LATE) == {"eternal"}


def test_a_lease_that_lives_too_long_is_found_in_the_list() -> None:
    other = ok(8, 8.1, "get", b"x", told=(3, None))
    assert broken(other, changes=CHANGES, **LATE) == {"eternal"}
    assert broken(other, changes=[*CHANGES, *GONE], **LATE) == set()
    assert broken(keepalive(4, 4.1), other, changes=CHANGES, **LATE) == set()
    assert broken(other, changes=CHANGES, grace=1.0) == set()
    assert broken(other, changes=CHANGES, quiet_from=2.2, grace=1.0) == set()


def test_a_grant_in_doubt_counts_too() -> None:
    other = ok(8, 8.1, "get", b"x", told=(9, None))
    grant = unknown(0.6, "grant", 8, 2)
    assert broken(grant, other, changes=[*CHANGES, *GONE, put(9, b"c", lease=8)], **LATE) == set()
    assert broken(grant, other, changes=[*CHANGES, *GONE, put(9, b"c", lease=8)], **LATE, in_flight=1.0) == {
        "eternal"
    }


def test_the_keys_of_a_lease_go_in_one_revision() -> None:
    parted = [*CHANGES, *deleted(4, b"a"), *deleted(5, b"b")]
    assert broken(get(6, 6.1, None), changes=parted) == {"split"}
    assert broken(revoke(1, 1.1, 5), changes=parted) == {"split"}
    assert broken(revoke(1, 1.1), changes=[*CHANGES, *GONE]) == set()
    assert broken(revoke(1, 1.1), changes=[*CHANGES, *deleted(4, b"a")]) == {"split", "revoke"}


def test_a_revoke_that_deletes_nothing_is_found() -> None:
    assert broken(revoke(1, 1.1, 3), changes=CHANGES) == {"revoke"}
    assert broken(unknown(1, "revoke", 7), changes=CHANGES) == set()


@pytest.mark.parametrize("told", [None, (b"w", 2, 7), (b"v", 3, 7), (b"v", 2, 8)])
def test_a_read_that_is_not_as_the_list_has_it_is_found(told: tuple[Any, ...] | None) -> None:
    changes = [*CHANGES, put(4, b"b", b"w"), *deleted(5, b"a")]
    late = [ok(6, 6.1, "get", b"a", told=(4, told))]
    assert broken(*late, changes=changes) == {"wrong"}
    right = [ok(6, 6.1, "get", b"a", told=(4, (b"v", 2, 7))), ok(7, 7.1, "get", b"a", told=(5, None))]
    assert broken(*right, ok(7, 7.1, "get", b"c", told=(5, None)), changes=changes) == set()


END = (
    revoke(1, 1.1),
    keepalive(1, 1.1, 0),
    look(1, 1.1, -1, 0),
    ok(1, 1.1, "put", b"c", b"v", 7, told=(0,)),
    ok(1, 1.1, "revoke", 7, told=(0,)),
)


@pytest.mark.parametrize("end", END, ids=lambda end: end.input[0])
def test_what_is_gone_does_not_come_back(end: Operation) -> None:
    assert broken(end, keepalive(1.2, 1.3, 0)) == set()
    assert broken(end, keepalive(1.2, 1.3)) == {"revived"}
    assert broken(end, keepalive(1.0, 1.3)) == set(), "both at once"
    assert broken(end, ok(1.2, 1.3, "put", b"c", b"v", 7, told=(5,))) == {"revived"}
    assert broken(end, ok(1.2, 1.3, "grant", 7, 5, told=(5, 5))) == {"revived"}
    assert broken(end, look(1.2, 1.3, 4)) == {"stale"}
    assert broken(end, get(1.2, 1.3, (b"v", 2, 7))) == {"undead"}
    assert broken(end, unknown(1.2, "keepalive", 7)) == set()


def test_a_lease_that_is_not_there_yet_may_come() -> None:
    absent = ok(1, 1.1, "keepalive", 9, told=(3, 0))
    there = ok(2, 2.1, "keepalive", 9, told=(3, 5))
    assert broken(unknown(0.9, "grant", 9, 5), absent, there) == set()
    assert broken(ok(0.8, 0.9, "grant", 9, 5, told=(3, 5)), absent, there) == {"revived"}
    ended = ok(1, 1.1, "revoke", 9, told=(4,))
    assert broken(unknown(0.7, "grant", 9, 5), ended, there) == {"revived"}, "it was there to be revoked"
    earlier = ok(0.8, 0.9, "put", b"c", b"v", 9, told=(4,))
    assert broken(unknown(0.7, "grant", 9, 5), earlier, absent, there) == {"revived"}


def test_the_list_shows_what_came_back() -> None:
    changes = [*CHANGES, *GONE]
    assert broken(revoke(1, 1.1), changes=[*changes, put(5, b"c", lease=7)]) == {"revived"}
    assert broken(get(6, 6.1, (b"v", 2, 7)), changes=changes) == {"undead", "wrong"}
    assert broken(revoke(1, 1.1, 3), changes=[put(4, b"c", lease=7)]) >= {"revived"}


def test_the_time_left_grows_by_a_refresh_or_a_new_leader_only() -> None:
    assert broken(look(1, 1.1, 3), look(2, 2.1, 2)) == set()
    assert broken(look(3, 3.1, 1), look(3.2, 3.3, 2)) == {"grows"}
    assert broken(look(3, 3.1, 1), look(3.2, 3.3, 4)) == set(), "a new leader began anew"
    assert broken(look(3, 3.1, 1), look(3.05, 3.3, 2)) == set(), "both at once"
    assert broken(keepalive(0.6, 3.15), look(3, 3.1, 1), look(3.2, 3.3, 2)) == set()
    assert broken(unknown(0.6, "keepalive", 7), look(3, 3.1, 1), look(3.2, 3.3, 2)) == set()
    assert broken(keepalive(0.6, 0.7), look(3, 3.1, 1), look(3.2, 3.3, 2)) == {"grows"}
    assert broken(look(3, 3.1, 11)) == {"grows"}
    assert broken(look(3, 3.1, 10)) == set(), "a new leader adds some"


def test_an_acknowledged_put_is_in_the_list_with_its_lease() -> None:
    assert broken(changes=CHANGES) == set()
    assert broken(changes=CHANGES[:1]) == {"lost"}
    assert broken(changes=[put(2, b"a"), CHANGES[1]]) == {"lost"}
    assert broken(unknown(1, "put", b"c", b"v", 7), changes=CHANGES) == set()


def test_the_text_says_what_happened() -> None:
    [anomaly] = check_leases(LeaseRun([*BEGUN, get(4.8, 4.9, None)])).anomalies
    assert anomaly.text == (
        "a read did not find 'a' by 4.900, but lease 7 could not run out before 5.000 "
        "(grant 7 5 -> (1, 5), from 0.000 to 0.100)"
    )
    assert anomaly.operations == (GRANT, get(4.8, 4.9, None))
