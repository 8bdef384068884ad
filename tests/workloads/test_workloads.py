"""Every workload is right about a cluster that is, and says so when a port lies."""

from random import Random
from typing import Any

import pytest

from raftkv.checkers import MODELS, Validity
from raftkv.checkers.history import Outcome
from raftkv.errors import ConfigError
from raftkv.workloads import NAMES, make
from tests.workloads.playing import play

RIGHT = [name for name in NAMES if name != "unfenced"]


@pytest.mark.parametrize("name", RIGHT)
def test_a_workload_on_a_right_cluster_is_valid(name: str) -> None:
    played = play(name)
    assert played.validity() is Validity.VALID, played.explained()
    assert all(finding.operations for finding in played.findings())
    done = [outcome for _, _, outcome in played.said]
    assert done.count(Outcome.OK) > 0.7 * len(done)


@pytest.mark.parametrize("name", RIGHT)
def test_its_histories_are_read_and_found_valid(name: str) -> None:
    played = play(name, words=25)
    histories = played.workload.histories(played.truth)
    assert sorted(histories) == sorted(finding.model for finding in played.findings())
    for model, lines in histories.items():
        examined = MODELS[model]("\n".join(lines) + "\n", model, 1_000_000)
        assert examined.verdict.validity is Validity.VALID, examined.verdict
        assert examined.operations > 0


@pytest.mark.parametrize("name", NAMES)
def test_the_same_chance_gives_the_same_words_and_answers(name: str) -> None:
    one, other = play(name, seed=5, words=15), play(name, seed=5, words=15)
    assert one.said == other.said
    assert one.workload.histories(one.truth) == other.workload.histories(other.truth)


@pytest.mark.parametrize("name", NAMES)
def test_words_can_stand_in_a_scenario(name: str) -> None:
    workload, random = make(name, clients=6, random=Random(1)), Random(2)
    for number in range(6):
        for _ in range(60):
            words = workload.draw(random, number)
            assert words and all(word and not word.isspace() and " " not in word for word in words)


@pytest.mark.parametrize("name", RIGHT)
def test_what_no_client_can_do_is_named(name: str) -> None:
    workload = make(name, clients=1, random=Random(1))
    attempt: Any = workload.client(0).run(("fly", "away"), None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="fly"):
        attempt.send(None)


def test_a_workload_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigError, match="no workload 'chess'; there are register, append, "):
        make("chess", clients=1, random=Random(1))


def test_a_client_of_a_mixed_run_that_is_of_no_part_is_named() -> None:
    client = make("mixed", clients=1, random=Random(1)).client(0)
    with pytest.raises(ConfigError, match="'chess' is no part of a mixed workload"):
        client.give_up(("chess", "e4"), 1.0)


def test_few_clients_do_all_parts_of_a_mixed_run_in_turn() -> None:
    workload, random = make("mixed", clients=2, random=Random(1)), Random(2)
    names = {workload.draw(random, number)[0] for number in range(2) for _ in range(200)}
    assert names == set(NAMES) - {"unfenced", "mixed"}


def test_a_lock_without_fencing_fails_when_a_holder_stands_still() -> None:
    """It is no fault of the store: a lease ends, whoever still believes in it."""
    found = [play("unfenced", seed=seed) for seed in (1, 2, 3)]
    assert Validity.INVALID in [one.validity() for one in found]
    reasons = [finding.verdict.reason for one in found for finding in one.findings()]
    assert any("expected under pauses" in reason for reason in reasons)
