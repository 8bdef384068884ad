"""What a check of a history ends with."""

from enum import Enum
from typing import NamedTuple

from raftkv.checkers.history import Operation


class Validity(Enum):
    """The three verdicts. ``UNKNOWN`` means that the budget was spent, and is never a pass."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


class Verdict(NamedTuple):
    """What was found, and in how many steps.

    For an invalid history: ``placed``, the longest order that was found for some of the operations,
    ``refused``, those that could have come next and contradict it, and ``reason``, a sentence.
    """

    validity: Validity
    steps: int
    reason: str = ""
    placed: tuple[Operation, ...] = ()
    refused: tuple[Operation, ...] = ()
