"""A short run of random crashes and cuts with snapshots all the time; see ``snapshot_chaos``."""

from tests.node.snapshot_chaos import Chaos


async def test_nothing_acknowledged_is_lost_among_crashes_cuts_and_snapshots() -> None:
    chaos = Chaos(seed=7)
    await chaos.play(seconds=3)
    assert chaos.acknowledged
    assert chaos.told["SnapshotTaken"] > 0
