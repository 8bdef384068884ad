"""The judge of the checkers: all orders, tried one after the other, as the definition says."""

from typing import Any

from raftkv.checkers import REFUSED, Model, Operation, Outcome


def linearizable(history: list[Operation], model: Model) -> bool:
    """Tell whether each part has an order (Herlihy & Wing: that is enough); for a handful of operations."""
    parts: dict[Any, list[Operation]] = {}
    for operation in history:
        if operation.outcome is not Outcome.FAIL:
            parts.setdefault(model.part(operation), []).append(operation)
    return all(_extends(model.initial, part, model) for part in parts.values())


def _extends(state: Any, left: list[Operation], model: Model) -> bool:
    if all(operation.outcome is Outcome.UNKNOWN for operation in left):
        return True
    deadline = min(op.returned for op in left if op.returned is not None and op.outcome is Outcome.OK)
    for number, operation in enumerate(left):
        if operation.call <= deadline:
            after = model.step(state, operation)
            if after is not REFUSED and _extends(after, left[:number] + left[number + 1 :], model):
                return True
    return False
