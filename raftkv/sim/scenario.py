"""A scenario: everything about a run that is not left to chance, as data and as text.

::

    # raftkv scenario 1
    nodes 3
    seed 42
    option lease-reads true
    network 1ms..30ms loss 2% duplicate 1% reorder
    disk 0.5ms..4ms
    beyond repair
    at 3.2 crash n1 sectors
    at 4.1 start n1
    at 5 cut n1>n2 n2>n1 for 2.5
    at 5.25 c1 via n2 put k1 v17
    at 5.5 c2 via n1 get k1
    heal at 24 with n1 n2 others deaf

``beyond repair`` lets disks be damaged on any number of members: where too few of them can start, nobody has
to serve; whoever serves must still not be wrong. Without the line a majority always keeps a whole disk.

A line ``workload bank`` says what clients are about; without one it is keys and revisions (``kv``).

A line ``at TIME WHAT...`` is a fault, or an operation of a client when it begins with one. Times are
seconds on the simulated clock, durations too. The seed feeds the draws that are left (election time-outs,
delays within their bounds, which sectors survive); two runs of one scenario are the same, bit for bit.
``raftkv.sim.draw`` makes a scenario from a seed, ``raftkv.sim.shrink`` makes it shorter.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from raftkv.errors import ConfigError
from raftkv.sim.network import CALM, Conditions

FORMAT = "# raftkv scenario 1"

SAFETY_END = 24.0
"""When the safety phase of a scenario without a ``heal`` line ends."""

USUAL_WORKLOAD = "kv"
"""What clients do in a scenario without a line that says it."""

_CLIENT = re.compile(r"c[1-9][0-9]*")
_MEMBER = re.compile(r"n[1-9][0-9]*")


class Fault(NamedTuple):
    """One fault. ``words`` are its arguments; ``seconds`` how long it lasts, 0 = until something ends it."""

    at: float
    kind: str
    words: tuple[str, ...] = ()
    seconds: float = 0.0


class Operation(NamedTuple):
    """One request of a client: ``words`` is what to do, ``via`` the member that is asked."""

    at: float
    client: str
    via: str
    words: tuple[str, ...]


OTHERS = ("off", "cut", "deaf", "mute")
"""What becomes of who is not healed: switched off, or up and cut off; nothing reaches a deaf one."""

OFF = OTHERS[0]


class Heal(NamedTuple):
    """The end of the safety phase: the core members are healed for good, all others are left to rot.

    ``others``: how, one of ``OTHERS``.
    """

    at: float
    core: tuple[str, ...]
    others: str = OFF


class DiskSpeed(NamedTuple):
    """Seconds that a sync takes, drawn between the two."""

    shortest: float = 0.001
    longest: float = 0.001


FAST = DiskSpeed()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A run; see the module's text. ``options`` go to every member's configuration."""

    nodes: int = 3
    seed: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    network: Conditions = CALM
    disk: DiskSpeed = FAST
    faults: tuple[Fault, ...] = ()
    operations: tuple[Operation, ...] = ()
    heal: Heal | None = None
    beyond_repair: bool = False
    workload: str = USUAL_WORKLOAD

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the members the cluster begins with."""
        return tuple(f"n{number}" for number in range(1, self.nodes + 1))


def member_number(name: str) -> int:
    """Return 3 for ``n3``; raises ConfigError."""
    if not _MEMBER.fullmatch(name):
        raise ConfigError(f"{name!r} is no member: use n1, n2 ...")
    return int(name[1:])


def parse_links(words: tuple[str, ...]) -> list[tuple[int, int]]:
    """Return the links in ``n1>n2 n2>n1``; raises ConfigError."""
    links = []
    for word in words:
        source, arrow, target = word.partition(">")
        if not arrow:
            raise ConfigError(f"{word!r} is no link: use n1>n2")
        links.append((member_number(source), member_number(target)))
    return links


# ---------------------------------------------------------------- to text


def format_scenario(scenario: Scenario) -> str:
    """Return the text of a scenario; ``parse_scenario`` reads it back."""
    lines = [FORMAT, f"nodes {scenario.nodes}", f"seed {scenario.seed}"]
    if scenario.workload != USUAL_WORKLOAD:
        lines.append(f"workload {scenario.workload}")
    lines += [f"option {name} {value}" for name, value in sorted(scenario.options.items())]
    if scenario.network != CALM:
        lines.append(_format_network(scenario.network))
    if scenario.disk != FAST:
        lines.append(f"disk {_milliseconds(*scenario.disk)}")
    if scenario.beyond_repair:
        lines.append("beyond repair")
    timed: list[Fault | Operation] = [*scenario.faults, *scenario.operations]
    lines += [_format_timed(one) for one in sorted(timed, key=lambda one: one.at)]
    if scenario.heal is not None:
        lines.append(_format_heal(scenario.heal))
    return "\n".join(lines) + "\n"


def _format_heal(heal: Heal) -> str:
    others = f" others {heal.others}" if heal.others != OFF else ""
    return f"heal at {_number(heal.at)} with {' '.join(heal.core)}{others}"


def _format_network(network: Conditions) -> str:
    parts = [f"network {_milliseconds(network.shortest, network.longest)}"]
    if network.loss:
        parts.append(f"loss {_number(network.loss * 100)}%")
    if network.duplication:
        parts.append(f"duplicate {_number(network.duplication * 100)}%")
    if network.reordering:
        parts.append("reorder")
    return " ".join(parts)


def _format_timed(one: Fault | Operation) -> str:
    words = " ".join(one.words)
    if isinstance(one, Operation):
        return f"at {_number(one.at)} {one.client} via {one.via} {words}"
    lasting = f" for {_number(one.seconds)}" if one.seconds else ""
    return f"at {_number(one.at)} {one.kind} {words}".rstrip() + lasting


def _milliseconds(shortest: float, longest: float) -> str:
    return f"{_number(shortest * 1000)}ms..{_number(longest * 1000)}ms"


def _number(value: float) -> str:
    """Return a number with at most six decimals: draws are rounded to that, so nothing is lost."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


# ---------------------------------------------------------------- from text


def parse_scenario(text: str) -> Scenario:
    """Read a scenario. Raises ConfigError with the line that makes no sense."""
    lines = text.splitlines()
    if not lines or lines[0].strip() != FORMAT:
        raise ConfigError(f"not a scenario: the first line has to be {FORMAT!r}")
    scenario = Scenario()
    for number, line in enumerate(lines[1:], start=2):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            scenario = _take_line(scenario, words)
        except (ConfigError, ValueError, IndexError) as error:
            raise ConfigError(f"line {number}: {line.strip()!r}: {error}") from error
    return scenario


def _take_line(scenario: Scenario, words: list[str]) -> Scenario:
    match words:
        case ["nodes", number]:
            return replace(scenario, nodes=int(number))
        case ["seed", number]:
            return replace(scenario, seed=int(number))
        case ["workload", name]:
            return replace(scenario, workload=name)
        case ["option", name, value]:
            return replace(scenario, options={**scenario.options, name: value})
        case ["network", bounds, *rest]:
            return replace(scenario, network=conditions_in([bounds, *rest]))
        case ["disk", bounds]:
            return replace(scenario, disk=DiskSpeed(*_parse_milliseconds(bounds)))
        case ["beyond", "repair"]:
            return replace(scenario, beyond_repair=True)
        case ["heal", "at", at, "with", *who]:
            return replace(scenario, heal=_heal_of(float(at), who))
        case ["at", *_]:
            return _take_timed(scenario, words)
    raise ConfigError("no such line")


def _heal_of(at: float, who: list[str]) -> Heal:
    match who:
        case [*core, "others", others]:
            if others not in OTHERS:
                raise ConfigError(f"others are {', '.join(OTHERS)}")
            return Heal(at, tuple(core), others)
    return Heal(at, tuple(who))


def _take_timed(scenario: Scenario, words: list[str]) -> Scenario:
    match words:
        case ["at", at, client, "via", via, *what] if _CLIENT.fullmatch(client) and what:
            member_number(via)
            operation = Operation(float(at), client, via, tuple(what))
            return replace(scenario, operations=(*scenario.operations, operation))
        case ["at", at, kind, *arguments]:
            seconds = 0.0
            if arguments[-2:-1] == ["for"]:
                seconds = float(arguments[-1])
                del arguments[-2:]
            fault = Fault(float(at), kind, tuple(arguments), seconds)
            return replace(scenario, faults=(*scenario.faults, fault))
    raise ConfigError("no such line")


def conditions_in(words: Sequence[str]) -> Conditions:
    """Return the conditions in ``1ms..30ms loss 2% duplicate 1% reorder``; raises ConfigError, ValueError."""
    bounds, *rest = words
    shortest, longest = _parse_milliseconds(bounds)
    network = Conditions(shortest, longest)
    left = iter(rest)
    for word in left:
        match word:
            case "loss":
                network = replace(network, loss=_parse_percent(next(left, "")))
            case "duplicate":
                network = replace(network, duplication=_parse_percent(next(left, "")))
            case "reorder":
                network = replace(network, reordering=True)
            case _:
                raise ConfigError(f"{word!r} says nothing about a network")
    return network


def _parse_milliseconds(bounds: str) -> tuple[float, float]:
    shortest, dots, longest = bounds.partition("..")
    if not (dots and shortest.endswith("ms") and longest.endswith("ms")):
        raise ValueError(f"{bounds!r}: use 1ms..30ms")
    return _rounded(float(shortest[:-2]) / 1000), _rounded(float(longest[:-2]) / 1000)


def milliseconds(text: str) -> float:
    """Return the seconds in ``30ms``; raises ConfigError."""
    try:
        return _rounded(float(text.removesuffix("ms")) / 1000)
    except ValueError:
        raise ConfigError(f"{text!r}: use milliseconds, as 30ms") from None


def _parse_percent(text: str) -> float:
    if not text.endswith("%"):
        raise ValueError(f"{text!r}: use a percentage, as 2%")
    return _rounded(float(text[:-1]) / 100)


def _rounded(value: float) -> float:
    return round(value, 9)
