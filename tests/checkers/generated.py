"""Histories made by Hypothesis: right ones, made by a model, and the same with one or two answers changed."""

from typing import Any

from hypothesis import strategies as st

from raftkv.checkers import CasRegister, KvAppend, Model, MvccKv, Operation, Outcome
from raftkv.checkers.mvcc_kv import apply

KEYS = st.sampled_from(["a", "b"])
VALUES = st.integers(0, 2)
SIMPLE = st.one_of(
    st.tuples(st.just("get"), KEYS),
    st.tuples(st.just("put"), KEYS, VALUES),
    st.tuples(st.just("delete"), KEYS),
)
BRANCH = st.lists(SIMPLE, max_size=2, unique_by=lambda one: one[1]).map(tuple)
COMPARES = st.lists(
    st.tuples(KEYS, st.sampled_from([0, 0, 2, 3])), min_size=1, max_size=2, unique_by=lambda one: one[0]
).map(tuple)
TXN = st.tuples(st.just("txn"), COMPARES, BRANCH, BRANCH)
REQUESTS = {
    "mvcc-kv": st.one_of(SIMPLE, SIMPLE, TXN),
    "cas-register": st.one_of(
        st.tuples(st.just("read"), KEYS),
        st.tuples(st.just("write"), KEYS, VALUES),
        st.tuples(st.just("cas"), KEYS, VALUES, VALUES),
    ),
    "kv-append": st.one_of(
        st.tuples(st.just("get"), KEYS),
        st.tuples(st.just("put"), KEYS, VALUES.map(str)),
        st.tuples(st.just("append"), KEYS, VALUES.map(str)),
    ),
}
LAGS = st.sampled_from([0, 0, 1, 2, 5, 9, 14])
"""Time from a call to the moment of its effect, or from there to the answer; moments are 4 apart."""
MODELS: dict[str, Model] = {"mvcc-kv": MvccKv(), "cas-register": CasRegister(), "kv-append": KvAppend()}


class Store:
    """Runs requests one at a time and answers them: what a right system does inside."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.keys: dict[Any, Any] = {}
        self.revision = 1

    def do(self, request: tuple[Any, ...]) -> Any:
        if self.name == "mvcc-kv":
            changes, result = apply(self.keys.get, self.revision + 1, request)
            self.keys.update(changes)
            self.revision += bool(changes)
            return self.revision, result
        name, key, *arguments = request
        empty = "" if self.name == "kv-append" else None
        held = self.keys.get(key, empty)
        if name in ("write", "put"):
            self.keys[key] = arguments[0]
        elif name == "append":
            self.keys[key] = held + arguments[0]
        elif name == "cas":
            if held == arguments[0]:
                self.keys[key] = arguments[1]
            return held == arguments[0]
        return held if name in ("read", "get") else None


@st.composite
def histories(draw: st.DrawFn, name: str, most: int = 6) -> list[Operation]:
    """Draw a history of a model: every operation takes effect at one moment of its own, or is unanswered."""
    store, history = Store(name), []
    for number in range(draw(st.integers(1, most))):
        request = draw(REQUESTS[name])
        moment, before, after = 4 * number, draw(LAGS), draw(LAGS)
        fate = draw(st.sampled_from([*["ok"] * 6, "lost", "unanswered", "failed"]))
        output = store.do(request) if fate in ("ok", "unanswered") else None
        outcome = {"ok": Outcome.OK, "failed": Outcome.FAIL}.get(fate, Outcome.UNKNOWN)
        returned = None if outcome is Outcome.UNKNOWN else moment + after
        output = output if outcome is Outcome.OK else None
        history.append(Operation(number, moment - before, returned, request, output, outcome))
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 3]))):
        place = draw(st.integers(0, len(history) - 1))
        history[place] = draw(changed(name, history[place], history))
    return draw(st.permutations(history))


@st.composite
def changed(draw: st.DrawFn, name: str, operation: Operation, history: list[Operation]) -> Operation:
    """Draw the operation with another answer, such as one that an equal request got, or at another time."""
    if operation.outcome is not Outcome.OK:
        return operation._replace(outcome=draw(st.sampled_from([Outcome.FAIL, Outcome.UNKNOWN])))
    answers = [
        other.output
        for other in history
        if other.outcome is Outcome.OK and other.input[0] == operation.input[0] != "txn"
    ]
    choices = ["time", "unanswered", "failed", *["answer"] * (4 if answers else 0)]
    if name == "mvcc-kv":
        choices += ["revision", "revision"]
    kind = draw(st.sampled_from(choices))
    if kind == "time":
        call = draw(st.integers(-10, 30))
        return operation._replace(call=call, returned=call + draw(st.integers(0, 10)))
    if kind == "answer":
        return operation._replace(output=draw(st.sampled_from(answers)))
    if kind == "revision":
        output: Any = operation.output
        return operation._replace(output=(max(1, output[0] + draw(st.integers(-1, 1))), output[1]))
    lost = Outcome.UNKNOWN if kind == "unanswered" else Outcome.FAIL
    return operation._replace(outcome=lost, output=None)
