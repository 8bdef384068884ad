"""``raftkv history check``: a line a file, the operations that could not be placed, and the exit code."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raftkv.checkers import MODELS
from raftkv.cli.main import main
from tests.cli.command import Command

HISTORIES = Path(__file__).parent.parent / "checkers" / "histories"
LOGS = HISTORIES / "porcupine" / "jepsen"
VALID, INVALID = str(LOGS / "etcd_005.log"), str(LOGS / "etcd_001.log")

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """The command sets a handler of SIGTERM; the tests' process gets its own back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def run(*words: str, model: str = "cas-register") -> int:
    return main(["history", "check", "--model", model, *words])


def objects(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_valid_files_have_a_line_each_and_exit_code_0(capsys: Output) -> None:
    other = str(LOGS / "etcd_025.log")
    assert run(VALID, other) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" (")[0] for line in lines] == [f"{VALID}: valid", f"{other}: valid"]


def test_an_invalid_file_names_the_operations_that_could_not_be_placed(capsys: Output) -> None:
    assert run(INVALID, VALID) == 1
    out = capsys.readouterr().out
    assert f"{INVALID}: invalid (86 operations" in out
    assert "could not be placed:\n    process 4: cas 0 0, called at event 52, never answered\n" in out
    assert "    process 7: read -> 4, called at event 72, answered at 73\n" in out
    assert f"{VALID}: valid" in out


def test_json_is_an_object_a_line(capsys: Output) -> None:
    assert run("--json", INVALID, VALID) == 1
    invalid, valid = objects(capsys.readouterr().out)
    assert (invalid["file"], invalid["verdict"]) == (INVALID, "invalid")
    assert (valid["file"], valid["verdict"]) == (VALID, "valid")
    assert isinstance(valid["seconds"], float)
    refused = invalid["refused"]
    assert isinstance(refused, list)
    assert refused[-1] == {
        "process": 7,
        "call": 72,
        "returned": 73,
        "input": ["read", None],
        "output": 4,
        "outcome": "ok",
    }


@pytest.mark.parametrize(
    ("model", "file"), [("cas-register", VALID), ("mvcc-kv", str(HISTORIES / "synthetic/kv_001.jsonl"))]
)
def test_a_spent_budget_is_unknown_and_no_pass(model: str, file: str, capsys: Output) -> None:
    assert run("--json", "--max-steps", "5", file, model=model) == 1
    [answer] = objects(capsys.readouterr().out)
    assert answer["verdict"] == "unknown"


def test_what_cannot_be_read_is_said_and_the_others_are_checked(tmp_path: Path, capsys: Output) -> None:
    missing, broken = str(tmp_path / "missing"), tmp_path / "broken"
    broken.write_text("INFO jepsen.util - 1 :ok :read 3\n", encoding="utf-8")
    assert run(missing, str(broken), str(tmp_path), INVALID) == 2
    done = capsys.readouterr()
    assert done.err.splitlines() == [
        f"raftkv: {missing}: No such file or directory",
        f"raftkv: {broken}:1: process 1 completes an operation, but has none",
        f"raftkv: {tmp_path}: Is a directory",
    ]
    assert f"{INVALID}: invalid" in done.out


def test_what_cannot_be_read_is_an_object_too(tmp_path: Path, capsys: Output) -> None:
    assert run("--json", str(tmp_path / "missing"), VALID) == 2
    unread, read = objects(capsys.readouterr().out)
    assert "verdict" not in unread
    assert str(unread["error"]).endswith("No such file or directory")
    assert read["verdict"] == "valid"


@pytest.mark.parametrize(
    "words",
    [
        ["history"],
        ["history", "check", VALID],
        ["history", "check", "--model", "queue", VALID],
        ["history", "check", "--model", "mvcc-kv"],
        ["history", "check", "--model", "mvcc-kv", "--max-steps", "0", VALID],
    ],
)
def test_wrong_words_are_a_usage_error(words: list[str], capsys: Output) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: raftkv" in capsys.readouterr().err


STALE = (
    '{"process":1,"type":"invoke","value":[["append","x",4]]}\n'
    '{"process":1,"type":"ok","value":[["append","x",4]]}\n'
    '{"process":2,"type":"invoke","value":[["r","x",null]]}\n'
    '{"process":2,"type":"ok","value":[["r","x",[]]]}\n'
)


def test_anomalies_of_transactions_are_explained(tmp_path: Path, capsys: Output) -> None:
    file = tmp_path / "txns.jsonl"
    file.write_text(STALE, encoding="utf-8")
    assert run(str(file), model="list-append") == 1
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{file}: invalid (2 operations")
    assert first.endswith("serializable, but not strictly: G-single-realtime")
    assert rest[0] == "  G-single-realtime:"
    assert "    T1 did not observe T2's append of 4 to x" in rest
    assert not any("could not be placed" in line for line in rest)
    assert run("--json", str(file), model="list-append") == 1
    [answer] = objects(capsys.readouterr().out)
    assert (answer["serializable"], answer["strict_serializable"]) == (True, False)
    anomalies: Any = answer["anomalies"]
    assert [one["name"] for one in anomalies] == ["G-single-realtime"]
    assert [one["process"] for one in anomalies[0]["operations"]] == [2, 1]
    assert "refused" not in answer


def test_a_set_that_was_never_read_is_unknown_and_no_pass(tmp_path: Path, capsys: Output) -> None:
    file = tmp_path / "set.jsonl"
    file.write_text('{"process":1,"type":"invoke","f":"add","value":1}\n', encoding="utf-8")
    assert run("--json", str(file), model="set") == 1
    [answer] = objects(capsys.readouterr().out)
    assert (answer["verdict"], answer["reason"]) == ("unknown", "no read was answered")
    assert (answer["acknowledged"], answer["recovered"], answer["never_read"]) == (0, 0, 0)


def test_the_command_line_offers_all_models(capsys: Output) -> None:
    with pytest.raises(SystemExit):
        main(["history", "check", "--help"])
    offered = re.search(r"--model \{([^}]*)\}", capsys.readouterr().out)
    assert offered is not None
    assert re.split(r",\s*", offered[1]) == list(MODELS)


def test_half_characters_in_names_and_values_are_printed_as_escapes(command: Command) -> None:
    name = os.fsdecode(b"h\xff.jsonl")
    (command.folder / name).write_text(
        '{"format":"history/1","model":"cas-register"}\n'
        '{"process":1,"type":"invoke","f":"read","value":null}\n'
        '{"process":1,"type":"ok","f":"read","value":"\\ud800"}\n',
        encoding="utf-8",
    )
    done = command("history", "check", "--model", "cas-register", name)
    assert done.returncode == 1
    assert "h\\udcff.jsonl: invalid" in done.stdout
    assert "process 1: read -> \\ud800, called" in done.stdout
