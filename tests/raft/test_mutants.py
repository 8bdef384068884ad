"""No bug of the catalogue survives the stories, the random schedules and the claims of the thesis.

``python -m tests.raft.matrix`` tells which test finds which.
"""

import pytest

from raftkv.raft.core import Raft
from tests.raft.claims import ELSEWHERE
from tests.raft.matrix import failing_claims, failing_schedule, failing_stories, main
from tests.raft.mutants import CATALOGUE, FURTHER, L1


@pytest.mark.parametrize("mutant", [*CATALOGUE.values(), *FURTHER.values()], ids=lambda core: core.__name__)
def test_a_bug_put_in_is_found(mutant: type[Raft]) -> None:
    """Each mutant fails a story or a claim, or a random schedule breaks a rule."""
    found = next(failing_stories(mutant), None) or failing_schedule(mutant)
    assert found or failing_claims(mutant.__name__), f"{mutant.__doc__} survives"


def test_the_reference_core_is_not_accused() -> None:
    """The control: the same search finds nothing at the core as it is."""
    assert list(failing_stories(Raft)) == []
    assert failing_schedule(Raft) is None


def test_the_table_names_a_claim_of_the_paper(capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints a line a mutant and ends well when none survives."""
    assert main(["L1"]) == 0
    printed = capsys.readouterr().out
    assert "test_an_entry_of_an_older_term_is_not_committed_by_counting" in printed
    assert printed.endswith("survivors: 0\n")


def test_the_whole_table_lists_the_bugs_that_live_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the exit status tells of a survivor."""
    monkeypatch.setattr("tests.raft.matrix.CATALOGUE", {"L1": L1})
    monkeypatch.setattr("tests.raft.matrix.FURTHER", {})
    monkeypatch.setattr("tests.raft.matrix.found_by", lambda name: [])
    assert main([]) == 1
    printed = capsys.readouterr().out
    assert "found by 0: NONE" in printed and printed.endswith("survivors: 1\n")
    for name, _, where in ELSEWHERE:
        assert f"\n{name} " in printed and where in printed
