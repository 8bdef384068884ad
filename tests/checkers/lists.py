"""Histories of list transactions, written in words, made by Hypothesis, and judged by trying all orders."""

from typing import Any

from hypothesis import strategies as st

from raftkv.checkers import Operation, Outcome

Steps = tuple[tuple[str, str, Any], ...]


def txns(*lines: str) -> list[Operation]:
    """Read lines ``PROCESS CALL-RETURNED STEP...`` with steps ``x+1`` (append) and ``x=1,2`` (read).

    RETURNED is ``?`` for an unknown outcome and ``!`` for a failure.
    """
    return [_txn(*line.split()) for line in lines]


def _txn(process: str, times: str, *words: str) -> Operation:
    call, _, returned = times.partition("-")
    outcome = {"?": Outcome.UNKNOWN, "!": Outcome.FAIL}.get(returned, Outcome.OK)
    steps = tuple(_step(word) for word in words)
    asked = tuple((name, key, value if name == "append" else None) for name, key, value in steps)
    end = None if outcome is Outcome.UNKNOWN else int(call) + 1 if outcome is Outcome.FAIL else int(returned)
    output = steps if outcome is Outcome.OK else None
    return Operation(int(process), int(call), end, ("txn", asked), output, outcome)


def _step(word: str) -> tuple[str, str, Any]:
    if "+" in word:
        key, _, element = word.partition("+")
        return ("append", key, int(element))
    key, _, elements = word.partition("=")
    return ("r", key, tuple(int(one) for one in elements.split(",") if one))


KEYS = ("x", "y")
STEPS = st.lists(st.tuples(st.sampled_from(["append", "r"]), st.sampled_from(KEYS)), min_size=1, max_size=3)
LAGS = st.sampled_from([0, 0, 1, 2, 5, 9, 14])
FATES = ["ok"] * 6 + ["lost", "unanswered", "failed"]


@st.composite
def executions(draw: st.DrawFn, most: int = 6) -> list[Operation]:
    """Draw what a right system answers: one transaction after the other, some answers lost or late.

    The last one reads everything. Clients that have their answer may go on.
    """
    lists: dict[str, tuple[int, ...]] = dict.fromkeys(KEYS, ())
    history: list[Operation] = []
    element = 0
    for number in range(draw(st.integers(1, most))):
        asked = []
        for name, key in draw(STEPS):
            element += 1
            asked.append((name, key, element if name == "append" else None))
        moment, before, after = 4 * number, draw(LAGS), draw(LAGS)
        fate = draw(st.sampled_from(FATES))
        output = apply(lists, tuple(asked)) if fate in ("ok", "unanswered") else None
        outcome = {"ok": Outcome.OK, "failed": Outcome.FAIL}.get(fate, Outcome.UNKNOWN)
        returned = None if outcome is Outcome.UNKNOWN else moment + after
        process = _free_process(history, moment - before) if draw(st.booleans()) else number
        history.append(
            Operation(
                process,
                moment - before,
                returned,
                ("txn", tuple(asked)),
                output if outcome is Outcome.OK else None,
                outcome,
            )
        )
    asked = [("r", key, None) for key in KEYS]
    moment = 4 * len(history) + 20
    history.append(Operation(99, moment, moment + 1, ("txn", tuple(asked)), apply(lists, tuple(asked))))
    return history


def _free_process(history: list[Operation], call: float) -> int:
    """Return the process of an operation that was over before, if one has not gone on; else a new one."""
    last = {one.process: one for one in history}
    busy = [one.process for one in history if one.returned is None or one.returned >= call]
    return next((one for one in last if one not in busy), len(history))


def apply(lists: dict[str, tuple[int, ...]], asked: Steps) -> Steps:
    """Do a transaction and return what it is answered."""
    told = []
    for name, key, element in asked:
        if name == "append":
            lists[key] = (*lists[key], element)
        told.append((name, key, element if name == "append" else lists[key]))
    return tuple(told)


@st.composite
def changed_executions(draw: st.DrawFn, most: int = 5) -> list[Operation]:
    """Draw an execution, mostly with answers, times or outcomes changed, so that it may be wrong."""
    history = draw(executions(most))
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 3]))):
        place = draw(st.integers(0, len(history) - 1))
        history[place] = draw(_changed(history[place], place))
    return draw(st.permutations(history))


@st.composite
def _changed(draw: st.DrawFn, operation: Operation, place: int) -> Operation:
    if operation.outcome is not Outcome.OK:
        return operation._replace(outcome=draw(st.sampled_from([Outcome.FAIL, Outcome.UNKNOWN])))
    kind = draw(st.sampled_from(["time", "lost", "read", "read", "read"]))
    if kind == "time":
        call = draw(st.integers(-10, 30))
        process = 100 + place  # its client's other operations may be elsewhere
        return operation._replace(process=process, call=call, returned=call + draw(st.integers(0, 10)))
    if kind == "lost":
        outcome = draw(st.sampled_from([Outcome.FAIL, Outcome.UNKNOWN]))
        return operation._replace(outcome=outcome, output=None)
    told: Any = operation.output
    steps = list(told)
    reads = [place for place, (name, _, _) in enumerate(steps) if name == "r"]
    if reads:
        place = draw(st.sampled_from(reads))
        name, key, elements = steps[place]
        steps[place] = (name, key, draw(_other_list(elements)))
    return operation._replace(output=tuple(steps))


def _other_list(elements: tuple[int, ...]) -> st.SearchStrategy[tuple[int, ...]]:
    """Return lists much like one: cut, with its elements in another order, or one of them twice."""
    cut = st.integers(0, len(elements)).map(lambda length: elements[:length])
    if not elements:
        return st.just((1,))
    return st.one_of(cut, cut, st.permutations(elements).map(tuple), st.just((*elements, elements[0])))


def has_order(history: list[Operation], *, strict: bool) -> bool:
    """Tell whether an order of all transactions gives their answers; with ``strict`` real time allows it."""
    left = [one for one in history if one.outcome is not Outcome.FAIL]
    return _extends(dict.fromkeys(KEYS, ()), left, strict=strict)


def _extends(lists: dict[str, tuple[int, ...]], left: list[Operation], *, strict: bool) -> bool:
    returns = [op.returned for op in left if op.outcome is Outcome.OK and op.returned is not None]
    if not returns:
        return True
    for number, operation in enumerate(left):
        if strict and operation.call > min(returns):
            continue
        after = dict(lists)
        told = apply(after, operation.input[1])
        if operation.outcome is Outcome.OK and told != operation.output:
            continue
        if _extends(after, left[:number] + left[number + 1 :], strict=strict):
            return True
    return False
