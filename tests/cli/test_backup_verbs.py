"""``raftkv snapshot`` and the maintenance verbs, against servers that give one answer."""

import base64
import json
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from raftkv.cli.exits import Exit
from raftkv.cli.main import main
from raftkv.cli.output import size
from raftkv.client import NoAnswer, Refused, SyncClient, WrongAnswer
from raftkv.local.processes import wait_until
from tests.cli.command import SECONDS, Command, environment
from tests.cli.test_client import Member, closed_url
from tests.test_backup import machine_with_data, sealed, snapshot_of

SNAPSHOT = snapshot_of(machine_with_data())


@pytest.fixture
def members() -> Iterator[Any]:
    """Start members; they end with the test."""
    with ExitStack() as stack:
        yield lambda status, body: stack.enter_context(Member(status, body).serving())


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", environment())
    return tmp_path


def line(blob: bytes) -> bytes:
    return b'{"result":{"blob":"%s"}}\n' % base64.b64encode(blob)


def stream(*blobs: bytes) -> bytes:
    return b"".join(map(line, (*blobs, sha256(b"".join(blobs)).digest())))


STREAM = stream(SNAPSHOT[:700], SNAPSHOT[700:])
ERROR = b'{"error":{"grpc_code":13,"http_code":500,"message":"the disk failed","http_status":"x"}}'


# ---------------------------------------------------------------- the stream


def test_a_backup_is_handed_on_with_its_checksum_at_the_end(members: Any) -> None:
    pieces: list[bytes] = []
    member = members(200, STREAM)
    assert SyncClient([closed_url(), member.url]).backup(pieces.append) == len(SNAPSHOT) + 32
    assert b"".join(pieces) == sealed(SNAPSHOT)
    assert member.asked == [("/v3/maintenance/snapshot", {})]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        STREAM[: STREAM.rindex(b"{")],
        line(b"x" * 32),
        stream(b"1", b"2").replace(b'"Mg=="', b'"Mw=="'),
        b"{}\n" + STREAM,
        STREAM + line(b""),
        b'{"result":[]}\n',
        b'{"result":{"blob":"&&&&"}}\n',
        b"<html>\n",
    ],
)
def test_a_backup_that_is_not_whole_is_refused(members: Any, body: bytes) -> None:
    with pytest.raises(WrongAnswer):
        SyncClient([members(200, body).url]).backup(lambda piece: None)


@pytest.mark.parametrize(("status", "body"), [(200, line(b"1") + ERROR), (500, ERROR)])
def test_a_backup_that_fails_says_why(members: Any, status: int, body: bytes) -> None:
    with pytest.raises(Refused, match="the disk failed") as raised:
        SyncClient([members(status, body).url]).backup(lambda piece: None)
    assert raised.value.code == 13


def test_a_member_that_hangs_up_leaves_no_backup(members: Any) -> None:
    with pytest.raises(NoAnswer):
        SyncClient([members(200, None).url]).backup(lambda piece: None)


# ---------------------------------------------------------------- save and status


def test_a_saved_backup_is_private_and_nothing_else_is_left(
    members: Any, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = members(200, STREAM).url
    assert main(["snapshot", "save", "b.snap", "--endpoints", f"{closed_url()},{url}"]) == Exit.OK
    assert capsys.readouterr().out == "Snapshot saved at b.snap\n"
    assert [path.name for path in folder.iterdir()] == ["b.snap"]
    assert (folder / "b.snap").read_bytes() == sealed(SNAPSHOT)
    assert stat.S_IMODE((folder / "b.snap").stat().st_mode) == 0o600


def test_a_file_that_is_there_is_never_replaced(
    members: Any, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "b.snap").write_text("the only copy")
    member = members(200, STREAM)
    assert main(["snapshot", "save", "b.snap", "--endpoint", member.url]) == Exit.USAGE
    assert "there is a file already" in capsys.readouterr().err
    assert (folder / "b.snap").read_text() == "the only copy"
    assert member.asked == []


def test_a_file_that_comes_meanwhile_is_not_replaced_either(
    members: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def backup(client: SyncClient, write: Any) -> int:
        (folder / "b.snap").write_text("the only copy")
        return write(sealed(SNAPSHOT)) or 0

    monkeypatch.setattr(SyncClient, "backup", backup)
    assert main(["snapshot", "save", "b.snap"]) == Exit.USAGE
    assert [path.read_text() for path in folder.iterdir()] == ["the only copy"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (STREAM[:1000], Exit.UNREACHABLE),
        (None, Exit.NO_LEADER),
        (stream(b"no snapshot"), Exit.FAILED),
        (line(b"1") + ERROR, Exit.FAILED),
    ],
)
def test_a_save_that_fails_leaves_nothing(
    members: Any, folder: Path, body: bytes | None, code: Exit, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["snapshot", "save", "b.snap", "--endpoint", members(200, body).url]) == code
    assert capsys.readouterr().err.startswith("raftkv: ")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_save_that_is_interrupted_leaves_nothing(
    members: Any, folder: Path, number: signal.Signals
) -> None:
    member = members(200, STREAM)
    member.released.clear()
    with Command(folder).started("snapshot", "save", "b.snap", "--endpoint", member.url) as saving:
        assert wait_until(lambda: any(folder.glob("*.part")), SECONDS)
        assert saving.signal(number) == Exit.INTERRUPTED
    member.released.set()
    assert [path.name for path in folder.iterdir()] == ["output"]


def test_status_shows_etcdutls_columns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "b.snap").write_bytes(sealed(SNAPSHOT))
    assert main(["snapshot", "status", "b.snap"]) == Exit.OK
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["HASH", "REVISION", "TOTAL", "KEYS", "TOTAL", "SIZE"]
    assert row.split()[1:] == ["9", "4", *size(len(SNAPSHOT)).split()]
    assert main(["snapshot", "status", "b.snap", "--json"]) == Exit.OK
    answer = json.loads(capsys.readouterr().out)
    assert f"{answer['hash']:x}" == row.split()[0]
    assert (answer["revision"], answer["totalKey"], answer["totalSize"]) == (9, 4, len(SNAPSHOT))


@pytest.mark.parametrize("content", [None, b"", b"x" * 1000, sealed(SNAPSHOT)[:-1]])
@pytest.mark.parametrize("verb", ["status", "restore"])
def test_a_file_that_is_no_backup_is_refused_with_a_sentence(
    folder: Path, content: bytes | None, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (folder / "b.snap").write_bytes(content)
    assert main(["snapshot", verb, "b.snap"]) == Exit.FAILED
    error = capsys.readouterr().err
    assert "b.snap" in error
    assert len(error.splitlines()) == 1
    assert [path.name for path in folder.iterdir()] == ["b.snap"] * (content is not None)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (20480, "20 kB"),
        (1_500_000_000, "1.5 GB"),
        (10**17, "100000 TB"),
    ],
)
def test_sizes_are_written_shortly(count: int, text: str) -> None:
    assert size(count) == text


# ---------------------------------------------------------------- restore


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--bump-revision", "5"], "given together"),
        (["--mark-compacted"], "given together"),
        (["--bump-revision", "-5", "--mark-compacted"], "it can't be below 0"),
        (["--bump-revision", str(2**62), "--mark-compacted"], "a store begins at"),
        (["--name", "n1", "--initial-cluster", "n2=http://127.0.0.1:1"], "is not in --initial-cluster"),
        (["--data-dir", "."], "there is something already"),
    ],
)
def test_flags_that_make_no_sense_are_refused_and_nothing_is_made(
    folder: Path, words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "b.snap").write_bytes(sealed(SNAPSHOT))
    assert main(["snapshot", "restore", "b.snap", *words]) == Exit.USAGE
    assert text in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["b.snap"]


def test_a_restore_says_what_it_made_and_warns_of_alarms(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "b.snap").write_bytes(SNAPSHOT)
    words = ["snapshot", "restore", "b.snap", "--skip-hash-check", "--bump-revision", "5", "--mark-compacted"]
    assert main([*words, "--json"]) == Exit.OK
    told = capsys.readouterr()
    assert json.loads(told.out) == {"data_dir": "default.raftkv", "revision": 14, "keys": 4}
    assert "the backup holds alarms" in told.err
    assert sorted(path.name for path in (folder / "default.raftkv" / "member").iterdir()) == ["snap", "wal"]
    assert main(words) == Exit.USAGE


# ---------------------------------------------------------------- alarms, defrag, compaction


def test_every_alarm_is_disarmed_by_its_member(members: Any, capsys: pytest.CaptureFixture[str]) -> None:
    alarms = b'{"alarms":[{"memberID":"5","alarm":"NOSPACE"},{"alarm":"CORRUPT"}]}'
    member = members(200, alarms)
    assert main(["alarm", "list", "--endpoint", member.url]) == Exit.OK
    shown = "memberID:5 alarm:NOSPACE\nmemberID:0 alarm:CORRUPT\n"
    assert capsys.readouterr().out == shown
    assert main(["alarm", "disarm", "--endpoint", member.url]) == Exit.OK
    assert capsys.readouterr().out == shown
    assert [body for _, body in member.asked] == [
        {},
        {},
        {"action": "DEACTIVATE", "memberID": "5", "alarm": "NOSPACE"},
        {"action": "DEACTIVATE", "memberID": "0", "alarm": "CORRUPT"},
    ]
    assert main(["alarm", "list", "--json", "--endpoint", member.url]) == Exit.OK
    assert json.loads(capsys.readouterr().out)[0] == {"member_id": "5", "alarm": "NOSPACE"}


def test_defrag_goes_on_after_a_member_that_fails(members: Any, capsys: pytest.CaptureFixture[str]) -> None:
    first, last, gone = members(200, b"{}"), members(200, b"{}"), closed_url()
    words = [word for url in (first.url, gone, last.url) for word in ("--endpoint", url)]
    assert main(["defrag", *words]) == Exit.UNREACHABLE
    told = capsys.readouterr()
    assert told.out == f"defragmented {first.url}\ndefragmented {last.url}\n"
    assert gone in told.err
    assert main(["defrag", "--json", "--endpoint", last.url]) == Exit.OK
    assert json.loads(capsys.readouterr().out) == {"defragmented": [last.url]}


def test_compaction_names_its_revision(members: Any, capsys: pytest.CaptureFixture[str]) -> None:
    member = members(200, b"{}")
    assert main(["compaction", "7", "--physical", "--endpoint", member.url]) == Exit.OK
    assert capsys.readouterr().out == "compacted revision 7\n"
    assert member.asked == [("/v3/kv/compaction", {"revision": 7, "physical": True})]
    refusal = b'{"error":"e","code":11,"message":"etcdserver: mvcc: required revision has been compacted"}'
    assert main(["compaction", "7", "--endpoint", members(400, refusal).url]) == Exit.FAILED
    assert "has been compacted" in capsys.readouterr().err


# ---------------------------------------------------------------- endpoint hashkv, move-leader


def test_each_member_is_asked_for_its_checksum(members: Any, capsys: pytest.CaptureFixture[str]) -> None:
    first = members(200, b'{"header":{"revision":"9"},"hash":7,"compact_revision":"-1"}')
    last, gone = members(200, b'{"header":{"revision":"9"},"hash":8,"compact_revision":"-1"}'), closed_url()
    words = [word for url in (first.url, gone, last.url) for word in ("--endpoint", url)]
    assert main(["endpoint", "hashkv", *words]) == Exit.UNREACHABLE
    told = capsys.readouterr()
    assert told.out == f"{first.url}, 7\n{last.url}, 8\n"
    assert gone in told.err
    assert main(["endpoint", "hashkv", "--rev", "5", "--json", "--endpoint", last.url]) == Exit.OK
    assert json.loads(capsys.readouterr().out) == [
        {"endpoint": last.url, "hash": 8, "revision": 9, "compact_revision": -1}
    ]
    assert last.asked == [("/v3/maintenance/hashkv", {"revision": number}) for number in (0, 5)]


LEADER = (
    b'{"header":{"member_id":"10"},"leader":"10","members":[{"ID":"10","name":"n1"},{"ID":"255","name":"a"}]}'
)
FOLLOWER = b'{"header":{"member_id":"255"},"leader":"10"}'


@pytest.mark.parametrize(("text", "target"), [("a", 255), ("ff", 255), ("n1", 10), ("b", 11)])
def test_the_leader_is_found_and_told_who_shall_lead(
    members: Any, text: str, target: int, capsys: pytest.CaptureFixture[str]
) -> None:
    follower, leader, gone = members(200, FOLLOWER), members(200, LEADER), closed_url()
    words = [word for url in (gone, follower.url, leader.url) for word in ("--endpoint", url)]
    assert main(["move-leader", text, *words]) == Exit.OK
    assert capsys.readouterr().out == f"Leadership transferred from a to {target:x}\n"
    assert leader.asked[-1] == ("/v3/maintenance/transfer-leadership", {"targetID": str(target)})
    assert [path for path, _ in follower.asked] == ["/v3/maintenance/status"]


def test_who_is_no_member_and_nobody_who_leads_are_told(
    members: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["move-leader", "n2", "--endpoint", members(200, LEADER).url]) == Exit.USAGE
    assert "there is no member 'n2'; the members are n1 (a), a (ff)" in capsys.readouterr().err
    assert main(["move-leader", "n1", "--endpoint", members(200, FOLLOWER).url]) == Exit.NO_LEADER
    assert "no leader among" in capsys.readouterr().err
