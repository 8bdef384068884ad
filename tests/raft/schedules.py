"""Random schedules as scenarios.

Numbers choose among what is possible now, so that every list of numbers is a schedule, and a shorter
list is a simpler one. What was done is kept as the commands of ``story``.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from raftkv.raft import EntryKind, make_core
from tests.raft.describe import name
from tests.raft.group import CoreMaker, Group
from tests.raft.story import Story


class Choice(NamedTuple):
    """One step of a schedule: what kind of thing happens, to whom, and a detail."""

    kind: int
    who: int
    detail: int


class Schedule:
    """Carries out choices on a fresh cluster; ``commands`` is the story so far."""

    def __init__(self, size: int, *, slow_disks: bool, make: CoreMaker = make_core, seed: int = 0) -> None:
        self.story = Story(make, silent=True)
        self.commands: list[str] = []
        self.proposed = 0
        self.do(f"cluster {size}{' slow disks' if slow_disks else ''} chance {seed}")

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

    def running(self, who: int) -> str | None:
        """Return one of the members that are up."""
        nodes = self.group.running()
        return name(nodes[who % len(nodes)]) if nodes else None

    def settle(self) -> None:
        """End all faults and check that the group comes to one leader and goes on (liveness)."""
        self.do("heal")
        for node in self.group.voters:
            if node not in self.group.running():
                self.do(f"restart {name(node)}")
        for _ in range(40):
            self.do("tick all 5")
            self.do("stabilize")
            if len(self.group.leaders()) == 1:
                break
        self._check_progress()

    def _check_progress(self) -> None:
        members = self.group.members
        self.do("tick all 1")
        self.do("stabilize")
        assert len(self.group.leaders()) == 1, f"leaders {self.group.leaders()}"
        for node in members:
            self.do(f"propose {name(node)} last{node}")
            self.do("stabilize")
            self.do(f"read {name(node)}")
            self.do("stabilize")
        applied = [member.applied for member in members.values()]
        fresh = [entry.data for entry in applied[0][-len(members) :] if entry.kind == EntryKind.COMMAND]
        assert fresh == [b"last%d" % node for node in members], f"the last entries are {fresh}"
        assert all(one == applied[0] for one in applied), "the members applied different entries"
        for node, member in members.items():
            assert member.reads and member.reads[-1].index >= len(applied[0]) - len(members) + node, node

    def as_story(self) -> str:
        """Return the schedule as a scenario."""
        return "\n".join(self.commands)


# ---------------------------------------------------------------- what may happen

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
    return "deliver"


def drop(schedule: Schedule, who: int, detail: int) -> str | None:
    """A message is lost."""
    return _on_link("drop", schedule, who, detail)


def duplicate(schedule: Schedule, who: int, detail: int) -> str | None:
    """A message is copied."""
    return _on_link("duplicate", schedule, who, detail)


def persist(schedule: Schedule, who: int, detail: int) -> str | None:
    """Some, or all, of a member's writes become durable."""
    nodes = [node for node in schedule.group.running() if schedule.group.members[node].writes]
    if not nodes:
        return None
    node = nodes[who % len(nodes)]
    count = detail % (len(schedule.group.members[node].writes) + 1)
    return f"persist {name(node)} {count}" if count else f"persist {name(node)}"


def tick(schedule: Schedule, who: int, detail: int) -> str | None:
    """Time passes somewhere, mostly little."""
    node = schedule.running(who)
    return f"tick {node} {(1, 1, 2, 10)[detail % 4]}" if node else None


def timeout(schedule: Schedule, who: int, detail: int) -> str | None:
    """A member that does not lead hears nobody for too long."""
    led = schedule.group.leaders()
    nodes = [node for node in schedule.group.running() if node not in led]
    return f"timeout {name(nodes[who % len(nodes)])}" if nodes else None


def propose(schedule: Schedule, who: int, detail: int) -> str | None:
    """A client writes."""
    node = schedule.running(who)
    schedule.proposed += 1
    return f"propose {node} c{schedule.proposed}" if node else None


def read(schedule: Schedule, who: int, detail: int) -> str | None:
    """A client reads."""
    node = schedule.running(who)
    return f"read {node}" if node else None


def crash_or_restart(schedule: Schedule, who: int, detail: int) -> str | None:
    """A member dies with some of its writes, or comes back."""
    node = schedule.group.voters[who % len(schedule.group.voters)]
    if schedule.group.members[node].core is None:
        return f"restart {name(node)}"
    return f"crash {name(node)} keeping {detail % (len(schedule.group.members[node].writes) + 1)}"


def restart_at_once(schedule: Schedule, who: int, detail: int) -> str | None:
    """A member that is down comes back."""
    down = [node for node in schedule.group.voters if schedule.group.members[node].core is None]
    return f"restart {name(down[who % len(down)])}" if down else None


def partition_or_heal(schedule: Schedule, who: int, detail: int) -> str | None:
    """The network falls in two, loses one direction, or is whole again."""
    group = schedule.group
    if group.cut or len(group.voters) == 1:
        return "heal"
    one = 1 + who % len(group.voters)
    other = 1 + (one + detail % (len(group.voters) - 1)) % len(group.voters)
    if detail % 3 == 0 and one != other:
        return f"cut {name(one)}->{name(other)}"
    side = {one, other} if len(group.voters) > 3 and detail % 3 == 1 else {one}
    rest = " ".join(name(node) for node in group.voters if node not in side)
    return f"partition {' '.join(name(node) for node in sorted(side))} | {rest}"


def hint(schedule: Schedule, who: int, detail: int) -> str | None:
    """A transport tells something about a peer."""
    node = schedule.running(who)
    peer = name(schedule.group.voters[detail % len(schedule.group.voters)])
    return f"{('unreachable', 'connected')[detail % 2]} {node} {peer}" if node and node != peer else None


def _link(schedule: Schedule, who: int) -> str | None:
    links = schedule.group.under_way()
    if not links:
        return None
    source, target = links[who % len(links)]
    return f"{name(source)}->{name(target)}"


def _on_link(verb: str, schedule: Schedule, who: int, detail: int) -> str | None:
    links = schedule.group.under_way()
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
    hint: 2,
}
KINDS: tuple[Kind, ...] = tuple(kind for kind, weight in WEIGHTS.items() for _ in range(weight))


def random_choices(rng: Random, length: int) -> Iterator[Choice]:
    """Return ``length`` choices by chance."""
    for _ in range(length):
        bits = rng.getrandbits(32)
        yield Choice(bits % 997, (bits >> 10) % 61, (bits >> 20) % 59)


def play(schedule: Schedule, choices: Sequence[Choice] | Iterator[Choice]) -> None:
    """Carry out all choices, then heal everything and demand progress."""
    schedule.do("timeout n1")
    for choice in choices:
        schedule.choose(choice)
    schedule.settle()
