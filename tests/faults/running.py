"""Members with fault verbs, put together as ``raftkv serve`` does it, in one event loop."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from raftkv.faults.orders import LinkFault, Orders
from raftkv.local.ports import free_ports
from raftkv.local.verbs import FaultVerbs
from raftkv.node.config import Config
from raftkv.raft import Role
from raftkv.server import EventLog, Server, build

TOKEN = "0123456789abcdef-of-the-tests"
SECONDS = 60.0
"""Longest wait for anything here."""


def token_file(folder: Path, text: str = f"{TOKEN}\n", mode: int = 0o600) -> Path:
    path = folder / "token"
    path.write_text(text)
    path.chmod(mode)
    return path


def configs(folder: Path, size: int = 1, **changes: str) -> list[Config]:
    """Return the settings of a cluster's members n1, n2, ... with fault verbs."""
    ports = free_ports(2 * size)
    clients = [f"http://127.0.0.1:{port}" for port in ports[:size]]
    peers = [f"http://127.0.0.1:{port}" for port in ports[size:]]
    token = token_file(folder)
    cluster = ",".join(f"n{number}={url}" for number, url in enumerate(peers, 1))
    return [
        Config.from_flags(
            {
                "name": f"n{number}",
                "data_dir": str(folder / f"n{number}"),
                "listen_client_urls": client,
                "advertise_client_urls": client,
                "listen_peer_urls": peer,
                "initial_advertise_peer_urls": peer,
                "initial_cluster": cluster,
                "heartbeat_interval": "20",
                "election_timeout": "300",
                "chaos": "true",
                "chaos_token_file": str(token),
            }
            | changes
        )
        for number, (client, peer) in enumerate(zip(clients, peers, strict=True), 1)
    ]


class Member:
    """One that runs, how it is asked, and what it logged."""

    def __init__(self, server: Server, lines: io.StringIO, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.name = server.config.name
        self.url = server.config.listen_client_urls[0]
        self.verbs = FaultVerbs(session, self.url, TOKEN)
        self.task = asyncio.create_task(server.run())
        self._lines = lines
        self._session = session

    @property
    def log(self) -> str:
        return self._lines.getvalue()

    async def put(self, size: int = 1) -> tuple[int, Any]:
        """Put a value; return the status and the answer."""
        body = {"key": "a2V5", "value": "AAAA" * size}
        async with self._session.post(f"{self.url}/v3/kv/put", json=body) as reply:
            return reply.status, json.loads(await reply.read())

    async def ask(self, path: str, body: dict[str, int]) -> Any:
        """Ask something that is granted; return the answer."""
        async with self._session.post(f"{self.url}{path}", json=body) as reply:
            assert reply.status == 200, await reply.text()
            return json.loads(await reply.read())

    async def can_write(self) -> bool:
        return (await self.put())[0] == 200

    async def stop(self) -> None:
        self.server.stop()
        await asyncio.wait({self.task})


async def until(condition: Callable[[], Awaitable[bool] | bool]) -> None:
    """Wait for what has to come."""
    async with asyncio.timeout(SECONDS):
        while True:
            met = condition()
            if met if isinstance(met, bool) else await met:
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(settings: list[Config]) -> AsyncIterator[list[Member]]:
    """Run members; all serve clients, and one leads."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        members = []
        for config in settings:
            lines = io.StringIO()
            members.append(Member(await build(config, EventLog(config, lines)), lines, session))
            stack.push_async_callback(members[-1].stop)
        await until(lambda: all("started as" in member.log or member.task.done() for member in members))
        await until(members[0].can_write)
        yield members


def leader_of(members: list[Member]) -> Member | None:
    """Return who leads in the highest term, if anybody does."""
    leaders = [one for one in members if one.server.node.status().role is Role.LEADER]
    return max(leaders, key=lambda one: one.server.node.status().term, default=None)


async def tell_links(members: list[Member], links: list[LinkFault]) -> None:
    """Tell both ends of each link."""
    for member in members:
        own = tuple(link for link in links if member.name in (link.source, link.target))
        if own:
            await member.verbs.order(Orders(links=own))
