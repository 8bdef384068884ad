"""What a check of a history ends with."""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from raftkv.checkers.history import Operation


class Validity(Enum):
    """The three verdicts. ``UNKNOWN`` means that the budget was spent, and is never a pass."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


class Anomaly(NamedTuple):
    """One thing that must not be: its ``name`` in the field's words (``G-single``, ``lost``, ``ordered``).

    ``text`` says in sentences what was seen, ``operations`` by which ones, in the order of the text.
    """

    name: str
    text: str
    operations: tuple[Operation, ...] = ()


class Verdict(NamedTuple):
    """What was found, and in how many steps.

    For an invalid history: ``reason``, a sentence; of a linearizability check ``placed``, the longest order
    that was found for some of the operations, and ``refused``, those that could have come next and contradict
    it; of the others ``anomalies``, each kind once with its best example.
    """

    validity: Validity
    steps: int
    reason: str = ""
    placed: tuple[Operation, ...] = ()
    refused: tuple[Operation, ...] = ()
    anomalies: tuple[Anomaly, ...] = ()


def one_of_each(anomalies: Iterable[Anomaly], steps: int) -> Verdict:
    """Return the verdict on a history with these anomalies: the first of each name, by name."""
    kept: dict[str, Anomaly] = {}
    for one in anomalies:
        kept.setdefault(one.name, one)
    if not kept:
        return Verdict(Validity.VALID, steps)
    names = sorted(kept)
    return Verdict(Validity.INVALID, steps, ", ".join(names), anomalies=tuple(kept[name] for name in names))
