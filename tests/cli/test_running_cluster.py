"""Verbs that look at a running cluster, or are refused by it."""

import os
import re
import signal
import subprocess
import sys

import pytest

from raftkv.cli.exits import Exit
from raftkv.local import free_ports
from raftkv.local.processes import wait_until
from tests.cli.command import SECONDS, Command, environment, ports_text

pytestmark = pytest.mark.e2e


def test_status_is_0_and_names_one_leader_when_all_is_well(running: Command) -> None:
    done = running("status")
    assert done.returncode == Exit.OK
    lines = done.stdout.splitlines()
    assert lines[0].split()[:7] == ["NAME", "ROLE", "TERM", "COMMIT", "APPLIED", "LAG", "HEALTH"]
    assert [line.split()[0] for line in lines[1:]] == ["n1", "n2", "n3"]
    assert sorted(line.split()[1] for line in lines[1:]) == ["follower", "follower", "leader"]
    assert all("healthy" in line.split() for line in lines[1:])


def test_status_as_json_has_ids_as_text_and_one_term(running: Command) -> None:
    view = running.json("status")
    assert view["healthy"] is True
    assert view["leader"] in ("n1", "n2", "n3")
    assert len({member["term"] for member in view["members"]}) == 1
    assert all(re.fullmatch(r"\d+", member["member_id"]) for member in view["members"])
    assert len({member["member_id"] for member in view["members"]}) == 3


def test_a_second_up_says_so_and_changes_nothing(running: Command) -> None:
    before = running.pids()
    done = running("up")
    assert done.returncode == Exit.OK
    assert "already running; nothing was changed" in done.stderr
    assert running.json("up")["started"] == []
    assert running.pids() == before
    assert None not in before.values()


def test_ps_shows_members_that_outlive_their_shell(running: Command) -> None:
    """Each has a session of its own, so no closing terminal reaches it."""
    pids = running.pids()
    assert sorted(pids) == ["n1", "n2", "n3"]
    for pid in pids.values():
        assert pid is not None
        assert os.getsid(pid) == pid
    lines = running("ps").stdout.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        [name, "running", str(pid)] for name, pid in pids.items()
    ]


def test_the_printed_example_works_as_it_is(running: Command) -> None:
    shown = running("up").stdout
    examples = [line.strip() for line in shown.splitlines() if line.strip().startswith("curl ")]
    answers = [subprocess.run(["/bin/sh", "-c", e], capture_output=True, check=True).stdout for e in examples]
    assert len(answers) == 2
    assert b'"value":"YmFy"' in answers[1]


def test_logs_prints_the_last_lines_of_one_member(running: Command) -> None:
    done = running("logs", "n2", "-n", "1")
    assert done.returncode == Exit.OK
    assert len(done.stdout.splitlines()) == 1
    everything = running("logs", "n2", "-n", "1000").stdout
    assert " n2: started as n2" in everything
    assert everything.endswith(done.stdout)
    assert running("logs", "n2", "-n", "0").stdout == ""


def test_logs_follows_until_it_is_interrupted(running: Command) -> None:
    with running.started("logs", "n1", "-n", "1000", "-f") as following:
        following.wait_for("n1: started as n1")
        with (running.root / "n1" / "log").open("a", encoding="utf-8") as log:
            log.write("a line written later\n")
        following.wait_for("a line written later\n")
        assert following.signal(signal.SIGINT) == Exit.INTERRUPTED


@pytest.mark.parametrize("verb", ["logs", "kill", "stop", "restart"])
def test_an_unknown_member_is_told_which_there_are(running: Command, verb: str) -> None:
    before = running.pids()
    done = running(verb, "n4")
    assert done.returncode == Exit.USAGE
    assert done.stderr == "raftkv: there is no member 'n4' in this cluster; its members are n1, n2, n3\n"
    assert running.pids() == before


def test_clean_is_refused_while_members_run(running: Command) -> None:
    done = running("clean", "--yes")
    assert done.returncode == Exit.USAGE
    assert "still running: n1, n2, n3" in done.stderr
    assert "raftkv down" in done.stderr
    assert running("status").returncode == Exit.OK


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-n", "5"], "has 3 members, not 5"),
        (["--ports", ports_text(free_ports(6))], "uses the ports"),
        (["--ports", "1,2"], "has 3 members, not 1"),
        (["--ports", "x,y"], "expected numbers from 1 to 65535"),
        (["--ports", "5,5"], "a port is named twice"),
    ],
)
def test_up_refuses_to_turn_a_cluster_into_another_one(running: Command, words: list[str], text: str) -> None:
    before = running.pids()
    done = running("up", *words)
    assert done.returncode == Exit.USAGE
    assert text in done.stderr
    assert running.pids() == before


def test_the_folder_is_found_from_elsewhere_by_flag_and_by_variable(running: Command) -> None:
    elsewhere = Command(running.folder.parent)
    assert elsewhere("status").returncode == Exit.NOT_FOUND
    assert elsewhere("status", "--data", str(running.root)).returncode == Exit.OK
    assert elsewhere("status", RAFTKV_DATA=str(running.root)).returncode == Exit.OK


def test_put_and_get_need_no_address(running: Command) -> None:
    assert running("put", "greeting", "hello").stdout.startswith("OK, revision ")
    done = running("get", "greeting")
    assert (done.returncode, done.stdout) == (Exit.OK, "hello\n")
    assert running.json("get", "greeting") == {"key": {"text": "greeting"}, "value": {"text": "hello"}}
    assert running("get", "greeting", "--serializable").returncode in (Exit.OK, Exit.NOT_FOUND)


def test_all_members_have_the_same_checksum(running: Command) -> None:
    assert running("put", "counted", "once").returncode == Exit.OK
    written = max(member["revision"] for member in running.json("endpoint", "hashkv"))
    assert wait_until(
        lambda: {member["revision"] for member in running.json("endpoint", "hashkv")} == {written}, SECONDS
    )
    told = running.json("endpoint", "hashkv", "--rev", str(written))
    assert len(told) == 3
    assert len({member["hash"] for member in told}) == 1


def test_a_missing_key_is_not_found(running: Command) -> None:
    done = running("get", "no such key")
    assert (done.returncode, done.stdout) == (Exit.NOT_FOUND, "")
    assert "there is no key 'no such key'" in done.stderr
    assert running.json("get", "no such key")["value"] is None


def test_an_empty_key_gets_the_server_s_error(running: Command) -> None:
    done = running("put", "", "value")
    assert done.returncode == Exit.FAILED
    assert "etcdserver: key is not provided" in done.stderr


def test_a_reader_that_has_enough_is_no_error(running: Command) -> None:
    script = f"'{sys.executable}' -m raftkv logs n1 -n 1000 | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["/bin/bash", "-c", script], cwd=running.folder, env=environment(), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
