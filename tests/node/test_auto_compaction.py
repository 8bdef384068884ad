"""Automatic compaction in both modes, on a clock that the tests turn."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from raftkv.errors import Compacted, ConfigError, NodeStopped, RequestTimedOut
from raftkv.node.auto_compaction import ByRevision, Periodic, Policy, compact_automatically, policy_of
from raftkv.schema.kv import CompactionRequest

MINUTE = 60.0
HOUR = 60 * MINUTE


class World:
    """A member whose store gains one revision a minute, and its clock."""

    def __init__(self, until: float) -> None:
        self.now = 0.0
        self.until = until
        self.leads_from = 0.0
        self.fails_before = 0.0
        self.error: Exception = RequestTimedOut()
        self.last_revision = 10**6
        self.compacted: list[tuple[int, int]] = []

    def revision(self) -> int:
        return min(round(self.now / MINUTE) + 1, self.last_revision)

    async def sleep(self, seconds: float) -> None:
        if self.now + seconds > self.until + 1e-6:
            raise asyncio.CancelledError
        self.now += seconds

    async def propose(self, request: CompactionRequest) -> Any:
        if self.now < self.fails_before - 1e-6:
            raise self.error
        self.compacted.append((round(self.now / MINUTE), request.revision))

    async def run(self, policy: Policy) -> list[tuple[int, int]]:
        """Return when (in minutes) and to which revisions was compacted."""
        with suppress(asyncio.CancelledError):
            await compact_automatically(
                policy,
                self.revision,
                lambda: self.now >= self.leads_from - 1e-6,
                self.propose,
                sleep=self.sleep,
            )
        return self.compacted


async def test_by_time_the_first_comes_after_a_retention_and_then_each_hour() -> None:
    """As in etcd what is compacted to was seen a retention, or up to a tenth of an hour more, ago."""
    compacted = await World(13 * HOUR).run(Periodic(10 * HOUR))
    assert compacted == [(600, 1), (660, 55), (720, 115), (780, 175)]


async def test_by_time_a_short_retention_is_also_the_interval() -> None:
    assert await World(91 * MINUTE).run(Periodic(30 * MINUTE)) == [(30, 1), (60, 28), (90, 58)]


async def test_by_time_a_failure_is_tried_again_after_a_tenth() -> None:
    world = World(2.5 * HOUR)
    world.fails_before = 72 * MINUTE
    assert await world.run(Periodic(HOUR)) == [(72, 7), (132, 67)]


async def test_what_is_compacted_already_counts_as_done() -> None:
    world = World(2 * HOUR)
    world.fails_before, world.error = 72 * MINUTE, Compacted()
    assert await world.run(Periodic(HOUR)) == [(120, 55)]


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [(Periodic(HOUR), [(96, 31), (156, 91)]), (ByRevision(90), [(95, 6), (100, 11)])],
    ids=["time", "revision"],
)
async def test_who_does_not_lead_keeps_count_and_leaves_it_to_the_leader(
    policy: Policy, wanted: list[tuple[int, int]]
) -> None:
    world = World(160 * MINUTE)
    world.leads_from = 93 * MINUTE
    assert (await world.run(policy))[:2] == wanted


async def test_by_revision_the_last_ones_are_kept() -> None:
    assert await World(21 * MINUTE).run(ByRevision(12)) == [(15, 4), (20, 9)]


async def test_by_revision_a_failure_is_tried_again_and_nothing_is_proposed_twice() -> None:
    world = World(HOUR)
    world.last_revision, world.fails_before = 6, 12 * MINUTE
    assert await world.run(ByRevision(2)) == [(15, 4)]


async def test_it_ends_with_the_node() -> None:
    world = World(10 * HOUR)
    world.error, world.fails_before = NodeStopped(), 10 * HOUR
    assert await world.run(Periodic(HOUR)) == []
    assert world.now == pytest.approx(HOUR)


@pytest.mark.parametrize(
    ("retention", "seconds"),
    [
        ("1", HOUR),
        ("30m", 30 * MINUTE),
        ("1h30m", 90 * MINUTE),
        ("1.5h", 90 * MINUTE),
        ("90s", 90),
        ("2000ms", 2),
    ],
)
def test_a_retention_is_hours_or_a_duration(retention: str, seconds: float) -> None:
    policy = policy_of("periodic", retention)
    assert isinstance(policy, Periodic)
    assert policy.pause == pytest.approx(min(seconds, HOUR) / 10)


@pytest.mark.parametrize(("mode", "retention"), [("periodic", "0"), ("periodic", "0s"), ("revision", "0")])
def test_a_retention_of_nothing_turns_it_off(mode: str, retention: str) -> None:
    assert policy_of(mode, retention) is None


@pytest.mark.parametrize(
    ("mode", "retention", "text"),
    [
        ("hourly", "1", "use periodic or revision"),
        ("", "1", "use periodic or revision"),
        ("revision", "1h", "a whole number"),
        ("revision", "-1", "a whole number"),
        ("revision", "9" * 5000, "a whole number"),
        ("periodic", "-1h", "a duration such as"),
        ("periodic", "1 h", "a duration such as"),
        ("periodic", "soon", "a duration such as"),
        ("periodic", "", "a duration such as"),
        ("periodic", "1ms", "use 1s to"),
        ("periodic", "9" * 400, "use 1s to"),
    ],
)
def test_flags_that_make_no_sense_are_refused(mode: str, retention: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        policy_of(mode, retention)
