"""Lets the faults of a scenario happen, and its clients ask."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from raftkv.checkers.history import Outcome
from raftkv.errors import ChangeRefused, ConfigError, LeaderMoving, NotLeader, RaftKvError, StorageError
from raftkv.mvcc.membership import MemberInfo
from raftkv.node.node import Node
from raftkv.raft import ChangeKind, Role
from raftkv.raft.quorum import is_majority
from raftkv.sim.clients import probes_of, workload_of
from raftkv.sim.coups import Coups, links_between
from raftkv.sim.damage import damage, rot
from raftkv.sim.members import LOG, SNAPSHOTS, Member, peer_url
from raftkv.sim.port import SimPort
from raftkv.sim.scenario import Fault, Operation, conditions_in, member_number, milliseconds, parse_links
from raftkv.sim.world import World
from raftkv.storage.snapshots import snapshot_name
from raftkv.workloads.outcomes import WrongAnswer
from raftkv.workloads.port import Client

CLIENT_PATIENCE = (3.0, 3.0, 12.0)
"""Seconds after which a client gives a request up, by turns: some wait until they are told something."""

PROBES = ("c901", "c902")
"""Clients that see at last whether members serve: one writes, one reads."""

WRITING_SECONDS = 0.1
"""How long a crash waits for its victim to write; it may be started again before that."""

WRITING_EVERY = 0.0003

CHANGE_SECONDS = 3.0
"""How long an operator tries to carry a change of the members through."""

CHANGE_EVERY = 0.05
"""Seconds between two attempts."""


class Driver:
    """Plays one scenario in one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.workload = workload_of(world.scenario)
        self.probes = probes_of(self.workload)
        self._active = 0
        self._active_since = 0.0
        self._counting = True
        self._down: dict[int, None] = {}
        self.fault_seconds = 0.0
        self.operations = 0
        self.completed = 0
        self.healed_at: float | None = None
        self._changes: dict[asyncio.Task[None], tuple[ChangeKind, int]] = {}
        self.sessions: dict[str, Client] = {}
        self.prepared: asyncio.Task[bool] | None = None
        self.serving: Callable[[], list[Member]] | None = None
        self._verbs: dict[str, Callable[[Fault], None]] = {
            "crash": self._crash,
            "kill": self._kill,
            "start": self._start,
            "leader-crash": self._leader_crash,
            "leader-cut": self._leader_cut,
            "leader-freeze": self._leader_freeze,
            "coups": self._coups,
            "pause": self._pause,
            "cut": self._cut,
            "weather": self._weather,
            "slow-disk": self._slow_disk,
            "full-disk": self._full_disk,
            "disk-error": self._disk_error,
            "rot": self._rot,
            "damage": self._damage,
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
        until = self._world.loop.now + (WRITING_SECONDS if "writing" in fault.words else 0.0)
        self._crash_writing(member, fault.words[1], until)

    def _crash_writing(self, member: Member, outcome: str, until: float) -> None:
        """Crash a member as soon as something of it is written and not synced."""
        loop = self._world.loop
        if self.healed_at is not None or member.running is None:
            return
        if loop.now < until and not member.disk.is_writing:
            loop.call_later(WRITING_EVERY, self._crash_writing, member, outcome, until)
        else:
            self._goes_down(member)
            self._world.crash(member, outcome)

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

    def _leader(self) -> Member | None:
        """Return who leads now, by the newest term."""
        terms = [(m.node.term, m.number) for m in self._world.members.values() if m.node and leads(m)]
        return self._world.members[max(terms)[1]] if terms else None

    def _leader_crash(self, fault: Fault) -> None:
        """Let whoever leads lose power, and come back."""
        if (member := self._leader()) is not None:
            self._world.crash(member, fault.words[0])
            self._lasting(fault, lambda: self._world.start(member))

    def _leader_cut(self, fault: Fault) -> None:
        """Cut whoever leads off: what it sends (``out``), what it is sent (``in``), or ``both``.

        ``one``: from one other voter only, both ways, as in the *chained* scenario of the Omni-Paxos paper.
        """
        if (member := self._leader()) is None:
            return
        others = [other for other in self._world.members if other != member.number]
        far, way = others, fault.words[0]
        if way == "one":
            voters = [other for other in others if other in self._world.voters()]
            far, way = self._world.random.sample(voters, min(1, len(voters))), "both"
        links = links_between([member.number], far, way)
        self._world.network.cut(links)
        self._lasting(fault, lambda: self._world.network.mend(links))

    def _coups(self, fault: Fault) -> None:
        """Cut each new leader off soon after it begins to lead."""
        longest = milliseconds(fault.words[1])
        coups = Coups(self._world, fault.words[0], longest, lambda: self.healed_at is not None)
        self._lasting(fault, coups.over)

    def _leader_freeze(self, fault: Fault) -> None:
        """Let whoever leads stand still as a suspended machine does: what is sent to it meanwhile is lost."""
        member = self._leader()
        if member is None or member.running is None or member.running.incarnation.paused:
            return
        incarnation, loop = member.running.incarnation, self._world.loop
        links = [(other, member.number) for other in self._world.members if other != member.number]
        self._world.network.cut(links)
        loop.pause(incarnation)

        def thaw() -> None:
            self._world.network.mend(links)
            loop.resume(incarnation)

        self._lasting(fault, thaw)

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
            if self.healed_at is None:  # else the weather is calm for good
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

        def empty() -> None:
            member.disk.empty()  # which may be another one by then: a crash makes a new one

        self._lasting(fault, empty)

    def _disk_error(self, fault: Fault) -> None:
        member = self._member(fault)
        if member.running is not None:
            self._goes_down(member)  # at its next sync
            member.disk.fail_next("sync", StorageError(f"{LOG}: sync failed: Input/output error"))

    def _rot(self, fault: Fault) -> None:
        """Flip a bit of a member that is down: in the log well before its end, or in the newest snapshot."""
        member = self._member(fault)
        if member.running is None and self._may_damage(member):
            self._damaged(member, "rot", rot(member.disk, fault.words[1], self._world.random))

    def _damage(self, fault: Fault) -> None:
        """Damage a file of a member that is down, or the snapshot that one that is up may send to others."""
        member = self._member(fault)
        where, way = fault.words[1:]
        only = ""
        if member.running is not None:
            if where == "wal" or member.node is None or (snapshot := member.node.status().snapshot) is None:
                return
            only = f"{SNAPSHOTS}/{snapshot_name(snapshot)}"
        if self._may_damage(member):
            hit = damage(member.disk, where, way, self._world.random, only)
            self._damaged(member, "damage", hit)

    def _may_damage(self, member: Member) -> bool:
        """Whether a scenario that most members have to survive allows it.

        They have to survive it with the changes that are under way, too: a leader that was paused may append
        one after the loss that the change was not meant for.
        """
        if self._world.scenario.beyond_repair:
            return True
        return self._survives(self.electorates_under_way(), without=member.number)

    def _damaged(self, member: Member, kind: str, hit: str) -> None:
        if hit:
            member.rotten = True
            self._world.note(f"{kind} {hit}")

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
            if member.node is not None and leads(member):
                self._world.run_in(member, partial(_hand_over, member.node, target), "transfer")

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
        """Remove a member, or whoever leads, unless what is left could not survive who is gone."""
        if fault.words[0] != "leader":
            self._change(ChangeKind.REMOVE, member_number(fault.words[0]))
        elif (leader := self._leader()) is not None:
            self._change(ChangeKind.REMOVE, leader.number)

    def _survives(self, further: Iterable[tuple[int, ...]], without: int = 0) -> bool:
        """Whether most of the voters there are, and of ``further`` ones, have a whole disk.

        ``without`` is left out of those.
        """
        members = self._world.members
        sound = [one for one, m in members.items() if not (m.gone or m.rotten or one == without)]
        return all(is_majority(one, sound) for one in [*self._world.electorates(members), *further] if one)

    def _may_go_on(self, until: float) -> bool:
        return self._world.loop.now < until and self.healed_at is None

    def _may_change(self, kind: ChangeKind, number: int) -> bool:
        others = tuple(one for one in self._world.voters() if one != number)
        return self._survives([others if kind is ChangeKind.REMOVE else (*others, number)])

    def electorates_under_way(self) -> list[tuple[int, ...]]:
        """Return the voters as they would be with each change that somebody still asks for.

        One may be on its way in a member that stands still, and be appended when that goes on.
        """
        voters = self._world.voters()
        others = [
            (kind, number, tuple(v for v in voters if v != number)) for kind, number in self._changes.values()
        ]
        return [
            rest if kind is ChangeKind.REMOVE else (*rest, number)
            for kind, number, rest in others
            if kind is not ChangeKind.ADD_LEARNER
        ]

    def _change(self, kind: ChangeKind, number: int) -> None:
        task = self._world.loop.create_task(self._carry_through(kind, number))
        self._changes[task] = kind, number
        task.add_done_callback(self._changes.pop)

    async def _carry_through(self, kind: ChangeKind, number: int) -> None:
        """Ask whoever leads for a change, and again while it is refused, as an operator would."""
        info = MemberInfo(number, "", (peer_url(number),), (), is_learner=kind is ChangeKind.ADD_LEARNER)
        until = self._world.loop.now + CHANGE_SECONDS
        while self._may_go_on(until) and self._may_change(kind, number):
            leaders = [member for member in self._world.members.values() if leads(member)]
            for member in leaders:
                node = member.node
                if node is None or not self._may_go_on(until):
                    continue
                try:
                    await self._world.ask_node(member, node.change_members(kind, info))
                except (ChangeRefused, NotLeader, LeaderMoving):
                    continue
                except RaftKvError:
                    return  # nobody knows whether it was done
                else:
                    return
            await asyncio.sleep(CHANGE_EVERY)

    # ---------------------------------------------------------------- clients

    async def client(self, name: str, operations: list[Operation]) -> None:
        """Ask one thing after the other, each not before its time.

        After the healing only the members that ``serving`` names are asked: a removed one, say, may be up and
        answer nothing, and what a client still has to ask of it would take its patience each time.
        """
        loop = self._world.loop
        if self.prepared is not None and not await asyncio.shield(self.prepared):
            return
        session = self.new_session(name)
        for operation in operations:
            await asyncio.sleep(max(0.0, operation.at - loop.now))
            if not self._is_too_late(operation):
                await self.request(session, operation)

    async def prepare(self) -> bool:
        """Write what has to be there before the clients begin, by way of one member or another.

        Whether that was possible: nobody may serve.
        """
        turn = 0
        while members := self._may_be_asked():
            port = SimPort(self._world, members[turn % len(members)])
            try:
                async with asyncio.timeout(CLIENT_PATIENCE[0]):
                    await self.workload.prepare(port)
            except (RaftKvError, TimeoutError):
                await asyncio.sleep(CHANGE_EVERY)
                turn += 1
            else:
                return True
        return False

    def _may_be_asked(self) -> list[Member]:
        if self.healed_at is None or self.serving is None:
            return list(self._world.members.values())
        return self.serving()

    def _is_too_late(self, operation: Operation) -> bool:
        """Whether nobody asks this any more: after the healing clients don't catch up, and ask who serves."""
        if self.healed_at is None or self.serving is None:
            return False
        return operation.at < self.healed_at or operation.via not in [one.name for one in self.serving()]

    def new_session(self, name: str) -> Client:
        """Begin a client."""
        workload = self.probes if name in PROBES else self.workload
        session = self.sessions[name] = workload.client(int(name[1:]))
        return session

    async def request(self, session: Client, operation: Operation, patience: float = 0.0) -> bool:
        """Do one request, or give it up; whether it was answered. ``patience`` 0: as the client has it."""
        member = self._world.members.get(member_number(operation.via))
        if member is None:
            return False
        patience = patience or CLIENT_PATIENCE[int(operation.client[1:]) % len(CLIENT_PATIENCE)]
        loop, watcher = self._world.loop, self._world.watcher
        begun = loop.now
        self.operations += 1
        number = watcher.asked(begun, operation.client, operation.via, operation.words)
        try:
            async with asyncio.timeout(patience):
                outcome = await session.run(operation.words, SimPort(self._world, member))
        except WrongAnswer as error:
            session.give_up(operation.words, begun)
            self._world.fail("wrong answer", f"{operation.via}: {error}")
            watcher.answered(loop.now, number, "wrong", None)
            return False
        except TimeoutError:
            session.give_up(operation.words, begun)
            self._world.note(f"{operation.client} gave up")
            watcher.answered(loop.now, number, Outcome.UNKNOWN.value, None)
            return False
        except asyncio.CancelledError:
            session.give_up(operation.words, begun)  # the run ends; what is known so far is looked at
            raise
        self._world.note(f"{operation.client} {operation.words} {outcome.value}")
        self.completed += outcome is not Outcome.UNKNOWN
        answer = session.answer() if outcome is Outcome.OK else None
        watcher.answered(loop.now, number, outcome.value, answer)
        return outcome is Outcome.OK


async def _hand_over(node: Node, target: int) -> None:
    node.transfer_leadership(target)


def leads(member: Member) -> bool:
    """Whether a member takes itself for the leader."""
    return member.node is not None and member.node.status().role is Role.LEADER
