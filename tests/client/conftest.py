"""A client of each system, and keys that no other test uses."""

from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from raftkv.client import Client
from tests.client.systems import etcd, raftkv

SYSTEMS = {"etcd": etcd, "raftkv": raftkv}

_numbers = count()


@pytest.fixture(scope="session", params=[pytest.param(name, marks=pytest.mark.e2e) for name in SYSTEMS])
def urls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Client URLs of a running system."""
    with SYSTEMS[request.param](tmp_path_factory.mktemp(request.param)) as found:
        yield found


@pytest.fixture
async def client(urls: list[str]) -> AsyncIterator[Client]:
    async with Client(urls) as client:
        yield client


@pytest.fixture
def name() -> str:
    """The beginning of the test's own keys."""
    return f"test-{next(_numbers)}/"
