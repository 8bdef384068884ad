"""What clients do, in simulations and against real processes, and the check of what they were told."""

from collections.abc import Callable
from functools import partial
from random import Random

from raftkv.errors import ConfigError
from raftkv.workloads.append import AppendWorkload
from raftkv.workloads.bank import BankWorkload
from raftkv.workloads.counter import CounterWorkload
from raftkv.workloads.election import ElectionWorkload
from raftkv.workloads.elements import SetWorkload
from raftkv.workloads.kv import KvWorkload
from raftkv.workloads.lease import LeaseWorkload
from raftkv.workloads.lock import FENCED, UNFENCED, LockWorkload
from raftkv.workloads.mixed import MixedWorkload
from raftkv.workloads.port import Workload
from raftkv.workloads.register import RegisterWorkload
from raftkv.workloads.watch import WatchWorkload

_WORKLOADS: dict[str, Callable[[int, Random], Workload]] = {
    RegisterWorkload.name: RegisterWorkload.drawn,
    AppendWorkload.name: AppendWorkload.drawn,
    SetWorkload.name: SetWorkload.drawn,
    BankWorkload.name: BankWorkload.drawn,
    CounterWorkload.name: CounterWorkload.drawn,
    KvWorkload.name: KvWorkload.drawn,
    WatchWorkload.name: WatchWorkload.drawn,
    LeaseWorkload.name: LeaseWorkload.drawn,
    FENCED: LockWorkload.drawn,
    UNFENCED: partial(LockWorkload.drawn, name=UNFENCED),
    ElectionWorkload.name: ElectionWorkload.drawn,
    MixedWorkload.name: MixedWorkload,
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
