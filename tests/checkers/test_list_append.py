"""Transactions over lists: each anomaly in its smallest history, and beside it one that is right."""

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from raftkv.checkers import HistoryError, Operation, Outcome, Validity, check_list_append
from raftkv.checkers.list_append import is_serializable
from tests.checkers.lists import KEYS, changed_executions, executions, has_order, txns

MANY = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])

FOUND = {
    "G0": ["0 0-9 x+1 y+1", "1 0-9 x+2 y+2", "2 0-9 x=1,2 y=2,1"],
    "G0-process": ["0 0-1 x+1", "0 2-9 x+2", "1 0-9 x=2,1"],
    "G0-realtime": ["0 0-1 x+1", "1 2-9 x+2", "2 0-9 x=2,1"],
    "G1a": ["0 0-! x+1", "1 0-9 x=1"],
    "G1b": ["0 0-9 x+1 x+2", "1 0-9 x=1", "2 0-9 x=1,2"],
    "G1c": ["0 0-9 x+1 y=2", "1 0-9 y+2 x=1"],
    "G1c-process": ["0 0-1 x=1", "0 2-9 x+1"],
    "G1c-realtime": ["0 0-1 x=1", "1 2-9 x+1"],
    "G-single": ["0 0-9 x+1 y+2", "1 0-9 x=1 y="],
    "G-single-process": ["0 0-1 x+1", "0 2-9 x="],
    "G-single-realtime": ["0 0-1 x+1", "1 2-9 x="],
    "G-nonadjacent": ["0 0-9 x+1", "1 0-9 y+2", "2 0-9 x=1 y=", "3 0-9 x= y=2"],
    "G-nonadjacent-process": ["0 0-5 x+1", "1 0-9 y+2", "0 6-9 y=", "3 0-9 x= y=2"],
    "G-nonadjacent-realtime": ["0 0-5 x+1", "1 0-9 y+2", "2 6-9 y=", "3 0-9 x= y=2"],
    "G2-item": ["0 0-9 x= y+1", "1 0-9 y= x+2"],
    "G2-item-process": ["0 2-9 x=", "1 0-9 y= x+1", "0 0-1 y+2"],
    "G2-item-realtime": ["0 2-9 x=", "1 0-9 y= x+1", "2 0-1 y+2"],
    "internal": ["0 0-9 x+1 x="],
    "duplicate-elements": ["0 0-9 x+1", "1 0-9 x=1,1"],
    "garbage-read": ["0 0-9 x=1"],
    "incompatible-order": ["0 0-9 x+1", "1 0-9 x+2", "2 0-9 x=1,2", "3 0-9 x=2,1"],
}
"""Anomaly -> a history that has it, and no other one that does not follow from it."""

FOLLOWS = {"G1b": ["G-single"]}
"""Who sees a part of a transaction has not seen the rest."""

RIGHT = {
    "G0": ["0 0-9 x+1 y+1", "1 0-9 x+2 y+2", "2 0-9 x=1,2 y=1,2"],
    "G0-process": ["0 0-1 x+1", "0 2-9 x+2", "1 0-9 x=1,2"],
    "G0-realtime": ["0 0-2 x+1", "1 2-9 x+2", "2 0-9 x=2,1"],
    "G1a": ["0 0-? x+1", "1 0-9 x=1"],
    "G1b": ["0 0-9 x+1 x+2", "1 0-9 x=", "2 0-9 x=1,2"],
    "G1c": ["0 0-9 x+1 y=", "1 0-9 y+2 x=1"],
    "G1c-process": ["0 0-1 x=", "0 2-9 x+1"],
    "G1c-realtime": ["0 0-2 x=1", "1 2-9 x+1"],
    "G-single": ["0 0-9 x+1 y+2", "1 0-9 x=1 y=2"],
    "G-single-process": ["0 0-1 x+1", "0 2-9 x=1"],
    "G-single-realtime": ["0 0-2 x+1", "1 2-9 x="],
    "G-nonadjacent": ["0 0-9 x+1", "1 0-9 y+2", "2 0-9 x=1 y=", "3 0-9 x=1 y=2"],
    "G-nonadjacent-process": ["0 0-5 x+1", "1 0-9 y+2", "0 6-9 y=2", "3 0-9 x= y=2"],
    "G-nonadjacent-realtime": ["0 0-6 x+1", "1 0-9 y+2", "2 6-9 y=", "3 0-9 x= y=2"],
    "G2-item": ["0 0-9 x= y+1", "1 0-9 y=1 x+2"],
    "G2-item-process": ["0 2-9 x=1", "1 0-9 y= x+1", "0 0-1 y+2"],
    "G2-item-realtime": ["0 1-9 x=", "1 0-9 y= x+1", "2 0-1 y+2"],
    "internal": ["0 0-9 x+1 x=1"],
    "duplicate-elements": ["0 0-9 x+1", "1 0-9 x=1 x=1"],
    "garbage-read": ["0 0-9 x="],
    "incompatible-order": ["0 0-9 x+1", "1 0-9 x+2", "2 0-9 x=1,2", "3 0-9 x=1"],
}
"""The same histories as in ``FOUND`` with one thing changed, after which nothing is wrong with them."""


def names(history: list[Operation]) -> list[str]:
    return [one.name for one in check_list_append(history).anomalies]


@pytest.mark.parametrize("name", FOUND)
def test_each_anomaly_is_found_alone_and_not_in_the_right_history(name: str) -> None:
    verdict = check_list_append(txns(*FOUND[name]))
    assert [one.name for one in verdict.anomalies] == sorted([name, *FOLLOWS.get(name, [])])
    assert verdict.validity is Validity.INVALID
    assert not has_order(txns(*FOUND[name]), strict=True)
    assert has_order(txns(*FOUND[name]), strict=False) == name.endswith(("-process", "-realtime"))
    assert check_list_append(txns(*RIGHT[name])).validity is Validity.VALID
    assert has_order(txns(*RIGHT[name]), strict=True)


def test_right_histories_differ_from_wrong_ones_in_one_transaction() -> None:
    for name, wrong in FOUND.items():
        assert sum(one != other for one, other in zip(wrong, RIGHT[name], strict=True)) == 1, name


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("internal", ["0 0-9 x= x=1", "1 0-9 x+1"]),
        ("internal", ["0 0-9 x+1 x=2", "1 0-9 x+2"]),
        ("internal", ["0 0-9 x=1 x+1"]),
        ("incompatible-order", ["0 0-9 x+1 x+2", "1 0-9 x=2,1"]),
        ("incompatible-order", ["0 0-9 x+1 x+2", "1 0-9 x=2"]),
        ("G0", ["0 0-9 x+1 x+3", "1 0-9 x+2", "2 0-9 x=1,2,3"]),
        ("G-single", ["0 0-9 x= x+1", "1 0-9 x+2", "2 0-9 x=2,1"]),
        ("G2-item", ["0 0-9 x= x+1", "1 0-9 x= x+2"]),
        ("G2-item", ["0 0-9 x= x+1", "1 0-9 x+3 y=", "2 0-9 x= x+2 y+9"]),
        ("G-single", ["0 0-? x+1 y+2", "1 0-9 x=1 y="]),
        ("G1c-realtime", ["0 0-1 x=1", "1 2-? x+1"]),
        ("G0", ["0 0-9 x+1 y+2 x=1", "1 0-9 x+3 y+4 y=4"]),
    ],
)
def test_other_faces_of_the_anomalies(name: str, lines: list[str]) -> None:
    assert name in names(txns(*lines))
    assert not has_order(txns(*lines), strict=True)


def test_an_unknown_outcome_nobody_saw_is_no_lost_append() -> None:
    history = txns("0 0-? x+1", "1 5-6 x=", "2 7-8 x+2", "3 9-10 x=2")
    assert check_list_append(history).validity is Validity.VALID


def test_an_unknown_outcome_may_come_late() -> None:
    history = txns("0 0-? x+1", "1 5-6 x=", "2 7-8 x=1")
    assert check_list_append(history).validity is Validity.VALID


def test_a_cycle_is_told_in_sentences() -> None:
    [found] = check_list_append(txns("4 0-9 x+4 y+5", "7 0-9 x=4 y=")).anomalies
    assert found.text.splitlines() == [
        "T1 is process 7: read x [4], read y []; called at 0, answered at 9",
        "T2 is process 4: append 4 to x, append 5 to y; called at 0, answered at 9",
        "T1 did not observe T2's append of 5 to y",
        "T1 observed T2's append of 4 to x",
        "so each must come before the next, and the last one before the first",
    ]
    assert [one.process for one in found.operations] == [7, 4]


def test_sentences_for_the_other_reasons() -> None:
    def last_but_one(name: str) -> list[str]:
        [found] = check_list_append(txns(*FOUND[name])).anomalies
        return found.text.splitlines()[-3:-1]

    assert "T2 had returned before T1 was called" in last_but_one("G0-realtime")
    assert "T2 observed T1's append of 1 to x" in last_but_one("G1c-realtime")
    assert "T2 had returned before T1 was called" in last_but_one("G-single-realtime")
    assert "process 0 did T2 before T1" in last_but_one("G-single-process")
    assert "T2's append of 2 to x came behind T1's append of 1" in last_but_one("G0")


def test_the_shortest_cycle_is_shown() -> None:
    """Of x+1, x+2 and x+3, read in the opposite order of real time, two are enough."""
    history = txns("0 0-1 x+1", "1 2-3 x+2", "2 4-5 x+3", "3 0-9 x=3,2,1")
    [found] = check_list_append(history).anomalies
    assert found.name == "G0-realtime"
    assert len(found.operations) == 2


def test_the_reason_says_whether_only_real_time_is_broken() -> None:
    stale, skew = (check_list_append(txns(*FOUND[one])) for one in ("G-single-realtime", "G2-item"))
    assert stale.reason == "serializable, but not strictly: G-single-realtime"
    assert skew.reason == "not serializable: G2-item"


def test_an_element_that_two_transactions_append_makes_a_history_useless() -> None:
    with pytest.raises(HistoryError, match="called at 0 and 5: both append 1 to x"):
        check_list_append(txns("0 0-9 x+1", "1 5-9 x+1"))


@given(history=executions(most=12))
@MANY
def test_what_a_right_system_answers_is_valid(history: list[Operation]) -> None:
    assert check_list_append(history).validity is Validity.VALID


@given(history=changed_executions())
@settings(MANY, max_examples=600)
def test_the_verdict_is_that_of_trying_all_orders(history: list[Operation]) -> None:
    verdict = check_list_append(history)
    wanted = has_order(history, strict=True)
    event(f"{wanted} {[one.name for one in verdict.anomalies]}")
    assert (verdict.validity is Validity.VALID) == wanted
    assert is_serializable(verdict.anomalies) == has_order(history, strict=False)


def read_again(history: list[Operation], key: str, elements: tuple[Any, ...]) -> list[Operation]:
    """Add a last transaction that reads a key."""
    output = (("r", key, elements),)
    return [*history, Operation(200, 900, 901, ("txn", (("r", key, None),)), output)]


@pytest.mark.parametrize(
    "fault", ["lost", "stale", "doubled", "garbage", "turned", "failed", "half", "undone"]
)
@given(history=executions(most=8), data=st.data())
@settings(MANY, max_examples=60)
def test_every_fault_that_is_put_in_is_found(
    fault: str, history: list[Operation], data: st.DataObject
) -> None:
    final: Any = history[-1].output
    lists = {key: elements for _, key, elements in final}
    key = data.draw(st.sampled_from(KEYS))
    elements = lists[key]
    assume(len(elements) >= (2 if fault == "turned" else 1) or fault in ("garbage", "half"))
    if fault == "lost":
        place = data.draw(st.integers(0, len(elements) - 1))
        history = read_again(history, key, elements[:place] + elements[place + 1 :])
    elif fault == "stale":
        history = read_again(history, key, elements[:-1])
    elif fault == "doubled":
        history = read_again(history, key, (*elements, elements[0]))
    elif fault == "garbage":
        history = read_again(history, key, (*elements, 777))
    elif fault == "turned":
        history = read_again(history, key, elements[::-1])
    elif fault == "failed":
        writer = next(
            place for place, one in enumerate(history) if ("append", key, elements[0]) in one.input[1]
        )
        history[writer] = history[writer]._replace(outcome=Outcome.FAIL, output=None)
    elif fault == "half":
        steps = (("append", key, 801), ("append", key, 802))
        history = [*history, Operation(201, 500, 950, ("txn", steps), steps)]
        history = read_again(history, key, (*elements, 801))
    else:
        steps = (("append", key, 801),)
        history = [*history, Operation(201, 500, 600, ("txn", steps), (("append", key, 801), ("r", key, ())))]
    assert check_list_append(history).validity is Validity.INVALID
