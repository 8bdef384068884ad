"""The workload of a scenario, as its words have it."""

from raftkv.sim.scenario import Scenario
from raftkv.workloads.kv import KvWorkload


def workload_of(scenario: Scenario) -> KvWorkload:
    """Make the workload whose clients ask what the scenario says."""
    operations = scenario.operations
    keys = sorted({word for one in operations for word in one.words if word[0] == "k"})
    return KvWorkload(len({one.client for one in operations}), keys=keys, alone=True)
