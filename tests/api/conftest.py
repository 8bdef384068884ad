from collections.abc import AsyncIterator

import pytest

from raftkv import api
from tests.service.fake_node import FakeNode


@pytest.fixture
async def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
async def port(node: FakeNode) -> AsyncIterator[int]:
    clients = api.build(node, lambda: 1e9)  # type: ignore[arg-type]
    await clients.start(["http://127.0.0.1:0"])
    yield clients.addresses[0][1]
    await clients.stop()
