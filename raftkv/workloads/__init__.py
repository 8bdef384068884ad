"""What clients do, in simulations and against real processes, and the check of what they were told."""

from collections.abc import Callable
from random import Random

from raftkv.errors import ConfigError
from raftkv.workloads.kv import KvWorkload
from raftkv.workloads.port import Workload
from raftkv.workloads.register import RegisterWorkload

_WORKLOADS: dict[str, Callable[[int, Random], Workload]] = {
    RegisterWorkload.name: RegisterWorkload.drawn,
    KvWorkload.name: KvWorkload.drawn,
}

NAMES = tuple(_WORKLOADS)
"""The names of all workloads."""


def make(name: str, *, clients: int, random: Random) -> Workload:
    """Make a workload for so many clients. Raises ConfigError.

    ``random`` decides on what is left to chance in what they do: how many keys there are, how long values
    are. The check of what they were told depends on the name alone.
    """
    if name not in _WORKLOADS:
        raise ConfigError(f"there is no workload {name!r}; there are {', '.join(NAMES)}")
    return _WORKLOADS[name](clients, random)
