"""What a case is made of: requests as data, with marks for what is only known when it runs.

In a path, a body or a header ``@{r}`` stands for the revision of the store when the case began, ``@{r+2}``
for one two later, and ``@{NAME}`` for what an earlier step saved (``@{member}``: the member's id).
"""

from typing import Any, NamedTuple

SHARED = "shared"
"""One pair of single members for all such cases; each case begins without keys."""

FRESH = "fresh"
"""A pair of its own, whose store is empty and was never compacted."""


class Call(NamedTuple):
    """One request, and its whole reply."""

    path: str
    body: str | bytes = ""
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = ()
    saves: tuple[tuple[str, str], ...] = ()
    """Name -> member of the reply's JSON (the first so called) whose value is kept under that name."""


class Open(NamedTuple):
    """Begin a request as ``stream`` on a connection of its own and read ``lines`` of the reply."""

    stream: str
    call: Call
    lines: int = 0
    any_order: bool = False


class Read(NamedTuple):
    """Read ``lines`` more of a stream; ``any_order``: etcd does not say in which order they come."""

    stream: str
    lines: int = 1
    any_order: bool = False


class ReadUntil(NamedTuple):
    """Read lines of a stream up to the one whose normalised text has ``text``."""

    stream: str
    text: str


class End(NamedTuple):
    """Read a stream until the server ends it."""

    stream: str


class Quiet(NamedTuple):
    """See that nothing comes on a stream; only what comes too early is noticed, nothing that is slow."""

    stream: str


class Drop(NamedTuple):
    """Close the connection of a stream, as a client that goes away."""

    stream: str


class Until(NamedTuple):
    """Repeat a request until its normalised reply has (``absent``: lacks) ``text``; only that one counts."""

    call: Call
    text: str
    absent: bool = False


class Restart(NamedTuple):
    """Stop the member and start it again on its data (on a pair of its own only)."""


Step = Call | Open | Read | ReadUntil | End | Quiet | Drop | Until | Restart


class Case(NamedTuple):
    """Some requests in order, and what of ``lines.toml`` they prove."""

    lines: str
    """Names of lines, with a space between two."""

    steps: tuple[Step, ...]
    where: str = SHARED
    flags: tuple[tuple[str, str], ...] = ()
    """Flags of both members, for a pair of its own."""

    differs: str = ""
    """Why raftkv answers otherwise on purpose, at the steps that ``ours`` names."""

    ours: tuple[tuple[int, str], ...] = ()
    """Number of a step, from 0 on, and a part of raftkv's normalised "STATUS BODY" there."""


def case(lines: str, *steps: Step, **more: Any) -> Case:
    return Case(lines, steps, **more)
