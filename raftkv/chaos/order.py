"""A run as it is ordered on the command line, and how it is carried out."""

import os
import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from raftkv.chaos.cluster import Cluster
from raftkv.chaos.folder import make_folder, write_folder
from raftkv.chaos.record import Record
from raftkv.chaos.report import write_reports
from raftkv.chaos.runner import Clock, Parts, Run, Settings, State
from raftkv.chaos.schedule import Schedule
from raftkv.chaos.systems import make_system
from raftkv.errors import RaftKvError
from raftkv.workloads import make

CLIENTS_A_NODE = 16
FEW_CLIENTS_A_NODE = 2
QUEUEING = frozenset({"lock", "unfenced", "election"})
"""Workloads whose clients all wait for one thing: with many, leases would run out before their turn comes."""


class Order(NamedTuple):
    """What is wanted. ``faults``: all, none, or groups with commas between; ``clients`` 0: as many as fit."""

    system: str
    nodes: int
    workload: str
    faults: str
    seconds: float
    seed: int
    out: Path
    endpoints: Sequence[str] = ()
    through: str = "http"
    clients: int = 0

    def command(self) -> list[str]:
        """Return the words that order the same again."""
        words = ["raftkv", "chaos", "run", "--system", self.system, "--nodes", str(self.nodes)]
        words += ["--workload", self.workload, "--faults", self.faults, "--time", f"{self.seconds:g}s"]
        words += ["--seed", str(self.seed), "--out", str(self.out)]
        if self.through != "http":
            words += ["--through", self.through]
        if self.clients:
            words += ["--clients", str(self.clients)]
        for endpoint in self.endpoints:
            words += ["--endpoints", endpoint]
        return words


async def carry_out(order: Order, tell: Callable[[State], None]) -> Record:
    """Run an order, and write its folder whatever comes of it; what breaks the run is in the record.

    Raises ``ConfigError`` and ``ChaosError`` for what can't be run, before anything is started.
    """
    record = Record(_facts(order))
    run = _prepare(order, record, tell)
    make_folder(order.out)
    try:
        await run.run()
    except RaftKvError as error:
        record.error = record.error or str(error)
    finally:
        write_folder(order.out, record)
        write_reports(order.out, record)
    return record


def _prepare(order: Order, record: Record, tell: Callable[[State], None]) -> Run:
    clock = Clock()
    system = make_system(order.system, order.nodes, order.out, seed=order.seed, endpoints=order.endpoints)
    each = FEW_CLIENTS_A_NODE if order.workload in QUEUEING else CLIENTS_A_NODE
    clients = order.clients or each * len(order.endpoints or range(order.nodes))
    random = Random(f"{order.seed}/{order.workload}")  # noqa: S311
    workload = make(order.workload, clients=clients, random=random)

    def seen() -> int:
        return run.seen()

    faults = Schedule(system, order.faults, order.seed, clock=clock, safe_revision=seen)
    crashes: Callable[[], Sequence[tuple[str, str]]] = (
        (lambda: system.crashes) if isinstance(system, Cluster) else tuple
    )
    record.facts |= {"clients": clients, "kinds": [[kind.name, kind.group] for kind in faults.kinds]}
    parts = Parts(system, workload, faults, clock, tell, crashes)
    run = Run(parts, Settings(order.seconds, order.seed, clients, order.through), record)
    return run


def _facts(order: Order) -> dict[str, Any]:
    return {
        "system": order.system,
        "version": "",
        "nodes": len(order.endpoints) or order.nodes,
        "workload": order.workload,
        "faults": order.faults,
        "seed": order.seed,
        "time": order.seconds,
        "through": order.through,
        "command": order.command(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
    }


def machine() -> str:
    """Say on what this runs, as far as figures depend on it."""
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, "
        f"Python {platform.python_version()}"
    )
