"""``raftkv member``, against servers that give one answer: what is asked, and what is printed."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from raftkv.cli.exits import Exit
from raftkv.cli.main import main
from tests.cli.test_client import Member

HEADER = {"cluster_id": "171", "member_id": "10", "raft_term": "2"}
N1 = {
    "ID": "10",
    "name": "n1",
    "peerURLs": ["http://h:2380"],
    "clientURLs": ["http://h:2379", "http://i:2379"],
}
UNSTARTED = {"ID": "18446744073709551615", "peerURLs": ["http://u:1", "http://u:2"], "isLearner": True}
NEW = {"ID": "11", "peerURLs": ["http://n:1", "http://n:2"]}


@pytest.fixture
def member() -> Iterator[Any]:
    """Start a member that answers so; it ends with the test."""
    with ExitStack() as stack:

        def start(body: dict[str, Any], status: int = 200) -> Member:
            return stack.enter_context(Member(status, json.dumps(body).encode()).serving())

        yield start


def answer(*members: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"header": HEADER, "members": list(members), **more}


def test_members_are_listed_as_etcdctl_does(member: Any, capsys: pytest.CaptureFixture[str]) -> None:
    asked = member(answer(N1, UNSTARTED))
    assert main(["member", "list", "--endpoint", asked.url]) == Exit.OK
    assert capsys.readouterr().out == (
        "a, started, n1, http://h:2380, http://h:2379,http://i:2379, false\n"
        "ffffffffffffffff, unstarted, , http://u:1,http://u:2, , true\n"
    )
    assert main(["member", "list", "--serializable", "--json", "--endpoint", asked.url]) == Exit.OK
    first, second = json.loads(capsys.readouterr().out)
    assert first["id"] == "a"
    assert second == {
        "id": "ffffffffffffffff",
        "name": "",
        "peer_urls": ["http://u:1", "http://u:2"],
        "client_urls": [],
        "is_learner": True,
    }
    assert [body for _, body in asked.asked] == [{"linearizable": True}, {"linearizable": False}]


ADD = ["member", "add", "new", "--peer-urls", "http://n:1", "--peer-urls", "http://n:2"]


def test_an_added_member_is_told_what_to_start_with(member: Any, capsys: pytest.CaptureFixture[str]) -> None:
    asked = member(answer(N1, NEW, UNSTARTED, member=NEW))
    assert main([*ADD, "--learner", "--endpoint", asked.url]) == Exit.OK
    cluster = (
        "n1=http://h:2380,new=http://n:1,new=http://n:2,"
        "ffffffffffffffff=http://u:1,ffffffffffffffff=http://u:2"
    )
    assert capsys.readouterr().out == (
        "Member b added to cluster ab\n"
        "\n"
        'RAFTKV_NAME="new"\n'
        f'RAFTKV_INITIAL_CLUSTER="{cluster}"\n'
        'RAFTKV_INITIAL_ADVERTISE_PEER_URLS="http://n:1,http://n:2"\n'
        'RAFTKV_INITIAL_CLUSTER_STATE="existing"\n'
    )
    body = {"peerURLs": ["http://n:1", "http://n:2"], "isLearner": True}
    assert asked.asked == [("/v3/cluster/member/add", body)]
    assert main([*ADD, "--json", "--endpoint", asked.url]) == Exit.OK
    told = json.loads(capsys.readouterr().out)
    assert (told["cluster"], told["member"], len(told["members"])) == ("ab", "b", 3)
    assert told["environment"]["RAFTKV_INITIAL_CLUSTER"] == cluster
    assert asked.asked[-1][1]["isLearner"] is False


@pytest.mark.parametrize(
    ("verb", "words", "more", "text"),
    [
        ("remove", [], {}, "Member a removed from cluster ab\n"),
        ("promote", [], {}, "Member a promoted in cluster ab\n"),
        (
            "update",
            ["--peer-urls", "http://n:1,http://n:2"],
            {"peerURLs": ["http://n:1", "http://n:2"]},
            "Member a updated in cluster ab\n",
        ),
    ],
)
def test_a_change_names_the_member_by_name_or_id(
    member: Any,
    verb: str,
    words: list[str],
    more: dict[str, Any],
    text: str,
    *,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = member(answer(N1))
    for which in ("n1", "a"):
        assert main(["member", verb, which, *words, "--endpoint", asked.url]) == Exit.OK
        assert capsys.readouterr().out == text
        assert asked.asked[-1] == (f"/v3/cluster/member/{verb}", {"ID": "10", **more})
    assert main(["member", verb, "n9", *words, "--endpoint", asked.url]) == Exit.USAGE
    assert "there is no member 'n9'; the members are n1 (a)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "code", "text", "exit_"),
    [
        (500, 2, "re-configuration failed due to not enough started members", Exit.FAILED),
        (503, 14, "unhealthy cluster", Exit.FAILED),
        (503, 14, "request timed out", Exit.UNKNOWN),
    ],
)
def test_a_refusal_is_told_and_a_change_in_doubt_has_its_own_exit_code(
    member: Any, status: int, code: int, text: str, exit_: Exit, *, capsys: pytest.CaptureFixture[str]
) -> None:
    refusing = member({"code": code, "message": f"etcdserver: {text}"}, status)
    assert main([*ADD, "--endpoint", refusing.url]) == exit_
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("words", [["add", "n4"], ["add", "--peer-urls", "http://n:1"], ["remove"], ["swap"]])
def test_what_is_missing_is_a_usage_error(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["member", *words])
    assert ended.value.code == Exit.USAGE
