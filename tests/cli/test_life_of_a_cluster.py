"""Verbs that change a cluster: up, down, kill, stop, restart, clean; and what goes wrong with them."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from raftkv.cli.exits import Exit
from raftkv.local import LocalCluster, free_ports
from raftkv.local.layout import parse_ports
from raftkv.local.processes import wait_until
from tests.cli.command import SECONDS, Command, ports_text

pytestmark = pytest.mark.e2e

QUICK = ("--heartbeat-interval", "60", "--election-timeout", "300")
"""Elections that take less of a test's time than the default ones."""


def lay_out(command: Command, ports: str) -> None:
    """Make the cluster's folder, so that ``up`` finds a cluster to start."""
    numbers = parse_ports(ports)
    LocalCluster.open_or_create(command.root, len(numbers) // 2, numbers, QUICK)


def quick_up(command: Command, ports: str) -> "subprocess.CompletedProcess[str]":
    lay_out(command, ports)
    return command("up")


def test_up_after_a_kill_starts_only_what_does_not_run(command: Command, ports: str) -> None:
    assert quick_up(command, ports).returncode == Exit.OK
    before = command.pids()
    leader = command.json("status")["leader"]

    killed = command("kill", leader)
    assert killed.returncode == Exit.OK
    assert killed.stdout.startswith(f"killed {leader} (pid {before[leader]})")
    assert command.pids() == {**before, leader: None}
    assert wait_until(lambda: command("status").returncode == Exit.UNREACHABLE, SECONDS)
    assert command("put", "k", "written without it").returncode == Exit.OK
    again = command("kill", leader)
    assert (again.returncode, again.stdout) == (Exit.OK, f"{leader} was not running\n")

    up = json.loads(command("up", "--json").stdout)
    assert up["started"] == [leader]
    assert up["healthy"] is True
    after = command.pids()
    assert after[leader] not in (None, before[leader])
    assert {**after, leader: None} == {**before, leader: None}


def test_without_a_majority_status_says_no_leader_and_a_restart_brings_it_back(
    command: Command, ports: str
) -> None:
    assert quick_up(command, ports).returncode == Exit.OK
    before = command.pids()
    stopped = command("stop", "n1")
    assert stopped.stdout.startswith(f"stopped n1 (pid {before['n1']})")
    assert "n1: stopped: it was told to" in command("logs", "n1", "-n", "1").stdout
    command("kill", "n2")
    command("kill", "n3")
    dark = command("status")
    assert dark.returncode == Exit.NO_LEADER
    assert dark.stdout.count("not running") == 3
    alone = command("restart", "n1")
    assert alone.returncode == Exit.NO_LEADER
    assert "too few members run" in alone.stdout
    assert command("restart", "n2").returncode == Exit.OK
    assert command.pids()["n1"] is not None
    assert command("status").returncode == Exit.UNREACHABLE
    assert command("get", "nothing").returncode == Exit.NOT_FOUND


def test_restart_of_a_running_member_gives_a_new_process(command: Command, one_port: str) -> None:
    assert quick_up(command, one_port).returncode == Exit.OK
    before = command.pids()["n1"]
    done = command("restart", "n1")
    after = command.pids()["n1"]
    assert (done.returncode, done.stdout) == (Exit.OK, f"n1 is running again (pid {after})\n")
    assert after not in (None, before)


def test_down_keeps_the_data_and_clean_asks_before_it_removes_it(command: Command, one_port: str) -> None:
    assert quick_up(command, one_port).returncode == Exit.OK
    assert command("put", "k", "kept").returncode == Exit.OK
    down = command("down")
    assert (down.returncode, down.stdout) == (
        Exit.OK,
        f"stopped n1; the data stays in {command.root}\n",
    )
    again = command("down")
    assert (again.returncode, again.stdout.split(";")[0]) == (Exit.OK, "no member was running")
    assert command("get", "k").returncode == Exit.UNREACHABLE
    assert command("up").returncode == Exit.OK
    assert command("get", "k").stdout == "kept\n"
    command("down")

    for answer in ("n\n", "\n", "", "maybe\n"):
        refused = command("clean", stdin=answer)
        assert refused.returncode == Exit.USAGE
        assert f"remove all data of the cluster in {command.root}? [y/N]" in refused.stdout
        assert "nothing was removed" in refused.stderr
        assert (command.root / "n1" / "data").is_dir()
    assert command("clean", stdin="y\n").returncode == Exit.OK
    assert not command.root.exists()
    for verb in ("status", "ps", "down", "clean"):
        done = command(verb)
        assert done.returncode == Exit.NOT_FOUND
        assert done.stderr == f"raftkv: there is no cluster in {command.root}; start one with: raftkv up\n"


def test_clean_leaves_what_raftkv_did_not_make(command: Command, one_port: str) -> None:
    lay_out(command, one_port)
    mine = command.root / "notes.txt"
    mine.write_text("mine")
    (command.root / "n1").mkdir()
    done = command("clean", "--yes")
    assert done.returncode == Exit.OK
    assert f"left {mine}" in done.stderr
    assert [path.name for path in command.root.iterdir()] == ["notes.txt"]


def test_clean_does_not_follow_a_link_out_of_the_folder(command: Command, one_port: str) -> None:
    lay_out(command, one_port)
    outside = command.folder / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    (command.root / "n1").symlink_to(outside)
    done = command("clean", "--yes")
    assert done.returncode == Exit.USAGE
    assert "symbolic link" in done.stderr
    assert (outside / "file").read_text() == "mine"


def test_a_folder_with_other_things_in_it_is_not_taken_over(command: Command, one_port: str) -> None:
    command.root.mkdir()
    (command.root / "thesis.txt").write_text("mine")
    done = command("up", "--ports", one_port)
    assert done.returncode == Exit.USAGE
    assert "raftkv did not make it" in done.stderr
    assert [path.name for path in command.root.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("place", [0, 3])
def test_a_used_port_names_its_owner_and_nothing_is_started(command: Command, place: int) -> None:
    ports = free_ports(6)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", ports[place]))
        taken.listen()
        done = command("up", "--ports", ports_text(ports))
    use = "peers" if place % 2 else "clients"
    assert done.returncode == Exit.USAGE
    assert done.stderr.startswith(
        f"raftkv: port {ports[place]} (n{place // 2 + 1}, {use}) is used by pid {os.getpid()} ("
    )
    assert not command.root.exists()


def test_a_used_port_is_an_error_object_with_json(command: Command) -> None:
    ports = free_ports(2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[0]))
        taken.listen()
        done = command("up", "--json", "--ports", ports_text(ports))
    answer = json.loads(done.stdout)
    assert (answer["kind"], answer["exit"], done.returncode) == ("PortsInUse", Exit.USAGE, Exit.USAGE)
    assert f"pid {os.getpid()}" in answer["error"]


def test_a_member_that_dies_at_the_start_shows_its_last_words_and_ends_the_others(
    command: Command, ports: str
) -> None:
    lay_out(command, ports)
    (command.root / "n2").mkdir()
    (command.root / "n2" / "data").write_text("no folder")
    done = command("up")
    assert done.returncode == Exit.FAILED
    assert "raftkv: n2 ended while it started" in done.stderr
    assert f"the end of {command.root / 'n2' / 'log'}:" in done.stderr
    assert "n2: stopped: " in done.stderr
    assert set(command.pids().values()) == {None}


def test_a_member_that_dies_does_not_end_those_that_ran_before(command: Command, ports: str) -> None:
    assert quick_up(command, ports).returncode == Exit.OK
    before = command.pids()
    command("kill", "n3")
    data = command.root / "n3" / "data"
    data.rename(command.root / "n3" / "aside")
    data.write_text("no folder")
    assert command("up").returncode == Exit.FAILED
    assert command("restart", "n3").returncode == Exit.FAILED
    assert command.pids() == {**before, "n3": None}


def test_up_that_is_interrupted_ends_what_it_started(command: Command, ports: str) -> None:
    with command.started("up", "--ports", ports) as up:
        up.wait_for("started n1, n2, n3")
        assert up.signal(signal.SIGINT) == Exit.INTERRUPTED
    assert command.pids() == {"n1": None, "n2": None, "n3": None}


def test_two_ups_at_once_start_one_cluster(command: Command, one_port: str) -> None:
    lay_out(command, one_port)
    with command.started("up") as first:
        first.wait_for("started n1")
        second = command("up")
        assert first.process.wait(SECONDS) == Exit.OK
    assert second.returncode == Exit.OK
    assert "already running" in second.stderr
    assert len(running_members(command)) == 1


def running_members(command: Command) -> list[str]:
    """Every process of this machine whose command line names the cluster's folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if os.fsencode(command.root) + b"/n" in words:
            found.append(path.parent.name)
    return found


def test_a_foreign_process_under_an_old_pid_is_left_alone(command: Command, one_port: str) -> None:
    """The system gives a pid to somebody else once its process is gone."""
    assert quick_up(command, one_port).returncode == Exit.OK
    command("down")
    record = command.root / "n1" / "process.json"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as foreign:
        fields = json.loads(record.read_text())
        record.write_text(json.dumps({**fields, "pid": foreign.pid}))
        assert command.pids() == {"n1": None}
        assert command("down").stdout.startswith("no member was running")
        assert command("kill", "n1").stdout == "n1 was not running\n"
        assert foreign.poll() is None
        foreign.communicate(b"\n", timeout=SECONDS)
    assert foreign.returncode == 0


def test_a_member_that_does_not_listen_to_sigterm_is_killed_and_that_is_said(
    command: Command, one_port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    lay_out(command, one_port)
    cluster = LocalCluster.open(command.root, said.append)
    cluster.up()
    pid = cluster.processes()[0].pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr("raftkv.local.cluster.STOP_SECONDS", 0.2)
    assert cluster.down() == ["n1"]
    assert said[-1] == f"n1 (pid {pid}) did not end within 0.2 s: killed it"
    assert cluster.processes()[0].pid is None
    assert wait_until(lambda: running_members(command) == [], SECONDS)


def test_a_marker_that_makes_no_sense_is_refused_by_every_verb(command: Command, one_port: str) -> None:
    lay_out(command, one_port)
    marker = command.root / "raftkv-cluster.json"
    good = json.loads(marker.read_text())
    member = good["members"][0]
    for broken in (
        "{",
        "[]",
        json.dumps({**good, "format": 2}),
        json.dumps({**good, "members": [{**member, "name": "../outside"}]}),
        json.dumps({**good, "members": [{**member, "client_port": 0}]}),
    ):
        marker.write_text(broken)
        for verb in ("up", "clean"):
            done = command(verb, *(["--yes"] if verb == "clean" else []))
            assert (done.returncode, done.stdout) == (Exit.USAGE, ""), done.stderr
            assert str(marker) in done.stderr
        assert marker.read_text() == broken
    marker.write_text(json.dumps(good))
