"""``raftkv sim``: what it prints, what it exits with, and that its advice works."""

import json
import re
import shlex
import signal
from collections.abc import Iterator
from io import StringIO
from itertools import count
from pathlib import Path
from random import Random

import pytest

from raftkv.cli import sim, times
from raftkv.cli.main import main
from raftkv.cli.progress import Progress
from raftkv.errors import ConfigError
from raftkv.raft import HardState, bootstrap_entry, make_core
from raftkv.raft.record_file import RecordFile
from raftkv.raft.recorded import RecordedCore
from raftkv.sim.draw import draw_scenario, profile_named
from raftkv.sim.run import run_scenario
from raftkv.trace import discard

BROKEN = "tests.raft.overrides:AnswersAtOnce"
CHECK = "rule sent_term_is_durable"


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Take back what the command does to this process."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def lines_of(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


# ---------------------------------------------------------------- sim run


def test_a_campaign_that_passes_prints_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "run", "--profile", "calm", "--seeds", "3"]) == 0
    output, errors = capsys.readouterr()
    assert output.startswith("1 seeds of calm with 3 nodes: 1 passed, 0 failed\n")
    for part in ("seeds/s", "x real time", "operations  ", "faults      none", "messages    ", "rules "):
        assert part in output
    assert re.search(r"^never hit   .*torn tail cut", output, re.M)
    assert errors == "", "no bar where there is no terminal"


def test_a_failing_seed_ends_the_campaign_and_its_commands_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["sim", "run", "--core", BROKEN, "--profile", "calm", "--seeds", "5..9"]) == 1
    output = capsys.readouterr().out
    assert output.startswith(f"seed 5 failed: {CHECK}, at ")
    assert "1 seeds of calm with 3 nodes: 0 passed, 1 failed" in output
    commands = re.findall(r"^  (\w+) it: raftkv (.*)$", output, re.M)
    assert [name for name, _ in commands] == ["replay", "shrink"]
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(commands[0][1])) == 1
    assert f"seed 5 failed: {CHECK}" in capsys.readouterr().out
    assert main(shlex.split(commands[1][1])) == 0
    assert f"{CHECK}: " in capsys.readouterr().err
    script = str(tmp_path / "seed-5.txt")
    assert main(["sim", "replay", script, "--core", BROKEN]) == 1
    assert f"{script} failed: {CHECK}" in capsys.readouterr().out
    assert main(["sim", "replay", script]) == 0
    assert "passed: digest " in capsys.readouterr().out


def test_json_has_an_object_a_seed_and_the_summary_last(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["sim", "run", "--core", BROKEN, "--profile", "calm", "--seeds", "0..3", "--keep-going"]
    assert main([*arguments, "--json"]) == 1
    *seeds, summary = lines_of(capsys.readouterr().out)
    assert [(one["seed"], one["verdict"], one["check"]) for one in seeds] == [
        (seed, "fail", CHECK) for seed in range(3)
    ]
    assert all(re.fullmatch("[0-9a-f]{32}", str(one["digest"])) and one["seconds"] for one in seeds)
    assert (summary["seeds"], summary["passed"]) == (3, 0)
    assert summary["failed"] == {str(seed): CHECK for seed in range(3)}
    assert "seed" not in summary


def test_no_seed_begins_after_the_time_is_up() -> None:
    clock = iter(range(0, 1000, 25))
    assert list(sim.until(count(), 60.0, lambda: float(next(clock)))) == [0, 1]
    assert list(sim.until(iter(range(5)), None, lambda: float(next(clock)))) == [0, 1, 2, 3, 4]


def test_time_without_seeds_begins_with_seed_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "run", "--core", BROKEN, "--profile", "calm", "--time", "60s"]) == 1
    assert "seed 0 failed" in capsys.readouterr().out


# ---------------------------------------------------------------- sim replay


def test_a_seed_is_replayed_with_its_digest(capsys: pytest.CaptureFixture[str]) -> None:
    digest = run_scenario(draw_scenario(4, profile_named("calm"))).digest
    assert main(["sim", "replay", "4", "--profile", "calm", "--json"]) == 0
    (verdict,) = lines_of(capsys.readouterr().out)
    assert (verdict["seed"], verdict["verdict"], verdict["digest"]) == (4, "pass", digest)
    assert verdict["operations"] and verdict["messages"]


def record(path: Path) -> None:
    """Write the record of a member that hears nobody."""
    with path.open("xb") as stream:
        log, state = [bootstrap_entry((1, 2, 3), b"")], HardState(1, 0, 1)
        core = RecordedCore(make_core, RecordFile(stream, discard), 1, log, state, rng=Random(1))
        for _ in range(50):
            core.tick()
            core.ready()


def test_a_run_in_which_nobody_could_serve_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage = [f"at 2 kill n{number}\nat 2.1 damage n{number} wal gone" for number in (1, 2)]
    script = tmp_path / "lost.txt"
    script.write_text("\n".join(("# raftkv scenario 1", "beyond repair", *damage, "heal at 3 with n1 n2 n3")))
    assert main(["sim", "replay", str(script)]) == 0
    assert re.search(r"^  too few disks are sound to serve: n1: .*, n2: ", capsys.readouterr().out, re.M)
    assert main(["sim", "replay", str(script), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["note"].startswith("too few disks")


def test_a_record_of_a_live_core_is_replayed_bit_for_bit(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    record(tmp_path / "n1.record")
    assert main(["sim", "replay", "--record", str(tmp_path / "n1.record")]) == 0
    assert capsys.readouterr().out.endswith("all 101 calls replayed, bit for bit as recorded\n")


def test_the_first_call_that_differs_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    record(tmp_path / "n1.record")
    other = ["--record", str(tmp_path / "n1.record"), "--core", "tests.raft.overrides:StartsAsPreCandidate"]
    assert main(["sim", "replay", *other]) == 1
    assert re.search(r"calls replayed as recorded; then record \d+, \w+ of member 1", capsys.readouterr().out)
    assert main(["sim", "replay", *other, "--json"]) == 1
    (verdict,) = lines_of(capsys.readouterr().out)
    assert verdict["verdict"] == "fail" and "recorded" in str(verdict["difference"])


# ---------------------------------------------------------------- sim shrink


def test_a_script_is_printed_where_no_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "shrink", "1", "--profile", "calm", "--core", BROKEN]) == 0
    output, errors = capsys.readouterr()
    assert output.startswith(f"# raftkv scenario 1\n# {CHECK}: ")
    assert f"# from seed 1 --profile calm --nodes 3 --core {BROKEN}\n" in output
    assert errors.startswith(f"{CHECK}: {len(output.splitlines())} lines after ")


def test_a_limit_that_ended_the_search_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["sim", "shrink", "1", "--profile", "calm", "--core", BROKEN, "--runs", "2"]
    assert main(arguments) == 0
    assert "a limit was reached" in capsys.readouterr().err
    assert main([*arguments, "--json"]) == 0
    (facts,) = lines_of(capsys.readouterr().out)
    assert (facts["check"], facts["runs"], facts["complete"]) == (CHECK, 2, False)
    assert str(facts["script"]).startswith("# raftkv scenario 1\n")


# ---------------------------------------------------------------- usage


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["run", "--seeds", "5..2"], "there are none"),
        (["run", "--seeds", "a..b"], "use A..B"),
        (["run", "--time", "soon"], "use a time as 60s"),
        (["run", "--profile", "odd"], "there are default"),
        (["run", "--core", "nowhere.py:C"], "there is no file"),
        (["replay"], "name a seed, a script, or --record FILE"),
        (["replay", "1", "--record", "x"], "name a seed, a script, or --record FILE"),
        (["replay", "nowhere.txt"], "no seed, and no script"),
        (["replay", "--record", "nowhere"], "No such file"),
        (["shrink", "0", "--profile", "calm"], "there is nothing to shrink"),
    ],
)
def test_wrong_usage_is_named_and_exits_with_two(
    capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    assert main(["sim", *arguments]) == 2
    assert reason in capsys.readouterr().err


def test_a_file_that_is_no_script_is_told_with_its_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("# raftkv scenario 1\nnodes 3\nat noon crash n1 all\n", encoding="utf-8")
    assert main(["sim", "replay", str(tmp_path / "a.txt")]) == 2
    assert "a.txt: line 3: 'at noon crash n1 all'" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0", "-1", "many", ""])
def test_numbers_of_jobs_are_checked(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["sim", "run", "--jobs", text])
    assert ended.value.code == 2
    assert "is not a number above 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("5m", 300), ("1h", 3600), ("90", 90), ("1.5s", 1.5)]
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert times.parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["nan", "inf", "0", "s", "1d", "-1s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="use a time as"):
        times.parse_seconds(text)


# ---------------------------------------------------------------- the bar


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_how_far_it_is_and_is_left_clean() -> None:
    stream = Terminal()
    with Progress(stream, 10, None) as bar:
        bar.show(5, "0 failed")
    shown = stream.getvalue()
    assert "[" + "#" * 15 + "." * 15 + "] 5/10, " in shown and "0 failed" in shown
    assert shown.endswith("\r\x1b[K")


def test_the_bar_is_not_drawn_at_every_step() -> None:
    stream = Terminal()
    with Progress(stream, 1000, None) as bar:
        for done in range(1000):
            bar.show(done, "")
    assert stream.getvalue().count("[#") + stream.getvalue().count("[.") < 50
