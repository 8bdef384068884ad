"""How soon writes go on after the leader was killed, of several systems in turns."""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

from raftkv.chaos.cluster import Cluster
from raftkv.chaos.errors import ChaosError
from raftkv.chaos.http_port import HttpPort
from raftkv.chaos.systems import make_system
from raftkv.errors import RaftKvError
from raftkv.schema.kv import PutRequest

NODES = 3
PATIENCE = 60.0
EVERY_SECONDS = 0.025
"""How often each survivor is asked for a write, whatever became of those before."""

REST_SECONDS = 2.0
"""How long all is well before a kill: without, a lucky vote would be measured."""


class Measured(NamedTuple):
    """The times of one system, in seconds from SIGKILL to the first acknowledged write."""

    system: str
    version: str
    seconds: list[float]
    median: float
    worst: float


async def measure_failover(systems: Sequence[str], runs: int, tell: Callable[[str], None]) -> list[Measured]:
    """Kill the leader of each system in turn, so often; a system's nodes run while another's turn is.

    Raises ``ChaosError`` when a system does not start, or no write is acknowledged within a minute.
    """
    with tempfile.TemporaryDirectory(prefix="raftkv-failover-") as folder:
        async with AsyncExitStack() as stack:
            clusters = []
            for name in systems:
                cluster = make_system(name, NODES, Path(folder, name))
                if not isinstance(cluster, Cluster):
                    raise ChaosError(f"the leader of {name!r} can't be killed")
                stack.push_async_callback(cluster.stop)
                await cluster.start()
                clusters.append(cluster)
            times: dict[str, list[float]] = {cluster.name: [] for cluster in clusters}
            for number in range(runs):
                for cluster in clusters:
                    times[cluster.name].append(await _kill_once(cluster))
                    tell(f"{number + 1}/{runs} {cluster.name}: {times[cluster.name][-1]:.3f} s")
    return [
        Measured(one.name, one.version, times[one.name], median(times[one.name]), max(times[one.name]))
        for one in clusters
    ]


async def _kill_once(cluster: Cluster) -> float:
    """Kill the leader, and return the seconds until a write is acknowledged; then let all run again."""
    leader = await _settled(cluster)
    await asyncio.sleep(REST_SECONDS)
    async with AsyncExitStack() as stack:
        ports = [
            await stack.enter_async_context(HttpPort(cluster.direct_url(name), perf_counter, PATIENCE))
            for name in cluster.nodes
            if name != leader
        ]
        await asyncio.gather(*map(_write, ports))  # connections are made before
        killed = perf_counter()  # the loop's clock may have milliseconds only, and is read once a turn
        killing = asyncio.create_task(cluster.end([leader]))
        try:
            acknowledged = await asyncio.wait_for(_first_write(ports), PATIENCE)
        except TimeoutError:
            raise ChaosError(f"{cluster.name}: no write was acknowledged in {PATIENCE:g} s") from None
        finally:
            await killing
    await cluster.launch(leader)
    return acknowledged - killed


async def _settled(cluster: Cluster) -> str:
    """Wait until all nodes follow one leader, and return it."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while asyncio.get_running_loop().time() < deadline:
        states = await cluster.look()
        leaders = {state.leader for state in states}
        if len(leaders) == 1 and "" not in leaders and all(state.role for state in states):
            return leaders.pop()
        await asyncio.sleep(0.1)
    raise ChaosError(f"{cluster.name}: no leader that all follow")


async def _first_write(ports: Sequence[HttpPort]) -> float:
    """Ask for writes until one is acknowledged; return when."""
    asked: set[asyncio.Task[bool]] = set()
    try:
        while True:
            asked |= {asyncio.create_task(_write(port)) for port in ports}
            done, asked = await asyncio.wait(
                asked, timeout=EVERY_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if any(task.result() for task in done):
                return perf_counter()
            if done:
                await asyncio.sleep(EVERY_SECONDS)
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def _write(port: HttpPort) -> bool:
    try:
        await port.call(PutRequest(key=b"failover", value=b"v"))
    except RaftKvError:
        return False
    return True
