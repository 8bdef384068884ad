"""Whether operations could have happened one at a time, in an order real time allows (Herlihy & Wing 1990).

``check`` is the whole interface. It splits a history into independent parts (keys), uses the revisions in
the answers where the model has them (``revisions``), and searches otherwise (``search``). It is pure: the
same history gives the same verdict, in the same number of steps, on every machine.
"""

from collections.abc import Callable, Hashable, Sequence

from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.models import Model
from raftkv.checkers.mvcc_kv import MvccKv
from raftkv.checkers.revisions import check_by_revision
from raftkv.checkers.search import Search
from raftkv.checkers.verdict import Validity, Verdict

MAX_STEPS = 2_000_000
"""Steps for one history unless told otherwise: a second or two."""

FIRST_PORTION = 5_000
"""Steps that each part gets in the first round; each round gives ``GROWTH`` times more."""

GROWTH = 4

Deadline = Callable[[], bool]


def check(
    history: Sequence[Operation],
    model: Model,
    *,
    max_steps: int = MAX_STEPS,
    deadline: Deadline | None = None,
    by_revision: bool = True,
) -> Verdict:
    """Say whether the operations could have happened one at a time, each between its call and its answer.

    The verdict is ``UNKNOWN`` when ``max_steps`` are spent, or when ``deadline``, asked between portions of
    the search, says that the time is up. ``by_revision=False`` leaves the revisions to the search alone,
    which comes to the same verdict more slowly. Operations need not be sorted.
    """
    operations = relevant(history, model)
    if by_revision and isinstance(model, MvccKv):
        verdict = check_by_revision(operations, model, max_steps)
        if verdict is not None:
            return verdict
    parts: dict[Hashable, list[Operation]] = {}
    for operation in operations:
        parts.setdefault(model.part(operation), []).append(operation)
    return _search_in_turns([Search(part, model) for part in parts.values()], max_steps, deadline)


def relevant(history: Sequence[Operation], model: Model) -> list[Operation]:
    """Leave out what can't matter: definite failures, and reads that nobody saw answered."""
    return [
        operation
        for operation in history
        if operation.outcome is Outcome.OK
        or (operation.outcome is Outcome.UNKNOWN and not model.observes(operation))
    ]


def _search_in_turns(searches: list[Search], max_steps: int, deadline: Deadline | None) -> Verdict:
    """Search all parts in turns with growing portions.

    One part that has no order decides, however hard the others are.
    """
    open_searches, portion, left = searches, FIRST_PORTION, max_steps
    while open_searches and left > 0:
        waiting = []
        for search in open_searches:
            if deadline is not None and deadline():
                return Verdict(Validity.UNKNOWN, max_steps - left, "the time is up")
            before = search.steps
            found = search.run(min(portion, left))
            left -= search.steps - before
            if found is False:
                return _contradiction(search, max_steps - left)
            if found is None:
                waiting.append(search)
        open_searches, portion = waiting, portion * GROWTH
    if open_searches:
        return Verdict(Validity.UNKNOWN, max_steps - left, f"no order was found in {max_steps:,} steps")
    return Verdict(Validity.VALID, max_steps - left)


def _contradiction(search: Search, steps: int) -> Verdict:
    placed, refused = search.dead_end()
    reason = "no order of all operations gives these answers"
    return Verdict(Validity.INVALID, steps, reason, placed, refused)
