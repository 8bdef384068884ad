"""``raftkv wal dump`` and ``raftkv wal verify``: what they show, what they call damaged, what they touch."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from raftkv.cli.exits import Exit
from raftkv.cli.parser import build_parser
from raftkv.errors import ConfigError, StorageCorrupt
from raftkv.mvcc.commands import PublishMember, RequestId, encode_command
from raftkv.mvcc.membership import encode_members
from raftkv.raft import Configuration, Entry, EntryKind, HardState, Snapshot, bootstrap_entry
from raftkv.raft.ready import Write
from raftkv.schema.kv import CompactionRequest, DeleteRangeRequest, PutRequest, TxnRequest
from raftkv.storage.disk import FileDisk
from raftkv.storage.records import Metadata
from raftkv.storage.segments import segment_name
from raftkv.storage.snapshot_format import Block, SnapshotMeta, SnapshotRef
from raftkv.storage.snapshots import SnapshotFolder, snapshot_name
from raftkv.storage.wal import Wal

SEGMENT = 4096
REQUESTS = (
    PublishMember(0xA1, "n1", ["http://localhost:2379"]),
    PutRequest(key=b"colour", value=b"blue"),
    PutRequest(key=b"k" * 200, value=bytes(2000)),
    DeleteRangeRequest(key=b"a", range_end=b"c"),
    TxnRequest(),
    CompactionRequest(revision=3),
)
CONFIGURATION = Configuration((0xA1, 0xA2))


async def make_log(folder: Path) -> SnapshotRef:
    """Make a member's folder: every kind of command, two snapshots, released segments; killed, not closed."""
    disk = FileDisk()
    first = bootstrap_entry((0xA1, 0xA2), encode_members([]))
    directory = str(folder / "member" / "wal")
    metadata = Metadata(0xC1, 0xA1, "n1")
    wal, _ = await Wal.create(disk, directory, metadata, HardState(1, 0, 1), [first], segment_bytes=SEGMENT)
    index = 1
    refs: list[SnapshotRef] = []
    for term in (2, 3):
        entries = [Entry(term, index := index + 1, EntryKind.NOOP, b"")]
        for request in REQUESTS:
            data = encode_command(RequestId(0xA1, 1, index), request)
            entries.append(Entry(term, index := index + 1, EntryKind.COMMAND, data))
        await wal.save([Write(1, HardState(term, 0xA1, index), 0, tuple(entries), ())])
        snapshot = Snapshot(index, term, CONFIGURATION)
        snapshots = SnapshotFolder(disk, str(folder / "member" / "snap"))
        draft = await snapshots.create(SnapshotMeta(0xC1, snapshot, 5, 3, 1))
        await draft.write(Block("store", 1, b"content"))
        await draft.finish()
        refs.append(await snapshots.publish(draft))
        await wal.mark(refs)
    await wal.mark(refs[-1:])
    await wal.release(index)
    await wal.save([Write(1, HardState(4, 0xA1, index), 0, (Entry(4, index + 1, EntryKind.NOOP, b""),), ())])
    await wal._abandon()
    await disk.close()
    return refs[-1]


@pytest.fixture
async def member(tmp_path: Path) -> Path:
    """A member's data folder."""
    await make_log(tmp_path)
    return tmp_path


def segments(member: Path) -> list[Path]:
    return sorted(path for path in (member / "member" / "wal").glob("*.wal") if any(path.read_bytes()))


def run(*arguments: object) -> int:
    parsed = build_parser().parse_args(["wal", *map(str, arguments)])
    code: int = parsed.run(parsed)
    return code


def report(capsys: pytest.CaptureFixture[str], verb: str, member: Path, *options: str) -> dict[str, Any]:
    run(verb, member, "--json", *options)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 4
    path.write_bytes(content)


def test_a_dump_shows_every_record_with_its_command(member: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("dump", member) == Exit.OK
    text = capsys.readouterr().out
    for line in (
        "log of n1 (a1) in cluster c1",
        "9 (term 3) no-op: a leader begins its term",
        "10 (term 3) command: member a1 is n1 at http://localhost:2379",
        "11 (term 3) command: put 'colour', 4 bytes",
        "12 (term 3) command: put 'kkkkkkkk",
        "13 (term 3) command: delete 'a' to 'c'",
        "14 (term 3) command: txn of 0 compares, 0 and 0 operations",
        "15 (term 3) command: compact to revision 3",
        "checkpoint: start 1, log to 8: snapshot at 8 (term 2)",
        "snapshots: snapshots that count: snapshot at 15 (term 3)",
        "entries 9 to 16\n",
        "sound\n",
    ):
        assert line in text, line
    assert max(map(len, text.splitlines())) < 400, "long keys are cut"


def test_the_first_entry_s_members_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def create() -> None:
        disk = FileDisk()
        first = bootstrap_entry((0xA1, 0xA2), b"")
        directory = str(tmp_path / "member" / "wal")
        await (await Wal.create(disk, directory, Metadata(1, 0xA1, "n1"), HardState(1, 0, 1), [first]))[
            0
        ].close()
        await disk.close()

    asyncio.run(create())
    assert run("dump", tmp_path) == Exit.OK
    assert "1 (term 1) configuration: voters a1 a2" in capsys.readouterr().out


def test_a_dump_as_json_has_the_same(member: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = report(capsys, "dump", member)
    entries = [r for batch in found["batches"] for r in batch["records"] if r["type"] == "entry"]
    assert [entry["index"] for entry in entries] == list(range(9, 17))
    assert entries[2] == {
        "type": "entry",
        "index": 11,
        "term": 3,
        "kind": "command",
        "bytes": entries[2]["bytes"],
        "text": "put 'colour', 4 bytes",
    }
    assert found["snapshots"][0]["voters"] == ["a1", "a2"]
    assert found["member"] == {"id": "a1", "name": "n1", "cluster": "c1"}


@pytest.mark.parametrize("limit", [0, 1, 3, 100])
def test_a_limit_shows_the_last_records_only(
    limit: int, member: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    every = [r for batch in report(capsys, "dump", member)["batches"] for r in batch["records"]]
    last = [
        r
        for batch in report(capsys, "dump", member, "--limit", str(limit))["batches"]
        for r in batch["records"]
    ]
    assert last == every[max(0, len(every) - limit) :]


@pytest.mark.parametrize("below", ["", "member", "member/wal"])
def test_the_folder_may_be_given_at_each_level(
    below: str, member: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(capsys, "verify", member / below)["sound"] is True


def test_a_folder_without_a_log_is_a_wrong_argument(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no log"):
        run("verify", tmp_path)


def test_a_torn_tail_is_sound_and_reported(member: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = segments(member)[-1]
    used = len(last.read_bytes().rstrip(b"\0"))
    flip(last, used - 3)
    assert run("verify", member) == Exit.OK
    assert f"{last.name}: an unfinished save of " in capsys.readouterr().out
    assert report(capsys, "verify", member)["torn"]["segment"] == last.name


def test_damage_is_told_with_segment_offset_and_advice(
    member: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = segments(member)[0]
    flip(first, 98)
    assert run("verify", member) == Exit.FAILED
    assert "raftkv snapshot save" in capsys.readouterr().out
    damage = report(capsys, "dump", member)["damage"]
    assert damage == {
        "path": str(first),
        "offset": damage["offset"],
        "reason": "the checksum of a batch header is wrong",
        "advice": StorageCorrupt.advice,
    }


def test_a_missing_segment_is_damage(member: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = segments(member)[0]
    assert first.name == segment_name(2), "the one before is released"
    first.unlink()
    assert report(capsys, "verify", member)["damage"]["reason"] == "the segment is missing"


@pytest.mark.parametrize("how", ["flipped", "missing"])
def test_a_snapshot_that_counts_is_verified_too(
    how: str, member: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = member / "member" / "snap" / snapshot_name(Snapshot(15, 3, CONFIGURATION))
    if how == "missing":
        path.unlink()
    else:
        flip(path, path.stat().st_size // 2)
    assert run("verify", member) == Exit.FAILED
    text = capsys.readouterr().out
    assert f"{path}: damaged" in text
    assert "the log is sound, a snapshot is not" in text


def test_nothing_is_changed_and_no_lock_is_taken(member: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(segments(member)[-1], len(segments(member)[-1].read_bytes().rstrip(b"\0")) - 1)
    draft = member / "member" / "wal" / f"{segment_name(9)}.draft"
    draft.write_bytes(b"left over")
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in member.rglob("*")}
    for verb in ("dump", "verify"):
        run(verb, member)
    after = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in member.rglob("*")}
    assert after == before
    capsys.readouterr()


async def test_a_log_that_is_in_use_can_be_looked_at_and_that_is_said(
    member: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = FileDisk()
    wal, _ = await Wal.open(disk, str(member / "member" / "wal"), segment_bytes=SEGMENT)
    code = await asyncio.get_running_loop().run_in_executor(None, lambda: run("verify", member))
    await wal.close()
    await disk.close()
    assert code == Exit.OK
    assert f"process {os.getpid()} has this log open" in capsys.readouterr().out
