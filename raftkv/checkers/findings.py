"""What a check that is one pass over a history collects, and the verdict it comes to."""

from typing import Any

from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.verdict import Anomaly, Validity, Verdict


class Findings:
    """Anomalies by name: the first of each, and how many there were."""

    def __init__(self) -> None:
        self._first: dict[str, Anomaly] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, text: str, *operations: Operation) -> None:
        """Put an anomaly down."""
        self._first.setdefault(name, Anomaly(name, text, operations))
        self._counts[name] = self._counts.get(name, 0) + 1

    def has(self, name: str) -> bool:
        """Tell whether there was an anomaly of this name."""
        return name in self._first

    def verdict(self, steps: int, note: str = "") -> Verdict:
        """Return the verdict after ``steps``; ``note`` goes behind the reason of an invalid one."""
        if not self._first:
            return Verdict(Validity.VALID, steps)
        counted = (f"{name} ({count} times)" if count > 1 else name for name, count in self._counts.items())
        reason = ", ".join(counted) + (f"; {note}" if note else "")
        return Verdict(Validity.INVALID, steps, reason, anomalies=tuple(self._first.values()))


def shown(text: bytes | None) -> str:
    """Return a key or value for people; None: nothing there."""
    return "nothing" if text is None else text.decode("utf-8", "backslashreplace")


def said(operation: Operation) -> str:
    """Return an operation in words: what was asked for, what was answered, and when."""
    words = " ".join(map(_word, operation.input))
    if operation.outcome is Outcome.UNKNOWN or operation.returned is None:
        return f"{words}, called at {operation.call:.3f} and never answered"
    span = f"from {operation.call:.3f} to {operation.returned:.3f}"
    return f"{words} -> {_word(operation.output)}, {span}"


def output_of(operation: Operation) -> Any:
    """Return the answer of an operation that has one, in the shape of its model."""
    return operation.output


def _word(value: Any) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_word, value)) + ")"
    return shown(value) if isinstance(value, bytes | None) else str(value)
