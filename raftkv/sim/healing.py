"""The end of the safety phase: who is healed for good, who is left to rot, and whether that is enough.

Where disks were damaged beyond what a cluster survives, nobody knows before a start who can go on: there all
members are started first.
"""

import asyncio
from collections.abc import Sequence

from raftkv.raft.quorum import is_majority
from raftkv.sim.coups import links_between
from raftkv.sim.members import LEFT_TO_ROT, Member
from raftkv.sim.network import CALM
from raftkv.sim.scenario import OFF, Scenario
from raftkv.sim.watch import Link
from raftkv.sim.world import Broken, World

START_SECONDS = 20.0
"""How long a member may take to read its disk and come up, or to refuse."""

POLL_SECONDS = 0.05


async def start_whoever_can(world: World) -> None:
    """Start all members, and see who comes up. Raises Broken when one neither does nor refuses."""
    deadline = world.loop.now + START_SECONDS
    for member in world.members.values():
        _repair(world, member)
    while late := [one.name for one in world.members.values() if one.running and not one.node]:
        if world.loop.now > deadline:
            raise Broken("liveness of members", f"{', '.join(late)} neither came up nor refused")
        await asyncio.sleep(POLL_SECONDS)


def choose_core(world: World, scenario: Scenario, further: Sequence[tuple[int, ...]]) -> list[Member]:
    """Return the members the scenario names, and as many more voters as a majority needs.

    ``further``: voters as they may be soon; of these, too, the chosen are a majority where that can be. It
    can't where nobody would be left: an operator may ask for the last voter's removal, and is refused.
    """
    voters = world.voters()
    wanted = scenario.heal.core if scenario.heal is not None else scenario.members
    members = world.members.values()
    # Who reads a damaged disk right now may still refuse it.
    alive = [member for member in members if not (member.gone or (member.rotten and not member.node))]
    chosen = [member for member in alive if member.name in wanted and member.number in voters]
    further = [one for one in further if is_majority(one, [member.number for member in alive])]
    for member in alive:
        if (short := _lacks_majority(world, chosen, further)) is None:
            break
        if member.number in short and member not in chosen:
            chosen.append(member)
    for member in alive:  # their logs may know of changes of their own
        short = _lacks_majority(world, chosen, further)
        if short is not None and member.number in short and member not in chosen:
            chosen.append(member)
    return chosen


def can_go_on(world: World, scenario: Scenario, chosen: list[Member]) -> bool:
    """Whether the chosen decide. Raises Broken when they don't, and damaged disks are not the reason."""
    if scenario.beyond_repair and not _decide(world, chosen):
        refused = [member for member in world.members.values() if member.rotten and member.gone]
        if _decide(world, chosen + refused):
            return False
    voters = world.voters()
    if not is_majority(voters, [one.number for one in chosen]):
        raise Broken("liveness of members", f"no majority of {voters} can be started: {gone(world)}")
    return True


def heal(world: World, chosen: list[Member], others: str = OFF) -> None:
    """Heal the chosen members and the network, and end all others for good, or cut them off: ``others``."""
    world.network.mend_all()
    world.network.conditions = CALM
    for member in world.members.values():
        if member in chosen:
            _repair(world, member)
        elif member.running is None or member.number not in world.removed():
            # Of who was removed and is up nobody has switched it off, and it must not disturb.
            if others == OFF:
                world.crash(member, "all")
            else:
                world.network.cut_for_good(_links_of(world, member, others))
            member.gone = member.gone or LEFT_TO_ROT


def _links_of(world: World, member: Member, others: str) -> list[Link]:
    """Return the links to who is ``deaf``, from who is ``mute``, or both."""
    rest = [other for other in world.members if other != member.number]
    ways = {"deaf": "in", "mute": "out", "cut": "both"}
    return links_between([member.number], rest, ways[others])


def gone(world: World) -> str:
    """Return who can't be started any more, and why."""
    return ", ".join(f"{m.name}: {m.gone}" for m in world.members.values() if m.gone)


def _repair(world: World, member: Member) -> None:
    """Let a member run as well as it can."""
    member.slowness = 1.0
    if member.disk.has_failed:
        world.crash(member, "")  # it ends by that at its next save, which may be a while
    member.disk.heal()
    if member.running is not None and member.running.incarnation.paused:
        world.loop.resume(member.running.incarnation)
        world.watcher.resumed(world.loop.now, member.name)
    world.start(member)


def _decide(world: World, chosen: list[Member]) -> bool:
    return _lacks_majority(world, chosen) is None


def _lacks_majority(
    world: World, chosen: list[Member], further: Sequence[tuple[int, ...]] = ()
) -> tuple[int, ...] | None:
    """Return voters that decide, by the log of one of the chosen, and of whom too few are chosen."""
    numbers = [member.number for member in chosen]
    electorates = [*world.electorates(numbers), *further]
    return next((voters for voters in electorates if not is_majority(voters, numbers)), None)
