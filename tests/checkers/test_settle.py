"""Unanswered operations and the list of changes: what it tells is taken in, and no more."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftkv.checkers import MvccKv, Operation, Outcome, Validity, check
from raftkv.checkers.mvcc_kv import apply
from raftkv.checkers.settle import settle
from raftkv.checkers.timeline import NEVER
from tests.checkers.generated import LAGS, REQUESTS

MODEL = MvccKv()
PUT = Operation(1, 0.0, None, ("put", "k", "v"), None, Outcome.UNKNOWN)
CAS = PUT._replace(input=("txn", (("k", 0),), (("put", "k", "v"),), (("get", "k"),)))
MOVE = PUT._replace(input=("txn", (("k", 2),), (("delete", "k"), ("put", "l", "v")), (("get", "k"),)))


def test_a_write_that_is_there_took_effect_at_its_revision_and_never_returned() -> None:
    [settled] = settle([PUT], {7: [("k", "v")]})
    assert settled == PUT._replace(output=(7, None), returned=NEVER, outcome=Outcome.OK)


def test_a_write_that_is_not_there_had_no_effect() -> None:
    assert settle([PUT, CAS._replace(input=(*PUT.input[:2], "w"))], {7: [("k", "other")]}) == []


def test_a_txn_whose_value_is_there_did_that_branch() -> None:
    [settled] = settle([CAS], {2: [("k", "v")]})
    assert settled.output == (2, (True, (None,)))


@pytest.mark.parametrize(("written", "deleted"), [([("l", "v"), ("k", None)], 1), ([("l", "v")], 0)])
def test_what_a_txn_deleted_is_seen_in_what_was_written(written: Any, deleted: int) -> None:
    [settled] = settle([MOVE], {3: written})
    assert settled.output == (3, (True, (deleted, None)))


@pytest.mark.parametrize(
    "operation",
    [
        PUT._replace(input=("delete", "k")),
        CAS._replace(input=("txn", (("k", 0),), (("put", "k", "v"),), (("delete", "k"),))),
    ],
)
def test_what_no_value_tells_of_stays_open(operation: Operation) -> None:
    assert settle([operation], {2: [("l", "x")]}) == [operation]


def test_a_read_in_the_branch_that_was_done_leaves_the_answer_open() -> None:
    both = CAS._replace(input=("txn", (), (("get", "l"), ("put", "k", "v")), ()))
    assert settle([both], {2: [("k", "v")]}) == [both]
    assert settle([both], {2: [("k", "other")]}) == []


def test_a_value_that_both_branches_write_leaves_the_branch_open() -> None:
    both = CAS._replace(
        input=("txn", (("k", 0),), (("put", "k", "v"),), (("put", "k", "v"), ("delete", "l")))
    )
    assert settle([both], {2: [("k", "v")]}) == [both]


def test_a_value_that_two_operations_write_tells_nothing() -> None:
    again = PUT._replace(process=2)
    assert settle([PUT, again], {2: [("k", "v")]}) == [PUT, again]


def test_a_write_that_was_done_twice_stays_and_no_order_explains_it() -> None:
    found = settle([PUT], {2: [("k", "v")], 3: [("k", "v")]})
    seen = Operation(2, 5.0, 6.0, ("get", "absent"), (3, None))
    assert found == [PUT]
    assert check([*found, seen], MODEL).validity is Validity.INVALID


def test_an_answered_operation_is_left_alone() -> None:
    answered = PUT._replace(returned=1.0, output=(2, None), outcome=Outcome.OK)
    assert settle([answered], {}) == [answered]


@dataclass
class Recording:
    """A store that keeps what it wrote: the requests happen one at a time, in order."""

    history: list[Operation] = field(default_factory=list)
    writes: dict[int, list[tuple[Any, Any]]] = field(default_factory=dict)
    keys: dict[Any, Any] = field(default_factory=dict)
    revision: int = 1

    def do(self, request: tuple[Any, ...]) -> Any:
        changes, result = apply(self.keys.get, self.revision + 1, request)
        if changes:
            self.revision += 1
            self.writes[self.revision] = [(key, kv and kv.value) for key, kv in changes.items()]
        self.keys.update(changes)
        return self.revision, result


def unique(request: tuple[Any, ...], number: int) -> tuple[Any, ...]:
    """Return the request with values that no other one writes."""
    if request[0] == "put":
        return (*request[:2], f"v{number}")
    if request[0] != "txn":
        return request
    named = [
        tuple(unique(one, 100 * number + 10 * place + position) for position, one in enumerate(branch))
        for place, branch in enumerate(request[2:4])
    ]
    return (*request[:2], *named)


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    recording = Recording()
    for number in range(draw(st.integers(1, 8))):
        request, moment = unique(draw(REQUESTS["mvcc-kv"]), number + 1), 4 * number
        fate = draw(st.sampled_from(["ok", "ok", "unanswered", "lost"]))
        output = None if fate == "lost" else recording.do(request)
        call, returned = moment - draw(LAGS), moment + draw(LAGS)
        answered = (returned, request, output, Outcome.OK)
        open_end = (None, request, None, Outcome.UNKNOWN)
        recording.history.append(Operation(number, call, *(answered if fate == "ok" else open_end)))
    return recording


@given(recordings())
def test_what_really_happened_has_an_order_once_it_is_settled(recording: Recording) -> None:
    settled = settle(recording.history, recording.writes)
    verdict = check(settled, MODEL)
    assert verdict.validity is Validity.VALID, verdict


@given(recordings(), st.data())
def test_settling_finds_no_order_where_there_is_none(recording: Recording, data: st.DataObject) -> None:
    """It may only refuse more: whatever the writes say, an order of the settled is one of the whole."""
    history = list(recording.history)
    place = data.draw(st.integers(0, len(history) - 1))
    if history[place].outcome is Outcome.OK:
        output: Any = history[place].output
        history[place] = history[place]._replace(output=(max(1, output[0] - 1), output[1]))
    writes = {revision: found for revision, found in recording.writes.items() if data.draw(st.booleans())}
    if check(settle(history, writes), MODEL).validity is Validity.VALID:
        assert check(history, MODEL).validity is Validity.VALID
