"""The command itself: its words, help, exit codes and the time it takes to start."""

import json
import platform
import re
import subprocess
import sys

import pytest

import raftkv
from raftkv import errors
from raftkv.cli.exits import Exit, exit_for
from raftkv.cli.flags import FLAGS
from raftkv.cli.output import as_text, duration, print_table
from raftkv.cli.parser import build_parser
from raftkv.client import OutcomeUnknown, Refused
from raftkv.local import errors as local_errors
from tests.cli.command import Command, environment

VERBS = ["up", "down", "ps", "status", "clean", "logs", "kill", "stop", "restart"]
VERBS += [
    "put",
    "get",
    "member",
    "compaction",
    "defrag",
    "move-leader",
    "endpoint",
    "alarm",
    "snapshot",
    "wal",
    "history",
]
VERBS += ["serve", "sim", "chaos", "version"]


def test_version_names_raftkv_the_api_and_python(command: Command) -> None:
    text = f"raftkv {raftkv.__version__} (etcd API 3.5.1, Python {platform.python_version()})\n"
    assert command("version").stdout == text
    assert command.json("version") == {
        "raftkv": raftkv.__version__,
        "api": "3.5.1",
        "python": platform.python_version(),
    }
    assert command("--version").stdout == f"raftkv {raftkv.__version__}\n"


def test_the_help_lists_every_verb_and_the_exit_codes(command: Command) -> None:
    done = command("--help")
    assert done.returncode == Exit.OK
    assert [line.split()[0] for line in done.stdout.splitlines() if re.match(r"    \S", line)] == VERBS
    assert "7 unknown outcome" in done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args([verb, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: raftkv {verb}")


@pytest.mark.parametrize(
    "words",
    [[], ["start"], ["kill"], ["kill", "n1", "n2"], ["up", "--js"], ["up", "-n", "three"], ["--verbose"]],
)
def test_what_the_command_does_not_know_is_a_usage_error(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(words)
    assert ended.value.code == Exit.USAGE
    assert "usage: raftkv" in capsys.readouterr().err


def test_up_with_an_impossible_size_is_a_usage_error(command: Command) -> None:
    for size in ("0", "6", "-1"):
        done = command("up", "-n", size)
        assert done.returncode == Exit.USAGE
        assert "1 to 5 members" in done.stderr
    assert not command.root.exists()


def test_verbs_for_the_shell_do_not_load_the_server() -> None:
    """Its packages take longer to import than a verb takes to run."""
    code = (
        "import sys; from raftkv.cli import cluster, keys, main; main.main(['version']); "
        "heavy = {'aiohttp', 'asyncio', 'msgpack', 'uvloop', 'raftkv.node', 'raftkv.raft'}; "
        "print(sorted(heavy & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_endpoint_that_is_none_is_a_usage_error(command: Command) -> None:
    done = command("get", "k", "--endpoint", "127.0.0.1")
    assert (done.returncode, done.stderr) == (
        Exit.USAGE,
        "raftkv: endpoint '127.0.0.1': expected http://HOST:PORT\n",
    )


def test_an_error_is_json_where_json_was_asked_for(command: Command) -> None:
    done = command("status", "--json")
    answer = json.loads(done.stdout)
    assert (answer["kind"], answer["exit"], done.returncode) == ("NoCluster", 3, 3)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x"), 2),
        (local_errors.WrongArguments("x"), 2),
        (local_errors.UnknownMember("x"), 2),
        (local_errors.PortsInUse("x"), 2),
        (local_errors.ClusterRunning("x"), 2),
        (local_errors.NoCluster("x"), 3),
        (local_errors.NotHealthy("x"), 5),
        (errors.RequestTimedOut("x"), 5),
        (OutcomeUnknown("x"), 7),
        (Refused(400, 3, "x"), 1),
        (local_errors.MemberDied("x"), 1),
        (PermissionError("x"), 1),
    ],
)
def test_each_error_has_its_exit_code(error: Exception, code: int) -> None:
    assert exit_for(error) == code


def test_every_flag_of_serve_is_a_field_of_the_configuration() -> None:
    from raftkv.node.config import Config

    simulators = {"max_learners"}
    secrets = {"chaos_token"}  # of the environment only: everybody can see a command line
    assert {flag.field for flag in FLAGS} == set(Config.__dataclass_fields__) - simulators - secrets


def test_the_defaults_that_the_help_shows_are_those_of_the_configuration() -> None:
    from raftkv.node.config import Config

    values = [flag for flag in FLAGS if "NAME" not in flag.default and not flag.default.startswith("(")]
    shown = {flag.field: flag.default for flag in values}
    given = Config.from_flags(shown)
    assert given == Config()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.0, "0s"),
        (59.9, "59s"),
        (60, "1m00s"),
        (252, "4m12s"),
        (7500, "2h05m"),
        (273600, "3d04h"),
    ],
)
def test_durations_are_short(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_bytes_that_are_no_text_are_marked_as_such() -> None:
    assert as_text("ä".encode()) == {"text": "ä"}
    assert as_text(b"\xff") == {"base64": "/w=="}


def test_a_table_is_aligned_and_shows_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "LONGER"), [("first", None), ("x", 0)])
    assert capsys.readouterr().out == "A      LONGER\nfirst  -\nx      0\n"
