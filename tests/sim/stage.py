"""A simulated world whose faults a test plays one by one."""

import asyncio
from collections.abc import Callable

from raftkv.raft import Role
from raftkv.sim.driver import Driver
from raftkv.sim.loop import SimLoop, bury
from raftkv.sim.members import Member
from raftkv.sim.scenario import Operation, Scenario, parse_scenario
from raftkv.sim.world import World


class Stage:
    """Members that run, and a driver: ``play`` is one line of a scenario, now."""

    def __init__(self, scenario: Scenario | None = None) -> None:
        self.loop = SimLoop()
        asyncio.set_event_loop(self.loop)
        self.world = World(scenario or Scenario(), self.loop)
        self.driver = Driver(self.world)
        self.workload = self.driver.workload
        for member in list(self.world.members.values()):
            self.world.start(member)

    def close(self) -> None:
        for member in self.world.members.values():
            member.disk.crash()
            if member.running is not None:
                self.loop.end(member.running.incarnation)
                self.world.graveyard.append(member.running.incarnation)
        for incarnation in self.world.graveyard:
            bury(incarnation)
        asyncio.set_event_loop(None)
        self.loop.close()

    def run(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def play(self, *lines: str) -> None:
        for line in lines:
            scenario = parse_scenario(f"# raftkv scenario 1\nat 0 {line}\n")
            for fault in scenario.faults:
                self.driver.let_happen(fault)
            for operation in scenario.operations:
                self.ask(operation)

    def ask(self, operation: Operation) -> bool:
        sessions = self.driver.sessions
        session = sessions.get(operation.client) or self.driver.new_session(operation.client)
        return self.loop.run_until_complete(self.driver.request(session, operation))

    def wait_for(self, condition: Callable[[], object], seconds: float = 10.0) -> None:
        deadline = self.loop.now + seconds
        while not condition():
            assert self.loop.now < deadline, f"not within {seconds} s"
            self.run(0.01)

    def member(self, number: int) -> Member:
        return self.world.members[number]

    def leaders(self) -> list[int]:
        nodes = [(number, member.node) for number, member in self.world.members.items()]
        return [number for number, node in nodes if node is not None and node.status().role is Role.LEADER]

    def leader(self) -> int:
        self.wait_for(self.leaders)
        return self.leaders()[0]
