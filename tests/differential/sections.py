"""The cases by section, each module with a list ``CASES``."""

from collections.abc import Iterator
from importlib import import_module

from tests.differential.steps import Case

ALL = (
    "kv",
    "txn",
    "txn_rules",
    "lease",
    "lease_requests",
    "compaction",
    "scalars",
    "requests",
    "paths",
    "maintenance",
    "services",
    "members",
    "watch",
    "watch_streams",
    "locks",
    "alone",
)


def named(names: tuple[str, ...] | list[str]) -> Iterator[tuple[str, Case]]:
    """Return the cases of these modules with a name for each."""
    for name in names:
        cases: list[Case] = import_module(f"tests.differential.cases.{name}").CASES
        for number, one in enumerate(cases):
            yield f"{name}-{number}-{one.lines.split()[0]}", one
