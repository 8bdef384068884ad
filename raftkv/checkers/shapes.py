"""Shapes of operations and answers, to tell a history from something else before it is checked."""

from typing import Any, NamedTuple, TypeAlias


class Maybe(NamedTuple):
    """A shape, or None."""

    shape: Any


class Many(NamedTuple):
    """A tuple of any length, all of one shape."""

    shape: Any


Shape: TypeAlias = Any
"""A type, a tuple of shapes of just that length, ``Maybe`` or ``Many``."""

Shapes: TypeAlias = dict[str, tuple[tuple[Shape, ...], Shape]]
"""Operation -> the shapes of its arguments and of its answer."""


def fits(value: Any, shape: Shape) -> bool:
    """Tell whether a value has a shape; true is no number here."""
    if isinstance(shape, Maybe):
        return value is None or fits(value, shape.shape)
    if isinstance(shape, Many):
        return type(value) is tuple and all(fits(one, shape.shape) for one in value)
    if isinstance(shape, tuple):
        right = type(value) is tuple and len(value) == len(shape)
        return right and all(fits(one, part) for one, part in zip(value, shape, strict=True))
    return type(value) is shape
