"""Is there an order in which the operations could have happened one at a time? (Herlihy & Wing 1990)

``check`` is the whole interface. It splits a history into independent parts (keys), uses the revisions in the answers
where the model has them (``revisions``), and searches otherwise (``search``). It is pure: the same
history gives the same verdict, in the same number of steps, on every machine.
"""

from collections.abc import Callable, Hashable, Sequence
from enum import Enum
from typing import NamedTuple

from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.models import Model
from raftkv.checkers.mvcc_kv import MvccKv
from raftkv.checkers.search import Search

MAX_STEPS = 5_000_000
"""Steps for one history unless told otherwise: some seconds, and at most about 1 GB of memory."""

FIRST_PORTION = 5_000
GROWTH = 4


class Validity(Enum):
    """The three verdicts. ``UNKNOWN`` is never a pass."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


class Verdict(NamedTuple):
    """What ``check`` found. ``placed`` and ``refused`` are given for invalid histories."""

    validity: Validity
    steps: int
    reason: str = ""
    placed: tuple[Operation, ...] = ()
    refused: tuple[Operation, ...] = ()


def relevant(operations: Sequence[Operation], model: Model) -> list[Operation]:
    """Leave out what can't matter: definite failures, and reads that nobody saw answered."""
    return [
        operation
        for operation in operations
        if operation.outcome is Outcome.OK
        or (operation.outcome is Outcome.UNKNOWN and not model.observes(operation))
    ]


def check(operations, model, *, max_steps: int = MAX_STEPS, deadline=None) -> Verdict:
    parts: dict[Hashable, list[Operation]] = {}
    for operation in relevant(operations, model):
        parts.setdefault(model.part(operation), []).append(operation)
    searches = [Search(part, model) for part in parts.values()]
    left, portion, steps = max_steps, FIRST_PORTION, 0
    while searches and left > 0:
        still = []
        for s in searches:
            before = s.steps
            r = s.run(min(portion, left))
            steps += s.steps - before
            left -= s.steps - before
            if r is False:
                d = s.dead_end()
                return Verdict(Validity.INVALID, steps, "", d.placed, d.refused)
            if r is None:
                still.append(s)
        searches = still
        portion *= GROWTH
    return Verdict(Validity.UNKNOWN if searches else Validity.VALID, steps)
