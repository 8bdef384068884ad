"""The public check: what it reports, what it costs, and what it does when the budget ends."""

import random

import pytest

from raftkv.checkers import CasRegister, KvAppend, Operation, Outcome, Validity, check
from raftkv.checkers.linearizability import FIRST_PORTION


def read(process: int, call: float, value: object, key: object = "x") -> Operation:
    return Operation(process, call, call + 1, ("read", key), value)


def write(
    process: int, call: float, value: object, key: object = "x", returned: float | None = None
) -> Operation:
    return Operation(process, call, call + 1 if returned is None else returned, ("write", key, value))


def hard(writers: int, key: object = "x") -> list[Operation]:
    """Make a history with many orders, none of which ends well: concurrent writes, an impossible read."""
    writes = [write(number, 0, number, key, returned=100) for number in range(writers)]
    reads = [read(writers, 10 + 2 * number, number % writers, key) for number in range(writers)]
    return [*writes, *reads, read(writers, 200, "never", key)]


def test_the_empty_history_is_valid() -> None:
    assert check([], CasRegister()).validity is Validity.VALID


def test_a_stale_read_is_refused_and_named() -> None:
    first, second, stale = write(0, 0, 1), write(0, 10, 2), read(1, 20, 1)
    verdict = check([stale, second, first], CasRegister())
    assert verdict.validity is Validity.INVALID
    assert verdict.placed == (first, second)
    assert verdict.refused == (stale,)
    assert verdict.reason


def test_concurrent_operations_may_take_effect_in_either_order() -> None:
    slow = write(0, 0, 1, returned=30)
    assert check([slow, read(1, 5, None), read(1, 10, 1)], CasRegister()).validity is Validity.VALID
    assert check([slow, read(1, 5, 1), read(1, 10, None)], CasRegister()).validity is Validity.INVALID


def test_operations_that_touch_at_one_instant_are_concurrent() -> None:
    assert check([write(0, 0, 1, returned=5), read(1, 5, None)], CasRegister()).validity is Validity.VALID
    assert check([write(0, 0, 1, returned=4.9), read(1, 5, None)], CasRegister()).validity is Validity.INVALID


def test_a_cas_that_compared_unequal_is_an_observation() -> None:
    unequal = Operation(1, 10, 11, ("cas", "x", 1, 2), False)
    assert check([write(0, 0, 1), unequal], CasRegister()).validity is Validity.INVALID
    assert check([write(0, 0, 3), unequal], CasRegister()).validity is Validity.VALID


def test_appends_are_kept_in_order() -> None:
    history = [
        Operation(0, 0, 10, ("append", "k", "a")),
        Operation(1, 0, 10, ("append", "k", "b")),
        Operation(2, 20, 21, ("get", "k"), "ba"),
    ]
    assert check(history, KvAppend()).validity is Validity.VALID
    assert (
        check([*history, Operation(2, 30, 31, ("get", "k"), "ab")], KvAppend()).validity is Validity.INVALID
    )


def test_when_the_steps_are_spent_the_verdict_is_unknown_and_no_pass() -> None:
    verdict = check(hard(12), CasRegister(), max_steps=1_000)
    assert verdict.validity is Validity.UNKNOWN
    assert verdict.steps == 1_000
    assert verdict.reason


def test_a_budget_that_is_enough_gives_the_same_verdict_as_a_large_one() -> None:
    steps = check(hard(4), CasRegister()).steps
    assert check(hard(4), CasRegister(), max_steps=steps).validity is Validity.INVALID
    assert check(hard(4), CasRegister(), max_steps=steps - 1).validity is Validity.UNKNOWN


def test_when_the_time_is_up_the_verdict_is_unknown() -> None:
    asked = []

    def deadline() -> bool:
        asked.append(True)
        return len(asked) > 2

    verdict = check(hard(12), CasRegister(), deadline=deadline)
    assert verdict.validity is Validity.UNKNOWN
    assert len(asked) == 3
    assert verdict.steps == FIRST_PORTION + 4 * FIRST_PORTION


def test_one_key_without_an_order_decides_however_hard_the_others_are() -> None:
    easy = [write(50, 0, 1, "y"), read(50, 10, 2, "y")]
    verdict = check([*hard(14), *easy], CasRegister())
    assert verdict.validity is Validity.INVALID
    assert {one.input[1] for one in verdict.refused} == {"y"}
    assert verdict.steps <= FIRST_PORTION + 10


@pytest.mark.parametrize("writers", [3, 4])
def test_the_verdict_does_not_depend_on_the_order_in_the_list(writers: int) -> None:
    history = hard(writers)
    verdict = check(history, CasRegister())
    for seed in range(5):
        shuffled = random.Random(seed).sample(history, len(history))
        assert check(shuffled, CasRegister()).validity is verdict.validity


def test_the_same_history_takes_the_same_steps() -> None:
    assert check(hard(5), CasRegister()) == check(hard(5), CasRegister())


def test_many_unanswered_equal_writes_cost_no_more_than_a_few() -> None:
    """Each of 20 reads needs one of them, and which one does not matter."""

    def history(count: int) -> list[Operation]:
        request = ("write", "x", "lost")
        lost = [Operation(9 + one, 0, None, request, None, Outcome.UNKNOWN) for one in range(count)]
        writes = [write(0, 9 * one, one) for one in range(20)]
        return [*lost, *writes, *(read(1, 9 * one + 3, "lost") for one in range(20))]

    assert check(history(20), CasRegister()).validity is Validity.VALID
    too_few = check(history(19), CasRegister())
    assert too_few.validity is Validity.INVALID
    assert too_few.steps < 5_000
