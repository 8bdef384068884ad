"""From a seed to a scenario: which faults, how many, when; which requests.

*Swarm*: each seed draws first which kinds of faults it has at all, many of them off, because all kinds at
once find less than each seed's own mix. Every aspect draws from a stream of its own, so that a change of
one does not reshuffle the others.

The *fault atlas*: members whose disk rots, and members removed for good, are at most a minority; a crash
may lose what was not synced, on all members at once. So a correct cluster survives all of it.

The profile ``beyond`` goes beyond that on purpose: any number of disks is damaged, in any way. A correct
cluster may stand still then, and must not be wrong.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from random import Random

from raftkv.errors import ConfigError
from raftkv.sim.damage import WAYS
from raftkv.sim.network import Conditions
from raftkv.sim.partitions import KINDS
from raftkv.sim.scenario import OFF, SAFETY_END, DiskSpeed, Fault, Heal, Operation, Scenario
from raftkv.workloads import NAMES, make
from raftkv.workloads.kv import SIZES, STYLES, KvWorkload, key_names
from raftkv.workloads.lock import UNFENCED
from raftkv.workloads.mixed import MixedWorkload

OTHERS = (OFF, OFF, "cut", "deaf", "mute")
"""How who is not healed is left to rot."""

WARM_UP_SECONDS = 2.0
"""Before the first fault, so that there is a leader to disturb."""

BLACKOUT = "blackout"
"""The kind of fault that comes once, at the end."""

BLACKOUT_SECONDS = 0.3

BEATS = (0.0, 0.25, 0.5, 0.5)
"""Seconds between the moments at which all clients begin; 0: each begins when it likes."""


DEFAULT_SIZES = {
    "append-entries": ("", "", "", "", "3"),
    "append-bytes": ("", "", "", "", "500"),
    "chunk-bytes": ("", "", "512"),
    "tiny-slices": ("", "", "true"),
}
"""What may be smaller than usual, as options of a scenario; "" = as usual."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How a campaign draws. ``kinds``: chance of each kind of fault to be part of a seed's mix.

    ``pause_seconds`` between two requests of all clients together; the tuples are choices. ``damage``: how
    often disks are damaged beyond repair. ``workloads``: what clients may do.
    """

    name: str
    kinds: dict[str, float]
    clients: tuple[int, ...] = (8, 16, 32, 64)
    keys: int = 6
    pause_seconds: float = 0.015
    snapshot_count: tuple[int, ...] = (20, 100, 100_000)
    election_timeout: tuple[int, ...] = (500, 500, 1000)
    sizes: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(DEFAULT_SIZES))
    options: tuple[tuple[str, str], ...] = ()
    damage: tuple[int, ...] = ()
    workloads: tuple[str, ...] = (KvWorkload.name,)


OTHER_WORKLOADS = tuple(name for name in NAMES if name not in (KvWorkload.name, UNFENCED))
"""All that a correct cluster survives, besides the usual one."""

WORKLOADS = (KvWorkload.name,) * (len(OTHER_WORKLOADS) + 1) + (MixedWorkload.name,) + OTHER_WORKLOADS
"""Half of the seeds are about keys and revisions, of which the rules of the others are made."""

DEFAULT_KINDS = {
    "partition": 0.6,
    "crash": 0.6,
    "crash all": 0.2,
    "blackout": 0.3,
    "leader crash": 0.35,
    "leader cut": 0.35,
    "coups": 0.45,
    "kill": 0.3,
    "pause": 0.3,
    "weather": 0.5,
    "slow disk": 0.3,
    "full disk": 0.15,
    "disk error": 0.15,
    "rot": 0.25,
    "clock": 0.3,
    "transfer": 0.35,
    "members": 0.3,
    "snapshot": 0.4,
    "lag": 0.3,
}

BEYOND_KINDS = {kind: chance / 2 for kind, chance in DEFAULT_KINDS.items() if kind != "rot"}
"""A share of the usual faults: what is done to the disks is drawn apart from them."""

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("default", DEFAULT_KINDS, workloads=WORKLOADS),
        Profile("calm", {}),
        Profile("beyond", BEYOND_KINDS, damage=(1, 1, 2, 3)),
        Profile("lease-reads", DEFAULT_KINDS, options=(("lease-reads", "true"),)),
        *(Profile(name, DEFAULT_KINDS, workloads=(name,)) for name in NAMES),
    )
}


def profile_named(name: str) -> Profile:
    """Return a profile; raises ConfigError."""
    if name not in PROFILES:
        raise ConfigError(f"--profile {name!r}: there are {', '.join(PROFILES)}")
    return PROFILES[name]


def draw_scenario(seed: int, profile: Profile, nodes: int = 3) -> Scenario:
    """Return the scenario of a seed."""
    mix = Random(f"{seed}:mix")
    kinds = [kind for kind, chance in profile.kinds.items() if mix.random() < chance]
    timeout = Random(f"{seed}:timers").choice(profile.election_timeout)
    options = {
        **dict(profile.options),
        "snapshot-count": str(mix.choice(profile.snapshot_count)),
        "election-timeout": str(timeout),
    }
    sizes = Random(f"{seed}:sizes")
    drawn = {name: sizes.choice(choices) for name, choices in profile.sizes.items()}
    options |= {name: value for name, value in drawn.items() if value}
    faults = _Faults(Random(f"{seed}:faults"), nodes, kinds).draw()
    if profile.damage:
        damage = _draw_damage(Random(f"{seed}:damage"), profile, nodes)
        faults = tuple(sorted((*faults, *damage), key=lambda fault: fault.at))
    workload = Random(f"{seed}:workload").choice(profile.workloads)
    return Scenario(
        nodes=nodes,
        seed=seed,
        options=options,
        network=_draw_network(Random(f"{seed}:network")),
        disk=_draw_disk(Random(f"{seed}:disk")),
        faults=faults,
        workload=workload,
        operations=_draw_operations(seed, profile, nodes, workload),
        heal=_draw_core(Random(f"{seed}:core"), nodes, OTHERS if not profile.damage else (OFF,)),
        beyond_repair=bool(profile.damage),
    )


def _draw_network(random: Random) -> Conditions:
    shortest = round(random.choice((0.0002, 0.001, 0.002)), 6)
    longest = round(shortest + random.choice((0.0, 0.001, 0.004, 0.02)), 6)
    loss = random.choice((0.0, 0.0, 0.001, 0.01, 0.05))
    duplication = random.choice((0.0, 0.0, 0.01, 0.05))
    return Conditions(shortest, longest, loss, duplication, random.random() < 0.3)


def _draw_disk(random: Random) -> DiskSpeed:
    shortest = random.choice((0.0001, 0.001, 0.005))
    return DiskSpeed(shortest, round(shortest * random.choice((1, 3, 10)), 6))


def _draw_core(random: Random, nodes: int, others: Sequence[str]) -> Heal:
    members = [f"n{number}" for number in range(1, nodes + 1)]
    size = random.randint(nodes // 2 + 1, nodes)
    core = tuple(sorted(random.sample(members, size)))
    return Heal(SAFETY_END, core, random.choice(others) if size < nodes else OFF)


def _draw_damage(random: Random, profile: Profile, nodes: int) -> list[Fault]:
    """Damage the disks of one member, of some or of all, now and then: late rather than soon.

    Most members go down for it, and find the damage when they start.
    """
    found: list[Fault] = []
    for _ in range(random.choice(profile.damage)):
        about = random.triangular(WARM_UP_SECONDS, SAFETY_END - 2, SAFETY_END - 2)
        if random.random() < 0.25:
            found += _damaged_senders(random, about, nodes)
            continue
        for number in random.sample(range(1, nodes + 1), random.randint(1, nodes)):
            member = f"n{number}"
            at = _round(about + random.uniform(0, 1.5))
            outcome = random.choice(("all", "nothing", "sectors", ""))
            found.append(Fault(at, "crash", (member, outcome)) if outcome else Fault(at, "kill", (member,)))
            for _ in range(random.choice((1, 1, 2, 4))):
                where = random.choice(("wal", "wal", "snapshot"))
                way = random.choice(("flip", *WAYS))  # the one that is hardest to see is the most frequent
                found.append(Fault(at, "damage", (member, where, way)))
            found.append(Fault(_round(at + random.uniform(0.05, 2)), "start", (member,)))
    return sorted((fault for fault in found if fault.at < SAFETY_END), key=lambda fault: fault.at)


def _damaged_senders(random: Random, about: float, nodes: int) -> Iterator[Fault]:
    """Cut one member off until it needs a snapshot, and damage those of the others, who stay up."""
    lags = random.randint(1, nodes)
    length = random.uniform(2, 6)
    about = min(about, SAFETY_END - 7)
    for other in (number for number in range(1, nodes + 1) if number != lags):
        yield Fault(_round(about), "cut", (f"n{lags}>n{other}", f"n{other}>n{lags}"), _round(length))
        yield Fault(_round(about + 0.7 * length), "snapshot", (f"n{other}",))
        for share in (0.95, 1.0, 1.0, 1.05):
            words = (f"n{other}", "snapshot", random.choice(WAYS))
            yield Fault(_round(about + share * length), "damage", words)


class _Faults:
    """Draws the faults of one seed."""

    def __init__(self, random: Random, nodes: int, kinds: list[str]) -> None:
        self._random = random
        self._numbers = list(range(1, nodes + 1))
        self._kinds = kinds
        self._rotten: list[int] = []
        self._stretch = random.choice((1.0, 1.0, 1.0, 3.0))
        self._makers: dict[str, Callable[[float], Iterator[Fault]]] = {
            "partition": self._partition,
            "crash": self._crash,
            "crash all": self._crash_all,
            "leader crash": self._leader_crash,
            "leader cut": self._leader_cut,
            "coups": self._coups,
            "kill": self._kill,
            "pause": self._pause,
            "weather": self._weather,
            "slow disk": self._slow_disk,
            "full disk": self._full_disk,
            "disk error": self._disk_error,
            "rot": self._rot,
            "clock": self._clock,
            "transfer": self._transfer,
            "members": self._members,
            "snapshot": self._snapshot,
            "lag": self._lag,
        }

    def draw(self) -> tuple[Fault, ...]:
        """Return the faults, by time. Without a kind there are none."""
        found: list[Fault] = []
        at = WARM_UP_SECONDS
        pace = self._random.choice((0.3, 0.6, 1.2, 2.0))
        kinds = [kind for kind in self._kinds if kind in self._makers]
        while kinds and at < SAFETY_END:
            kind = self._random.choice(kinds)
            found += self._makers[kind](_round(at))
            at += self._random.uniform(0.1, 2 * pace)
        if BLACKOUT in self._kinds:
            found += self._blackout()
        return tuple(sorted((fault for fault in found if fault.at < SAFETY_END), key=lambda f: f.at))

    def _name(self) -> str:
        return f"n{self._random.choice(self._numbers)}"

    def _length(self, longest: float = 5.0) -> float:
        return _round(self._stretch * self._random.uniform(0.1, 1.0) * self._random.uniform(0.2, longest))

    def _partition(self, at: float) -> Iterator[Fault]:
        kind = self._random.choice(KINDS)
        for cut in kind(self._random, self._numbers, self._length(6)):
            links = tuple(f"n{source}>n{target}" for source, target in cut.links)
            yield Fault(_round(at + cut.after), "cut", links, max(0.001, _round(cut.seconds)))

    def _crash(self, at: float, member: str = "") -> Iterator[Fault]:
        member = member or self._name()
        outcome = self._random.choice(("nothing", "all", "prefix", "torn", "sectors", "sectors"))
        words = (member, outcome, "writing") if self._random.random() < 0.5 else (member, outcome)
        yield Fault(at, "crash", words)
        yield Fault(_round(at + self._length(4)), "start", (member,))

    def _crash_all(self, at: float) -> Iterator[Fault]:
        for number in self._numbers:
            yield from self._crash(at, f"n{number}")

    def _blackout(self) -> Iterator[Fault]:
        """Let all lose power right before the healing, which starts them at once, without a memory."""
        for number in self._numbers:
            at = SAFETY_END - self._random.uniform(0.001, BLACKOUT_SECONDS)
            outcome = self._random.choice(("nothing", "all", "prefix", "torn", "sectors"))
            yield Fault(_round(at), "crash", (f"n{number}", outcome))

    def _leader_crash(self, at: float) -> Iterator[Fault]:
        outcome = self._random.choice(("nothing", "all", "prefix", "torn", "sectors"))
        yield Fault(at, "leader-crash", (outcome,), self._length(3))

    def _leader_cut(self, at: float) -> Iterator[Fault]:
        way = self._random.choice(("in", "out", "both", "both", "one"))
        yield Fault(at, "leader-cut", (way,), self._length(5))

    def _coups(self, at: float) -> Iterator[Fault]:
        """Cut off one leader after the other, before the last one is back: their logs come apart."""
        if self._random.random() < 0.6:
            way = self._random.choice(("out", "both", "both"))
            longest = self._random.choice((5, 50, 300))
            yield Fault(at, "coups", (way, f"{longest}ms"), self._length(8))
            return
        gap = self._random.uniform(0.4, 1.5)
        for number in range(self._random.randint(2, 6)):
            way = self._random.choice(("out", "both"))
            length = _round(gap * self._random.uniform(0.5, 3.0))
            yield Fault(_round(at + number * gap), "leader-cut", (way,), length)

    def _kill(self, at: float) -> Iterator[Fault]:
        member = self._name()
        yield Fault(at, "kill", (member,))
        yield Fault(_round(at + self._length(2)), "start", (member,))

    def _pause(self, at: float) -> Iterator[Fault]:
        if self._random.random() < 0.4:
            yield Fault(at, "leader-freeze", (), self._length(6))
        else:
            yield Fault(at, "pause", (self._name(),), self._length(4))

    def _weather(self, at: float) -> Iterator[Fault]:
        random = self._random
        longest = random.choice((5, 30, 100, 400))
        words = [f"1ms..{longest}ms"]
        if random.random() < 0.6:
            words += ["loss", f"{random.choice((2, 10, 30))}%"]
        if random.random() < 0.4:
            words += ["duplicate", f"{random.choice((5, 30))}%"]
        if random.random() < 0.5:
            words.append("reorder")
        yield Fault(at, "weather", tuple(words), self._length(6))

    def _slow_disk(self, at: float) -> Iterator[Fault]:
        yield Fault(at, "slow-disk", (self._name(), str(self._random.choice((10, 100, 400)))), self._length())

    def _full_disk(self, at: float) -> Iterator[Fault]:
        everywhere = self._random.random() < 0.2
        length = self._length(10)
        for name in [f"n{number}" for number in self._numbers] if everywhere else [self._name()]:
            yield Fault(at, "full-disk", (name,), length)

    def _disk_error(self, at: float) -> Iterator[Fault]:
        member = self._name()
        yield Fault(at, "disk-error", (member,))
        yield Fault(_round(at + self._length(3)), "start", (member,))

    def _rot(self, at: float) -> Iterator[Fault]:
        """Let a crashed member find a flipped bit; only ever a minority, and always the same."""
        if not self._rotten:
            most = (len(self._numbers) - 1) // 2
            self._rotten = self._random.sample(self._numbers, most)
        if self._rotten:
            member = f"n{self._random.choice(self._rotten)}"
            yield Fault(at, "crash", (member, "all"))
            yield Fault(at, "rot", (member, self._random.choice(("wal", "snapshot"))))
            yield Fault(_round(at + self._length(2)), "start", (member,))

    def _clock(self, at: float) -> Iterator[Fault]:
        if self._random.random() < 0.5:
            yield Fault(at, "drift", (self._name(), str(self._random.choice((0.9, 0.98, 1.02, 1.1)))))
        else:
            yield Fault(at, "jump", (self._name(), str(self._random.choice((0.3, 1.5, 10, 10)))))

    def _transfer(self, at: float) -> Iterator[Fault]:
        yield Fault(at, "transfer", (self._name(),))

    def _members(self, at: float) -> Iterator[Fault]:
        """Change who is a member: somebody new joins, catches up and votes; somebody goes for good."""
        joiner = f"n{self._random.randint(len(self._numbers) + 1, len(self._numbers) + 3)}"
        what = self._random.random()
        if what < 0.45:
            yield Fault(at, "add", (joiner,))
            yield Fault(_round(at + self._length(3)), "promote", (joiner,))
        elif what < 0.7:
            yield Fault(at, "remove", (joiner,))
        elif what < 0.8:
            yield Fault(at, "remove", (self._name(),))
        elif what < 0.9:
            yield Fault(at, "remove", ("leader",))
        else:
            yield from self._remove_the_unreachable(at)

    def _remove_the_unreachable(self, at: float) -> Iterator[Fault]:
        """Remove a member that is cut off, as operators do, and let it come back: nobody told it."""
        member, length = self._name(), self._length(4)
        others = [f"n{other}" for other in self._numbers if f"n{other}" != member]
        links = [f"{member}>{other}" for other in others] + [f"{other}>{member}" for other in others]
        yield Fault(at, "cut", tuple(links), length)
        yield Fault(_round(at + 0.2 * length), "remove", (member,))

    def _snapshot(self, at: float) -> Iterator[Fault]:
        yield Fault(at, "snapshot", (self._name(),))

    def _lag(self, at: float) -> Iterator[Fault]:
        """Cut one member off while the others give up the log it would need."""
        member = self._name()
        length = self._length(8)
        for other in self._numbers:
            if f"n{other}" != member:
                links = (f"{member}>n{other}", f"n{other}>{member}")
                yield Fault(at, "cut", links, length)
                yield Fault(_round(at + 0.8 * length), "snapshot", (f"n{other}",))


def _draw_operations(seed: int, profile: Profile, nodes: int, name: str) -> tuple[Operation, ...]:
    """Return what the clients ask: each one thing after the other, at times of its own."""
    found = _draw_keys_asked(Random(f"{seed}:clients"), profile, nodes)
    if name == KvWorkload.name:
        return found
    clients, random = len({one.client for one in found}), Random(f"{seed}:words")
    workload = make(name, clients=clients, random=random)
    return tuple(one._replace(words=workload.draw(random, int(one.client[1:]))) for one in found)


def _draw_keys_asked(random: Random, profile: Profile, nodes: int) -> tuple[Operation, ...]:
    """Return what the clients of the usual workload ask."""
    found: list[Operation] = []
    size, style = random.choice(SIZES), random.choice(STYLES)
    beat = random.choice(BEATS)
    keys = key_names(random.randint(1, profile.keys))
    clients = random.choice(profile.clients)
    workload = KvWorkload(clients, keys=keys, style=style, size=size)
    pause = profile.pause_seconds * clients  # many clients leave more under way, not more in all
    for number in range(1, clients + 1):
        client = f"c{number}"
        home = f"n{random.randint(1, nodes)}"
        roams = random.random() < 0.7
        at = random.uniform(0.5, 1.0)
        while at < SAFETY_END + 2:
            via = f"n{random.randint(1, nodes)}" if roams else home
            words = workload.draw(random, number)
            found.append(Operation(_round(_on_beat(at, beat)), client, via, words))
            at += random.uniform(0, 2 * pause * (3 if random.random() < 0.05 else 1))
    return tuple(sorted(found, key=lambda operation: operation.at))


def _on_beat(at: float, beat: float) -> float:
    """Return the next beat, if there are beats."""
    return ceil(at / beat) * beat if beat else at


def _round(value: float) -> float:
    return round(value, 3)
