"""What a member can be told: its faults as values, and their JSON. Members go by name or hexadecimal id.

::

    {"heal": true,
     "disk": {"log": {"slow_fsync_ms": 50, "fail_fsyncs": 1, "full": true, "seconds": 10},
              "snapshots": {...}},
     "links": [{"from": "n1", "to": "n2", "cut": true, "delay_ms": 50, "jitter_ms": 10, "drop": 0.1,
                "duplicate": 0.1, "seconds": 10}],
     "clock": {"jump_ms": -5000, "drift_ppm": 200, "seconds": 10}}

Everything may be left out. What is told of a disk, a link or the clock takes the place of what it was told
before; with nothing but zeros its fault ends. ``heal`` ends all faults, before the rest of the same order.
"""

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Final, NamedTuple

from raftkv.errors import InvalidRequest

LOG, SNAPSHOTS = "log", "snapshots"
DISKS: Final = (LOG, SNAPSHOTS)

MOST_SECONDS: Final = 3600.0
MOST_MS: Final = 60_000.0
MOST_FSYNCS: Final = 1000
MOST_JUMP_MS: Final = 10 * 366 * 24 * 3600 * 1000.0
MOST_PPM: Final = 1_000_000.0
MOST_LINKS: Final = 64

SHOWN: Final = 40
"""Characters of a bad value that are repeated to whoever sent it."""


class DiskFault(NamedTuple):
    """Each fsync takes ``slow_fsync_ms`` longer, the next ``fail_fsyncs`` fail with EIO, ``full``: ENOSPC.

    A full disk refuses what would make a file longer; room that a file reserved before stays its own. After
    ``seconds`` (None: never) the member ends the fault by itself.
    """

    slow_fsync_ms: float = 0.0
    fail_fsyncs: int = 0
    full: bool = False
    seconds: float | None = None


class LinkFault(NamedTuple):
    """Nothing, late, less or more of what one member sends to another; one of the two is the member told.

    ``drop`` and ``duplicate`` are probabilities. The delay is ``delay_ms`` plus or minus up to ``jitter_ms``;
    what is delayed stays in order. A request that one member makes of the other fails if either direction
    of the link is cut and the member that asks was told so: tell both ends.
    """

    source: str
    target: str
    cut: bool = False
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    drop: float = 0.0
    duplicate: float = 0.0
    seconds: float | None = None


class ClockFault(NamedTuple):
    """The wall clock is ahead by ``jump_ms`` at once, and gains ``drift_ppm`` microseconds a second.

    Both may be negative. What runs by the event loop's clock (elections, leases, time-outs) does not notice.
    """

    jump_ms: float = 0.0
    drift_ppm: float = 0.0
    seconds: float | None = None


class Orders(NamedTuple):
    """One request: first everything is healed, if so wished, then the rest is done, all of it or nothing."""

    heal: bool = False
    disks: Mapping[str, DiskFault] = {}
    links: tuple[LinkFault, ...] = ()
    clock: ClockFault | None = None


# ---------------------------------------------------------------- to JSON


def encode(orders: Orders) -> bytes:
    """Return orders as the body of a request."""
    document: dict[str, Any] = {"heal": True} if orders.heal else {}
    if orders.disks:
        document["disk"] = {name: _given(fault) for name, fault in orders.disks.items()}
    if orders.links:
        document["links"] = [link_json(link) for link in orders.links]
    if orders.clock is not None:
        document["clock"] = _given(orders.clock)
    return json.dumps(document).encode()


def link_json(link: LinkFault) -> dict[str, Any]:
    """Return a link as JSON has it: its ends are ``from`` and ``to``."""
    fields = _given(link)
    return {"from": fields.pop("source"), "to": fields.pop("target"), **fields}


def _given(fault: DiskFault | LinkFault | ClockFault) -> dict[str, Any]:
    return {name: value for name, value in fault._asdict().items() if value is not None}


# ---------------------------------------------------------------- from JSON


def decode(body: bytes) -> Orders:
    """Return the orders in a request's body. Raises InvalidRequest: which value, what it may be."""
    try:
        return _orders(json.loads(body.decode() or "{}", parse_constant=_refuse_constant))
    except RecursionError:
        raise InvalidRequest("the body has too many objects or lists within each other") from None
    except ValueError as error:
        raise InvalidRequest(f"the body is not JSON: {str(error)[:200]}") from None


def _orders(document: Any) -> Orders:
    whole = _Fields("", document, ("heal", "disk", "links", "clock"))
    disks = _Fields("disk", whole.value("disk", {}), DISKS)
    links = whole.value("links", [])
    if not isinstance(links, list) or len(links) > MOST_LINKS:
        raise InvalidRequest(f"links: {_shown(links)} is not a list of at most {MOST_LINKS}")
    clock = whole.value("clock", None)
    return Orders(
        heal=whole.switch("heal"),
        disks={name: _disk(f"disk.{name}", disks.value(name, {})) for name in DISKS if disks.has(name)},
        links=tuple(_link(f"links[{number}]", link) for number, link in enumerate(links)),
        clock=None if clock is None else _clock(clock),
    )


class _Fields:
    """The fields of a JSON object at ``place``, read one by one; unknown ones are refused at once."""

    def __init__(self, place: str, value: Any, known: Sequence[str]) -> None:
        self._place = place
        if not isinstance(value, dict):
            raise InvalidRequest(f"{place or 'the body'}: {_shown(value)} is not an object")
        for name in value:
            if name not in known:
                raise InvalidRequest(
                    f"{self._name(_shown(name))}: there is no such field; use {', '.join(known)}"
                )
        self._value: dict[str, Any] = value

    def has(self, name: str) -> bool:
        return name in self._value

    def value(self, name: str, default: Any) -> Any:
        return self._value.get(name, default)

    def switch(self, name: str) -> bool:
        value = self._value.get(name, False)
        if not isinstance(value, bool):
            raise InvalidRequest(f"{self._name(name)}: {_shown(value)} is not true or false")
        return value

    def number(self, name: str, low: float, high: float) -> float:
        value = self._value.get(name, 0)
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        if not fits or not low <= value <= high or not isfinite(value):
            raise InvalidRequest(
                f"{self._name(name)}: {_shown(value)} is not a number from {low:g} to {high:g}"
            )
        return float(value)

    def count(self, name: str, high: int) -> int:
        value = self.number(name, 0, high)
        if not value.is_integer():
            raise InvalidRequest(f"{self._name(name)}: {value:g} is not a whole number")
        return int(value)

    def seconds(self) -> float | None:
        if self._value.get("seconds") is None:
            return None
        seconds = self.number("seconds", 0, MOST_SECONDS)
        if not seconds:
            raise InvalidRequest(f"{self._name('seconds')}: use a number above 0, or leave it out for no end")
        return seconds

    def member(self, name: str) -> str:
        value = self._value.get(name)
        if not isinstance(value, str) or not value:
            raise InvalidRequest(f"{self._name(name)}: {_shown(value)} is not a member's name or id")
        return value

    def _name(self, field: str) -> str:
        return f"{self._place}.{field}" if self._place else field


def _disk(place: str, value: Any) -> DiskFault:
    fields = _Fields(place, value, DiskFault._fields)
    return DiskFault(
        fields.number("slow_fsync_ms", 0, MOST_MS),
        fields.count("fail_fsyncs", MOST_FSYNCS),
        fields.switch("full"),
        fields.seconds(),
    )


def _link(place: str, value: Any) -> LinkFault:
    fields = _Fields(place, value, ("from", "to", *LinkFault._fields[2:]))
    delay, jitter = fields.number("delay_ms", 0, MOST_MS), fields.number("jitter_ms", 0, MOST_MS)
    if jitter > delay:
        raise InvalidRequest(f"{place}.jitter_ms: {jitter:g} is above delay_ms, {delay:g}")
    return LinkFault(
        fields.member("from"),
        fields.member("to"),
        fields.switch("cut"),
        delay,
        jitter,
        fields.number("drop", 0, 1),
        fields.number("duplicate", 0, 1),
        fields.seconds(),
    )


def _clock(value: Any) -> ClockFault:
    fields = _Fields("clock", value, ClockFault._fields)
    return ClockFault(
        fields.number("jump_ms", -MOST_JUMP_MS, MOST_JUMP_MS),
        fields.number("drift_ppm", -MOST_PPM, MOST_PPM),
        fields.seconds(),
    )


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no number in JSON")


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
