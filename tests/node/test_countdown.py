"""The countdown against a plain table of deadlines."""

from hypothesis import given
from hypothesis import strategies as st

from raftkv.node.countdown import BUCKET_SECONDS, Countdown

LEASES = st.integers(-2, 5)
STEPS = st.lists(
    st.tuples(st.just("set"), LEASES, st.floats(0.0, 8.0))
    | st.tuples(st.just("drop"), LEASES, st.just(0.0))
    | st.tuples(st.just("due"), st.integers(1, 4), st.floats(0.0, 3.0))
    | st.tuples(st.just("due"), st.just(99), st.floats(0.0, 3000.0))
)


@given(st.floats(0.0, 1000.0), STEPS)
def test_what_is_due_is_told_once_never_early_and_in_time(
    now: float, steps: list[tuple[str, int, float]]
) -> None:
    countdown, deadlines = Countdown(now), dict[int, float]()
    for step, number, seconds in steps:
        if step == "set":
            countdown.set(number, now + seconds)
            deadlines[number] = now + seconds
        elif step == "drop":
            countdown.drop(number)
            deadlines.pop(number, None)
        else:
            now += seconds
            due = countdown.due(now, number)
            assert len(due) == len(set(due)) <= number
            assert all(deadlines.pop(lease) <= now for lease in due)
            if len(due) < number:
                assert all(deadline > now - BUCKET_SECONDS for deadline in deadlines.values())
        assert {lease: countdown.deadline(lease) for lease in deadlines} == deadlines
        assert len(countdown) == len(deadlines)


def test_what_is_due_first_is_told_first() -> None:
    countdown = Countdown(0.0)
    for lease, deadline in ((1, 3.0), (2, 1.0), (3, 2.0), (4, 9.0)):
        countdown.set(lease, deadline)
    assert [countdown.due(5.0, 2), countdown.due(5.0, 2), countdown.due(5.0, 2)] == [[2, 3], [1], []]


def test_nothing_stays_behind_of_what_was_dropped_or_moved() -> None:
    countdown = Countdown(0.0)
    for number in range(1000):
        countdown.set(number % 10, 100.0 + number)
    assert len(countdown._buckets) == 10
    for lease in range(10):
        countdown.drop(lease)
    assert not countdown._buckets
