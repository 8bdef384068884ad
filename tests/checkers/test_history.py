"""Events become operations, and recorders' mistakes are named."""

import pytest

from raftkv.checkers import HistoryError, Operation, Outcome
from raftkv.checkers.history import Event, pair_events


def event(
    line: int, process: int, kind: str, request: tuple[object, ...] = ("read", "x"), output: object = None
) -> Event:
    return Event(f"f:{line}", process, kind, request, output)  # type: ignore[arg-type]


def test_an_answer_belongs_to_the_open_operation_of_its_process() -> None:
    events = [event(1, 0, "invoke"), event(2, 1, "invoke"), event(3, 0, "ok", output=5), event(4, 1, "fail")]
    assert pair_events(events) == [
        Operation(0, 0, 2, ("read", "x"), 5),
        Operation(1, 1, 3, ("read", "x"), None, Outcome.FAIL),
    ]


def test_no_completion_and_an_info_are_both_an_unknown_outcome() -> None:
    events = [event(1, 0, "invoke"), event(2, 1, "invoke"), event(3, 0, "info")]
    assert [(one.outcome, one.returned) for one in pair_events(events)] == [(Outcome.UNKNOWN, None)] * 2


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (["ok"], "f:1: process 0 completes an operation, but has none"),
        (["invoke", "ok", "ok"], "f:3: process 0 completes an operation, but has none"),
        (["invoke", "info", "ok"], "f:3: process 0 completes an operation, but has none"),
        (["invoke", "invoke"], "f:2: process 0 starts an operation while its last one is still open"),
        (
            ["invoke", "info", "invoke"],
            "f:3: process 0 starts an operation while its last one has an unknown outcome",
        ),
    ],
)
def test_a_process_that_does_two_things_at_once_is_an_error(kinds: list[str], message: str) -> None:
    with pytest.raises(HistoryError) as refused:
        pair_events(event(line, 0, kind) for line, kind in enumerate(kinds, 1))
    assert str(refused.value) == message


def test_a_completion_names_the_same_operation() -> None:
    events = [event(1, 0, "invoke"), event(2, 0, "ok", ("write", "x"))]
    with pytest.raises(HistoryError, match=r"f:2: \('write', 'x'\) completes \('read', 'x'\) of f:1"):
        pair_events(events)
