"""A group of cores under a hand-driven network and hand-driven disks: nothing happens by itself.

Each member's ``Ready`` is carried out exactly as a host must: messages at once, ``Write.after`` only once
the Write is durable, committed entries applied in order. A Write becomes durable when ``persist`` says
so (at once with ``instant_disks``); a crash loses what is not. Messages wait in one queue a link until
they are delivered, dropped or copied. After every step all rules of ``raftkv.raft.invariants`` are checked.

A snapshot's file is the list of the entries it stands for, and comes with its InstallSnapshot.

Works with anything that fulfils ``raftkv.raft.Consensus`` and is built like ``make_core``.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from itertools import permutations
from random import Random
from typing import Any, Protocol

from raftkv import trace
from raftkv.errors import MemberRemoved, ProposalDropped
from raftkv.raft import (
    Change,
    Configuration,
    Consensus,
    Entry,
    EntryKind,
    HardState,
    Message,
    Part,
    PeerEvent,
    ReadState,
    Ready,
    Role,
    Snapshot,
    Status,
    Write,
    bootstrap_entry,
    decode_configuration,
    make_core,
)
from raftkv.raft.invariants import Observer
from raftkv.raft.ledger import (
    ChangeProposed,
    Compacted,
    Event,
    Persisted,
    Proposed,
    ReadAsked,
    Received,
    Reported,
    Started,
    Step,
    Ticked,
    TransferAsked,
)
from raftkv.raft.messages import RequestPreVote, RequestVote
from raftkv.trace import Emit, LeaderChanged
from tests.raft.describe import (
    describe_configuration,
    describe_entries,
    describe_event,
    describe_message,
    describe_write,
    name,
)

ELECTION_TICKS = 10
Link = tuple[int, int]
Narrate = Callable[[str], None]


class CoreMaker(Protocol):
    """Builds a core from what the disk held: ``make_core``, or a class of the same signature.

    ``snapshot`` and ``lease_reads`` are passed only where there is something to pass.
    """

    def __call__(
        self,
        node_id: int,
        entries: Sequence[Entry],
        hard_state: HardState,
        /,
        *,
        rng: Random,
        election_ticks: int,
        emit: Emit,
        snapshot: Snapshot | None = ...,
        lease_reads: bool = ...,
    ) -> Consensus: ...


def parts_of(make: CoreMaker) -> frozenset[Part]:
    """Return what the cores that ``make`` builds have; all, if it does not say."""
    parts: frozenset[Part] = getattr(make, "parts", frozenset(Part))
    return parts


class LongestTimeouts(Random):
    """Chance that always draws the longest election time-out, so that a story decides who is first."""

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        return (start if stop is None else stop) - 1

    def random(self) -> float:
        return 1 - 2**-53


class SimulatedDisk:
    """What survives a crash."""

    def __init__(
        self, hard_state: HardState, entries: Sequence[Entry], snapshot: Snapshot | None = None
    ) -> None:
        self.hard_state = hard_state
        self.entries = list(entries)
        self.snapshot = snapshot

    @property
    def base(self) -> int:
        """Index that the snapshot ends at; the entries begin after it."""
        return self.snapshot.index if self.snapshot is not None else 0

    def store(self, write: Write) -> None:
        """Carry out one Write."""
        self.hard_state = write.hard_state or self.hard_state
        if write.snapshot is not None:
            assert write.snapshot.index > self.base, f"{write.snapshot} replaces {self.snapshot}"
            self.snapshot, self.entries = write.snapshot, []
        if write.truncate_from:
            assert write.truncate_from > self.base, f"{write} cuts into {self.snapshot}"
            del self.entries[write.truncate_from - self.base - 1 :]
        for entry in write.entries:
            assert entry.index == self.base + len(self.entries) + 1, f"a gap before {entry}"
            self.entries.append(entry)

    def publish(self, snapshot: Snapshot) -> None:
        """Keep a snapshot of the own state machine, unless a newer one is there already."""
        if snapshot.index > self.base:
            self.entries = [entry for entry in self.entries if entry.index > snapshot.index]
            self.snapshot = snapshot


class Member:
    """One member: its disk, its core while it runs, and what its host has done."""

    def __init__(self, node_id: int, disk: SimulatedDisk) -> None:
        self.node_id = node_id
        self.disk = disk
        self.core: Consensus | None = None
        self.writes: deque[Write] = deque()
        self.applied: list[Entry] = []
        self.reads: list[ReadState] = []
        self.configuration: Configuration | None = None  # the last one its core told of
        self.making: Snapshot | None = None  # taken, and not on disk yet
        self.removed = False  # told so; it never comes back

    def cut(self) -> Snapshot:
        """Return what a snapshot of the state machine stands for now."""
        last = self.applied[-1]
        changes = [entry for entry in self.applied if entry.kind == EntryKind.CONFIGURATION]
        return Snapshot(last.index, last.term, decode_configuration(changes[-1].data)[0])

    @property
    def running(self) -> Consensus:
        """The core; the member must not be down."""
        assert self.core is not None, f"{name(self.node_id)} is down"
        return self.core

    @property
    def status(self) -> Status:
        """The core's status; the member must not be down."""
        return self.running.status()


def figure_log(terms: Sequence[int], voters: Sequence[int]) -> list[Entry]:
    """Return a log as the paper's figures draw it: a row of terms; the first entry is the bootstrap one."""
    assert terms and terms[0] == 1, "every log begins with the bootstrap entry of term 1"
    rest = [
        Entry(term, index, EntryKind.COMMAND, b"%d.%d" % (index, term))
        for index, term in enumerate(terms[1:], 2)
    ]
    return [bootstrap_entry(voters, b""), *rest]


class Group:
    """Members 1..size, their links, and one observer who checks every step."""

    def __init__(
        self,
        size: int,
        *,
        make: CoreMaker = make_core,
        rng: Random | None = None,
        instant_disks: bool = True,
        narrate: Narrate | None = None,
        lease_reads: bool = False,
    ) -> None:
        self.make = make
        self.lease_reads = lease_reads
        self.files: dict[Snapshot, tuple[Entry, ...]] = {}
        self.rng = rng or LongestTimeouts()
        self.instant_disks = instant_disks
        self.narrate = narrate
        self.observer = Observer()
        self.voters = tuple(range(1, size + 1))
        self.links: defaultdict[Link, deque[Message]] = defaultdict(deque)
        self.links |= {(one, other): deque() for one in self.voters for other in self.voters if one != other}
        self.cut: set[Link] = set()
        self.members = {
            node: Member(node, SimulatedDisk(HardState(1, 0, 1), figure_log([1], self.voters)))
            for node in self.voters
        }
        self._last_context = 0
        for node in self.voters:
            self._adopt_disk(node)
            self.restart(node)

    # ---------------------------------------------------------------- members

    def set_log(self, node: int, terms: Sequence[int], hard_state: HardState | None = None) -> None:
        """Let ``node`` start anew with a log made by hand, as if it had always been so."""
        entries = figure_log(terms, self.voters)
        self.members[node].disk = SimulatedDisk(hard_state or HardState(terms[-1], 0, 1), entries)
        self.members[node].core = None
        self._adopt_disk(node)
        self.restart(node)

    def start(self, node: int) -> None:
        """Start a new member with an empty disk; somebody must add it to the cluster."""
        assert node not in self.members, f"{name(node)} is there already"
        self.members[node] = Member(node, SimulatedDisk(HardState(), []))
        self.restart(node)

    def _adopt_disk(self, node: int) -> None:
        disk = self.members[node].disk
        self.observer.ledger.adopt(node, disk.hard_state, disk.entries)

    def crash(self, node: int, kept: int = 0) -> None:
        """Stop a member. Of its Writes under way the first ``kept`` had reached the disk."""
        member = self.members[node]
        for write in list(member.writes)[:kept]:
            member.disk.store(write)
        member.writes.clear()
        member.core = member.making = None
        self.observer.ledger.crashed(node, kept=kept)

    def restart(self, node: int) -> None:
        """Start a member from what its disk holds."""
        member = self.members[node]
        assert member.core is None, f"{name(node)} is running"
        assert not member.removed, f"{name(node)} was removed"
        disk, entries = member.disk, tuple(member.disk.entries)
        member.applied = list(self.files[disk.snapshot]) if disk.snapshot is not None else []
        member.reads.clear()
        options: dict[str, Any] = {"lease_reads": True} if self.lease_reads else {}
        if disk.snapshot is not None:
            options["snapshot"] = disk.snapshot
        member.core = self.make(
            node,
            entries,
            disk.hard_state,
            rng=self.rng,
            election_ticks=ELECTION_TICKS,
            emit=lambda event: self._tell(node, event),
            **options,
        )
        self._carry_out(node, None, Started(disk.hard_state, entries, disk.snapshot), lambda: None)

    def _tell(self, node: int, event: trace.Event) -> None:
        if self.narrate and not (
            isinstance(event, LeaderChanged) and event.leader == node
        ):  # that a leader follows itself is not news
            self.narrate(describe_event(node, event))

    def running(self) -> list[int]:
        """Return the members that are up."""
        return [node for node, member in self.members.items() if member.core is not None]

    def leaders(self) -> list[int]:
        """Return the members that take themselves for the leader."""
        return [node for node in self.running() if self.members[node].status.role is Role.LEADER]

    # ---------------------------------------------------------------- what a host calls

    def tick(self, node: int, count: int = 1) -> None:
        """Let ``count`` heartbeat intervals pass at ``node``."""
        for _ in range(count):
            self._call(node, Ticked(), self.members[node].running.tick)

    def wake(self, node: int, intervals: int) -> None:
        """Let ``node`` go on after a pause of ``intervals``: one tick, which tells how long it was."""
        core = self.members[node].running
        self._call(node, Ticked(intervals), lambda: core.tick(intervals))

    def timeout(self, node: int) -> None:
        """Let time pass at ``node`` until its election timer fires."""
        term = self.members[node].status.term
        for _ in range(4 * ELECTION_TICKS):
            asked = self._call(node, Ticked(), self.members[node].running.tick)
            status = self.members[node].status
            if asked or status.role is Role.LEADER or status.term > term:
                return
        raise AssertionError(f"{name(node)} does not stand for election")

    def propose(self, node: int, data: bytes) -> None:
        """Propose a command at ``node``; raises NoLeader or TooManyRequests."""
        self._call(node, Proposed(data), lambda: self.members[node].running.propose(data))

    def read(self, node: int) -> int:
        """Ask ``node`` for a read index; return the read's context. Raises NoLeader."""
        self._last_context += 1
        context = self._last_context
        self._call(node, ReadAsked(context), lambda: self.members[node].running.read_index(context))
        return context

    def change(self, node: int, change: Change) -> None:
        """Propose a change of the members at ``node``; raises what ``propose_change`` does."""
        core = self.members[node].running
        self._call(node, ChangeProposed(change), lambda: core.propose_change(change, b""))

    def transfer(self, node: int, target: int) -> None:
        """Ask ``node`` to let ``target`` lead; raises what ``transfer_leadership`` does."""
        core = self.members[node].running
        self._call(node, TransferAsked(target), lambda: core.transfer_leadership(target))

    def begin_snapshot(self, node: int) -> None:
        """Let the host take a snapshot of what it has applied; it is not on disk yet."""
        member = self.members[node]
        member.making = member.cut()
        self.files[member.making] = tuple(member.applied)

    def end_snapshot(self, node: int, keep: int = 0) -> None:
        """Let the snapshot reach the disk; the last ``keep`` entries it stands for stay in the log."""
        member = self.members[node]
        snapshot, member.making = member.making, None
        assert snapshot is not None, f"{name(node)} takes no snapshot"
        member.disk.publish(snapshot)
        first = max(1, snapshot.index + 1 - keep)
        core = member.running
        self._call(node, Compacted(snapshot, first), lambda: core.compacted(snapshot, first))

    def snapshot(self, node: int, keep: int = 0) -> None:
        """Let the host take a snapshot, done at once."""
        self.begin_snapshot(node)
        self.end_snapshot(node, keep)

    def report(self, node: int, peer: int, event: PeerEvent) -> None:
        """Give ``node`` a hint of its transport."""
        self._call(node, Reported(peer), lambda: self.members[node].running.report(peer, event))

    def persist(self, node: int, count: int | None = None) -> None:
        """Let the oldest ``count`` Writes (all) of ``node`` become durable, acknowledged together."""
        member = self.members[node]
        done = [member.writes.popleft() for _ in range(len(member.writes) if count is None else count)]
        if not done:
            return
        for write in done:
            member.disk.store(write)
            if write.snapshot is not None:
                member.applied = list(self.files[write.snapshot])
                member.running.applied(write.snapshot.index)
        number = done[-1].number
        after = tuple(message for write in done for message in write.after)
        self._call(node, Persisted(number), lambda: member.running.persisted(number), after)

    # ---------------------------------------------------------------- the network

    def deliver(self, source: int, target: int, position: int = 0) -> None:
        """Deliver the message at ``position`` of a link; one for a member that is down is lost."""
        queue = self.links[source, target]
        message = queue[position]
        del queue[position]
        core = self.members[target].core if target in self.members else None
        if self.narrate:
            self.narrate(describe_message(message) + ("" if core else " (lost)"))
        if core is not None:
            self._call(target, Received(message), lambda: core.step(message))

    def drop(self, source: int, target: int, position: int = 0) -> None:
        """Lose a message."""
        queue = self.links[source, target]
        if self.narrate:
            self.narrate(f"{describe_message(queue[position])} (lost)")
        del queue[position]

    def duplicate(self, source: int, target: int, position: int = 0) -> None:
        """Put a copy of a message at the end of its link."""
        queue = self.links[source, target]
        queue.append(queue[position])

    def partition(self, *sides: Sequence[int]) -> None:
        """Cut every link between members of different sides; what is under way there is lost."""
        side_of = {node: number for number, side in enumerate(sides) for node in side}
        for source, target in permutations(side_of, 2):
            if side_of[source] != side_of[target]:
                self.cut_link(source, target)

    def cut_link(self, source: int, target: int) -> None:
        """Let a link lose everything until ``heal``."""
        self.cut.add((source, target))
        self.links[source, target].clear()

    def heal(self) -> None:
        """Make every link whole again."""
        self.cut.clear()

    def under_way(self) -> list[Link]:
        """Return the links with messages on them."""
        return [link for link, queue in self.links.items() if queue]

    def deliver_round(self) -> None:
        """Deliver every message that is under way now, link by link; answers wait for the next round."""
        for link, count in [(link, len(queue)) for link, queue in self.links.items()]:
            for _ in range(count):
                self.deliver(*link)

    def stabilize(self, rounds: int = 1000) -> None:
        """Persist and deliver until nothing is under way; no time passes."""
        for _ in range(rounds):
            for node in self.running():
                self.persist(node)
            if not self.under_way():
                return
            self.deliver_round()
        raise AssertionError("the group does not come to rest")

    # ---------------------------------------------------------------- one step

    def _call(
        self, node: int, event: Event, call: Callable[[], None], after: tuple[Message, ...] = ()
    ) -> bool:
        """Make one call of a core and carry out its effects; return whether it asked for votes."""
        before = self.members[node].status
        return self._carry_out(node, before, event, call, after)

    def _carry_out(
        self,
        node: int,
        before: Status | None,
        event: Event,
        call: Callable[[], None],
        after: tuple[Message, ...] = (),
    ) -> bool:
        member, refusal = self.members[node], None
        try:
            call()
        except ProposalDropped as error:
            refusal = error
        except MemberRemoved:
            self._leave(member)
            return False
        effects = self._drain(member)
        sent = (*after, *(message for ready in effects for message in ready.messages))
        self._send(sent)
        self.observer.observe(Step(node, before, event, member.status, tuple(effects), sent))
        if refusal is not None:
            raise refusal
        if self.instant_disks:
            self.persist(node)
        written = [message for ready in effects if ready.write for message in ready.write.after]
        return any(isinstance(message, RequestVote | RequestPreVote) for message in (*sent, *written))

    def _leave(self, member: Member) -> None:
        """Stop a member that was told that it is removed, for good."""
        committed = self.observer.ledger.configurations[-1][1]
        assert member.node_id in committed.removed, f"{name(member.node_id)} is not removed"
        self.crash(member.node_id)
        member.removed = True
        if self.narrate:
            self.narrate(f"{name(member.node_id)} was removed and stops")

    def _drain(self, member: Member) -> list[Ready]:
        effects: list[Ready] = []
        while (ready := member.running.ready()) is not None:
            effects.append(ready)
            if ready.write is not None:
                member.writes.append(ready.write)
            member.applied += ready.committed
            member.reads += ready.reads
            if ready.committed:
                member.running.applied(ready.committed[-1].index)
            if self.narrate:
                self._tell_effects(member, ready, self.narrate)
            member.configuration = ready.configuration or member.configuration
        return effects

    def _tell_effects(self, member: Member, ready: Ready, narrate: Narrate) -> None:
        node = member.node_id
        if ready.configuration not in (None, member.configuration) and member.configuration:
            narrate(f"{name(node)} goes by {describe_configuration(ready.configuration)}")
        if ready.write is not None and not self.instant_disks:
            narrate(describe_write(node, ready.write))
        if ready.committed:
            narrate(f"{name(node)} applies {describe_entries(ready.committed)}")
        for context, index in ready.reads:
            narrate(f"{name(node)} may serve read {context} at {index}")

    def _send(self, messages: Sequence[Message]) -> None:
        for message in messages:
            link = message.source, message.target
            if link not in self.cut:
                self.links[link].append(message)
