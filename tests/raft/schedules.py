"""Random schedules as scenarios.

Numbers choose among what is possible now, so that every list of numbers is a schedule, and a shorter
list is a simpler one. What was done is kept as the commands of ``story``.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from raftkv.raft import Configuration, EntryKind, Part, make_core
from raftkv.raft.quorum import is_majority
from tests.raft.describe import name
from tests.raft.group import CoreMaker, Group, Link
from tests.raft.story import Story


class Choice(NamedTuple):
    """One step of a schedule: what kind of thing happens, to whom, and a detail."""

    kind: int
    who: int
    detail: int


class Schedule:
    """Carries out choices on a fresh cluster; ``commands`` is the story so far.

    With ``lease_reads`` time passes for all members alike, but for one tick that a clock may be ahead,
    and for pauses, in which a member does nothing at all.
    """

    def __init__(
        self,
        size: int,
        *,
        slow_disks: bool,
        make: CoreMaker = make_core,
        seed: int = 0,
        lease_reads: bool = False,
        parts: frozenset[Part] = frozenset(Part),
    ) -> None:
        self.story = Story(make, silent=True)
        self.commands: list[str] = []
        self.proposed = 0
        self.lease_reads = lease_reads
        self.parts = parts
        self.clocks: dict[int, int] = {}
        self.now = 0
        self.paused: set[int] = set()
        lease = " lease reads" if lease_reads else ""
        self.do(f"cluster {size}{' slow disks' if slow_disks else ''}{lease} chance {seed}")

    @property
    def group(self) -> Group:
        return self.story.group

    def do(self, command: str) -> None:
        """Carry out a command."""
        self.commands.append(command)
        self.story.tell(command)

    def choose(self, choice: Choice) -> None:
        """Carry out what ``choice`` stands for here; nothing, if that is not possible."""
        command = KINDS[choice.kind % len(KINDS)](self, choice.who, choice.detail)
        if command is not None:
            self.do(command)

    def awake(self) -> list[int]:
        """Return the members that are up and not paused."""
        return [node for node in self.group.running() if node not in self.paused]

    def running(self, who: int) -> str | None:
        """Return one of the members that are up."""
        nodes = self.awake()
        return name(nodes[who % len(nodes)]) if nodes else None

    def leader(self, who: int) -> int | None:
        """Return one of those that take themselves for the leader."""
        nodes = [node for node in self.group.leaders() if node not in self.paused]
        return nodes[who % len(nodes)] if nodes else None

    def down(self) -> list[int]:
        """Return the members that are down and may come back."""
        members = self.group.members.items()
        return [node for node, member in members if member.core is None and not member.removed]

    def pass_interval(self) -> None:
        """Let one interval pass for all who are not paused or a tick ahead."""
        self.now += 1
        for node in self.awake():
            if self.clocks.get(node, 0) < self.now:
                self.clocks[node] = self.now
                self.do(f"tick {name(node)} 1")

    def settle(self) -> None:
        """End all faults and check that the group comes to one leader and goes on (liveness)."""
        self.do("heal")
        for node in sorted(self.paused):
            self.do(f"wake {name(node)} {1 + self.now - self.clocks.get(node, 0)}")
        self.paused.clear()
        for node in self.down():
            self.do(f"restart {name(node)}")
        for _ in range(60):
            self._start_who_is_missing()
            for _ in range(5):
                self.pass_interval()
            self.do("stabilize")
            self._report_lost_snapshots()
            if self._is_at_rest():
                break
        self._check_progress()

    def settle_around(self, detail: int) -> None:
        """Heal all but the links of one member that nobody needs: the others get a leader, and keep it.

        ``detail`` chooses the member and which of its links stay cut, in one direction or both.
        """
        self.do("heal")
        for node in self.down():
            self.do(f"restart {name(node)}")
        self._start_who_is_missing()
        spare = [node for node in self.group.running() if self._can_do_without(node)]
        if not spare:
            return
        outcast = spare[detail % len(spare)]
        for node in self.group.members:
            cut_to, cut_from = ((1, 0), (0, 1), (detail + node & 1, detail + node & 2))[detail % 3]
            if node != outcast and cut_to:
                self.do(f"cut {name(node)}->{name(outcast)}")
            if node != outcast and cut_from:
                self.do(f"cut {name(outcast)}->{name(node)}")
        self._pass_quietly(200)
        before = self._terms_and_commit()
        for node in self.group.leaders():
            self.do(f"propose {name(node)} last")
        self._pass_quietly(60)
        after = self._terms_and_commit()
        assert after[0] == before[0], f"terms {before[0]}, then {after[0]}, around {name(outcast)}"
        assert after[1] > before[1], f"nothing is committed around {name(outcast)}"

    def _can_do_without(self, outcast: int) -> bool:
        """Whether all others are a majority of every configuration that somebody goes by."""
        configurations = [self._configuration(node) for node in self.group.running()]
        return all(
            is_majority(voters, [voter for voter in voters if voter != outcast])
            for voters, *_ in configurations
            if voters
        )

    def _pass_quietly(self, intervals: int) -> None:
        for _ in range(intervals):
            self.pass_interval()
            self.do("stabilize")
            self._start_who_is_missing()

    def _terms_and_commit(self) -> tuple[int, int]:
        statuses = [self.group.members[node].status for node in self.group.running()]
        return max(one.term for one in statuses), max(one.commit_index for one in statuses)

    def _start_who_is_missing(self) -> None:
        """Start members that were added and never came."""
        named = {one for node in self.group.running() for one in self._configuration(node).members}
        for node in sorted(named - self.group.members.keys()):
            self.do(f"start {name(node)}")

    def _report_lost_snapshots(self) -> None:
        """Nothing is under way: a snapshot that a leader waits for was lost, and its transport knows."""
        for node in self.group.leaders():
            for peer, progress in self.group.members[node].status.peers.items():
                if progress.state == "snapshot":
                    self.do(f"failed {name(node)} {name(peer)}")

    def _is_at_rest(self) -> bool:
        leaders = self.group.leaders()
        if len(leaders) != 1:
            return False
        status = self.group.members[leaders[0]].status
        if status.transferee or any(peer.state == "snapshot" for peer in status.peers.values()):
            return False
        return status.configuration_index <= status.commit_index and leaders[0] in status.configuration.voters

    def _configuration(self, node: int) -> Configuration:
        return self.group.members[node].status.configuration

    def _check_progress(self) -> None:
        for _ in range(2):
            self.pass_interval()
            self.do("stabilize")
        assert len(self.group.leaders()) == 1, f"leaders {self.group.leaders()}"
        leader = self.group.leaders()[0]
        takes_forwarded = Part.FORWARDING in self.parts
        proposers = self._configuration(leader).members if takes_forwarded else (leader,)
        for node in proposers:
            self.do(f"propose {name(node)} last{node}")
            self.do("stabilize")
            self.do(f"read {name(node)}")
            self.pass_interval()
            self.do("stabilize")
        self._check_equal(leader, proposers)

    def _check_equal(self, leader: int, proposers: Sequence[int]) -> None:
        """Check that all members hold the same, with the last proposals at its end."""
        members = {node: self.group.members[node] for node in self._configuration(leader).members}
        applied = members[leader].applied
        fresh = [entry.data for entry in applied[-len(proposers) :] if entry.kind == EntryKind.COMMAND]
        assert fresh == [b"last%d" % node for node in proposers], f"the last entries are {fresh}"
        for node, member in members.items():
            assert member.applied == applied, f"{name(node)} applied other entries than {name(leader)}"
        if Part.READ_INDEX in self.parts:
            for position, node in enumerate(proposers, 1):
                reads, index = members[node].reads, len(applied) - len(proposers) + position
                assert reads and reads[-1].index >= index, f"the last read of {name(node)}"

    def as_story(self) -> str:
        """Return the schedule as a scenario."""
        return "\n".join(self.commands)


# ---------------------------------------------------------------- what may happen

MOST_MEMBERS = 7
"""Members that a schedule starts, the removed ones included."""

Kind = Callable[[Schedule, int, int], str | None]


def nothing(schedule: Schedule, who: int, detail: int) -> str | None:
    """Nothing happens: what every step shrinks to."""
    return None


def deliver(schedule: Schedule, who: int, detail: int) -> str | None:
    """The oldest message of a link arrives."""
    link = _link(schedule, who)
    return f"deliver {link}" if link else None


def deliver_later_one(schedule: Schedule, who: int, detail: int) -> str | None:
    """A message overtakes others."""
    return _on_link("deliver", schedule, who, detail)


def deliver_round(schedule: Schedule, who: int, detail: int) -> str | None:
    """All that is under way arrives."""
    return "deliver" if not schedule.paused else None


def drop(schedule: Schedule, who: int, detail: int) -> str | None:
    """A message is lost."""
    return _on_link("drop", schedule, who, detail)


def duplicate(schedule: Schedule, who: int, detail: int) -> str | None:
    """A message is copied."""
    return _on_link("duplicate", schedule, who, detail)


def persist(schedule: Schedule, who: int, detail: int) -> str | None:
    """Some, or all, of a member's writes become durable."""
    nodes = [node for node in schedule.awake() if schedule.group.members[node].writes]
    if not nodes:
        return None
    node = nodes[who % len(nodes)]
    count = detail % (len(schedule.group.members[node].writes) + 1)
    return f"persist {name(node)} {count}" if count else f"persist {name(node)}"


def tick(schedule: Schedule, who: int, detail: int) -> str | None:
    """Time passes somewhere, mostly little."""
    if schedule.lease_reads:
        return _tick_in_step(schedule, who, detail)
    node = schedule.running(who)
    return f"tick {node} {(1, 1, 2, 10)[detail % 4]}" if node else None


def _tick_in_step(schedule: Schedule, who: int, detail: int) -> str | None:
    nodes = [node for node in schedule.awake() if schedule.clocks.get(node, 0) <= schedule.now]
    if nodes and detail % 2:  # one clock is ahead of the others
        node = nodes[who % len(nodes)]
        schedule.clocks[node] = schedule.now + 1
        return f"tick {name(node)} 1"
    for _ in range((1, 2, 4)[detail % 3]):
        schedule.pass_interval()
    return None


def timeout(schedule: Schedule, who: int, detail: int) -> str | None:
    """A member that does not lead hears nobody for too long."""
    if schedule.lease_reads:
        for _ in range(10):
            schedule.pass_interval()
        return None
    led = schedule.group.leaders()
    nodes = [node for node in schedule.group.running() if node not in led and _stands(schedule, node)]
    return f"timeout {name(nodes[who % len(nodes)])}" if nodes else None


def _stands(schedule: Schedule, node: int) -> bool:
    """Whether a member is of its own configuration (one that is being removed may stand as well)."""
    status = schedule.group.members[node].status
    return node in status.configuration.voters


def propose(schedule: Schedule, who: int, detail: int) -> str | None:
    """A client writes."""
    node = schedule.running(who)
    schedule.proposed += 1
    return f"propose {node} c{schedule.proposed}" if node else None


def read(schedule: Schedule, who: int, detail: int) -> str | None:
    """A client reads; where several members lead, mostly at one that does not know of the other."""
    leaders = [node for node in schedule.group.leaders() if node not in schedule.paused]
    if len(leaders) > 1 and detail % 4:
        return f"read {name(min(leaders, key=lambda node: schedule.group.members[node].status.term))}"
    node = schedule.running(who)
    return f"read {node}" if node else None


def crash_or_restart(schedule: Schedule, who: int, detail: int) -> str | None:
    """A member dies with some of its writes, or comes back."""
    nodes = [*schedule.awake(), *schedule.down()]
    if not nodes:
        return None
    node = sorted(nodes)[who % len(nodes)]
    if schedule.group.members[node].core is None:
        return _restart(schedule, node)
    return f"crash {name(node)} keeping {detail % (len(schedule.group.members[node].writes) + 1)}"


def restart_at_once(schedule: Schedule, who: int, detail: int) -> str | None:
    """A member that is down comes back."""
    down = schedule.down()
    return _restart(schedule, down[who % len(down)]) if down else None


def _restart(schedule: Schedule, node: int) -> str:
    schedule.clocks[node] = schedule.now
    return f"restart {name(node)}"


def partition_or_heal(schedule: Schedule, who: int, detail: int) -> str | None:
    """The network falls in two, loses one direction, or is whole again."""
    group, nodes = schedule.group, sorted(schedule.group.members)
    if group.cut or len(nodes) == 1:
        return "heal"
    one = nodes[who % len(nodes)]
    other = nodes[(who + 1 + detail % (len(nodes) - 1)) % len(nodes)]
    if detail % 3 == 0 and one != other:
        return f"cut {name(one)}->{name(other)}"
    side = {one, other} if len(nodes) > 3 and detail % 3 == 1 else {one}
    rest = " ".join(name(node) for node in nodes if node not in side)
    return f"partition {' '.join(name(node) for node in sorted(side))} | {rest}"


def depose_unseen(schedule: Schedule, who: int, detail: int) -> str | None:
    """A leader is cut off and goes on leading, as far as it knows, while the others elect another one."""
    leader = schedule.leader(who)
    if leader is None or schedule.lease_reads:
        return None
    rest = [node for node in schedule.awake() if node != leader and _stands(schedule, node)]
    others = [name(node) for node in schedule.group.members if node != leader]
    if not rest or set(rest) & set(schedule.group.leaders()):
        return None
    schedule.do(f"partition {name(leader)} | {' '.join(others)}")
    for node in rest:
        schedule.do(f"tick {name(node)} 10")
    for _ in range(6):
        for node in rest:
            schedule.do(f"persist {name(node)}")
        schedule.do("deliver")
    return None


def hint(schedule: Schedule, who: int, detail: int) -> str | None:
    """A transport tells something about a peer."""
    node, members = schedule.running(who), list(schedule.group.members)
    peer = name(members[detail % len(members)])
    if node in (None, peer):
        return None
    return f"{('unreachable', 'connected', 'failed')[detail % 3]} {node} {peer}"


def snapshot(schedule: Schedule, who: int, detail: int) -> str | None:
    """A host takes a snapshot, at once or in two steps; some entries it stands for stay in the log."""
    nodes = [node for node in schedule.awake() if schedule.group.members[node].applied]
    if not nodes or Part.SNAPSHOTS not in schedule.parts:
        return None
    node = nodes[who % len(nodes)]
    keeping = f" keeping {(0, 0, 1, 3)[detail % 4]}"
    if schedule.group.members[node].making is not None:
        return f"snapshot {name(node)} ends{keeping}"
    return f"snapshot {name(node)}{' begins' if detail % 5 == 0 else keeping}"


def change(schedule: Schedule, who: int, detail: int) -> str | None:
    """The members of the cluster change: mostly something that makes sense."""
    leader = schedule.leader(who)
    if leader is None or Part.MEMBERSHIP not in schedule.parts:
        return None
    configuration = schedule.group.members[leader].status.configuration
    kind = ("add-learner", "add-voter", "promote", "remove", "remove", "update")[detail % 6]
    if kind.startswith("add"):
        if len(schedule.group.members) >= MOST_MEMBERS:
            return None
        return f"change {name(leader)} {kind} {name(max(schedule.group.members) + (detail % 7 > 0))}"
    members = configuration.learners if kind == "promote" else configuration.members
    return f"change {name(leader)} {kind} {name(members[detail % len(members)])}" if members else None


def start(schedule: Schedule, who: int, detail: int) -> str | None:
    """A member that was added comes up for the first time."""
    named = [one for node in schedule.awake() for one in schedule._configuration(node).members]
    missing = sorted(set(named) - schedule.group.members.keys())
    return f"start {name(missing[0])}" if missing else None


def transfer(schedule: Schedule, who: int, detail: int) -> str | None:
    """Leadership is handed over."""
    leader = schedule.leader(who)
    if leader is None or Part.TRANSFER not in schedule.parts:
        return None
    voters = schedule.group.members[leader].status.configuration.voters
    return f"transfer {name(leader)} {name(voters[detail % len(voters)])}"


def pause_or_wake(schedule: Schedule, who: int, detail: int) -> str | None:
    """A process is stopped, or goes on (only where time passes for all alike)."""
    if not schedule.lease_reads:
        return None
    if schedule.paused:
        node = min(schedule.paused)
        schedule.paused.discard(node)
        intervals = 1 + schedule.now - schedule.clocks.get(node, 0)
        schedule.clocks[node] = schedule.now + 1
        return f"wake {name(node)} {intervals}"
    nodes = schedule.awake()
    if nodes:
        schedule.paused.add(nodes[who % len(nodes)])
    return None


def _links(schedule: Schedule) -> list[Link]:
    return [link for link in schedule.group.under_way() if link[1] not in schedule.paused]


def _link(schedule: Schedule, who: int) -> str | None:
    links = _links(schedule)
    if not links:
        return None
    source, target = links[who % len(links)]
    return f"{name(source)}->{name(target)}"


def _on_link(verb: str, schedule: Schedule, who: int, detail: int) -> str | None:
    links = _links(schedule)
    if not links:
        return None
    source, target = links[who % len(links)]
    position = detail % len(schedule.group.links[source, target])
    return f"{verb} {name(source)}->{name(target)} {position + 1}"


WEIGHTS: dict[Kind, int] = {
    nothing: 1,
    deliver: 36,
    persist: 18,
    propose: 7,
    deliver_round: 4,
    read: 5,
    deliver_later_one: 5,
    duplicate: 3,
    drop: 4,
    tick: 4,
    timeout: 4,
    restart_at_once: 3,
    crash_or_restart: 3,
    partition_or_heal: 2,
    depose_unseen: 2,
    hint: 2,
    snapshot: 4,
    change: 7,
    start: 4,
    transfer: 2,
    pause_or_wake: 2,
}
KINDS: tuple[Kind, ...] = tuple(kind for kind, weight in WEIGHTS.items() for _ in range(weight))


def random_choices(rng: Random, length: int) -> Iterator[Choice]:
    """Return ``length`` choices by chance."""
    for _ in range(length):
        bits = rng.getrandbits(32)
        yield Choice(bits % 997, (bits >> 10) % 61, (bits >> 20) % 59)


def play(schedule: Schedule, choices: Sequence[Choice] | Iterator[Choice]) -> None:
    """Carry out all choices, then heal everything and demand progress."""
    carry_out(schedule, choices)
    schedule.settle()


def play_around(schedule: Schedule, choices: Sequence[Choice] | Iterator[Choice], detail: int) -> None:
    """Carry out all choices, then heal all but the links of one member, and demand that the others go on."""
    carry_out(schedule, choices)
    schedule.settle_around(detail)


def carry_out(schedule: Schedule, choices: Sequence[Choice] | Iterator[Choice]) -> None:
    """Let ``n1`` stand, and carry out all choices."""
    schedule.do("timeout n1")
    for choice in choices:
        schedule.choose(choice)
