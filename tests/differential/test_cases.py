"""Each case on a real etcd and on raftkv: the same answers."""

from pathlib import Path

import pytest

from tests.differential import sections
from tests.differential.report import TALLY, differences
from tests.differential.steps import SHARED, Case
from tests.differential.systems import Pair, pair, transcripts

pytestmark = pytest.mark.e2e

CASES = dict(sections.named(sections.ALL))


@pytest.mark.parametrize("name", [name for name, one in CASES.items() if one.where == SHARED])
def test_both_answer_alike(name: str, shared: Pair) -> None:
    check(shared, CASES[name])


@pytest.mark.parametrize("name", [name for name, one in CASES.items() if one.where != SHARED])
def test_both_answer_alike_from_their_start_on(name: str, tmp_path: Path) -> None:
    with pair(tmp_path / "pair", flags=CASES[name].flags) as fresh:
        check(fresh, CASES[name])


def check(where: Pair, one: Case) -> None:
    TALLY.cases += 1
    found = differences(one, *transcripts(where, one))
    if found:
        pytest.fail(found, pytrace=False)
    TALLY.same += 1
    TALLY.known += bool(one.ours)
