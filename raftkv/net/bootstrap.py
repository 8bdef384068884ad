"""What the others know of a member that is about to start with an empty log.

A member that lost its data folder has forgotten its vote and what it acknowledged. Starting it under its
old id could elect a leader without the committed entries. etcd refuses that too ("has already been
bootstrapped"). Members that can't be reached can't tell; then nobody knows better.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import aiohttp

ASK_SECONDS: Final = 2.0


async def started_before(member_id: int, others: Mapping[int, Sequence[str]]) -> bool:
    """Ask ``others`` (member id -> peer URLs); whether one lists the member with a published name."""
    timeout = aiohttp.ClientTimeout(total=ASK_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        urls = [url for peer_urls in others.values() for url in peer_urls]
        answers = await asyncio.gather(*(_members(session, url) for url in urls))
    return any(
        isinstance(member, dict) and member.get("id") == member_id and bool(member.get("name"))
        for members in answers
        for member in members
    )


async def _members(session: aiohttp.ClientSession, url: str) -> list[Any]:
    """Return what a peer port says to GET /members, [] if it says nothing of use."""
    try:
        async with session.get(f"{url}/members", allow_redirects=False) as answer:
            members = await answer.json(content_type=None) if answer.status == 200 else []
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return []
    return members if isinstance(members, list) else []
