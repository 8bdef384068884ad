"""The committed log and what clients were told fit together, change by change."""

from typing import Any

import pytest

from raftkv.checkers import Operation, Outcome
from raftkv.workloads.kv_checks import exactly_once

Writes = dict[int, set[tuple[str, str | None]]]


def done(revision: int, *request: Any, result: Any = None) -> Operation:
    return Operation(1, 1.0, 2.0, request, (revision, result))


def unknown(*request: Any) -> Operation:
    return Operation(2, 1.0, None, request, None, Outcome.UNKNOWN)


def failed(*request: Any) -> Operation:
    return Operation(3, 1.0, 2.0, request, None, Outcome.FAIL)


MOVE = done(3, "txn", (("k", 2),), (("delete", "k"), ("put", "l", "b")), (), result=(True, (1, None)))
PUT = done(2, "put", "k", "a")


def judged(history: list[Operation], writes: Writes) -> str:
    found = exactly_once(history, writes)
    return found.text if found is not None else ""


@pytest.mark.parametrize(
    ("history", "writes"),
    [
        ([PUT, MOVE], {2: {("k", "a")}, 3: {("l", "b"), ("k", None)}}),
        ([PUT, unknown("delete", "k")], {2: {("k", "a")}, 3: {("k", None)}}),
        ([PUT, unknown("put", "k", "b")], {2: {("k", "a")}, 3: {("k", "b")}}),
        ([PUT, unknown("put", "k", "b")], {2: {("k", "a")}}),
        ([PUT, done(2, "delete", "x", result=0)], {2: {("k", "a")}}),
        ([done(2, "put", "probe", "p"), unknown("put", "probe", "p")], {n: {("probe", "p")} for n in (2, 3)}),
    ],
)
def test_what_was_asked_for_and_told_is_right(history: list[Operation], writes: Writes) -> None:
    assert judged(history, writes) == ""


@pytest.mark.parametrize(
    ("history", "writes", "why"),
    [
        ([PUT], {2: {("k", "a")}, 3: {("k", "a")}}, "again at 3"),
        ([unknown("put", "k", "a")], {2: {("k", "a")}, 4: {("k", "a")}}, "again at 4"),
        ([failed("put", "k", "a")], {2: {("k", "a")}}, "had failed"),
        ([PUT], {2: {("k", "a")}, 3: {("k", "z")}}, "nobody asked"),
        ([PUT], {2: {("k", "a"), ("l", None)}}, "told: k=a"),
        ([PUT, MOVE], {2: {("k", "a")}, 3: {("l", "b")}}, "told: k=None, l=b"),
        ([done(2, "delete", "k", result=1)], {2: {("l", None)}}, "told: k=None"),
    ],
)
def test_what_does_not_fit_is_told(history: list[Operation], writes: Writes, why: str) -> None:
    assert why in judged(history, writes)
