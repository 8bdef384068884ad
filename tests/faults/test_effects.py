"""What faults do to real members, and that these go on after it."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from raftkv.errors import StorageError
from raftkv.faults.orders import ClockFault, DiskFault, LinkFault, Orders
from raftkv.local.verbs import VerbRefused
from tests.faults.running import Member, configs, leader_of, running, tell_links, until


async def test_a_full_disk_refuses_writes_clearly_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    async with running(configs(tmp_path)) as [member]:
        await member.verbs.order(Orders(disks={"log": DiskFault(full=True)}))
        status, answer, written = 200, {}, 0
        while status == 200:
            status, answer = await member.put(100)
            written += status == 200
            assert written < 1000
        assert (status, answer["message"]) == (429, "etcdserver: mvcc: database space exceeded")
        shown = await member.verbs.look()
        assert shown["disk"]["log"]["effects"]["refused"] > 0
        assert shown["disk"]["snapshots"]["effects"]["refused"] == 0
        await member.verbs.heal()
        await until(member.can_write)
        assert not member.task.done()


async def test_a_full_disk_for_snapshots_lets_them_fail_and_writes_go_on(tmp_path: Path) -> None:
    async with running(configs(tmp_path)) as [member]:
        await member.verbs.order(Orders(disks={"snapshots": DiskFault(full=True)}))
        with pytest.raises(VerbRefused, match=r"503: .*No space left on device") as caught:
            await member.verbs.snapshot()
        assert caught.value.status == 503
        assert "has to be tried again" in member.log
        assert await member.can_write()
        assert (await member.verbs.heal())["disk"]["snapshots"]["effects"]["refused"] > 0
        taken = await member.verbs.snapshot()
        assert (taken["index"], taken["term"]) == (
            member.server.node.applied_index,
            member.server.node.status().term,
        )
        assert taken["bytes"] > 0
        assert await member.verbs.snapshot() == taken


async def test_a_failed_fsync_ends_the_member_and_what_was_acknowledged_is_there_again(
    tmp_path: Path,
) -> None:
    settings = configs(tmp_path)
    async with running(settings) as [member]:
        _, answer = await member.put()
        revision = int(answer["header"]["revision"])
        await member.verbs.order(Orders(disks={"log": DiskFault(fail_fsyncs=1)}))
        putting = asyncio.create_task(member.put())
        await asyncio.wait({member.task})
        with pytest.raises(ExceptionGroup) as caught:
            member.task.result()
        assert caught.group_contains(StorageError, match="sync failed: Input/output error")
        await asyncio.wait({putting})
        assert putting.exception() is not None or putting.result()[0] != 200
    async with running(settings) as [member]:
        _, answer = await member.put()
        assert int(answer["header"]["revision"]) > revision
        assert (await member.verbs.look())["disk"]["log"]["fail_fsyncs"] == 0


async def test_slow_fsyncs_delay_and_are_counted(tmp_path: Path) -> None:
    async with running(configs(tmp_path)) as [member]:
        await member.verbs.order(Orders(disks={"log": DiskFault(slow_fsync_ms=50)}))
        begin = asyncio.get_running_loop().time()
        for _ in range(3):
            assert await member.can_write()
        assert asyncio.get_running_loop().time() - begin >= 0.15
        effects = (await member.verbs.heal())["disk"]["log"]["effects"]
        assert effects["fsyncs_delayed"] >= 3
        assert effects["delayed_ms"] >= 3 * 49


async def test_a_clock_that_jumps_is_seen_in_log_lines_and_by_nothing_that_counts_down(
    tmp_path: Path,
) -> None:
    async with running(configs(tmp_path)) as [member]:
        term = member.server.node.status().term
        year = 365 * 24 * 3600 * 1000.0
        await member.verbs.order(Orders(clock=ClockFault(jump_ms=5 * year)))
        line = member.log.splitlines()[-1]
        ahead = datetime.fromisoformat(line.split()[0]) - datetime.now(UTC)
        assert abs(ahead.total_seconds() - 5 * year / 1000) < 60
        assert line.endswith("warning n1: fault of the clock: jump ms 1.5768e+11")
        assert await member.can_write()
        shown = (await member.verbs.heal())["clock"]
        assert shown["effects"]["reads"] > 0
        assert shown["effects"]["largest_offset_ms"] == 5 * year
        assert (member.server.node.status().term, shown["offset_ms"]) == (term, 0)


@pytest.mark.parametrize("year", [365 * 24 * 3600 * 1000.0, -365 * 24 * 3600 * 1000.0])
async def test_leases_go_by_a_clock_that_nobody_sets(year: float, tmp_path: Path) -> None:
    async with running(configs(tmp_path)) as [member]:

        async def seconds_left(lease: int) -> int:
            return int((await member.ask("/v3/lease/timetolive", {"ID": lease})).get("TTL", 0))

        await member.ask("/v3/lease/grant", {"ID": 7, "TTL": 600})
        await member.verbs.order(Orders(clock=ClockFault(jump_ms=year)))
        assert await seconds_left(7) > 300
        stands_still = ClockFault(jump_ms=year, drift_ppm=-1_000_000)
        await member.verbs.order(Orders(clock=stands_still))
        await member.ask("/v3/lease/grant", {"ID": 8, "TTL": 1})

        async def is_over() -> bool:
            return await seconds_left(8) == -1

        await until(is_over)
        assert await seconds_left(7) > 300


def cuts(member: Member, others: list[Member]) -> list[LinkFault]:
    """Return the links that cut a member off."""
    there = [LinkFault(member.name, other.name, cut=True) for other in others]
    return there + [LinkFault(link.target, link.source, cut=True) for link in there]


async def test_a_leader_that_is_cut_off_is_replaced_and_follows_when_it_is_healed(tmp_path: Path) -> None:
    async with running(configs(tmp_path, 3)) as members:
        old = leader_of(members)
        assert old is not None
        term = old.server.node.status().term
        others = [one for one in members if one is not old]
        await tell_links(members, cuts(old, others))
        await until(lambda: leader_of(others) is not None)
        new = leader_of(others)
        assert new is not None
        assert new.server.node.status().term > term
        await until(new.can_write)
        shown = await old.verbs.look()
        assert {(link["from"], link["to"]) for link in shown["links"]} == {
            pair for other in others for pair in ((old.name, other.name), (other.name, old.name))
        }
        for link in shown["links"]:
            assert link["cut"]
            assert link["effects"]["dropped"] > 0 or link["to"] == old.name  # the other end drops it first
        for member in members:
            await member.verbs.heal()
        await until(old.can_write)
        assert old.server.node.status().term >= new.server.node.status().term > term
        assert old.server.node.status().leader


async def test_links_of_one_direction_by_id_lose_messages_at_one_end(tmp_path: Path) -> None:
    async with running(configs(tmp_path, 3)) as members:
        leader = leader_of(members)
        assert leader is not None
        follower = next(one for one in members if one is not leader)
        ends = [f"{one.server.node.member_id:x}" for one in (leader, follower)]
        told = await follower.verbs.order(
            Orders(links=(LinkFault(*ends, drop=0.5, duplicate=0.5, delay_ms=5),))
        )
        [link] = told["links"]
        assert (link["from"], link["to"]) == (leader.name, follower.name)

        async def all_happened() -> bool:
            await leader.put()
            [link] = (await follower.verbs.look())["links"]
            return all(link["effects"][name] for name in ("dropped", "duplicated", "delayed"))

        await until(all_happened)
        await follower.verbs.heal()
        await until(follower.can_write)


async def test_leadership_goes_to_who_is_named(tmp_path: Path) -> None:
    async with running(configs(tmp_path, 3)) as members, aiohttp.ClientSession() as session:
        leader = leader_of(members)
        assert leader is not None
        target = next(one for one in members if one is not leader)
        url = f"{leader.url}/v3/maintenance/transfer-leadership"
        async with session.post(url, json={"targetID": str(target.server.node.member_id)}) as reply:
            assert reply.status == 200
        assert leader_of(members) is target


async def test_a_failed_fsync_of_a_snapshot_ends_the_member_too_and_harms_nothing(tmp_path: Path) -> None:
    settings = configs(tmp_path)
    async with running(settings) as [member]:
        await member.verbs.order(Orders(disks={"snapshots": DiskFault(fail_fsyncs=1)}))
        with pytest.raises((VerbRefused, aiohttp.ClientError)):
            await member.verbs.snapshot()
        await asyncio.wait({member.task})
        assert isinstance(member.task.exception(), ExceptionGroup)
    async with running(settings) as [member]:
        assert (await member.verbs.snapshot())["index"] > 0
