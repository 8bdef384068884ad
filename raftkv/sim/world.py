"""A simulated world: members, clients, network and time, put together from a scenario.

The world knows what is true: what is cut, who is down and why. Members know only what reaches them.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import aclosing, asynccontextmanager
from hashlib import blake2b
from random import Random
from typing import Any

from raftkv.client.outcome import OutcomeUnknown
from raftkv.errors import (
    FormatTooNew,
    MemberRemoved,
    PeerProtocolError,
    PeerUnavailable,
    RaftKvError,
    SnapshotDamaged,
    StorageCorrupt,
)
from raftkv.node.config import Config
from raftkv.node.node import Node
from raftkv.node.transport import SnapshotChunk
from raftkv.raft import make_core
from raftkv.raft.invariants import RuleViolated
from raftkv.sim.disk import CHANGES, Outcome, SimDisk
from raftkv.sim.loop import Incarnation, SimLoop
from raftkv.sim.members import (
    SIZES,
    Assembly,
    CoreFactory,
    Member,
    Running,
    Sizes,
    is_expected,
    peer_url,
    reasons,
)
from raftkv.sim.network import SimNetwork, SimTransport
from raftkv.sim.scenario import Scenario
from raftkv.sim.services import WAITING, Streamed
from raftkv.sim.stream import Stream
from raftkv.sim.watch import NOBODY, Watcher
from raftkv.trace import Event
from raftkv.workloads.outcomes import NotSent

OUTCOMES = {
    "nothing": Outcome.NOTHING,
    "all": Outcome.ALL,
    "prefix": Outcome.PREFIX,
    "torn": Outcome.TORN,
    "sectors": Outcome.SECTORS,
}

DAMAGE = (StorageCorrupt, SnapshotDamaged, FormatTooNew, PeerProtocolError)
"""What a member may end by only when its disk has rotted: it finds what no correct member writes."""

QUICK = 0.1
"""A change that is not synced takes this share of the quickest sync: others have a turn meanwhile."""

PROGRESS = "700ms"
"""How often watches that want it are told how far they are: often enough for a short run."""

CLIENT_SECONDS = 0.0005
"""How long a request or an answer takes between a client and a member."""


class Broken(Exception):
    """A check failed. ``check`` is its name, ``detail`` what was seen, ``at`` when (None: now)."""

    def __init__(self, check: str, detail: str, at: float | None = None) -> None:
        super().__init__(f"{check}: {detail}")
        self.at = at
        self.check = check
        self.detail = detail


Told = Callable[[float, str, Event], None]
"""Hears of a member's event: time, the member's name, the event."""


class World:
    """The state of one run. Made inside a running ``SimLoop``, by nobody's incarnation."""

    def __init__(
        self,
        scenario: Scenario,
        loop: SimLoop,
        make: CoreFactory = make_core,
        watcher: Watcher = NOBODY,
    ) -> None:
        self.scenario = scenario
        self.loop = loop
        self.watcher = watcher
        self.network = SimNetwork(loop, Random(f"{scenario.seed}:delays"), self._witness, watcher)
        self.network.conditions = scenario.network
        self.network.serve = self._serve_snapshot
        self.network.answer = self._answer
        self.observer = watcher.observer(lambda: loop.now)
        self.members: dict[int, Member] = {}
        self.marks: Counter[str] = Counter()
        self.broken: list[Broken] = []
        self.graveyard: list[Incarnation] = []
        self.listeners: list[Told] = []
        self.on_down: list[Callable[[Member], None]] = []
        self._digest = blake2b(digest_size=16)
        self.random = Random(f"{scenario.seed}:world")
        self._disk_random = Random(f"{scenario.seed}:disks")
        founders = tuple(range(1, scenario.nodes + 1))
        sizes = Sizes.of(scenario.options)
        self._assembly = Assembly(self._config, founders, self.observer, make, sizes)
        for number in founders:
            self.add_member(number)

    @property
    def digest(self) -> str:
        """Stands for all that happened, in order, in hex."""
        return self._digest.hexdigest()

    def note(self, text: str) -> None:
        """Let the digest depend on something that happened."""
        self._digest.update(f"{self.loop.now:.9f} {text}\n".encode())

    def fail(self, check: str, detail: str) -> None:
        """Take note that a check failed."""
        self.broken.append(Broken(check, detail, self.loop.now))

    # ---------------------------------------------------------------- members

    def add_member(self, number: int) -> Member:
        """Make a member that has never been started."""
        member = Member(number, SimDisk(self._disk_random.getrandbits(32)))
        self.members[number] = member
        self._set_disk(member)
        return member

    def start(self, member: Member) -> None:
        """Start a member that is down and can be started."""
        if member.running is not None or member.gone:
            return
        member.starts += 1
        incarnation = Incarnation(member.name, drift=member.drift, offset=member.offset)
        running = member.running = Running(incarnation)
        transport = SimTransport(member.number, self.network)
        seed = f"{self.scenario.seed}:{member.name}:{member.starts}"
        self.note(f"start {member.name}")
        self.watcher.started(self.loop.now, member.name)

        def emit(event: Event) -> None:
            self._told(member, event)

        life = self._assembly.life(member, running, transport, seed, emit)
        task = self.loop.spawn(incarnation, life, "life")
        task.add_done_callback(lambda task: self._ended(member, running, task), context=self.loop.world)

    def crash(self, member: Member, outcome: str) -> None:
        """End a member at once; ``outcome`` says what becomes of what was not synced, "" = it stays."""
        if member.running is None:
            return
        self.note(f"crash {member.name} {outcome}")
        self._going_down(member)
        self.watcher.crashed(self.loop.now, member.name, outcome)
        disk = member.disk
        disk.crash()
        self._bury(member)
        if outcome:
            member.disk = disk.power_loss(OUTCOMES[outcome], self._disk_random.getrandbits(32))
        else:
            member.disk = disk.kill()
        self._set_disk(member)

    def _going_down(self, member: Member) -> None:
        for listener in self.on_down:
            listener(member)

    def _bury(self, member: Member) -> None:
        running, member.running = member.running, None
        assert running is not None, f"{member.name} is not running"
        self.loop.end(running.incarnation)
        self.graveyard.append(running.incarnation)
        self.network.detach(member.number)
        if (record := self.observer.ledger.members.get(member.number)) is not None:
            record.leads = 0  # how much of what was under way reached the disk shows when it starts again
        for answer in list(running.requests):
            if not answer.done():
                answer.set_exception(OutcomeUnknown("the connection is lost"))
        running.requests.clear()

    def _ended(self, member: Member, running: Running, task: "asyncio.Task[Any]") -> None:
        """Note the end of a member that ended by itself."""
        if member.running is not running:
            return
        error = task.exception() if not task.cancelled() else None
        found = reasons(error) if error is not None else []
        self.note(f"end {member.name} {[type(one).__name__ for one in found]}")
        self.watcher.ended(self.loop.now, member.name, found)
        for one in found:
            if not is_expected(one):
                self.fail(check_of(one), f"{member.name}: {type(one).__name__}: {one}")
            elif isinstance(one, DAMAGE) and not member.rotten:
                self.fail("refused start", f"{member.name}, whose disk never rotted: {one}")
        self._going_down(member)
        self._bury(member)
        # What was written is still there; the process is not.
        member.disk = member.disk.kill()
        self._set_disk(member)
        refuses = running.node is None and any(isinstance(one, DAMAGE) for one in found)
        if refuses or any(isinstance(one, MemberRemoved) for one in found):
            member.gone = str(found[0])  # anything else may be over at the next start

    def _set_disk(self, member: Member) -> None:
        disk, random, speed = member.disk, self._disk_random, self.scenario.disk
        span = speed.longest - speed.shortest

        def delay(action: str) -> float:
            if action in ("sync", "sync directory"):
                return (speed.shortest + random.random() * span) * member.slowness
            return speed.shortest * QUICK if action in CHANGES else 0.0

        disk.delay = delay

    def _config(self, name: str) -> Config:
        known = {
            "lease-reads": bool,
            "snapshot-count": int,
            "heartbeat-interval": int,
            "election-timeout": int,
        }
        settings: dict[str, Any] = {}
        for option, value in self.scenario.options.items():
            if option in SIZES:
                continue
            field = option.replace("-", "_")
            settings[field] = value == "true" if known[option] is bool else int(value)
        return Config(
            name=name,
            initial_cluster={name: (peer_url(int(name[1:])),)},
            initial_advertise_peer_urls=(peer_url(int(name[1:])),),
            advertise_client_urls=(f"http://{name}:2379",),
            experimental_watch_progress_notify_interval=PROGRESS,
            max_learners=100,  # how many there are is the scenario's choice
            **settings,
        )

    def voters(self) -> tuple[int, ...]:
        """Return the voters as the committed log has them."""
        ledger = self.observer.ledger
        return ledger.configuration_at(len(ledger.committed)).voters

    def electorates(self, members: Iterable[int]) -> list[tuple[int, ...]]:
        """Return the voters as the committed log has them, and as ``members`` have them in logs beyond it.

        A change is in force where it is appended (thesis §4.1), so one that is not committed counts as well.
        """
        ledger = self.observer.ledger
        found = [self.voters()]
        for number in members:
            if (record := ledger.members.get(number)) is not None:
                end = len(ledger.committed)
                found += [one.voters for index, one in record.configurations if index > end]
        return found

    def removed(self) -> tuple[int, ...]:
        """Return who was removed for good, as the committed log has it."""
        ledger = self.observer.ledger
        return ledger.configuration_at(len(ledger.committed)).removed

    # ---------------------------------------------------------------- clients

    async def ask(self, member: Member, message: Any) -> Any:
        """Carry a request of the API to a member and its answer back.

        Raises NotSent (nobody listens), OutcomeUnknown (the connection is lost) and what the service raises.
        """
        answer: asyncio.Future[Any] = self.loop.create_future()
        self.loop.call_world_at(self.loop.now + CLIENT_SECONDS, self._deliver, member, message, answer)
        return await answer

    def _deliver(self, member: Member, message: Any, answer: "asyncio.Future[Any]") -> None:
        """Let a request arrive; callbacks do what tasks could, as there are so many requests."""
        running = member.running
        if answer.done():
            return
        if running is None or running.services is None:
            answer.set_exception(NotSent(f"{member.name} is down"))
            return

        def back(task: "asyncio.Task[Any]", error: BaseException | None) -> None:
            self.loop.call_world_at(self.loop.now + CLIENT_SECONDS, _pass_on, task, error, answer)

        task = self._begin(running, running.services.serve(message), answer, back)
        if isinstance(message, WAITING):

            def gone(answer: "asyncio.Future[Any]") -> None:
                if answer.cancelled():
                    self.loop.call_world_at(self.loop.now + CLIENT_SECONDS, task.cancel)

            answer.add_done_callback(gone)

    @asynccontextmanager
    async def watch(self, member: Member, request: Streamed) -> AsyncIterator[AsyncIterator[Any]]:
        """Carry a request for a stream to a member and what it brings back, while the context lasts.

        The iterator raises NotSent (nobody listens), OutcomeUnknown (the connection is lost) and what the
        service raises.
        """
        stream = Stream(self.loop, CLIENT_SECONDS)
        self.loop.call_world_at(self.loop.now + CLIENT_SECONDS, self._open_watch, member, request, stream)
        try:
            async with aclosing(stream.responses()) as responses:
                yield responses
        finally:
            stream.over.cancel()

    def _open_watch(self, member: Member, request: Streamed, stream: Stream) -> None:
        running = member.running
        if stream.over.done():
            return
        if running is None or running.services is None:
            stream.over.set_exception(NotSent(f"{member.name} is down"))
            return

        def ended(task: "asyncio.Task[Any]", error: BaseException | None) -> None:
            self.loop.call_world_at(self.loop.now + CLIENT_SECONDS, _pass_on, task, error, stream.over)

        task = self._begin(running, running.services.feed(request, stream.send), stream.over, ended)
        stream.over.add_done_callback(
            lambda over: self.loop.call_world_at(self.loop.now + CLIENT_SECONDS, task.cancel)
        )

    async def _in(self, running: Running, work: Coroutine[Any, Any, Any]) -> Any:
        """Let a member do something and await its end. Raises OutcomeUnknown when the member ends first."""
        answer: asyncio.Future[Any] = self.loop.create_future()
        self._begin(running, work, answer, lambda task, error: _pass_on(task, error, answer))
        try:
            return await answer
        finally:
            running.requests.pop(answer, None)

    def _begin(
        self,
        running: Running,
        work: Coroutine[Any, Any, Any],
        answer: "asyncio.Future[Any]",
        then: Callable[["asyncio.Task[Any]", BaseException | None], None],
    ) -> "asyncio.Task[Any]":
        """Let a member do something, and then ``then``; its end meanwhile is an answer by itself."""
        running.requests[answer] = None
        task = self.loop.spawn(running.incarnation, work, "request")

        def done(task: "asyncio.Task[Any]") -> None:
            running.requests.pop(answer, None)
            running.incarnation.tasks.pop(task, None)
            error = None if task.cancelled() else task.exception()
            if error is not None and not is_expected(error):
                self.fail(check_of(error), f"{running.incarnation.name}: {type(error).__name__}: {error}")
                error = OutcomeUnknown("an own bug")
            then(task, error)

        task.add_done_callback(done, context=self.loop.world)
        return task

    async def _serve_snapshot(self, member: int, index: int, term: int, offset: int) -> SnapshotChunk | None:
        chunk: SnapshotChunk | None = await self._for_peer(
            member, lambda node: node.serve_snapshot(index, term, offset)
        )
        return chunk

    async def _answer(self, member: int, question: bytes) -> bytes:
        answer: bytes = await self._for_peer(member, lambda node: node.answer(question))
        return answer

    async def _for_peer(self, member: int, work: Callable[[Node], Coroutine[Any, Any, Any]]) -> Any:
        """Let a member do something for another one. Raises PeerUnavailable."""
        running = self.members[member].running
        if running is None or running.node is None:
            raise PeerUnavailable(f"member {member} is down")
        try:
            return await self._in(running, work(running.node))
        except OutcomeUnknown as error:
            raise PeerUnavailable(f"member {member} went down") from error

    async def ask_node(self, member: Member, work: Coroutine[Any, Any, Any]) -> Any:
        """Let a member that is up do something and await its end.

        Raises OutcomeUnknown when the member ends first, and what the work raises.
        """
        assert member.running is not None, f"{member.name} is down"
        return await self._in(member.running, work)

    def run_in(self, member: Member, work: Callable[[], Coroutine[Any, Any, Any]], name: str) -> None:
        """Let a member that is up do something of which nobody awaits the end."""
        assert member.running is not None, f"{member.name} is down"
        task = self.loop.spawn(member.running.incarnation, _quietly(work), name)

        def done(task: "asyncio.Task[None]") -> None:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                self.fail(check_of(error), f"{member.name}: {type(error).__name__}: {error}")

        task.add_done_callback(done, context=self.loop.world)

    # ---------------------------------------------------------------- witnesses

    def _witness(self, source: int, target: int, frame: bytes) -> None:
        self._digest.update(b"%d>%d %.9f " % (source, target, self.loop.now) + frame)

    def _told(self, member: Member, event: Event) -> None:
        self.note(f"{member.name} {event!r}")
        self.marks[type(event).__name__] += 1
        self.watcher.happened(self.loop.now, member.name, event)
        for listener in self.listeners:
            listener(self.loop.now, member.name, event)


def check_of(error: BaseException) -> str:
    """Return the name of the check that an unexpected end of a member fails, the same for the same bug."""
    if isinstance(error, RuleViolated):
        return f"rule {error.violation.rule.name}"
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" in {place.tb_frame.f_code.co_qualname}" if place is not None else ""
    return f"{type(error).__name__}{where}"


async def _quietly(work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Await work that may fail by a fault that was put in."""
    try:
        await work()
    except RaftKvError:
        return


def _pass_on(task: "asyncio.Task[Any]", error: BaseException | None, answer: "asyncio.Future[Any]") -> None:
    if answer.done():
        return
    if task.cancelled():
        answer.set_exception(OutcomeUnknown("the member gave the request up"))
    elif error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(task.result())
