"""What ``server.build`` puts in between a member and its surroundings: nothing, or faults (``--chaos``)."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Final, TypedDict

from raftkv.api.health import Page
from raftkv.errors import ConfigError
from raftkv.faults.control import Faults
from raftkv.faults.page import FaultPages, is_local_url
from raftkv.faults.token import read_token
from raftkv.node.config import Config
from raftkv.node.node import Node
from raftkv.node.transport import Transport
from raftkv.storage.disk import Disk
from raftkv.trace import Emit, FaultsAllowed

SEGMENT_BYTES: Final = 64 * 1024
"""Of a log with faults: so small that a full disk is felt soon."""

Names = Callable[[], Mapping[int, str]]
"""Gives the members' names by id, "" for one without."""


class LogSize(TypedDict, total=False):
    """How large segments are, if not as always."""

    segment_bytes: int


class AsItIs:
    """Puts nothing in between."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self.log_size: LogSize = {}
        self.time = wall

    def now(self) -> datetime:
        """Return the time of day."""
        return datetime.fromtimestamp(self.time(), UTC)

    def disk(self, name: str, disk: Disk) -> Disk:
        """Return the disk to use for the log or for snapshots."""
        return disk

    def transport(self, transport: Transport, member_id: int) -> Transport:
        """Return the transport that the node is to use."""
        return transport

    def routes(self, node: Node, names: Names, emit: Emit) -> Mapping[str, Page]:
        """Return the pages about faults."""
        return {}


class WithFaults:
    """Puts in what can be told to fail, and the pages where it is told. Has ``AsItIs``'s methods."""

    def __init__(self, config: Config, wall: Callable[[], float], random: Random) -> None:
        """Make ready. Raises ConfigError without a token, and where other machines could reach the pages."""
        for url in config.listen_client_urls:
            if not is_local_url(url):
                raise ConfigError(
                    f"--listen-client-urls {url}: with --chaos clients are served on this machine only; "
                    f"use http://127.0.0.1:PORT"
                )
        self.log_size: LogSize = {"segment_bytes": SEGMENT_BYTES}
        self._token = read_token(config.chaos_token_file, config.chaos_token)
        self._faults = Faults(wall, random)
        self.time = self._faults.clock.time
        self.now = self._faults.clock.now
        self.disk = self._faults.over_disk
        self.transport = self._faults.over_transport

    def routes(self, node: Node, names: Names, emit: Emit) -> Mapping[str, Page]:
        """Return the pages about faults, and let nobody overlook that they are there."""
        emit(FaultsAllowed(self._token.source))
        self._faults.introduced(names, emit)
        return FaultPages(self._faults, self._token, node).routes


def surroundings(config: Config, wall: Callable[[], float], random: Random) -> AsItIs | WithFaults:
    """Return what a member with this configuration is to have. Raises ConfigError."""
    return WithFaults(config, wall, random) if config.chaos else AsItIs(wall)
