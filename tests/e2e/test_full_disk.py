"""A full disk, in one process: three servers, each on a disk that refuses what does not fit."""

import asyncio
import io
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from raftkv import server as server_module
from raftkv.local import free_ports
from raftkv.node.config import Config
from raftkv.server import EventLog, Server, build
from raftkv.storage.wal import Wal
from tests.e2e.full_disk import NAMES, tell
from tests.e2e.limited_disk import Volume
from tests.e2e.processes import HOST, MIB

ROOM_LEFT = 2 * MIB


class InProcessCluster:
    """Three servers in this event loop; see ``FullDiskCluster``."""

    segment_bytes = MIB

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        ports = free_ports(6)
        self._monkeypatch = monkeypatch
        self._urls = {name: f"http://{HOST}:{ports[n]}" for n, name in enumerate(NAMES)}
        self._peers = {name: f"http://{HOST}:{ports[3 + n]}" for n, name in enumerate(NAMES)}
        self._volumes = {name: Volume(folder / name) for name in NAMES}
        self._servers: dict[str, tuple[Server, asyncio.Task[None]]] = {}

    async def start(self, name: str) -> None:
        config = Config(
            name=name,
            data_dir=str(self._volumes[name].folder),
            listen_client_urls=(self._urls[name],),
            advertise_client_urls=(self._urls[name],),
            listen_peer_urls=(self._peers[name],),
            initial_advertise_peer_urls=(self._peers[name],),
            initial_cluster={name: (url,) for name, url in self._peers.items()},
            heartbeat_interval=20,
            election_timeout=200,
        )
        # The server makes its disks when it is built, and builds one at a time.
        self._monkeypatch.setattr(server_module, "FileDisk", self._volumes[name].disk)
        server = await build(config, EventLog(config, io.StringIO()))
        self._servers[name] = server, asyncio.create_task(server.run())

    async def stop(self, name: str) -> None:
        server, task = self._servers.pop(name)
        assert not task.done(), f"{name} ended by itself: {task.exception()!r}"
        server.stop()
        await task

    async def limit(self, name: str) -> None:
        self._volumes[name].capacity = self._volumes[name].used() + ROOM_LEFT

    async def unlimit(self, name: str) -> None:
        assert self._volumes[name].refusals, "the disk never refused anything"
        self._volumes[name].capacity = None

    def url(self, name: str) -> str:
        return self._urls[name]

    async def end(self) -> None:
        """Stop what runs; whatever ended by itself fails the test."""
        for name in list(self._servers):
            await self.stop(name)


@pytest.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[InProcessCluster]:
    for method in (Wal.create, Wal.open):
        defaults = method.__func__.__kwdefaults__  # type: ignore[attr-defined]
        monkeypatch.setitem(defaults, "segment_bytes", InProcessCluster.segment_bytes)
    cluster = InProcessCluster(tmp_path, monkeypatch)
    yield cluster
    await cluster.end()


@pytest.mark.e2e
@pytest.mark.parametrize("role", ["follower"])
async def test_a_member_with_a_full_disk_refuses_votes_and_goes_on(
    cluster: InProcessCluster, role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    await tell(cluster, role, lines.append)
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
