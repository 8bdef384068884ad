"""Lets the faults of a scenario happen, and its clients ask."""

import asyncio
from collections.abc import Callable
from functools import partial

from raftkv.checkers.history import Outcome
from raftkv.errors import ConfigError, RaftKvError, StorageError
from raftkv.mvcc.membership import MemberInfo
from raftkv.raft import ChangeKind, Role
from raftkv.raft.quorum import is_majority
from raftkv.sim.members import LOG, SNAPSHOTS, Member, peer_url
from raftkv.sim.scenario import Fault, Operation, conditions_in, member_number, parse_links
from raftkv.sim.world import World
from raftkv.workloads.kv import Session

CLIENT_PATIENCE = 3.0
"""Seconds after which a client gives a request up."""

MIN_ROTTEN_BYTES = 4096
"""A shorter file is left alone: damage to what was written last can't be told from a torn write."""


class Driver:
    """Plays one scenario in one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._active = 0
        self._active_since = 0.0
        self._counting = True
        self._down: dict[int, None] = {}
        self.fault_seconds = 0.0
        self.sessions: dict[str, Session] = {}
        self.serving: Callable[[], list[Member]] | None = None
        self._verbs: dict[str, Callable[[Fault], None]] = {
            "crash": self._crash,
            "kill": self._kill,
            "start": self._start,
            "pause": self._pause,
            "cut": self._cut,
            "weather": self._weather,
            "slow-disk": self._slow_disk,
            "full-disk": self._full_disk,
            "disk-error": self._disk_error,
            "rot": self._rot,
            "drift": self._drift,
            "jump": self._jump,
            "transfer": self._transfer,
            "snapshot": self._snapshot,
            "add": self._add,
            "promote": self._promote,
            "remove": self._remove,
        }

    def check(self, faults: tuple[Fault, ...]) -> None:
        """Raise ConfigError for a fault that does not exist."""
        for fault in faults:
            if fault.kind not in self._verbs:
                raise ConfigError(f"there is no fault {fault.kind!r}; there are {', '.join(self._verbs)}")

    def let_happen(self, fault: Fault) -> None:
        """Do what a fault says, now."""
        self._world.note(f"{fault.kind} {fault.words} {fault.seconds}")
        self._world.marks[f"fault {fault.kind}"] += 1
        self._world.watcher.fault(self._world.loop.now, fault.kind, fault.words, fault.seconds)
        self._verbs[fault.kind](fault)

    def _lasting(self, fault: Fault, end: Callable[[], None]) -> None:
        """Let ``end`` happen when the fault's time is over."""
        self._began()

        def over() -> None:
            self._ended()
            end()

        if fault.seconds:
            self._world.loop.call_later(fault.seconds, over)

    def _began(self) -> None:
        if self._active == 0:
            self._active_since = self._world.loop.now
        self._active += 1

    def _ended(self) -> None:
        self._active -= 1
        if self._active == 0:
            self._count()

    def _count(self) -> None:
        if self._counting:
            self.fault_seconds += self._world.loop.now - self._active_since

    def stop_counting(self) -> None:
        """Take note that the safety phase is over: ``fault_seconds`` is how long a fault was active in it."""
        if self._active:
            self._count()
        self._counting = False

    def _goes_down(self, member: Member) -> None:
        if member.number not in self._down:
            self._down[member.number] = None
            self._began()

    def _member(self, fault: Fault) -> Member:
        number = member_number(fault.words[0])
        if number not in self._world.members:
            raise ConfigError(f"{fault.words[0]} is no member yet")
        return self._world.members[number]

    # ---------------------------------------------------------------- processes

    def _crash(self, fault: Fault) -> None:
        member = self._member(fault)
        if member.running is not None:
            self._goes_down(member)
        self._world.crash(member, fault.words[1])

    def _kill(self, fault: Fault) -> None:
        member = self._member(fault)
        if member.running is not None:
            self._goes_down(member)
        self._world.crash(member, "")

    def _start(self, fault: Fault) -> None:
        member = self._member(fault)
        if member.number in self._down:
            del self._down[member.number]
            self._ended()
        self._world.start(member)

    def _pause(self, fault: Fault) -> None:
        member = self._member(fault)
        running = member.running
        if running is None or running.incarnation.paused:
            return
        incarnation = running.incarnation
        self._world.loop.pause(incarnation)
        self._world.watcher.paused(self._world.loop.now, member.name)

        def resume() -> None:
            self._world.loop.resume(incarnation)
            if member.running is running:
                self._world.watcher.resumed(self._world.loop.now, member.name)

        self._lasting(fault, resume)

    # ---------------------------------------------------------------- the network

    def _cut(self, fault: Fault) -> None:
        links = parse_links(fault.words)
        self._world.network.cut(links)
        self._lasting(fault, lambda: self._world.network.mend(links))

    def _weather(self, fault: Fault) -> None:
        network = self._world.network
        network.conditions = conditions_in(fault.words)

        def calm() -> None:
            network.conditions = self._world.scenario.network

        self._lasting(fault, calm)

    # ---------------------------------------------------------------- disks

    def _slow_disk(self, fault: Fault) -> None:
        member = self._member(fault)
        member.slowness = float(fault.words[1])

        def fast() -> None:
            member.slowness = 1.0

        self._lasting(fault, fast)

    def _full_disk(self, fault: Fault) -> None:
        member = self._member(fault)
        member.disk.fill()
        self._lasting(fault, member.disk.empty)

    def _disk_error(self, fault: Fault) -> None:
        member = self._member(fault)
        if member.running is not None:
            self._goes_down(member)  # at its next sync
            member.disk.fail_next("sync", StorageError(f"{LOG}: sync failed: Input/output error"))

    def _rot(self, fault: Fault) -> None:
        """Flip a bit of a member that is down: in the log well before its end, or in the newest snapshot."""
        member = self._member(fault)
        if member.running is not None or not self._survives(self._world.voters(), without=member.number):
            return
        folder = LOG if fault.words[1] == "wal" else SNAPSHOTS
        suffix = ".wal" if fault.words[1] == "wal" else ".snap"
        names = [name for name in member.disk.names if name.startswith(folder) and name.endswith(suffix)]
        contents = [(name, len(bytes(member.disk.content(name)).rstrip(b"\0"))) for name in sorted(names)]
        used = [(name, size) for name, size in contents if suffix == ".snap" or size >= MIN_ROTTEN_BYTES]
        if not used:
            return
        name, size = used[-1]
        place = self._world.random.randrange(size // 2 if suffix == ".wal" else size)
        member.disk.content(name)[place] ^= 1 << self._world.random.randrange(8)
        member.disk.settle()
        member.rotten = True
        self._world.note(f"rot {name} {place}")

    # ---------------------------------------------------------------- clocks

    def _drift(self, fault: Fault) -> None:
        member = self._member(fault)
        member.drift = float(fault.words[1])
        if member.running is not None:
            member.running.incarnation.set_drift(member.drift, self._world.loop.now)

    def _jump(self, fault: Fault) -> None:
        """Let a member's clock jump ahead, as after a suspension."""
        member = self._member(fault)
        member.offset += float(fault.words[1])
        if member.running is not None:
            member.running.incarnation.offset += float(fault.words[1])

    # ---------------------------------------------------------------- requests of an operator

    def _transfer(self, fault: Fault) -> None:
        target = member_number(fault.words[0])
        for member in self._world.members.values():
            node = member.node
            if node is not None and node.status().role is Role.LEADER:
                try:
                    node.transfer_leadership(target)
                except RaftKvError:
                    continue

    def _snapshot(self, fault: Fault) -> None:
        member = self._member(fault)
        if member.node is not None:
            self._world.run_in(member, member.node.snapshot_now, "snapshot")

    def _add(self, fault: Fault) -> None:
        """Let a new member join: it starts with nothing, as a learner or at once as a voter."""
        number = member_number(fault.words[0])
        if number in self._world.members:
            return
        member = self._world.add_member(number)
        self._world.start(member)
        kind = ChangeKind.ADD_VOTER if "voter" in fault.words else ChangeKind.ADD_LEARNER
        self._change(kind, number)

    def _promote(self, fault: Fault) -> None:
        self._change(ChangeKind.PROMOTE, member_number(fault.words[0]))

    def _remove(self, fault: Fault) -> None:
        """Remove a member, unless what is left could not survive the members that are gone."""
        number = member_number(fault.words[0])
        if self._survives(tuple(one for one in self._world.voters() if one != number)):
            self._change(ChangeKind.REMOVE, number)

    def _survives(self, voters: tuple[int, ...], *, without: int = 0) -> bool:
        """Whether a majority of ``voters`` has a whole disk, also if ``without`` had not."""
        members = self._world.members
        sound = [one for one in voters if not (members[one].gone or members[one].rotten or one == without)]
        return is_majority(voters, sound)

    def _change(self, kind: ChangeKind, number: int) -> None:
        info = MemberInfo(number, "", (peer_url(number),), (), is_learner=kind is ChangeKind.ADD_LEARNER)
        for member in self._world.members.values():
            node = member.node
            if node is not None and node.status().role is Role.LEADER:
                self._world.run_in(member, partial(node.change_members, kind, info), "change")

    # ---------------------------------------------------------------- clients

    async def client(self, name: str, operations: list[Operation]) -> None:
        """Ask one thing after the other, each not before its time.

        After the healing only the members that ``serving`` names are asked: a removed one, say, may be up and
        answer nothing, and what a client still has to ask of it would take its patience each time.
        """
        loop = self._world.loop
        session = self.new_session(name)
        for operation in operations:
            await asyncio.sleep(max(0.0, operation.at - loop.now))
            if self.serving is None or operation.via in [member.name for member in self.serving()]:
                await self.request(session, operation)

    def new_session(self, name: str) -> Session:
        """Begin a client."""
        loop = self._world.loop
        session = self.sessions[name] = Session(int(name[1:]), lambda: loop.now, every=1000)
        return session

    async def request(self, session: Session, operation: Operation) -> bool:
        """Do one request, or give it up; whether it was answered."""
        member = self._world.members.get(member_number(operation.via))
        if member is None:
            return False
        loop, watcher = self._world.loop, self._world.watcher
        begun = loop.now
        number = watcher.asked(begun, operation.client, operation.via, operation.words)
        try:
            async with asyncio.timeout(CLIENT_PATIENCE):
                outcome = await session.run(operation.words, lambda message: self._world.ask(member, message))
        except TimeoutError:
            session.give_up(operation.words, begun)
            self._world.note(f"{operation.client} gave up")
            watcher.answered(loop.now, number, Outcome.UNKNOWN.value, None)
            return False
        self._world.note(f"{operation.client} {operation.words} {outcome.value}")
        written_down = outcome is Outcome.OK and operation.words[0] != "compact"
        answer = session.history[-1].output if written_down else None
        watcher.answered(loop.now, number, outcome.value, answer)
        return outcome is Outcome.OK
