"""A member makes its name and client URLs known to all, once there is a leader."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from raftkv.errors import NodeStopped, NoSpace, ProposalDropped, RequestError, RequestTimedOut
from raftkv.mvcc.commands import PublishMember
from raftkv.mvcc.machine import Machine
from raftkv.node.config import Config


def is_published(config: Config, member_id: int, machine: Machine) -> bool:
    """Whether the members' list has what this member's flags say."""
    wanted = (config.name, config.advertise_client_urls)
    return any(
        member.id == member_id and (member.name, tuple(member.client_urls)) == wanted
        for member in machine.membership.members()
    )


async def publish(
    config: Config, member_id: int, machine: Machine, propose: Callable[[Any], Awaitable[Any]]
) -> None:
    """Propose until the members' list has it, or the node stops."""
    while not is_published(config, member_id, machine):
        try:
            await propose(PublishMember(member_id, config.name, list(config.advertise_client_urls)))
        except NodeStopped:
            return
        except (ProposalDropped, RequestTimedOut, NoSpace, RequestError):
            pass  # tried again below
        if not is_published(config, member_id, machine):
            # a new member may not have heard of its own addition yet
            await asyncio.sleep(config.election_timeout / 1000)
