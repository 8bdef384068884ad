"""Damage to what was durable: each way does what it says, and none of it can pass for a crash."""

import asyncio
from collections import Counter
from random import Random
from typing import NamedTuple

import pytest

from raftkv.errors import ConfigError, SnapshotDamaged, StorageCorrupt
from raftkv.node.restore import restore
from raftkv.raft import Configuration
from raftkv.sim.checks import Replay
from raftkv.sim.damage import MIN_ROTTEN_BYTES, MOST_SECTORS, WAYS, damage, last_save, rot
from raftkv.sim.disk import SECTOR, SimDisk
from raftkv.sim.members import LOG, SEGMENT_BYTES, SNAPSHOTS
from raftkv.sim.scenario import Scenario
from raftkv.storage import recovery
from raftkv.storage.snapshots import SnapshotFolder
from raftkv.storage.wal import Wal
from tests.sim.stage import Stage

OUTCOMES = ("", "nothing", "all", "sectors", "torn")


def disks_of(seed: int, puts: int, snapshot_count: int, outcome: str) -> list[SimDisk]:
    """Return the disks of a cluster that went down in the middle of writing."""
    stage = Stage(Scenario(seed=seed, options={"snapshot-count": str(snapshot_count)}))
    stage.leader()
    stage.run(0.5)
    random = Random(seed)
    for number in range(puts):
        stage.play(f"c1 via n1 put k{number % 7} v{number}{'x' * random.choice((1, 10, 400, 700))}")
    for name in ("n1", "n2", "n3"):
        stage.play(f"crash {name} {outcome} writing" if outcome else f"kill {name}")
    stage.wait_for(lambda: all(member.running is None for member in stage.world.members.values()))
    disks = [member.disk.kill() for member in stage.world.members.values()]
    stage.close()
    return disks


@pytest.fixture(scope="module")
def disk() -> SimDisk:
    """A disk with some segments and snapshots."""
    return disks_of(1, 300, 60, "all")[0]


def files(disk: SimDisk, folder: str) -> dict[str, bytes]:
    return {name: bytes(inode.live) for name, inode in disk.names.items() if name.startswith(folder)}


def test_the_disk_is_worth_damaging(disk: SimDisk) -> None:
    assert len(files(disk, LOG)) > 4 and len(files(disk, SNAPSHOTS)) >= 3


@pytest.mark.parametrize("where", ["wal", "snapshot"])
@pytest.mark.parametrize("way", WAYS)
def test_one_file_is_damaged_durably_in_the_way_that_was_asked_for(
    disk: SimDisk, where: str, way: str
) -> None:
    folder = LOG if where == "wal" else SNAPSHOTS
    for seed in range(30):
        after = disk.kill()
        told = damage(after, where, way, Random(seed))
        hit = told.split()[1]
        before, now = files(disk, folder), files(after, folder)
        assert told.startswith(way) and [name for name in before if now.get(name) != before[name]] == [hit]
        if way == "gone":
            assert hit not in after.names and hit not in after.durable_names
            continue
        assert after.names[hit].durable == after.names[hit].live and after.durable_names.keys() >= now.keys()
        old, new = before[hit], now[hit]
        changed = [place for place, (one, other) in enumerate(zip(old, new, strict=False)) if one != other]
        match way:
            case "flip":
                assert len(old) == len(new) and [(old[at] ^ new[at]).bit_count() for at in changed] == [1]
            case "zero":
                assert len(old) == len(new) and not any(new[at] for at in changed)
                assert changed[-1] // SECTOR - changed[0] // SECTOR < MOST_SECTORS
            case _:
                assert len(new) < len(old) and changed == []


@pytest.mark.parametrize("way", ["flip", "zero", "gone"])
def test_the_last_save_stays_as_it_is(disk: SimDisk, way: str) -> None:
    """Without it no store could tell damage from a save that the crash interrupted."""
    segments = sorted(name for name in disk.names if name.endswith(".wal"))
    number, start = last_save(disk, segments)
    path = segments[number]
    saved = bytes(disk.content(path))[start:]
    assert saved.rstrip(b"\0") and not any(any(disk.content(later)) for later in segments[number + 1 :])
    for seed in range(60):
        after = disk.kill()
        for _ in range(10):
            damage(after, "wal", way, Random(seed))
        assert segments[-1] in after.names
        if way != "gone":
            assert bytes(after.content(path))[start:] == saved


def test_rot_stays_before_the_last_save_even_if_a_torn_one_is_longer(disk: SimDisk) -> None:
    """Seed 3000016 with lease reads and mutant R7: the bit was in the last vote that was saved."""
    after = disk.kill()
    segments = sorted(name for name in after.names if name.endswith(".wal"))
    number, start = last_save(after, segments)
    content = after.content(path := segments[number])
    assert start > 0
    end = len(bytes(content).rstrip(b"\0"))
    content[end:] = b"torn" * max(end, MIN_ROTTEN_BYTES)
    assert last_save(after, segments) == (number, start)
    saved, before = bytes(content[start:]), bytes(content[:start])
    for seed in range(50):
        assert path in rot(after, "wal", Random(seed))
    assert bytes(content[start:]) == saved and bytes(content[:start]) != before


def test_one_snapshot_alone_is_damaged_where_it_is_named(disk: SimDisk) -> None:
    chosen, *others = sorted(files(disk, SNAPSHOTS))
    after = disk.kill()
    for seed in range(20):
        assert chosen in damage(after, "snapshot", "flip", Random(seed), chosen)
    assert all(after.content(name) == disk.content(name) for name in others)
    assert after.content(chosen) != disk.content(chosen)


def test_where_there_is_nothing_nothing_is_damaged() -> None:
    assert {damage(SimDisk(), where, way, Random(1)) for where in ("wal", "snapshot") for way in WAYS} == {""}


@pytest.mark.parametrize(("where", "way"), [("wal", "burn"), ("lock", "flip")])
def test_damage_that_does_not_exist_is_named(disk: SimDisk, where: str, way: str) -> None:
    with pytest.raises(
        ConfigError, match=f"'({where}|{way})'.*(wal or snapshot|there are flip, zero, cut, gone)"
    ):
        damage(disk.kill(), where, way, Random(1))


# ---------------------------------------------------------------- what a start makes of it


class Content(NamedTuple):
    """What a member starts from."""

    term_and_vote: tuple[int, int]
    last_index: int
    digest: bytes


async def read(disk: SimDisk) -> Content:
    """Start from a disk as a member does, and apply all that is there."""
    wal, recovered = await Wal.open(disk, LOG, segment_bytes=SEGMENT_BYTES)
    folder = SnapshotFolder(disk, SNAPSHOTS)
    try:
        restored = await restore(wal, recovered, folder, lambda _event: None)
    finally:
        await folder.close()
        await wal.close()
    replay = Replay(list(restored.entries), lambda _index: Configuration(()))
    replay.machine = restored.machine
    replay.run()
    state = recovered.hard_state
    last_index = recovered.base_index + len(recovered.entries)
    return Content((state.term, state.vote), last_index, restored.machine.digest())


async def judge(seeds: range, trials: int) -> Counter[str]:
    """Damage disks in many ways, several at once; count what starts make of them."""
    tally: Counter[str] = Counter()
    for seed in seeds:
        random = Random(seed)
        shape = random.choice((20, 150, 300)), random.choice((15, 40, 100, 10_000)), random.choice(OUTCOMES)
        for disk in await asyncio.to_thread(disks_of, seed, *shape):
            sound = await read(disk.kill())
            for trial in range(trials):
                tally[await _judge_one(disk.kill(), sound, Random(f"{seed} {trial}"))] += 1
    return tally


async def _judge_one(disk: SimDisk, sound: Content, random: Random) -> str:
    for _ in range(random.choice((1, 1, 2, 3, 5))):
        damage(disk, random.choice(("wal", "wal", "snapshot")), random.choice(WAYS), random)
    try:
        return "right" if await read(disk) == sound else "wrong"
    except (StorageCorrupt, SnapshotDamaged):
        return "refused"


async def test_a_damaged_disk_is_refused_or_everything_is_still_there() -> None:
    tally = await judge(range(8), 40)
    assert tally["wrong"] == 0 and tally["refused"] > 500 and tally["right"] > 100


@pytest.mark.parametrize("blind", ["_proves_durable", "_check_size"])
async def test_a_reader_that_looks_less_closely_takes_damage_for_the_truth(
    monkeypatch: pytest.MonkeyPatch, blind: str
) -> None:
    monkeypatch.setattr(recovery, blind, lambda *_: False)
    assert (await judge(range(1008, 1012), 60))["wrong"] > 0
