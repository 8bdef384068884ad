"""A follower that crashes anywhere in an install ends up as the others, whatever its disk kept."""

from itertools import cycle

import pytest

from raftkv.node import snapshot_store
from tests.node.install_crashes import OUTCOMES, Case, Install, kinds

HIT = (
    "create .part",
    "write .part",
    "sync .part",
    "rename .part",
    "sync directory snap",
    "write .wal",
    "remove .snap",
)


async def test_a_crash_at_every_call_of_an_install_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_store, "CHUNK_BYTES", 16_384)
    install = Install()
    async with install.cluster:
        await install.prepare()
        hit = kinds(install.steps)
        assert all(any(kind.startswith(wanted) for kind in hit) for wanted in HIT), hit
        outcomes = cycle(OUTCOMES)
        swapped = [
            await install.crash(Case(step, *next(outcomes))) for step in range(1, len(install.steps) + 1)
        ]
    assert 0 < sum(swapped) < len(swapped)
