"""Each rule of locks: the smallest history that breaks it, and right ones beside it.

Two holders of the lock l: the first with token 2, the second, who waits for the first, with token 3. The
first key goes at revision 5. Both count in c.
"""

import json
from typing import Any

import pytest

from raftkv.checkers import (
    Change,
    HistoryError,
    LockRun,
    Operation,
    Validity,
    check_locks,
    read_locks,
    write_locks,
)
from tests.checkers.told import deleted, failed, names, ok, put, unknown


def acquire(call: float, returned: float, token: int, revision: int) -> Operation:
    return ok(call, returned, "acquire", b"l", told=(revision, b"l/%d" % token, token))


def update(
    call: float, returned: float, token: int, seen: int, revision: int, *, succeeded: bool = True
) -> Operation:
    words = ("update", b"l", token, b"c", seen, b"%d by %d" % (revision, token))
    return ok(call, returned, *words, told=(revision, succeeded))


def release(call: float, returned: float, token: int, revision: int) -> Operation:
    return ok(call, returned, "release", b"l", token, told=(revision,))


FIRST, SECOND = acquire(0, 1, 2, 2), acquire(0.5, 6, 3, 5)
WRITES = (update(2, 3, 2, 0, 4), update(7, 8, 3, 4, 6))
RIGHT = [FIRST, SECOND, *WRITES, release(4, 5, 2, 5), release(9, 10, 3, 7)]
CHANGES = [
    put(2, b"l/2"),
    put(3, b"l/3"),
    put(4, b"c", b"4 by 2"),
    *deleted(5, b"l/2"),
    put(6, b"c", b"6 by 3", create=4),
    *deleted(7, b"l/3"),
]


def broken(*operations: Operation, fenced: bool = True, changes: list[Change] | None = None) -> set[str]:
    run = LockRun(list(operations), fenced, changes)
    assert read_locks("\n".join(write_locks(run))) == run
    return names(check_locks(run))


@pytest.mark.parametrize("fenced", [True, False])
@pytest.mark.parametrize("changes", [None, CHANGES])
def test_one_after_the_other_is_valid(fenced: bool, changes: list[Change] | None) -> None:
    assert broken(*RIGHT, fenced=fenced, changes=changes) == set()
    in_doubt = unknown(4, "release", b"l", 2)
    assert broken(FIRST, SECOND, *WRITES, in_doubt, fenced=fenced, changes=changes) == set()


def test_tokens_grow_in_the_order_of_acquisition() -> None:
    assert broken(acquire(0, 1, 3, 3), acquire(2, 3, 2, 4)) == {"token"}
    assert broken(acquire(0, 2, 3, 3), acquire(1, 3, 2, 4)) == set(), "nobody knows which was first"
    assert broken(acquire(0, 1, 2, 2), acquire(2, 3, 2, 2)) == {"token"}
    assert broken(acquire(0, 1, 3, 3), unknown(2, "acquire", b"l")) == set()
    assert broken(acquire(0, 1, 3, 3), acquire(2, 3, 2, 4)._replace(input=("acquire", b"m"))) == set()


def test_a_guarded_update_after_a_newer_token_was_used_is_found() -> None:
    late, early = update(6.5, 9, 2, 6, 7), update(5.5, 9, 2, 6, 7)
    assert broken(FIRST, SECOND, WRITES[1], late) == {"fencing"}
    assert broken(FIRST, SECOND, WRITES[1], early) == {"fencing"}, "by its revision"
    assert broken(FIRST, SECOND, update(6.5, 9, 2, 0, 4)) == {"fencing"}, "called after the second had it"
    assert broken(FIRST, SECOND, update(5.5, 9, 2, 0, 4)) == set(), "called before"


def test_a_guarded_update_that_did_not_succeed_or_is_in_doubt_is_right() -> None:
    words = ("update", b"l", 2, b"c", 6, b"late")
    for late in (ok(6.5, 9, *words, told=(7, False)), unknown(6.5, *words), failed(6.5, 9, *words)):
        assert broken(*RIGHT, late, changes=CHANGES) == set()


def test_a_guarded_update_needs_its_lock_key() -> None:
    changes = [*CHANGES[:2], *deleted(4, b"l/2"), put(5, b"c", b"5 by 2")]
    assert broken(FIRST, update(2, 3, 2, 0, 5), changes=changes) == {"fencing"}
    assert broken(FIRST, update(2, 3, 2, 0, 5)) == set()
    assert broken(FIRST, update(2, 3, 2, 0, 5), changes=changes, fenced=False) == set(), "a plain put"


@pytest.mark.parametrize("fenced", [True, False])
def test_the_lock_is_given_to_the_front_of_the_queue(fenced: bool) -> None:
    early = acquire(0.5, 0.8, 3, 4)
    assert broken(early, changes=CHANGES, fenced=fenced) == {"exclusion"}
    assert broken(early, fenced=fenced) == set(), "nobody knows"
    assert broken(SECOND, changes=CHANGES, fenced=fenced) == set()


@pytest.mark.parametrize("fenced", [True, False])
def test_the_lock_is_not_given_to_one_whose_key_is_gone(fenced: bool) -> None:
    changes = [*CHANGES[:2], *deleted(4, b"l/3"), *deleted(5, b"l/2")]
    assert broken(SECOND, changes=changes, fenced=fenced) == {"ghost"}
    assert broken(SECOND, changes=CHANGES[:1], fenced=fenced) == {"ghost"}
    both = [*CHANGES[:2], *deleted(5, b"l/2", b"l/3")]
    assert broken(SECOND, changes=both, fenced=fenced) == {"ghost"}


def test_two_who_believe_in_the_lock_are_an_anomaly_without_fencing_only() -> None:
    both = (FIRST, SECOND)
    assert broken(*both) == set()
    assert broken(*both, fenced=False) == {"overlap"}
    for end in (
        release(5, 9, 2, 5),
        unknown(5, "release", b"l", 2),
        failed(5, 9, "release", b"l", 2),
        ok(5, 5, "lost", b"l", 2, told=()),
        update(2, 5, 2, 0, 4, succeeded=False),
    ):
        assert broken(*both, end, fenced=False) == set()
    assert broken(*both, release(7, 9, 2, 5), fenced=False) == {"overlap"}
    assert broken(*both, unknown(4, "update", b"l", 2, b"c", 0, b"x"), fenced=False) == {"overlap"}


@pytest.mark.parametrize("fenced", [True, False])
def test_an_overwritten_update_is_found(fenced: bool) -> None:
    unread = update(7, 8, 3, 0, 6)
    assert broken(*RIGHT[:2], WRITES[0], unread, RIGHT[4], fenced=fenced) == {"lost-update"}
    elsewhere = unread._replace(input=(*unread.input[:3], b"d", *unread.input[4:]))
    assert broken(*RIGHT[:2], WRITES[0], elsewhere, RIGHT[4], fenced=fenced) == set()


def test_an_update_in_doubt_counts_if_the_list_has_it() -> None:
    in_doubt = unknown(2, "update", b"l", 2, b"c", 0, b"4 by 2")
    unread = update(7, 8, 3, 0, 6)
    rest = (FIRST, SECOND, in_doubt, RIGHT[4])
    assert broken(*rest, unread, changes=CHANGES) == {"lost-update"}
    assert broken(*rest, unread) == set()
    assert broken(*rest, WRITES[1], changes=CHANGES) == set()
    own = update(3, 4, 2, 0, 5)
    changes = [*CHANGES[:3], put(5, b"c", b"5 by 2", create=4)]
    assert broken(FIRST, in_doubt, own, changes=changes) == set(), "its own, which came late"


def test_an_acknowledged_update_is_in_the_list() -> None:
    changes = [change for change in CHANGES if change.value != b"6 by 3"]
    assert broken(*RIGHT, changes=changes) == {"lost"}


def test_the_verdict_says_that_a_lock_without_fencing_has_to_fail() -> None:
    verdict = check_locks(LockRun([FIRST, SECOND], fenced=False))
    assert verdict.validity is Validity.INVALID
    assert verdict.reason == "overlap; expected under pauses of a lock without fencing"
    worse = check_locks(LockRun([FIRST, SECOND, FIRST], fenced=False))
    assert "expected" not in worse.reason
    assert names(worse) == {"overlap", "token"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({}, "h:2: no operation of the model"),
        ({"op": ["unlock", "l"]}, "h:2: no operation of the model: KeyError('unlock')"),
        ({"op": ["release", "l"]}, "h:2: release does not take ['l']"),
        ({"op": ["release", "l", True]}, "h:2: release does not take ['l', True]"),
        ({"result": [True]}, "h:2: release is not answered with [True]"),
        ({"returned": 0}, "h:2: release returned before it was called"),
        ({"call": "1"}, "h:2: no operation of the model: ValueError"),
        ({"outcome": "maybe"}, "h:2: no operation of the model: ValueError"),
    ],
)
def test_what_is_no_operation_is_refused_with_its_place(line: dict[str, Any], message: str) -> None:

    right = {
        "process": 1,
        "call": 1,
        "returned": 2,
        "outcome": "ok",
        "op": ["release", "l", 2],
        "result": [3],
    }
    header = '{"format":"history/1","model":"lock","fenced":true}\n'
    assert len(read_locks(header + json.dumps(right)).operations) == 1
    with pytest.raises(HistoryError) as caught:
        read_locks(header + json.dumps(right | line if line else {}), "h")
    assert str(caught.value).startswith(message)


def test_a_history_of_locks_says_whether_they_are_fenced() -> None:
    with pytest.raises(HistoryError, match=r"^h:1: the header of a history of locks has fenced"):
        read_locks('{"format":"history/1","model":"lock"}', "h")
