"""Pictures of simulated runs: the document of a scripted scenario, and what watching must not do."""

from pathlib import Path
from typing import Any

import pytest

from raftkv.raft import Consensus
from raftkv.raft.core import Raft
from raftkv.raft.messages import RequestVote
from raftkv.sim.draw import draw_scenario, profile_named
from raftkv.sim.picture import draw, write_page
from raftkv.sim.run import run_scenario
from raftkv.sim.scenario import Scenario, parse_scenario
from raftkv.viewer import render
from tests.viewer.replay import states_after

SCRIPT = """# raftkv scenario 1
nodes 3
seed 7
network 1ms..2ms
at 3 c1 via n1 put k1 v1
at 3.1 crash n2 nothing
at 3.5 start n2
at 4 cut n1>n3 n3>n1 for 0.5
at 5 pause n3 for 0.2
at 5.5 slow-disk n1 10 for 0.25
at 6 c2 via n2 get k1
heal at 7 with n1 n2 n3
"""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    result, document = draw(parse_scenario(SCRIPT))
    assert result.passed, result.detail
    return document


class GivesEveryVote(Raft):
    """Votes for whoever asks."""

    def grant_vote(self, message: RequestVote) -> bool:
        return True


def make_lax(*arguments: Any, **options: Any) -> Consensus:
    return GivesEveryVote(*arguments, **options)


def failing_run() -> tuple[Scenario, Any, dict[str, Any]]:
    """Return the first drawn scenario in which a vote too many breaks a rule, and its picture."""
    for seed in range(30):
        scenario = draw_scenario(seed, profile_named("default"))
        result, document = draw(scenario, make_lax)
        if "RuleViolated" in result.detail:
            return scenario, result, document
    raise AssertionError("no seed breaks a rule")


def test_a_picture_changes_nothing_in_the_run() -> None:
    scenario = draw_scenario(3, profile_named("default"))
    assert draw(scenario)[0].digest == run_scenario(scenario).digest


def test_two_pictures_of_one_scenario_are_equal(document: dict[str, Any]) -> None:
    assert draw(parse_scenario(SCRIPT))[1] == document


# ---------------------------------------------------------------- the scripted scenario


def test_a_run_in_which_nobody_could_serve_says_so_in_its_picture() -> None:
    lines = [f"at 2 kill n{number}\nat 2.1 damage n{number} wal gone" for number in (1, 2, 3)]
    text = "\n".join(("# raftkv scenario 1", "beyond repair", *lines, "heal at 3 with n1 n2 n3"))
    result, document = draw(parse_scenario(text))
    assert result.passed and ["note", result.note] in document["facts"]
    texts = [one["text"] for one in document["steps"]]
    assert "damage n1 wal gone" in texts and "nobody can be healed" in texts


def test_faults_are_at_their_times(document: dict[str, Any]) -> None:
    faults = ("power", "starts", "cut", "stands", "goes", "slow-disk", "n1 n2 n3")
    steps = [one for one in document["steps"] if one["t"] > 3 and one["text"].startswith(faults)]
    found = [(one["t"], one["lane"], one["text"], one.get("set", {}).get("state")) for one in steps]
    assert [one for one in found if not one[2].startswith("starts with")] == [
        (3.1, 1, "power lost: nothing that was not synced stays", "down"),
        (3.5, 1, "starts", "up"),
        (4.0, None, "cut n1>n3 n3>n1 for 0.5 s", None),
        (5.0, 2, "stands still", "paused"),
        (5.2, 2, "goes on", "up"),
        (5.5, 0, "slow-disk n1 10 for 0.25 s", None),
        (7.0, None, "n1 n2 n3 are healed for good", None),
    ]


def test_cuts_and_spans_have_a_begin_and_an_end(document: dict[str, Any]) -> None:
    assert document["cuts"] == [
        {"from": 0, "to": 2, "begin": 4.0, "end": 4.5},
        {"from": 2, "to": 0, "begin": 4.0, "end": 4.5},
    ]
    assert document["spans"] == [
        {"lane": 0, "kind": "slow-disk", "text": "slow-disk n1 10 for 0.25 s", "begin": 5.5, "end": 5.75}
    ]


def test_requests_have_an_outcome_and_an_answer(document: dict[str, Any]) -> None:
    asked = [
        (one["client"], one["lane"], one["text"], one["begin"], one["outcome"], one["answer"])
        for one in document["operations"][:2]
    ]
    assert asked == [
        ("c1", 0, "put k1 v1", 3.0, "ok", "revision 2"),
        ("c2", 1, "get k1", 6.0, "ok", "v1 (modified at 2), revision 2"),
    ]
    assert all(one["end"] > one["begin"] for one in document["operations"])


def test_the_document_says_what_ran_and_that_it_passed(document: dict[str, Any]) -> None:
    assert document["format"] == 1
    assert document["title"] == "raftkv simulation, seed 7"
    assert document["lanes"] == ["n1", "n2", "n3"]
    assert document["failure"] is None
    assert ["members", "3"] in document["facts"]


def test_entries_are_told_in_words(document: dict[str, Any]) -> None:
    assert document["entries"][0] == [1, 1, "configuration", "voters n1 n2 n3"]
    told = [(kind, text) for _, _, kind, text in document["entries"]]
    assert ("no-op", "") in told
    assert ("command", "put k1 v1") in told


def test_nothing_reaches_a_member_while_it_is_down_or_cut_off(document: dict[str, Any]) -> None:
    arrived = [one for one in document["messages"] if "arrived" in one]
    assert not [one for one in arrived if one["to"] == 1 and 3.1 < one["arrived"] < 3.5]
    assert not [one for one in arrived if {one["from"], one["to"]} == {0, 2} and 4 < one["arrived"] < 4.5]
    lost = [(one["to"], one["why"]) for one in document["messages"] if "lost" in one]
    assert (1, "nobody is there") in lost or (1, "no way") in lost


def test_a_paused_member_takes_no_step(document: dict[str, Any]) -> None:
    assert not [step for step in document["steps"] if step["lane"] == 2 and 5 < step["t"] < 5.2]


def test_a_member_that_is_still_paused_when_all_are_healed_goes_on_then() -> None:
    script = "# raftkv scenario 1\nseed 7\nat 2.5 pause n3 for 9\nheal at 3 with n1 n2 n3"
    steps = draw(parse_scenario(script))[1]["steps"]
    states = [
        (one["t"], one["set"]["state"]) for one in steps if one["lane"] == 2 and "state" in one.get("set", {})
    ]
    assert states == [(0.0, "up"), (2.5, "paused"), (3.0, "up")]


# ---------------------------------------------------------------- drawn scenarios


def test_the_last_states_are_those_of_the_cores() -> None:
    """Crashes, installs and truncations included, the steps add up to what each core holds in the end."""
    cores: dict[int, Consensus] = {}

    def make(node_id: int, *arguments: Any, **options: Any) -> Consensus:
        cores[node_id] = Raft(node_id, *arguments, **options)
        return cores[node_id]

    _, document = draw(draw_scenario(3, profile_named("default")), make)
    states = states_after(document, len(document["steps"]))
    up = [place for place, state in enumerate(states) if state["state"] == "up"]
    assert len(up) >= 2
    for place in up:
        status, state = cores[int(document["lanes"][place][1:])].status(), states[place]
        log = status.log
        held = {entry.index: entry.term for entry in log.slice(log.first_index, log.last_index)}
        assert {index: entry[1] for index, entry in state["log"].items()} == held
        assert (state["role"], state["term"]) == (status.role.value, status.term)
        assert state["commit"] == status.commit_index


def test_every_message_is_told_once_with_its_fate() -> None:
    result, document = draw(draw_scenario(3, profile_named("default")))
    messages = document["messages"]
    assert sum("arrived" in one for one in messages) == result.messages["arrived"]
    assert sum("lost" in one for one in messages) == result.messages["lost"] + result.messages["cut off"]
    assert all(one.get("arrived", one.get("lost", one["sent"])) >= one["sent"] for one in messages)
    assert [one["sent"] for one in messages] == sorted(one["sent"] for one in messages)


def test_steps_are_in_order_and_take_messages_that_have_arrived() -> None:
    document = draw(draw_scenario(5, profile_named("default")))[1]
    times = [step["t"] for step in document["steps"]]
    assert times == sorted(times)
    taken = [step["message"] for step in document["steps"] if "message" in step]
    assert len(taken) == len(set(taken)) > 1000
    for step in document["steps"]:
        if "message" in step:
            message = document["messages"][step["message"]]
            assert message["to"] == step["lane"]
            assert message["arrived"] <= step["t"]


# ---------------------------------------------------------------- failures


def test_a_broken_rule_is_marked_at_its_step_and_member(tmp_path: Path) -> None:
    scenario, result, document = failing_run()
    failure = document["failure"]
    step = document["steps"][failure["step"]]
    name = document["lanes"][step["lane"]]
    assert result.detail.startswith(f"{name}: RuleViolated: {failure['source']}: {failure['rule']}")
    assert result.detail.endswith(failure["detail"])
    assert step["text"] == f"breaks a rule: {failure['detail']}"
    before = document["steps"][failure["step"] - 1]
    assert (before["t"], before["lane"]) == (step["t"], step["lane"])
    stop = next(s for s in document["steps"][failure["step"] :] if s["text"].startswith("stops by itself"))
    assert stop["lane"] == step["lane"]
    path = tmp_path / "page.html"
    assert write_page(scenario, path, make_lax).detail == result.detail
    assert path.read_text(encoding="ascii") == render(document)
    assert path.stat().st_size <= 2_000_000


class ForgetsToApply(Raft):
    """Never says that an entry is committed."""

    def advance_commit(self) -> None:
        """Do nothing."""


def test_a_check_that_fails_in_the_end_is_a_step_of_no_member() -> None:
    result, document = draw(
        parse_scenario("# raftkv scenario 1\nseed 2\nheal at 3 with n1 n2 n3"), ForgetsToApply
    )
    assert result.check == "liveness of requests"
    step = document["steps"][document["failure"]["step"]]
    assert document["failure"] == {
        "step": len(document["steps"]) - 1,
        "check": "liveness of requests",
        "rule": "",
        "source": "",
        "detail": result.detail,
    }
    assert (step["t"], step["lane"]) == (document["end"], None)


class Stumbles(Raft):
    """Has a bug of its own."""

    def become_leader(self) -> None:
        """Fail."""
        raise AssertionError("stumbled")


def test_a_member_that_stops_by_itself_is_the_failing_step() -> None:
    result, document = draw(parse_scenario(SCRIPT), Stumbles)
    step = document["steps"][document["failure"]["step"]]
    assert result.check == "AssertionError in Stumbles.become_leader"
    assert step["text"] == "stops by itself: AssertionError: stumbled"
    assert result.detail.startswith(document["lanes"][step["lane"]])
