"""What tests of the simulator share."""

from collections.abc import Iterator

import pytest

from tests.sim.stage import Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Three members, one of whom leads."""
    one = Stage()
    one.leader()
    yield one
    one.close()
