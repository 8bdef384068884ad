"""The cluster's folder, its marker, and what a member is started with."""

import json
import threading
from pathlib import Path

import pytest

from raftkv.cli.flags import FLAGS
from raftkv.local import layout as layouts
from raftkv.local import lock as locks
from raftkv.local.errors import LocalError, NoCluster, NotOurs, UnknownMember, WrongArguments
from raftkv.local.health import ClusterView, MemberView
from raftkv.local.launch import command, environment, tail
from raftkv.local.layout import Layout, default_root, parse_ports, plan
from raftkv.node.config import Config


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = plan(tmp_path / "c", 3, (1, 2, 3, 4, 5, 6), ("--log-level", "debug"))
    layouts.make_folder(layout)
    layouts.save(layout)
    return layout


def test_what_was_laid_out_is_found_again(layout: Layout) -> None:
    assert layouts.load(layout.root) == layout
    assert [path.name for path in layout.root.iterdir()] == [layouts.MARKER]
    assert layout.root.stat().st_mode & 0o777 == 0o700


def test_the_usual_ports_are_etcd_s(tmp_path: Path) -> None:
    urls = [(m.name, m.client_url, m.peer_url) for m in plan(tmp_path / "c", 3).members]
    assert urls == [
        ("n1", "http://127.0.0.1:2379", "http://127.0.0.1:2380"),
        ("n2", "http://127.0.0.1:22379", "http://127.0.0.1:22380"),
        ("n3", "http://127.0.0.1:32379", "http://127.0.0.1:32380"),
    ]


def test_two_clusters_on_the_same_ports_have_different_tokens(tmp_path: Path) -> None:
    assert plan(tmp_path / "c", 3).token != plan(tmp_path / "c", 3).token


@pytest.mark.parametrize(("size", "ports"), [(0, ()), (6, ()), (-1, ()), (3, (1, 2)), (1, (1, 2, 3, 4))])
def test_an_impossible_cluster_is_refused(tmp_path: Path, size: int, ports: tuple[int, ...]) -> None:
    with pytest.raises(WrongArguments):
        plan(tmp_path / "c", size, ports)


def test_ports_are_read_with_spaces_and_refused_otherwise() -> None:
    assert parse_ports("1, 2,65535") == (1, 2, 65535)
    for text in ("", "1,", "0", "65536", "-1", "1;2", "a", "²", "1,1"):
        with pytest.raises(WrongArguments):
            parse_ports(text)


def test_a_folder_that_is_not_there_holds_no_cluster(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for root in (tmp_path, tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(NoCluster):
            layouts.load(root)


def test_an_empty_folder_is_taken_and_not_removed_later_and_a_file_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = plan(tmp_path / "empty", 1)
    layouts.make_folder(found)
    assert found.made_folder is False
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotOurs):
        layouts.make_folder(plan(tmp_path / "file", 1))


@pytest.mark.parametrize("name", ["", "n", "x1", "../n1", "n1/../..", "n²", "N1"])
def test_a_member_s_name_can_not_lead_out_of_the_folder(layout: Layout, name: str) -> None:
    marker = layout.root / layouts.MARKER
    content = json.loads(marker.read_text())
    content["members"][0]["name"] = name
    marker.write_text(json.dumps(content))
    with pytest.raises(NotOurs):
        layouts.load(layout.root)


def test_an_unknown_member_is_told_the_known_ones(layout: Layout) -> None:
    assert layout.member("n2").client_port == 3
    with pytest.raises(UnknownMember, match="'n9' in this cluster; its members are n1, n2, n3"):
        layout.member("n9")


def test_the_folder_comes_from_the_variable_or_is_in_the_current_one(tmp_path: Path) -> None:
    assert default_root({}, tmp_path) == tmp_path / ".raftkv"
    assert default_root({"RAFTKV_DATA": ""}, tmp_path) == tmp_path / ".raftkv"
    assert default_root({"RAFTKV_DATA": "x"}, tmp_path) == tmp_path / "x"
    assert default_root({"RAFTKV_DATA": "/x"}, tmp_path) == Path("/x")


def test_a_member_is_called_with_flags_that_its_configuration_takes(layout: Layout) -> None:
    words = command(layout, layout.members[1])
    serve = words.index("serve")
    given = dict(zip(words[serve + 1 :: 2], words[serve + 2 :: 2], strict=True))
    assert set(given) <= {f"--{flag.name}" for flag in FLAGS}
    config = Config.from_flags({name[2:].replace("-", "_"): value for name, value in given.items()})
    assert config.name == "n2"
    assert config.data_dir == str(layout.root / "n2" / "data")
    assert config.listen_client_urls == config.advertise_client_urls == ("http://127.0.0.1:3",)
    assert config.initial_cluster["n3"] == ("http://127.0.0.1:6",)
    assert (config.initial_cluster_token, config.log_level) == (layout.token, "debug")


def test_a_member_inherits_no_setting_meant_for_one_member() -> None:
    made = environment({"RAFTKV_NAME": "x", "HOME": "/h", "PYTHONPATH": "/p"})
    assert "RAFTKV_NAME" not in made
    assert made["HOME"] == "/h"
    assert made["PYTHONPATH"].endswith(":/p")


@pytest.mark.parametrize("count", [0, 1, 2, 3000, 5000])
def test_the_last_lines_are_the_last_lines(tmp_path: Path, count: int) -> None:
    """The file is longer than one of the blocks in which it is read from its end."""
    log = tmp_path / "log"
    lines = [f"line {number} {'x' * (number % 50)}" for number in range(4000)]
    text = "\n".join(lines) + "\n"
    log.write_text(text)
    last = tail(log, count)
    assert last.lines == (lines[-count:] if count else [])
    assert last.end == len(text)


def test_a_log_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert tail(tmp_path / "log", 5) == ([], 0)


def test_the_lock_is_held_by_one_at_a_time_and_freed_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_PATIENCE", 0.05)
    with (
        locks.exclusive(tmp_path),
        pytest.raises(LocalError, match="another raftkv command"),
        locks.exclusive(tmp_path),
    ):
        raise AssertionError("held twice")
    with locks.exclusive(tmp_path):
        pass


def test_a_lock_file_that_was_removed_meanwhile_is_not_the_lock(tmp_path: Path) -> None:
    """Else one that waited for a removed file and one that made a new file would both hold it."""
    entered = threading.Event()

    def wait_for_it() -> None:
        with locks.exclusive(tmp_path):
            entered.set()

    with locks.exclusive(tmp_path):
        waiter = threading.Thread(target=wait_for_it)
        waiter.start()
        (tmp_path / layouts.LOCK).unlink()
        with_new_file = entered.wait(20)
    waiter.join()
    assert with_new_file


def view(name: str, identity: int, leader: int, **others: int) -> MemberView:
    return MemberView(name, "", identity, leader, 2, 9, 9, "")._replace(**others)


def test_a_cluster_is_healthy_when_all_follow_one_leader() -> None:
    good = ClusterView((view("n1", 1, 2), view("n2", 2, 2)))
    assert (good.leader, good.healthy) == ("n2", True)
    ill = view("n1", 1, 2)._replace(reason="disk")
    assert not ClusterView((ill, view("n2", 2, 2))).healthy
    assert not ClusterView((view("n1", 1, 0), view("n2", 2, 2))).healthy
    assert not ClusterView((view("n1", 1, 2), view("n2", 2, 0))).healthy, "nobody says to be the leader"


def test_of_two_that_say_to_lead_the_one_of_the_newer_term_is_shown() -> None:
    both = ClusterView((view("n1", 1, 1, term=3), view("n2", 2, 2, term=2)))
    assert (both.leader, both.healthy) == ("n1", False)


def test_lag_is_counted_from_the_furthest_commit_anyone_knows() -> None:
    cluster = ClusterView(
        (view("n1", 1, 1, commit=9), view("n2", 2, 1, commit=7, applied=5), view("n3", 0, 0))
    )
    assert [cluster.lag(member) for member in cluster.members] == [0, 4, None]
