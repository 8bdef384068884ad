"""Bugs put into the checker, one at a time: a check that ignores what it does not know is found out."""

from collections.abc import Callable, Sequence

import pytest

from raftkv.checkers import Model, Operation, Outcome, formats, linearizability
from tests.checkers import test_unknown_outcomes as claims
from tests.checkers.test_known_histories import check_recorded, recorded

Patch = pytest.MonkeyPatch


def h1_unknown_outcomes_ignored(patch: Patch) -> None:
    """H1: operations without an answer are left out of the check."""
    relevant = linearizability.relevant

    def answered(history: Sequence[Operation], model: Model) -> list[Operation]:
        return [one for one in relevant(history, model) if one.outcome is Outcome.OK]

    patch.setattr(linearizability, "relevant", answered)


def h2_time_out_is_a_failure(patch: Patch) -> None:
    """H2: the reader takes a time-out for a definite failure."""
    pair_events = formats.pair_events

    def failed(events: object) -> list[Operation]:
        return [
            one._replace(outcome=Outcome.FAIL) if one.outcome is Outcome.UNKNOWN else one
            for one in pair_events(events)  # type: ignore[arg-type]
        ]

    patch.setattr(formats, "pair_events", failed)


MUTANTS = [h1_unknown_outcomes_ignored, h2_time_out_is_a_failure]


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_checker_that_does_not_know_unknown_outcomes_fails_its_claim(
    mutant: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    claims.test_a_time_out_in_a_log_is_an_unknown_outcome()
    mutant(monkeypatch)
    with pytest.raises(AssertionError):
        claims.test_a_time_out_in_a_log_is_an_unknown_outcome()


@pytest.mark.parametrize("mutant", MUTANTS)
def test_recorded_histories_find_it_too(mutant: Callable[[Patch], None], monkeypatch: Patch) -> None:
    mutant(monkeypatch)
    wrong = 0
    for known in recorded():
        try:
            check_recorded(known)
        except AssertionError:
            wrong += 1
    assert wrong >= 10
