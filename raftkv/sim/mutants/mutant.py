"""What a mutant is: a bug with a name, which is there as long as its patch is in force."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any, NamedTuple


class Hardness(Enum):
    """How many seeds the median search may take."""

    EASY = 20
    MEDIUM = 500
    HARD = 5000


class Patch:
    """Replaces attributes and puts them back; a mutant is applied through it."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, Any]] = []

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Replace an attribute of a class or module, which must have it itself.

        Raises AttributeError: what the mutant is a mutant of has gone.
        """
        if name not in vars(owner):
            raise AttributeError(f"{owner.__name__} has no {name} of its own to replace")
        self._before.append((owner, name, vars(owner)[name]))
        setattr(owner, name, value)

    def restore(self) -> None:
        """Put everything back, last first."""
        while self._before:
            owner, name, value = self._before.pop()
            setattr(owner, name, value)


class Mutant(NamedTuple):
    """A bug. ``apply`` puts it in; ``caught_by``: what the names of checks that are right to fail begin with.

    ``profile``: how the campaign that has to find it draws; half of the default one's seeds are about other
    things than keys and revisions, and see less of what is wrong. ``remark``: what else its row says.
    """

    id: str
    text: str
    apply: Callable[[Patch], None]
    hardness: Hardness
    caught_by: tuple[str, ...] = ()
    profile: str = "kv"
    remark: str = ""


@contextmanager
def installed(mutant: Mutant) -> Iterator[None]:
    """Have the bug in the program of this process; nothing of it is left at the end."""
    patch = Patch()
    try:
        mutant.apply(patch)
        yield
    finally:
        patch.restore()
