"""The workload of a scenario, as its words have it."""

from random import Random

from raftkv.sim.scenario import USUAL_WORKLOAD, Scenario
from raftkv.workloads import make
from raftkv.workloads.kv import KvWorkload
from raftkv.workloads.lease import LONGEST_TTL
from raftkv.workloads.port import Workload

PROBE = "alive"
"""The key that is written at last where the workload is not about such keys."""


def workload_of(scenario: Scenario) -> Workload:
    """Make the workload whose clients ask what the scenario says. Raises ConfigError."""
    operations = scenario.operations
    clients = len({one.client for one in operations})
    if scenario.workload != USUAL_WORKLOAD:
        return make(scenario.workload, clients=clients, random=Random(scenario.seed))
    keys = sorted({word for one in operations for word in one.words if word[0] == "k"})
    return KvWorkload(clients, keys=keys, alone=True)


def probes_of(workload: Workload) -> Workload:
    """Return the workload of the clients that see at last whether members serve."""
    return workload if workload.name == USUAL_WORKLOAD else KvWorkload(2, probe=PROBE, prefix="")


def slack_of(scenario: Scenario) -> float:
    """Return how many seconds too early a lease may end, by the clocks of the scenario.

    It ends by the clock of whoever leads: ahead by its jumps, and by its drift for as long as a lease lasts.
    """
    jumps = sum(float(fault.words[1]) for fault in scenario.faults if fault.kind == "jump")
    rates = [float(fault.words[1]) for fault in scenario.faults if fault.kind == "drift"]
    return jumps + LONGEST_TTL * (1 - 1 / max([1.0, *rates]))
