"""The model of the multi-version store, held against the store itself and against etcd's rules."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from raftkv.checkers import REFUSED, Kv, MvccKv, Operation, Outcome
from raftkv.checkers.mvcc_kv import apply
from raftkv.mvcc.store import Store as RealStore
from raftkv.schema.kv import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)
from tests.checkers.generated import REQUESTS


def message(request: tuple[Any, ...]) -> RequestOp:
    key = request[1].encode()
    if request[0] == "get":
        return RequestOp(request_range=RangeRequest(key))
    if request[0] == "put":
        return RequestOp(request_put=PutRequest(key, str(request[2]).encode()))
    return RequestOp(request_delete_range=DeleteRangeRequest(key))


def result(answer: Any) -> Any:
    """What the store's answer to one operation is in the model."""
    if answer.response_range is not None:
        found = answer.response_range.kvs
        return None if not found else Kv(*stamped(found[0]))
    return None if answer.response_put is not None else answer.response_delete_range.deleted


def stamped(kv: Any) -> tuple[Any, int, int, int]:
    return int(kv.value), kv.create_revision, kv.mod_revision, kv.version


def as_txn(request: tuple[Any, ...]) -> tuple[Any, ...]:
    return request if request[0] == "txn" else ("txn", (), (request,), ())


@given(requests=st.lists(REQUESTS["mvcc-kv"], max_size=20))
@settings(max_examples=150, deadline=None)
def test_the_model_answers_as_the_store_does(requests: list[tuple[Any, ...]]) -> None:
    store, state = RealStore(), MvccKv().initial
    for request in map(as_txn, requests):
        _, compares, then, orelse = request
        equal = CompareResult.EQUAL
        answer = store.txn(
            TxnRequest(
                [Compare(equal, CompareTarget.MOD, key.encode(), mod_revision=mod) for key, mod in compares],
                [message(one) for one in then],
                [message(one) for one in orelse],
            )
        )
        output = (store.revision, (answer.succeeded, tuple(map(result, answer.responses))))
        after: Any = MvccKv().step(state, Operation(0, 0, 1, request, output))
        assert after is not REFUSED
        state = after


def test_a_revision_that_is_not_the_next_one_is_refused() -> None:
    model = MvccKv()
    for revision, refused in ((1, True), (2, False), (3, True)):
        after = model.step(model.initial, Operation(0, 0, 1, ("put", "k", "v"), (revision, None)))
        assert (after is REFUSED) is refused


def test_an_answer_without_a_revision_is_held_against_the_rest() -> None:
    model = MvccKv()
    assert model.step(model.initial, Operation(0, 0, 1, ("get", "k"), (None, None))) == model.initial
    seen = Kv("v", 2, 2, 1)
    assert model.step(model.initial, Operation(0, 0, 1, ("get", "k"), (None, seen))) is REFUSED


def test_a_delete_of_an_absent_key_makes_no_revision() -> None:
    assert apply({}.get, 2, ("delete", "k")) == ({}, 0)
    assert apply({"k": Kv("v", 2, 2, 1)}.get, 3, ("delete", "k")) == ({"k": None}, 1)


def test_a_key_that_comes_back_begins_anew() -> None:
    put = ("put", "k", "w")
    assert apply({"k": Kv("v", 2, 3, 2)}.get, 7, put) == ({"k": Kv("w", 2, 7, 3)}, None)
    assert apply({"k": None}.get, 7, put) == ({"k": Kv("w", 7, 7, 1)}, None)


def test_operations_of_a_txn_see_those_before_them() -> None:
    then = (("put", "a", 1), ("get", "a"), ("delete", "b"), ("get", "b"))
    changes, answer = apply({"b": Kv(0, 2, 2, 1)}.get, 5, ("txn", (("a", 0), ("b", 2)), then, ()))
    assert changes == {"a": Kv(1, 5, 5, 1), "b": None}
    assert answer == (True, (None, Kv(1, 5, 5, 1), 1, None))


def test_only_what_can_change_nothing_is_an_observation() -> None:
    model = MvccKv()

    def observes(request: tuple[Any, ...], output: Any, outcome: Outcome = Outcome.OK) -> bool:
        return model.observes(Operation(0, 0, 1, request, output, outcome))

    txn = ("txn", (("k", 0),), (("put", "k", 1),), (("delete", "k"),))
    assert observes(("get", "k"), (1, None))
    assert observes(("delete", "k"), (1, 0))
    assert observes(txn, (1, (False, (0,))))
    assert not observes(("delete", "k"), (2, 1))
    assert not observes(("put", "k", 1), (2, None))
    assert not observes(txn, (2, (True, (None,))))
    assert not observes(txn, (2, (False, (1,))))
    assert not observes(txn, None, Outcome.UNKNOWN)
    assert not observes(("delete", "k"), None, Outcome.UNKNOWN)
    assert observes(("txn", (), (("get", "k"),), ()), None, Outcome.UNKNOWN)
