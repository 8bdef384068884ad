import pytest

from tests.service.fake_node import FakeNode


@pytest.fixture
async def node() -> FakeNode:
    return FakeNode()
