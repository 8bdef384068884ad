"""The systems that can be tested, by name."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

from raftkv.chaos.cluster import Cluster
from raftkv.chaos.external import External
from raftkv.chaos.programs import etcd_program, raftkv_program
from raftkv.errors import ConfigError

SYSTEMS = ("raftkv", "etcd", "external")
SIZES = (3, 5)


def make_system(
    name: str,
    nodes: int,
    folder: Path,
    *,
    seed: int = 0,
    endpoints: Sequence[str] = (),
    flags: Sequence[str] = (),
    orders: bool = True,
) -> Cluster | External:
    """Return a system by name; nothing is started yet.

    ``folder``: the run's, which gets the logs. ``seed``: of what the links draw. ``endpoints``: client URLs
    of an external system. ``flags``: added to the command line of each node. ``orders``: raftkv's nodes take
    orders to have faults of their disks and clocks; without, they are as fast as they can be. Raises
    ``ConfigError``, and ``ChaosError`` when there is no etcd.
    """
    random = Random(f"{seed}:links")  # noqa: S311  chance from a seed is the point
    if name == "external":
        return External(endpoints, random)
    if nodes not in SIZES:
        raise ConfigError(f"a cluster under test has {' or '.join(map(str, SIZES))} nodes, not {nodes}")
    if name == "raftkv":
        return Cluster(raftkv_program(orders=orders), nodes, folder, random, flags)
    if name == "etcd":
        return Cluster(etcd_program(), nodes, folder, random, flags)
    raise ConfigError(f"there is no system {name!r}; choose one of {', '.join(SYSTEMS)}")
