"""A client of each system, and keys that no other test uses."""

from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from raftkv.client import Client
from tests.client.systems import etcd

SYSTEMS = ["etcd"]

_numbers = count()


@pytest.fixture(scope="session", params=SYSTEMS)
def urls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Client URLs of a running system."""
    with etcd(tmp_path_factory.mktemp("etcd")) as found:
        yield found


@pytest.fixture
async def client(urls: list[str]) -> AsyncIterator[Client]:
    async with Client(urls) as client:
        yield client


@pytest.fixture
def name() -> str:
    """The beginning of the test's own keys."""
    return f"test-{next(_numbers)}/"
