"""Bounds between times and revisions, against the plain way to find them."""

from random import Random

import pytest

from raftkv.checkers import Outcome
from raftkv.checkers.revision_times import NEVER, Answered, RevisionTimes, returned
from tests.checkers.told import ok, unknown


@pytest.mark.parametrize("seed", range(20))
def test_the_bounds_are_the_tightest(seed: int) -> None:
    random = Random(seed)
    answers = []
    for _ in range(random.randint(1, 12)):
        call = random.randint(0, 20)
        answers.append(Answered(ok(call, call + random.randint(0, 9), told=()), random.randint(0, 8)))
    times = RevisionTimes(answers)
    known = [answer for answer in answers if answer.revision]
    for bound in range(22):
        reached = times.reached(bound)
        ends = [returned(answer.operation) for answer in known if answer.revision >= bound]
        assert (NEVER if reached is None else returned(reached)) == min(ends, default=NEVER)
        lowest = times.not_reached(bound)
        later = [answer.revision for answer in known if answer.operation.call > bound]
        assert (NEVER if lowest is None else lowest.revision) == min(later, default=NEVER)


def test_an_unknown_outcome_never_returned() -> None:
    given_up = unknown(1, "get", b"k")._replace(returned=2)
    assert given_up.outcome is Outcome.UNKNOWN
    assert returned(given_up) == NEVER
