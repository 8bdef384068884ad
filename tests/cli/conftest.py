"""Clusters for the tests of the command, always ended again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from raftkv.local import free_ports
from tests.cli.command import Command, ports_text


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    """The command in an empty folder."""
    command = Command(tmp_path)
    yield command
    command.end()


@pytest.fixture
def ports() -> str:
    """Free ports for three members, as ``--ports`` takes them."""
    return ports_text(free_ports(6))


@pytest.fixture
def one_port() -> str:
    """Free ports for one member."""
    return ports_text(free_ports(2))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The command in a folder whose cluster of three runs, for tests that change nothing about it."""
    command = Command(tmp_path_factory.mktemp("running"))
    started = command("up", "--ports", ports_text(free_ports(6)))
    assert started.returncode == 0, started.stderr
    yield command
    command.end()
