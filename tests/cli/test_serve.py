"""``raftkv serve``: flags, variables, signals and the reasons why a member refuses to start."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from raftkv.cli.exits import Exit
from raftkv.cli.main import main
from raftkv.client import SyncClient
from raftkv.errors import RaftKvError
from raftkv.local import free_ports
from raftkv.local.processes import wait_until
from tests.cli.command import SECONDS, Command, environment

pytestmark = pytest.mark.e2e


@pytest.fixture
def settings() -> dict[str, str]:
    """Flags of a cluster of one member on free ports."""
    client, peer = (f"http://127.0.0.1:{port}" for port in free_ports(2))
    return {
        "name": "solo",
        "data-dir": "data",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"solo={peer}",
        "heartbeat-interval": "60",
        "election-timeout": "300",
    }


def flags(settings: Mapping[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in (f"--{name}", value)]


def variables(settings: Mapping[str, str]) -> dict[str, str]:
    return {f"RAFTKV_{name.replace('-', '_').upper()}": value for name, value in settings.items()}


def is_healthy(client: SyncClient) -> bool:
    try:
        return client.health()[0]
    except RaftKvError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order_and_nothing_is_lost(
    command: Command, settings: dict[str, str], number: signal.Signals
) -> None:
    client = SyncClient([settings["listen-client-urls"]])
    with command.started("serve", *flags(settings)) as serve:
        assert wait_until(lambda: is_healthy(client), SECONDS), serve.text()
        client.put(b"k", b"kept")
        assert serve.signal(number) == Exit.OK
        assert serve.text().endswith("solo: stopped: it was told to\n")
    with command.started("serve", *flags(settings)) as serve:
        assert wait_until(lambda: is_healthy(client), SECONDS), serve.text()
        assert client.get(b"k") == b"kept"
        assert serve.signal(number) == Exit.OK


def test_every_setting_can_come_from_the_environment(command: Command, settings: dict[str, str]) -> None:
    client = SyncClient([settings["listen-client-urls"]])
    given = variables({**settings, "log-format": "json"})
    with command.started("serve", **given, RAFTKV_NAEM="n1") as serve:
        assert wait_until(lambda: is_healthy(client), SECONDS), serve.text()
        assert serve.signal(signal.SIGTERM) == Exit.OK
        text = serve.text()
    assert "warning: the environment variable RAFTKV_NAEM is not known and not used" in text
    assert '"member": "solo"' in text
    assert (command.folder / "data").is_dir()


def test_a_flag_and_its_variable_together_are_refused(command: Command) -> None:
    done = command("serve", "--name", "a", RAFTKV_NAME="b")
    assert done.returncode == Exit.USAGE
    assert done.stderr == (
        "raftkv: --name is given and RAFTKV_NAME is set in the environment; use one of them\n"
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--election-timeout", "100"], "at least 5 times --heartbeat-interval"),
        (["--heartbeat-interval", "soon"], "it has to be a whole number"),
        (["--listen-client-urls", "localhost:2379"], "it has to be http://HOST:PORT"),
        (["--listen-client-urls", "https://127.0.0.1:1"], "it has to be http://HOST:PORT"),
        (["--initial-cluster", "n1"], "is not NAME=URL"),
        (["--initial-cluster", "n1=http://127.0.0.1:1"], "is not in --initial-cluster"),
        (["--initial-cluster-state", "old"], "use new or existing"),
        (["--log-level", "loud"], "use one of debug, info, warning, error"),
        (["--max-txn-ops", "0"], "it has to be above 0"),
        (["--quota-backend-bytes", "2G"], "it has to be a whole number"),
        (["--auto-compaction-mode", "hourly"], "use periodic or revision"),
        (["--auto-compaction-retention", "soon"], "use hours"),
        (["--name", ""], "--name is empty"),
        (["--no-such-flag", "1"], "unrecognized arguments"),
        (["--log", "debug"], "unrecognized arguments"),
    ],
)
def test_a_bad_flag_is_named_and_nothing_is_made(
    tmp_path: Path,
    words: list[str],
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", environment())
    try:
        code = main(["serve", *words])
    except SystemExit as ended:
        assert isinstance(ended.code, int)
        code = ended.code
    error = capsys.readouterr().err
    assert code == Exit.USAGE
    assert words[0] in error
    assert text in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("variable", [None, "PYTHONOPTIMIZE"])
def test_python_without_assertions_is_refused(command: Command, variable: str | None) -> None:
    """The checks that guard the data are assertions."""
    words = [sys.executable, *([] if variable else ["-O"]), "-m", "raftkv", "serve"]
    env = environment(**({variable: "1"} if variable else {}))
    done = subprocess.run(words, cwd=command.folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == Exit.USAGE
    assert "run without -O" in done.stderr
    assert list(command.folder.iterdir()) == []


def test_a_folder_in_use_and_one_of_another_cluster_are_refused_with_a_sentence(
    command: Command, settings: dict[str, str]
) -> None:
    client = SyncClient([settings["listen-client-urls"]])
    with command.started("serve", *flags(settings)) as serve:
        assert wait_until(lambda: is_healthy(client), SECONDS), serve.text()
        second = command("serve", *flags(settings))
        assert second.returncode == Exit.FAILED
        assert "data/member/wal" in second.stderr
        assert is_healthy(client)
        assert serve.signal(signal.SIGTERM) == Exit.OK
    other = command("serve", *flags({**settings, "initial-cluster-token": "another"}))
    assert other.returncode == Exit.FAILED
    assert "data holds data of cluster" in other.stderr
    for done in (second, other):
        assert "Traceback" not in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_member_with_fault_verbs_ends_with_its_disk_and_says_why(
    command: Command, settings: dict[str, str]
) -> None:
    token = command.folder / "token"
    token.write_text("a token that is none")
    token.chmod(0o600)
    words = ["serve", "--chaos", "--chaos-token-file", "token", *flags(settings)]
    refused = command(*words)
    assert refused.returncode == Exit.FAILED
    assert "--chaos-token-file token: a token has 16 to 256 printable characters" in refused.stderr
    token.write_text("0123456789abcdef\n")
    client = SyncClient([settings["listen-client-urls"]])
    with command.started(*words) as serve:
        assert wait_until(lambda: is_healthy(client), SECONDS), serve.text()
        order = Request(
            f"{settings['listen-client-urls']}/raftkv/v1/chaos",
            b'{"disk": {"log": {"fail_fsyncs": 1}}}',
            {"Authorization": "Bearer 0123456789abcdef"},
        )
        with urlopen(order) as answer:
            assert answer.status == 200
        with pytest.raises(RaftKvError):
            client.put(b"k", b"v")
        assert serve.process.wait(SECONDS) == Exit.FAILED
        assert "error   solo: stopped: data/member/wal/" in serve.text()
        assert "sync failed: Input/output error (a fault that was ordered)" in serve.text()


def test_a_token_in_the_environment_is_not_misspelt(command: Command, settings: dict[str, str]) -> None:
    client = SyncClient([settings["listen-client-urls"]])
    given = {"RAFTKV_CHAOS": "true", "RAFTKV_CHAOS_TOKEN": "0123456789abcdef"}
    with command.started("serve", *flags(settings), **given) as serve:
        assert wait_until(lambda: is_healthy(client), SECONDS), serve.text()
        assert "is not known" not in serve.text()
        # a variable that was forgotten somewhere must not go unseen
        told = "takes orders to have faults (--chaos), for tests only: token of RAFTKV_CHAOS_TOKEN"
        assert f"warning solo: {told}\n" in serve.text()
        assert serve.signal(signal.SIGTERM) == Exit.OK
