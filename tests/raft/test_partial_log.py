"""A log that forgets its beginning answers as the whole one does, as far as it can."""

import pytest

from raftkv.raft.partial_log import PartialLog
from tests.raft.group import figure_log

WHOLE = figure_log((1, 1, 2, 2, 3, 5), (1, 2, 3))


def forgetful(position: int) -> PartialLog:
    log = PartialLog(WHOLE)
    log.forget(position)
    return log


@pytest.mark.parametrize("position", range(7))
def test_what_is_left_answers_as_the_whole_log_does(position: int) -> None:
    log = forgetful(position)
    assert len(log) == 6 and log == PartialLog(WHOLE) == log.copy()
    assert log[0:6] == log[:] == WHOLE[position:]
    for at in range(position, 6):
        assert log[at] == log[at - 6] == WHOLE[at]
    for at in range(position, 7):
        assert log.term_before(at) == (WHOLE[at - 1].term if at else 0)
        assert log[at:] == WHOLE[at:]


def test_one_entry_that_is_forgotten_is_an_error() -> None:
    for position in (0, 1, -6, 6):
        with pytest.raises(IndexError):
            forgetful(2)[position]


def test_what_is_forgotten_counts_as_held() -> None:
    log, other = forgetful(3), WHOLE[5]._replace(data=b"other")
    assert all(map(log.holds, WHOLE))
    assert log.holds(other._replace(index=3))
    assert not log.holds(other)
    assert not log.holds(other._replace(index=7))


def test_a_suffix_is_replaced_also_where_it_begins_in_what_is_forgotten() -> None:
    log = forgetful(3)
    log.replace(4, WHOLE[5:])
    assert log[:] == [WHOLE[3], WHOLE[5]] and len(log) == 5
    log.replace(1, WHOLE[1:3])
    assert (log.start, log[:], len(log)) == (1, WHOLE[1:3], 3)


def test_logs_differ_by_length_or_by_what_both_know() -> None:
    other = [*WHOLE[:5], WHOLE[5]._replace(data=b"other")]
    assert forgetful(2) == forgetful(4) == WHOLE
    assert forgetful(6) == other
    assert forgetful(5) != other
    assert forgetful(6) != WHOLE[:5]
    assert forgetful(0) != "a log"


def test_a_log_may_begin_anywhere() -> None:
    log = PartialLog(WHOLE)
    log.begin_after(10**12, 9)
    assert (len(log), log[:], log.term_before(10**12)) == (10**12, [], 9)
