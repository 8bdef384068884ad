"""``raftkv history check`` of watches, leases, locks and elections: anomalies as text and as JSON."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftkv.checkers import (
    Change,
    ElectionRun,
    LeaseRun,
    LockRun,
    WatchRun,
    WatchStream,
    write_elections,
    write_leases,
    write_locks,
    write_watches,
)
from raftkv.cli.main import main
from tests.checkers.told import ok, put

Output = pytest.CaptureFixture[str]

HELD = [
    ok(0, 1, "acquire", b"l", told=(2, b"l/7", 2)),
    ok(2, 3, "acquire", b"l", told=(4, b"l/\xff", 3)),
]


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """The command sets a handler of SIGTERM; the tests' process gets its own back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "h.jsonl"


def check(model: str, file: Path, lines: Iterator[str], *words: str) -> int:
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return main(["history", "check", "--model", model, *words, str(file)])


def test_right_histories_of_each_model_are_valid(file: Path, capsys: Output) -> None:
    changes = [put(2, b"k")]
    assert check("watch", file, write_watches(WatchRun([WatchStream(0, b"k")], changes))) == 0
    assert check("lease", file, write_leases(LeaseRun([ok(0, 1, "grant", 7, 5, told=(1, 5))]))) == 0
    assert check("lock", file, write_locks(LockRun(HELD, fenced=True))) == 0
    assert check("election", file, write_elections(ElectionRun([]))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[2].partition(",")[0] for line in lines] == [
        "valid (1 operations",
        "valid (1 operations",
        "valid (2 operations",
        "valid (0 operations",
    ]


def test_anomalies_are_named_and_told_in_a_sentence(file: Path, capsys: Output) -> None:
    assert check("lock", file, write_locks(LockRun(HELD, fenced=False))) == 1
    first, name, text = capsys.readouterr().out.splitlines()
    assert first.endswith("overlap; expected under pauses of a lock without fencing")
    assert (name, text[:64]) == (
        "  overlap:",
        "    the second was given the lock while the first believed in it",
    )
    watched = WatchRun([WatchStream(0, b"k", final=True)], [Change(2, b"k", b"v", 2)])
    assert check("watch", file, write_watches(watched)) == 1
    assert "  converged:\n    watch 0 of 'k' from revision 1: was at 0" in capsys.readouterr().out


def test_json_has_keys_that_are_no_text(file: Path, capsys: Output) -> None:
    assert check("lock", file, write_locks(LockRun(HELD, fenced=False)), "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["fenced"], found["operations"]) == ("invalid", False, 2)
    [anomaly] = found["anomalies"]
    assert anomaly["name"] == "overlap"
    assert anomaly["operations"][1]["output"] == [4, "l/\udcff", 3]


def test_a_file_of_another_model_is_refused(file: Path, capsys: Output) -> None:
    assert check("lease", file, write_locks(LockRun(HELD, fenced=True))) == 2
    assert capsys.readouterr().err == f"raftkv: {file}:1: a history of 'lock', not of 'lease'\n"
