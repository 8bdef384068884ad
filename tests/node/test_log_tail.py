"""When a snapshot is due, and where the log begins after it."""

import pytest

from raftkv.node import log_tail
from raftkv.node.log_tail import ENTRY_BYTES, MARK_ENTRIES, LogTail
from raftkv.raft import Entry, EntryKind


def entries(first: int, count: int, size: int = 10) -> list[Entry]:
    return [Entry(1, first + i, EntryKind.COMMAND, bytes(size)) for i in range(count)]


def grown(count: int, limit: int = 1000, size: int = 10, step: int = 10) -> LogTail:
    tail = LogTail(limit, 0, 0)
    for first in range(1, count + 1, step):
        tail.applied(entries(first, step, size))
    tail.set_mark()
    return tail


def test_a_snapshot_is_due_after_more_entries_than_the_limit() -> None:
    tail = LogTail(100, 50, 0)
    tail.applied(entries(51, 100))
    assert not tail.due
    tail.applied(entries(151, 1))
    assert tail.due


def test_a_snapshot_is_due_after_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_tail, "MIN_SNAPSHOT_BYTES", 10_000)
    tail = LogTail(100_000, 0, 0)
    tail.applied(entries(1, 10, 1000 - ENTRY_BYTES))
    assert not tail.due
    tail.applied(entries(11, 1))
    assert tail.due


def test_a_large_snapshot_is_not_made_again_for_little_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half its size has to have been written: else most of what is written are snapshots."""
    monkeypatch.setattr(log_tail, "MIN_SNAPSHOT_BYTES", 10_000)
    tail = LogTail(100_000, 0, newest_size=100_000)
    tail.applied(entries(1, 49, 1000 - ENTRY_BYTES))
    assert not tail.due
    tail.applied(entries(50, 2, 1000 - ENTRY_BYTES))
    assert tail.due


def test_what_came_while_a_snapshot_was_made_counts_for_the_next() -> None:
    tail = grown(200, limit=100)
    tail.applied(entries(201, 60))
    tail.published(200, 5000, tail.first_index(200, []))
    assert not tail.due
    tail.applied(entries(261, 41))
    assert tail.due


def test_the_tail_is_bounded_in_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_tail, "TAIL_ENTRIES", 300)
    first = grown(2000).first_index(2000, [])
    assert 2000 - 300 < first <= 2000 - 300 + MARK_ENTRIES + 10


def test_the_tail_is_no_longer_than_the_log_between_two_snapshots() -> None:
    assert grown(2000, limit=50).first_index(2000, []) >= 1951


def test_the_tail_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_tail, "TAIL_BYTES", 100_000)
    first = grown(2000, size=1000 - ENTRY_BYTES).first_index(2000, [])
    assert 1900 < first <= 1901 + MARK_ENTRIES + 10


def test_entries_larger_than_the_tail_leave_none() -> None:
    tail = LogTail(1000, 0, 0)
    tail.applied([Entry(1, 1, EntryKind.COMMAND, bytes(log_tail.TAIL_BYTES))])
    tail.set_mark()
    assert tail.first_index(1, []) == 2


def test_a_follower_that_fetches_an_older_snapshot_finds_the_log_behind_it() -> None:
    tail = grown(2000, limit=50)
    assert tail.first_index(2000, [1500]) <= 1501
    assert tail.first_index(2000, [1800, 1200]) <= 1201


def test_too_much_log_is_not_kept_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_tail, "INSTALLING_TAIL_BYTES", 200_000)
    tail = grown(2000, limit=50, size=1000 - ENTRY_BYTES)
    assert tail.first_index(2000, [500]) > 1950
    assert 1800 < tail.first_index(2000, [500, 1920]) <= 1921


def test_what_was_given_up_is_never_promised_again() -> None:
    tail = grown(2000, limit=50)
    tail.published(2000, 5000, tail.first_index(2000, []))
    tail.applied(entries(2001, 500))
    tail.set_mark()
    assert tail.first_index(2500, [100]) > 2400
