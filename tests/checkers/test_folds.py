"""Bank, set and counter: each anomaly in its smallest history, and beside it one that is right."""

from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from raftkv.checkers import (
    HistoryError,
    Operation,
    Outcome,
    Validity,
    Verdict,
    check_bank,
    check_counter,
    check_set,
    count_set,
)

MANY = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LAGS = st.sampled_from([0, 0, 1, 2, 5, 9, 14])


def add(value: int, call: int, returned: int | None, outcome: Outcome = Outcome.OK) -> Operation:
    """An addition; without a return nobody knows what came of it."""
    found = Outcome.UNKNOWN if returned is None else outcome
    return Operation(0, call, returned, ("add", value), None, found)


def read(output: Any, call: int, returned: int) -> Operation:
    return Operation(1, call, returned, ("read",), output)


def names(verdict: Verdict) -> list[str]:
    found = [one.name for one in verdict.anomalies]
    assert (verdict.validity is Validity.INVALID) == bool(found)
    return found


def bank(*balances: int | None, call: int = 0) -> Operation:
    return read(tuple(zip("abc", balances, strict=False)), call, call + 1)


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("wrong-total", (4, 7), (4, 6)),
        ("negative-value", (12, -2), (10, 0)),
        ("unexpected-key", (4, 5, 1), (4, 6)),
        ("nil-balance", (10, None), (10, 0)),
    ],
)
def test_each_anomaly_of_a_bank(name: str, wrong: Any, right: Any) -> None:
    transfer = Operation(2, 0, None, ("transfer", "a", "b", 1), None, Outcome.UNKNOWN)
    assert names(check_bank([bank(5, 5), transfer, bank(*wrong, call=9)])) == [name]
    assert names(check_bank([bank(5, 5), transfer, bank(*right, call=9)])) == []


def test_a_bank_is_told_what_the_first_read_should_have_seen() -> None:
    assert names(check_bank([bank(5, 5)], total=11)) == ["wrong-total"]
    assert names(check_bank([bank(5, 5)], accounts=["a", "b", "c"])) == ["nil-balance"]
    assert names(check_bank([bank(5, 5), bank(12, -2)], negative_balances=True)) == []


def test_an_anomaly_says_who_saw_what() -> None:
    [found] = check_bank([bank(5, 5), bank(4, 7, call=9)]).anomalies
    assert found.text == (
        "the read of process 1, called at 9 and answered at 10, "
        "saw 11 in all accounts together, which is not 10"
    )
    assert found.operations == (bank(4, 7, call=9),)


@pytest.mark.parametrize("judge", [check_bank, check_set])
def test_nothing_read_is_no_pass(judge: Any) -> None:
    lost = Operation(1, 0, None, ("read",), None, Outcome.UNKNOWN)
    assert judge([lost]).validity is Validity.UNKNOWN


FAILED = add(1, 0, 1, Outcome.FAIL)


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("lost", [add(1, 0, 1), read((), 2, 3)], [add(1, 0, 2), read((), 2, 3)]),
        (
            "lost",
            [add(1, 0, None), read((1,), 2, 3), read((), 4, 5)],
            [add(1, 0, None), read((), 2, 3), read((1,), 4, 5)],
        ),
        (
            "stale",
            [add(1, 0, 1), read((), 2, 3), read((1,), 4, 5)],
            [add(1, 0, 3), read((), 2, 3), read((1,), 4, 5)],
        ),
        ("unexpected", [read((1,), 2, 3)], [add(1, 0, None), read((1,), 2, 3)]),
        ("unexpected", [FAILED, read((1,), 2, 3)], [FAILED, read((), 2, 3)]),
        ("unexpected", [read((1,), 2, 3), add(1, 4, 5)], [read((1,), 2, 3), add(1, 3, 5)]),
        ("duplicated", [add(1, 0, 1), read((1, 1), 2, 3)], [add(1, 0, 1), read((1,), 2, 3)]),
        (
            "incompatible-order",
            [add(1, 0, 9), add(2, 0, 9), read((1,), 0, 9), read((2,), 0, 9)],
            [add(1, 0, 9), add(2, 0, 9), read((1,), 0, 9), read((1, 2), 0, 9)],
        ),
        (
            "out-of-order",
            [add(1, 0, 1), add(2, 2, 3), read((2,), 0, 9)],
            [add(1, 0, 2), add(2, 2, 3), read((2,), 0, 9)],
        ),
    ],
)
def test_each_anomaly_of_a_set(name: str, wrong: list[Operation], right: list[Operation]) -> None:
    assert names(check_set(wrong)) == [name]
    assert names(check_set(right)) == []


def test_what_became_of_the_adds_is_counted() -> None:
    history = [add(1, 0, 1), add(2, 0, None), add(3, 0, None), read((1, 2), 2, 3), add(4, 4, 5)]
    assert count_set(history) == {"acknowledged": 2, "recovered": 1, "never_read": 1}


def test_an_element_that_is_added_twice_makes_a_history_useless() -> None:
    with pytest.raises(HistoryError, match="both add 1"):
        check_set([add(1, 0, 1), add(1, 2, 3)])


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("out-of-bounds", [add(2, 0, 1), read(1, 2, 3)], [add(2, 0, 2), read(0, 2, 3)]),
        ("out-of-bounds", [add(2, 4, 5), read(2, 2, 3)], [add(2, 3, 5), read(2, 2, 3)]),
        ("out-of-bounds", [FAILED, read(1, 2, 3)], [add(1, 0, None), read(1, 2, 3)]),
        ("out-of-bounds", [add(-2, 0, 1), read(0, 2, 3)], [add(-2, 0, None), read(0, 2, 3)]),
        ("out-of-bounds", [add(-2, 4, 5), read(-2, 2, 3)], [add(-2, 3, 5), read(-2, 2, 3)]),
        (
            "non-monotonic",
            [add(1, 0, None), read(1, 2, 3), read(0, 4, 5)],
            [add(1, 0, None), read(0, 2, 3), read(1, 4, 5)],
        ),
        (
            "non-monotonic",
            [add(1, 0, None), read(1, 2, 3), add(5, 4, 5), read(5, 6, 7)],
            [add(1, 0, None), read(0, 2, 3), add(5, 4, 5), read(5, 6, 7)],
        ),
    ],
)
def test_each_anomaly_of_a_counter(name: str, wrong: list[Operation], right: list[Operation]) -> None:
    assert names(check_counter(wrong)) == [name]
    assert names(check_counter(right)) == []


def test_a_counter_need_not_begin_at_zero_and_may_go_down() -> None:
    assert names(check_counter([read(7, 0, 1)], initial=7)) == []
    assert names(check_counter([add(-1, 0, None), read(0, 1, 2), read(-1, 3, 4)])) == []


def test_a_counter_nobody_read_contradicts_nothing_and_the_reason_says_so() -> None:
    verdict = check_counter([add(1, 0, 1)])
    assert verdict.validity is Validity.VALID
    assert verdict.reason.startswith("no read was answered")


@st.composite
def executions(draw: st.DrawFn, kind: str) -> list[Operation]:
    """Draw what a right set or counter answers, one thing after the other."""
    elements: tuple[int, ...] = ()
    history: list[Operation] = []
    for number in range(draw(st.integers(1, 6))):
        moment = 4 * number
        call, returned = moment - draw(LAGS), moment + draw(LAGS)
        if draw(st.booleans()):
            output = elements if kind == "set" else sum(elements)
            history.append(read(output, call, returned))
            continue
        fate = draw(st.sampled_from(["ok", "ok", "ok", "lost", "unanswered", "failed"]))
        value = number if kind == "set" else draw(st.sampled_from([1, 1, 2, 5]))
        elements = (*elements, value) if fate in ("ok", "unanswered") else elements
        outcome = Outcome.FAIL if fate == "failed" else Outcome.OK
        history.append(add(value, call, None if fate in ("lost", "unanswered") else returned, outcome))
    output = elements if kind == "set" else sum(elements)
    return [*history, read(output, 60, 61)]


@given(history=executions("set"))
@MANY
def test_what_a_right_set_answers_is_valid(history: list[Operation]) -> None:
    assert names(check_set(history)) == []


@given(history=executions("counter"))
@MANY
def test_what_a_right_counter_answers_is_valid(history: list[Operation]) -> None:
    assert names(check_counter(history)) == []


@given(data=st.data())
@settings(MANY, max_examples=600)
def test_the_verdict_on_a_set_is_that_of_trying_all_orders(data: st.DataObject) -> None:
    history = data.draw(executions("set"))
    for _ in range(data.draw(st.sampled_from([0, 1, 1, 2]))):
        place = data.draw(st.integers(0, len(history) - 1))
        history[place] = data.draw(changed(history[place]))
    wanted = has_order(history, frozenset())
    event(str(wanted))
    assert (check_set(history).validity is Validity.VALID) == wanted


@st.composite
def changed(draw: st.DrawFn, operation: Operation) -> Operation:
    if operation.input[0] == "read" and draw(st.booleans()):
        elements = st.lists(st.integers(0, 6), max_size=4, unique=True).map(tuple)
        return operation._replace(output=draw(elements))
    if operation.outcome is not Outcome.OK:
        return operation._replace(outcome=Outcome.FAIL, returned=operation.call)
    call = draw(st.integers(-10, 40))
    return operation._replace(call=call, returned=call + draw(LAGS))


def has_order(left: list[Operation], held: frozenset[int]) -> bool:
    """Tell whether an order of adds and reads gives these answers; for a handful of operations."""
    left = [one for one in left if one.outcome is not Outcome.FAIL]
    returns = [one.returned for one in left if one.outcome is Outcome.OK and one.returned is not None]
    if not returns:
        return True
    for number, one in enumerate(left):
        after = held | {one.input[1]} if one.input[0] == "add" else held
        answered: Any = one.output
        fits = one.input[0] == "add" or frozenset(answered) == held
        if one.call <= min(returns) and fits and has_order(left[:number] + left[number + 1 :], after):
            return True
    return False


@pytest.mark.parametrize("fault", ["lost", "resurrected", "twice"])
@given(history=executions("set"), data=st.data())
@settings(MANY, max_examples=40)
def test_every_fault_put_into_a_set_is_found(
    fault: str, history: list[Operation], data: st.DataObject
) -> None:
    elements: Any = history[-1].output
    if fault == "resurrected":
        history = [*history, add(50, 70, 71, Outcome.FAIL), read((*elements, 50), 80, 81)]
    else:
        history = [*history, add(50, 70, 71), read((*elements, 50), 80, 81)]
        place = data.draw(st.integers(0, len(elements)))
        every = (*elements, 50)
        wrong = every[:place] + every[place + 1 :] if fault == "lost" else (*every, every[place])
        history = [*history, read(wrong, 90, 91)]
    assert check_set(history).validity is Validity.INVALID


@pytest.mark.parametrize("change", [-1, 1])
@given(history=executions("counter"))
@settings(MANY, max_examples=40)
def test_a_lost_or_doubled_increment_is_found(change: int, history: list[Operation]) -> None:
    seen: Any = history[-1].output
    history = [*history, add(1, 70, 71), read(seen + 1, 80, 81), read(seen + 1 + change * 20, 90, 91)]
    assert check_counter(history).validity is Validity.INVALID
