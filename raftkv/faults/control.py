"""All faults of one member: told together, ended in time, and shown with what they did."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from random import Random
from typing import Any, NamedTuple

from raftkv.errors import InvalidRequest
from raftkv.faults.clock import FaultyClock
from raftkv.faults.disk import FaultyDisk
from raftkv.faults.orders import DISKS, ClockFault, DiskFault, LinkFault, Orders, link_json
from raftkv.faults.transport import Ends, FaultyTransport
from raftkv.node.transport import Transport
from raftkv.storage.disk import Disk
from raftkv.trace import Emit, FaultSet, discard

Fault = DiskFault | LinkFault | ClockFault
Place = str | Ends
"""Where a fault is: the name of a disk, "clock", or the ends of a link."""

CLOCK = "clock"


class _Limit(NamedTuple):
    """When a fault ends by itself, on the loop's clock, and what ends it then."""

    deadline: float
    handle: asyncio.TimerHandle


class Faults:
    """The faulty parts of a member, which ``server.build`` puts in between it and the real ones.

    ``wall`` tells the seconds since 1970. Orders are taken once the member is ``introduced``.
    """

    def __init__(self, wall: Callable[[], float], random: Random) -> None:
        self.clock = FaultyClock(wall, asyncio.get_running_loop().time)
        self._disks: dict[str, FaultyDisk] = {}
        self._transport: FaultyTransport | None = None
        self._random = random
        self._emit: Emit = discard
        self._limits: dict[Place, _Limit] = {}
        self._member_id = 0
        self._names: Callable[[], Mapping[int, str]] = dict

    def over_disk(self, name: str, disk: Disk) -> FaultyDisk:
        """Return the disk to use in place of ``disk``; ``name``: one of ``DISKS``."""
        assert name in DISKS, name
        self._disks[name] = FaultyDisk(disk)
        return self._disks[name]

    def over_transport(self, transport: Transport, member_id: int) -> FaultyTransport:
        """Return the transport to use in place of ``transport``."""
        self._member_id = member_id
        self._transport = FaultyTransport(transport, member_id, self._random)
        return self._transport

    def introduced(self, names: Callable[[], Mapping[int, str]], emit: Emit) -> None:
        """Take note of who the members are (names by id, "" for one without), and who hears of faults."""
        self._names = names
        self._emit = emit

    # ---------------------------------------------------------------- orders

    def order(self, orders: Orders) -> None:
        """Do what is ordered. Raises InvalidRequest, and does nothing, for a link of others."""
        links = [(self._ends(link), link) for link in orders.links]
        if orders.heal:
            self.heal()
        for name, fault in orders.disks.items():
            self._set(name, fault)
        for ends, link in links:
            self._set(ends, link)
        if orders.clock is not None:
            self._set(CLOCK, orders.clock)

    def heal(self) -> None:
        """End every fault."""
        for place in self._places():
            if _is_any(self._fault(place)):
                self._set(place, _none_like(self._fault(place)))

    def _set(self, place: Place, fault: Fault) -> None:
        """Let a fault take the place of another one, and end in time."""
        if (limit := self._limits.pop(place, None)) is not None:
            limit.handle.cancel()
        was_any = _is_any(self._fault(place)) if place in self._places() else False
        match fault:
            case DiskFault():
                assert isinstance(place, str)
                self._disks[place].set(fault)
            case LinkFault():
                assert self._transport is not None
                assert isinstance(place, tuple)
                self._transport.set(place, fault)
            case ClockFault():
                self.clock.set(fault)
        if _is_any(fault) and fault.seconds is not None:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + fault.seconds
            self._limits[place] = _Limit(deadline, loop.call_at(deadline, self._end, place))
        if was_any or _is_any(fault):
            self._emit(FaultSet(self._called(place), _in_words(fault)))

    def _end(self, place: Place) -> None:
        self._set(place, _none_like(self._fault(place)))

    def _places(self) -> list[Place]:
        links = self._transport.links if self._transport is not None else {}
        return [*self._disks, *links, CLOCK]

    def _fault(self, place: Place) -> Fault:
        if isinstance(place, str):
            return self.clock.fault if place == CLOCK else self._disks[place].fault
        assert self._transport is not None
        return self._transport.links[place].fault

    # ---------------------------------------------------------------- members

    def _ends(self, link: LinkFault) -> Ends:
        """Return the ids of a link's ends. Raises InvalidRequest unless exactly one is this member."""
        ends = self._id("from", link.source), self._id("to", link.target)
        if (ends[0] == self._member_id) == (ends[1] == self._member_id):
            raise InvalidRequest(
                f"links: from {link.source} to {link.target}: one of them, not both, has to be "
                f"{self._name(self._member_id)}, the member that is asked"
            )
        return ends

    def _id(self, field: str, text: str) -> int:
        names = {**self._names(), self._member_id: self._name(self._member_id)}
        for member, name in names.items():
            if text == name:
                return member
        for member in names:
            if text == f"{member:x}":
                return member
        known = ", ".join(name or f"{member:x}" for member, name in names.items())
        raise InvalidRequest(f"links: {field}: there is no member {text[:40]!r}; there are {known}")

    def _name(self, member: int) -> str:
        return self._names().get(member) or f"{member:x}"

    def _called(self, place: Place) -> str:
        if isinstance(place, tuple):
            return f"the link from {self._name(place[0])} to {self._name(place[1])}"
        return f"the {place}" if place == CLOCK else f"the disk of the {place}"

    # ---------------------------------------------------------------- what is shown

    def look(self) -> dict[str, Any]:
        """Return the faults in force and what all faults did, as JSON has it (``raftkv.local.verbs``)."""
        links = self._transport.links if self._transport is not None else {}
        offset = {"offset_ms": self.clock.offset_ms}
        return {
            "member": self._name(self._member_id),
            "disk": {
                name: self._shown(name, disk.fault, asdict(disk.effects))
                for name, disk in self._disks.items()
            },
            "links": [
                self._shown(ends, link.fault, {**asdict(link.effects), "held": link.held})
                for ends, link in links.items()
            ],
            "clock": self._shown(CLOCK, self.clock.fault, asdict(self.clock.effects)) | offset,
        }

    def _shown(self, place: Place, fault: Fault, effects: dict[str, Any]) -> dict[str, Any]:
        fields = fault._asdict()
        if isinstance(fault, LinkFault):
            assert isinstance(place, tuple)
            fields = link_json(fault._replace(source=self._name(place[0]), target=self._name(place[1])))
        fields.pop("seconds", None)
        limit = self._limits.get(place)
        left = None if limit is None else max(0.0, limit.deadline - asyncio.get_running_loop().time())
        return {**fields, "seconds_left": left, "effects": effects}


def _is_any(fault: Fault) -> bool:
    """Whether a fault is one, and not the end of one."""
    return fault != _none_like(fault)._replace(seconds=fault.seconds)


def _none_like(fault: Fault) -> Fault:
    match fault:
        case DiskFault():
            return DiskFault()
        case LinkFault():
            return LinkFault(fault.source, fault.target)
        case ClockFault():
            return ClockFault()


def _in_words(fault: Fault) -> str:
    """Return a fault as a log line tells it."""
    fields: Sequence[tuple[str, Any]] = list(fault._asdict().items())
    told = [
        name.replace("_", " ") if value is True else f"{name.replace('_', ' ')} {value:g}"
        for name, value in fields
        if value and name not in ("source", "target", "seconds")
    ]
    if not told:
        return "it is over"
    return ", ".join(told) + (f", for {fault.seconds:g} s" if fault.seconds is not None else "")
