"""What leaves a member is held against the log on its disk, and the rules learn of votes that go ahead."""

from collections.abc import Callable

import pytest

from raftkv.node.writer import Writer
from raftkv.raft import Message
from raftkv.raft.messages import AppendEntriesReply, Heartbeat, RequestPreVote, RequestVote, RequestVoteReply
from raftkv.sim.claims import CHECK, Claims
from raftkv.sim.mutants.catalogue import mutant_named
from raftkv.sim.mutants.mutant import installed
from raftkv.sim.run import run_scenario
from raftkv.sim.scenario import parse_scenario
from tests.sim.stage import Stage


def ack(term: int, index: int) -> Message:
    return AppendEntriesReply(1, 2, term, success=True, index=index, hint_index=0, hint_term=0)


CLAIMS: list[tuple[Callable[[int, int, int], Message], bool]] = [
    (lambda term, vote, last: ack(term, last), True),
    (lambda term, vote, last: ack(term, last + 1), False),
    (lambda term, vote, last: ack(term + 1, last), False),
    (lambda term, vote, last: ack(term - 1, last + 1), True),
    (lambda term, vote, last: ack(term, last + 1)._replace(success=False), True),
    (lambda term, vote, last: RequestVoteReply(1, vote, term, granted=True), True),
    (lambda term, vote, last: RequestVoteReply(1, vote + 1, term, granted=True), False),
    (lambda term, vote, last: RequestVoteReply(1, vote + 1, term, granted=False), True),
    (lambda term, vote, last: RequestVote(1, 2, term + 1, last, term), False),
    (lambda term, vote, last: RequestPreVote(1, 2, term + 1, last, term), True),
    (lambda term, vote, last: Heartbeat(1, 2, term, 1, 1), True),
    (lambda term, vote, last: Heartbeat(1, 2, term + 1, 1, 1), False),
]


@pytest.mark.parametrize("number", range(len(CLAIMS)))
def test_a_message_may_claim_what_is_on_the_disk_and_no_more(stage: Stage, number: int) -> None:
    node = stage.member(1).node
    assert node is not None
    message, is_true = CLAIMS[number]
    claims = Claims(stage.world)
    claims.leaves(message(*node.wal.hard_state[:2], node.wal.last_index))
    assert [one.check for one in stage.world.broken] == ([] if is_true else [CHECK])


def test_a_node_that_sends_before_it_saves_is_caught() -> None:
    scenario = parse_scenario("# raftkv scenario 1\nnodes 3\nheal at 2 with n1 n2 n3\n")
    assert run_scenario(scenario).passed
    with installed(mutant_named("B9")):
        assert run_scenario(scenario).check == CHECK


def test_a_vote_that_goes_ahead_of_entries_without_room_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The core hears of its Write only when the entries before it have room; the vote has left by then."""
    gone_ahead = []
    go_ahead = Writer._go_ahead

    async def noting(self: Writer) -> None:
        before = self._wal.hard_state.term
        await go_ahead(self)
        if self._wal.hard_state.term > before:
            gone_ahead.append(self)

    monkeypatch.setattr(Writer, "_go_ahead", noting)
    puts = "\n".join(
        f"at {2.2 + 0.01 * number:.2f} c{number + 1} via n{number % 3 + 1} put k1 {'v' * 900}{number}"
        for number in range(60)
    )
    scenario = parse_scenario(
        f"# raftkv scenario 1\nnodes 3\nseed 1\nat 2 full-disk n2 for 8\n{puts}\n"
        "at 4 leader-cut both for 5\nheal at 11 with n1 n2 n3\n"
    )
    result = run_scenario(scenario)
    assert result.passed, f"{result.check}: {result.detail}"
    assert gone_ahead, "no vote went ahead"
    assert result.coverage["vote went ahead of entries on a full disk"]
