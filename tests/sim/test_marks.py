"""Coverage marks: what hits each of them, what does not, and that looking changes nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from raftkv.errors import ConfigError
from raftkv.raft import Configuration, HardState, Snapshot
from raftkv.raft.ledger import MemberRecord
from raftkv.raft.messages import (
    AppendEntriesReply,
    ForwardProposals,
    InstallSnapshot,
    ReadIndex,
    RemovedNotice,
    RequestVoteReply,
    TimeoutNow,
)
from raftkv.sim.driver import Driver
from raftkv.sim.loop import Incarnation, SimLoop
from raftkv.sim.marks import MARKS, Coverage
from raftkv.sim.members import LEFT_TO_ROT, Running
from raftkv.sim.scenario import Fault, Scenario
from raftkv.sim.world import World
from raftkv.trace import (
    Event,
    LeaderChanged,
    LogTruncated,
    RoleChanged,
    SnapshotDamaged,
    SnapshotFailed,
    SnapshotInstalled,
    SnapshotOffered,
    TornTailCut,
    VoteCast,
)

PAGE = Path(__file__).parents[2] / "docs" / "simulator.md"
SNAPSHOT = Snapshot(5, 1, Configuration((1, 2, 3)))


class Scene:
    """A world in which nothing runs: what happens in it is told to the marks."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.coverage = Coverage(world)
        for number, member in world.members.items():
            member.running = Running(Incarnation(member.name))
            world.observer.ledger.members[number] = MemberRecord()

    def tell(self, name: str, event: Event) -> None:
        for listener in self.world.listeners:
            listener(1.0, name, event)

    def leads(self, number: int, term: int) -> None:
        self.world.observer.ledger.members[number].leads = term

    def send(self, message: object) -> None:
        for listener in self.world.network.on_send:
            listener(message)  # type: ignore[arg-type]

    def go_down(self, number: int) -> None:
        for listener in self.world.on_down:
            listener(self.world.members[number])

    @property
    def hit(self) -> list[str]:
        return sorted(self.coverage.counts)


@pytest.fixture
def scene() -> Iterator[Scene]:
    loop = SimLoop()
    yield Scene(World(Scenario(), loop))
    loop.close()


def rivals(scene: Scene) -> None:
    scene.tell("n1", RoleChanged("candidate", 4))
    scene.tell("n2", RoleChanged("candidate", 4))


def another_leader(scene: Scene) -> None:
    scene.leads(1, 3)
    scene.tell("n2", RoleChanged("leader", 4))


def change_truncated(scene: Scene) -> None:
    record = scene.world.observer.ledger.members[1]
    record.configurations = [(1, Configuration((1, 2, 3))), (7, Configuration((1, 2)))]
    scene.tell("n1", LogTruncated(7, 3))


def installed_under_another_leader(scene: Scene) -> None:
    scene.tell("n1", SnapshotOffered(2, 10))
    scene.tell("n1", LeaderChanged(3, 5))
    scene.tell("n1", SnapshotInstalled(2, 10, 100))


def handed_over_in_a_partition(scene: Scene) -> None:
    scene.world.network.cut([(1, 3)])
    scene.send(TimeoutNow(1, 2, 4))


def crashed_while_fetching(scene: Scene) -> None:
    scene.tell("n1", SnapshotOffered(2, 10))
    scene.go_down(1)


def segment_removed(scene: Scene) -> None:
    scene.world.members[1].disk.steps.append("remove data/wal/0000000000000001.wal")
    scene.go_down(1)


def asked_twice(scene: Scene) -> None:
    scene.send(ReadIndex(1, 2, 3, (17,)))
    scene.send(ReadIndex(1, 2, 3, (17, 18)))


def forwarded_twice(scene: Scene) -> None:
    scene.send(ForwardProposals(1, 2, 3, (b"a",)))
    scene.send(ForwardProposals(1, 3, 4, (b"b", b"a")))


def event(name: str, one: Event) -> Callable[[Scene], None]:
    return lambda scene: scene.tell(name, one)


@pytest.mark.parametrize(
    ("happens", "marks"),
    [
        (rivals, ["rivals in one term"]),
        (another_leader, ["two leaders at once"]),
        (event("n1", VoteCast(2, 3, granted=False, pre_vote=False)), ["vote refused"]),
        (event("n1", LogTruncated(7, 3)), ["entries replaced"]),
        (change_truncated, ["configuration rolled back", "entries replaced"]),
        (
            installed_under_another_leader,
            ["snapshot installed", "snapshot installed while the leader changed"],
        ),
        (event("n1", SnapshotFailed(5, "no room")), ["snapshot given up"]),
        (event("n1", SnapshotDamaged("x", "checksum", 5)), ["fallback to an older snapshot"]),
        (event("n1", SnapshotDamaged("x", "checksum", -1)), ["damaged snapshot made anew"]),
        (event("n1", TornTailCut("x", 1, 2)), ["torn tail cut"]),
        (handed_over_in_a_partition, ["leader transfer during partition"]),
        (crashed_while_fetching, ["crash during an install"]),
        (segment_removed, ["segment released"]),
        (asked_twice, ["read index asked again"]),
        (forwarded_twice, ["proposal forwarded and repeated"]),
        (lambda scene: scene.send(RemovedNotice(1, 4, 3)), ["removed member told"]),
        (
            lambda scene: scene.send(AppendEntriesReply(1, 2, 3, False, 5, 4, 2)),
            ["follower told to back up"],
        ),
    ],
)
def test_a_mark_is_hit(scene: Scene, happens: Callable[[Scene], None], marks: list[str]) -> None:
    happens(scene)
    assert scene.hit == marks


def installed_as_offered(scene: Scene) -> None:
    scene.tell("n1", LeaderChanged(2, 5))
    scene.tell("n1", SnapshotOffered(2, 10))
    scene.tell("n1", SnapshotInstalled(2, 10, 100))


def fetched_before_the_crash(scene: Scene) -> None:
    installed_as_offered(scene)
    scene.go_down(1)


@pytest.mark.parametrize(
    ("happens", "marks"),
    [
        (event("n1", RoleChanged("leader", 4)), []),
        (event("n1", VoteCast(2, 3, granted=False, pre_vote=True)), []),
        (event("n1", SnapshotDamaged("x", "checksum", 0)), []),
        (installed_as_offered, ["snapshot installed"]),
        (fetched_before_the_crash, ["snapshot installed"]),
        (lambda scene: scene.send(TimeoutNow(1, 2, 4)), []),
        (lambda scene: scene.send(AppendEntriesReply(1, 2, 3, True, 5, 0, 0)), []),
        (lambda scene: scene.send(InstallSnapshot(1, 2, 3, SNAPSHOT)), []),
        (lambda scene: scene.send(ReadIndex(1, 2, 3, (17,))), []),
        (lambda scene: scene.send(ForwardProposals(1, 2, 3, (b"a",))), []),
    ],
)
def test_what_is_usual_hits_no_more(scene: Scene, happens: Callable[[Scene], None], marks: list[str]) -> None:
    happens(scene)
    assert scene.hit == marks


def test_a_paused_leader_that_is_replaced_is_told_from_a_slow_one(scene: Scene) -> None:
    running = scene.world.members[1].running
    assert running is not None
    running.incarnation.paused = True
    another_leader(scene)
    assert scene.hit == ["paused leader replaced", "two leaders at once"]


async def test_bytes_that_were_not_synced_are_at_stake_in_a_crash(scene: Scene) -> None:
    file = await scene.world.members[1].disk.create("data/wal/x")
    await file.write(0, b"one", sync=True)
    scene.go_down(1)
    assert scene.hit == []
    await file.write(3, b"two", sync=False)
    scene.go_down(1)
    assert scene.hit == ["unsynced bytes at stake"]


@pytest.mark.parametrize(
    ("capacity", "saved_term", "marks"),
    [
        (0, 3, ["vote went ahead of entries on a full disk"]),
        (0, 2, []),
        (None, 3, []),
    ],
)
def test_a_vote_that_the_core_does_not_know_to_be_saved_went_ahead(
    scene: Scene, capacity: int | None, saved_term: int, marks: list[str]
) -> None:
    """The log on the disk knows a term that the core, whose Writes wait for room, has not heard of."""
    member = scene.world.members[1]
    member.disk.capacity = capacity
    assert member.running is not None
    wal = SimpleNamespace(hard_state=HardState(saved_term, 2))
    member.running.node = SimpleNamespace(wal=wal)  # type: ignore[assignment]
    scene.world.observer.ledger.members[1].hard_state = HardState(2, 0)
    for listener in scene.world.network.on_arrival:
        listener(RequestVoteReply(1, 2, 3, True))
    assert scene.hit == marks


@pytest.mark.parametrize(
    ("rotten", "gone", "marks"),
    [
        (True, "damaged at offset 3", ["damaged disk refused"]),
        (True, LEFT_TO_ROT, []),
        (True, "", []),
        (False, "removed", []),
    ],
)
def test_what_became_of_a_damaged_disk(scene: Scene, rotten: bool, gone: str, marks: list[str]) -> None:
    member = scene.world.members[1]
    member.running, member.rotten, member.gone = None, rotten, gone
    scene.coverage.look_back(member)
    assert scene.hit == marks


def test_every_mark_has_a_sentence() -> None:
    assert all(text and text[0].islower() and not text.endswith(".") for text in MARKS.values())


def rows(heading: str) -> dict[str, str]:
    """Return the first and last cell of each row of the table under ``heading`` in docs/simulator.md."""
    table = PAGE.read_text(encoding="utf-8").partition(heading)[2].partition("\n\n")[0]
    cells = [line.strip("| ").split(" | ") for line in table.strip().splitlines()[1:]]
    return {row[0]: row[-1] for row in cells}


def test_the_page_lists_every_mark_and_every_fault(scene: Scene) -> None:
    assert rows("| mark | hit when |") == MARKS
    named = {name.strip("`") for cell in rows("| fault | words |") for name in cell.split(", ")}
    driver = Driver(scene.world)
    for name in named:
        driver.check((Fault(1.0, name),))
    with pytest.raises(ConfigError) as refused:
        driver.check((Fault(1.0, "plague"),))
    assert set(str(refused.value).partition("there are ")[2].split(", ")) == named
